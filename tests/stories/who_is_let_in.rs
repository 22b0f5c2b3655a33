//! Who brings too many wrong UserSigs is not heard for a minute, and who calls too often not in that second.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fanfare::domain::{AppId, Per, Rate, Timestamp, UserId};
use fanfare::store::{Attempt, AttemptStore, CallStore, Counted, StandingStore};
use futures::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::{ADMIN, SDK_APP_ID, Socket};

use crate::{a_stack, a_stack_of, app, sign, url};

const CALL: &str = "all_member_push/im_get_attr_name";

#[tokio::test]
async fn twenty_wrong_user_sigs_within_a_minute_lock_a_caller_out_for_a_minute() {
    let stack = &a_stack_of(&[app(SDK_APP_ID, json!({"admins": [ADMIN, "boss"]}), json!({}))]).await;
    let call = |identifier: &'static str, key: &'static str| async move {
        let signature = sign(SDK_APP_ID, key, identifier, stack.now());
        code(&stack.post(&url(stack, CALL, SDK_APP_ID, identifier, &signature), "{}").await)
    };

    // Good ones in between do not make wrong ones forgotten, and wrong ones of all kinds add up.
    for _ in 0..10 {
        assert_eq!(call(ADMIN, "another key").await, 70009);
    }
    assert_eq!(call(ADMIN, crate::KEY).await, 0);
    for (signature, expected) in [
        (String::new(), 70002),
        ("no-user-sig".to_owned(), 70003),
        (sign(SDK_APP_ID, crate::KEY, "boss", stack.now()), 70013),
        (sign(1, crate::KEY, ADMIN, stack.now()), 70014),
        (sign(SDK_APP_ID, crate::KEY, ADMIN, stack.now() - 601), 70001),
    ] {
        let answer = stack.post(&url(stack, CALL, SDK_APP_ID, ADMIN, &signature), "{}").await;
        assert_eq!(code(&answer), expected);
    }
    for _ in 0..5 {
        assert_eq!(call(ADMIN, crate::KEY).await, 0);
        assert_eq!(call(ADMIN, "another key").await, 70009);
    }
    assert_eq!(call(ADMIN, crate::KEY).await, 70050);
    assert_eq!(call(ADMIN, "another key").await, 70050);

    // Neither another identifier from here, nor the same from elsewhere.
    assert_eq!(call("boss", crate::KEY).await, 0);
    let elsewhere = Client::builder().local_address(Some([127, 0, 0, 2].into())).build().unwrap();
    let answer = elsewhere.post(stack.server_url(CALL)).body("{}").send().await.unwrap().json().await.unwrap();
    assert_eq!(code(&answer), 0, "{answer}");

    stack.advance(30).await;
    assert_eq!(call(ADMIN, crate::KEY).await, 70050, "half a minute is no minute");
    stack.advance(31).await;
    assert_eq!(call(ADMIN, crate::KEY).await, 0);

    // Nineteen in a minute are let pass, as often as one likes. Of forty at once, twenty are told what is wrong.
    for _ in 0..2 {
        for _ in 0..19 {
            assert_eq!(call(ADMIN, "another key").await, 70009);
        }
        stack.advance(61).await;
        assert_eq!(call(ADMIN, crate::KEY).await, 0);
    }
    let told = join_all((0..40).map(|_| call(ADMIN, "another key"))).await;
    assert_eq!(told.iter().filter(|code| **code == 70009).count(), 20, "{told:?}");
    assert_eq!(told.iter().filter(|code| **code == 70050).count(), 20, "{told:?}");
}

