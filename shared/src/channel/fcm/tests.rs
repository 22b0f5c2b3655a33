use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::{DecodingKey, Validation};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::*;
use crate::channel::Turns;
use crate::channel::testkit::{self, Asked, MovedClock, Reply, Vendor, a_live_push, target, targets};
use crate::domain::{Channel, Push, ServiceAccount};

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());

const TEST_SETTINGS: Settings = Settings { request_timeout: Duration::from_secs(10), ..SETTINGS };

fn credentials(vendor: &Vendor) -> FcmCredentials {
    FcmCredentials {
        endpoint: vendor.endpoint.clone(),
        service_account: ServiceAccount {
            project_id: "fanfare-local".to_owned(),
            client_email: "push@fanfare-local.example".to_owned(),
            private_key: KEY.serialize_pem().into(),
            token_uri: format!("{}/token", vendor.endpoint),
        },
        rate: None,
    }
}

fn sender(vendor: &Vendor, clock: &Clock) -> Sender {
    Sender::with_settings(vendor.tls(), clock.clone(), TEST_SETTINGS)
}

async fn send(sender: &Sender, vendor: &Vendor, push: &Push, targets: &[Target], clock: &Clock) -> Vec<Outcome> {
    let batch = Batch::new(Channel::Fcm, push, targets, clock, Turns::freely());
    sender.send(&credentials(vendor), &batch).await
}

async fn send_to(vendor: &Vendor, targets: &[Target]) -> Vec<Outcome> {
    let clock = Clock::system();
    send(&sender(vendor, &clock), vendor, &a_live_push(&clock), targets, &clock).await
}

fn granted(n: usize) -> Reply {
    Reply::Answer(200, json!({ "access_token": format!("t{n}"), "expires_in": 3_599 }).to_string())
}

fn taken() -> Reply {
    Reply::Answer(200, json!({ "name": "projects/fanfare-local/messages/1" }).to_string())
}

fn error(http: u16, status: &str, code: &str) -> Reply {
    let detail = json!({ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code });
    Reply::Answer(http, json!({ "error": { "status": status, "message": "", "details": [detail] } }).to_string())
}

