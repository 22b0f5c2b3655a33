use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use h2::Reason;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::*;
use crate::channel::Turns;
use crate::channel::testkit::{self, Asked, MovedClock, Reply, Vendor, a_live_push, targets};
use crate::domain::{Channel, Push, Wording};
use crate::runtime::Clock;

pub(super) static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());

pub(super) fn credentials(endpoint: &str) -> HarmonyCredentials {
    HarmonyCredentials {
        endpoint: endpoint.to_owned(),
        project_id: "101653523863".to_owned(),
        key_id: "key-1".to_owned(),
        sub_account: "account-1".to_owned(),
        private_key: KEY.serialize_pem().into(),
        default_category: "MARKETING".to_owned(),
        rate: None,
    }
}

async fn send(vendor: &Vendor, push: &Push, targets: &[Target], clock: &Clock) -> Vec<Outcome> {
    let sender = Sender::new(testkit::shared(vendor, clock));
    let batch = Batch::new(Channel::Harmony, push, targets, clock, Turns::freely());
    sender.send(&credentials(&vendor.endpoint), &batch).await
}

async fn send_to(vendor: &Vendor, targets: &[Target]) -> Vec<Outcome> {
    let clock = Clock::system();
    send(vendor, &a_live_push(&clock), targets, &clock).await
}

fn coded(code: &str, msg: &str) -> Reply {
    Reply::Answer(200, json!({"code": code, "msg": msg, "requestId": "1"}).to_string())
}

fn taken() -> Reply {
    coded("80000000", "Success")
}

fn tokens(asked: &Asked) -> Vec<String> {
    serde_json::from_value(testkit::json(&asked.body)["target"]["token"].clone()).unwrap()
}

#[tokio::test]
async fn a_request_says_what_huawei_wants_to_know() {
    let vendor = Vendor::start(|_| taken()).await;
    assert_eq!(send_to(&vendor, &targets(3)).await, vec![Outcome::Delivered; 3]);
    let asked = &vendor.asked()[0];
    assert_eq!(asked.path, "/v3/101653523863/messages:send");
    assert_eq!((asked.header("push-type"), asked.header("content-type")), ("0", "application/json"));
    assert!(asked.header("authorization").starts_with("Bearer ey"));
    assert_eq!(tokens(asked), ["0", "1", "2"]);
}

#[tokio::test]
async fn a_request_names_a_thousand_devices_at_most() {
    let vendor = Vendor::start(|_| taken()).await;
    assert_eq!(send_to(&vendor, &targets(2_001)).await, vec![Outcome::Delivered; 2_001]);
    let asked: Vec<Vec<String>> = vendor.asked().iter().map(tokens).collect();
    let mut sizes: Vec<usize> = asked.iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1_000, 1_000]);
    assert_eq!(asked.concat().iter().collect::<BTreeSet<_>>().len(), 2_001);
}

#[tokio::test]
async fn those_with_another_wording_are_in_another_request() {
    let vendor = Vendor::start(|_| taken()).await;
    let clock = Clock::system();
    let push = Push { notification: testkit::a_rich_push().notification, ..a_live_push(&clock) };
    let mut targets = targets(9);
    targets.iter_mut().enumerate().for_each(|(n, target)| target.wording = Wording(n as u8 % 3));
    assert_eq!(send(&vendor, &push, &targets, &clock).await, vec![Outcome::Delivered; 9]);
    assert_eq!(vendor.asked().len(), 3);
    for asked in vendor.asked() {
        let text = &testkit::json(&asked.body)["payload"]["notification"]["body"];
        for token in tokens(&asked) {
            let n: usize = token.parse().unwrap();
            assert_eq!(*text, ["You are invited", "你被邀请了", "Eingeladen"][n % 3], "{n}");
        }
    }
}

#[tokio::test]
async fn some_fail_and_the_rest_was_taken() {
    let msg = json!({"illegalTokens": {"tokenFormatError": ["1"], "noRight": ["3"]}, "success": 2, "failure": 2});
    let vendor = Vendor::start(move |_| coded("80100000", &msg.to_string())).await;
    let dead = Outcome::InvalidToken { doubtful: false, since: None };
    let expected = [Outcome::Delivered, dead, Outcome::Delivered, Outcome::NotEntitled];
    assert_eq!(send_to(&vendor, &targets(4)).await, expected);
}

