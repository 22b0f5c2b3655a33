//! What a push looks like to a browser: what its service worker gets in the `push` event, as JSON.
//!
//! | member | |
//! |---|---|
//! | `title`, `text` | to be shown; `title` may be absent |
//! | `image` | the https address of a picture, if there is one |
//! | `ext` | the caller's data, if there are some |
//! | `push_id` | by which the page drops what it already had from the socket |
//! | `extras` | more of the caller's data, if there are some |
//!
//! No contract has a part for browsers. They show what is said for all platforms, and take the picture, the extras, the
//! collapse key and the priority that are meant for FCM, which is what delivers to most of them.

use http::HeaderValue;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::channel::check::{Measured, Unfit};
use crate::domain::notification::Priority;
use crate::domain::{Channel, Push, Wording};

use super::encryption::OVERHEAD;

/// Most bytes of an encrypted message (RFC 8291, section 4: a service may refuse more).
const MAX_BYTES: usize = 4_096;
/// Longest time that the push service of most browsers keeps a message: 28 days.
const MAX_TTL_SECS: u32 = 2_419_200;

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ext: Option<&'a str>,
    push_id: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    extras: &'a Map<String, Value>,
}

/// The text that is encrypted for each browser with the same wording.
pub(super) fn text(push: &Push, wording: Wording) -> Result<Vec<u8>, Unfit> {
    let notification = push.notification.as_ref().ok_or(Unfit::NoNotification)?;
    let shown = notification.shown(Channel::Webpush, wording).ok_or(Unfit::NoNotification)?;
    let payload = Payload {
        title: shown.title,
        text: shown.text,
        image: notification.android.fcm.image.as_deref(),
        ext: notification.ext.as_deref(),
        push_id: push.id.to_string(),
        extras: &notification.android.extras,
    };
    let text = serde_json::to_vec(&payload).map_err(|_| Unfit::NoNotification)?;
    Measured::Message.fits(Channel::Webpush, text.len() + OVERHEAD, MAX_BYTES)?;
    Ok(text)
}

/// Whether push services take what a push looks like in one wording.
pub(in crate::channel) fn check(push: &Push, wording: Wording) -> Result<(), Unfit> {
    text(push, wording).map(drop)
}

/// `TTL`: how many seconds the service keeps it for a browser that is not running; 0 for now or never (RFC 8030, section
/// 5.2).
pub(super) fn ttl(remaining_secs: Option<u32>) -> u32 {
    remaining_secs.unwrap_or(0).min(MAX_TTL_SECS)
}

/// `Urgency`: whether a device that saves power is woken (RFC 8030, section 5.3).
pub(super) fn urgency(push: &Push) -> &'static str {
    match push.notification.as_ref().and_then(|notification| notification.android.fcm.priority) {
        Some(Priority::Normal) => "normal",
        Some(Priority::High) | None => "high",
    }
}

/// `Topic`: of messages with the same one, a service keeps the last (RFC 8030, section 5.4). The caller's, if it can be one;
/// else the push's own, so that a push that is sent twice shows once.
pub(super) fn topic(push: &Push) -> HeaderValue {
    let own = push.notification.as_ref().and_then(|it| it.android.fcm.collapse_key.as_deref());
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let can_be = |topic: &&str| (1..=32).contains(&topic.len()) && topic.bytes().all(is_letter);
    let topic = own.filter(can_be).map_or_else(|| push.id.to_string(), str::to_owned);
    HeaderValue::try_from(topic).expect("letters and digits make a header")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::channel::check::TooLarge;
    use crate::channel::testkit::{self, a_push, a_rich_push, any_notification};
    use crate::domain::PushId;

    const PLAIN: Wording = Wording(0);

    fn rendered(push: &Push, wording: Wording) -> Value {
        testkit::json(&text(push, wording).unwrap())
    }

    #[test]
    fn a_plain_push_is_its_words_and_the_callers_data() {
        insta::assert_json_snapshot!(rendered(&a_push(), PLAIN), @r#"
        {
          "ext": "{\"room\":7}",
          "push_id": "0000000000000000000017",
          "text": "You are invited",
          "title": "Hello"
        }
        "#);
    }

    #[test]
    fn a_rich_push_has_a_picture_and_extras() {
        insta::assert_json_snapshot!(rendered(&a_rich_push(), Wording(1)), @r#"
        {
          "ext": "{\"room\":7}",
          "extras": {
            "n": [
              1
            ],
            "s": "x"
          },
          "image": "https://example.com/2.png",
          "push_id": "0000000000000000000017",
          "text": "你被邀请了",
          "title": "你好"
        }
        "#);
    }

    #[test]
    fn the_topic_is_the_callers_if_it_can_be_one() {
        let of = |key: Option<&str>| {
            let mut push = a_push();
            push.notification.as_mut().unwrap().android.fcm.collapse_key = key.map(str::to_owned);
            topic(&push).to_str().unwrap().to_owned()
        };
        let (own, longest) = (a_push().id.to_string(), "x".repeat(32));
        for (key, expected) in [
            (None, &own),
            (Some("invitation"), &"invitation".to_owned()),
            (Some(longest.as_str()), &longest),
            (Some(&*"x".repeat(33)), &own),
            (Some("a b"), &own),
            (Some("é"), &own),
            (Some(""), &own),
        ] {
            assert_eq!(of(key), *expected, "{key:?}");
        }
    }

    #[test]
    fn a_pushs_own_topic_is_always_one() {
        for id in [0, 69, u128::MAX] {
            let topic = topic(&Push { id: PushId::from_u128(id), ..a_push() });
            let topic = topic.to_str().unwrap();
            assert!((1..=32).contains(&topic.len()) && topic.bytes().all(|b| b.is_ascii_alphanumeric()), "{topic}");
        }
    }

    #[test]
    fn what_need_not_wake_a_device_says_so() {
        assert_eq!((urgency(&a_push()), urgency(&a_rich_push())), ("high", "normal"));
        for (remaining, secs) in [(None, 0), (Some(0), 0), (Some(7), 7), (Some(u32::MAX), 2_419_200)] {
            assert_eq!(ttl(remaining), secs);
        }
    }

    #[test]
    fn what_is_too_long_or_nothing_is_not_sent() {
        let mut push = a_push();
        let size = text(&push, PLAIN).unwrap().len();
        let room = MAX_BYTES - OVERHEAD - size - r#","extras":{"x":""}"#.len();
        let mut with = |length: usize| {
            push.notification.as_mut().unwrap().android.extras.insert("x".to_owned(), json!("x".repeat(length)));
            text(&push, PLAIN).map(|text| text.len())
        };
        assert_eq!(with(room).unwrap(), 3_993);
        assert!(matches!(with(room + 1), Err(Unfit::TooLarge(TooLarge { size: 4_097, .. }))));
        push.notification = None;
        assert!(matches!(text(&push, PLAIN), Err(Unfit::NoNotification)));
    }

    proptest! {
        #[test]
        fn no_message_is_longer_than_services_take(notification in any_notification(), wording in 0_u8..3) {
            let push = Push { notification: Some(notification), ..a_push() };
            if let Ok(text) = text(&push, Wording(wording)) {
                prop_assert!(text.len() + OVERHEAD <= MAX_BYTES);
            }
        }
    }
}