#[tokio::test]
async fn a_client_app_is_locked_out_of_all_its_calls() {
    let stack = &a_stack_of(&[app(SDK_APP_ID, json!({"wrong_user_sigs_per_minute": 3}), json!({}))]).await;
    let http = &Client::new();
    let devices = |user_sig: String| async move {
        let url = format!("{}/v1/devices", stack.base());
        let answer = http.get(url).bearer_auth(user_sig).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["error"]["code"].clone())
    };
    let forged = || sign(SDK_APP_ID, "another key", "alice", stack.now());
    let socket_of =
        |user_sig: &str| format!("{}/ws?usersig={user_sig}&device_id=phone", stack.base().replacen("http", "ws", 1));

    assert_eq!(devices(forged()).await, (401, json!("70009")));
    for _ in 0..2 {
        assert_eq!(Socket::try_open(&socket_of(&forged())).await.err(), Some(401));
    }
    assert_eq!(devices(forged()).await, (429, json!("70050")));
    assert_eq!(devices(stack.user_sig("alice")).await, (429, json!("70050")));
    assert_eq!(Socket::try_open(&stack.socket_url("alice", "phone")).await.err(), Some(429));
    assert_eq!(devices(stack.user_sig("bob")).await, (200, Value::Null), "another behind the same address");
    stack.socket("bob", "phone").await.close().await;
    // What names nobody is nobody's failure.
    for _ in 0..4 {
        assert_eq!(devices("no-user-sig".to_owned()).await, (401, json!("70003")));
    }

    stack.advance(61).await;
    assert_eq!(devices(stack.user_sig("alice")).await, (200, Value::Null));
    stack.socket("alice", "phone").await.close().await;
}

#[tokio::test]
async fn a_user_sig_that_was_made_void_lets_nobody_in() {
    let stack = &a_stack_of(&[app(SDK_APP_ID, json!({"wrong_user_sigs_per_minute": 4}), json!({}))]).await;
    let (client, tables) = stack.store().await;
    let standing = StandingStore::new(client, &tables.audience);
    let app = AppId::try_from(SDK_APP_ID.to_string()).unwrap();
    let devices = || stack.as_user("alice", Method::GET, "/v1/devices", None);

    let old = (sign(SDK_APP_ID, crate::KEY, ADMIN, stack.now()), stack.socket_url("alice", "phone"));
    for user in [ADMIN, "alice"] {
        standing.void(&app, &UserId::try_from(user).unwrap(), Timestamp::from_secs(stack.now() + 5)).await.unwrap();
    }
    let answer = stack.post(&url(stack, CALL, SDK_APP_ID, ADMIN, &old.0), "{}").await;
    assert_eq!(code(&answer), 70001, "{answer}");
    assert!(answer["ErrorInfo"].as_str().unwrap().contains("void"), "{answer}");
    assert_eq!(Socket::try_open(&old.1).await.err(), Some(401));
    let (status, answer) = devices().await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!("70001")));

    stack.advance(6).await;
    assert_eq!(devices().await.0, 200, "a new one");
    stack.ok(CALL, json!({})).await;

    // It counts like any other that is wrong.
    for _ in 0..2 {
        assert_eq!(Socket::try_open(&old.1).await.err(), Some(401));
    }
    assert_eq!(devices().await.0, 429);
}

