use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::channel::Turns;
use crate::channel::testkit::{
    self, Asked, MovedClock, Reply, Vendor, a_live_push, a_rich_push, shared, target, targets,
};
use crate::domain::{Channel, Push, Wording};
use crate::runtime::Clock;

const DEAD: Outcome = Outcome::InvalidToken { doubtful: false, since: None };

fn credentials(vendor: &Vendor) -> XiaomiCredentials {
    XiaomiCredentials {
        // With a slash at its end, as people write it.
        endpoint: format!("{}/", vendor.endpoint),
        app_secret: "a secret".into(),
        package: "com.example.app".to_owned(),
        default_channel: Some("default".to_owned()),
        default_title: None,
        rate: None,
    }
}

async fn send(vendor: &Vendor, push: &Push, targets: &[Target], clock: &Clock) -> Vec<Outcome> {
    let batch = Batch::new(Channel::Xiaomi, push, targets, clock, Turns::freely());
    Sender::new(shared(vendor, clock)).send(&credentials(vendor), &batch).await
}

async fn send_to(vendor: &Vendor, targets: &[Target]) -> Vec<Outcome> {
    let clock = Clock::system();
    send(vendor, &a_live_push(&clock), targets, &clock).await
}

fn fields(asked: &Asked) -> HashMap<String, String> {
    testkit::form(&asked.body).into_iter().collect()
}

fn tokens(asked: &Asked) -> Vec<String> {
    fields(asked)["registration_id"].split(',').map(str::to_owned).collect()
}

fn taken(bad: &str) -> Reply {
    let data = json!({"id": "scm1", "day_quota": "1000", "day_acked": "1", "bad_regids": bad});
    Reply::Answer(200, json!({"result": "ok", "code": 0, "data": data, "trace_id": "t"}).to_string())
}

fn error(code: i64) -> Reply {
    let reason = if code == 20301 { "No valid targets!" } else { "why" };
    Reply::Answer(200, json!({"result": "error", "code": code, "reason": reason}).to_string())
}

#[tokio::test]
async fn a_request_is_signed_and_names_up_to_a_thousand() {
    let vendor = Vendor::start(|_| taken("")).await;
    assert_eq!(send_to(&vendor, &targets(2_001)).await, vec![Outcome::Delivered; 2_001]);
    let asked = vendor.asked();
    let mut sizes: Vec<usize> = asked.iter().map(|asked| tokens(asked).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1_000, 1_000]);
    let mut all: Vec<usize> = asked.iter().flat_map(tokens).map(|token| token.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..2_001).collect::<Vec<_>>());
    for asked in asked {
        assert_eq!(asked.path, "/v3/message/regid");
        assert_eq!(asked.header("authorization"), "key=a secret");
        assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
    }
}

#[tokio::test]
async fn packages_and_wordings_go_apart() {
    let vendor = Vendor::start(|_| taken("")).await;
    let mut push = a_rich_push();
    (push.accepted_at, push.lifetime_secs) = (Clock::system().now(), 600);
    let of = |token, package: Option<&str>, wording| {
        let (package, wording) = (package.map(str::to_owned), Wording(wording));
        Target { package, wording, ..target(token) }
    };
    let targets = [
        of("a", None, 0),
        of("b", Some("com.example.other"), 0),
        of("c", Some("com.example.app"), 0),
        of("d", None, 1),
        of("e", None, 0),
    ];
    assert_eq!(send(&vendor, &push, &targets, &Clock::system()).await, vec![Outcome::Delivered; 5]);
    let mut asked: Vec<_> = vendor
        .asked()
        .iter()
        .map(|asked| {
            let fields = fields(asked);
            ["registration_id", "restricted_package_name", "title", "extra.sound_uri"].map(|name| fields[name].clone())
        })
        .collect();
    asked.sort();
    let sound = |package| format!("android.resource://{package}/raw/bell");
    let (own, other) = ("com.example.app", "com.example.other");
    let expected = [
        ["a,c,e", own, "Google's", &sound(own)],
        ["b", other, "Google's", &sound(other)],
        ["d", own, "你好", &sound(own)],
    ];
    assert_eq!(asked, expected.map(|request| request.map(str::to_owned)));
}

#[tokio::test]
async fn dead_tokens_are_told_from_those_taken() {
    let vendor = Vendor::start(|asked| match tokens(asked).len() {
        1 => error(20301),
        _ => taken("3,7"),
    })
    .await;
    let outcomes = send_to(&vendor, &targets(10)).await;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome, if [3, 7].contains(&n) { DEAD } else { Outcome::Delivered }, "{n}");
    }
    // Alone, it may be the package that is wrong.
    assert_eq!(send_to(&vendor, &targets(1)).await, [Outcome::InvalidToken { doubtful: true, since: None }]);
}

#[tokio::test]
async fn a_refused_request_says_nothing_of_another() {
    let vendor = Vendor::start(|asked| if tokens(asked).len() == 1_000 { error(10027) } else { taken("1003") }).await;
    let outcomes = send_to(&vendor, &targets(1_005)).await;
    assert_eq!(outcomes[..1_000], vec![Outcome::Throttled(None); 1_000]);
    assert_eq!(outcomes[1_000..1_003], vec![Outcome::Delivered; 3]);
    assert_eq!(outcomes[1_003..], [DEAD, Outcome::Delivered]);
}

