use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lambda_runtime::tracing::subscriber::layer::{Context, Layer, SubscriberExt};
use tracing::instrument::WithSubscriber;

use super::*;
use crate::channel::testkit::{Api, Plain, PlainPeer, a_live_push, a_push, client_for, no_turns, target, targets};
use crate::channel::{RateUnit, Turns, Window};
use crate::domain::{Channel, ConnectionId};
use crate::runtime::Clock;
use crate::runtime::telemetry::chain;

async fn send(api: &Api, targets: &[Target]) -> Vec<Outcome> {
    let clock = Clock::system();
    let push = a_live_push(&clock);
    let batch = Batch::new(Channel::Ws, &push, targets, &clock, Turns::freely());
    Sender::new(api.client.clone()).send(&batch).await
}

#[tokio::test]
async fn every_connection_has_its_own_outcome_in_its_place_and_one_try() {
    let statuses = [200, 403, 413, 429, 500, 503, 400];
    let api = Api::start(move |path, _| statuses[path.rsplit('/').next().unwrap().parse::<usize>().unwrap()]).await;
    assert_eq!(
        send(&api, &targets(7)).await,
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
    assert_eq!(send(&api, &[target("a")]).await, [Outcome::InvalidToken { since: None, doubtful: false }]);
    assert_eq!(api.asked("/live/@connections/a"), 1);
}

#[tokio::test]
async fn the_frame_goes_to_the_connection_named() {
    let api = Api::start(|_, _| 200).await;
    assert_eq!(send(&api, &[target("ab/c=")]).await, [Outcome::Delivered]);
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
    api.client = client_for("http://127.0.0.1:1/live", Clock::system());
    assert_eq!(send(&api, &targets).await, vec![Outcome::Transient(None); 2]);
}

#[tokio::test]
async fn a_turn_is_asked_for_when_there_are_connections_for_as_many_posts_as_are_under_way() {
    for (count, connections) in [(7, 7), (150, client::CONCURRENCY)] {
        let peer = PlainPeer::start(|_, _| Plain::Answer(200, 0)).await;
        let (clock, targets, (turns, asked)) = (Clock::system(), targets(count), no_turns());
        let push = a_live_push(&clock);
        let batch = Batch::new(Channel::Ws, &push, &targets, &clock, turns);
        let sender = Sender::new(client_for(&format!("{}/live", peer.endpoint), clock.clone()));
        let connected = async {
            let _waits = asked.await.unwrap();
            peer.until_connections(connections).await;
        };
        let (outcomes, ()) = futures::join!(sender.send(&batch), connected);
        assert_eq!(outcomes, vec![Outcome::Unsent; count]);
        assert_eq!((peer.connections(), peer.heads().len()), (connections, 0));
    }
}

#[tokio::test]
async fn what_is_no_name_of_a_connection_is_not_asked_for() {
    let api = Api::start(|_, _| 200).await;
    let names = ["..", ".", "", "..."].map(target);
    assert_eq!(
        send(&api, &names).await,
        [Outcome::Permanent, Outcome::Permanent, Outcome::Permanent, Outcome::Delivered]
    );
    assert_eq!((api.requests().len(), api.asked("/live/@connections/...")), (1, 1));
}

/// Counts lines at `ERROR`.
#[derive(Clone, Default)]
struct Errors(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::ERROR {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn that_we_may_not_post_is_an_error_of_the_installation_once_a_batch() {
    for (status, errors) in [(403, 1), (401, 1), (429, 0), (500, 0), (200, 0)] {
        let api = Api::start(move |_, _| status).await;
        let counted = Errors::default();
        let subscriber = lambda_runtime::tracing::subscriber::registry().with(counted.clone());
        send(&api, &targets(5)).with_subscriber(subscriber).await;
        assert_eq!(counted.0.load(Ordering::Relaxed), errors, "{status}");
    }
}

fn connection() -> ConnectionId {
    ConnectionId::try_from("L0SM9cOFvHcCIhw=").unwrap()
}

const PATH: &str = "/live/@connections/L0SM9cOFvHcCIhw%3D";

#[tokio::test]
async fn a_single_frame_is_tried_again_while_that_may_help() {
    for (statuses, tries, taken) in [
        (vec![200], 1, Ok(())),
        (vec![429, 503, 200], 3, Ok(())),
        (vec![500; 9], 4, Err("the frame was not taken: API Gateway answered 500 Internal Server Error")),
        (vec![403; 9], 1, Err("the frame was not taken: API Gateway answered 403 Forbidden")),
        (vec![413; 9], 1, Err("the frame was not taken: API Gateway answered 413 Payload Too Large")),
        (vec![500, 410, 200], 2, Err("the connection is gone")),
    ] {
        let api = Api::start(move |_, before| statuses[before]).await;
        let posted = Sockets::At(api.client.clone()).post(&connection(), "hello".to_owned()).await;
        assert_eq!(posted.map_err(|error| chain(&error)), taken.map_err(str::to_owned));
        assert_eq!(api.asked(PATH), tries);
        assert!(api.requests().iter().all(|request| request.method() == Method::POST && request.body() == "hello"));
    }
}

#[tokio::test]
async fn a_connection_is_closed_or_gone_or_that_is_not_known() {
    for (status, ended) in [(204, Ok(Ended::Closed)), (410, Ok(Ended::Gone)), (403, Err(()))] {
        let api = Api::start(move |_, _| status).await;
        let closed = Sockets::At(api.client.clone()).close(&connection()).await;
        assert_eq!(closed.map_err(drop), ended, "{status}");
        assert!(api.requests().iter().all(|request| request.method() == Method::DELETE && request.body().is_empty()));
        assert_eq!(api.asked(PATH), 1);
    }
    assert!(Sockets::Nowhere.close(&connection()).await.is_err());
}

#[tokio::test]
async fn frames_leave_at_their_turns_or_not_at_all() {
    let api = Api::start(|_, _| 200).await;
    // The connection stands already.
    Sockets::At(api.client.clone()).post(&connection(), String::new()).await.unwrap();
    let clock = Clock::system();
    let (push, targets) = (a_live_push(&clock), targets(20));
    let start = tokio::time::Instant::now() - Duration::from_millis(475);
    let length = Duration::from_secs(1);
    let window = Window { start, length, units: 20, end: start + length };
    let turns = Turns::new(std::future::ready(Some(window)), RateUnit::Requests, 1);
    let batch = Batch::new(Channel::Ws, &push, &targets, &clock, turns);
    let outcomes = Sender::new(api.client.clone()).send(&batch).await;
    // The turns of the first nine were over, long before. Those since are sent, once each; a busy machine may miss some.
    assert_eq!(outcomes[..9], vec![Outcome::Unsent; 9]);
    let sent = outcomes.iter().filter(|outcome| **outcome == Outcome::Delivered).count();
    assert!((1..=11).contains(&sent), "{outcomes:?}");
    assert_eq!(api.requests().len(), 1 + sent);
    assert!(start.elapsed() >= Duration::from_millis(900), "each at its own");
}

#[test]
fn an_address_that_is_none_is_told_at_the_start() {
    let config = aws_config::SdkConfig::builder().build();
    let new = |endpoint: &str| {
        Client::new(&config, &|_: &str| Some(endpoint.to_owned()), Clock::system()).err().unwrap().to_string()
    };
    assert_eq!(new(""), "`AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI` is not set");
    for none in ["ws://host/live", "/live", "not an address", "https://host/live?a"] {
        assert!(new(none).starts_with("`AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI` cannot be read"), "{none}");
    }
    assert_eq!(new("https://host/live"), "`AWS_REGION` is not set");
}
