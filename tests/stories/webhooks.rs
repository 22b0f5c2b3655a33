//! An app's own server hears what came of its pushes, and who comes and goes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fanfare::domain::{App, AppId, Slot, SocketChange, StateChange, Timestamp, UserId};
use fanfare::queue::{News, WebhookTask, Webhooks};
use fanfare::store::{AppStore, PaceStore, Paced, Rest, RestStore};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{SDK_APP_ID, Stack};

use crate::{a_stack, text};

/// The demo app's, as the local stack sets it.
const TOKEN: &str = fanfare_local::webhook::TOKEN;

/// What is told of one device, without times: account, type, platform, stage, error.
type Told = (String, u64, u64, u64, u64, String);

#[tokio::test]
async fn each_device_is_told_of_when_it_was_sent_to_and_when_it_was_reached() {
    let stack = a_stack_with_a_webhook().await;
    let (alive, dead) = ("aa".repeat(32), "bb".repeat(32));
    stack.register("ben", "phone", "apns", &alive).await;
    stack.register("dan", "phone", "apns", &dead).await;
    stack.register("cleo", "phone", "fcm", &"c".repeat(140)).await;
    stack.local(Method::PUT, "vendors/apns", Some(json!({"dead_tokens": [dead]}))).await;
    // A try that fails and is made again is no news.
    let unavailable = json!({"errors": [{"first": 1, "status": 503, "reason": "UNAVAILABLE"}]});
    stack.local(Method::PUT, "vendors/fcm", Some(unavailable)).await;
    let mut anne = stack.socket("anne", "phone").await;

    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")});
    let task_id = stack.ok("all_member_push/im_push", push).await["TaskId"].clone();
    let heard = anne.hear().await;
    stack.until("all four are told of", async || told(&stack, "webhook").await.len() == 4).await;
    anne.ack(std::slice::from_ref(&heard)).await;
    stack.until("that she has it is told", async || told(&stack, "webhook").await.len() == 5).await;
    // What was acknowledged, was never sent, or is not for her is no news.
    stack.idle().await;
    anne.say(json!({"type": "ack", "seqs": [1, 2, 99]})).await;
    stack.idle().await;

    let one = |user: &str, by: u64, platform: u64, stage: u64, code: u64, word: &str| {
        (user.to_owned(), by, platform, stage, code, word.to_owned())
    };
    let mut expected = [
        one("anne", 2, 0, 1, 0, "OK"),
        one("anne", 2, 0, 2, 0, "OK"),
        one("ben", 1, 1, 1, 0, "OK"),
        one("cleo", 1, 4, 1, 0, "OK"),
        one("dan", 1, 1, 1, 1, "invalid_token"),
    ];
    expected.sort();
    assert_eq!(told(&stack, "webhook").await, expected);
    for call in calls(&stack, "webhook").await.iter().filter(|call| !events(call).is_empty()) {
        for event in events(call) {
            assert_eq!((&event["TaskId"], &event["CallbackCommand"]), (&task_id, &json!("Push.AllMemberPush")));
            assert!(event["EventTime"].as_i64() >= event["TaskTime"].as_i64(), "{event}");
            assert!((stack.now() - event["TaskTime"].as_i64().unwrap()).abs() < 600, "seconds: {event}");
        }
        assert_is_signed(call, "Push.AllMemberPush");
    }
}

#[tokio::test]
async fn who_is_not_meant_is_not_said_to_be_reached() {
    let stack = a_stack_with_a_webhook().await;
    let mut anne = stack.socket("anne", "phone").await;
    let mut ben = stack.socket("ben", "phone").await;
    let tags = json!({"UserTags": [{"To_Account": "ben", "Tags": ["gold"]}]});
    stack.ok("all_member_push/im_add_tag", tags).await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "Condition": {"TagsAnd": ["gold"]}, "MsgBody": text("hi")});
    stack.ok("all_member_push/im_push", push).await;
    let heard = ben.hear().await;
    stack.idle().await;
    anne.say(json!({"type": "ack", "seqs": [1]})).await;
    ben.ack(&[heard]).await;
    let reached = async || told(&stack, "webhook").await.into_iter().filter(|told| told.3 == 2).collect::<Vec<_>>();
    stack.until("that he has it is told", async || !reached().await.is_empty()).await;
    stack.idle().await;
    let reached: Vec<String> = reached().await.into_iter().map(|told| told.0).collect();
    assert_eq!(reached, ["ben"]);
}