/// A vendor who grants t1, t2, … and answers messages by a script.
async fn vendor(messages: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Vendor {
    let grants = AtomicUsize::new(0);
    Vendor::start(move |asked| match asked.path.as_str() {
        // While it takes its time the whole crowd is waiting.
        "/token" => {
            let n = grants.fetch_add(1, Ordering::SeqCst) + 1;
            Reply::Late(Duration::from_millis(30), Box::new(granted(n)))
        }
        _ => messages(asked),
    })
    .await
}

fn token_of(asked: &Asked) -> String {
    testkit::json(&asked.body)["message"]["token"].as_str().unwrap().to_owned()
}

fn grants(vendor: &Vendor) -> usize {
    vendor.asked_by_path().get("/token").copied().unwrap_or(0)
}

fn messages(vendor: &Vendor) -> Vec<Asked> {
    vendor.asked().into_iter().filter(|asked| asked.path != "/token").collect()
}

#[tokio::test]
async fn fifty_messages_at_once_ask_for_one_token() {
    let vendor = vendor(|_| taken()).await;
    assert_eq!(send_to(&vendor, &targets(50)).await, vec![Outcome::Delivered; 50]);
    assert_eq!(grants(&vendor), 1);
    let messages = messages(&vendor);
    assert_eq!(messages.len(), 50);
    assert_eq!(messages[0].path, "/v1/projects/fanfare-local/messages:send");
    assert_eq!(messages[0].header("authorization"), "Bearer t1");
    assert_eq!(messages[0].header("content-type"), "application/json");
}

#[tokio::test]
async fn the_wish_for_a_token_is_signed_by_the_account() {
    let vendor = vendor(|_| taken()).await;
    send_to(&vendor, &targets(1)).await;
    let grant = vendor.asked().into_iter().find(|asked| asked.path == "/token").unwrap();
    assert_eq!(grant.header("content-type"), "application/x-www-form-urlencoded");
    let form = String::from_utf8(grant.body.to_vec()).unwrap();
    let (_, assertion) = form.split_once("&assertion=").unwrap();
    let mut validation = Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.set_audience(&[format!("{}/token", vendor.endpoint)]);
    validation.set_issuer(&["push@fanfare-local.example"]);
    let key = DecodingKey::from_rsa_pem(KEY.public_key_pem().as_bytes()).unwrap();
    let claims = jsonwebtoken::decode::<Value>(assertion, &key, &validation).unwrap().claims;
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/firebase.messaging");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3_600);
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_and_not_earlier() {
    let vendor = vendor(|_| taken()).await;
    let moved = MovedClock::new();
    let clock = moved.clock();
    let (sender, push) = (sender(&vendor, &clock), a_live_push(&clock));
    for (ahead, expected) in [(0, 1), (3_200, 1), (3_400, 2)] {
        moved.set_ahead(ahead);
        assert_eq!(send(&sender, &vendor, &push, &targets(2), &clock).await, vec![Outcome::Delivered; 2]);
        assert_eq!(grants(&vendor), expected, "{ahead} s");
    }
}

#[tokio::test]
async fn a_token_that_fails_is_renewed_once_however_many_it_failed_for() {
    let vendor = vendor(|asked| match asked.header("authorization") {
        "Bearer t1" => error(401, "UNAUTHENTICATED", "UNAUTHENTICATED"),
        _ => taken(),
    })
    .await;
    assert_eq!(send_to(&vendor, &targets(50)).await, vec![Outcome::Delivered; 50]);
    assert_eq!((grants(&vendor), messages(&vendor).len()), (2, 100));
}

#[tokio::test]
async fn a_new_token_that_fails_too_is_no_reason_for_a_third_try() {
    let vendor = vendor(|_| error(401, "UNAUTHENTICATED", "")).await;
    assert_eq!(send_to(&vendor, &targets(1)).await, [Outcome::Auth]);
    assert_eq!((grants(&vendor), messages(&vendor).len()), (2, 2));
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let refusals = [
        (
            Reply::Answer as fn(u16, String) -> Reply,
            400,
            r#"{"error":"invalid_grant"}"#,
            Outcome::Config,
            "400 invalid_grant",
        ),
        (Reply::Answer, 500, "", Outcome::Transient(None), "500 ?"),
        (Reply::Answer, 200, "<html>", Outcome::Transient(None), "200 ?"),
        (|_, _| Reply::Reset(h2::Reason::INTERNAL_ERROR), 0, "", Outcome::Transient(None), "no answer"),
    ];
    for (reply, status, body, outcome, why) in refusals {
        let vendor =
            Vendor::start(move |_| Reply::Late(Duration::from_millis(30), Box::new(reply(status, body.to_owned()))))
                .await;
        let (clock, targets) = (Clock::system(), targets(20));
        let push = a_live_push(&clock);
        let batch = Batch::new(Channel::Fcm, &push, &targets, &clock, Turns::freely());
        let outcomes = sender(&vendor, &clock).send(&credentials(&vendor), &batch).await;
        assert_eq!(outcomes, vec![outcome; 20], "{status} {body}");
        assert_eq!(batch.complaint.first(), Some(format!("no access token: {why}")));
        assert_eq!((grants(&vendor), messages(&vendor).len()), (1, 0));
    }
}

#[tokio::test]
async fn every_target_has_its_own_outcome_in_its_place() {
    let vendor = vendor(|asked| match token_of(asked).as_str() {
        "1" => error(404, "NOT_FOUND", "UNREGISTERED"),
        "2" => Reply::Answer(404, r#"{"error":{"status":"NOT_FOUND"}}"#.to_owned()),
        "3" => error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
        "4" => error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
        "5" => Reply::AnswerWith(
            429,
            ("retry-after", "90"),
            r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"errorCode":"QUOTA_EXCEEDED"}]}}"#.to_owned(),
        ),
        "6" => Reply::AnswerWith(503, ("retry-after", "5"), r#"{"error":{"status":"UNAVAILABLE"}}"#.to_owned()),
        "7" => error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
        "8" => Reply::Answer(200, "<html>".to_owned()),
        "9" => error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        "10" => Reply::Reset(h2::Reason::CANCEL),
        _ => taken(),
    })
    .await;
    let secs = |secs| Some(Duration::from_secs(secs));
    assert_eq!(
        send_to(&vendor, &targets(12)).await,
        [
            Outcome::Delivered,
            Outcome::InvalidToken { since: None, doubtful: false },
            Outcome::Config,
            Outcome::InvalidToken { since: None, doubtful: true },
            Outcome::Throttled(secs(60)),
            Outcome::Throttled(secs(90)),
            Outcome::Transient(secs(5)),
            Outcome::Config,
            Outcome::Delivered,
            Outcome::Permanent,
            Outcome::Transient(None),
            Outcome::Delivered,
        ]
    );
    assert_eq!((grants(&vendor), messages(&vendor).len()), (1, 12));
}

