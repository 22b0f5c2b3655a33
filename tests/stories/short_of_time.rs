//! A shard that takes longer than one invocation of the fan-out, or than a queue delays: what is left goes on in tasks of its
//! own.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfare::domain::{AppId, Channel, Device, Timestamp};
use fanfare::store::PaceStore;
use reqwest::Method;
use serde_json::{Value, json};
use support::{SDK_APP_ID, Socket, Stack};

use crate::any_process_may_die::come_to_rest;
use crate::{a_stack, text};

/// How long an invocation of the fan-out is: a moment longer than what it wants to be left before it begins anything more.
const INVOCATION_SECS: u64 = 12;
/// How long planning a group of batches takes, which is done once for each: so that there is time for one group only.
const PLANNING_MILLIS: u64 = 2_200;

#[tokio::test]
async fn a_shard_that_takes_longer_than_an_invocation_reaches_everyone_once() {
    let stack = a_stack().await;
    // Tokens as long as can be, of which thirty make a batch: three groups of batches, and one on each other channel.
    let channels =
        [(Channel::Oppo, 7, 2_000), (Channel::Apns, 1, 64), (Channel::Huawei, 1, 100), (Channel::Vivo, 1, 20)];
    let devices = |user: u32| -> Vec<Device> {
        let of_channel = |(channel, count, length): (Channel, usize, usize)| {
            let name = move |n: usize| (format!("{channel}{n}"), format!("{user:03}{n:0>width$}", width = length - 3));
            (0..count).map(name).map(move |(name, token)| (channel, name, token))
        };
        let all = channels.into_iter().flat_map(of_channel);
        all.map(|(channel, name, token)| stack.phone(&name, channel, &token)).collect()
    };
    const USERS: u32 = 90;
    stack.populate(USERS, &["reader"], devices).await;
    let mut tokens: BTreeMap<Channel, Vec<String>> = BTreeMap::new();
    for device in (0..USERS).flat_map(devices) {
        tokens.entry(device.channel).or_default().push(device.token.expose().to_owned());
    }
    let mut sockets = Vec::new();
    for user in ["anne", "ben", "cleo"] {
        sockets.push(stack.socket(user, "desk").await);
    }
    stack.idle().await;

    is_short(&stack).await;
    // Throttled where it reads, and slow where it plans.
    let throttled = json!({"function": "fan-out", "service": "dynamodb", "operation": "Query", "times": 2,
        "error": "ProvisionedThroughputExceededException"});
    stack.local(Method::PUT, "faults", Some(json!({"slow": [slow_planning()], "fail": [throttled]}))).await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 86_400, "MsgBody": text("to all")});
    let task = stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned();
    let accounts = async || stack.account(&task).await;
    let is_over = async || {
        let accounts = accounts().await;
        accounts.len() == channels.len() + 1 && accounts.values().all(|account| account.pending == 0)
    };
    stack.until("everyone is reached", is_over).await;
    stack.idle().await;

    for (channel, tokens) in &mut tokens {
        tokens.sort_unstable();
        assert!(stack.delivered(channel.name()).await == *tokens, "{channel}: each device once");
        let account = &accounts().await[channel];
        let all = tokens.len() as u32;
        assert_eq!((account.targeted, account.settled.delivered), (all, all), "{channel}: {account:?}");
    }
    for socket in &mut sockets {
        assert_eq!(hear_all(socket).await.len(), 1);
    }
    let fan_out = function(&stack, "fan-out").await;
    assert_eq!(fan_out["errors"], 0, "no invocation is cut off: {fan_out}");
    assert!(fan_out["invocations"].as_u64() >= Some(1 + 7), "spread, and a task for each group of batches: {fan_out}");
    assert_no_dead_letters(&stack).await;
}

#[tokio::test]
async fn what_is_handed_over_is_neither_lost_nor_sent_twice_whatever_dies() {
    let stack = a_stack().await;
    populate(&stack).await;
    is_short(&stack).await;
    // The second message that it sends is the first batch, and the first messages that it sends together go on.
    for (number, (operation, nth, when)) in [
        ("SendMessage", 2, "after"),
        ("SendMessageBatch", 1, "before"),
        ("SendMessageBatch", 1, "after"),
        ("SendMessage", 3, "after"),
    ]
    .into_iter()
    .enumerate()
    {
        let death = format!("dies {when} {operation} {nth}");
        stack.local(Method::DELETE, "deliveries", None).await;
        let kill = json!({"function": "fan-out", "service": "sqs", "operation": operation, "nth": nth, "when": when});
        stack.local(Method::PUT, "faults", Some(json!({"slow": [slow_planning()], "kill": [kill]}))).await;
        let push = json!({"MsgRandom": number, "MsgLifeTime": 86_400, "MsgBody": text(&death)});
        let task = stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned();
        killed(&stack, nth).await;
        come_to_rest(&stack, &death).await;

        let accounts = stack.account(&task).await;
        for (channel, tokens) in devices() {
            assert_eq!(stack.delivered(channel.name()).await, tokens, "{death}: {channel}");
            let account = &accounts[&channel];
            assert_eq!((account.settled.delivered, account.pending), (3, 0), "{death}: {channel}: {account:?}");
        }
        assert_no_dead_letters(&stack).await;
    }
}

