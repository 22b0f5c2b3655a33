use super::*;
use crate::channel::Turns;
use crate::channel::testkit::{Api, a_live_push, a_push, target, targets};
use crate::domain::Channel;
use crate::runtime::Clock;

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
    let nowhere = api.client.config().to_builder().endpoint_url("http://127.0.0.1:1/live").build();
    api.client = Client::from_conf(nowhere);
    assert_eq!(send(&api, &targets).await, vec![Outcome::Transient(None); 2]);
}
