//! What an app may push in a day, and when its day begins.

use futures::future::join_all;
use serde_json::{Value, json};
use support::{ADMIN, SDK_APP_ID, Stack};

use crate::{KEY, a_stack_of, app, sign, text, url};

const PUSH: &str = "all_member_push/im_push";
const DAY: i64 = 86_400;
/// How long before a day's end is "before", in seconds: long enough for a few calls on a busy machine.
const EVE: i64 = 60;

#[tokio::test]
async fn of_fifty_simultaneous_pushes_one_passes() {
    // An interval that no machine is too slow for.
    let hour = json!({"push_interval_ms": 3_600_000});
    let stack = &a_stack_of(&[app(SDK_APP_ID, json!({}), hour)]).await;
    let push = |random: u32| async move {
        stack.call(PUSH, json!({"MsgRandom": random, "MsgLifeTime": 7_200, "MsgBody": text("hi")})).await
    };
    let answers = join_all((0..50).map(push)).await;
    let with = |code: u32| answers.iter().filter(|answer| answer["ErrorCode"] == code).count();
    assert_eq!((with(0), with(90024)), (1, 49), "{answers:?}");

    stack.idle().await;
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "alice"})).await;
    stack.advance(3_601).await;
    assert_eq!(push(50).await["ErrorCode"], 0);
    stack.idle().await;
    let heard = stack.socket("alice", "phone").await.sync().await;
    assert_eq!(heard.iter().map(|push| &push["seq"]).collect::<Vec<_>>(), [2], "the refused ones took no number");
}

#[tokio::test]
async fn a_day_begins_at_midnight_where_the_app_is() {
    // UTC+8 if the app does not say; Nepal; and west of Greenwich, where it is still the day before.
    let quotas = |minutes: Option<i32>| {
        let mut quotas = json!({"pushes_per_day": 2, "push_interval_ms": 0});
        if let Some(minutes) = minutes {
            quotas["utc_offset_minutes"] = json!(minutes);
        }
        quotas
    };
    let places = [(SDK_APP_ID, None), (2, Some(345)), (3, Some(-210))];
    let stack = &a_stack_of(&places.map(|(id, minutes)| app(id, json!({}), quotas(minutes)))).await;

    for (id, minutes) in places {
        let to_midnight = || DAY - (stack.now() + i64::from(minutes.unwrap_or(480)) * 60).rem_euclid(DAY);
        stack.advance((to_midnight() - EVE).rem_euclid(DAY)).await;
        assert_eq!((push(stack, id, 1).await, push(stack, id, 2).await, push(stack, id, 3).await), (0, 0, 90047));
        assert!((1..=EVE).contains(&to_midnight()), "the machine is too slow");
        stack.advance(to_midnight()).await;
        assert_eq!((push(stack, id, 3).await, push(stack, id, 4).await, push(stack, id, 5).await), (0, 0, 90047));
        // No other hour of the day is a midnight.
        for _ in 0..4 {
            stack.advance(DAY / 5).await;
            assert_eq!(push(stack, id, 5).await, 90047);
        }
        stack.advance(to_midnight() - EVE).await;
        assert_eq!(push(stack, id, 5).await, 90047);
        assert!((1..=EVE).contains(&to_midnight()), "the machine is too slow");
        stack.advance(to_midnight()).await;
        assert_eq!(push(stack, id, 5).await, 0);
    }
}

#[tokio::test]
async fn a_push_that_is_refused_for_its_content_spends_nothing() {
    let stack = &a_stack_of(&[app(SDK_APP_ID, json!({}), json!({"pushes_per_day": 1}))]).await;
    let good = json!({"MsgRandom": 1, "MsgBody": text("hi")});
    let with = |member: &str, value: Value| {
        let mut push = good.clone();
        push[member] = value;
        push.to_string()
    };
    for (body, code) in [
        ("{".to_owned(), 90001),
        (with("MsgBody", json!([])), 90002),
        (with("MsgRandom", json!(-1)), 90005),
        (with("MsgBody", json!("hi")), 90007),
        (with("MsgLifeTime", json!(604_801)), 90026),
        (with("Condition", json!({"TagsOr": []})), 90040),
        (with("Condition", json!({"AttrsOr": {"unknown": "x"}})), 90033),
        (with("MsgBody", text(&"x".repeat(13_000))), 93000),
    ] {
        assert_eq!(stack.post(&stack.server_url(PUSH), body).await["ErrorCode"], code);
    }
    // Neither the day's only push, nor the second that must lie between two.
    assert_eq!(push(stack, SDK_APP_ID, 1).await, 0);
    stack.advance(2).await;
    assert_eq!(push(stack, SDK_APP_ID, 2).await, 90047);
}

async fn push(stack: &Stack, id: u64, random: u32) -> u64 {
    stack.idle().await;
    let signature = sign(id, KEY, ADMIN, stack.now());
    let body = json!({"MsgRandom": random, "MsgBody": text("hi")}).to_string();
    let answer = stack.post(&url(stack, PUSH, id, ADMIN, &signature), body).await;
    // The clock is moved only when nothing runs.
    stack.idle().await;
    answer["ErrorCode"].as_u64().unwrap()
}
