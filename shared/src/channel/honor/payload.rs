//! What a push looks like to Honor. Its members are Huawei's in another spelling, and fewer: it knows no sound, no category
//! and no notification channel.

use bytes::Bytes;
use serde::Serialize;

use crate::channel::Target;
use crate::channel::check::{Measured, Unfit};
use crate::channel::data::{data, notify_id};
use crate::channel::words::Words;
use crate::domain::notification::{Badge, Importance};
use crate::domain::{Channel, HonorCredentials, Push, Wording};

/// Most bytes of a message without its tokens: Huawei's. Honor's own limit was not to be had.
const MAX_BYTES: usize = 4_096;
/// Longest time that Honor keeps a message: 15 days.
const MAX_TTL_SECS: u32 = 1_296_000;
/// The highest number on an icon.
const MAX_BADGE: u16 = 99;

/// A message without its receivers and its time to live.
pub(super) struct Payload<'a> {
    words: Words<'a>,
    data: String,
    notification: OnAndroid<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    /// The caller's data, which the intent that opens the app has as its extras.
    data: &'a str,
    android: Android<'a>,
    token: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Android<'a> {
    ttl: String,
    /// 0: a message that is meant, not a test.
    target_user_type: u8,
    notification: Worded<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OnAndroid<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    importance: Option<&'static str>,
    click_action: ClickAction,
    #[serde(skip_serializing_if = "Option::is_none")]
    badge: Option<OnIcon<'a>>,
    /// A notification replaces one with the same: even where a push is sent twice, one shows.
    notify_id: u32,
}

/// A notification with its words.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Worded<'a> {
    title: &'a str,
    body: &'a str,
    /// 1: a long text, of which `body` is the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    style: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    big_title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    big_body: Option<&'a str>,
    #[serde(flatten)]
    notification: &'a OnAndroid<'a>,
}

/// Opens the app.
#[derive(Serialize)]
struct ClickAction {
    r#type: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OnIcon<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    add_num: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_num: Option<u16>,
    badge_class: &'a str,
}

impl<'a> Payload<'a> {
    /// What the devices with one wording are shown. Without the class of the app's entry activity no number goes to its
    /// icon. A text that is too long with all that goes with it is shortened; if that does not help, there is no payload.
    pub(super) fn new(push: &'a Push, wording: Wording, badge_class: Option<&'a str>) -> Result<Self, Unfit> {
        let notification = push.notification.as_ref().ok_or(Unfit::NoNotification)?;
        let shown = notification.shown(Channel::Honor, wording).ok_or(Unfit::NoNotification)?;
        let settings = &notification.android;
        let data = serde_json::Value::Object(data(push, notification, &settings.extras)).to_string();
        let words = Words::new(shown, settings.big_text);
        let notification = OnAndroid {
            image: settings.honor.image.as_deref(),
            importance: settings.honor.importance.map(importance),
            click_action: ClickAction { r#type: 3 },
            badge: settings.badge.zip(badge_class).map(|(badge, class)| on_icon(badge, class)),
            notify_id: notify_id(push),
        };
        Self { words, data, notification }.fitting()
    }

    fn fitting(mut self) -> Result<Self, Unfit> {
        let size = self.size();
        if size > MAX_BYTES && !self.words.shorten(size - MAX_BYTES) {
            Measured::Message.fits(Channel::Honor, size - self.words.spare(), MAX_BYTES)?;
        }
        Ok(self)
    }

    /// Bytes of the longest body, without tokens.
    fn size(&self) -> usize {
        self.body(&[], Some(MAX_TTL_SECS)).len()
    }

    /// The body for the devices of one request. Honor knows no "now or never": the least is a second.
    pub(super) fn body(&self, targets: &[&Target], remaining_secs: Option<u32>) -> Bytes {
        let ttl = remaining_secs.unwrap_or(1).clamp(1, MAX_TTL_SECS);
        let token = targets.iter().map(|target| target.token.expose()).collect();
        let notification = Worded::new(&self.words, &self.notification);
        let android = Android { ttl: format!("{ttl}s"), target_user_type: 0, notification };
        let message = Message { data: &self.data, android, token };
        // Texts and numbers only: nothing here can fail to be JSON.
        serde_json::to_vec(&message).unwrap_or_default().into()
    }
}

/// Whether Honor takes what a push looks like in one wording.
pub(in crate::channel) fn check(push: &Push, wording: Wording, credentials: &HonorCredentials) -> Result<(), Unfit> {
    Payload::new(push, wording, credentials.badge_class.as_deref()).map(drop)
}

impl<'a> Worded<'a> {
    fn new(words: &'a Words<'_>, notification: &'a OnAndroid<'_>) -> Self {
        let big_body = words.unfolded.as_deref();
        let (style, big_title) = big_body.map(|_| (1, words.title.as_ref())).unzip();
        Self { title: &words.title, body: &words.text, style, big_title, big_body, notification }
    }
}

fn importance(importance: Importance) -> &'static str {
    match importance {
        Importance::Low => "LOW",
        Importance::Normal => "NORMAL",
    }
}

