//! What a push looks like to Huawei.

use bytes::Bytes;
use serde::Serialize;

use crate::channel::Target;
use crate::channel::data::{data, notify_id};
use crate::domain::notification::{Android as Settings, Badge, Importance};
use crate::domain::{Channel, Push, Wording};

use super::Error;

/// Most bytes of a message without its tokens.
const MAX_BYTES: usize = 4_096;
/// Longest time that Huawei keeps a message: 15 days.
const MAX_TTL_SECS: u32 = 1_296_000;
/// The highest number on an icon.
const MAX_BADGE: u16 = 99;

/// A message without its receivers and its time to live.
pub(super) struct Payload<'a> {
    data: String,
    android: Android<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    validate_only: bool,
    message: Message<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    data: &'a str,
    android: Timed<'a>,
    token: Vec<&'a str>,
}

#[derive(Serialize)]
struct Timed<'a> {
    #[serde(flatten)]
    android: &'a Android<'a>,
    ttl: String,
}

#[derive(Serialize)]
struct Android<'a> {
    /// Keep all that wait for a device.
    collapse_key: i8,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    notification: Shown<'a>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    importance: Option<&'static str>,
    click_action: ClickAction,
    #[serde(skip_serializing_if = "Option::is_none")]
    badge: Option<OnIcon>,
    /// A notification replaces one with the same: even where a push is sent twice, one shows.
    notify_id: u32,
}

/// Opens the app.
#[derive(Serialize)]
struct ClickAction {
    r#type: u8,
}

#[derive(Serialize)]
struct OnIcon {
    #[serde(skip_serializing_if = "Option::is_none")]
    add_num: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_num: Option<u16>,
}

impl<'a> Payload<'a> {
    pub(super) fn new(push: &'a Push, wording: Wording) -> Result<Self, Error> {
        let notification = push.notification.as_ref().ok_or(Error::NoNotification)?;
        let shown = notification.shown(Channel::Huawei, wording).ok_or(Error::NoNotification)?;
        let settings = &notification.android;
        let data = serde_json::Value::Object(data(push, notification, &settings.extras)).to_string();
        let android = Android {
            collapse_key: -1,
            category: settings.huawei.category.as_deref(),
            notification: Shown {
                title: shown.title,
                body: shown.text,
                image: settings.huawei.image.as_deref(),
                sound: settings.sound.as_deref(),
                channel_id: settings.huawei.notification_channel.as_deref(),
                importance: settings.huawei.importance.map(importance),
                click_action: ClickAction { r#type: 3 },
                badge: badge(settings),
                notify_id: notify_id(push),
            },
        };
        let payload = Self { data, android };
        let size = payload.body(&[], None).len();
        if size > MAX_BYTES { Err(Error::TooLarge(size)) } else { Ok(payload) }
    }

    /// The body for the devices of one request. Huawei knows no "now or never": the least is a second.
    pub(super) fn body(&self, targets: &[&Target], remaining_secs: Option<u32>) -> Bytes {
        let ttl = remaining_secs.unwrap_or(1).clamp(1, MAX_TTL_SECS);
        let token = targets.iter().map(|target| target.token.expose()).collect();
        let android = Timed { android: &self.android, ttl: format!("{ttl}s") };
        let body = Body { validate_only: false, message: Message { data: &self.data, android, token } };
        // Texts and numbers only: nothing here can fail to be JSON.
        serde_json::to_vec(&body).unwrap_or_default().into()
    }
}

fn importance(importance: Importance) -> &'static str {
    match importance {
        Importance::Low => "LOW",
        Importance::Normal => "NORMAL",
    }
}

fn badge(settings: &Settings) -> Option<OnIcon> {
    settings.badge.map(|badge| match badge {
        Badge::Set(number) => OnIcon { add_num: None, set_num: Some(number.min(MAX_BADGE)) },
        Badge::Add(by) => OnIcon { add_num: Some(by), set_num: None },
    })
}
