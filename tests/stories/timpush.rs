//! A backend that was written for the newer push service calls us.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use support::Stack;

use crate::{a_stack, text};

const WEEK: i64 = 604_800;

fn token(n: u32) -> String {
    format!("{n:064x}")
}

/// When a vendor was told to give up on a notification, in seconds.
fn expiry(delivery: &Value) -> i64 {
    delivery["request"]["headers"]["apns-expiration"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn tags_not_leaves_out_those_who_have_all_of_them() {
    let stack = a_stack().await;
    // One user of each combination of four tags, named by its tags.
    let names: Vec<String> = (0..16_u8)
        .map(|set| "abcd".chars().enumerate().map(|(n, tag)| if set & 1 << n == 0 { '-' } else { tag }).collect())
        .collect();
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": names})).await;
    let tagged: Vec<Value> = names
        .iter()
        .map(|name| {
            let tags: Vec<String> = name.chars().filter(|tag| *tag != '-').map(String::from).collect();
            json!({"To_Account": name, "Tags": tags})
        })
        .collect();
    stack.ok("timpush/add_tag", json!({"UserTags": tagged})).await;
    let mut sockets = Vec::new();
    for name in &names {
        sockets.push((name, stack.socket(name, "phone").await));
    }

    type IsFor = fn(&str) -> bool;
    let cases: [(Value, IsFor); 4] = [
        (json!({"TagsOr": ["a", "b"], "TagsNot": ["c", "d"]}), |name| {
            (name.contains('a') || name.contains('b')) && !(name.contains('c') && name.contains('d'))
        }),
        (json!({"TagsAnd": ["a", "b"], "TagsNot": ["c"]}), |name| {
            name.contains('a') && name.contains('b') && !name.contains('c')
        }),
        (json!({"TagsOr": ["a", "c"], "TagsAnd": ["b"], "TagsNot": ["a", "b", "c"]}), |name| {
            (name.contains('a') || name.contains('c'))
                && name.contains('b')
                && !(name.contains('a') && name.contains('c'))
        }),
        (json!({"TagsNot": ["a"]}), |name| !name.contains('a')),
    ];
    for (random, (condition, is_for)) in (1..).zip(cases) {
        stack.advance(2).await;
        let push = json!({"MsgRandom": random, "Condition": condition, "MsgBody": text("hi"), "OnlineOnlyFlag": 1});
        let task = stack.ok("timpush/push", push).await["TaskId"].clone();
        stack.idle().await;
        let mut reached = BTreeSet::new();
        for (name, socket) in &mut sockets {
            if let Some(push) = socket.hear_within(Duration::from_millis(30)).await {
                assert_eq!(push["task_id"], task);
                reached.insert(name.to_string());
            }
        }
        let meant: BTreeSet<String> = names.iter().filter(|name| is_for(name)).cloned().collect();
        assert_eq!(reached, meant, "{condition}");
    }
}

#[tokio::test]
async fn a_message_is_kept_unless_it_is_for_online_users_and_vendors_have_a_week_for_it() {
    let stack = a_stack().await;
    let mut online = stack.socket("online", "phone").await;
    for (n, user) in [(1, "online"), (2, "offline")] {
        stack.register(user, "iphone", "apns", &token(n)).await;
    }
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "news"})).await;
    let push = |random: u32, flag: Value, body: &str| {
        json!({"From_Account": "news", "MsgRandom": random, "OnlineOnlyFlag": flag, "MsgBody": text(body), "DataId": "mine",
            "MsgLifeTime": "unknown here"})
    };

    let kept = stack.ok("timpush/push", push(1, json!(null), "kept")).await;
    let heard = online.hear().await;
    assert_eq!((&heard["body"], &heard["from"], &heard["seq"]), (&text("kept"), &json!("news"), &json!(1)));
    assert_eq!((&heard["task_id"], heard.get("notification")), (&kept["TaskId"], None));
    let expires_at = heard["expires_at"].as_i64().unwrap();
    assert_eq!(expires_at, heard["sent_at"].as_i64().unwrap() / 1_000 + WEEK);
    stack.idle().await;
    stack.advance(2).await;

    stack.ok("timpush/push", push(2, json!(1), "for now")).await;
    let heard = online.hear().await;
    assert_eq!((&heard["body"], &heard["expires_at"]), (&text("for now"), &Value::Null));
    stack.idle().await;

    // Both went to the phone of the one who was offline, and may wait for it for a week; only one is there for its app.
    assert_eq!(stack.delivered("apns").await, [token(2), token(2)]);
    let deliveries = stack.deliveries("apns").await;
    assert_eq!(expiry(&deliveries[0]), expires_at);
    assert!((expiry(&deliveries[1]) - expires_at - 2).abs() <= 2, "{deliveries:#?}");
    let missed = stack.socket("offline", "phone").await.sync().await;
    assert_eq!(missed.iter().map(|push| &push["body"]).collect::<Vec<_>>(), [&text("kept")]);
    stack.advance(WEEK).await;
    assert!(stack.socket("offline", "phone").await.sync().await.is_empty(), "its week is over");
}

