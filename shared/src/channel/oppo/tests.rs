use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base16ct::lower::encode_string;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::channel::Turns;
use crate::channel::testkit::{Asked, MovedClock, Reply, Vendor, a_live_push, shared, target, targets};
use crate::domain::{Channel, Push, Wording};
use crate::runtime::Clock;

const GRANT: &str = "/server/v1/auth";

fn credentials(vendor: &Vendor) -> OppoCredentials {
    serde_json::from_value(json!({"endpoint": vendor.endpoint, "app_key": "key", "master_secret": "secret"})).unwrap()
}

async fn send(sender: &Sender, vendor: &Vendor, push: &Push, targets: &[Target], clock: &Clock) -> Vec<Outcome> {
    let batch = Batch::new(Channel::Oppo, push, targets, clock, Turns::freely());
    sender.send(&credentials(vendor), &batch).await
}

async fn send_to(vendor: &Vendor, targets: &[Target]) -> Vec<Outcome> {
    let clock = Clock::system();
    send(&Sender::new(shared(vendor, &clock)), vendor, &a_live_push(&clock), targets, &clock).await
}

fn form(asked: &Asked) -> BTreeMap<String, String> {
    form_urlencoded::parse(&asked.body).into_owned().collect()
}

fn messages(asked: &Asked) -> Vec<Value> {
    serde_json::from_str(&form(asked)["messages"]).unwrap()
}

fn tokens(asked: &Asked) -> Vec<String> {
    messages(asked).iter().map(|message| message["target_value"].as_str().unwrap().to_owned()).collect()
}

/// Takes all, but for those that it has a code for.
fn taken(asked: &Asked, code: impl Fn(&str) -> Option<i64>) -> Reply {
    let one = |token: String| match code(&token) {
        Some(code) => json!({"registrationId": token, "errorCode": code}),
        None => json!({"messageId": "m", "registrationId": token}),
    };
    let data: Vec<Value> = tokens(asked).into_iter().map(one).collect();
    Reply::Answer(200, json!({"code": 0, "message": "Success", "data": data}).to_string())
}

fn refused(code: i64) -> Reply {
    Reply::Answer(200, json!({"code": code, "message": "no"}).to_string())
}