#[tokio::test]
async fn as_many_calls_as_a_second_may_have_pass() {
    let often = json!({"calls_per_second": {CALL: 5, "all_member_push/im_get_tag": 0}});
    let stack = &a_stack_of(&[app(SDK_APP_ID, json!({}), often), app(2, json!({}), json!({}))]).await;

    // Fifty at once pass five in each second that they take.
    let calls = (0..50).map(|_| async { (code(&stack.call(CALL, json!({})).await), stack.now()) });
    let (from, answered) = (stack.now(), join_all(calls).await);
    let seconds = usize::try_from(stack.now() - from + 1).unwrap();
    let passed = answered.iter().filter(|(code, _)| *code == 0).count();
    assert!((5..=5 * seconds).contains(&passed), "{passed} in {seconds} s");
    assert!(answered.iter().all(|(code, _)| matches!(code, 0 | 60007)), "{answered:?}");
    stack.advance(2).await;
    stack.ok(CALL, json!({})).await;

    // A limit is of one call of one app.
    assert_eq!(code(&stack.call("all_member_push/im_get_tag", json!({"To_Account": ["a"]})).await), 60007);
    stack.ok("all_member_push/im_get_attr", json!({"To_Account": ["a"]})).await;
    let two = url(stack, "all_member_push/im_get_tag", 2, ADMIN, &sign(2, crate::KEY, ADMIN, stack.now()));
    assert_eq!(code(&stack.post(&two, r#"{"To_Account":["a"]}"#).await), 0);
}

#[tokio::test]
async fn who_is_no_administrator_is_not_counted() {
    let stack = &a_stack_of(&[app(SDK_APP_ID, json!({}), json!({"calls_per_second": {CALL: 1}}))]).await;
    let stranger = |key: &'static str| async move {
        let signature = sign(SDK_APP_ID, key, "stranger", stack.now());
        code(&stack.post(&url(stack, CALL, SDK_APP_ID, "stranger", &signature), "{}").await)
    };
    // Whether a stranger had used up a second shows only to who comes in the same: so, several times, quickly.
    for _ in 0..5 {
        stack.advance(2).await;
        let begun = Instant::now();
        assert_eq!((stranger(crate::KEY).await, stranger("another key").await), (60010, 70009));
        stack.ok(CALL, json!({})).await;
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn counters_are_exact_however_many_come_at_once() {
    let stack = &a_stack().await;
    let (client, tables) = stack.store().await;
    let app = &AppId::try_from("a").unwrap();
    let now = Timestamp::from_secs(stack.now());

    let attempts = &AttemptStore::new(client, &tables.audience);
    let at = |after| now.plus_millis(after);
    let fail = async |attempt, after| {
        let before = attempts.look(attempt, at(after)).await.unwrap();
        attempts.fail(attempt, before, at(after)).await.unwrap()
    };
    let locked = async |attempt, after| attempts.look(attempt, at(after)).await.unwrap().is_locked;
    // A caller may claim to be anything.
    let long = "\u{0}#é".repeat(5_000);
    for claimed in ["admin", "", &long] {
        let attempt = Attempt { app, claimed, origin: "192.0.2.1", limit: 20 };
        let failed = join_all((0..50).map(|_| fail(attempt, 0))).await;
        assert_eq!(failed.into_iter().filter(|counted| *counted).count(), 20);
        assert!(locked(attempt, 59_999).await && !locked(attempt, 60_000).await);
        assert!(!locked(Attempt { origin: "192.0.2.2", ..attempt }, 0).await);
        assert!(fail(attempt, 60_000).await, "a new minute");
        assert!(!locked(attempt, 60_000).await);
    }
    // The last of a minute's failures locks out for a minute of its own.
    let slow = Attempt { app, claimed: "slow", origin: "192.0.2.1", limit: 2 };
    assert!(fail(slow, 0).await && fail(slow, 59_000).await);
    assert!(!fail(slow, 61_000).await);
    assert!(locked(slow, 118_999).await && !locked(slow, 119_000).await);
    // One too far apart begins anew.
    let rare = Attempt { claimed: "rare", ..slow };
    assert!(fail(rare, 0).await && fail(rare, 60_000).await);
    assert!(!locked(rare, 60_000).await);
}

#[tokio::test]
async fn calls_are_counted_in_all_their_windows_or_in_none() {
    let stack = &a_stack().await;
    let (client, tables) = stack.store().await;
    let calls = &CallStore::new(client.clone(), &tables.audience);
    // The first second of a day at UTC+8.
    let midnight = Timestamp::from_secs(1_700_064_000);
    let at = |secs: i64| midnight.plus_secs(secs);

    // Of fifty at once, how many pass, and which rate refuses the others.
    let many = async |app: &'static str, command: &'static str, weight: u32, rates: &[Rate], now: Timestamp| {
        let app = &AppId::try_from(app).unwrap();
        let counted = Counted { app, command, weight, rates, utc_offset_minutes: 480 };
        let told = join_all((0..50).map(|_| calls.count(counted, now))).await;
        let told: Vec<Result<(), Rate>> = told.into_iter().map(|told| told.unwrap()).collect();
        let refusals: BTreeSet<Per> = told.iter().filter_map(|told| told.err()).map(|rate| rate.per).collect();
        (told.iter().filter(|told| told.is_ok()).count(), Vec::from_iter(refusals))
    };
    let a = |times, per| Rate { times, per };

    let five = &[a(5, Per::Second)][..];
    assert_eq!(many("a", "service/one", 1, five, at(0)).await, (5, vec![Per::Second]));
    assert_eq!(many("a", "service/one", 1, five, at(0).plus_millis(999)).await.0, 0, "the same second");
    assert_eq!(many("a", "service/one", 1, five, at(1)).await.0, 5, "the next");
    assert_eq!(many("a", "service/two", 1, &[a(3, Per::Second)], at(0)).await.0, 3, "another command");
    assert_eq!(many("b", "service/one", 1, &[a(60, Per::Second)], at(0)).await.0, 50, "another app");
    assert_eq!(many("c", "service/one", 1, &[a(0, Per::Second)], at(0)).await, (0, vec![Per::Second]));
    assert_eq!(many("c", "service/one", 1, &[], at(0)).await, (50, vec![]), "without a limit");

    // What weighs more than is left does not pass; what weighs less still may.
    let users = &[a(100, Per::Minute)][..];
    assert_eq!(many("a", "/users", 30, users, at(59)).await, (3, vec![Per::Minute]));
    assert_eq!(many("a", "/users", 1, users, at(59)).await.0, 10);
    assert_eq!(many("a", "/users", 101, users, at(60)).await, (0, vec![Per::Minute]));
    assert_eq!(many("a", "/users", 100, users, at(60)).await.0, 1);

    // Twice an hour and three times a day: the hour refuses, then the day, and what the hour refused the day has not counted.
    let push = &[a(2, Per::Hour), a(3, Per::Day)][..];
    assert_eq!(many("a", "/push", 1, push, at(0)).await, (2, vec![Per::Hour]));
    assert_eq!(many("a", "/push", 1, push, at(3_599)).await, (0, vec![Per::Hour]));
    assert_eq!(many("a", "/push", 1, push, at(3_600)).await, (1, vec![Per::Day]));
    assert_eq!(many("a", "/push", 1, push, at(86_399)).await, (0, vec![Per::Day]), "to the last second");
    assert_eq!(many("a", "/push", 1, push, at(86_400)).await.0, 2, "the next day");
    assert_eq!(many("a", "/push", 1, push, at(-1)).await.0, 2, "the day before");

    // Counters go when nobody asks for them any more.
    let items = client.scan().table_name(&tables.audience).send().await.unwrap().items.unwrap_or_default();
    let ends = items.iter().filter(|item| item["pk"].as_s().unwrap().starts_with("a#r#/push#"));
    let mut ends: Vec<i64> = ends.map(|item| item["expires_at"].as_n().unwrap().parse().unwrap()).collect();
    ends.sort_unstable();
    assert_eq!(ends, [60, 60, 3_660, 7_260, 86_460, 90_060, 172_860].map(|secs| midnight.secs() + secs));
}

#[tokio::test]
async fn letting_a_call_in_costs_two_reads_and_a_write() {
    let stack = &a_stack().await;
    let used = || async {
        let usage = stack.local(Method::GET, "usage", None).await;
        let operations = usage["dynamodb"]["tables"]["AudienceTable"].as_object();
        let sum = |units: &str| -> f64 {
            operations.into_iter().flatten().map(|(_, operation)| operation[units].as_f64().unwrap()).sum()
        };
        (sum("read_units"), sum("write_units"))
    };
    let before = used().await;
    stack.ok("all_member_push/im_get_tag", json!({"To_Account": ["nobody"]})).await;
    let after = used().await;
    // And one to look for the account.
    assert_eq!((after.0 - before.0, after.1 - before.1), (3.0, 1.0));
}

fn code(answer: &Value) -> u64 {
    answer["ErrorCode"].as_u64().unwrap()
}
