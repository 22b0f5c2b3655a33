//! What a push looks like to FCM.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::channel::check::{Measured, Unfit};
use crate::channel::data::resource;
use crate::domain::notification::{Android as Settings, Badge, Priority};
use crate::domain::{Channel, DeviceToken, Notification, Push, Wording};

/// Most bytes of notification and data (Google, "About FCM messages").
const MAX_BYTES: usize = 4_096;
/// Longest time that FCM keeps a message: 28 days.
const MAX_TTL_SECS: u32 = 2_419_200;

/// A message without its receiver and its time to live.
pub(super) struct Payload<'a> {
    content: Content<'a>,
    android: Android<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: Message<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    token: &'a str,
    #[serde(flatten)]
    content: &'a Content<'a>,
    android: Timed<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    notification: Words<'a>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Words<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    body: &'a str,
}

#[derive(Serialize)]
struct Data<'a> {
    /// The caller's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    ext: Option<&'a str>,
    /// With it an app drops what it already had from the socket.
    push_id: String,
    #[serde(flatten)]
    extras: BTreeMap<&'a str, Cow<'a, str>>,
}

#[derive(Serialize)]
struct Timed<'a> {
    #[serde(flatten)]
    android: &'a Android<'a>,
    ttl: String,
}

#[derive(Serialize)]
struct Android<'a> {
    notification: OnAndroid<'a>,
    priority: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    collapse_key: Option<&'a str>,
}

#[derive(Serialize)]
struct OnAndroid<'a> {
    /// A notification replaces one with the same tag: even where a push is sent twice, one shows. (A collapse key would
    /// not do that, and FCM keeps only four of them a device.)
    tag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_count: Option<u16>,
}

impl<'a> Payload<'a> {
    pub(super) fn new(push: &'a Push, wording: Wording) -> Result<Self, Unfit> {
        let notification = push.notification.as_ref().ok_or(Unfit::NoNotification)?;
        let shown = notification.shown(Channel::Fcm, wording).ok_or(Unfit::NoNotification)?;
        let settings = &notification.android;
        let content = Content {
            notification: Words { title: shown.title, body: shown.text },
            data: Data {
                ext: notification.ext.as_deref(),
                push_id: push.id.to_string(),
                extras: settings.extras.iter().filter(|(name, _)| is_free(name, notification)).map(as_text).collect(),
            },
        };
        let size = serde_json::to_vec(&content).map_err(|_| Unfit::NoNotification)?.len();
        Measured::Message.fits(Channel::Fcm, size, MAX_BYTES)?;
        Ok(Self { content, android: Android::new(push, settings) })
    }

    /// The body for one device. Without seconds that remain, FCM delivers it now or never.
    pub(super) fn body(&self, token: &DeviceToken, remaining_secs: Option<u32>) -> Bytes {
        let ttl = remaining_secs.unwrap_or(0).min(MAX_TTL_SECS);
        let android = Timed { android: &self.android, ttl: format!("{ttl}s") };
        let body = Body { message: Message { token: token.expose(), content: &self.content, android } };
        // Texts and numbers only: nothing here can fail to be JSON.
        serde_json::to_vec(&body).unwrap_or_default().into()
    }
}

/// Whether FCM takes what a push looks like in one wording.
pub(in crate::channel) fn check(push: &Push, wording: Wording) -> Result<(), Unfit> {
    Payload::new(push, wording).map(drop)
}

impl<'a> Android<'a> {
    fn new(push: &Push, settings: &'a Settings) -> Self {
        let fcm = &settings.fcm;
        Self {
            notification: OnAndroid {
                tag: push.id.to_string(),
                channel_id: fcm.notification_channel.as_deref(),
                sound: settings.sound.as_deref().and_then(resource),
                image: fcm.image.as_deref(),
                notification_count: settings.badge.and_then(count),
            },
            priority: match fcm.priority {
                Some(Priority::Normal) => "NORMAL",
                Some(Priority::High) | None => "HIGH",
            },
            collapse_key: fcm.collapse_key.as_deref(),
        }
    }
}

/// How many items a notification stands for, which launchers add up. Google counts one if nothing is said, and knows no
/// number that takes the others away.
fn count(badge: Badge) -> Option<u16> {
    let number = match badge {
        Badge::Set(number) => number,
        Badge::Add(by) => u16::from(by),
    };
    Some(number).filter(|number| *number > 1)
}

/// Whether a name of the caller's data is neither one that the push has already nor Google's: with one of those, FCM refuses
/// the message.
fn is_free(name: &str, notification: &Notification) -> bool {
    let is_taken = name == "ext" && notification.ext.is_some();
    let reserved = is_taken || ["push_id", "from", "message_type"].contains(&name);
    !reserved && !["google.", "gcm.notification."].iter().any(|prefix| name.starts_with(prefix))
}

