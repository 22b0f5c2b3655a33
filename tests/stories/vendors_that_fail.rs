//! Vendors that are slow, reset, go away or answer garbage: everyone gets the push, and twice only whoever's answer was
//! lost, with the same id by which the phone or the vendor drops the second.

use std::collections::{BTreeMap, BTreeSet};

use fanfare::domain::{AppId, Channel};
use fanfare::store::AppStore;
use futures::future::join_all;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use support::{SDK_APP_ID, Stack};

use crate::any_process_may_die::come_to_rest;
use crate::{a_stack, text};

/// The channels that have a vendor.
pub(crate) const VENDORS: [Channel; 10] = [
    Channel::Apns,
    Channel::Fcm,
    Channel::Webpush,
    Channel::Huawei,
    Channel::Harmony,
    Channel::Honor,
    Channel::Xiaomi,
    Channel::Oppo,
    Channel::Vivo,
    Channel::Meizu,
];

/// With this rate, where devices are counted, a request names ten at most: a batch is several of them.
const RATE: u32 = 640;

/// So many users with a device of every vendor; the tokens of each channel.
pub(crate) async fn populate(stack: &Stack, users: usize) -> BTreeMap<Channel, BTreeSet<String>> {
    let mut tokens: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for n in 0..users {
        let user = format!("user{n}");
        let name = format!("vendors/webpush/subscriptions/{user}");
        let mut browser = stack.local(Method::GET, &name, None).await;
        // As it is kept, and found in the sandbox.
        browser.as_object_mut().unwrap().remove("expirationTime");
        let registered = VENDORS.map(|channel| {
            let token = match channel {
                Channel::Apns => format!("{n:064x}"),
                Channel::Webpush => browser.to_string(),
                _ => format!("{channel}-{n:020}"),
            };
            let platform = match channel {
                Channel::Apns => "ios",
                Channel::Harmony => "harmony",
                Channel::Webpush => "web",
                _ => "android",
            };
            let device =
                json!({"platform": platform, "channel": channel.name(), "token": token, "package": "com.example.app"});
            let user = &user;
            async move {
                let path = format!("/v1/devices/{channel}");
                let (status, answer) = stack.as_user(user, Method::PUT, &path, Some(device)).await;
                assert_eq!(status, 200, "{channel}: {answer}");
                (channel, token)
            }
        });
        for registered in registered {
            let (channel, token) = registered.await;
            tokens.entry(channel).or_default().insert(token);
        }
    }
    tokens
}

/// Gives the demo app rates with which a batch is several requests.
async fn slow_down(stack: &Stack) {
    let (client, tables) = stack.store().await;
    let apps = AppStore::new(client, tables.apps);
    let id = AppId::try_from(SDK_APP_ID.to_string()).unwrap();
    let mut app = (*apps.get(&id).await.unwrap().unwrap()).clone();
    app.channels.huawei.as_mut().unwrap().rate = Some(RATE);
    app.channels.harmony.as_mut().unwrap().rate = Some(RATE);
    app.channels.honor.as_mut().unwrap().rate = Some(RATE);
    app.channels.oppo.as_mut().unwrap().rate = Some(RATE);
    app.channels.vivo.as_mut().unwrap().rate = Some(RATE);
    // Encryption takes its time where it is compiled without optimisation.
    app.channels.webpush.as_mut().unwrap().rate = Some(15);
    apps.put(&app).await.unwrap();
}

async fn behave(stack: &Stack, channel: Channel, behaviour: Value) {
    stack.local(Method::PUT, &format!("vendors/{channel}"), Some(behaviour)).await;
}

async fn push(stack: &Stack, random: u32) -> String {
    let push = json!({"MsgRandom": random, "MsgLifeTime": 600, "MsgBody": text(&format!("news {random}"))});
    stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned()
}

/// Waits until nothing is queued, for later either. Whoever has lost three answers goes again after 128 seconds.
async fn settled(stack: &Stack) {
    for _ in 0..3 {
        if stack.is_settled_within(100_000).await {
            return;
        }
    }
    panic!("it never settles");
}