#[tokio::test]
async fn users_come_and_go() {
    let stack = a_stack_with_a_webhook().await;
    stack.register("anne", "phone", "apns", &"ab".repeat(32)).await;
    let socket = stack.socket("anne", "phone").await;
    stack.until("she came", async || states(&stack, "webhook").await.len() == 1).await;
    socket.close().await;
    stack.until("she went", async || states(&stack, "webhook").await.len() == 2).await;

    let calls = calls(&stack, "webhook").await;
    let info = |action: &str, reason: &str| json!({"Action": action, "To_Account": "anne", "Reason": reason});
    assert_eq!(calls[0]["body"]["Info"], info("Login", "Register"));
    assert_eq!(calls[1]["body"]["Info"], info("Disconnect", "LinkClose"));
    for call in &calls {
        assert_is_signed(call, "State.StateChange");
        assert_eq!(call["body"]["CallbackCommand"], "State.StateChange");
        let at = call["body"]["EventTime"].as_i64().unwrap();
        assert!((stack.now() * 1_000 - at).abs() < 600_000, "milliseconds: {at}");
        assert_eq!(query(call)["ClientIP"], "127.0.0.1");
    }
    assert_eq!(
        (query(&calls[0])["OptPlatform"].as_str(), query(&calls[1])["OptPlatform"].as_str()),
        ("iOS", "Unknown")
    );
}

#[tokio::test]
async fn an_app_that_wants_to_hear_nothing_pays_nothing() {
    for (what, stack) in [("no webhook", a_stack().await), ("no events", a_stack().await)] {
        if what == "no events" {
            with_webhook(&stack, |webhook| webhook["events"] = json!([])).await;
        }
        stack.register("ben", "phone", "apns", &"ab".repeat(32)).await;
        let mut anne = stack.socket("anne", "phone").await;
        let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")});
        stack.ok("all_member_push/im_push", push).await;
        let heard = anne.hear().await;
        stack.until("the phone is reached", async || stack.delivered("apns").await.len() == 1).await;
        anne.ack(&[heard]).await;
        anne.close().await;
        stack.idle().await;
        let usage = stack.local(Method::GET, "usage", None).await;
        assert_eq!(usage["sqs"]["queues"].get("WebhookQueue"), None, "{what}");
        assert_eq!(usage["dynamodb"]["functions"].get("webhook"), None, "{what}");
        assert_eq!(calls(&stack, "webhook").await, [] as [Value; 0], "{what}");
    }
}

#[tokio::test]
async fn an_app_hears_only_of_what_it_wants() {
    let stack = a_stack().await;
    with_webhook(&stack, |webhook| webhook["events"] = json!(["state"])).await;
    let mut anne = stack.socket("anne", "phone").await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")});
    stack.ok("all_member_push/im_push", push).await;
    let heard = anne.hear().await;
    anne.ack(&[heard]).await;
    anne.close().await;
    stack.until("she came and went", async || states(&stack, "webhook").await.len() == 2).await;
    stack.idle().await;
    assert_eq!(told(&stack, "webhook").await, []);
}

#[tokio::test]
async fn a_dead_server_holds_up_no_delivery_and_no_other_apps_webhook() {
    let stack = &a_stack_with_a_webhook().await;
    a_second_app(stack).await;
    let users: Vec<usize> = (0..300).collect();
    for users in users.chunks(20) {
        let token = |n: usize| format!("{n:064x}");
        join_all(users.iter().map(|n| async move {
            stack.register(&format!("user{n}"), "phone", "apns", &token(*n)).await;
        }))
        .await;
    }
    stack.local(Method::PUT, "webhook", Some(json!({"delay_ms": 60_000}))).await;

    let push = json!({"MsgRandom": 1, "MsgLifeTime": 86_400, "MsgBody": text("hi")});
    let answer = stack.ok("all_member_push/im_push", push).await;
    // Far more than the workers there are can call at a time.
    come(stack, "1400000000", 500).await;
    come(stack, "two", 1).await;
    stack.until("all phones are reached", async || stack.delivered("apns").await.len() == 300).await;
    stack.until("the other app hears", async || !states(stack, "webhook/two").await.is_empty()).await;
    // In its turn it would come behind all of them.
    let vain = calls_before_the_other(stack).await;
    assert!(vain < 40, "the other app waited for {vain} vain calls");
    let closed = async || {
        let account = stack.account(answer["TaskId"].as_str().unwrap()).await;
        !account.is_empty() && account.values().all(|account| account.pending == 0)
    };
    stack.until("the push is accounted for", closed).await;
    assert_eq!(stack.delivered("apns").await.len(), 300, "each once");

    // While it rests it is not called: those who call side by side fail once, and from then on few find out.
    let vain = calls(stack, "webhook").await.len();
    assert!(vain < 80, "{vain} calls in vain");

    // It recovers, and hears everything; in calls of a hundred at most.
    stack.local(Method::PUT, "webhook", Some(json!({}))).await;
    let heard = async || {
        let events: Vec<usize> = heard(stack, "webhook").await.iter().map(|call| events(call).len()).collect();
        assert!(events.iter().all(|events| *events <= 100), "{events:?}");
        let told = told(stack, "webhook").await;
        let accounts: BTreeSet<&str> = told.iter().map(|told| told.0.as_str()).collect();
        let came: BTreeSet<String> = states(stack, "webhook").await.into_iter().collect();
        accounts.iter().filter(|account| account.starts_with("user")).count() == 300 && came.len() == 500
    };
    stack.until("it has heard of all", heard).await;
}

