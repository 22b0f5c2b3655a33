use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::channel::Turns;
use crate::channel::testkit::{self, Asked, MovedClock, Reply, Vendor, a_live_push, a_rich_push, shared, targets};
use crate::domain::{Channel, Push, Wording};
use crate::runtime::Clock;

const DEAD: Outcome = Outcome::InvalidToken { doubtful: false, since: None };

fn credentials(vendor: &Vendor) -> MeizuCredentials {
    MeizuCredentials {
        // With a slash at its end, as people write it.
        endpoint: format!("{}/", vendor.endpoint),
        app_id: "10000".to_owned(),
        app_secret: "a secret".into(),
        default_title: None,
        rate: None,
    }
}

async fn send(vendor: &Vendor, push: &Push, targets: &[Target], clock: &Clock) -> Vec<Outcome> {
    let batch = Batch::new(Channel::Meizu, push, targets, clock, Turns::freely());
    Sender::new(shared(vendor, clock)).send(&credentials(vendor), &batch).await
}

async fn send_to(vendor: &Vendor, targets: &[Target]) -> Vec<Outcome> {
    let clock = Clock::system();
    send(vendor, &a_live_push(&clock), targets, &clock).await
}

fn fields(asked: &Asked) -> HashMap<String, String> {
    testkit::form(&asked.body).into_iter().collect()
}

fn message(asked: &Asked) -> Value {
    serde_json::from_str(&fields(asked)["messageJson"]).unwrap()
}

fn tokens(asked: &Asked) -> Vec<String> {
    fields(asked)["pushIds"].split(',').map(str::to_owned).collect()
}

fn answer(code: &str, value: Value) -> Reply {
    Reply::Answer(200, json!({"code": code, "message": "", "value": value, "msgId": "m", "redirect": ""}).to_string())
}

#[tokio::test]
async fn a_request_is_signed_and_names_up_to_a_hundred() {
    let vendor = Vendor::start(|_| answer("200", json!({}))).await;
    assert_eq!(send_to(&vendor, &targets(201)).await, vec![Outcome::Delivered; 201]);
    let asked = vendor.asked();
    let mut sizes: Vec<usize> = asked.iter().map(|asked| tokens(asked).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 100, 100]);
    let mut all: Vec<usize> = asked.iter().flat_map(tokens).map(|token| token.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..201).collect::<Vec<_>>());
    for asked in &asked {
        assert_eq!(asked.path, PATH);
        assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded;charset=UTF-8");
        assert_eq!(fields(asked)["appId"], "10000");
        assert_eq!(fields(asked)["sign"].len(), 32);
    }
    assert_ne!(fields(&asked[0])["sign"], fields(&asked[1])["sign"]);
}

#[tokio::test]
async fn wordings_go_apart() {
    let vendor = Vendor::start(|_| answer("200", json!({}))).await;
    let mut push = a_rich_push();
    (push.accepted_at, push.lifetime_secs) = (Clock::system().now(), 600);
    let mut targets = targets(4);
    targets[2].wording = Wording(1);
    assert_eq!(send(&vendor, &push, &targets, &Clock::system()).await, vec![Outcome::Delivered; 4]);
    let mut asked: Vec<_> = vendor
        .asked()
        .iter()
        .map(|asked| (tokens(asked).join(","), message(asked)["noticeBarInfo"]["title"].clone()))
        .collect();
    asked.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(asked, [("0,1,3".to_owned(), json!("Google's")), ("2".to_owned(), json!("你好"))]);
}

#[tokio::test]
async fn every_failed_token_has_the_outcome_of_its_number() {
    let value = json!({"110002": ["1"], "110003": ["2"], "110010": ["3"], "520": ["4"], "513": ["5"], "110011": ["6"]});
    let vendor = Vendor::start(move |_| answer("200", value.clone())).await;
    assert_eq!(
        send_to(&vendor, &targets(8)).await,
        [
            Outcome::Delivered,
            DEAD,
            DEAD,
            Outcome::Suspended,
            Outcome::Permanent,
            Outcome::Transient(None),
            Outcome::DeviceQuotaUntilTomorrow,
            Outcome::Delivered,
        ]
    );
}

