//! What only Android's vendors know, each by itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Badge;

optional! {
    /// On Android. Android's notification channels, in which users choose how much each kind of notification may disturb, are
    /// named by `notification_channel` throughout.
    Android {
        /// The heading here.
        title: Option<String>,
        /// The text here.
        text: Option<String>,
        /// A sound among the app's raw resources. Callers name the resource, or its file with folder and suffix.
        sound: Option<String>,
        /// The number on the icon, for the vendors that know one (Huawei, Honor: at most 99). Absent: it stays as it is.
        badge: Option<Badge>,
        /// Whether a long text can be unfolded (Huawei, Honor, OPPO).
        big_text: bool,
        /// More of the caller's data.
        extras: Map<String, Value>,
        /// Through Google.
        fcm: Fcm,
        /// Through Huawei.
        huawei: Huawei,
        /// Through Honor.
        honor: Honor,
        /// Through Xiaomi.
        xiaomi: Xiaomi,
        /// Through OPPO.
        oppo: Oppo,
        /// Through vivo.
        vivo: Vivo,
        /// Through Meizu.
        meizu: Meizu,
    }
}

optional! {
    /// Through Firebase Cloud Messaging.
    Fcm {
        /// Android's notification channel.
        notification_channel: Option<String>,
        /// The address of a picture, of at most 1 MB.
        image: Option<String>,
        /// Whether it wakes a sleeping device. Absent: it does.
        priority: Option<Priority>,
        /// Of those with the same key that wait for a device, the last is delivered.
        collapse_key: Option<String>,
    }
}

/// Whether a notification wakes a sleeping device (Google, `AndroidMessagePriority`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// It may wait until the device wakes.
    Normal,
    /// It wakes the device.
    High,
}

optional! {
    /// Through Huawei Push Kit.
    Huawei {
        /// Android's notification channel.
        notification_channel: Option<String>,
        /// How much it disturbs.
        importance: Option<Importance>,
        /// The kind of message, such as `IM` or `MARKETING`.
        category: Option<String>,
        /// The https address of a small picture, of at most 512 KB.
        image: Option<String>,
        /// Whether the caller's data is an extra of the intent, and not part of its action.
        ext_in_intent: bool,
    }
}

/// How much a notification disturbs (Huawei and Honor, `importance`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Importance {
    /// Silent: for news and marketing.
    Low,
    /// As usual.
    Normal,
}

optional! {
    /// Through Honor Push.
    Honor {
        /// How much it disturbs.
        importance: Option<Importance>,
        /// The https address of a small picture, of at most 512 KB.
        image: Option<String>,
    }
}

optional! {
    /// Through Xiaomi MiPush.
    Xiaomi {
        /// Android's notification channel. Without one, nothing is shown on Android 8 and later.
        notification_channel: Option<String>,
        /// The address of a large icon, 120 by 120 pixels.
        large_icon: Option<String>,
    }
}

optional! {
    /// Through OPPO Push.
    Oppo {
        /// Android's notification channel.
        notification_channel: Option<String>,
        /// The kind of message, such as `IM` or `MARKETING`.
        category: Option<String>,
        /// Where it shows. Of use with a category only.
        notify_level: Option<NotifyLevel>,
        /// A template for private messages.
        template: Option<OppoTemplate>,
    }
}

/// Where a notification shows (OPPO, `notify_level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyLevel {
    /// 1: in the bar.
    Bar,
    /// 2: there and on the lock screen.
    LockScreen,
    /// 16: there too, and with banner, sound and vibration.
    Banner,
}

/// A template for private messages that OPPO has approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OppoTemplate {
    /// Its name.
    pub id: String,
    /// What to fill its title with.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub title: Map<String, Value>,
    /// What to fill its text with.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub content: Map<String, Value>,
}

optional! {
    /// Through vivo Push.
    Vivo {
        /// What kind of message it is.
        classification: Option<VivoClass>,
        /// The kind more closely, such as `IM` or `MARKETING`. It must fit the classification.
        category: Option<String>,
        /// Whether it rings.
        notify_type: Option<NotifyType>,
    }
}

/// What kind of message it is (vivo, `classification`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VivoClass {
    /// 0: what an operator wants said. A few a day and device, in the daytime.
    Operation,
    /// 1: what concerns the user.
    System,
}

/// Whether a notification rings (vivo, `notifyType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyType {
    /// 1: it does nothing.
    Quiet,
    /// 2: it rings.
    Ring,
    /// 3: it vibrates.
    Vibrate,
    /// 4: both.
    RingAndVibrate,
}

optional! {
    /// Through Meizu Flyme Push.
    Meizu {
        /// What kind of message it is.
        kind: Option<MeizuKind>,
    }
}

/// What kind of message it is (Meizu, `noticeMsgType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeizuKind {
    /// 0: for everyone.
    Public,
    /// 1: for one user.
    Private,
}