#[tokio::test]
async fn a_message_lives_no_longer_than_its_push() {
    let vendor = vendor(|_| taken()).await;
    let moved = MovedClock::new();
    let clock = moved.clock();
    let push = a_live_push(&clock);
    moved.set_ahead(604_000);
    send(&sender(&vendor, &clock), &vendor, &push, &[target("a")], &clock).await;
    let ttl = testkit::json(&messages(&vendor)[0].body)["message"]["android"]["ttl"].as_str().unwrap().to_owned();
    let secs: i64 = ttl.strip_suffix('s').unwrap().parse().unwrap();
    assert!((1..=800).contains(&secs), "{ttl}");
    moved.set_ahead(604_801);
    let late = send(&sender(&vendor, &clock), &vendor, &push, &[target("b")], &clock).await;
    assert_eq!((late, messages(&vendor).len()), (vec![Outcome::Transient(None)], 1));
}

#[tokio::test]
async fn settings_that_cannot_work_are_for_a_person_to_mend() {
    let vendor = vendor(|_| taken()).await;
    let clock = Clock::system();
    let (sender, push, targets) = (sender(&vendor, &clock), a_live_push(&clock), targets(2));
    let batch = Batch::new(Channel::Fcm, &push, &targets, &clock, Turns::freely());
    let changes: [fn(&mut FcmCredentials); 4] = [
        |credentials| credentials.endpoint = "http://localhost:80".to_owned(),
        |credentials| credentials.service_account.project_id = "../other".to_owned(),
        |credentials| credentials.service_account.private_key = "no key".to_owned().into(),
        |credentials| credentials.service_account.token_uri = "http://localhost/token".to_owned(),
    ];
    for change in changes {
        let mut credentials = credentials(&vendor);
        change(&mut credentials);
        assert_eq!(sender.send(&credentials, &batch).await, vec![Outcome::Config; 2]);
    }
    assert_eq!(vendor.asked().len(), 0);
}

#[tokio::test]
async fn a_turn_is_asked_for_when_there_is_an_access_token() {
    let vendor = vendor(|_| taken()).await;
    let (clock, targets, (turns, asked)) = (Clock::system(), targets(3), testkit::no_turns());
    let (push, sender) = (a_live_push(&clock), sender(&vendor, &clock));
    let batch = Batch::new(Channel::Fcm, &push, &targets, &clock, turns);
    let (credentials, grants) = (credentials(&vendor), async {
        let _waits = asked.await.unwrap();
        grants(&vendor)
    });
    let (outcomes, grants) = futures::join!(sender.send(&credentials, &batch), grants);
    assert_eq!((outcomes, grants), (vec![Outcome::Unsent; 3], 1));
}

#[tokio::test]
async fn without_an_access_token_no_turn_is_asked_for() {
    let vendor = Vendor::start(|_| Reply::Answer(400, json!({"error": "invalid_grant"}).to_string())).await;
    let (clock, targets, (turns, asked)) = (Clock::system(), targets(3), testkit::no_turns());
    let (push, sender) = (a_live_push(&clock), sender(&vendor, &clock));
    let batch = Batch::new(Channel::Fcm, &push, &targets, &clock, turns);
    let credentials = credentials(&vendor);
    tokio::select! {
        outcomes = sender.send(&credentials, &batch) => assert_eq!(outcomes, vec![Outcome::Config; 3]),
        Ok(_) = asked => panic!("a turn is asked for"),
    }
}
