//! What a push looks like to Apple.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::channel::check::{Measured, Unfit};
use crate::domain::notification::{Badge, InterruptionLevel, Ios, Shown};
use crate::domain::{Channel, DeviceToken, Push, Wording};

/// Largest body (Apple, "Generating a remote notification").
const MAX_BYTES: usize = 4_096;

#[derive(Serialize)]
struct Payload<'a> {
    aps: Aps<'a>,
    /// The caller's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    ext: Option<&'a str>,
    /// With it an app drops what it already had from the socket.
    push_id: String,
    /// A picture, for the app's service extension to load.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    /// By how much the number on the icon is to grow. Apple can only set it: the app's service extension does the sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    badge_add: Option<u8>,
    #[serde(flatten)]
    extras: BTreeMap<&'a str, &'a Value>,
}

/// Names beside `aps` that are ours, each where the push has it.
const OURS: [&str; 3] = ["ext", "image", "badge_add"];

#[derive(Serialize, Default)]
#[serde(rename_all = "kebab-case")]
struct Aps<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<Alert<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    badge: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruption_level: Option<InterruptionLevel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutable_content: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_available: Option<u8>,
}

#[derive(Serialize)]
struct Alert<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtitle: Option<&'a str>,
    body: &'a str,
}

/// The body: the same for every device in the same wording.
pub(super) fn body(push: &Push, wording: Wording) -> Result<Bytes, Unfit> {
    let notification = push.notification.as_ref().ok_or(Unfit::NoNotification)?;
    let ios = &notification.ios;
    let aps = match notification.shown(Channel::Apns, wording) {
        Some(shown) => alerting(ios, shown),
        // A background notification has nothing but this (Apple, "Pushing background updates to your app").
        None if ios.wake.is_some() => Aps { content_available: Some(1), ..Aps::default() },
        None => return Err(Unfit::NoNotification),
    };
    let is_taken = [notification.ext.is_some(), ios.image.is_some(), matches!(ios.badge, Some(Badge::Add(_)))];
    let is_free = |name: &str| match OURS.iter().position(|ours| *ours == name) {
        Some(place) => !is_taken[place],
        None => !["aps", "push_id"].contains(&name),
    };
    let extras = ios.extras.iter().filter(|(name, _)| is_free(name));
    let payload = Payload {
        aps,
        ext: notification.ext.as_deref(),
        push_id: push.id.to_string(),
        image: ios.image.as_deref(),
        badge_add: match ios.badge {
            Some(Badge::Add(by)) => Some(by),
            Some(Badge::Set(_)) | None => None,
        },
        extras: extras.map(|(name, value)| (name.as_str(), value)).collect(),
    };
    let body = serde_json::to_vec(&payload).map_err(|_| Unfit::NoNotification)?;
    Measured::Message.fits(Channel::Apns, body.len(), MAX_BYTES)?;
    Ok(body.into())
}

/// Whether Apple takes what a push looks like in one wording.
pub(in crate::channel) fn check(push: &Push, wording: Wording) -> Result<(), Unfit> {
    body(push, wording).map(drop)
}

fn alerting<'a>(ios: &'a Ios, shown: Shown<'a>) -> Aps<'a> {
    let flag = |is_set: bool| is_set.then_some(1);
    Aps {
        alert: Some(Alert { title: shown.title, subtitle: ios.subtitle.as_deref(), body: shown.text }),
        sound: Some(ios.sound.as_deref().unwrap_or("default")),
        badge: match ios.badge {
            Some(Badge::Set(number)) => Some(number),
            Some(Badge::Add(_)) | None => None,
        },
        thread_id: ios.thread_id.as_deref(),
        category: ios.category.as_deref(),
        interruption_level: ios.interruption_level,
        // Only the extension can load a picture.
        mutable_content: flag(ios.mutable_content || ios.image.is_some()),
        content_available: flag(ios.wake.is_some()),
    }
}

