use std::collections::BTreeSet;
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base16ct::lower::encode_string;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::channel::testkit::{
    self, Asked, MovedClock, Reply, Vendor, a_live_push, a_rich_push, shared, target, targets,
};
use crate::channel::{RateUnit, Turns, Window};
use crate::domain::{Channel, Push, Wording};
use crate::runtime::Clock;

const GRANT: &str = "/message/auth";

fn credentials(vendor: &Vendor) -> VivoCredentials {
    let credentials = json!({"endpoint": vendor.endpoint, "app_id": "10004", "app_key": "key", "app_secret": "secret"});
    serde_json::from_value(credentials).unwrap()
}

async fn send(sender: &Sender, vendor: &Vendor, push: &Push, targets: &[Target], clock: &Clock) -> Vec<Outcome> {
    let batch = Batch::new(Channel::Vivo, push, targets, clock, Turns::freely());
    sender.send(&credentials(vendor), &batch).await
}

async fn send_to(vendor: &Vendor, targets: &[Target]) -> Vec<Outcome> {
    let clock = Clock::system();
    send(&Sender::new(shared(vendor, &clock)), vendor, &a_live_push(&clock), targets, &clock).await
}

fn answer(body: Value) -> Reply {
    Reply::Answer(200, body.to_string())
}

fn refused(result: i64) -> Reply {
    answer(json!({"result": result, "desc": "no"}))
}

/// Takes everything.
fn taken(asked: &Asked) -> Reply {
    match asked.path.as_str() {
        SAVE => answer(json!({"result": 0, "desc": "", "taskId": format!("task-{}", asked.number)})),
        _ => answer(json!({"result": 0, "desc": ""})),
    }
}

