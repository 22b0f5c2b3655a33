use std::collections::HashMap;

use h2::Reason;
use tokio::time::Instant;

use super::*;
use crate::channel::testkit::{self, MovedClock, Reply, Vendor, a_live_push, target};
use crate::channel::{RateUnit, Turns, Window};
use crate::domain::notification::Wake;
use crate::domain::{Channel, Push, Timestamp};

const TEST_SETTINGS: Settings = Settings { request_timeout: Duration::from_secs(10), ..SETTINGS };

/// Sends a push to targets, through a sender that knows nobody yet.
async fn send(vendor: &Vendor, push: &Push, targets: &[Target], clock: &Clock) -> Vec<Outcome> {
    let sender = Sender::with_settings(vendor.tls(), clock.clone(), TEST_SETTINGS);
    let batch = Batch::new(Channel::Apns, push, targets, clock, Turns::freely());
    sender.send(&testkit::apns_credentials(&vendor.endpoint), &batch).await
}

async fn send_to(vendor: &Vendor, targets: &[Target]) -> Vec<Outcome> {
    let clock = Clock::system();
    send(vendor, &a_live_push(&clock), targets, &clock).await
}

fn devices(count: usize) -> Vec<Target> {
    (0..count).map(|n| target(&format!("{n:08x}"))).collect()
}

#[tokio::test]
async fn a_request_says_what_apple_wants_to_know() {
    let vendor = Vendor::start(|_| Reply::ok()).await;
    let clock = Clock::system();
    let push = a_live_push(&clock);
    let targets = [target("00aa"), Target { package: Some("com.example.other".to_owned()), ..target("00bb") }];
    assert_eq!(send(&vendor, &push, &targets, &clock).await, vec![Outcome::Delivered; 2]);
    let mut asked = vendor.asked();
    asked.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(asked[0].path, "/3/device/00aa");
    assert_eq!(asked[0].header("apns-topic"), "com.example.app");
    assert_eq!(asked[1].header("apns-topic"), "com.example.other");
    assert_eq!(asked[0].header("apns-push-type"), "alert");
    assert_eq!(asked[0].header("apns-priority"), "10");
    assert_eq!(asked[0].header("apns-expiration"), push.deadline().secs().to_string());
    assert_eq!(asked[0].header("apns-collapse-id"), push.id.to_string());
    assert_eq!(asked[0].header("apns-id").len(), 36);
    assert!(asked[0].header("authorization").starts_with("bearer ey"));
    assert_eq!(testkit::json(&asked[0].body)["aps"]["alert"]["body"], "You are invited");
}

#[tokio::test]
async fn every_target_gets_its_own_wording() {
    let vendor = Vendor::start(|_| Reply::ok()).await;
    let clock = Clock::system();
    let push = Push { notification: testkit::a_rich_push().notification, ..a_live_push(&clock) };
    let mut targets = devices(30);
    targets.iter_mut().enumerate().for_each(|(n, target)| target.wording = Wording(n as u8 % 3));
    assert_eq!(send(&vendor, &push, &targets, &clock).await, vec![Outcome::Delivered; 30]);
    let texts = ["You are invited", "你被邀请了", "Eingeladen"];
    for asked in vendor.asked() {
        let n = usize::from_str_radix(asked.path.rsplit('/').next().unwrap(), 16).unwrap();
        assert_eq!(testkit::json(&asked.body)["aps"]["alert"]["body"], texts[n % 3], "{n}");
        assert_eq!(asked.header("apns-collapse-id"), "invitation");
    }
}

#[tokio::test]
async fn a_silent_push_says_so_in_its_headers() {
    let vendor = Vendor::start(|_| Reply::ok()).await;
    let clock = Clock::system();
    let mut push = a_live_push(&clock);
    push.notification.as_mut().unwrap().ios.wake = Some(Wake::Silently);
    assert_eq!(send(&vendor, &push, &devices(1), &clock).await, [Outcome::Delivered]);
    let asked = &vendor.asked()[0];
    assert_eq!((asked.header("apns-push-type"), asked.header("apns-priority")), ("background", "5"));
}