#[tokio::test]
async fn a_slow_server_holds_up_no_other_apps_webhook() {
    // More environments than a slow server may take: it may take 25, and 10 that wait for their turns.
    let arguments = ["--webhook", "--concurrency", "60"];
    let stack = &Stack::start_with(env!("CARGO_BIN_EXE_stack"), &arguments).await;
    a_second_app(stack).await;
    stack.local(Method::PUT, "webhook", Some(json!({"delay_ms": 1_000}))).await;
    come(stack, "1400000000", 600).await;
    stack.until("the slow one is called", async || !calls(stack, "webhook").await.is_empty()).await;
    come(stack, "two", 1).await;
    stack.until("the other app hears", async || !states(stack, "webhook/two").await.is_empty()).await;
    // In its turn it would come behind all of them.
    let slow = calls_before_the_other(stack).await;
    assert!((1..300).contains(&slow), "the other app waited for {slow} slow calls");
    stack.local(Method::PUT, "webhook", Some(json!({}))).await;
    let came = async || states(stack, "webhook").await.into_iter().collect::<BTreeSet<_>>().len();
    stack.until("the slow one has heard of all", async || came().await == 600).await;
}

#[tokio::test]
async fn a_server_is_called_no_faster_than_its_app_allows() {
    let stack = a_stack().await;
    with_webhook(&stack, |webhook| webhook["rate"] = json!(5)).await;
    let begun = Instant::now();
    come(&stack, "1400000000", 31).await;
    let came = async || states(&stack, "webhook").await.into_iter().collect::<BTreeSet<_>>().len();
    stack.until("it has heard of all", async || came().await == 31).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(6), "thirty after the first, five a second: {took:?}");
    let mut seconds: BTreeMap<String, usize> = BTreeMap::new();
    for call in calls(&stack, "webhook").await {
        *seconds.entry(query(&call).remove("RequestTime").unwrap()).or_default() += 1;
    }
    assert!(seconds.values().all(|calls| *calls <= 15), "no second has most of them: {seconds:?}");
}