/// A vendor who grants t1, t2, … and answers what comes with one by a script.
async fn vendor(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Vendor {
    let grants = AtomicUsize::new(0);
    Vendor::start(move |asked| match asked.path.as_str() {
        GRANT => {
            let token = format!("t{}", grants.fetch_add(1, Ordering::SeqCst) + 1);
            answer(json!({"result": 0, "desc": "", "authToken": token}))
        }
        SEND | SAVE | SEND_TO_LIST => script(asked),
        _ => Reply::Answer(404, String::new()),
    })
    .await
}

fn asked(vendor: &Vendor, path: &str) -> Vec<Asked> {
    vendor.asked().into_iter().filter(|asked| asked.path == path).collect()
}

fn counts(vendor: &Vendor) -> [usize; 4] {
    [GRANT, SEND, SAVE, SEND_TO_LIST].map(|path| asked(vendor, path).len())
}

#[tokio::test]
async fn one_device_is_sent_to_by_itself() {
    let vendor = vendor(taken).await;
    assert_eq!(send_to(&vendor, &targets(1)).await, [Outcome::Delivered]);
    assert_eq!(counts(&vendor), [1, 1, 0, 0]);
    let sent = &asked(&vendor, SEND)[0];
    assert_eq!((sent.header("authtoken"), sent.header("content-type")), ("t1", "application/json"));
    let body = testkit::json(&sent.body);
    assert_eq!((&body["regId"], &body["appId"]), (&json!("0"), &json!(10_004)));
}

#[tokio::test]
async fn several_are_sent_a_message_that_was_saved() {
    let vendor = vendor(|asked| match asked.path.as_str() {
        SEND_TO_LIST => answer(json!({"result": 0, "invalidUsers": [{"userid": "1", "status": 2}]})),
        _ => taken(asked),
    })
    .await;
    let dead = Outcome::InvalidToken { doubtful: false, since: None };
    assert_eq!(send_to(&vendor, &targets(3)).await, [Outcome::Delivered, dead, Outcome::Delivered]);
    assert_eq!(counts(&vendor), [1, 0, 1, 1]);
    let (saved, sent) = (&asked(&vendor, SAVE)[0], &asked(&vendor, SEND_TO_LIST)[0]);
    assert_eq!(testkit::json(&saved.body)["content"], "You are invited");
    let sent = testkit::json(&sent.body);
    assert_eq!(sent["taskId"], format!("task-{}", saved.number));
    assert_eq!(sent["regIds"], json!(["0", "1", "2"]));
}

#[tokio::test]
async fn a_list_has_no_more_than_a_thousand_and_one_wording_saved_once_and_a_single_rest_goes_by_itself() {
    let vendor = vendor(taken).await;
    let mut targets = targets(2_003);
    targets[2_001..].iter_mut().for_each(|target| target.wording = Wording(1));
    let clock = Clock::system();
    let push = Push { notification: a_rich_push().notification, ..a_live_push(&clock) };
    let outcomes = send(&Sender::new(shared(&vendor, &clock)), &vendor, &push, &targets, &clock).await;
    assert_eq!(outcomes, vec![Outcome::Delivered; 2_003]);
    assert_eq!(counts(&vendor), [1, 1, 2, 3]);
    let lists: BTreeSet<usize> = asked(&vendor, SEND_TO_LIST)
        .iter()
        .map(|asked| testkit::json(&asked.body)["regIds"].as_array().unwrap().len())
        .collect();
    assert_eq!(lists, BTreeSet::from([2, 1_000]));
    let texts: BTreeSet<String> = asked(&vendor, SAVE)
        .iter()
        .map(|asked| testkit::json(&asked.body)["content"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts, BTreeSet::from(["You are invited".to_owned(), "你被邀请了".to_owned()]));
}

#[tokio::test]
async fn the_wish_for_a_token_is_signed() {
    let vendor = vendor(taken).await;
    let moved = MovedClock::new();
    moved.set_ahead(100_000);
    let clock = moved.clock();
    send(&Sender::new(shared(&vendor, &clock)), &vendor, &a_live_push(&clock), &targets(1), &clock).await;
    let wish = testkit::json(&asked(&vendor, GRANT)[0].body);
    let timestamp = wish["timestamp"].as_i64().unwrap();
    assert!((0..60_000).contains(&(clock.now().millis() - timestamp)));
    let sign = encode_string(&Md5::digest(format!("10004key{timestamp}secret")));
    assert_eq!(wish, json!({"appId": 10_004, "appKey": "key", "timestamp": timestamp, "sign": sign}));
}

#[tokio::test]
async fn a_token_lives_a_day_and_is_renewed_once_when_it_is_refused() {
    let vendor = vendor(|asked| match (asked.path.as_str(), asked.header("authtoken")) {
        (SEND_TO_LIST, "t2") => refused(10_000),
        _ => taken(asked),
    })
    .await;
    let moved = MovedClock::new();
    let clock = moved.clock();
    let (sender, push) = (Sender::new(shared(&vendor, &clock)), a_live_push(&clock));
    for (ahead, expected) in [(0, 1), (86_000, 1), (86_200, 3)] {
        moved.set_ahead(ahead);
        assert_eq!(send(&sender, &vendor, &push, &targets(2), &clock).await, vec![Outcome::Delivered; 2]);
        assert_eq!(counts(&vendor)[0], expected, "{ahead} s");
    }
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_is_no_reason_for_a_third_try() {
    let vendor = vendor(|_| refused(10_000)).await;
    assert_eq!(send_to(&vendor, &targets(2)).await, vec![Outcome::Auth; 2]);
    assert_eq!(counts(&vendor), [2, 0, 2, 0]);
}

#[tokio::test]
async fn a_token_that_saves_messages_and_sends_none_is_not_renewed_for_ever() {
    let vendor = vendor(|asked| if asked.path == SEND_TO_LIST { refused(10_000) } else { taken(asked) }).await;
    let (clock, targets) = (Clock::system(), targets(3));
    let (push, sender, credentials) = (a_live_push(&clock), Sender::new(shared(&vendor, &clock)), credentials(&vendor));
    for expected in [Outcome::Unsent, Outcome::Auth] {
        let (start, length) = (Instant::now(), Duration::from_secs(5));
        let window = Window { start: start + Duration::from_millis(500), length, units: 3, end: start + length };
        let turns = Turns::new(ready(Some(window)), RateUnit::Devices, MAX_LIST);
        let batch = Batch::new(Channel::Vivo, &push, &targets, &clock, turns);
        assert_eq!(sender.send(&credentials, &batch).await, vec![expected; 3], "of one turn");
    }
    assert_eq!(counts(&vendor), [2, 0, 2, 2]);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    for (status, body, outcome) in [
        (200, r#"{"result":10003,"desc":"sign"}"#, Outcome::Config),
        (200, r#"{"result":10072,"desc":"too often"}"#, Outcome::Transient(None)),
        (200, r#"{"result":0,"desc":""}"#, Outcome::Transient(None)),
        (500, "", Outcome::Transient(None)),
        (200, "<html>", Outcome::Transient(None)),
    ] {
        let vendor = Vendor::start(move |_| Reply::Answer(status, body.to_owned())).await;
        assert_eq!(send_to(&vendor, &targets(3)).await, vec![outcome; 3], "{status} {body}");
        assert_eq!(counts(&vendor), [1, 0, 0, 0]);
    }
}

#[tokio::test]
async fn what_was_not_saved_is_not_sent() {
    for (reply, expected) in [
        (r#"{"result":10094}"#, Outcome::Permanent),
        (r#"{"result":10070}"#, Outcome::QuotaUntilTomorrow),
        (r#"{"result":0,"desc":"no task"}"#, Outcome::Transient(None)),
        ("{", Outcome::Transient(None)),
    ] {
        let vendor = vendor(move |_| Reply::Answer(200, reply.to_owned())).await;
        assert_eq!(send_to(&vendor, &targets(2)).await, vec![expected; 2], "{reply}");
        assert_eq!(counts(&vendor), [1, 0, 1, 0]);
    }
}

#[tokio::test]
async fn whatever_happens_every_device_has_one_outcome() {
    let vendor = vendor(|asked| {
        let body = testkit::json(&asked.body);
        let first = match asked.path.as_str() {
            SAVE => return taken(asked),
            SEND => body["regId"].clone(),
            _ => body["regIds"][0].clone(),
        };
        match first.as_str().unwrap() {
            "slow" => Reply::Late(Duration::from_millis(200), Box::new(taken(asked))),
            "reset" => Reply::Reset(h2::Reason::CANCEL),
            "goaway" => Reply::GoAway(h2::Reason::NO_ERROR),
            "garbage" => Reply::Answer(200, "{\"result\":0,\"in".to_owned()),
            "page" => Reply::Answer(502, "<html>".to_owned()),
            "busy" => Reply::AnswerWith(429, ("retry-after", "9"), String::new()),
            "spent" => refused(10_254),
            _ => refused(10_097),
        }
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
        ("other", Outcome::Permanent),
    ] {
        assert_eq!(send_to(&vendor, &[target(first)]).await, vec![expected.clone()], "{first}");
        assert_eq!(send_to(&vendor, &[target(first), target("b")]).await, vec![expected; 2], "{first}");
    }
}

#[tokio::test]
async fn nothing_leaves_after_the_deadline() {
    let vendor = vendor(taken).await;
    let moved = MovedClock::new();
    let clock = moved.clock();
    let push = a_live_push(&clock);
    moved.set_ahead(604_801);
    let outcomes = send(&Sender::new(shared(&vendor, &clock)), &vendor, &push, &targets(2), &clock).await;
    assert_eq!(outcomes, vec![Outcome::Transient(None); 2]);
    assert_eq!(counts(&vendor)[1..], [0, 0, 0]);
}

#[tokio::test]
async fn what_can_never_be_sent_is_not_tried() {
    let vendor = vendor(taken).await;
    let clock = Clock::system();
    let mut push = a_live_push(&clock);
    push.notification.as_mut().unwrap().ext = Some("x".repeat(1_025));
    let sender = Sender::new(shared(&vendor, &clock));
    assert_eq!(send(&sender, &vendor, &push, &targets(2), &clock).await, vec![Outcome::Permanent; 2]);
    push.notification = None;
    assert_eq!(send(&sender, &vendor, &push, &targets(2), &clock).await, vec![Outcome::Permanent; 2]);
    assert_eq!(vendor.asked().len(), 0);
}

#[tokio::test]
async fn an_address_that_is_none_is_for_a_person_to_mend() {
    let vendor = vendor(taken).await;
    let clock = Clock::system();
    let (sender, push, targets) = (Sender::new(shared(&vendor, &clock)), a_live_push(&clock), targets(2));
    let batch = Batch::new(Channel::Vivo, &push, &targets, &clock, Turns::freely());
    for endpoint in ["http://localhost:80", "nowhere", ""] {
        let credentials = VivoCredentials { endpoint: endpoint.to_owned(), ..credentials(&vendor) };
        assert_eq!(sender.send(&credentials, &batch).await, vec![Outcome::Config; 2], "{endpoint}");
    }
    assert_eq!(vendor.asked().len(), 0);
}

#[tokio::test]
async fn a_list_is_saved_before_its_turn_is_asked_for() {
    let vendor = vendor(taken).await;
    let (clock, targets, (turns, asked)) = (Clock::system(), targets(3), testkit::no_turns());
    let (push, sender) = (a_live_push(&clock), Sender::new(shared(&vendor, &clock)));
    let batch = Batch::new(Channel::Vivo, &push, &targets, &clock, turns);
    let (credentials, saved) = (credentials(&vendor), async {
        let _waits = asked.await.unwrap();
        vendor.asked_by_path().get(SAVE).copied()
    });
    let (outcomes, saved) = futures::join!(sender.send(&credentials, &batch), saved);
    assert_eq!((outcomes, saved), (vec![Outcome::Unsent; 3], Some(1)));
    assert_eq!(vendor.asked_by_path().get(SEND_TO_LIST), None);
}