#[tokio::test]
async fn a_refused_request_says_nothing_of_another() {
    let vendor = Vendor::start(|asked| match tokens(asked).len() {
        100 => answer("110010", json!("")),
        _ => answer("200", json!({"110002": ["103"]})),
    })
    .await;
    let outcomes = send_to(&vendor, &targets(105)).await;
    assert_eq!(outcomes[..100], vec![Outcome::Throttled(None); 100]);
    assert_eq!(outcomes[100..103], vec![Outcome::Delivered; 3]);
    assert_eq!(outcomes[103..], [DEAD, Outcome::Delivered]);
}

#[tokio::test]
async fn whatever_happens_every_target_has_an_outcome() {
    type Script = fn(&Asked) -> Reply;
    let cases: [(Script, Outcome); 7] = [
        (|_| Reply::Reset(h2::Reason::INTERNAL_ERROR), Outcome::Transient(None)),
        (|_| Reply::Answer(200, r#"{"code":"20"#.to_owned()), Outcome::Transient(None)),
        (|_| Reply::Answer(200, "x".repeat(2 * 1024 * 1024)), Outcome::Transient(None)),
        (
            |_| Reply::AnswerWith(503, ("retry-after", "9"), String::new()),
            Outcome::Transient(Some(Duration::from_secs(9))),
        ),
        (|_| Reply::Answer(302, String::new()), Outcome::Transient(None)),
        (|_| answer("1006", json!("")), Outcome::Config),
        (|_| Reply::Late(Duration::from_millis(300), Box::new(answer("200", json!("")))), Outcome::Delivered),
    ];
    for (n, (script, outcome)) in cases.into_iter().enumerate() {
        let vendor = Vendor::start(script).await;
        assert_eq!(send_to(&vendor, &targets(30)).await, vec![outcome; 30], "{n}");
        assert_eq!(vendor.asked().len(), 1, "{n}");
    }
}

#[tokio::test]
async fn nothing_leaves_after_the_deadline_and_now_or_never_is_not_kept() {
    let vendor = Vendor::start(|_| answer("200", json!({}))).await;
    let moved = MovedClock::new();
    let clock = moved.clock();
    let mut push = a_live_push(&clock);
    moved.set_ahead(604_800 - 10_000);
    assert_eq!(send(&vendor, &push, &targets(1), &clock).await, [Outcome::Delivered]);
    assert_eq!(message(&vendor.asked()[0])["pushTimeInfo"], json!({"offLine": 1, "validTime": 2}));
    moved.set_ahead(604_801);
    assert_eq!(send(&vendor, &push, &targets(2), &clock).await, vec![Outcome::Transient(None); 2]);
    assert_eq!(vendor.asked().len(), 1);
    (push.accepted_at, push.lifetime_secs) = (clock.now(), 0);
    assert_eq!(send(&vendor, &push, &targets(1), &clock).await, [Outcome::Delivered]);
    assert_eq!(message(&vendor.asked()[1])["pushTimeInfo"], json!({"offLine": 0}));
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_tried() {
    let vendor = Vendor::start(|_| answer("200", json!({}))).await;
    let (clock, targets) = (Clock::system(), targets(2));
    let mut push = a_live_push(&clock);
    let sender = Sender::new(shared(&vendor, &clock));
    for endpoint in ["http://localhost:80", "nowhere"] {
        let credentials = MeizuCredentials { endpoint: endpoint.to_owned(), ..credentials(&vendor) };
        let batch = Batch::new(Channel::Meizu, &push, &targets, &clock, Turns::freely());
        assert_eq!(sender.send(&credentials, &batch).await, vec![Outcome::Config; 2], "{endpoint}");
    }
    push.notification = None;
    assert_eq!(send(&vendor, &push, &targets, &clock).await, vec![Outcome::Permanent; 2]);
    assert_eq!(vendor.asked().len(), 0);
}