#[tokio::test]
async fn a_push_is_told_with_the_word_that_its_caller_has_for_it() {
    let stack = a_stack_with_a_webhook().await;
    let _anne = stack.socket("anne", "phone").await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "To_Account": ["anne"], "DataId": "spring-sale",
        "OfflinePushInfo": {"Title": "Sale", "Desc": "today"}, "MsgBody": text("hi")});
    let task_id = stack.ok("timpush/batch", push.clone()).await["TaskId"].clone();
    let all = json!({"MsgRandom": 2, "MsgLifeTime": 600, "DataId": "for-all",
        "OfflinePushInfo": {"Title": "Sale", "Desc": "today"}, "MsgBody": text("hi")});
    let all_task_id = stack.ok("timpush/push", all).await["TaskId"].clone();
    stack.until("both are told of", async || told(&stack, "webhook").await.len() == 2).await;
    let told: BTreeSet<(String, String)> = heard(&stack, "webhook")
        .await
        .iter()
        .flat_map(events)
        .map(|event| (event["DataId"].as_str().unwrap().to_owned(), event["TaskId"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [("spring-sale", task_id), ("for-all", all_task_id)];
    let expected = expected.map(|(data_id, task_id)| (data_id.to_owned(), task_id.as_str().unwrap().to_owned()));
    assert_eq!(told, BTreeSet::from(expected));
}

#[tokio::test]
async fn a_server_that_fails_for_a_while_hears_everything_in_the_end() {
    let stack = &a_stack_with_a_webhook().await;
    stack.local(Method::PUT, "webhook", Some(json!({"status": 500, "times": 2}))).await;
    stack.register("ben", "phone", "apns", &"ab".repeat(32)).await;
    let _anne = stack.socket("anne", "phone").await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")});
    stack.ok("all_member_push/im_push", push).await;
    let refused = async || calls(stack, "webhook").await.iter().filter(|call| call["status"] == 500).count() == 2;
    stack.until("it has failed twice", refused).await;
    // Then it answers, and says that it could not hear.
    stack.local(Method::PUT, "webhook", Some(json!({"error_code": 1, "times": 1}))).await;
    let all = async || {
        let told: BTreeSet<String> = told(stack, "webhook").await.into_iter().map(|told| told.0).collect();
        told == BTreeSet::from(["anne".to_owned(), "ben".to_owned()]) && states(stack, "webhook").await == ["anne"]
    };
    stack.until("it has heard of all", all).await;
    stack.idle().await;
    assert!(calls(stack, "webhook").await.iter().any(|call| call["error_code"] == 1));
}

#[tokio::test]
async fn a_server_that_is_well_again_is_called_at_once() {
    let stack = a_stack_with_a_webhook().await;
    let (client, tables) = stack.store().await;
    let (rests, pace) = (RestStore::new(client.clone(), &tables.pushes), PaceStore::new(client, &tables.pushes));
    let (app, now) = (AppId::try_from("1400000000").unwrap(), Timestamp::from_secs(stack.now()));
    // A rest that is over, and an hour of turns that were reserved by tasks which then were put back.
    let failed = ("it failed", None);
    rests.begin(Some(&app), Paced::Webhook, &Rest::default(), failed, now.plus_secs(-60)).await.unwrap();
    pace.push_back(Some(&app), Paced::Webhook, Duration::from_secs(3_600), now).await.unwrap();
    let first = WebhookTask { window: Some(Slot { start: now, end: now }), ..came(&stack, "1400000000", "anne", 0) };
    queue(&stack).await.enqueue(&[first], Duration::ZERO).await.unwrap();
    stack.until("the first is told", async || states(&stack, "webhook").await == ["anne"]).await;
    stack.idle().await;
    assert_eq!(rests.get(Some(&app), Paced::Webhook).await.unwrap(), Rest::default());
    let next = came(&stack, "1400000000", "ben", 0);
    queue(&stack).await.enqueue(&[next], Duration::ZERO).await.unwrap();
    stack.until("the next one is told", async || states(&stack, "webhook").await == ["anne", "ben"]).await;
}

#[tokio::test]
async fn a_private_address_is_not_called() {
    for host in ["127.0.0.1", "localhost", "0x7f.1", "[::1]"] {
        let stack = a_stack().await;
        with_webhook(&stack, |webhook| {
            let url = webhook["url"].as_str().unwrap().replace("127.0.0.1", host);
            webhook["url"] = json!(format!("{url}?key=hidden"));
            webhook["allow_private"] = json!(false);
        })
        .await;
        let _anne = stack.socket("anne", "phone").await;
        let refused = async || {
            let lines = stack.local(Method::GET, "logs?function=webhook", None).await;
            let lines = lines.as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>();
            assert!(!lines.iter().any(|line| line.contains("hidden")), "only the host is logged: {lines:?}");
            lines.iter().any(|line| line.contains("is refused") && line.contains("not public"))
        };
        stack.until("it is refused", refused).await;
        stack.idle().await;
        assert_eq!(calls(&stack, "webhook").await, [] as [Value; 0], "{host}");
        assert_eq!(waiting(&stack).await, 0, "it is not tried again");
        assert_eq!(stack.local(Method::GET, "queues", None).await["WebhookDeadLetters"]["visible"], 0);
    }
}

#[tokio::test]
async fn what_never_passes_becomes_a_dead_letter() {
    let stack = a_stack_with_a_webhook().await;
    stack.local(Method::PUT, "webhook", Some(json!({"status": 500}))).await;
    // As it is after the waits of a quarter of an hour.
    let task = came(&stack, "1400000000", "anne", 5);
    queue(&stack).await.enqueue(&[task], Duration::ZERO).await.unwrap();
    let dead = async || stack.local(Method::GET, "queues", None).await["WebhookDeadLetters"]["visible"] == 1;
    stack.until("it was called", async || calls(&stack, "webhook").await.len() == 1).await;
    let mut receptions = 0;
    while !dead().await {
        assert!(receptions < 8, "it goes round for ever");
        receptions += 1;
        stack.nothing_runs().await;
        stack.advance(400).await;
        stack.nothing_runs().await;
    }
    assert!(receptions >= 4, "SQS has tried it five times: {receptions}");
    let lines = stack.local(Method::GET, "logs?function=webhook", None).await.to_string();
    assert!(lines.contains("is given up") && !lines.contains("ERROR"), "a stranger's fault is no error: {lines}");
    assert_eq!(waiting(&stack).await, 0);
}

#[tokio::test]
async fn news_that_the_queue_does_not_take_hold_up_no_delivery() {
    let stack = a_stack_with_a_webhook().await;
    let token = "ab".repeat(32);
    stack.register("ben", "phone", "apns", &token).await;
    let fail = json!({"function": "deliver-apns", "service": "sqs", "operation": "SendMessage", "nth": 1, "times": 1_000,
        "error": "ServiceUnavailable"});
    stack.local(Method::PUT, "faults", Some(json!({"fail": [fail]}))).await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 86_400, "MsgBody": text("hi")});
    let answer = stack.ok("all_member_push/im_push", push).await;
    stack.until("the phone is reached", async || stack.delivered("apns").await.len() == 1).await;
    stack.idle().await;
    stack.local(Method::PUT, "faults", Some(json!({}))).await;
    for _ in 0..2 {
        stack.advance(400).await;
        stack.idle().await;
    }
    assert_eq!(stack.delivered("apns").await, [token], "once");
    let account = stack.account(answer["TaskId"].as_str().unwrap()).await;
    assert!(account.values().all(|account| account.pending == 0), "{account:?}");
    assert_eq!(told(&stack, "webhook").await, [], "what was not taken is lost");
    let lines = stack.local(Method::GET, "logs?function=deliver-apns", None).await.to_string();
    assert!(lines.contains("misses some news"), "and that is logged");
}

