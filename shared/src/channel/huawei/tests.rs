use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use serde_json::{Value, json};

use super::*;
use crate::channel::Turns;
use crate::channel::testkit::{self, Asked, MovedClock, Reply, Vendor, a_live_push, a_rich_push, shared, targets};
use crate::domain::{Push, Wording};
use crate::runtime::Clock;

fn credentials(vendor: &Vendor) -> HuaweiCredentials {
    serde_json::from_value(json!({
        "endpoint": vendor.endpoint, "token_uri": format!("{}/token", vendor.endpoint),
        "app_id": "101", "client_secret": "a&b",
    }))
    .unwrap()
}

async fn send(sender: &Sender, vendor: &Vendor, push: &Push, targets: &[Target], clock: &Clock) -> Vec<Outcome> {
    let batch = Batch::new(Channel::Huawei, push, targets, clock, Turns::freely());
    sender.send(&credentials(vendor), &batch).await
}

async fn send_to(vendor: &Vendor, targets: &[Target]) -> Vec<Outcome> {
    let clock = Clock::system();
    send(&Sender::new(shared(vendor, &clock)), vendor, &a_live_push(&clock), targets, &clock).await
}

/// A vendor who grants t1, t2, … and answers messages by a script.
async fn vendor(messages: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Vendor {
    let grants = AtomicUsize::new(0);
    Vendor::start(move |asked| match asked.path.as_str() {
        // While it takes its time everybody is waiting.
        "/token" => {
            let n = grants.fetch_add(1, Ordering::SeqCst) + 1;
            let granted = json!({ "access_token": format!("t{n}"), "expires_in": 3_600 }).to_string();
            Reply::Late(Duration::from_millis(30), Box::new(Reply::Answer(200, granted)))
        }
        _ => messages(asked),
    })
    .await
}

fn told(code: &str, msg: &str) -> Reply {
    Reply::Answer(200, json!({ "code": code, "msg": msg, "requestId": "1" }).to_string())
}

fn taken() -> Reply {
    told("80000000", "Success")
}

fn tokens_of(asked: &Asked) -> Vec<String> {
    serde_json::from_value(testkit::json(&asked.body)["message"]["token"].clone()).unwrap()
}

fn grants(vendor: &Vendor) -> usize {
    vendor.asked_by_path().get("/token").copied().unwrap_or(0)
}

fn messages(vendor: &Vendor) -> Vec<Asked> {
    vendor.asked().into_iter().filter(|asked| asked.path != "/token").collect()
}

const DEAD: Outcome = Outcome::InvalidToken { doubtful: false, since: None };

#[tokio::test]
async fn a_thousand_devices_are_one_request_and_all_ask_for_one_token() {
    let vendor = vendor(|_| taken()).await;
    assert_eq!(send_to(&vendor, &targets(2_500)).await, vec![Outcome::Delivered; 2_500]);
    let mut sizes: Vec<usize> = messages(&vendor).iter().map(|asked| tokens_of(asked).len()).collect();
    sizes.sort_unstable();
    assert_eq!((grants(&vendor), sizes), (1, vec![500, 1_000, 1_000]));
    let asked = &messages(&vendor)[0];
    assert_eq!(asked.path, "/v1/101/messages:send");
    assert_eq!(asked.header("authorization"), "Bearer t1");
    assert_eq!(asked.header("content-type"), "application/json");
    let grant = vendor.asked().into_iter().find(|asked| asked.path == "/token").unwrap();
    assert_eq!(grant.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(grant.body, "grant_type=client_credentials&client_id=101&client_secret=a%26b");
}

#[tokio::test]
async fn the_tokens_that_failed_are_told_from_the_rest_of_their_request_and_of_all_others() {
    let vendor = vendor(|asked| {
        let tokens = tokens_of(asked);
        let dead: Vec<_> = tokens.iter().filter(|token| token.ends_with('7')).collect();
        let partial = json!({ "success": 1, "failure": dead.len(), "illegal_tokens": dead });
        told("80100000", &partial.to_string())
    })
    .await;
    let outcomes = send_to(&vendor, &targets(1_500)).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        assert_eq!(*outcome, if n % 10 == 7 { DEAD } else { Outcome::Delivered }, "{n}");
    }
    assert_eq!(outcomes.len(), 1_500);
}

#[tokio::test]
async fn each_wording_goes_to_those_who_read_it() {
    let vendor = vendor(|_| taken()).await;
    let clock = Clock::system();
    let push = Push { accepted_at: clock.now(), ..a_rich_push() };
    let mut targets = targets(30);
    targets.iter_mut().enumerate().for_each(|(n, target)| target.wording = Wording(n as u8 % 3));
    let sender = Sender::new(shared(&vendor, &clock));
    assert_eq!(send(&sender, &vendor, &push, &targets, &clock).await, vec![Outcome::Delivered; 30]);
    let mut seen = Vec::new();
    for asked in messages(&vendor) {
        let text = testkit::json(&asked.body)["message"]["android"]["notification"]["body"].clone();
        for token in tokens_of(&asked) {
            seen.push((token.parse::<u32>().unwrap() % 3, text.as_str().unwrap().to_owned()));
        }
    }
    seen.sort();
    seen.dedup();
    let expected = [(0, "You are invited"), (1, "你被邀请了"), (2, "Eingeladen")];
    assert_eq!(seen, expected.map(|(wording, text)| (wording, text.to_owned())));
}

#[tokio::test]
async fn a_token_that_fails_is_renewed_once_however_many_it_failed_for() {
    for refusal in [|| told("80200003", "expired"), || Reply::Answer(401, String::new())] {
        let vendor = vendor(move |asked| match asked.header("authorization") {
            "Bearer t1" => refusal(),
            _ => taken(),
        })
        .await;
        assert_eq!(send_to(&vendor, &targets(3_000)).await, vec![Outcome::Delivered; 3_000]);
        assert_eq!((grants(&vendor), messages(&vendor).len()), (2, 6));
    }
}

#[tokio::test]
async fn a_new_token_that_fails_too_is_no_reason_for_a_third_try() {
    let vendor = vendor(|_| told("80200001", "")).await;
    assert_eq!(send_to(&vendor, &targets(2)).await, vec![Outcome::Auth; 2]);
    assert_eq!((grants(&vendor), messages(&vendor).len()), (2, 2));
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_and_not_earlier() {
    let vendor = vendor(|_| taken()).await;
    let moved = MovedClock::new();
    let clock = moved.clock();
    let (sender, push) = (Sender::new(shared(&vendor, &clock)), a_live_push(&clock));
    for (ahead, expected) in [(0, 1), (3_200, 1), (3_400, 2)] {
        moved.set_ahead(ahead);
        assert_eq!(send(&sender, &vendor, &push, &targets(2), &clock).await, vec![Outcome::Delivered; 2]);
        assert_eq!(grants(&vendor), expected, "{ahead} s");
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    for (status, body, outcome, why) in [
        (400, r#"{"error":1101,"error_description":"invalid client"}"#, Outcome::Config, "400 1101"),
        (400, r#"{"error":"invalid_client"}"#, Outcome::Config, "400 invalid_client"),
        (401, "", Outcome::Config, "401 ?"),
        (500, "", Outcome::Transient(None), "500 ?"),
        (200, "<html>", Outcome::Transient(None), "200 ?"),
    ] {
        let vendor = Vendor::start(move |_| Reply::Answer(status, body.to_owned())).await;
        let outcomes = send_and_complain(&vendor, &credentials(&vendor), &targets(20)).await;
        assert_eq!(outcomes, (vec![outcome; 20], Some(format!("no access token: {why}"))), "{status} {body}");
        assert_eq!((grants(&vendor), messages(&vendor).len()), (1, 0));
    }
}

#[tokio::test]
async fn who_was_not_asked_did_not_fail_to_answer() {
    let vendor = vendor(|_| taken()).await;
    let (plain, right) = ("http://127.0.0.1:1".to_owned(), credentials(&vendor));
    let silent = format!("{}/token", plain.replace("http", "https"));
    for (endpoint, token_uri, outcome, why) in [
        (&plain, &right.token_uri, Outcome::Config, "the endpoint cannot be used"),
        (&String::new(), &right.token_uri, Outcome::Config, "the endpoint cannot be used"),
        (&right.endpoint, &plain, Outcome::Config, "no access token: the endpoint cannot be used"),
        (&right.endpoint, &silent, Outcome::Transient(None), "no access token: no answer"),
    ] {
        let (endpoint, token_uri) = (endpoint.clone(), token_uri.clone());
        let wrong = HuaweiCredentials { endpoint, token_uri, ..right.clone() };
        let outcomes = send_and_complain(&vendor, &wrong, &targets(2)).await;
        assert_eq!(outcomes, (vec![outcome; 2], Some(why.to_owned())));
    }
}

/// What came of it, and what is said of it.
async fn send_and_complain(
    vendor: &Vendor,
    credentials: &HuaweiCredentials,
    targets: &[Target],
) -> (Vec<Outcome>, Option<String>) {
    let clock = Clock::system();
    let push = a_live_push(&clock);
    let batch = Batch::new(Channel::Huawei, &push, targets, &clock, Turns::freely());
    let outcomes = Sender::new(shared(vendor, &clock)).send(credentials, &batch).await;
    (outcomes, batch.complaint.first())
}

#[tokio::test]
async fn whatever_the_vendor_does_each_device_has_one_outcome() {
    let wait = Some(Duration::from_secs(9));
    let cases: [(fn() -> Reply, Outcome); 8] = [
        (|| Reply::Answer(200, r#"{"code":"8000"#.to_owned()), Outcome::Transient(None)),
        (|| Reply::Answer(200, String::new()), Outcome::Transient(None)),
        (|| Reply::Answer(200, "x".repeat(1024 * 1024 + 1)), Outcome::Transient(None)),
        (|| Reply::Reset(Reason::CANCEL), Outcome::Transient(None)),
        (|| Reply::GoAway(Reason::INTERNAL_ERROR), Outcome::Transient(None)),
        (|| Reply::AnswerWith(503, ("retry-after", "9"), String::new()), Outcome::Throttled(wait)),
        (|| told("80300007", ""), Outcome::InvalidToken { doubtful: true, since: None }),
        (|| Reply::Late(Duration::from_millis(200), Box::new(taken())), Outcome::Delivered),
    ];
    for (n, (reply, outcome)) in cases.into_iter().enumerate() {
        // The others are none the worse for it.
        let vendor =
            vendor(move |asked| if tokens_of(asked).contains(&"0".to_owned()) { reply() } else { taken() }).await;
        let outcomes = send_to(&vendor, &targets(1_001)).await;
        assert_eq!(outcomes[..1_000], vec![outcome; 1_000], "case {n}");
        let last_is_fine = matches!(outcomes[1_000], Outcome::Delivered | Outcome::Transient(None));
        assert!(last_is_fine && outcomes.len() == 1_001, "case {n}: {:?}", outcomes[1_000]);
    }
}

#[tokio::test]
async fn nothing_leaves_after_the_deadline() {
    let vendor = vendor(|_| taken()).await;
    let moved = MovedClock::new();
    let clock = moved.clock();
    let (sender, push) = (Sender::new(shared(&vendor, &clock)), a_live_push(&clock));
    moved.set_ahead(604_000);
    send(&sender, &vendor, &push, &targets(1), &clock).await;
    let ttl: Value = testkit::json(&messages(&vendor)[0].body)["message"]["android"]["ttl"].clone();
    let secs: i64 = ttl.as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap();
    assert!((1..=800).contains(&secs), "{ttl}");
    moved.set_ahead(604_801);
    let late = send(&sender, &vendor, &push, &targets(1), &clock).await;
    assert_eq!((late, messages(&vendor).len()), (vec![Outcome::Transient(None)], 1));
}

#[tokio::test]
async fn settings_that_cannot_work_are_for_a_person_to_mend() {
    let vendor = vendor(|_| taken()).await;
    let clock = Clock::system();
    let (push, targets) = (a_live_push(&clock), targets(2));
    let batch = Batch::new(Channel::Huawei, &push, &targets, &clock, Turns::freely());
    let changes: [fn(&mut HuaweiCredentials); 5] = [
        |credentials| credentials.app_id = "../other".to_owned(),
        |credentials| credentials.app_id = String::new(),
        |credentials| credentials.token_uri = "http://localhost/token".to_owned(),
        |credentials| credentials.token_uri = "no address".to_owned(),
        |credentials| credentials.endpoint = "http://localhost:80".to_owned(),
    ];
    for change in changes {
        let mut credentials = credentials(&vendor);
        change(&mut credentials);
        let sender = Sender::new(shared(&vendor, &clock));
        assert_eq!(sender.send(&credentials, &batch).await, vec![Outcome::Config; 2]);
    }
    assert_eq!(messages(&vendor).len(), 0);
}

#[tokio::test]
async fn a_turn_is_asked_for_when_there_is_an_access_token() {
    let vendor = vendor(|_| taken()).await;
    let (clock, targets, (turns, asked)) = (Clock::system(), targets(3), testkit::no_turns());
    let (push, sender) = (a_live_push(&clock), Sender::new(shared(&vendor, &clock)));
    let batch = Batch::new(Channel::Huawei, &push, &targets, &clock, turns);
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
    let (push, sender) = (a_live_push(&clock), Sender::new(shared(&vendor, &clock)));
    let batch = Batch::new(Channel::Huawei, &push, &targets, &clock, turns);
    let credentials = credentials(&vendor);
    tokio::select! {
        outcomes = sender.send(&credentials, &batch) => assert_eq!(outcomes, vec![Outcome::Config; 3]),
        Ok(_) = asked => panic!("a turn is asked for"),
    }
}