/// The id that a request has for a device, by which what comes twice is shown once.
fn id(channel: Channel, delivery: &Value) -> String {
    let request = &delivery["request"];
    let (headers, body) = (&request["headers"], &request["body"]);
    let form = Url::parse(&format!("http://form/?{}", body.as_str().unwrap_or_default())).unwrap();
    let field = |name: &str| form.query_pairs().find(|(field, _)| field == name).unwrap().1.into_owned();
    let id = match channel {
        Channel::Apns => headers["apns-collapse-id"].clone(),
        Channel::Webpush => headers["topic"].clone(),
        Channel::Fcm => body["message"]["android"]["notification"]["tag"].clone(),
        Channel::Huawei => body["message"]["android"]["notification"]["notify_id"].clone(),
        Channel::Harmony => body["payload"]["notification"]["appMessageId"].clone(),
        Channel::Honor => body["android"]["notification"]["notifyId"].clone(),
        Channel::Xiaomi => json!([field("extra.jobkey"), field("notify_id")]),
        Channel::Vivo => body["requestId"].clone(),
        Channel::Oppo => {
            let messages: Value = serde_json::from_str(&field("messages")).unwrap();
            let messages = messages.as_array().unwrap();
            let own = messages.iter().find(|message| message["target_value"] == delivery["token"]);
            own.unwrap()["notification"]["app_message_id"].clone()
        }
        Channel::Meizu => {
            let message: Value = serde_json::from_str(&field("messageJson")).unwrap();
            message["advanceInfo"]["notifyKey"].clone()
        }
        Channel::Ws => unreachable!("it has no vendor"),
    };
    assert!(!id.is_null(), "{channel} was sent without an id: {request}");
    id.to_string()
}

/// What came of a push that everyone was to get on a channel.
struct Reached {
    /// Those who got it more than once.
    twice: usize,
    /// Requests, a device each, whose answers were lost.
    unanswered: usize,
    /// What each device's copies are told by.
    ids: BTreeSet<String>,
}

/// Everyone has it, and was sent it again only while no answer told that they had it, each time with the same id. Where
/// what was answered is `forgotten`, they were sent it again all the same.
async fn reached(stack: &Stack, channel: Channel, tokens: &BTreeSet<String>, forgotten: bool) -> Reached {
    let deliveries = stack.deliveries(channel.name()).await;
    let mut copies: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for delivery in &deliveries {
        copies.entry(delivery["token"].as_str().unwrap()).or_default().push(delivery);
    }
    let accepted = |delivery: &Value| delivery["accepted"] == true;
    let everyone: BTreeSet<_> = tokens.iter().map(String::as_str).collect();
    let have_it: BTreeSet<_> =
        copies.iter().filter(|(_, copies)| copies.iter().any(|copy| accepted(copy))).map(|(token, _)| *token).collect();
    assert_eq!(have_it, everyone, "{channel}: not everyone was reached");
    let mut reached = Reached { twice: 0, unanswered: 0, ids: BTreeSet::new() };
    for (token, copies) in &copies {
        let first = copies.iter().position(|copy| accepted(copy) && copy["answered"] == true);
        if let Some(first) = first.filter(|_| !forgotten) {
            assert_eq!(
                first + 1,
                copies.len(),
                "{channel}: {token} has it for certain, and was sent it again: {copies:?}"
            );
        }
        let ids: BTreeSet<_> = copies.iter().filter(|copy| accepted(copy)).map(|copy| id(channel, copy)).collect();
        assert_eq!(ids.len(), 1, "{channel}: {token} shows it {} times", ids.len());
        reached.ids.extend(ids);
        reached.twice += usize::from(copies.iter().filter(|copy| accepted(copy)).count() > 1);
        reached.unanswered += copies.iter().filter(|copy| copy["answered"] == false).count();
    }
    reached
}

async fn all_are_accounted_for(stack: &Stack, task: &str, tokens: &BTreeMap<Channel, BTreeSet<String>>) {
    let account = stack.account(task).await;
    for (channel, tokens) in tokens {
        let (account, devices) = (&account[channel], tokens.len() as u32);
        assert_eq!((account.targeted, account.pending), (devices, 0), "{channel}: {account:?}");
        assert_eq!((account.settled.delivered, account.settled.total()), (devices, devices), "{channel}: {account:?}");
    }
}