#[tokio::test]
async fn a_process_that_dies_after_the_send_loses_no_news() {
    for when in ["before", "after"] {
        let stack = a_stack_with_a_webhook().await;
        stack.register("ben", "phone", "apns", &"ab".repeat(32)).await;
        // At the telling of what came of the batch, which is sent and not in the ledger.
        let kill =
            json!({"function": "deliver-apns", "service": "sqs", "operation": "SendMessage", "nth": 1, "when": when});
        stack.local(Method::PUT, "faults", Some(json!({"kill": [kill]}))).await;
        let push = json!({"MsgRandom": 1, "MsgLifeTime": 86_400, "MsgBody": text("hi")});
        stack.ok("all_member_push/im_push", push).await;
        let died = async || stack.local(Method::GET, "faults", None).await["kill"][0]["calls"].as_u64() >= Some(1);
        stack.until("it dies", died).await;
        while !stack.is_idle_within(3_000).await {
            stack.nothing_runs().await;
            stack.advance(400).await;
        }
        let told: Vec<String> = told(&stack, "webhook").await.into_iter().map(|told| told.0).collect();
        let times = if when == "before" { 1 } else { 2 };
        assert_eq!(told, vec!["ben"; times], "killed {when}: at least once, as often as the batch was sent");
    }
}

/// A stack whose demo app has a webhook: the sandbox.
async fn a_stack_with_a_webhook() -> Stack {
    Stack::start_with(env!("CARGO_BIN_EXE_stack"), &["--webhook"]).await
}

/// Gives the demo app a webhook, the sandbox but for some changes. Before any function has read the app: it is
/// remembered for seconds.
async fn with_webhook(stack: &Stack, change: impl FnOnce(&mut Value)) {
    let (client, tables) = stack.store().await;
    let store = AppStore::new(client, tables.apps);
    let app = store.get(&AppId::try_from("1400000000").unwrap()).await.unwrap().unwrap();
    let mut app = serde_json::to_value(&*app).unwrap();
    let mut webhook = json!({"url": format!("{}/_local/webhook", stack.base()), "token": TOKEN, "allow_private": true});
    change(&mut webhook);
    app["webhook"] = webhook;
    store.put(&serde_json::from_value::<App>(app).unwrap()).await.unwrap();
}