/// A vendor who grants t1, t2, … and answers messages by a script.
async fn vendor(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Vendor {
    let grants = AtomicUsize::new(0);
    Vendor::start(move |asked| match asked.path.as_str() {
        GRANT => {
            let token = format!("t{}", grants.fetch_add(1, Ordering::SeqCst) + 1);
            Reply::Answer(200, json!({"code": 0, "data": {"auth_token": token, "create_time": 1}}).to_string())
        }
        SEND => script(asked),
        _ => Reply::Answer(404, String::new()),
    })
    .await
}

fn sent(vendor: &Vendor) -> Vec<Asked> {
    vendor.asked().into_iter().filter(|asked| asked.path == SEND).collect()
}

fn grants(vendor: &Vendor) -> usize {
    vendor.asked_by_path().get(GRANT).copied().unwrap_or(0)
}

#[tokio::test]
async fn each_device_has_its_own_message_and_outcome() {
    let vendor = vendor(|asked| {
        taken(asked, |token| match token {
            "1" => Some(10_000),
            "2" => Some(10_001),
            _ => None,
        })
    })
    .await;
    let dead = Outcome::InvalidToken { doubtful: false, since: None };
    assert_eq!(send_to(&vendor, &targets(4)).await, [Outcome::Delivered, dead, Outcome::Suspended, Outcome::Delivered]);
    let sent = sent(&vendor);
    assert_eq!((sent.len(), grants(&vendor)), (1, 1));
    assert_eq!(sent[0].header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(form(&sent[0])["auth_token"], "t1");
    let messages = messages(&sent[0]);
    let ids: BTreeSet<_> = messages.iter().map(|message| message["notification"]["app_message_id"].as_str()).collect();
    assert_eq!(ids.len(), 4, "a message is not taken for a repetition of another device's");
}

#[tokio::test]
async fn the_wish_for_a_token_is_signed() {
    let vendor = vendor(|asked| taken(asked, |_| None)).await;
    let moved = MovedClock::new();
    moved.set_ahead(100_000);
    let clock = moved.clock();
    send(&Sender::new(shared(&vendor, &clock)), &vendor, &a_live_push(&clock), &targets(1), &clock).await;
    let form = form(vendor.asked().iter().find(|asked| asked.path == GRANT).unwrap());
    let age = clock.now().millis() - form["timestamp"].parse::<i64>().unwrap();
    assert!((0..60_000).contains(&age), "{age}");
    let digest = Sha256::digest(format!("key{}secret", form["timestamp"]));
    assert_eq!((form["app_key"].as_str(), form["sign"].as_str()), ("key", encode_string(&digest).as_str()));
}

#[tokio::test]
async fn a_token_lives_a_day_and_is_renewed_once_when_it_is_refused() {
    let refuses_the_second =
        |asked: &Asked| if form(asked)["auth_token"] == "t2" { refused(11) } else { taken(asked, |_| None) };
    let vendor = vendor(refuses_the_second).await;
    let moved = MovedClock::new();
    let clock = moved.clock();
    let (sender, push) = (Sender::new(shared(&vendor, &clock)), a_live_push(&clock));
    for (ahead, expected) in [(0, 1), (86_000, 1), (86_200, 3)] {
        moved.set_ahead(ahead);
        assert_eq!(send(&sender, &vendor, &push, &targets(2), &clock).await, vec![Outcome::Delivered; 2]);
        assert_eq!(grants(&vendor), expected, "{ahead} s");
    }
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_is_no_reason_for_a_third_try() {
    let vendor = vendor(|_| refused(11)).await;
    assert_eq!(send_to(&vendor, &targets(2)).await, vec![Outcome::Auth; 2]);
    assert_eq!((grants(&vendor), sent(&vendor).len()), (2, 2));
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    for (status, body, outcome) in [
        (200, r#"{"code":14,"message":"Invalid AppKey"}"#, Outcome::Config),
        (200, r#"{"code":-1,"message":"busy"}"#, Outcome::Transient(None)),
        (200, r#"{"code":13,"message":"too often"}"#, Outcome::Transient(None)),
        (200, r#"{"code":0,"data":{}}"#, Outcome::Transient(None)),
        (500, "", Outcome::Transient(None)),
        (200, "<html>", Outcome::Transient(None)),
    ] {
        let vendor = Vendor::start(move |_| Reply::Answer(status, body.to_owned())).await;
        assert_eq!(send_to(&vendor, &targets(3)).await, vec![outcome; 3], "{status} {body}");
        assert_eq!((grants(&vendor), sent(&vendor).len()), (1, 0));
    }
}

#[tokio::test]
async fn a_request_has_no_more_than_a_thousand_messages_and_one_wording() {
    let vendor = vendor(|asked| taken(asked, |_| None)).await;
    let mut targets = targets(2_030);
    targets[2_000..].iter_mut().for_each(|target| target.wording = Wording(1));
    let clock = Clock::system();
    let words = json!({"title": "T", "text": "all", "translations": [{"language": "zh", "text": "中文"}]});
    let push = Push { notification: serde_json::from_value(words).unwrap(), ..a_live_push(&clock) };
    let outcomes = send(&Sender::new(shared(&vendor, &clock)), &vendor, &push, &targets, &clock).await;
    assert_eq!(outcomes, vec![Outcome::Delivered; 2_030]);
    let (mut all, mut counts) = (BTreeSet::new(), Vec::new());
    for asked in sent(&vendor) {
        let messages = messages(&asked);
        counts.push(messages.len());
        let contents: BTreeSet<_> =
            messages.iter().map(|message| message["notification"]["content"].as_str().unwrap()).collect();
        assert_eq!(contents.len(), 1);
        all.extend(tokens(&asked));
    }
    counts.sort_unstable();
    assert_eq!((all.len(), counts), (2_030, vec![30, 1_000, 1_000]));
}

#[tokio::test]
async fn long_messages_are_fewer_a_request() {
    let vendor = vendor(|asked| taken(asked, |_| None)).await;
    let clock = Clock::system();
    let mut push = a_live_push(&clock);
    push.notification.as_mut().unwrap().ext = Some("字".repeat(3_900));
    let outcomes = send(&Sender::new(shared(&vendor, &clock)), &vendor, &push, &targets(40), &clock).await;
    assert_eq!(outcomes, vec![Outcome::Delivered; 40]);
    let sizes: Vec<usize> = sent(&vendor).iter().map(|asked| asked.body.len()).collect();
    assert!(sizes.len() > 1 && sizes.iter().all(|size| *size <= MAX_REQUEST_BYTES + 200), "{sizes:?}");
}

#[tokio::test]
async fn whatever_happens_every_device_has_one_outcome() {
    let vendor = vendor(|asked| match tokens(asked)[0].as_str() {
        "slow" => Reply::Late(Duration::from_millis(200), Box::new(taken(asked, |_| None))),
        "reset" => Reply::Reset(h2::Reason::CANCEL),
        "goaway" => Reply::GoAway(h2::Reason::NO_ERROR),
        "garbage" => Reply::Answer(200, "{\"code\":0,\"da".to_owned()),
        "page" => Reply::Answer(502, "<html>".to_owned()),
        "busy" => Reply::AnswerWith(429, ("retry-after", "9"), String::new()),
        "spent" => refused(33),
        _ => refused(28),
    })
    .await;
    let unknown = Outcome::Transient(None);
    for (first, expected) in [
        ("slow", Outcome::Delivered),
        ("reset", unknown.clone()),
        ("goaway", unknown.clone()),
        ("garbage", unknown.clone()),
        ("page", unknown),
        ("busy", Outcome::Throttled(Some(Duration::from_secs(9)))),
        ("spent", Outcome::QuotaUntilTomorrow),
        ("other", Outcome::Config),
    ] {
        assert_eq!(send_to(&vendor, &[target(first), target("b")]).await, vec![expected; 2], "{first}");
    }
}

#[tokio::test]
async fn nothing_leaves_after_the_deadline() {
    let vendor = vendor(|asked| taken(asked, |_| None)).await;
    let moved = MovedClock::new();
    let clock = moved.clock();
    let push = a_live_push(&clock);
    moved.set_ahead(604_801);
    let outcomes = send(&Sender::new(shared(&vendor, &clock)), &vendor, &push, &targets(2), &clock).await;
    assert_eq!((outcomes, sent(&vendor).len()), (vec![Outcome::Transient(None); 2], 0));
}

#[tokio::test]
async fn what_can_never_be_sent_is_not_tried() {
    let vendor = vendor(|asked| taken(asked, |_| None)).await;
    let clock = Clock::system();
    let mut push = a_live_push(&clock);
    push.notification.as_mut().unwrap().ext = Some("x".repeat(4_001));
    let sender = Sender::new(shared(&vendor, &clock));
    assert_eq!(send(&sender, &vendor, &push, &targets(2), &clock).await, vec![Outcome::Permanent; 2]);
    push.notification = None;
    assert_eq!(send(&sender, &vendor, &push, &targets(2), &clock).await, vec![Outcome::Permanent; 2]);
    assert_eq!(vendor.asked().len(), 0);
}

#[tokio::test]
async fn an_address_that_is_none_is_for_a_person_to_mend() {
    let vendor = vendor(|asked| taken(asked, |_| None)).await;
    let clock = Clock::system();
    let (sender, push, targets) = (Sender::new(shared(&vendor, &clock)), a_live_push(&clock), targets(2));
    let batch = Batch::new(Channel::Oppo, &push, &targets, &clock, Turns::freely());
    for endpoint in ["http://localhost:80", "nowhere", ""] {
        let credentials = OppoCredentials { endpoint: endpoint.to_owned(), ..credentials(&vendor) };
        assert_eq!(sender.send(&credentials, &batch).await, vec![Outcome::Config; 2], "{endpoint}");
    }
    assert_eq!(vendor.asked().len(), 0);
}
