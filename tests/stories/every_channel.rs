//! One push on every channel there is, by each contract: it arrives, with what the caller said for each vendor.

use std::collections::BTreeMap;

use fanfare::domain::Channel;
use reqwest::Method;
use serde_json::{Value, json};
use support::{SDK_APP_ID, Stack};

use crate::{a_stack, a_stack_of, app, text};

/// A user with a device of every vendor, and their tokens by channel.
async fn ten_devices(stack: &Stack) -> BTreeMap<Channel, String> {
    let browser = stack.local(Method::GET, "vendors/webpush/subscriptions/firefox", None).await.to_string();
    let tokens = BTreeMap::from([
        (Channel::Apns, "0a".repeat(32)),
        (Channel::Fcm, "anne:registered-with-google".to_owned()),
        (Channel::Huawei, "AAWWHI94sgUR2RU5_anne".to_owned()),
        (Channel::Honor, "BAEPABaAgAGL_anne".to_owned()),
        (Channel::Harmony, "MAMzLgIkEUWVsrCG".repeat(4)),
        (Channel::Xiaomi, "mi-anne/+=".to_owned()),
        (Channel::Oppo, "CN_anne_oppo_registration".to_owned()),
        (Channel::Vivo, "15513410784181118114099".to_owned()),
        (Channel::Meizu, "S5Qanne".to_owned()),
        (Channel::Webpush, browser),
    ]);
    for (channel, token) in &tokens {
        let platform = match channel {
            Channel::Apns => "ios",
            Channel::Harmony => "harmony",
            Channel::Webpush => "web",
            _ => "android",
        };
        let device =
            json!({"platform": platform, "channel": channel.name(), "token": token, "package": "com.example.app"});
        let path = format!("/v1/devices/{channel}");
        let (status, answer) = stack.as_user("anne", Method::PUT, &path, Some(device)).await;
        assert_eq!(status, 200, "{channel}: {answer}");
    }
    tokens
}

/// What a vendor was sent the last time, whatever it takes: JSON, or a form with JSON in it.
async fn last(stack: &Stack, channel: Channel) -> String {
    let all = stack.deliveries(channel.name()).await;
    let delivery = all.iter().rev().find(|delivery| delivery["accepted"] == true);
    let request = &delivery.unwrap_or_else(|| panic!("{channel} was sent {all:?}"))["request"];
    let body = match &request["body"] {
        Value::String(form) => {
            let url = reqwest::Url::parse(&format!("http://form/?{form}")).unwrap();
            url.query_pairs().map(|(name, value)| format!("{name}={value}\n")).collect()
        }
        body => body.to_string(),
    };
    // Without the escapes of JSON in JSON.
    body.replace('\\', "")
}

async fn all_have(stack: &Stack, tokens: &BTreeMap<Channel, String>, times: usize) {
    for channel in tokens.keys() {
        let delivered = stack.delivered(channel.name()).await;
        assert_eq!(delivered.len(), times, "{channel}: {:?}", stack.deliveries(channel.name()).await);
    }
}

