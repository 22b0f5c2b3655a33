//! A WebSocket API on the loopback, for what is posted to connections.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::config::{BehaviorVersion, Config, Credentials, Region};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// An API that answers each post by its path and by how often that path was asked for before.
pub(crate) struct Api {
    pub(crate) client: Client,
    pub(crate) asked: Arc<Mutex<Vec<(String, Bytes)>>>,
}

impl Api {
    pub(crate) async fn start(status: impl Fn(&str, usize) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/live", listener.local_addr().unwrap());
        let (asked, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(status));
        let all: Arc<Mutex<Vec<(String, Bytes)>>> = asked.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (all, status) = (all.clone(), status.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (all, status) = (all.clone(), status.clone());
                    async move {
                        let path = request.uri().path().to_owned();
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let before = {
                            let mut all = all.lock().unwrap();
                            let before = all.iter().filter(|(other, _)| *other == path).count();
                            all.push((path.clone(), body));
                            before
                        };
                        let response = Response::builder().status(status(&path, before));
                        Ok::<_, Infallible>(response.body(Full::new(Bytes::from("{}"))).unwrap())
                    }
                });
                tokio::spawn(async move {
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service).await;
                });
            }
        });
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("local"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .endpoint_url(endpoint)
            .build();
        Self { client: Client::from_conf(config), asked }
    }

    /// How often a path was posted to.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(other, _)| other == path).count()
    }
}
