use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use aws_sdk_apigatewaymanagement::config::{BehaviorVersion, Credentials, Region};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::channel::Turns;
use crate::channel::testkit::{a_live_push, a_push, target, targets};
use crate::domain::Channel;
use crate::runtime::Clock;

/// An API that answers each post by its path and by how often that path was asked for before.
struct Api {
    client: Client,
    asked: Arc<Mutex<Vec<(String, Bytes)>>>,
}

impl Api {
    async fn start(status: impl Fn(&str, usize) -> u16 + Send + Sync + 'static) -> Self {
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

    async fn send(&self, targets: &[Target]) -> Vec<Outcome> {
        let clock = Clock::system();
        let push = a_live_push(&clock);
        let batch = Batch::new(Channel::Ws, &push, targets, &clock, Turns::freely());
        Sender::new(self.client.clone()).send(&batch).await
    }

    fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(other, _)| other == path).count()
    }
}

#[tokio::test]
async fn every_connection_has_its_own_outcome_in_its_place_and_one_try() {
    let statuses = [200, 403, 413, 429, 500, 503, 400];
    let api = Api::start(move |path, _| statuses[path.rsplit('/').next().unwrap().parse::<usize>().unwrap()]).await;
    assert_eq!(
        api.send(&targets(7)).await,
        [
            Outcome::Delivered,
            Outcome::Config,
            Outcome::Permanent,
            Outcome::Throttled(None),
            Outcome::Transient(None),
            Outcome::Transient(None),
            Outcome::Permanent,
        ]
    );
    for n in 0..7 {
        assert_eq!(api.asked(&format!("/live/@connections/{n}")), 1, "{n}");
    }
}

#[tokio::test]
async fn a_closed_connection_is_invalid() {
    let api = Api::start(|_, _| 410).await;
    assert_eq!(api.send(&[target("a")]).await, [Outcome::InvalidToken { since: None, doubtful: false }]);
    assert_eq!(api.asked("/live/@connections/a"), 1);
}

#[tokio::test]
async fn the_frame_goes_to_the_connection_named() {
    let api = Api::start(|_, _| 200).await;
    assert_eq!(api.send(&[target("ab/c=")]).await, [Outcome::Delivered]);
    let asked = api.asked.lock().unwrap();
    assert_eq!(asked[0].0, "/live/@connections/ab%2Fc%3D");
    let frame: serde_json::Value = serde_json::from_slice(&asked[0].1).unwrap();
    assert_eq!((&frame["type"], &frame["seq"]), (&"push".into(), &12.into()));
}

#[tokio::test]
async fn an_api_that_is_away_is_tried_again_later_and_a_late_push_is_not_sent() {
    let mut api = Api::start(|_, _| 200).await;
    let clock = Clock::system();
    let (push, targets) = (a_push(), targets(2));
    let batch = Batch::new(Channel::Ws, &push, &targets, &clock, Turns::freely());
    assert_eq!(Sender::new(api.client.clone()).send(&batch).await, vec![Outcome::Transient(None); 2]);
    assert_eq!(api.asked.lock().unwrap().len(), 0);
    // Port 1 is nobody's.
    let nowhere = api.client.config().to_builder().endpoint_url("http://127.0.0.1:1/live").build();
    api.client = Client::from_conf(nowhere);
    assert_eq!(api.send(&targets).await, vec![Outcome::Transient(None); 2]);
}