#[tokio::test]
async fn without_a_body_the_notification_is_all_there_is() {
    let stack = a_stack().await;
    let mut online = stack.socket("online", "phone").await;
    for (n, user) in [(1, "online"), (2, "offline")] {
        stack.register(user, "iphone", "apns", &token(n)).await;
    }
    let push = |random: u32, flag: u32| {
        let info = json!({"PushFlag": flag, "Title": "News", "Desc": "It rains", "Ext": "{\"page\":7}"});
        json!({"From_Account": "administrator", "MsgRandom": random, "OfflinePushInfo": info})
    };
    let shown = json!({"title": "News", "text": "It rains", "ext": "{\"page\":7}"});
    for (random, flag) in [(1, 0), (2, 1)] {
        let answer = stack.ok("timpush/push", push(random, flag)).await;
        let heard = online.hear().await;
        assert_eq!((&heard["body"], &heard["notification"]), (&json!([]), &shown));
        assert_eq!((&heard["expires_at"], &heard["task_id"]), (&Value::Null, &answer["TaskId"]));
        stack.idle().await;
        stack.advance(2).await;
    }
    // The second was for the online channel only, and nothing is kept of either.
    assert_eq!(stack.delivered("apns").await, [token(2)]);
    let delivery = &stack.deliveries("apns").await[0];
    assert!((expiry(delivery) - stack.now() - WEEK).abs() < 60, "{delivery:#}");
    assert!(stack.socket("offline", "phone").await.sync().await.is_empty());
}

#[tokio::test]
async fn both_services_share_the_quota_and_their_calls_are_no_repeats_of_each_other() {
    let stack = a_stack().await;
    let mut socket = stack.socket("anne", "phone").await;
    let push = json!({"MsgRandom": 1, "MsgBody": text("hi")});
    let first = stack.ok("timpush/push", push.clone()).await;
    assert_eq!(stack.ok("timpush/push", push.clone()).await["TaskId"], first["TaskId"], "a repeat");
    assert_eq!(
        stack.call("all_member_push/im_push", push.clone()).await["ErrorCode"],
        90024,
        "not more than a second ago"
    );
    stack.advance(2).await;
    let second = stack.ok("all_member_push/im_push", push).await;
    assert_ne!(first["TaskId"], second["TaskId"]);
    assert_eq!((&socket.hear().await["seq"], &socket.hear().await["seq"]), (&json!(1), &json!(2)));
    assert_eq!(stack.spent("1400000000").await, (2, 2));

    let parts: Vec<&str> = first["TaskId"].as_str().unwrap().split('_').collect();
    assert_eq!((parts.len(), parts[1], parts[4]), (5, "53724e00", "1"));
    stack.idle().await;
    let account = stack.account(first["TaskId"].as_str().unwrap()).await;
    assert_eq!(account.values().map(|account| account.targeted).sum::<u32>(), 1, "the id leads back to the push");
}

