//! Someone wants to be left alone for a while.

use fanfare::domain::Channel;
use reqwest::Method;
use serde_json::{Value, json};
use support::Stack;

use crate::{a_stack, text};

/// The demo app's clock, east of UTC.
const UTC_OFFSET_SECS: i64 = 8 * 3_600;

/// A phone's token, by the first letter of its user.
fn token(user: &str) -> String {
    user[..1].repeat(64).replace(|letter: char| !letter.is_ascii_hexdigit(), "e")
}

/// Lets a user be for some minutes, from so many seconds from now on.
async fn quieten(stack: &Stack, user: &str, in_secs: i64, minutes: i64) {
    let start = (stack.now() + UTC_OFFSET_SECS + in_secs).rem_euclid(86_400);
    let start = format!("{:02}:{:02}:{:02}", start / 3_600, start / 60 % 60, start % 60);
    let fields = [("userId", user), ("startTime", &start), ("period", &minutes.to_string()), ("level", "1")];
    let (status, answer) = stack.signed_form("/user/blockPushPeriod/set.json", &fields).await;
    assert_eq!(status, 200, "{answer}");
}

async fn push(stack: &Stack, random: u32) -> String {
    let push = json!({"MsgRandom": random, "MsgLifeTime": 86_400, "MsgBody": text("hi")});
    let answer = stack.ok("all_member_push/im_push", push).await;
    answer["TaskId"].as_str().unwrap().to_owned()
}

fn counts(account: &fanfare::store::Account) -> [u32; 4] {
    [account.targeted, account.settled.delivered, account.settled.suppressed, account.pending]
}

#[tokio::test]
async fn quiet_hours_hold_back_notifications_and_neither_sockets_nor_what_is_kept() {
    let stack = a_stack().await;
    for user in ["anne", "ben", "cleo", "dora"] {
        stack.register(user, "phone", "apns", &token(user)).await;
    }
    quieten(&stack, "ben", -60, 30).await;
    quieten(&stack, "cleo", 600, 30).await;
    quieten(&stack, "dora", -60, 30).await;
    let mut dora = stack.socket("dora", "phone").await;
    let task = push(&stack, 1).await;
    assert_eq!(dora.hear().await["body"], text("hi"));
    stack.idle().await;
    assert_eq!(stack.delivered("apns").await, [token("anne"), token("cleo")]);
    let account = stack.account(&task).await;
    assert_eq!((counts(&account[&Channel::Apns]), counts(&account[&Channel::Ws])), ([3, 2, 1, 0], [1, 1, 0, 0]));
    let missed = stack.socket("ben", "phone").await.sync().await;
    assert_eq!(missed.iter().map(|push| &push["task_id"]).collect::<Vec<_>>(), [&json!(task)]);

    // Half an hour later it is over for two of them, and has not begun anew for anyone.
    stack.idle().await;
    dora.close().await;
    stack.idle().await;
    stack.advance(3_600).await;
    push(&stack, 2).await;
    stack.until("all are pushed to", async || stack.delivered("apns").await.len() == 6).await;
}

#[tokio::test]
async fn a_repeat_of_the_fan_out_judges_quiet_hours_by_the_moment_of_the_first_time() {
    let stack = a_stack().await;
    for user in ["anne", "ben", "cleo"] {
        stack.register(user, "phone", "apns", &token(user)).await;
    }
    // Between the first time and the repeat hers begin, and his end.
    quieten(&stack, "anne", 90, 120).await;
    quieten(&stack, "ben", -120, 3).await;
    let kill = json!({"function": "fan-out", "service": "dynamodb", "operation": "PutItem", "nth": 1, "when": "after"});
    stack.local(Method::PUT, "faults", Some(json!({"kill": [kill]}))).await;
    let task = push(&stack, 1).await;
    let died = async || stack.local(Method::GET, "faults", None).await["kill"][0]["calls"].as_u64() >= Some(1);
    stack.until("the fan-out dies once it has cut", died).await;
    stack.local(Method::PUT, "faults", Some(Value::Object(Default::default()))).await;
    while !stack.is_idle_within(3_000).await {
        stack.nothing_runs().await;
        stack.advance(400).await;
    }
    assert_eq!(stack.delivered("apns").await, [token("anne"), token("cleo")]);
    assert_eq!(counts(&stack.account(&task).await[&Channel::Apns]), [3, 2, 1, 0]);
}
