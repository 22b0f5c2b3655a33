//! Someone was offline.

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use reqwest::Method;
use serde_json::json;
use support::SDK_APP_ID;

use crate::{a_stack, text};

#[tokio::test]
async fn a_kept_push_waits_for_its_users_until_its_lifetime_ends() {
    let stack = a_stack().await;
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": ["anne", "ben", "cleo"]})).await;
    stack.ok("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": "anne", "Tags": ["gold"]}]})).await;
    let push = |random, lifetime, condition: serde_json::Value, body: &str| json!({"MsgRandom": random, "MsgLifeTime": lifetime, "Condition": condition, "MsgBody": text(body)});
    stack.ok("all_member_push/im_push", push(1, 604_800, json!(null), "for all")).await;
    stack.advance(2).await;
    stack.ok("all_member_push/im_push", push(2, 3_600, json!({"TagsAnd": ["gold"]}), "for gold")).await;
    stack.advance(2).await;
    stack.ok("all_member_push/im_push", push(3, 0, json!(null), "for those online")).await;
    stack.idle().await;
    // A tag that comes after the push does not make one of its users.
    stack.ok("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": "ben", "Tags": ["gold"]}]})).await;
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "dora"})).await;

    let bodies = |pushes: &[serde_json::Value]| pushes.iter().map(|push| push["body"].clone()).collect::<Vec<_>>();
    let mut anne = stack.socket("anne", "phone").await;
    let missed = anne.sync().await;
    assert_eq!(bodies(&missed), [text("for all"), text("for gold")]);
    assert_eq!(bodies(&anne.sync().await), bodies(&missed), "what is not acknowledged comes again");
    anne.ack(&missed[..1]).await;
    stack.idle().await;
    assert_eq!(bodies(&anne.sync().await), [text("for gold")]);
    let mut tablet = stack.socket("anne", "tablet").await;
    assert_eq!(bodies(&tablet.sync().await), bodies(&missed), "each device acknowledges for itself");
    assert_eq!(bodies(&stack.socket("ben", "phone").await.sync().await), [text("for all")]);
    assert!(stack.socket("dora", "phone").await.sync().await.is_empty(), "she came after the pushes");

    stack.advance(3_600).await;
    assert!(anne.sync().await.is_empty(), "its hour is over");
    stack.advance(604_800 - 3_600 - 60).await;
    assert_eq!(bodies(&stack.socket("cleo", "phone").await.sync().await), [text("for all")], "still within seven days");
    stack.advance(120).await;
    assert!(stack.socket("cleo", "phone").await.sync().await.is_empty(), "seven days are over");
}