#[tokio::test]
async fn a_push_of_either_contract_arrives_on_all_eleven_channels() {
    let stack = a_stack().await;
    let tokens = ten_devices(&stack).await;
    let mut ben = stack.socket("ben", "desk").await;

    let info = json!({"Title": "News", "Desc": "A new thing", "Ext": "{\"page\":7}", "BadgeSetNum": 120,
        "ApnsInfo": {"Sound": "bell.caf", "SubTitle": "Today", "Image": "https://example.com/a.png", "MutableContent": 1,
            "InterruptionLevel": "time-sensitive"},
        "HarmonyInfo": {"Category": "work", "Image": "https://example.com/o.png", "Sound": "bell.mp3", "SoundDuration": 7},
        "AndroidInfo": {"Sound": "bell.mp3", "PushStyle": 1, "GoogleChannelID": "fcm-news", "GooglePriority": "normal",
            "GoogleImage": "https://example.com/g.png", "HuaWeiChannelID": "hw-news", "HuaWeiImportance": "LOW",
            "HuaWeiCategory": "im", "HuaWeiImage": "https://example.com/h.png", "HonorImportance": "LOW",
            "HonorImage": "https://example.com/n.png", "XiaoMiChannelID": "mi-news", "OPPOChannelID": "oppo-news",
            "OPPOCategory": "IM", "OPPONotifyLevel": 16, "OPPOPrivateMsgTemplateId": "t-1",
            "OPPOPrivateTitleParameters": {"city": "here"}, "OPPOPrivateContentParameters": {"hour": 18},
            "VIVOCategory": "im", "VIVONotifyType": "3", "MeiZuNoticeMsgType": 1}});
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 10_000, "MsgBody": text("hi"), "OfflinePushInfo": info});
    let task = stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned();
    assert_eq!(ben.hear().await["body"], text("hi"));
    stack.idle().await;
    all_have(&stack, &tokens, 1).await;
    for (channel, said) in [
        (Channel::Apns, "bell.caf"),
        (Channel::Fcm, "fcm-news"),
        (Channel::Huawei, "hw-news"),
        (Channel::Honor, "\"importance\":\"LOW\""),
        (Channel::Harmony, "\"category\":\"WORK\""),
        (Channel::Xiaomi, "mi-news"),
        (Channel::Oppo, "oppo-news"),
        (Channel::Vivo, "\"classification\":1"),
        (Channel::Meizu, "\"noticeMsgType\":1"),
        (Channel::Webpush, "A new thing"),
    ] {
        let sent = last(&stack, channel).await;
        for part in [said, "News", "A new thing", "\"page\":7"] {
            assert!(sent.contains(part), "{channel} lacks {part}: {sent}");
        }
    }
    let account = stack.account(&task).await;
    for channel in Channel::ALL {
        let account = &account[channel];
        assert_eq!((account.targeted, account.settled.delivered, account.pending), (1, 1, 0), "{channel}");
    }

    let push = json!({"userIds": ["anne"], "notification": {"title": "Title", "pushContent": "Content",
        "ios": {"thread-id": "thread", "badge": 9_999, "contentAvailable": 1, "apns-collapse-id": "a", "category": "C",
            "richMediaUri": "https://example.com/a.png", "interruption-level": "passive", "extras": {"n": "1"}},
        "harmonyOS": {"ohos": {"category": "MAIL", "image": "https://example.com/o.png"}, "extras": {"n": "1"}},
        "android": {"extras": {"n": "1"},
            "fcm": {"channelId": "fcm-push", "collapse_key": "g", "imageUrl": "https://example.com/g.png"},
            "hw": {"channelId": "hw-push", "importance": "NORMAL", "category": "WORK", "image": "https://example.com/h.png"},
            "honor": {"importance": "LOW", "image": "https://example.com/n.png"},
            "mi": {"channelId": "mi-push", "large_icon_uri": "https://example.com/m.png"},
            "oppo": {"channelId": "oppo-push", "category": "IM", "notify_level": 2},
            "vivo": {"classification": "1", "category": "IM"}}}});
    let (status, answer) = stack.signed_json("/push/user.json", &push).await;
    assert_eq!((status, &answer["code"]), (200, &json!(200)), "{answer}");
    stack.idle().await;
    all_have(&stack, &tokens, 2).await;
    for (channel, said) in [
        (Channel::Apns, "\"thread-id\":\"thread\""),
        (Channel::Fcm, "fcm-push"),
        (Channel::Huawei, "hw-push"),
        (Channel::Honor, "\"importance\":\"LOW\""),
        (Channel::Harmony, "\"category\":\"MAIL\""),
        (Channel::Xiaomi, "mi-push"),
        (Channel::Oppo, "oppo-push"),
        (Channel::Vivo, "\"classification\":1"),
        (Channel::Meizu, "Title"),
        (Channel::Webpush, "Title"),
    ] {
        let sent = last(&stack, channel).await;
        for part in [said, "Title", "Content", "\"n\":\"1\""] {
            assert!(sent.contains(part), "{channel} lacks {part}: {sent}");
        }
    }
    let account = stack.account(answer["id"].as_str().unwrap()).await;
    assert!(!account.contains_key(&Channel::Ws), "it is a notification");
    assert!(account.values().all(|account| account.settled.delivered == 1), "{account:?}");
}

#[tokio::test]
async fn devices_of_vendors_without_credentials_are_kept_back_at_once() {
    let stack = a_stack_of(&[app(SDK_APP_ID, json!({}), json!({}))]).await;
    let tokens = [("p40", "huawei", "AAWWHI94sgUR2RU5_anne"), ("pixel", "fcm", "anne:registered-with-google")];
    for (device, channel, token) in tokens {
        stack.register("anne", device, channel, token).await;
    }
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")});
    let task = stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned();
    stack.idle().await;
    let account = stack.account(&task).await;
    for channel in [Channel::Huawei, Channel::Fcm] {
        let account = &account[&channel];
        assert_eq!((account.targeted, account.settled.suppressed, account.pending), (1, 1, 0), "{channel}");
    }
    assert_eq!(stack.as_user("anne", Method::GET, "/v1/devices", None).await.1["devices"].as_array().unwrap().len(), 2);
}