fn on_icon(badge: Badge, badge_class: &str) -> OnIcon<'_> {
    match badge {
        Badge::Set(number) => OnIcon { add_num: None, set_num: Some(number.min(MAX_BADGE)), badge_class },
        Badge::Add(by) => OnIcon { add_num: Some(by), set_num: None, badge_class },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::channel::testkit::{a_push, a_rich_push, any_notification, json, target};

    const PLAIN: Wording = Wording(0);

    fn body(push: &Push, wording: u8) -> Value {
        let payload = Payload::new(push, Wording(wording), Some("com.example.app.MainActivity")).unwrap();
        let (one, two) = (target("t0"), target("t1"));
        json(&payload.body(&[&one, &two], Some(90)))
    }

    #[test]
    fn a_message_has_the_callers_data_beside_the_notification() {
        insta::assert_json_snapshot!(body(&a_push(), 0), @r#"
        {
          "android": {
            "notification": {
              "body": "You are invited",
              "clickAction": {
                "type": 3
              },
              "notifyId": 1655519430,
              "title": "Hello"
            },
            "targetUserType": 0,
            "ttl": "90s"
          },
          "data": "{\"ext\":\"{\\\"room\\\":7}\",\"push_id\":\"0000000000000000000017\"}",
          "token": [
            "t0",
            "t1"
          ]
        }
        "#);
    }

    #[test]
    fn every_member_that_honor_knows_has_its_place() {
        let mut push = a_rich_push();
        let android = &mut push.notification.as_mut().unwrap().android;
        android.big_text = true;
        android.honor = serde_json::from_value(serde_json::json!({
            "importance": "low", "image": "https://example.com/o.png",
        }))
        .unwrap();
        insta::assert_json_snapshot!(body(&push, 1), @r#"
        {
          "android": {
            "notification": {
              "badge": {
                "addNum": 2,
                "badgeClass": "com.example.app.MainActivity"
              },
              "bigBody": "你被邀请了",
              "bigTitle": "你好",
              "body": "你被邀请了",
              "clickAction": {
                "type": 3
              },
              "image": "https://example.com/o.png",
              "importance": "LOW",
              "notifyId": 1655519430,
              "style": 1,
              "title": "你好"
            },
            "targetUserType": 0,
            "ttl": "90s"
          },
          "data": "{\"ext\":\"{\\\"room\\\":7}\",\"n\":[1],\"push_id\":\"0000000000000000000017\",\"s\":\"x\"}",
          "token": [
            "t0",
            "t1"
          ]
        }
        "#);
    }

    #[test]
    fn a_number_on_the_icon_needs_a_class_and_ends_at_99() {
        let mut push = a_push();
        for (badge, expected) in [
            (Badge::Set(0), r#"{"setNum":0,"badgeClass":"c"}"#),
            (Badge::Set(9_999), r#"{"setNum":99,"badgeClass":"c"}"#),
            (Badge::Add(99), r#"{"addNum":99,"badgeClass":"c"}"#),
        ] {
            push.notification.as_mut().unwrap().android.badge = Some(badge);
            let on_icon = |class| Payload::new(&push, PLAIN, class).unwrap().notification.badge;
            assert_eq!(serde_json::to_string(&on_icon(Some("c")).unwrap()).unwrap(), expected);
            assert!(on_icon(None).is_none());
        }
    }

    #[test]
    fn it_lives_at_least_a_second_and_no_longer_than_honor_keeps_anything() {
        let push = a_push();
        let payload = Payload::new(&push, PLAIN, None).unwrap();
        for (secs, ttl) in [(None, "1s"), (Some(0), "1s"), (Some(60), "60s"), (Some(u32::MAX), "1296000s")] {
            assert_eq!(json(&payload.body(&[], secs))["android"]["ttl"], ttl);
        }
    }

    #[test]
    fn a_text_is_shortened_to_what_honor_takes_and_data_is_not() {
        let mut push = a_push();
        push.notification.as_mut().unwrap().text = "\"好\n".repeat(900);
        for big_text in [false, true] {
            push.notification.as_mut().unwrap().android.big_text = big_text;
            let payload = Payload::new(&push, PLAIN, None).unwrap();
            assert!((MAX_BYTES - 8..=MAX_BYTES).contains(&payload.size()), "{}", payload.size());
            let text = payload.words.unfolded.unwrap_or(payload.words.text);
            assert!(text.ends_with('…'));
            assert!(push.notification.as_ref().unwrap().text.starts_with(text.trim_end_matches('…')));
        }
        push.notification.as_mut().unwrap().ext = Some("x".repeat(MAX_BYTES - 200));
        assert!(matches!(Payload::new(&push, PLAIN, None), Err(Unfit::TooLarge(_))));
    }

    proptest::proptest! {
        #[test]
        fn what_is_made_is_taken_with_all_that_surrounds_it(notification in any_notification(), big_text: bool) {
            let mut push = a_push();
            push.notification = Some(notification);
            push.notification.as_mut().unwrap().android.big_text = big_text;
            for wording in 0..3 {
                if let Ok(payload) = Payload::new(&push, Wording(wording), Some("com.example.app.MainActivity")) {
                    proptest::prop_assert!(payload.size() <= MAX_BYTES, "{}", payload.size());
                }
            }
        }
    }
}