#[tokio::test]
async fn a_batch_reaches_the_named_and_costs_by_them() {
    let stack = a_stack().await;
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": ["anne", "ben", "unnamed"]})).await;
    pretend_population(&stack, 4 * 65_536 + 5).await;
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "cleo"})).await;
    pretend_population(&stack, 10 * 65_536).await;
    for (n, user) in [(1, "anne"), (2, "ben"), (3, "cleo"), (4, "unnamed")] {
        stack.register(user, "iphone", "apns", &token(n)).await;
    }
    let mut anne = stack.socket("anne", "phone").await;
    stack.idle().await;

    stack.local(Method::DELETE, "usage", None).await;
    let batch = json!({"From_Account": "administrator", "To_Account": ["anne", "cleo", "nobody", "anne", "小明", "ben"],
        "MsgRandom": 7, "OfflinePushInfo": {"Title": "News", "Desc": "It rains"}, "DataId": "mine"});
    let answer = stack.ok("timpush/batch", batch.clone()).await;
    let task = answer["TaskId"].as_str().unwrap();
    assert!(task.starts_with("batch_") && task.ends_with("_7"), "{task}");
    let refused: Vec<_> =
        answer["ErrorList"].as_array().unwrap().iter().map(|refused| &refused["To_Account"]).collect();
    assert_eq!(refused, ["小明", "nobody"]);
    assert!(answer["ErrorList"].as_array().unwrap().iter().all(|refused| refused["ErrorCode"] == 70107));
    let heard = anne.hear().await;
    assert_eq!((&heard["body"], &heard["seq"], &heard["task_id"]), (&json!([]), &Value::Null, &answer["TaskId"]));
    assert_eq!(heard["notification"], json!({"title": "News", "text": "It rains", "ext": null}));
    stack.idle().await;
    assert_eq!(stack.delivered("apns").await, [token(2), token(3)]);
    assert_eq!(stack.account(task).await.values().map(|account| account.targeted).sum::<u32>(), 3);

    // Two of ten shards have members: one task to spread, and one for each of the two.
    let usage = stack.local(Method::GET, "usage", None).await;
    let sent = |queue: &str| -> u64 {
        let operations = usage["sqs"]["queues"][queue].as_object().into_iter().flatten();
        operations
            .filter(|(name, _)| name.starts_with("Send"))
            .map(|(_, traffic)| traffic["messages"].as_u64().unwrap())
            .sum()
    };
    assert_eq!((sent("FanOutQueue"), sent("DeliverWsQueue"), sent("DeliverApnsQueue")), (3, 1, 2));
    let used = |function: &str| {
        let units = &usage["dynamodb"]["functions"][function];
        (units["read_units"].as_f64().unwrap(), units["write_units"].as_f64().unwrap())
    };
    let (read, written) = used("push-intake");
    assert!(read <= 10.0 && written <= 9.0, "push-intake: {read} {written}");
    let (read, written) = used("fan-out");
    assert!(read <= 16.0 && written <= 12.0, "fan-out: {read} {written}");

    // The same again is the same push, and who is told so is told who is unknown.
    let again = stack.ok("timpush/batch", batch.clone()).await;
    assert_eq!(again, answer);
    stack.idle().await;
    assert_eq!(stack.delivered("apns").await.len(), 2);
    // Another order is another request.
    let mut turned = batch;
    turned["To_Account"] = json!(["ben", "anne", "cleo"]);
    let turned = stack.ok("timpush/batch", turned).await;
    assert!(turned["TaskId"] != answer["TaskId"] && turned.get("ErrorList").is_none(), "{turned}");
}

