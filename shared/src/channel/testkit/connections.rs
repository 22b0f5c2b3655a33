//! A WebSocket API on the loopback, for what is posted to connections.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::channel::ws::Client;
use crate::runtime::Clock;

/// An API that answers each post by its path and by how often that path was asked for before.
pub(crate) struct Api {
    pub(crate) endpoint: String,
    pub(crate) client: Client,
    pub(crate) asked: Arc<Mutex<Vec<(String, Bytes)>>>,
    requests: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl Api {
    pub(crate) async fn start(status: impl Fn(&str, usize) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/live", listener.local_addr().unwrap());
        let (asked, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(status));
        let all: Arc<Mutex<Vec<(String, Bytes)>>> = asked.clone();
        let requests = Arc::<Mutex<Vec<Request<Bytes>>>>::default();
        let whole = requests.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (all, status, whole) = (all.clone(), status.clone(), whole.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (all, status, whole) = (all.clone(), status.clone(), whole.clone());
                    async move {
                        let path = request.uri().path().to_owned();
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        whole.lock().unwrap().push(Request::from_parts(head, body.clone()));
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
        Self { client: client_for(&endpoint, Clock::system()), endpoint, asked, requests }
    }

    /// All requests, whole, in the order of arrival.
    pub(crate) fn requests(&self) -> Vec<Request<Bytes>> {
        self.requests.lock().unwrap().clone()
    }

    /// How often a path was posted to.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(other, _)| other == path).count()
    }
}

/// The settings that a function has on AWS.
fn sdk_config() -> SdkConfig {
    let credentials = Credentials::new("key", "secret", None, None, "test");
    let credentials = SharedCredentialsProvider::new(credentials);
    SdkConfig::builder().region(Region::new("local")).credentials_provider(credentials).build()
}

/// Who calls the API at an endpoint.
pub(crate) fn client_for(endpoint: &str, clock: Clock) -> Client {
    Client::new(&sdk_config(), &|_: &str| Some(endpoint.to_owned()), clock).unwrap()
}