/// What every vendor does wrong, a different thing each: the answers that it loses in the order of its requests.
fn misery(channel: Channel) -> Value {
    let lost = |lost: &[(u64, &str)]| -> Value {
        lost.iter().map(|(requests, how)| json!({"requests": requests, "how": how})).collect()
    };
    let many = lost(&[
        (4, "answer"),
        (3, "garbage"),
        (1, "silence"),
        (9, "answer"),
        (1, "reset"),
        (9, "answer"),
        (1, "reset"),
    ]);
    match channel {
        // A request a device.
        Channel::Apns => json!({"latency_ms": 20, "jitter_ms": 30, "goaway_after": 12, "lost": many}),
        Channel::Fcm => json!({"latency_ms": 20, "jitter_ms": 30, "reset_after": 17, "lost": many}),
        Channel::Webpush => {
            json!({"http1_only": true, "jitter_ms": 20, "goaway_after": 2, "reset_after": 5, "lost": many})
        }
        // Ten devices a request.
        Channel::Huawei => {
            json!({"goaway_after": 3, "lost": lost(&[(1, "reset"), (1, "garbage"), (2, "answer"), (1, "silence")])})
        }
        Channel::Harmony => {
            json!({"jitter_ms": 50, "reset_after": 4, "lost": lost(&[(1, "answer"), (1, "garbage"), (1, "reset")])})
        }
        Channel::Honor => {
            json!({"http1_only": true, "goaway_after": 1, "lost": lost(&[(1, "silence"), (1, "answer"), (1, "garbage")])})
        }
        Channel::Oppo => {
            json!({"http1_only": true, "reset_after": 3, "lost": lost(&[(1, "answer"), (1, "reset"), (2, "garbage")])})
        }
        Channel::Vivo => {
            json!({"latency_ms": 30, "goaway_after": 4, "lost": lost(&[(2, "garbage"), (1, "answer"), (1, "reset")])})
        }
        // All in one.
        Channel::Xiaomi => json!({"http1_only": true, "lost": lost(&[(1, "silence"), (1, "reset")])}),
        Channel::Meizu => json!({"goaway_after": 1, "lost": lost(&[(1, "garbage"), (1, "reset")])}),
        Channel::Ws => unreachable!("it has no vendor"),
    }
}

#[tokio::test]
async fn everyone_is_reached_whatever_becomes_of_the_vendors_answers() {
    let stack = a_stack().await;
    slow_down(&stack).await;
    let tokens = populate(&stack, 60).await;
    for channel in VENDORS {
        behave(&stack, channel, misery(channel)).await;
    }
    let task = push(&stack, 1).await;
    settled(&stack).await;
    all_are_accounted_for(&stack, &task, &tokens).await;
    let mut ids = BTreeMap::new();
    for (channel, tokens) in &tokens {
        let reached = reached(&stack, *channel, tokens, false).await;
        assert!(reached.unanswered > 0, "{channel}: no answer was lost");
        // These drop a repetition themselves; and Apple's and Google's status says enough where the body is garbage.
        let drops = matches!(channel, Channel::Oppo | Channel::Vivo);
        assert_eq!(reached.twice == 0, drops, "{channel}: {} have it twice", reached.twice);
        ids.insert(*channel, reached.ids);
    }

    // Now they are down altogether, each in its way, until somebody sets them right.
    stack.local(Method::DELETE, "deliveries", None).await;
    for (number, channel) in VENDORS.into_iter().enumerate() {
        let down = match number % 3 {
            0 => json!({"reset_after": 0}),
            1 => json!({"garbage": true, "errors": [{"first": 1, "status": 502, "reason": "10001"}]}),
            _ => json!({"errors": [{"share": 1.0, "status": 503, "reason": "10001"}], "latency_ms": 100}),
        };
        behave(&stack, channel, down).await;
    }
    let task = push(&stack, 2).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    join_all(VENDORS.map(|channel| behave(&stack, channel, json!({})))).await;
    settled(&stack).await;
    all_are_accounted_for(&stack, &task, &tokens).await;
    for (channel, tokens) in &tokens {
        let reached = reached(&stack, *channel, tokens, false).await;
        assert!(reached.ids.is_disjoint(&ids[channel]), "{channel}: the next push replaces this one");
    }
}

#[tokio::test]
async fn sockets_are_reached_whatever_becomes_of_the_gateways_answers() {
    let stack = a_stack().await;
    let mut sockets = Vec::new();
    for n in 0..12 {
        sockets.push(stack.socket(&format!("user{n}"), "desk").await);
    }
    let rule = |nth: u64, times: u64| json!({"function": "deliver-ws", "service": "execute-api", "operation": "PostToConnection", "nth": nth, "times": times});
    let mut fail = rule(8, 3);
    fail["error"] = json!("LimitExceededException");
    stack.local(Method::PUT, "faults", Some(json!({"lose": [rule(2, 4)], "fail": [fail]}))).await;
    let task = push(&stack, 1).await;
    settled(&stack).await;

    let account = &stack.account(&task).await[&Channel::Ws];
    assert_eq!((account.targeted, account.settled.delivered, account.pending), (12, 12, 0), "{account:?}");
    assert_eq!(account.settled.total(), 12, "{account:?}");
    let (mut ids, mut twice) = (BTreeSet::new(), 0);
    for socket in &mut sockets {
        ids.insert(socket.hear().await["id"].to_string());
        while let Some(again) = socket.hear_within(std::time::Duration::from_millis(100)).await {
            ids.insert(again["id"].to_string());
            twice += 1;
        }
    }
    assert_eq!((ids.len(), twice), (1, 4), "whoever's answer was lost hears it twice: {ids:?}");
}

