use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use h2::Reason;
use p256::SecretKey;
use p256::pkcs8::EncodePrivateKey;
use serde_json::json;

use super::*;
use crate::channel::Turns;
use crate::channel::testkit::{self, Asked, MovedClock, Reply, Vendor, a_live_push, target};
use crate::domain::{Channel, Push, Wording};
use crate::runtime::Clock;

/// An app that sends to the service at an endpoint, and to no other.
pub(super) fn credentials(endpoint: &str) -> WebpushCredentials {
    let key = SecretKey::from_slice(&[7; 32]).unwrap().to_pkcs8_pem(Default::default()).unwrap();
    WebpushCredentials {
        subject: "mailto:push@example.com".to_owned(),
        private_key: key.to_string().into(),
        services: BTreeSet::from([endpoint.trim_start_matches("https://").to_owned()]),
        rate: None,
    }
}

/// The subscription of the n-th browser.
fn browser(vendor: &Vendor, n: usize) -> Target {
    let key = SecretKey::from_slice(&[n as u8 + 1; 32]).unwrap().public_key().to_sec1_bytes();
    let (p256dh, auth) = (URL_SAFE_NO_PAD.encode(key), URL_SAFE_NO_PAD.encode([n as u8; 16]));
    let endpoint = format!("{}/push/{n}", vendor.endpoint);
    target(&json!({"endpoint": endpoint, "keys": {"auth": auth, "p256dh": p256dh}}).to_string())
}

fn browsers(vendor: &Vendor, count: usize) -> Vec<Target> {
    (0..count).map(|n| browser(vendor, n)).collect()
}

async fn send(vendor: &Vendor, push: &Push, targets: &[Target], clock: &Clock) -> Vec<Outcome> {
    let sender = Sender::new(testkit::shared(vendor, clock));
    let batch = Batch::new(Channel::Webpush, push, targets, clock, Turns::freely());
    sender.send(&credentials(&vendor.endpoint), &batch).await
}

async fn send_to(vendor: &Vendor, targets: &[Target]) -> Vec<Outcome> {
    let clock = Clock::system();
    send(vendor, &a_live_push(&clock), targets, &clock).await
}

fn taken() -> Reply {
    Reply::Answer(201, String::new())
}

/// What the browser reads, if the message is for it.
fn decrypted(asked: &Asked) -> Option<serde_json::Value> {
    let n: u8 = asked.path.rsplit('/').next().unwrap().parse().unwrap();
    let key = web_push_native::p256::SecretKey::from_slice(&[n + 1; 32]).unwrap();
    let auth = web_push_native::Auth::from([n; 16]);
    let text = web_push_native::decrypt(asked.body.to_vec(), &key, &auth).ok()?;
    Some(testkit::json(&text))
}

#[tokio::test]
async fn a_request_says_what_push_services_want_to_know() {
    let vendor = Vendor::start(|_| taken()).await;
    assert_eq!(send_to(&vendor, &browsers(&vendor, 1)).await, [Outcome::Delivered]);
    let asked = &vendor.asked()[0];
    assert_eq!(asked.path, "/push/0");
    assert_eq!(asked.header("content-encoding"), "aes128gcm");
    assert_eq!((asked.header("urgency"), asked.header("topic")), ("high", "0000000000000000000017"));
    assert!((604_790..=604_800).contains(&asked.header("ttl").parse::<u32>().unwrap()));
    assert!(asked.header("authorization").starts_with("vapid t=ey"));
}

#[tokio::test]
async fn every_browser_can_read_its_own_message_in_its_own_wording() {
    let vendor = Vendor::start(|_| taken()).await;
    let clock = Clock::system();
    let push = Push { notification: testkit::a_rich_push().notification, ..a_live_push(&clock) };
    let mut targets = browsers(&vendor, 9);
    targets.iter_mut().enumerate().for_each(|(n, target)| target.wording = Wording(n as u8 % 3));
    assert_eq!(send(&vendor, &push, &targets, &clock).await, vec![Outcome::Delivered; 9]);
    let asked = vendor.asked();
    assert_eq!(asked.len(), 9);
    for asked in &asked {
        let n: usize = asked.path.rsplit('/').next().unwrap().parse().unwrap();
        let text = &decrypted(asked).unwrap()["text"];
        assert_eq!(*text, ["You are invited", "你被邀请了", "Eingeladen"][n % 3], "{n}");
        let elsewhere = Asked { path: format!("/push/{}", n + 1), ..asked.clone() };
        assert!(decrypted(&elsewhere).is_none(), "{n}");
    }
}

