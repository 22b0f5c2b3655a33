//! What a push looks like to HarmonyOS (Huawei, "Scenario-based messages: request parameters").

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::channel::Target;
use crate::channel::check::{Measured, Unfit};
use crate::channel::data::{data, notify_id};
use crate::channel::words::Words;
use crate::domain::notification::Badge;
use crate::domain::{Channel, HarmonyCredentials, Push, Wording};

/// Most bytes of a message without its tokens.
const MAX_BYTES: usize = 4_096;
/// Longest time that Huawei keeps a message: 15 days.
const MAX_TTL_SECS: u32 = 1_296_000;
/// The highest number on an icon.
const MAX_BADGE: u16 = 99;

/// A message without its receivers and its time to live.
pub(super) struct Payload<'a> {
    words: Words<'a>,
    notification: OnHarmony<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    payload: Content<'a>,
    target: Tokens<'a>,
    push_options: Options,
}

#[derive(Serialize)]
struct Content<'a> {
    notification: Worded<'a>,
}

/// A notification with its words.
#[derive(Serialize)]
struct Worded<'a> {
    title: &'a str,
    body: &'a str,
    #[serde(flatten)]
    notification: &'a OnHarmony<'a>,
}

#[derive(Serialize)]
struct Tokens<'a> {
    token: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    ttl: u32,
    /// Keep all that wait for a device.
    collapse_key: i8,
    test_message: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OnHarmony<'a> {
    category: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    click_action: ClickAction,
    #[serde(skip_serializing_if = "Option::is_none")]
    badge: Option<OnIcon>,
    /// A file in the app's `resources/rawfile`. Not heard where the category is `MARKETING`.
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<&'a str>,
    /// How long it plays, over and over if it is shorter: 1 to 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    sound_duration: Option<u8>,
    /// A notification replaces one with the same.
    notify_id: u32,
    /// Of messages with the same, a device shows the first and is silent about others, for 24 hours: even where a push is
    /// sent twice, one shows. 1 to 64 letters, digits, and `+/=-_`.
    app_message_id: String,
}

/// Opens the app, and hands it the caller's data.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClickAction {
    action_type: u8,
    data: Map<String, Value>,
}

/// 1 to 99 more, or 0 to 99.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OnIcon {
    #[serde(skip_serializing_if = "Option::is_none")]
    add_num: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_num: Option<u16>,
}

impl<'a> Payload<'a> {
    /// What the devices with one wording are shown. A text that is too long with all that goes with it is shortened; if that
    /// does not help, there is no payload.
    pub(super) fn new(push: &'a Push, wording: Wording, credentials: &'a HarmonyCredentials) -> Result<Self, Unfit> {
        let notification = push.notification.as_ref().ok_or(Unfit::NoNotification)?;
        let shown = notification.shown(Channel::Harmony, wording).ok_or(Unfit::NoNotification)?;
        let own = &notification.harmony;
        let words = Words::new(shown, false);
        let notification = OnHarmony {
            category: own.category.as_ref().unwrap_or(&credentials.default_category).to_ascii_uppercase(),
            image: own.image.as_deref(),
            click_action: ClickAction { action_type: 0, data: data(push, notification, &own.extras) },
            badge: own.badge.map(badge),
            sound: own.sound.as_ref().map(|sound| sound.file.as_str()),
            sound_duration: own.sound.as_ref().and_then(|sound| sound.secs),
            notify_id: notify_id(push),
            app_message_id: push.id.to_string(),
        };
        Self { words, notification }.fitting()
    }

    fn fitting(mut self) -> Result<Self, Unfit> {
        let size = self.size();
        if size > MAX_BYTES && !self.words.shorten(size - MAX_BYTES) {
            Measured::Message.fits(Channel::Harmony, size, MAX_BYTES)?;
        }
        Ok(self)
    }

    /// Bytes of the longest body, without tokens.
    fn size(&self) -> usize {
        self.body(&[], Some(MAX_TTL_SECS)).len()
    }

    /// The body for the devices of one request. Huawei knows no "now or never": the least is a second.
    pub(super) fn body(&self, targets: &[&Target], remaining_secs: Option<u32>) -> Bytes {
        let ttl = remaining_secs.unwrap_or(1).clamp(1, MAX_TTL_SECS);
        let Words { title, text, .. } = &self.words;
        let body = Body {
            payload: Content { notification: Worded { title, body: text, notification: &self.notification } },
            target: Tokens { token: targets.iter().map(|target| target.token.expose()).collect() },
            push_options: Options { ttl, collapse_key: -1, test_message: false },
        };
        // Texts and numbers only: nothing here can fail to be JSON.
        serde_json::to_vec(&body).unwrap_or_default().into()
    }
}

/// Whether Huawei takes what a push looks like on HarmonyOS in one wording.
pub(in crate::channel) fn check(push: &Push, wording: Wording, credentials: &HarmonyCredentials) -> Result<(), Unfit> {
    Payload::new(push, wording, credentials).map(drop)
}