#[tokio::test]
async fn a_long_absence_is_caught_up_in_parts() {
    let stack = a_stack().await;
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "anne"})).await;
    for random in 0..60 {
        let push = json!({"MsgRandom": random, "MsgLifeTime": 604_800, "MsgBody": text(&random.to_string())});
        stack.ok("all_member_push/im_push", push).await;
        stack.advance(2).await;
    }
    stack.idle().await;
    let mut anne = stack.socket("anne", "phone").await;
    let first = anne.sync().await;
    assert_eq!(first.len(), 50);
    anne.ack(&first).await;
    stack.idle().await;
    let second = anne.sync().await;
    let seqs: Vec<_> = first.iter().chain(&second).map(|push| push["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=60).collect::<Vec<_>>());
    anne.ack(&second).await;
    stack.idle().await;
    assert!(anne.sync().await.is_empty());
}

/// Most writes of one request (DynamoDB service quotas).
const WRITES_PER_REQUEST: usize = 25;

#[tokio::test]
async fn what_is_over_is_read_in_parts_and_once() {
    let stack = a_stack().await;
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "anne"})).await;
    let push = |random| json!({"MsgRandom": random, "MsgLifeTime": 604_800, "MsgBody": text("hi")});
    stack.ok("all_member_push/im_push", push(1)).await;
    stack.advance(2).await;
    // The next 1,500 are over, and still there: TTL deletes days late.
    let (client, tables) = stack.store().await;
    let (text, number) = (AttributeValue::S, |number: i64| AttributeValue::N(number.to_string()));
    let over = |seq: usize| {
        let item = [
            ("pk", text(format!("{SDK_APP_ID}#offline"))),
            ("sk", text(format!("{seq:020}"))),
            ("i", text(format!("{seq:022}"))),
            ("p", number(1_000)),
            ("x", number((stack.now() - 60) * 1_000)),
            ("expires_at", number(stack.now() + 86_400)),
        ];
        let put = item.into_iter().fold(PutRequest::builder(), |put, (name, value)| put.item(name, value));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    };
    for seqs in (2..=1_501).collect::<Vec<_>>().chunks(WRITES_PER_REQUEST) {
        let writes = seqs.iter().map(|seq| over(*seq)).collect();
        client.batch_write_item().request_items(&tables.pushes, writes).send().await.unwrap();
    }
    let quota = client.update_item().table_name(&tables.pushes).update_expression("SET q = :q");
    let quota = quota.key("pk", text(format!("{SDK_APP_ID}#quota"))).key("sk", text("quota".to_owned()));
    quota.expression_attribute_values(":q", number(1_501)).send().await.unwrap();
    stack.ok("all_member_push/im_push", push(2)).await;
    stack.idle().await;

    let mut anne = stack.socket("anne", "phone").await;
    let mut seqs = Vec::new();
    let mut more = Vec::new();
    for _ in 0..4 {
        stack.local(Method::DELETE, "usage", None).await;
        let (missed, synced) = anne.sync_once().await;
        anne.ack(&missed).await;
        stack.idle().await;
        let units = &stack.local(Method::GET, "usage", None).await["dynamodb"]["tables"]["PushesTable"]["Query"];
        assert!(units["read_units"].as_f64().unwrap() < 40.0, "{units}");
        seqs.extend(missed.iter().map(|push| push["seq"].as_u64().unwrap()));
        more.push(synced["more"].as_bool().unwrap());
        if more.len() == 4 {
            assert_eq!(units["read_units"], 1.0, "what is over is not read again: {units}");
        }
    }
    assert_eq!((seqs, more), (vec![1, 1_502], vec![true, true, false, false]));
}

#[tokio::test]
async fn what_is_for_phones_waits_for_an_installation_to_register_and_holds_nothing_up() {
    let stack = a_stack().await;
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "anne"})).await;
    let push = |platform: &str, text: &str| {
        json!({"platform": [platform], "fromuserid": "u0", "audience": {"packageName": "com.example.app"},
        "message": {"objectName": "app:x", "content": text}, "notification": {"alert": text}})
    };
    for (platform, text) in [("ios", "for phones"), ("android", "for others")] {
        let (status, answer) = stack.signed_json("/push.json", &push(platform, text)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let kept = json!({"MsgRandom": 1, "MsgLifeTime": 604_800, "MsgBody": text("for all")});
    stack.ok("all_member_push/im_push", kept).await;
    stack.idle().await;
    let mut anne = stack.socket("anne", "phone").await;
    let missed = anne.sync().await;
    assert_eq!(missed.iter().map(|push| &push["seq"]).collect::<Vec<_>>(), [3]);
    anne.ack(&missed).await;
    stack.idle().await;
    assert!(anne.sync().await.is_empty());
    let acks = async || {
        let (client, tables) = stack.store().await;
        let key = |value: String| AttributeValue::S(value);
        let get = client.get_item().table_name(&tables.audience).key("pk", key(format!("{SDK_APP_ID}#k#anne")));
        let item = get.key("sk", key("phone".to_owned())).send().await.unwrap().item.unwrap();
        let numbers = |name: &str| {
            let numbers = item.get(name).map(|value| value.as_ns().unwrap().clone());
            numbers.map(|mut numbers| {
                numbers.sort_unstable();
                numbers.join(",")
            })
        };
        (item["f"].as_n().unwrap().clone(), numbers("o"), numbers("a"))
    };
    assert_eq!(acks().await, ("3".to_owned(), Some("1,2".to_owned()), None));

    stack.register("anne", "phone", "apns", &"ab".repeat(32)).await;
    let missed = anne.sync().await;
    assert_eq!(missed.iter().map(|push| &push["seq"]).collect::<Vec<_>>(), [1]);
    anne.ack(&missed).await;
    stack.idle().await;
    assert!(anne.sync().await.is_empty());
    assert_eq!(acks().await, ("3".to_owned(), None, None));
}