#[tokio::test]
async fn whatever_happens_every_target_has_an_outcome() {
    type Script = fn(&Asked) -> Reply;
    let cases: [(Script, Outcome); 7] = [
        (|_| Reply::Reset(h2::Reason::INTERNAL_ERROR), Outcome::Transient(None)),
        (|_| Reply::Answer(200, r#"{"result":"o"#.to_owned()), Outcome::Transient(None)),
        (|_| Reply::Answer(200, "x".repeat(2 * 1024 * 1024)), Outcome::Transient(None)),
        (
            |_| Reply::AnswerWith(503, ("retry-after", "9"), String::new()),
            Outcome::Transient(Some(Duration::from_secs(9))),
        ),
        (|_| Reply::Answer(302, String::new()), Outcome::Transient(None)),
        (|_| error(21301), Outcome::Config),
        (|_| Reply::Late(Duration::from_millis(300), Box::new(taken(""))), Outcome::Delivered),
    ];
    for (n, (script, outcome)) in cases.into_iter().enumerate() {
        let vendor = Vendor::start(script).await;
        assert_eq!(send_to(&vendor, &targets(30)).await, vec![outcome; 30], "{n}");
        assert_eq!(vendor.asked().len(), 1, "{n}");
    }
}

#[tokio::test]
async fn nothing_leaves_after_the_deadline_and_no_message_outlives_its_push() {
    let vendor = Vendor::start(|_| taken("")).await;
    let moved = MovedClock::new();
    let clock = moved.clock();
    let push = a_live_push(&clock);
    moved.set_ahead(604_000);
    assert_eq!(send(&vendor, &push, &targets(1), &clock).await, [Outcome::Delivered]);
    let ttl: u32 = fields(&vendor.asked()[0])["time_to_live"].parse().unwrap();
    assert!((1_000..=800_000).contains(&ttl), "{ttl}");
    moved.set_ahead(604_801);
    assert_eq!(send(&vendor, &push, &targets(2), &clock).await, vec![Outcome::Transient(None); 2]);
    assert_eq!(vendor.asked().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_tried() {
    let vendor = Vendor::start(|_| taken("")).await;
    let (clock, targets) = (Clock::system(), targets(2));
    let mut push = a_live_push(&clock);
    let sender = Sender::new(shared(&vendor, &clock));
    let changes: [fn(&mut XiaomiCredentials); 3] = [
        |credentials| credentials.endpoint = "http://localhost:80".to_owned(),
        |credentials| credentials.endpoint = "nowhere".to_owned(),
        |credentials| credentials.app_secret = "of two\nlines".into(),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut credentials = credentials(&vendor);
        change(&mut credentials);
        let batch = Batch::new(Channel::Xiaomi, &push, &targets, &clock, Turns::freely());
        assert_eq!(sender.send(&credentials, &batch).await, vec![Outcome::Config; 2], "{n}");
    }
    push.notification = None;
    assert_eq!(send(&vendor, &push, &targets, &clock).await, vec![Outcome::Permanent; 2]);
    assert_eq!(vendor.asked().len(), 0);
}

#[tokio::test]
async fn a_turn_is_asked_for_when_there_is_a_connection() {
    let vendor = Vendor::start(|_| Reply::ok()).await;
    let (clock, targets, (turns, asked)) = (Clock::system(), targets(3), testkit::no_turns());
    let (push, sender) = (a_live_push(&clock), Sender::new(shared(&vendor, &clock)));
    let batch = Batch::new(Channel::Xiaomi, &push, &targets, &clock, turns);
    let credentials = credentials(&vendor);
    let connected = async {
        let _waits = asked.await.unwrap();
        // The vendor hears of the end of its handshake later than we do.
        while vendor.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let connected = tokio::time::timeout(Duration::from_secs(10), connected);
    let (outcomes, connected) = futures::join!(sender.send(&credentials, &batch), connected);
    assert_eq!((outcomes, connected), (vec![Outcome::Unsent; 3], Ok(())));
    assert!(vendor.asked().is_empty());
}

#[tokio::test]
async fn a_package_that_a_device_named_and_the_app_does_not_have_is_the_devices_own_matter() {
    let vendor = Vendor::start(|asked| match fields(asked)["restricted_package_name"].as_str() {
        "com.example.app" => taken(""),
        _ => error(22_022),
    })
    .await;
    let mut targets = targets(3);
    targets[1].package = Some("not.the.app".to_owned());
    assert_eq!(send_to(&vendor, &targets).await, [Outcome::Delivered, Outcome::NotEntitled, Outcome::Delivered]);

    let vendor = Vendor::start(|_| error(22_022)).await;
    targets[2].package = Some("com.example.app".to_owned());
    assert_eq!(send_to(&vendor, &targets).await, [Outcome::Config, Outcome::NotEntitled, Outcome::Config]);
}