fn badge(badge: Badge) -> OnIcon {
    match badge {
        Badge::Set(number) => OnIcon { add_num: None, set_num: Some(number.min(MAX_BADGE)) },
        Badge::Add(by) => OnIcon { add_num: Some(u16::from(by).min(MAX_BADGE)), set_num: None },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::channel::check::TooLarge;
    use crate::channel::harmony::tests::credentials;
    use crate::channel::testkit::{self, a_push, a_rich_push, any_notification, target};

    const PLAIN: Wording = Wording(0);

    fn rendered(push: &Push, wording: Wording, remaining_secs: Option<u32>) -> Value {
        let credentials = credentials("https://localhost");
        let (one, two) = (target("t1"), target("t2"));
        testkit::json(&Payload::new(push, wording, &credentials).unwrap().body(&[&one, &two], remaining_secs))
    }

    fn a_rich_one() -> Push {
        let mut push = a_rich_push();
        push.notification.as_mut().unwrap().harmony = serde_json::from_value(json!({
            "title": "HarmonyOS's", "text": "Come over", "category": "im", "image": "https://example.com/3.png",
            "sound": {"file": "bell.mp3", "secs": 5}, "badge": {"add": 2}, "extras": {"n": [1], "push_id": "x"},
        }))
        .unwrap();
        push
    }

    #[test]
    fn a_plain_push_is_of_the_default_category() {
        insta::assert_json_snapshot!(rendered(&a_push(), PLAIN, Some(120)), @r#"
        {
          "payload": {
            "notification": {
              "appMessageId": "0000000000000000000017",
              "body": "You are invited",
              "category": "MARKETING",
              "clickAction": {
                "actionType": 0,
                "data": {
                  "ext": "{\"room\":7}",
                  "push_id": "0000000000000000000017"
                }
              },
              "notifyId": 1655519430,
              "title": "Hello"
            }
          },
          "pushOptions": {
            "collapseKey": -1,
            "testMessage": false,
            "ttl": 120
          },
          "target": {
            "token": [
              "t1",
              "t2"
            ]
          }
        }
        "#);
    }

    #[test]
    fn every_member_that_harmonyos_knows_has_its_place() {
        insta::assert_json_snapshot!(rendered(&a_rich_one(), PLAIN, Some(604_800)), @r#"
        {
          "payload": {
            "notification": {
              "appMessageId": "0000000000000000000017",
              "badge": {
                "addNum": 2
              },
              "body": "Come over",
              "category": "IM",
              "clickAction": {
                "actionType": 0,
                "data": {
                  "ext": "{\"room\":7}",
                  "n": [
                    1
                  ],
                  "push_id": "0000000000000000000017"
                }
              },
              "image": "https://example.com/3.png",
              "notifyId": 1655519430,
              "sound": "bell.mp3",
              "soundDuration": 5,
              "title": "HarmonyOS's"
            }
          },
          "pushOptions": {
            "collapseKey": -1,
            "testMessage": false,
            "ttl": 604800
          },
          "target": {
            "token": [
              "t1",
              "t2"
            ]
          }
        }
        "#);
    }

    #[test]
    fn a_translation_speaks_before_harmonyos_own_words() {
        let body = rendered(&a_rich_one(), Wording(2), None);
        let shown = &body["payload"]["notification"];
        assert_eq!((&shown["title"], &shown["body"]), (&json!("HarmonyOS's"), &json!("Eingeladen")));
    }

    #[test]
    fn without_a_title_the_beginning_of_the_text_stands_in() {
        let mut push = a_push();
        for (title, text, expected) in [
            (None, "You are invited".to_owned(), "You are invited".to_owned()),
            (Some(" "), "好".repeat(1_000), "好".repeat(39) + "…"),
        ] {
            let notification = push.notification.as_mut().unwrap();
            (notification.title, notification.text) = (title.map(str::to_owned), text.clone());
            let shown = &rendered(&push, PLAIN, None)["payload"]["notification"];
            assert_eq!((&shown["title"], &shown["body"]), (&json!(expected), &json!(text)));
        }
    }

    #[test]
    fn a_text_is_shortened_to_what_huawei_takes() {
        let (mut push, credentials) = (a_push(), credentials("https://localhost"));
        push.notification.as_mut().unwrap().text = "\"好\n".repeat(900);
        let payload = Payload::new(&push, PLAIN, &credentials).unwrap();
        assert!((MAX_BYTES - 8..=MAX_BYTES).contains(&payload.size()), "{}", payload.size());
        assert!(payload.words.text.starts_with("\"好\n\"") && payload.words.text.ends_with('…'));
    }

    #[test]
    fn times_and_numbers_stay_within_huaweis_bounds() {
        for (remaining, ttl) in [(None, 1), (Some(0), 1), (Some(7), 7), (Some(u32::MAX), 1_296_000)] {
            assert_eq!(rendered(&a_push(), PLAIN, remaining)["pushOptions"]["ttl"], ttl, "{remaining:?}");
        }
        for (badge, expected) in [
            (json!({"add": 99}), json!({"addNum": 99})),
            (json!({"set": 0}), json!({"setNum": 0})),
            (json!({"set": 1_000}), json!({"setNum": 99})),
        ] {
            let mut push = a_push();
            push.notification.as_mut().unwrap().harmony.badge = serde_json::from_value(badge).unwrap();
            assert_eq!(rendered(&push, PLAIN, None)["payload"]["notification"]["badge"], expected);
        }
    }

    #[test]
    fn what_is_too_long_or_nothing_is_not_sent() {
        let (mut push, credentials) = (a_push(), credentials("https://localhost"));
        push.notification.as_mut().unwrap().harmony.extras.insert("x".to_owned(), "x".repeat(4_000).into());
        let error = Payload::new(&push, PLAIN, &credentials).err();
        assert!(matches!(error, Some(Unfit::TooLarge(TooLarge { size: 4_097.., .. }))), "{error:?}");
        push.notification = None;
        assert!(matches!(Payload::new(&push, PLAIN, &credentials), Err(Unfit::NoNotification)));
    }

    proptest! {
        #[test]
        fn no_message_is_longer_than_huawei_takes(
            notification in any_notification(), wording in 0_u8..3, remaining in any::<Option<u32>>(),
        ) {
            let push = Push { notification: Some(notification), ..a_push() };
            let credentials = credentials("https://localhost");
            if let Ok(payload) = Payload::new(&push, Wording(wording), &credentials) {
                prop_assert!(payload.body(&[], remaining).len() <= MAX_BYTES);
            }
        }
    }
}