/// Another app with a server of its own.
async fn a_second_app(stack: &Stack) {
    let (client, tables) = stack.store().await;
    let app = json!({
        "id": "two",
        "tencent": {"sdk_app_id": 2, "secret_key": "key of two", "admins": ["administrator"]},
        "webhook": {"url": format!("{}/_local/webhook/two", stack.base()), "allow_private": true},
    });
    AppStore::new(client, tables.apps).put(&serde_json::from_value(app).unwrap()).await.unwrap();
}

/// That a user has come, as it is queued.
fn came(stack: &Stack, app: &str, user: &str, attempt: u8) -> WebhookTask {
    let change = StateChange {
        user: UserId::try_from(user).unwrap(),
        change: SocketChange::Connected,
        at: Timestamp::from_secs(stack.now()),
        platform: None,
        ip: None,
    };
    WebhookTask { app: AppId::try_from(app).unwrap(), news: News::State(change), attempt, window: None }
}

/// So many users of an app come at once.
async fn come(stack: &Stack, app: &str, users: usize) {
    let tasks: Vec<_> = (0..users).map(|n| came(stack, app, &format!("user{n}"), 0)).collect();
    queue(stack).await.enqueue(&tasks, Duration::ZERO).await.unwrap();
}

/// The queue of webhooks.
async fn queue(stack: &Stack) -> Webhooks {
    let endpoints = stack.local(Method::GET, "endpoints", None).await;
    let sqs = endpoints["sqs"].as_str().unwrap();
    let config = stack.sdk_config(sqs).await;
    Webhooks::new(fanfare::queue::Client::new(&config), format!("{sqs}/000000000000/WebhookQueue"))
}

/// How many messages the queue of webhooks holds.
async fn waiting(stack: &Stack) -> u64 {
    let queue = &stack.local(Method::GET, "queues", None).await["WebhookQueue"];
    ["visible", "in_flight", "delayed"].iter().filter_map(|kind| queue[*kind].as_u64()).sum()
}

/// All that a server was called for.
async fn calls(stack: &Stack, server: &str) -> Vec<Value> {
    stack.local(Method::GET, server, None).await.as_array().unwrap().clone()
}

/// What a server says that it heard.
async fn heard(stack: &Stack, server: &str) -> Vec<Value> {
    let mut calls = calls(stack, server).await;
    calls.retain(|call| call["status"] == 200 && call["error_code"] == 0);
    calls
}

/// How many calls the demo app's server had when the other app's had its first.
async fn calls_before_the_other(stack: &Stack) -> usize {
    let number = |call: &Value| call["number"].as_u64().unwrap();
    let other = number(&calls(stack, "webhook/two").await[0]);
    calls(stack, "webhook").await.iter().filter(|call| number(call) < other).count()
}

fn events(call: &Value) -> &[Value] {
    call["body"]["Events"].as_array().map_or(&[], Vec::as_slice)
}

/// What a server heard of pushes, sorted, each as often as it did.
async fn told(stack: &Stack, server: &str) -> Vec<Told> {
    let heard = heard(stack, server).await;
    let number = |event: &Value, name: &str| event[name].as_u64().unwrap();
    let mut told: Vec<Told> = heard
        .iter()
        .flat_map(events)
        .map(|event| {
            assert_eq!(event["DeviceType"], event["PushPlatform"]);
            (
                event["To_Account"].as_str().unwrap().to_owned(),
                number(event, "EventType"),
                number(event, "PushPlatform"),
                number(event, "PushStage"),
                number(event, "ErrCode"),
                event["ErrInfo"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    told.sort();
    told
}

/// Whom a server heard to come or go, in the order of the calls.
async fn states(stack: &Stack, server: &str) -> Vec<String> {
    let account = |call: &Value| call["body"]["Info"]["To_Account"].as_str().map(str::to_owned);
    heard(stack, server).await.iter().filter_map(account).collect()
}

fn query(call: &Value) -> BTreeMap<String, String> {
    serde_json::from_value::<Vec<(String, String)>>(call["query"].clone()).unwrap().into_iter().collect()
}

/// The URL says what the contract says, and proves that it is us.
fn assert_is_signed(call: &Value, command: &str) {
    let query = query(call);
    assert_eq!(query["SdkAppid"], SDK_APP_ID.to_string());
    assert_eq!((query["CallbackCommand"].as_str(), query["contenttype"].as_str()), (command, "json"));
    let hash = Sha256::digest(format!("{TOKEN}{}", query["RequestTime"]));
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(query["Sign"], hex);
}
