//! Accepted is accepted, whatever dies.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use support::Stack;

use crate::{a_stack, text};

#[tokio::test]
async fn a_push_whose_intake_is_killed_before_it_enqueues_arrives_once() {
    let stack = a_stack().await;
    let mut socket = stack.socket("anne", "phone").await;
    // It lives for less time than it takes to be found: who is online gets it all the same.
    killed(&stack, json!({"MsgRandom": 1, "MsgLifeTime": 60, "MsgBody": text("hi")})).await;
    stack.idle().await;
    assert_eq!(socket.hear_within(Duration::from_millis(300)).await, None, "nothing has started it yet");

    stack.advance(61).await;
    assert_eq!(socket.hear().await["body"], text("hi"));
    stack.idle().await;
    stack.advance(600).await;
    stack.idle().await;
    assert_eq!(socket.hear_within(Duration::from_millis(300)).await, None, "it came twice");
}

#[tokio::test]
async fn a_repeat_sets_going_what_a_dead_process_had_accepted() {
    let stack = a_stack().await;
    let mut socket = stack.socket("anne", "phone").await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")});
    killed(&stack, push.clone()).await;
    let told = stack.ok("all_member_push/im_push", push.clone()).await;
    assert_eq!(socket.hear().await["task_id"], told["TaskId"]);
    stack.idle().await;
    // Once more, and in its own time, it starts nothing.
    assert_eq!(stack.ok("all_member_push/im_push", push).await, told);
    stack.idle().await;
    stack.advance(61).await;
    stack.idle().await;
    assert_eq!(socket.hear_within(Duration::from_millis(300)).await, None, "it came twice");
}

/// Pushes, and has the process killed that accepted it. The caller sees a failure.
async fn killed(stack: &Stack, push: Value) {
    let kill = json!({"kill": [{"function": "push-intake", "service": "sqs", "operation": "SendMessage", "nth": 1,
        "when": "before"}]});
    stack.local(Method::PUT, "faults", Some(kill)).await;
    let url = stack.server_url("all_member_push/im_push");
    let answer = reqwest::Client::new().post(&url).body(push.to_string()).send().await.unwrap();
    assert!(answer.status().is_server_error(), "{}", answer.status());
    stack.local(Method::PUT, "faults", Some(json!({}))).await;
}

#[tokio::test]
async fn a_repeat_is_answered_as_the_first_time_and_a_hurried_push_refused() {
    let stack = a_stack().await;
    let mut socket = stack.socket("anne", "phone").await;
    let push = json!({"MsgRandom": 7, "MsgLifeTime": 600, "MsgBody": text("hi")});
    let first = stack.ok("all_member_push/im_push", push.clone()).await;
    assert_eq!(stack.ok("all_member_push/im_push", push.clone()).await["TaskId"], first["TaskId"]);
    let other = json!({"MsgRandom": 7, "MsgLifeTime": 600, "MsgBody": text("ho")});
    assert_eq!(stack.call("all_member_push/im_push", other.clone()).await["ErrorCode"], 90024);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    stack.ok("all_member_push/im_push", other).await;
    // The other, by the same number, does not make the first forgotten.
    assert_eq!(stack.ok("all_member_push/im_push", push).await["TaskId"], first["TaskId"]);
    let mut bodies = vec![socket.hear().await["body"].clone(), socket.hear().await["body"].clone()];
    bodies.sort_by_key(ToString::to_string);
    assert_eq!(bodies, [text("hi"), text("ho")]);
    stack.idle().await;
    assert_eq!(socket.hear_within(Duration::from_millis(300)).await, None);
}