#[tokio::test]
async fn batches_spend_no_quota_and_meet_none() {
    let stack = a_stack().await;
    let mut socket = stack.socket("anne", "phone").await;
    stack.ok("all_member_push/im_push", json!({"MsgRandom": 1, "MsgBody": text("hi")})).await;
    let spent = stack.spent("1400000000").await;
    assert_eq!(spent, (1, 1));
    let batch = |random: u32| json!({"To_Account": ["anne"], "MsgRandom": random, "OfflinePushInfo": {"Desc": "d"}});
    // 14 at once, each of them twice: an app may call thirty times a second.
    let calls = (0..28).map(|n| stack.ok("timpush/batch", batch(n / 2)));
    let tasks: BTreeSet<String> = join_all(calls).await.iter().map(|answer| answer["TaskId"].to_string()).collect();
    assert_eq!(tasks.len(), 14);
    for _ in 0..15 {
        socket.hear().await;
    }
    stack.idle().await;
    assert_eq!(socket.hear_within(Duration::from_millis(200)).await, None, "each came once");
    assert_eq!(stack.spent("1400000000").await, spent);
}

#[tokio::test]
async fn a_batch_whose_intake_is_killed_before_it_enqueues_arrives_once() {
    let stack = a_stack().await;
    let mut socket = stack.socket("anne", "phone").await;
    let kill =
        json!({"kill": [{"function": "push-intake", "service": "sqs", "operation": "SendMessage", "when": "before"}]});
    stack.local(Method::PUT, "faults", Some(kill)).await;
    let batch = json!({"To_Account": ["anne"], "MsgRandom": 1, "OfflinePushInfo": {"Desc": "d"}});
    let url = stack.server_url("timpush/batch");
    let killed = reqwest::Client::new().post(&url).body(batch.to_string()).send().await.unwrap();
    assert!(killed.status().is_server_error(), "{}", killed.status());
    stack.local(Method::PUT, "faults", Some(json!({}))).await;
    stack.idle().await;
    assert_eq!(socket.hear_within(Duration::from_millis(300)).await, None, "nothing has started it yet");
    stack.advance(61).await;
    let heard = socket.hear().await;
    assert_eq!(stack.ok("timpush/batch", batch).await["TaskId"], heard["task_id"]);
    stack.idle().await;
    assert_eq!(socket.hear_within(Duration::from_millis(300)).await, None, "it came twice");
}

