//! Any process may die at any step: everyone is reached all the same, and twice only where a process died between a
//! vendor's answer and the ledger.

use fanfare::domain::Channel;
use reqwest::Method;
use serde_json::json;
use support::Stack;

use crate::{a_stack, text};

/// Longer than any queue's visibility timeout.
const VISIBILITY_SECS: i64 = 400;

#[tokio::test]
async fn a_death_at_any_step_loses_no_one() {
    let stack = a_stack().await;
    let tokens = populate(&stack, 30).await;
    // Where the process dies, and how often the step comes before it does.
    let deaths = [
        ("push-intake", "sqs", "SendMessage", 1, "before"),
        ("push-intake", "sqs", "SendMessage", 1, "after"),
        ("push-intake", "dynamodb", "TransactWriteItems", 1, "after"),
        ("fan-out", "sqs", "SendMessage", 1, "before"),
        ("fan-out", "sqs", "SendMessage", 1, "after"),
        ("fan-out", "dynamodb", "DeleteItem", 1, "before"),
        ("fan-out", "dynamodb", "PutItem", 1, "before"),
        ("fan-out", "dynamodb", "PutItem", 1, "after"),
        ("fan-out", "dynamodb", "PutItem", 2, "after"),
        ("fan-out", "sqs", "SendMessage", 2, "after"),
        ("deliver-apns", "dynamodb", "PutItem", 1, "before"),
        ("deliver-apns", "dynamodb", "PutItem", 1, "after"),
        ("deliver-apns", "dynamodb", "PutItem", 2, "before"),
        ("deliver-apns", "dynamodb", "PutItem", 2, "after"),
        ("deliver-apns", "lambda", "Response", 1, "before"),
        ("deliver-apns", "lambda", "Response", 1, "after"),
    ];
    for (number, (function, service, operation, nth, when)) in deaths.into_iter().enumerate() {
        let death = format!("{function} dies {when} {operation} {nth}");
        stack.local(Method::DELETE, "deliveries", None).await;
        let rule = json!({"function": function, "service": service, "operation": operation, "nth": nth, "when": when});
        stack.local(Method::PUT, "faults", Some(json!({"kill": [rule]}))).await;
        let push = json!({"MsgRandom": number, "MsgLifeTime": 86_400, "MsgBody": text(&death),
            "Condition": {"TagsOr": ["reader"]}});
        let client = reqwest::Client::new();
        let answer = client.post(stack.server_url("all_member_push/im_push")).body(push.to_string()).send().await;
        let status = answer.unwrap().status();
        assert_eq!(status.is_server_error(), function == "push-intake", "{death}: {status}");
        // Not idle: what the dead process had taken from a queue is in flight until its visibility timeout.
        stack
            .until(&format!("{death}: it comes to that"), async || {
                stack.local(Method::GET, "faults", None).await["kill"][0]["calls"].as_u64().unwrap() >= nth
            })
            .await;
        stack.local(Method::PUT, "faults", Some(json!({}))).await;
        // A repeat of the request is not a second push.
        let task = stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned();
        come_to_rest(&stack, &death).await;

        let mut delivered = stack.delivered("apns").await;
        let twice = delivered.len() - tokens.len().min(delivered.len());
        delivered.dedup();
        assert_eq!(delivered, tokens, "{death}: not everyone was reached");
        let between = (operation, nth, when) == ("PutItem", 2, "before") && function == "deliver-apns";
        assert_eq!(twice > 0, between, "{death}: {twice} were reached twice");
        let account = &stack.account(&task).await[&Channel::Apns];
        assert_eq!((account.targeted, account.pending), (tokens.len() as u32, 0), "{death}: {account:?}");
        assert_eq!(account.settled.delivered, tokens.len() as u32, "{death}: {account:?}");
    }
}

/// Moves the clock until all that a dead process had taken from a queue has been done by others.
pub(crate) async fn come_to_rest(stack: &Stack, what: &str) {
    for _ in 0..8 {
        // Leases are by the clock: moved while a batch is being sent, it would give the batch to another as well.
        stack.nothing_runs().await;
        stack.advance(VISIBILITY_SECS).await;
        if stack.is_idle_within(3_000).await {
            return;
        }
    }
    panic!("{what}: it never comes to rest");
}

/// So many users with a phone each; their tokens, sorted.
pub(crate) async fn populate(stack: &Stack, users: usize) -> Vec<String> {
    let mut tokens = Vec::new();
    for n in 0..users {
        let (user, token) = (format!("user{n}"), format!("{n:064x}"));
        stack.register(&user, "phone", "apns", &token).await;
        tokens.push(token);
    }
    let tags: Vec<_> = (0..users).map(|n| json!({"To_Account": format!("user{n}"), "Tags": ["reader"]})).collect();
    stack.ok("all_member_push/im_add_tag", json!({"UserTags": tags})).await;
    tokens
}