/// `apns-push-type` and `apns-priority`: at once for what is shown, and when it suits the device for what is not. Apple
/// refuses a background notification of any other priority.
pub(super) fn push_type(push: &Push, wording: Wording) -> (&'static str, &'static str) {
    let shows = push.notification.as_ref().is_some_and(|it| it.shown(Channel::Apns, wording).is_some());
    if shows { ("alert", "10") } else { ("background", "5") }
}

/// `apns-collapse-id`: of notifications with the same one, a device shows the last. The caller's, if it can be one; else the
/// push's own, so that a push that is sent twice shows once.
pub(super) fn collapse_id(push: &Push) -> String {
    let own = push.notification.as_ref().and_then(|it| it.ios.collapse_id.as_deref());
    let can_be = |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    own.filter(can_be).map_or_else(|| push.id.to_string(), str::to_owned)
}

/// `apns-expiration`: until when Apple keeps it for a device that is away, in Unix seconds. 0, try once and keep
/// nothing, for a push that is for now or never.
pub(super) fn expiration(push: &Push) -> i64 {
    push.expires_at().map_or(0, |at| at.secs().max(0))
}

/// `apns-id`: the same for every try of a push on a device. Apple does not drop what it has seen, but repeats the id in
/// its answer and its console, and so a doubled notification can be told from two.
pub(super) fn apns_id(push: &Push, token: &DeviceToken) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(push.id.as_u128().to_be_bytes());
    hash.update(token.expose().as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::check::TooLarge;
    use crate::channel::testkit::{a_push, json};
    use crate::channel::testkit::{a_rich_push, any_notification};
    use crate::domain::PushId;
    use crate::domain::notification::Wake;

    const PLAIN: Wording = Wording(0);

    #[test]
    fn a_notification_is_an_alert_with_the_callers_data_beside_it() {
        insta::assert_json_snapshot!(json(&body(&a_push(), PLAIN).unwrap()), @r#"
        {
          "aps": {
            "alert": {
              "body": "You are invited",
              "title": "Hello"
            },
            "sound": "default"
          },
          "ext": "{\"room\":7}",
          "push_id": "0000000000000000000017"
        }
        "#);
    }

    #[test]
    fn what_the_caller_left_out_is_left_out() {
        let mut push = a_push();
        let notification = push.notification.as_mut().unwrap();
        (notification.title, notification.ext) = (None, None);
        insta::assert_json_snapshot!(json(&body(&push, PLAIN).unwrap()), @r#"
        {
          "aps": {
            "alert": {
              "body": "You are invited"
            },
            "sound": "default"
          },
          "push_id": "0000000000000000000017"
        }
        "#);
    }

    #[test]
    fn every_member_that_apple_knows_has_its_place() {
        insta::assert_json_snapshot!(json(&body(&a_rich_push(), Wording(1)).unwrap()), @r#"
        {
          "aps": {
            "alert": {
              "body": "你被邀请了",
              "subtitle": "Tonight",
              "title": "你好"
            },
            "badge": 3,
            "category": "INVITATION",
            "content-available": 1,
            "interruption-level": "time-sensitive",
            "mutable-content": 1,
            "sound": "bell.caf",
            "thread-id": "thread"
          },
          "ext": "{\"room\":7}",
          "image": "https://example.com/1.png",
          "n": [
            1
          ],
          "push_id": "0000000000000000000017"
        }
        "#);
    }

    #[test]
    fn a_badge_is_set_by_apple_or_summed_up_by_the_app() {
        let mut push = a_rich_push();
        let mut badges = |badge| {
            push.notification.as_mut().unwrap().ios.badge = badge;
            let body = json(&body(&push, PLAIN).unwrap());
            (body["aps"]["badge"].clone(), body["badge_add"].clone())
        };
        assert_eq!(badges(None), (Value::Null, Value::Null));
        assert_eq!(badges(Some(Badge::Set(0))), (0.into(), Value::Null));
        assert_eq!(badges(Some(Badge::Add(3))), (Value::Null, 3.into()));
    }

    #[test]
    fn a_silent_one_has_nothing_but_data() {
        let mut push = a_rich_push();
        assert_eq!(push_type(&push, PLAIN), ("alert", "10"));
        let notification = push.notification.as_mut().unwrap();
        (notification.ios.wake, notification.ios.extras) = (Some(Wake::Silently), Default::default());
        assert_eq!(push_type(&push, PLAIN), ("background", "5"));
        insta::assert_json_snapshot!(json(&body(&push, PLAIN).unwrap()), @r#"
        {
          "aps": {
            "content-available": 1
          },
          "ext": "{\"room\":7}",
          "image": "https://example.com/1.png",
          "push_id": "0000000000000000000017"
        }
        "#);
    }

    #[test]
    fn the_callers_collapse_id_is_taken_if_it_can_be_one() {
        let mut push = a_push();
        let own = push.id.to_string();
        let mut of = |id: &str| {
            push.notification.as_mut().unwrap().ios.collapse_id = Some(id.to_owned());
            collapse_id(&push)
        };
        assert_eq!(of("news"), "news");
        assert_eq!(of(&"x".repeat(64)), "x".repeat(64));
        for id in ["", "a b", "a\nb", "é", &"x".repeat(65)] {
            assert_eq!(of(id), own, "{id:?}");
        }
    }

    #[test]
    fn the_callers_data_takes_no_name_of_ours() {
        let mut push = a_rich_push();
        let notification = push.notification.as_mut().unwrap();
        notification.ios.badge = Some(Badge::Add(1));
        for name in OURS.iter().chain(&["aps", "push_id"]) {
            notification.ios.extras.insert((*name).to_owned(), "theirs".into());
        }
        let text = String::from_utf8(body(&push, PLAIN).unwrap().to_vec()).unwrap();
        assert!(!text.contains("theirs"), "{text}");

        // What the push has not is theirs to use.
        let notification = push.notification.as_mut().unwrap();
        notification.ext = None;
        (notification.ios.image, notification.ios.badge) = (None, Some(Badge::Set(1)));
        let body = json(&body(&push, PLAIN).unwrap());
        assert!(OURS.iter().all(|name| body[*name] == "theirs"), "{body}");
    }

    proptest::proptest! {
        #[test]
        fn what_fits_is_taken(notification in any_notification()) {
            let mut push = a_push();
            if let Ok(fitting) = notification.fitting() {
                push.notification = Some(fitting);
                for wording in 0..3 {
                    proptest::prop_assert!(!matches!(body(&push, Wording(wording)), Err(Unfit::TooLarge(_))));
                }
            }
        }
    }

    #[test]
    fn four_kibibytes_pass_and_one_more_does_not() {
        let mut push = a_push();
        let room = MAX_BYTES - body(&push, PLAIN).unwrap().len();
        push.notification.as_mut().unwrap().text.push_str(&"x".repeat(room));
        assert_eq!(body(&push, PLAIN).unwrap().len(), MAX_BYTES);
        push.notification.as_mut().unwrap().text.push('x');
        assert!(matches!(body(&push, PLAIN), Err(Unfit::TooLarge(TooLarge { size: 4_097, .. }))));
    }

    #[test]
    fn it_expires_with_the_push_and_is_not_kept_when_it_is_for_now_or_never() {
        let mut push = a_push();
        assert_eq!(expiration(&push), push.deadline().secs());
        push.lifetime_secs = 0;
        assert_eq!(expiration(&push), 0);
    }

    #[test]
    fn its_id_is_its_own_for_each_push_and_device() {
        let (push, token) = (a_push(), DeviceToken::new("00aa"));
        let id = apns_id(&push, &token);
        assert_eq!(apns_id(&push, &token), id);
        assert_ne!(apns_id(&push, &DeviceToken::new("00ab")), id);
        assert_ne!(apns_id(&Push { id: PushId::from_u128(2), ..a_push() }, &token), id);
    }
}