#[tokio::test]
async fn the_newer_calls_on_tags_and_attributes_do_what_the_older_do_and_more() {
    let stack = a_stack().await;
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": ["anne", "ben"]})).await;
    let tags = async |user: &str| {
        let answer = stack.ok("timpush/get_tag", json!({"To_Account": [user]})).await;
        assert_eq!(
            answer["UserTags"],
            stack.ok("all_member_push/im_get_tag", json!({"To_Account": [user]})).await["UserTags"]
        );
        answer["UserTags"][0]["Tags"].clone()
    };
    let add = |replace: Value, user: &str, tags: Value| json!({"Replace": replace, "UserTags": [{"To_Account": user, "Tags": tags}]});
    let many = |from: usize, count: usize| -> Value { (from..from + count).map(|n| format!("tag{n}")).collect() };

    stack.ok("timpush/add_tag", add(json!(0), "anne", json!(["a", "b"]))).await;
    stack.ok("timpush/add_tag", add(json!(null), "anne", json!(["c"]))).await;
    assert_eq!(tags("anne").await, json!(["a", "b", "c"]));
    stack.ok("timpush/add_tag", add(json!(1), "anne", json!(["d", "b", "d"]))).await;
    assert_eq!(tags("anne").await, json!(["d", "b"]));
    for (from, count) in [(0, 100), (100, 100)] {
        stack.ok("timpush/add_tag", add(json!(1), "anne", many(from, count))).await;
        assert_eq!(tags("anne").await, many(from, count), "a hundred for a hundred");
    }
    for (request, code) in [
        (add(json!(1), "anne", many(0, 101)), 90032),
        (add(json!(0), "anne", many(0, 11)), 90032),
        (add(json!(2), "anne", json!(["x"])), 90001),
        (add(json!(1), "anne", json!(["x", "é".repeat(25) + "x"])), 90020),
    ] {
        assert_eq!(stack.call("timpush/add_tag", request).await["ErrorCode"], code);
        assert_eq!(tags("anne").await, many(100, 100));
    }
    let answer = stack.ok("timpush/add_tag", json!({"Replace": 1, "UserTags": [
        {"To_Account": "nobody", "Tags": ["x"]}, {"To_Account": "anne", "Tags": ["e"]}, {"To_Account": "ben", "Tags": ["e", "f"]}]})).await;
    assert_eq!(
        (&answer["ErrorList"][0]["To_Account"], &answer["ErrorList"][0]["ErrorCode"]),
        (&json!("nobody"), &json!(70107))
    );
    assert_eq!((tags("anne").await, tags("ben").await), (json!(["e"]), json!(["e", "f"])));
    stack.ok("timpush/remove_tag", json!({"UserTags": [{"To_Account": "ben", "Tags": ["e"]}]})).await;
    let answer = stack.ok("timpush/clear_all_tags", json!({"To_Account": ["anne", "nobody"]})).await;
    assert_eq!(answer["ErrorList"].as_array().unwrap().len(), 1);
    assert_eq!((tags("anne").await, tags("ben").await), (json!([]), json!(["f"])));

    // The index has followed: a push by a tag that was replaced meets who has it, and no one who had.
    let mut sockets = [stack.socket("anne", "phone").await, stack.socket("ben", "phone").await];
    let push =
        json!({"MsgRandom": 1, "MsgBody": text("hi"), "Condition": {"TagsOr": ["d", "e", "f", "tag5", "tag105"]}});
    stack.ok("timpush/push", push).await;
    sockets[1].hear().await;
    stack.idle().await;
    assert_eq!(sockets[0].hear_within(Duration::from_millis(100)).await, None);

    let named = json!({"AttrNames": {"0": "sex", "1": "city"}, "AttrTypes": {"0": 0, "1": 0}});
    stack.ok("timpush/set_attr_name", named).await;
    let other = json!({"AttrNames": {"2": "level"}, "AttrTypes": {"2": 1}});
    let refused = stack.call("timpush/set_attr_name", other).await;
    assert_eq!(
        (&refused["ErrorCode"], &refused["ErrorInfo"]),
        (&json!(90033), &json!("AttrTypes.2 must be 0: registration ids have no attributes here"))
    );
    assert_eq!(stack.ok("timpush/get_attr_name", json!({})).await["AttrNames"], json!({"0": "sex", "1": "city"}));
    let answer = stack
        .ok(
            "timpush/set_attr",
            json!({"UserAttrs": [
        {"To_Account": "anne", "Attrs": {"sex": "f", "city": "x"}}, {"To_Account": "nobody", "Attrs": {"sex": "f"}}]}),
        )
        .await;
    assert_eq!(answer["ErrorList"][0]["ErrorCode"], 70107);
    stack.ok("timpush/remove_attr", json!({"UserAttrs": [{"To_Account": "anne", "Attrs": ["sex"]}]})).await;
    let answer = stack.ok("timpush/get_attr", json!({"To_Account": ["anne", "nobody"]})).await;
    assert_eq!(answer["UserAttrs"], json!([{"To_Account": "anne", "Attrs": {"city": "x"}}]));
    assert_eq!(answer["ErrorList"][0]["To_Account"], "nobody");
}

/// Makes the next user one of many: so many ordinals count as given out.
async fn pretend_population(stack: &Stack, count: u32) {
    let (client, tables) = stack.store().await;
    let key = |value: &str| AttributeValue::S(value.to_owned());
    client
        .put_item()
        .table_name(tables.audience)
        .item("pk", key("1400000000#n"))
        .item("sk", key("n"))
        .item("n", AttributeValue::N(count.to_string()))
        .send()
        .await
        .unwrap();
}