#[tokio::test]
async fn every_browser_has_its_own_outcome_in_its_place() {
    let vendor = Vendor::start(|asked| match asked.path.as_str() {
        "/push/1" => Reply::Answer(410, String::new()),
        "/push/2" => Reply::Answer(404, String::new()),
        "/push/3" => Reply::AnswerWith(429, ("retry-after", "30"), String::new()),
        "/push/4" => Reply::Answer(403, "words".to_owned()),
        "/push/5" => Reply::Answer(401, String::new()),
        "/push/6" => Reply::Answer(413, String::new()),
        "/push/7" => Reply::Reset(Reason::INTERNAL_ERROR),
        "/push/8" => Reply::Late(Duration::from_millis(300), Box::new(taken())),
        "/push/9" => Reply::Answer(301, "x".repeat(2_000_000)),
        _ => taken(),
    })
    .await;
    let mut targets = browsers(&vendor, 11);
    targets.push(target("no subscription"));
    let elsewhere = targets[0].token.expose().replace("localhost", "example.com");
    targets.push(target(&elsewhere));
    let gone = Outcome::InvalidToken { since: None, doubtful: false };
    let expected = [
        Outcome::Delivered,
        gone.clone(),
        gone,
        Outcome::Throttled(Some(Duration::from_secs(30))),
        Outcome::NotEntitled,
        Outcome::Auth,
        Outcome::Permanent,
        Outcome::Transient(None),
        Outcome::Delivered,
        Outcome::Transient(None),
        Outcome::Delivered,
        Outcome::InvalidToken { since: None, doubtful: true },
        Outcome::Config,
    ];
    assert_eq!(send_to(&vendor, &targets).await, expected);
    assert_eq!(vendor.asked().len(), 11);
}

#[tokio::test]
async fn a_connection_that_breaks_loses_nobody() {
    let vendor = Vendor::start(|asked| match asked.number {
        3 => Reply::GoAway(Reason::INTERNAL_ERROR),
        _ => taken(),
    })
    .await;
    let outcomes = send_to(&vendor, &browsers(&vendor, 20)).await;
    assert_eq!(outcomes.len(), 20);
    assert!(outcomes.iter().all(|it| matches!(it, Outcome::Delivered | Outcome::Transient(None))), "{outcomes:?}");
}

#[tokio::test]
async fn nothing_leaves_after_the_deadline() {
    let vendor = Vendor::start(|_| taken()).await;
    let moved = MovedClock::new();
    let push = a_live_push(&moved.clock());
    moved.set_ahead(604_801);
    let outcomes = send(&vendor, &push, &browsers(&vendor, 3), &moved.clock()).await;
    assert_eq!(outcomes, vec![Outcome::Transient(None); 3]);
    assert!(vendor.asked().is_empty());
}

#[tokio::test]
async fn a_credential_that_cannot_be_right_is_for_a_person_to_mend() {
    let vendor = Vendor::start(|_| taken()).await;
    let (clock, targets) = (Clock::system(), browsers(&vendor, 2));
    let push = a_live_push(&clock);
    let batch = Batch::new(Channel::Webpush, &push, &targets, &clock, Turns::freely());
    let right = credentials(&vendor.endpoint);
    for wrong in [
        WebpushCredentials { private_key: "no key".to_owned().into(), ..right.clone() },
        WebpushCredentials { subject: "somebody".to_owned(), ..right.clone() },
        WebpushCredentials { services: BTreeSet::new(), ..right },
    ] {
        let sender = Sender::new(testkit::shared(&vendor, &clock));
        assert_eq!(sender.send(&wrong, &batch).await, vec![Outcome::Config; 2]);
    }
    assert!(vendor.asked().is_empty());
}