#[tokio::test]
async fn what_was_handed_over_is_not_sent_once_it_is_withdrawn() {
    let stack = a_stack().await;
    populate(&stack).await;
    is_short(&stack).await;
    // Those who go on die before they read the contacts.
    let kill = json!({"function": "fan-out", "service": "dynamodb", "operation": "BatchGetItem", "nth": 2, "times": 2});
    stack.local(Method::PUT, "faults", Some(json!({"slow": [slow_planning()], "kill": [kill]}))).await;
    let message = [("fromUserId", "boss"), ("objectName", "app:x"), ("content", "oops"), ("pushContent", "oops")];
    let sent = good(&stack, "/message/broadcast.json", &message).await["messageUID"].as_str().unwrap().to_owned();
    killed(&stack, 3).await;
    let is_sent = async || stack.account(&sent).await[&Channel::Apns].settled.delivered == 3;
    stack.until("what was not handed over is sent", is_sent).await;
    stack.local(Method::PUT, "faults", Some(json!({}))).await;
    good(&stack, "/message/broadcast/recall.json", &[("fromUserId", "boss"), ("messageUID", &sent)]).await;
    come_to_rest(&stack, "what was handed over").await;

    for (channel, account) in stack.account(&sent).await {
        let (delivered, expired) = if channel == Channel::Apns { (3, 0) } else { (0, 3) };
        let settled = (account.settled.delivered, account.settled.expired, account.pending);
        assert_eq!((account.targeted, settled), (3, (delivered, expired, 0)), "{channel}: {account:?}");
    }
    assert_no_dead_letters(&stack).await;
}

#[tokio::test]
async fn a_channel_that_is_busy_for_longer_than_a_queue_delays_is_planned_once_and_gone_on_with() {
    let stack = a_stack().await;
    populate(&stack).await;
    let (client, tables) = stack.store().await;
    let (app, now) = (AppId::try_from(SDK_APP_ID.to_string()).unwrap(), Timestamp::from_secs(stack.now()));
    const BUSY_SECS: i64 = 2_000;
    let busy = Duration::from_secs(BUSY_SECS.unsigned_abs());
    PaceStore::new(client, &tables.pushes).push_back(Some(&app), Channel::Apns, busy, now).await.unwrap();
    // Its continuations are enqueued with the longest delay, which is short here.
    stack.local(Method::PUT, "queues", Some(json!({"longest_delay_seconds": 1}))).await;
    let count = json!({"function": "fan-out", "service": "dynamodb", "operation": "UpdateItem", "millis": 0});
    stack.local(Method::PUT, "faults", Some(json!({"slow": [count]}))).await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 86_400, "MsgBody": text("later")});
    stack.ok("all_member_push/im_push", push).await;
    for channel in ["huawei", "vivo"] {
        stack.until("nobody waits for it", async || stack.delivered(channel).await.len() == 3).await;
    }
    let planned = async || stack.local(Method::GET, "faults", None).await["slow"][0]["calls"].as_u64().unwrap();
    let planned_at_first = planned().await;
    let invocations = async || function(&stack, "fan-out").await["invocations"].as_u64().unwrap();
    let at_first = invocations().await;
    stack.until("it is gone on with", async || invocations().await >= at_first + 2).await;
    assert_eq!(stack.delivered("apns").await, [""; 0]);

    stack.advance(BUSY_SECS).await;
    stack.until("its time has come", async || stack.delivered("apns").await.len() >= 3).await;
    stack.idle().await;
    for (channel, tokens) in devices() {
        assert_eq!(stack.delivered(channel.name()).await, tokens, "{channel}");
    }
    assert_eq!(planned().await, planned_at_first, "what is planned is kept to");
    assert_no_dead_letters(&stack).await;
}

/// From now on the fan-out has time for one group of batches only.
async fn is_short(stack: &Stack) {
    let limits = json!({"fan-out": {"timeout_seconds": INVOCATION_SECS}});
    stack.local(Method::PUT, "functions", Some(limits)).await;
}

fn slow_planning() -> Value {
    json!({"function": "fan-out", "service": "dynamodb", "operation": "UpdateItem", "times": 1_000,
        "millis": PLANNING_MILLIS})
}

/// Three users, each with a phone on each of three channels.
async fn populate(stack: &Stack) {
    for (channel, tokens) in devices() {
        for (user, token) in tokens.iter().enumerate() {
            stack.register(&format!("user{user}"), channel.name(), channel.name(), token).await;
        }
    }
}

fn devices() -> [(Channel, Vec<String>); 3] {
    [(Channel::Apns, 64), (Channel::Huawei, 100), (Channel::Vivo, 20)]
        .map(|(channel, length)| (channel, (0..3).map(|user| format!("{user:0>length$}")).collect()))
}

/// Waits until the fan-out has come to a step so often at which it is killed.
async fn killed(stack: &Stack, calls: u64) {
    let died = async || stack.local(Method::GET, "faults", None).await["kill"][0]["calls"].as_u64() >= Some(calls);
    stack.until("the fan-out dies", died).await;
}

async fn good(stack: &Stack, path: &str, fields: &[(&str, &str)]) -> Value {
    let (status, answer) = stack.signed_form(path, fields).await;
    assert_eq!((status, &answer["code"]), (200, &json!(200)), "{path}: {answer}");
    answer
}

async fn hear_all(socket: &mut Socket) -> Vec<Value> {
    let mut heard = Vec::new();
    while let Some(frame) = socket.hear_within(Duration::from_millis(300)).await {
        heard.push(frame);
    }
    heard
}

async fn function(stack: &Stack, name: &str) -> Value {
    let functions = stack.local(Method::GET, "functions", None).await;
    functions.as_array().unwrap().iter().find(|function| function["name"] == name).unwrap().clone()
}

async fn assert_no_dead_letters(stack: &Stack) {
    let queues = stack.local(Method::GET, "queues", None).await;
    for (queue, depth) in queues.as_object().unwrap().iter().filter(|(queue, _)| queue.ends_with("DeadLetters")) {
        assert!(depth.as_object().unwrap().values().all(|count| *count == 0), "{queue}: {depth}");
    }
}
