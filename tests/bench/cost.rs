//! What one push costs: DynamoDB units and SQS requests, counted by the stack as AWS bills them. They are exact, and
//! the same on every machine.
//!
//! `cargo bench -p fanfare-tests --bench cost --profile dev -- [users]`
//!
//! Every user has the tag that the push is for, and one device of Apple's or Google's in turn.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on ends there")]
#![allow(clippy::print_stdout, reason = "its result is what it prints")]

use std::collections::BTreeMap;

use fanfare::domain::{Channel, Device};
use reqwest::Method;
use serde_json::{Value, json};
use support::Stack;

/// A quarter of a shard.
const USERS: u32 = 16_384;

#[tokio::main]
async fn main() {
    let users = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(USERS);
    let stack = Stack::start(env!("CARGO_BIN_EXE_stack")).await;
    stack.populate(users, &["everyone"], |n| vec![phone(&stack, n)]).await;

    stack.local(Method::DELETE, "usage", None).await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 86_400, "Condition": {"TagsAnd": ["everyone"]},
        "MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "hello, everyone"}}]});
    stack.ok("all_member_push/im_push", push).await;
    stack
        .until("all devices are reached", async || {
            let counts = async |channel| {
                let path = format!("deliveries/count?channel={channel}");
                stack.local(Method::GET, &path, None).await["accepted"].as_u64().unwrap()
            };
            counts("apns").await + counts("fcm").await == u64::from(users)
        })
        .await;
    stack.idle().await;
    report(users, &stack.local(Method::GET, "usage", None).await);
}

/// Of Apple's or Google's in turn.
fn phone(stack: &Stack, n: u32) -> Device {
    match n.is_multiple_of(2) {
        true => stack.phone("phone", Channel::Apns, &format!("{n:064x}")),
        false => stack.phone("phone", Channel::Fcm, &format!("{:a<142}", format!("token{n}_"))),
    }
}

fn report(users: u32, usage: &Value) {
    let million = 1_000_000.0 / f64::from(users);
    println!("A push to {users} users by one tag, one device each (half APNs, half FCM), kept for a day:\n");
    println!("| by | read units | write units | SQS requests | a million: read | write | SQS |");
    println!("|---|---|---|---|---|---|---|");
    let mut rows: BTreeMap<String, [f64; 3]> = BTreeMap::new();
    for (column, service, figure) in
        [(0, "dynamodb", "read_units"), (1, "dynamodb", "write_units"), (2, "sqs", "requests")]
    {
        for (function, figures) in usage[service]["functions"].as_object().unwrap() {
            rows.entry(function.clone()).or_default()[column] += figures[figure].as_f64().unwrap();
        }
    }
    let total = rows.values().fold([0.0; 3], |sum, row| [sum[0] + row[0], sum[1] + row[1], sum[2] + row[2]]);
    for (function, [read, write, requests]) in rows.into_iter().chain([("all".to_owned(), total)]) {
        println!(
            "| {function} | {read:.1} | {write:.1} | {requests:.0} | {:.0} | {:.0} | {:.0} |",
            read * million,
            write * million,
            requests * million
        );
    }
    println!(
        "\nBy table and operation:\n\n| table | operation | requests | read units | write units |\n|---|---|---|---|---|"
    );
    for (table, operations) in usage["dynamodb"]["tables"].as_object().unwrap() {
        for (operation, figures) in operations.as_object().unwrap() {
            println!(
                "| {table} | {operation} | {} | {} | {} |",
                figures["requests"], figures["read_units"], figures["write_units"]
            );
        }
    }
    println!("\n| queue | operation | requests | messages |\n|---|---|---|---|");
    for (queue, operations) in usage["sqs"]["queues"].as_object().unwrap() {
        for (operation, figures) in operations.as_object().unwrap() {
            println!("| {queue} | {operation} | {} | {} |", figures["requests"], figures["messages"]);
        }
    }
}
