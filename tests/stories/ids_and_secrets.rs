//! Huawei's and Honor's phones, whose vendors grant access tokens for an id and a secret: what they are shown, and what
//! becomes of the ones they refuse.

use fanfare::domain::Channel;
use reqwest::Method;
use serde_json::{Value, json};
use support::Stack;

use crate::{a_stack, text};

/// A phone of each maker for each of two users.
async fn four_phones(stack: &Stack) {
    for (user, device, channel, token) in [
        ("anne", "p40", "huawei", "AAWWHI94sgUR2RU5_anne"),
        ("anne", "magic", "honor", "BAEPABaAgAGL_anne"),
        ("ben", "p40", "huawei", "AAWWHI94sgUR2RU5_ben"),
        ("ben", "magic", "honor", "BAEPABaAgAGL_ben"),
    ] {
        stack.register(user, device, channel, token).await;
    }
}

/// What a vendor was sent the last time.
async fn last(stack: &Stack, channel: &str) -> Value {
    stack.deliveries(channel).await.last().unwrap()["request"]["body"].clone()
}

async fn devices(stack: &Stack, user: &str) -> usize {
    stack.as_user(user, Method::GET, "/v1/devices", None).await.1["devices"].as_array().unwrap().len()
}

#[tokio::test]
async fn each_contract_says_what_each_phone_shows() {
    let stack = a_stack().await;
    four_phones(&stack).await;
    let info = json!({"Title": "News", "Desc": "A new thing", "Ext": "{\"page\":7}", "AndroidInfo": {
        "Sound": "shake.mp3", "PushStyle": 1, "HuaWeiChannelID": "hw-news", "HuaWeiImportance": "LOW",
        "HuaWeiCategory": "MARKETING", "HuaWeiImage": "https://example.com/h.png", "HonorImportance": "NORMAL",
        "HonorImage": "https://example.com/o.png"}});
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 10_000, "MsgBody": text("hi"), "OfflinePushInfo": info});
    let task = stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned();
    stack.idle().await;
    assert_eq!(stack.delivered("huawei").await, ["AAWWHI94sgUR2RU5_anne", "AAWWHI94sgUR2RU5_ben"]);
    assert_eq!(stack.delivered("honor").await, ["BAEPABaAgAGL_anne", "BAEPABaAgAGL_ben"]);
    let (huawei, honor) = (last(&stack, "huawei").await["message"].clone(), last(&stack, "honor").await);
    for (channel, message) in [(Channel::Huawei, &huawei), (Channel::Honor, &honor)] {
        // Both are named in one request.
        assert_eq!(message["token"].as_array().unwrap().len(), 2, "{channel}");
        let data: Value = serde_json::from_str(message["data"].as_str().unwrap()).unwrap();
        assert_eq!((&data["ext"], data["push_id"].as_str().unwrap().len()), (&json!("{\"page\":7}"), 22));
        let ttl: u32 = message["android"]["ttl"].as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap();
        assert!((9_000..=10_000).contains(&ttl), "{channel}: {ttl}");
        assert_eq!(stack.account(&task).await[&channel].settled.delivered, 2, "{channel}");
    }
    let mut shown = huawei["android"]["notification"].clone();
    assert!(shown["notify_id"].take().is_u64());
    let expected = json!({"title": "News", "body": "A new thing", "style": 1, "big_title": "News", "big_body": "A new thing",
        "image": "https://example.com/h.png", "default_sound": false, "sound": "/raw/shake", "channel_id": "hw-news",
        "importance": "LOW", "click_action": {"type": 3}, "notify_id": null,
        "badge": {"add_num": 1, "class": "com.example.app.MainActivity"}});
    assert_eq!((&huawei["android"]["category"], shown), (&json!("MARKETING"), expected));
    let mut shown = honor["android"]["notification"].clone();
    assert!(shown["notifyId"].take().is_u64());
    let expected = json!({"title": "News", "body": "A new thing", "style": 1, "bigTitle": "News", "bigBody": "A new thing",
        "image": "https://example.com/o.png", "importance": "NORMAL", "clickAction": {"type": 3}, "notifyId": null,
        "badge": {"addNum": 1, "badgeClass": "com.example.app.MainActivity"}});
    assert_eq!(shown, expected);

    let push = json!({"platform": ["android"], "audience": {"is_to_all": true}, "notification": {"alert": "hello", "android": {
        "hw": {"channelId": "hw-push", "importance": "NORMAL", "category": "IM"}, "honor": {"importance": "LOW"},
        "extras": {"n": "1"}}}});
    let (status, answer) = stack.signed_json("/push.json", &push).await;
    assert_eq!((status, &answer["code"]), (200, &json!(200)), "{answer}");
    stack.idle().await;
    assert_eq!((stack.delivered("huawei").await.len(), stack.delivered("honor").await.len()), (4, 4));
    let (huawei, honor) = (last(&stack, "huawei").await["message"].clone(), last(&stack, "honor").await);
    assert_eq!(huawei["android"]["category"], "IM");
    assert_eq!(huawei["android"]["notification"]["channel_id"], "hw-push");
    assert_eq!(honor["android"]["notification"]["importance"], "LOW");
    for message in [huawei, honor] {
        // Both vendors want a heading: without one the text is it.
        let shown = &message["android"]["notification"];
        assert_eq!((&shown["title"], &shown["body"]), (&json!("hello"), &json!("hello")));
        let data: Value = serde_json::from_str(message["data"].as_str().unwrap()).unwrap();
        assert_eq!(data["n"], "1");
    }
}

#[tokio::test]
async fn a_dead_phone_is_forgotten_a_throttled_one_reached_later_and_a_token_renewed() {
    let stack = a_stack().await;
    four_phones(&stack).await;
    stack.local(Method::PUT, "vendors/huawei", Some(json!({"dead_tokens": ["AAWWHI94sgUR2RU5_ben"]}))).await;
    stack.local(Method::PUT, "vendors/honor", Some(json!({"dead_tokens": ["BAEPABaAgAGL_ben"]}))).await;
    let push = |n: u32| json!({"MsgRandom": n, "MsgLifeTime": 600, "MsgBody": text("hi")});
    let task = stack.ok("all_member_push/im_push", push(1)).await["TaskId"].as_str().unwrap().to_owned();
    stack.idle().await;
    let account = stack.account(&task).await;
    for channel in [Channel::Huawei, Channel::Honor] {
        let settled = &account[&channel].settled;
        assert_eq!((settled.delivered, settled.invalid), (1, 1), "{channel}");
    }
    assert_eq!((devices(&stack, "anne").await, devices(&stack, "ben").await), (2, 0));

    // The access tokens expire, and the vendors' flow control sets in.
    stack.advance(3_600).await;
    let busy = json!({"errors": [{"first": 1, "status": 503, "reason": "503"}]});
    stack.local(Method::PUT, "vendors/huawei", Some(busy.clone())).await;
    stack.local(Method::PUT, "vendors/honor", Some(busy)).await;
    stack.ok("all_member_push/im_push", push(2)).await;
    for channel in ["huawei", "honor"] {
        stack.until("it is tried again", async || stack.delivered(channel).await.len() == 2).await;
        // Two of the first push, and two tries of the second: none with a token that had expired.
        assert_eq!(stack.deliveries(channel).await.len(), 4, "{channel}");
    }
    assert_eq!(devices(&stack, "anne").await, 2);
}