#[tokio::test]
async fn every_target_has_its_own_outcome_in_its_place() {
    let vendor = Vendor::start(|asked| match asked.path.rsplit('/').next() {
        Some("00000001") => Reply::Answer(410, r#"{"reason":"Unregistered","timestamp":1700000000000}"#.to_owned()),
        Some("00000002") => Reply::reason(400, "BadDeviceToken"),
        Some("00000003") => Reply::reason(413, "PayloadTooLarge"),
        Some("00000004") => Reply::reason(403, "InvalidProviderToken"),
        Some("00000005") => Reply::reason(429, "TooManyRequests"),
        Some("00000006") => {
            Reply::AnswerWith(503, ("retry-after", "12"), r#"{"reason":"ServiceUnavailable"}"#.to_owned())
        }
        Some("00000007") => Reply::reason(429, "TooManyProviderTokenUpdates"),
        Some("00000008") => Reply::Answer(400, "<html>".to_owned()),
        Some("00000009") => Reply::Reset(Reason::INTERNAL_ERROR),
        _ => Reply::ok(),
    })
    .await;
    let mut targets = devices(12);
    targets.push(target("no hex"));
    targets.push(Target { package: Some("a\nb".to_owned()), ..target("00aa") });
    let outcomes = send_to(&vendor, &targets).await;
    assert_eq!(
        outcomes,
        [
            Outcome::Delivered,
            Outcome::InvalidToken { since: Some(Timestamp::from_secs(1_700_000_000)), doubtful: false },
            Outcome::InvalidToken { since: None, doubtful: true },
            Outcome::Permanent,
            Outcome::Config,
            Outcome::Throttled(None),
            Outcome::Transient(Some(Duration::from_secs(12))),
            Outcome::Auth,
            Outcome::Transient(None),
            Outcome::Transient(None),
            Outcome::Delivered,
            Outcome::Delivered,
            Outcome::InvalidToken { since: None, doubtful: true },
            Outcome::Permanent,
        ]
    );
    assert_eq!(vendor.asked().len(), 12);
}

#[tokio::test]
async fn a_batch_warms_its_connection_up_with_its_first_notification() {
    let vendor = Vendor::start(|asked| match asked.number {
        0 => Reply::Late(Duration::from_millis(50), Box::new(Reply::ok())),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(send_to(&vendor, &devices(300)).await, vec![Outcome::Delivered; 300]);
    let asked = vendor.asked();
    assert_eq!((asked[0].beside, vendor.connections()), (0, 1));
}

#[tokio::test]
async fn a_turn_is_asked_for_when_there_is_a_connection() {
    let vendor = Vendor::start(|_| Reply::ok()).await;
    let (clock, targets, (turns, asked)) = (Clock::system(), devices(3), testkit::no_turns());
    let (push, sender) = (a_live_push(&clock), Sender::with_settings(vendor.tls(), clock.clone(), TEST_SETTINGS));
    let batch = Batch::new(Channel::Apns, &push, &targets, &clock, turns);
    let credentials = testkit::apns_credentials(&vendor.endpoint);
    let connections = async {
        let _waits = asked.await.unwrap();
        // The vendor hears of the end of its handshake later than we do.
        while vendor.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let connections = tokio::time::timeout(Duration::from_secs(10), connections);
    let (outcomes, connected) = futures::join!(sender.send(&credentials, &batch), connections);
    assert_eq!((outcomes, connected), (vec![Outcome::Unsent; 3], Ok(())));
    assert!(vendor.asked().is_empty());
}

#[tokio::test]
async fn a_goaway_amid_a_batch_loses_no_target_and_doubles_none() {
    let vendor = Vendor::start(|asked| match asked.number {
        40 => Reply::GoAway(Reason::NO_ERROR),
        _ => Reply::Late(Duration::from_millis(3), Box::new(Reply::ok())),
    })
    .await;
    let (clock, targets) = (Clock::system(), devices(200));
    let (push, sender) = (a_live_push(&clock), Sender::with_settings(vendor.tls(), clock.clone(), TEST_SETTINGS));
    // Before the first is answered the others have no stream, so the window begins late.
    let start = Instant::now() + Duration::from_millis(300);
    let window = Window { start, length: Duration::from_millis(400), units: 200, end: start + Duration::from_secs(1) };
    let turns = Turns::new(std::future::ready(Some(window)), RateUnit::Requests, 1);
    let batch = Batch::new(Channel::Apns, &push, &targets, &clock, turns);
    let outcomes = sender.send(&testkit::apns_credentials(&vendor.endpoint), &batch).await;
    assert_eq!(outcomes.len(), 200);
    let fine = |outcome: &Outcome| matches!(outcome, Outcome::Delivered | Outcome::Transient(None) | Outcome::Unsent);
    assert!(outcomes.iter().all(fine));
    // The one that caused it, at least, was lost with the connection; what had not begun went on elsewhere.
    assert!(outcomes.contains(&Outcome::Transient(None)));
    assert!(vendor.connections() > 1);
    let asked: HashMap<String, usize> = vendor.asked_by_path();
    assert!(asked.values().all(|&times| times == 1), "{asked:?}");
}

#[tokio::test]
async fn a_stale_provider_token_is_not_made_anew_before_its_time() {
    let vendor = Vendor::start(|_| Reply::reason(403, "ExpiredProviderToken")).await;
    assert_eq!(send_to(&vendor, &devices(1)).await, [Outcome::Auth]);
    assert_eq!(vendor.asked().len(), 1);
}

#[tokio::test]
async fn a_stale_provider_token_is_replaced_when_its_time_is_over() {
    let moved = std::sync::Arc::new(MovedClock::new());
    let (clock, mover) = (moved.clock(), moved.clone());
    let vendor = Vendor::start(move |asked| match asked.number {
        0 => {
            mover.set_ahead(40 * 60);
            Reply::reason(403, "ExpiredProviderToken")
        }
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(send(&vendor, &a_live_push(&clock), &devices(1), &clock).await, [Outcome::Delivered]);
    let asked = vendor.asked();
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0].header("authorization"), asked[1].header("authorization"));
}

#[tokio::test]
async fn a_push_past_its_deadline_does_not_leave() {
    let vendor = Vendor::start(|_| Reply::ok()).await;
    let clock = Clock::system();
    assert_eq!(send(&vendor, &testkit::a_push(), &devices(3), &clock).await, vec![Outcome::Transient(None); 3]);
    assert_eq!(vendor.asked().len(), 0);
}

#[tokio::test]
async fn a_vendor_that_is_away_is_tried_again_later() {
    let vendor = Vendor::start(|_| Reply::ok()).await;
    let clock = Clock::system();
    let sender = Sender::with_settings(vendor.tls(), clock.clone(), TEST_SETTINGS);
    let (push, targets) = (a_live_push(&clock), devices(20));
    let batch = Batch::new(Channel::Apns, &push, &targets, &clock, Turns::freely());
    // Port 1 is nobody's.
    let outcomes = sender.send(&testkit::apns_credentials("https://localhost:1"), &batch).await;
    assert_eq!(outcomes, vec![Outcome::Transient(None); 20]);
}

#[tokio::test]
async fn settings_that_cannot_work_are_for_a_person_to_mend() {
    let vendor = Vendor::start(|_| Reply::ok()).await;
    let clock = Clock::system();
    let sender = Sender::with_settings(vendor.tls(), clock.clone(), TEST_SETTINGS);
    let (push, targets) = (a_live_push(&clock), devices(2));
    let batch = Batch::new(Channel::Apns, &push, &targets, &clock, Turns::freely());
    let in_the_clear = testkit::apns_credentials("http://localhost:80");
    let mut no_key = testkit::apns_credentials(&vendor.endpoint);
    no_key.private_key = "no key".to_owned().into();
    for credentials in [in_the_clear, no_key] {
        assert_eq!(sender.send(&credentials, &batch).await, vec![Outcome::Config; 2]);
    }
}

#[tokio::test]
async fn a_push_with_nothing_to_show_or_too_much_never_passes() {
    let vendor = Vendor::start(|_| Reply::ok()).await;
    let clock = Clock::system();
    let mut push = a_live_push(&clock);
    push.notification.as_mut().unwrap().text = "x".repeat(5_000);
    assert_eq!(send(&vendor, &push, &devices(2), &clock).await, vec![Outcome::Permanent; 2]);
    push.notification = None;
    assert_eq!(send(&vendor, &push, &devices(2), &clock).await, vec![Outcome::Permanent; 2]);
    assert_eq!(vendor.asked().len(), 0);
}
