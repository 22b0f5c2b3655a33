//! What one push costs: DynamoDB units and SQS requests, counted by the stack as AWS bills them. They are exact, and
//! the same on every machine.
//!
//! `cargo bench -p fanfare-tests --bench cost --profile dev -- [users]`
//!
//! Every user has the tag that the push is for, and one device of Apple's or Google's in turn.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on ends there")]
#![allow(clippy::print_stdout, reason = "its result is what it prints")]

use std::collections::BTreeMap;

use fanfare::domain::{AppId, Channel, Device, DeviceId, DeviceToken, Edit, Platform, Profile, Tag, Timestamp, UserId};
use fanfare::store::{Admission, ContactStore, UserStore};
use futures::{TryStreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use support::Stack;

/// A quarter of a shard.
const USERS: u32 = 16_384;

#[tokio::main]
async fn main() {
    let users = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(USERS);
    let stack = Stack::start(env!("CARGO_BIN_EXE_stack")).await;
    populate(&stack, users).await;

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

async fn populate(stack: &Stack, count: u32) {
    let (client, tables) = stack.store().await;
    let users = UserStore::new(client.clone(), &tables.audience);
    let contacts = ContactStore::new(client, &tables.audience);
    let app = AppId::try_from("1400000000").unwrap();
    let ids: Vec<UserId> = (0..count).map(|n| UserId::try_from(format!("user{n:07}")).unwrap()).collect();
    let everyone = Edit::AddTags(vec![Tag::try_from("everyone".to_owned()).unwrap()]);
    for ids in ids.chunks(100) {
        let imported: Vec<_> = ids.iter().map(|id| (id.clone(), Profile::default())).collect();
        users.import(&app, &imported, &Admission::default()).await.unwrap();
        let edits: Vec<_> = ids.iter().map(|id| (id.clone(), everyone.clone())).collect();
        users.edit(&app, &edits).await.unwrap();
    }
    let known = users.get(&app, &ids).await.unwrap();
    let now = Timestamp::from_secs(stack.now());
    stream::iter(known.values().map(Ok::<_, fanfare::store::StoreError>))
        .try_for_each_concurrent(16, async |user| {
            let n = user.ordinal.0;
            let (platform, channel, token) = if n.is_multiple_of(2) {
                (Platform::Ios, Channel::Apns, format!("{n:064x}"))
            } else {
                (Platform::Android, Channel::Fcm, format!("{:a<142}", format!("token{n}_")))
            };
            let device = Device {
                id: DeviceId::try_from("phone").unwrap(),
                platform,
                channel,
                token: DeviceToken::new(token),
                package: Some("com.example.app".to_owned()),
                push_enabled: true,
                language: Some("en".to_owned()),
                registered_at: now,
                active_at: now,
            };
            contacts.register(&app, user, device).await.map(drop)
        })
        .await
        .unwrap();
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