#[tokio::test]
async fn a_refused_token_is_made_anew_once() {
    let vendor = Vendor::start(|asked| if asked.number == 0 { coded("80200005", "") } else { taken() }).await;
    assert_eq!(send_to(&vendor, &targets(2)).await, vec![Outcome::Delivered; 2]);
    assert_eq!(vendor.asked().len(), 2);

    let vendor = Vendor::start(|_| coded("80200001", "")).await;
    assert_eq!(send_to(&vendor, &targets(2)).await, vec![Outcome::Auth; 2]);
    assert_eq!(vendor.asked().len(), 2);
}

#[tokio::test]
async fn whatever_the_vendor_does_every_device_has_one_outcome() {
    let transient = || Outcome::Transient(None);
    let slow = |reply| Reply::Late(Duration::from_millis(300), Box::new(reply));
    type Script = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;
    let cases: Vec<(Script, Outcome)> = vec![
        (Box::new(move |_| slow(taken())), Outcome::Delivered),
        (Box::new(|_| Reply::Reset(Reason::INTERNAL_ERROR)), transient()),
        (Box::new(|_| Reply::GoAway(Reason::INTERNAL_ERROR)), transient()),
        (Box::new(|_| Reply::Answer(200, r#"{"code":"8000"#.to_owned())), transient()),
        (Box::new(|_| Reply::Answer(200, "x".repeat(2_000_000))), transient()),
        (Box::new(|_| Reply::Answer(301, String::new())), transient()),
        (
            Box::new(|_| Reply::AnswerWith(503, ("retry-after", "7"), String::new())),
            Outcome::Throttled(Some(Duration::from_secs(7))),
        ),
    ];
    for (script, outcome) in cases {
        let vendor = Vendor::start(script).await;
        assert_eq!(send_to(&vendor, &targets(5)).await, vec![outcome; 5]);
    }
    let nobody = HarmonyCredentials { endpoint: "https://localhost:1".to_owned(), ..credentials("") };
    assert_eq!(send_with(&nobody).await, vec![Outcome::Transient(None); 2]);
}

async fn send_with(credentials: &HarmonyCredentials) -> Vec<Outcome> {
    let vendor = Vendor::start(|_| taken()).await;
    let (clock, targets) = (Clock::system(), targets(2));
    let push = a_live_push(&clock);
    let batch = Batch::new(Channel::Harmony, &push, &targets, &clock, Turns::freely());
    let outcomes = Sender::new(testkit::shared(&vendor, &clock)).send(credentials, &batch).await;
    assert!(vendor.asked().is_empty());
    outcomes
}

#[tokio::test]
async fn settings_that_cannot_be_right_are_for_a_person_to_mend() {
    let right = credentials("https://localhost:1");
    for wrong in [
        HarmonyCredentials { project_id: "../1".to_owned(), ..right.clone() },
        HarmonyCredentials { project_id: String::new(), ..right.clone() },
        HarmonyCredentials { private_key: "no key".to_owned().into(), ..right.clone() },
        HarmonyCredentials { endpoint: "http://localhost:1".to_owned(), ..right.clone() },
    ] {
        assert_eq!(send_with(&wrong).await, vec![Outcome::Config; 2], "{wrong:?}");
    }
}

#[tokio::test]
async fn nothing_leaves_after_the_deadline() {
    let vendor = Vendor::start(|_| taken()).await;
    let moved = MovedClock::new();
    let push = a_live_push(&moved.clock());
    moved.set_ahead(604_801);
    let outcomes = send(&vendor, &push, &targets(3), &moved.clock()).await;
    assert_eq!(outcomes, vec![Outcome::Transient(None); 3]);
    assert_eq!(vendor.asked().len(), 0);
}

#[tokio::test]
async fn the_time_to_live_is_what_is_left() {
    let vendor = Vendor::start(|_| taken()).await;
    let moved = MovedClock::new();
    let push = a_live_push(&moved.clock());
    moved.set_ahead(604_000);
    send(&vendor, &push, &targets(1), &moved.clock()).await;
    let body: Value = testkit::json(&vendor.asked()[0].body);
    let ttl = body["pushOptions"]["ttl"].as_i64().unwrap();
    assert!((790..=800).contains(&ttl), "{ttl}");
}
