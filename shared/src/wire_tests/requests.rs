//! One rich request of each contract, and the push that it asks for.

use form_urlencoded::Serializer;
use serde_json::{Value, json};

use super::recorder::app;
use crate::dialect::rongcloud::{Broadcast, PushRequest as Notification, SystemMessage};
use crate::dialect::tencent::{Call, PushRequest as ImPush};
use crate::domain::{Audience, Message, Push, PushId, Seq, Timestamp};

/// When all of them were accepted: 2023-11-14, 22:13:20 UTC.
pub(super) const ACCEPTED_AT: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A text that is longer than most vendors take.
const TEXT: &str = "The storm reaches the coast at six this evening. Bring in what can fly, keep away from the \
                    harbour, and charge your phones: there may be no power until tomorrow. 😀";

/// An `im_push` with all that its `OfflinePushInfo` can have, and numbers of it set otherwise.
pub(super) fn im_push(changes: &[(&str, &str, u8)]) -> Push {
    let mut info = json!({
        "PushFlag": 0, "Title": "A storm, and what you should do before it", "Desc": TEXT, "Ext": "{\"page\":7}",
        "MultiLanguageContent": [{"Language": "zh", "Title": "风暴", "Desc": "风暴今晚六点到达海岸"}],
        "BadgeAddNum": 2, "BadgeSetNum": 120,
        "PushTemplateId": "1400000000-7", "PushTemplateParam": {"place": "coast"},
        "AndroidInfo": {
            "Sound": "/res/raw/bell.mp3", "PushStyle": 1,
            "HuaWeiChannelID": "hw-storms", "HuaWeiImportance": "LOW", "HuaWeiCategory": "im",
            "HuaWeiImage": "https://example.com/huawei.png", "ExtAsHuaweiIntentParam": 1,
            "XiaoMiChannelID": "mi-storms",
            "OPPOChannelID": "oppo-storms", "OPPOCategory": "IM", "OPPONotifyLevel": 16,
            "OPPOPrivateMsgTemplateId": "template-1", "OPPOPrivateTitleParameters": {"place": "coast"},
            "OPPOPrivateContentParameters": {"hour": 18},
            "VIVOClassification": 1, "VIVOCategory": "im", "VIVONotifyType": "3",
            "HonorImportance": "LOW", "HonorImage": "https://example.com/honor.png",
            "GoogleChannelID": "fcm-storms", "GoogleImage": "https://example.com/google.png",
            "GooglePriority": "normal", "MeiZuNoticeMsgType": 1
        },
        "ApnsInfo": {
            "Sound": "bell.caf", "BadgeMode": 0, "Title": "Storm", "SubTitle": "This evening",
            "Image": "https://example.com/apple.png", "MutableContent": 1, "InterruptionLevel": "time-sensitive",
            "ContentAvailable": 0, "IsVoipPush": 0,
            "LiveActivity": {"LaId": "storm", "Event": "update", "ContentState": {"hour": 18}, "DismissalDate": 1_700_010_000}
        },
        "HarmonyInfo": {
            "Title": "Sturm", "Category": "work", "Image": "https://example.com/harmony.png", "Sound": "bell.mp3",
            "SoundDuration": 7
        }
    });
    changes.iter().for_each(|(part, name, value)| info[part][name] = (*value).into());
    let request = json!({
        "From_Account": "administrator", "MsgRandom": 214, "MsgLifeTime": 604_800, "OfflinePushInfo": info,
        "MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "hi, beauty"}}]
    });
    let wanted = ImPush::parse(Call::ImPush, request.to_string().as_bytes(), &app("https://localhost")).unwrap();
    let message = Message {
        sender: wanted.sender.unwrap().to_string(),
        body: wanted.content.body,
        notification: wanted.content.shown,
        kept: wanted.content.kept,
        recallable: false,
    };
    Push {
        message: Some(message),
        notification: wanted.content.notification,
        lifetime_secs: wanted.content.lifetime_secs,
        task_id: "1400000000_1_1_214".to_owned(),
        ..a_push(69)
    }
}

/// A `/push.json` with all that its `notification` can have.
pub(super) fn push_json() -> Push {
    let request = json!({
        "platform": ["ios", "android"], "audience": {"is_to_all": true},
        "notification": rich_notification(),
    });
    let wanted = Notification::push(request.to_string().as_bytes()).unwrap();
    Push { seq: None, notification: wanted.notification, devices: wanted.receivers.devices, ..a_push(70) }
}

fn rich_notification() -> Value {
    let extras = json!({"page": "7", "nested": {"n": [1, 2]}});
    json!({
        "title": "Storm", "alert": TEXT, "forceShowPushContent": 1,
        "ios": {
            "title": "Storm for iOS", "alert": "On iOS", "contentAvailable": 1, "badge": 10, "thread-id": "thread",
            "apns-collapse-id": "collapse-apple", "category": "STORM",
            "richMediaUri": "https://example.com/apple.png", "interruption-level": "passive", "extras": extras
        },
        "android": {
            "alert": "On Android", "extras": extras,
            "honor": {"importance": "NORMAL", "image": "https://example.com/honor.png"},
            "hw": {"channelId": "hw-storms", "importance": "NORMAL", "image": "https://example.com/huawei.png", "category": "WORK"},
            "mi": {"channelId": "mi-storms", "large_icon_uri": "https://example.com/xiaomi.png"},
            "oppo": {"channelId": "oppo-storms", "category": "IM", "notify_level": "2"},
            "vivo": {"classification": "0", "category": "MARKETING"},
            "fcm": {"channelId": "fcm-storms", "collapse_key": "collapse-google", "imageUrl": "https://example.com/google.png"}
        },
        "harmonyOS": {
            "alert": "On HarmonyOS", "extras": extras,
            "ohos": {"category": "SUBSCRIPTION", "image": "https://example.com/harmony.png"}
        }
    })
}

/// A `/message/broadcast.json`, whose notification is for the vendors and not for sockets.
pub(super) fn broadcast() -> Push {
    let form = Serializer::new(String::new())
        .append_pair("fromUserId", "weather")
        .append_pair("objectName", "RC:TxtMsg")
        .append_pair("content", r#"{"content":"hi, beauty","extra":"e"}"#)
        .append_pair("disableUpdateLastMsg", "true")
        .append_pair("pushContent", TEXT)
        .append_pair("pushData", r#"{"page":7}"#)
        .append_pair("pushExt", r#"{"title":"Storm"}"#)
        .finish();
    let wanted = Broadcast::to_all(form.as_bytes()).unwrap();
    let SystemMessage { sender, body } = wanted.message;
    let sender = sender.to_string();
    let message = Message { sender, body, notification: None, kept: true, recallable: true };
    Push { message: Some(message), notification: wanted.notification, ..a_push(71) }
}

/// What was asked for at [`ACCEPTED_AT`], as the app's settings have it where the request does not say.
fn a_push(id: u128) -> Push {
    let app = app("https://localhost");
    Push {
        id: PushId::from_u128(id),
        seq: Some(Seq(12)),
        accepted_at: ACCEPTED_AT,
        audience: Audience::Everyone,
        devices: Default::default(),
        population: 3,
        message: None,
        notification: None,
        lifetime_secs: app.quotas.lifetime_secs,
        task_id: PushId::from_u128(id).to_string(),
        revokes: None,
        data_id: None,
        app: app.id,
    }
}