/// FCM's data are texts.
fn as_text<'a>((name, value): (&'a String, &'a Value)) -> (&'a str, Cow<'a, str>) {
    (name, value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::check::TooLarge;
    use crate::channel::testkit::{a_push, a_rich_push, any_notification, json};

    const PLAIN: Wording = Wording(0);

    #[test]
    fn a_message_has_the_callers_data_beside_the_notification() {
        let push = a_push();
        insta::assert_json_snapshot!(json(&Payload::new(&push, PLAIN).unwrap().body(&DeviceToken::new("t0"), Some(90))), @r#"
        {
          "message": {
            "android": {
              "notification": {
                "tag": "0000000000000000000017"
              },
              "priority": "HIGH",
              "ttl": "90s"
            },
            "data": {
              "ext": "{\"room\":7}",
              "push_id": "0000000000000000000017"
            },
            "notification": {
              "body": "You are invited",
              "title": "Hello"
            },
            "token": "t0"
          }
        }
        "#);
    }

    #[test]
    fn what_the_caller_left_out_is_left_out() {
        let mut push = a_push();
        let notification = push.notification.as_mut().unwrap();
        (notification.title, notification.ext) = (None, None);
        insta::assert_json_snapshot!(json(&Payload::new(&push, PLAIN).unwrap().body(&DeviceToken::new("t0"), None)), @r#"
        {
          "message": {
            "android": {
              "notification": {
                "tag": "0000000000000000000017"
              },
              "priority": "HIGH",
              "ttl": "0s"
            },
            "data": {
              "push_id": "0000000000000000000017"
            },
            "notification": {
              "body": "You are invited"
            },
            "token": "t0"
          }
        }
        "#);
    }

    #[test]
    fn every_member_that_google_knows_has_its_place() {
        let push = a_rich_push();
        let body = Payload::new(&push, Wording(1)).unwrap().body(&DeviceToken::new("t0"), Some(90));
        insta::assert_json_snapshot!(json(&body), @r#"
        {
          "message": {
            "android": {
              "collapse_key": "invitation",
              "notification": {
                "channel_id": "events",
                "image": "https://example.com/2.png",
                "notification_count": 2,
                "sound": "bell",
                "tag": "0000000000000000000017"
              },
              "priority": "NORMAL",
              "ttl": "90s"
            },
            "data": {
              "ext": "{\"room\":7}",
              "n": "[1]",
              "push_id": "0000000000000000000017",
              "s": "x"
            },
            "notification": {
              "body": "你被邀请了",
              "title": "你好"
            },
            "token": "t0"
          }
        }
        "#);
    }

    #[test]
    fn a_count_of_one_is_not_worth_saying() {
        let counts = [Badge::Add(1), Badge::Set(0), Badge::Set(1), Badge::Add(2), Badge::Set(9_999)].map(count);
        assert_eq!(counts, [None, None, None, Some(2), Some(9_999)]);
    }

    #[test]
    fn the_callers_data_takes_no_name_of_ours_or_googles() {
        let mut push = a_push();
        let extras = &mut push.notification.as_mut().unwrap().android.extras;
        for name in ["ext", "push_id", "from", "message_type", "google.x", "gcm.notification.y", "fromage"] {
            extras.insert(name.to_owned(), "theirs".into());
        }
        let payload = Payload::new(&push, PLAIN).unwrap();
        assert_eq!(payload.content.data.extras.keys().collect::<Vec<_>>(), [&"fromage"]);
    }

    proptest::proptest! {
        #[test]
        fn what_fits_is_taken_with_all_that_surrounds_it(notification in any_notification()) {
            let mut push = a_push();
            if let Ok(fitting) = notification.fitting() {
                push.notification = Some(fitting);
                for wording in 0..3 {
                    match Payload::new(&push, Wording(wording)) {
                        Ok(payload) => {
                            let bytes = payload.body(&DeviceToken::new(""), Some(u32::MAX)).len();
                            proptest::prop_assert!(bytes <= MAX_BYTES, "{bytes}");
                        }
                        Err(error) => proptest::prop_assert!(matches!(error, Unfit::NoNotification)),
                    }
                }
            }
        }
    }

    #[test]
    fn it_is_kept_no_longer_than_fcm_keeps_anything() {
        let push = a_push();
        let body = json(&Payload::new(&push, PLAIN).unwrap().body(&DeviceToken::new("t"), Some(u32::MAX)));
        assert_eq!(body["message"]["android"]["ttl"], "2419200s");
    }

    #[test]
    fn four_kibibytes_pass_and_one_more_does_not() {
        let mut push = a_push();
        let size = serde_json::to_vec(&Payload::new(&push, PLAIN).unwrap().content).unwrap().len();
        push.notification.as_mut().unwrap().text.push_str(&"x".repeat(MAX_BYTES - size));
        assert!(Payload::new(&push, PLAIN).is_ok());
        push.notification.as_mut().unwrap().text.push('x');
        assert!(matches!(Payload::new(&push, PLAIN), Err(Unfit::TooLarge(TooLarge { size: 4_097, .. }))));
    }
}
