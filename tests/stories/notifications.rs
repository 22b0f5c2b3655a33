//! What the system bar shows: each device in its language, with what its vendor knows of all that a push can say.

use reqwest::Method;
use serde_json::{Value, json};
use support::Stack;

use crate::{a_stack, text};

const APPLE_EN: &str = "aa00000000000000000000000000000000000000000000000000000000000001";
const APPLE_ZH: &str = "aa00000000000000000000000000000000000000000000000000000000000002";
const GOOGLE_DE: &str = "google-token-of-the-phone-in-german";

/// Three users with a device each.
async fn three_devices(stack: &Stack) {
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": ["ann", "li", "uwe"]})).await;
    for (user, platform, channel, token, language) in [
        ("ann", "ios", "apns", APPLE_EN, "en-GB"),
        ("li", "ios", "apns", APPLE_ZH, "zh_Hant_TW"),
        ("uwe", "android", "fcm", GOOGLE_DE, "de"),
    ] {
        let device = json!({"platform": platform, "channel": channel, "token": token, "language": language});
        let (status, answer) = stack.as_user(user, Method::PUT, "/v1/devices/phone", Some(device)).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// Pushes to everyone, and waits until it has been delivered.
async fn push(stack: &Stack, body: Value, info: Value) -> String {
    stack.advance(2).await;
    stack.local(Method::DELETE, "deliveries", None).await;
    let request = json!({"MsgRandom": 1, "MsgLifeTime": 3_600, "MsgBody": body, "OfflinePushInfo": info});
    let answer = stack.ok("all_member_push/im_push", request).await;
    stack.idle().await;
    answer["TaskId"].as_str().unwrap().to_owned()
}

/// The one request with which a vendor was told of a token, without what is another each time.
async fn told(stack: &Stack, channel: &str, token: &str) -> Value {
    let all = stack.deliveries(channel).await;
    let mut of_token: Vec<_> = all.into_iter().filter(|delivery| delivery["token"] == token).collect();
    assert_eq!(of_token.len(), 1, "{of_token:?}");
    let delivery = of_token.remove(0);
    assert_eq!(delivery["accepted"], true, "{delivery}");
    let header = |name: &str| delivery["request"]["headers"].get(name).cloned();
    let mut body = delivery["request"]["body"].clone();
    match channel {
        "apns" => {
            body.as_object_mut().unwrap().remove("push_id").expect("every notification names its push");
            json!({"type": header("apns-push-type"), "priority": header("apns-priority"), "body": body})
        }
        _ => {
            let message = &mut body["message"];
            message["data"].as_object_mut().unwrap().remove("push_id").expect("every notification names its push");
            message["android"].as_object_mut().unwrap().remove("ttl").expect("it has an end");
            message["android"]["notification"].as_object_mut().unwrap().remove("tag").expect("it shows once");
            message.clone()
        }
    }
}

#[tokio::test]
async fn each_device_shows_a_push_in_its_language_and_as_its_vendor_can() {
    let stack = a_stack().await;
    three_devices(&stack).await;
    let everything = json!({
        "PushFlag": 0, "Title": "News", "Desc": "A new thing", "Ext": "{\"page\":7}", "BadgeSetNum": 5,
        "MultiLanguageContent": [
            {"Language": "zh-hans", "Title": "新闻", "Desc": "新东西"},
            {"Language": "zh-hant", "Title": "新聞", "Desc": "新東西"},
            {"Language": "de-AT", "Desc": "Etwas Neues"}],
        "AndroidInfo": {
            "Sound": "shake.mp3", "GoogleChannelID": "news", "GoogleImage": "https://example.com/g.png",
            "GooglePriority": "normal", "HuaWeiChannelID": "hw", "OPPOCategory": "IM", "OPPONotifyLevel": 2,
            "VIVONotifyType": "4", "HonorImportance": "NORMAL", "MeiZuNoticeMsgType": 1},
        "ApnsInfo": {
            "Sound": "shake.caf", "Title": "News for you", "SubTitle": "Today", "Image": "https://example.com/a.png",
            "MutableContent": 1, "InterruptionLevel": "time-sensitive", "BadgeMode": 1, "IsVoipPush": 1},
        "HarmonyInfo": {"Sound": "alert.mp3", "SoundDuration": 5}
    });
    let task = push(&stack, text("hi"), everything).await;

    let on_apple = |title: &str, body: &str| {
        json!({"type": "alert", "priority": "10", "body": {
            "aps": {
                "alert": {"title": title, "subtitle": "Today", "body": body}, "sound": "shake.caf", "badge": 5,
                "mutable-content": 1, "interruption-level": "time-sensitive"},
            "ext": "{\"page\":7}", "image": "https://example.com/a.png"}})
    };
    assert_eq!(told(&stack, "apns", APPLE_EN).await, on_apple("News for you", "A new thing"));
    assert_eq!(told(&stack, "apns", APPLE_ZH).await, on_apple("新聞", "新東西"));
    let on_google = json!({
        "token": GOOGLE_DE,
        "notification": {"title": "News", "body": "Etwas Neues"},
        "data": {"ext": "{\"page\":7}"},
        "android": {
            "priority": "NORMAL",
            "notification": {
                "channel_id": "news", "image": "https://example.com/g.png", "sound": "shake", "notification_count": 5}}});
    assert_eq!(told(&stack, "fcm", GOOGLE_DE).await, on_google);
    let delivered: u32 = stack.account(&task).await.values().map(|account| account.settled.delivered).sum();
    assert_eq!(delivered, 3);
}

#[tokio::test]
async fn nothing_is_shown_where_nothing_may_or_can_be() {
    let stack = a_stack().await;
    three_devices(&stack).await;
    let mut socket = stack.socket("ann", "desk").await;
    let own = |desc: &str| json!([{"MsgType": "TIMCustomElem", "MsgContent": {"Data": "x", "Desc": desc, "Sound": "own.caf"}}]);

    for (body, info) in [
        (text("hi"), json!({"PushFlag": 1, "Title": "t", "Desc": "d"})),
        (own(""), json!({"Title": "t"})),
        (own(""), Value::Null),
    ] {
        push(&stack, body.clone(), info.clone()).await;
        assert_eq!(socket.hear().await["body"], body);
        for channel in ["apns", "fcm"] {
            assert!(stack.deliveries(channel).await.is_empty(), "{channel}: {info}");
        }
    }

    // A text of the element's own is shown, with its sound, for the request says nothing else.
    push(&stack, own("look"), Value::Null).await;
    let on_apple = told(&stack, "apns", APPLE_ZH).await;
    assert_eq!(on_apple["body"]["aps"], json!({"alert": {"body": "look"}, "sound": "own.caf"}));
    assert_eq!(on_apple["body"]["badge_add"], 1);
    assert_eq!(told(&stack, "fcm", GOOGLE_DE).await["notification"], json!({"body": "look"}));

    // Silence is for Apple's devices. Others are shown what there is, and are let be if there is nothing.
    let silent = json!({"Ext": "e", "ApnsInfo": {"ContentAvailable": 1, "BadgeMode": 1}});
    let awake = json!({"type": "background", "priority": "5", "body": {"aps": {"content-available": 1}, "ext": "e"}});
    push(&stack, text("hi"), silent.clone()).await;
    assert_eq!(told(&stack, "apns", APPLE_ZH).await, awake);
    assert_eq!(told(&stack, "fcm", GOOGLE_DE).await["notification"], json!({"body": "hi"}));
    let task = push(&stack, own(""), silent).await;
    assert_eq!(told(&stack, "apns", APPLE_ZH).await, awake);
    assert!(stack.deliveries("fcm").await.is_empty());
    let account = stack.account(&task).await;
    assert_eq!(account[&fanfare::domain::Channel::Fcm].settled.suppressed, 1);

    stack.advance(2).await;
    stack.local(Method::DELETE, "deliveries", None).await;
    let faulty = json!({"MsgRandom": 2, "MsgLifeTime": 60, "MsgBody": text("hi"),
        "OfflinePushInfo": {"Desc": "d", "ApnsInfo": {"InterruptionLevel": "loud"}}});
    let answer = stack.call("all_member_push/im_push", faulty).await;
    let info = "OfflinePushInfo.ApnsInfo.InterruptionLevel must be active, critical, passive or time-sensitive";
    assert_eq!((&answer["ErrorCode"], &answer["ErrorInfo"]), (&json!(90043), &json!(info)));
    stack.idle().await;
    assert!(stack.deliveries("apns").await.is_empty() && stack.deliveries("fcm").await.is_empty());
}
