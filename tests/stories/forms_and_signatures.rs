//! Xiaomi's and Meizu's phones, whose vendors take forms: what they are shown, and what becomes of the ones they refuse.

use std::collections::BTreeMap;

use fanfare::domain::Channel;
use reqwest::Method;
use serde_json::{Value, json};
use support::Stack;

use crate::{a_stack, text};

/// A phone of each maker for each of two users.
async fn four_phones(stack: &Stack) {
    for (user, device, channel, token) in [
        ("anne", "mi", "xiaomi", "mi-anne/+="),
        ("anne", "flyme", "meizu", "S5Qanne"),
        ("ben", "mi", "xiaomi", "mi-ben"),
        ("ben", "flyme", "meizu", "S5Qben"),
    ] {
        stack.register(user, device, channel, token).await;
    }
}

/// The fields that a vendor was sent for a token, the last time.
async fn fields(stack: &Stack, channel: &str, token: &str) -> BTreeMap<String, String> {
    let all = stack.deliveries(channel).await;
    let last = all.iter().rev().find(|delivery| delivery["token"] == token).unwrap();
    let url = format!("http://form/?{}", last["request"]["body"].as_str().unwrap());
    reqwest::Url::parse(&url).unwrap().query_pairs().into_owned().collect()
}

async fn devices(stack: &Stack, user: &str) -> usize {
    stack.as_user(user, Method::GET, "/v1/devices", None).await.1["devices"].as_array().unwrap().len()
}

#[tokio::test]
async fn each_contract_says_what_each_phone_shows() {
    let stack = a_stack().await;
    four_phones(&stack).await;
    let info = json!({"Title": "News", "Desc": "A new thing".repeat(20), "Ext": "{\"page\":7}",
        "AndroidInfo": {"Sound": "shake.mp3", "XiaoMiChannelID": "mi-news", "MeiZuNoticeMsgType": 1}});
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 10_000, "MsgBody": text("hi"), "OfflinePushInfo": info});
    let task = stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned();
    stack.idle().await;
    assert_eq!(stack.delivered("xiaomi").await, ["mi-anne/+=", "mi-ben"]);
    assert_eq!(stack.delivered("meizu").await, ["S5Qanne", "S5Qben"]);
    let xiaomi = fields(&stack, "xiaomi", "mi-anne/+=").await;
    assert_eq!((xiaomi["title"].as_str(), xiaomi["description"].chars().count()), ("News", 127));
    assert_eq!(xiaomi["extra.channel_id"], "mi-news");
    assert_eq!(xiaomi["extra.sound_uri"], "android.resource://com.example.app/raw/shake");
    assert!((9_000_000..=10_000_000).contains(&xiaomi["time_to_live"].parse::<u32>().unwrap()));
    let data: Value = serde_json::from_str(&xiaomi["payload"]).unwrap();
    assert_eq!((&data["ext"], data["push_id"].as_str().unwrap().len()), (&json!("{\"page\":7}"), 22));
    let message: Value = serde_json::from_str(&fields(&stack, "meizu", "S5Qben").await["messageJson"]).unwrap();
    assert_eq!(message["noticeBarInfo"]["noticeMsgType"], 1);
    assert_eq!(message["noticeBarInfo"]["content"].as_str().unwrap().chars().count(), 100);
    assert_eq!(message["pushTimeInfo"], json!({"offLine": 1, "validTime": 2}));
    assert_eq!(message["clickTypeInfo"]["parameters"], data);
    for channel in [Channel::Xiaomi, Channel::Meizu] {
        assert_eq!(stack.account(&task).await[&channel].settled.delivered, 2, "{channel}");
    }

    let push = json!({"platform": ["android"], "audience": {"is_to_all": true}, "notification": {"alert": "hello",
        "android": {"mi": {"large_icon_uri": "https://example.com/i.png"}, "extras": {"n": "1"}}}});
    let (status, answer) = stack.signed_json("/push.json", &push).await;
    assert_eq!((status, &answer["code"]), (200, &json!(200)), "{answer}");
    stack.idle().await;
    assert_eq!((stack.delivered("xiaomi").await.len(), stack.delivered("meizu").await.len()), (4, 4));
    let xiaomi = fields(&stack, "xiaomi", "mi-ben").await;
    // Without a heading the text is one, and without a channel the app's own is taken.
    assert_eq!((xiaomi["title"].as_str(), xiaomi["extra.channel_id"].as_str()), ("hello", "fanfare"));
    assert_eq!(xiaomi["extra.notification_large_icon_uri"], "https://example.com/i.png");
    let message: Value = serde_json::from_str(&fields(&stack, "meizu", "S5Qanne").await["messageJson"]).unwrap();
    assert_eq!(message["clickTypeInfo"]["parameters"]["n"], "1");
}

#[tokio::test]
async fn a_dead_phone_is_forgotten_a_silent_one_kept_and_a_throttled_one_reached_later() {
    let stack = a_stack().await;
    four_phones(&stack).await;
    stack.local(Method::PUT, "vendors/xiaomi", Some(json!({"dead_tokens": ["mi-ben"]}))).await;
    let off = json!({"errors": [{"tokens": ["S5Qben"], "status": 200, "reason": "110010"}]});
    stack.local(Method::PUT, "vendors/meizu", Some(off)).await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")});
    let task = stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned();
    stack.idle().await;
    assert_eq!(stack.delivered("xiaomi").await, ["mi-anne/+="]);
    assert_eq!(stack.delivered("meizu").await, ["S5Qanne"]);
    assert_eq!((devices(&stack, "anne").await, devices(&stack, "ben").await), (2, 1));
    let account = stack.account(&task).await;
    let (xiaomi, meizu) = (&account[&Channel::Xiaomi].settled, &account[&Channel::Meizu].settled);
    assert_eq!((xiaomi.delivered, xiaomi.invalid, meizu.delivered, meizu.suppressed), (1, 1, 1, 1));

    let busy = |code: &str| json!({"errors": [{"first": 1, "status": 200, "reason": code}]});
    stack.local(Method::PUT, "vendors/xiaomi", Some(busy("10027"))).await;
    stack.local(Method::PUT, "vendors/meizu", Some(busy("110010"))).await;
    stack.advance(2).await;
    let push = json!({"MsgRandom": 2, "MsgLifeTime": 600, "MsgBody": text("again")});
    stack.ok("all_member_push/im_push", push).await;
    stack.until("Xiaomi is tried again", async || stack.delivered("xiaomi").await.len() == 2).await;
    stack.until("Meizu is tried again", async || stack.delivered("meizu").await.len() == 3).await;
    assert_eq!(devices(&stack, "ben").await, 1);
}