/// Longer than it takes to reach everyone by eight channels, and shorter than the time that an answer may take.
const SLOW_MILLIS: u64 = 7_000;

#[tokio::test]
async fn a_vendor_is_done_before_others_that_are_down_have_answered_once() {
    let stack = a_stack().await;
    let tokens = populate(&stack, 3).await;
    let all_have_it = async |channel: Channel| {
        let delivered: BTreeSet<_> = stack.delivered(channel.name()).await.into_iter().collect();
        delivered == tokens[&channel]
    };
    // Processes that are only being started would be waited for, and prove nothing.
    push(&stack, 1).await;
    settled(&stack).await;
    stack.local(Method::DELETE, "deliveries", None).await;

    let down = [Channel::Huawei, Channel::Apns];
    let slow = json!({"errors": [{"share": 1.0, "status": 503, "reason": "10001"}], "latency_ms": SLOW_MILLIS});
    for channel in down {
        behave(&stack, channel, slow.clone()).await;
    }
    // An app may push once a second.
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    let task = push(&stack, 2).await;
    let (others, is_tried): (Vec<_>, _) =
        (VENDORS.into_iter().filter(|channel| !down.contains(channel)).collect(), async |channel: Channel| {
            !stack.deliveries(channel.name()).await.is_empty()
        });
    for channel in down {
        stack.until("those that are down are tried", async || is_tried(channel).await).await;
    }
    stack
        .until("the others are done", async || {
            let account = stack.account(&task).await;
            others.iter().all(|channel| {
                account.get(channel).is_some_and(|account| account.pending == 0 && account.targeted == 3)
            })
        })
        .await;
    // The order of things: nobody has heard anything from those that are down.
    for channel in down {
        let tried = stack.deliveries(channel.name()).await;
        assert!(tried.len() <= 3, "{channel} is in its first try: {tried:?}");
        assert!(tried.iter().all(|delivery| delivery["answered"] == false), "{channel} has answered: {tried:?}");
        assert_eq!(stack.account(&task).await[&channel].pending, 3, "{channel}");
    }
    for channel in others {
        assert!(all_have_it(channel).await, "{channel}");
    }
    for channel in down {
        behave(&stack, channel, json!({})).await;
    }
    settled(&stack).await;
    all_are_accounted_for(&stack, &task, &tokens).await;
    for channel in down {
        assert!(all_have_it(channel).await, "{channel}");
    }
}

#[tokio::test]
async fn a_process_that_dies_in_the_middle_of_a_batch_loses_no_one_on_any_channel() {
    let stack = a_stack().await;
    slow_down(&stack).await;
    let tokens = populate(&stack, 12).await;
    // Access tokens are had and kept: what is written from now on is the ledger, leased and then settled.
    push(&stack, 0).await;
    settled(&stack).await;
    let deaths = [(1, "before"), (1, "after"), (2, "before"), (2, "after")];
    for (number, (nth, when)) in deaths.into_iter().enumerate() {
        let death = format!("all die {when} PutItem {nth}");
        stack.local(Method::DELETE, "deliveries", None).await;
        let kill = VENDORS.map(|channel| {
            json!({"function": format!("deliver-{channel}"), "service": "dynamodb", "operation": "PutItem", "nth": nth, "when": when})
        });
        stack.local(Method::PUT, "faults", Some(json!({"kill": kill}))).await;
        let task = push(&stack, 1 + number as u32).await;
        stack
            .until(&format!("{death}: it comes to that"), async || {
                let faults = stack.local(Method::GET, "faults", None).await;
                faults["kill"].as_array().unwrap().iter().all(|rule| rule["calls"].as_u64().unwrap() >= nth)
            })
            .await;
        stack.local(Method::PUT, "faults", Some(json!({}))).await;
        come_to_rest(&stack, &death).await;
        all_are_accounted_for(&stack, &task, &tokens).await;
        for (channel, tokens) in &tokens {
            // It was taken, and the ledger does not know: whoever comes next has to send it again.
            let unknown = (nth, when) == (2, "before");
            let reached = reached(&stack, *channel, tokens, unknown).await;
            let drops = matches!(channel, Channel::Oppo | Channel::Vivo);
            // On a busy machine some may not have had their turn when the process died.
            assert_eq!(reached.twice > 0, unknown && !drops, "{death}: {} on {channel} have it twice", reached.twice);
        }
    }
}
