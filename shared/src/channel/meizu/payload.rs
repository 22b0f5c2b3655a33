//! What a push looks like to Meizu.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::channel::brief::Brief;
use crate::channel::data::{data, short_key};
use crate::domain::notification::MeizuKind;
use crate::domain::{Channel, Push, Wording};

use crate::channel::check::Unfit;

/// Most characters of `title` (Meizu, "Push API").
const TITLE_CHARS: usize = 32;
/// Most characters of `content` (there).
const TEXT_CHARS: usize = 100;
/// Longest time that Meizu keeps a message, which it counts in hours.
const MAX_HOURS: u32 = 72;

/// A message without its time to live.
pub(super) struct Payload<'a> {
    shown: Shown<'a>,
    click: Click,
    key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    notice_bar_info: &'a Shown<'a>,
    click_type_info: &'a Click,
    push_time_info: Time,
    advance_info: Advance<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    notice_msg_type: Option<u8>,
    /// The system's usual look.
    notice_bar_type: u8,
    title: Cow<'a, str>,
    content: Cow<'a, str>,
}

/// Opens the app.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Click {
    click_type: u8,
    parameters: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Time {
    /// Whether it is kept for a device that is offline.
    off_line: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_time: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Advance<'a> {
    /// Of those with the same, the last that arrives shows: even where a push is sent twice, one does.
    notify_key: &'a str,
}

impl<'a> Payload<'a> {
    /// Title and text are cut to what Meizu takes. It knows no pictures and no badges, and no sounds of an app's own. How
    /// much data it takes is not documented, so nothing is too long here.
    pub(super) fn new(push: &'a Push, wording: Wording, default_title: Option<&'a str>) -> Result<Self, Unfit> {
        let notification = push.notification.as_ref().ok_or(Unfit::NoNotification)?;
        let shown = notification.shown(Channel::Meizu, wording).ok_or(Unfit::NoNotification)?;
        let Brief { title, text: content } =
            Brief::of(shown, default_title, TITLE_CHARS, TEXT_CHARS).ok_or(Unfit::NoNotification)?;
        let settings = &notification.android;
        let data = data(push, notification, &settings.extras);
        Ok(Self {
            shown: Shown { notice_msg_type: settings.meizu.kind.map(kind), notice_bar_type: 0, title, content },
            click: Click {
                click_type: 0,
                parameters: data.into_iter().map(|(name, value)| (name, text(value))).collect(),
            },
            key: short_key(push),
        })
    }

    /// The message, for so much longer: in whole hours, no more than are left but at least one. A push for now or never is
    /// not kept at all.
    pub(super) fn message(&self, remaining_secs: Option<u32>) -> String {
        let valid_time = remaining_secs.map(|secs| (secs / 3_600).clamp(1, MAX_HOURS));
        let message = Message {
            notice_bar_info: &self.shown,
            click_type_info: &self.click,
            push_time_info: Time { off_line: u8::from(valid_time.is_some()), valid_time },
            advance_info: Advance { notify_key: &self.key },
        };
        // Texts and numbers only: nothing here can fail to be JSON.
        serde_json::to_string(&message).unwrap_or_default()
    }
}

fn kind(kind: MeizuKind) -> u8 {
    match kind {
        MeizuKind::Public => 0,
        MeizuKind::Private => 1,
    }
}

/// An app gets its parameters as texts.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::testkit::{a_push, a_rich_push, any_notification};

    fn message(push: &Push, wording: u8, secs: Option<u32>) -> Value {
        serde_json::from_str(&Payload::new(push, Wording(wording), None).unwrap().message(secs)).unwrap()
    }

    #[test]
    fn a_plain_push_is_a_title_and_a_text() {
        insta::assert_json_snapshot!(message(&a_push(), 0, None), @r#"
        {
          "advanceInfo": {
            "notifyKey": "ni5ycfsn"
          },
          "clickTypeInfo": {
            "clickType": 0,
            "parameters": {
              "ext": "{\"room\":7}",
              "push_id": "0000000000000000000017"
            }
          },
          "noticeBarInfo": {
            "content": "You are invited",
            "noticeBarType": 0,
            "title": "Hello"
          },
          "pushTimeInfo": {
            "offLine": 0
          }
        }
        "#);
    }

    #[test]
    fn every_member_that_meizu_knows_has_its_place() {
        insta::assert_json_snapshot!(message(&a_rich_push(), 1, Some(9_000)), @r#"
        {
          "advanceInfo": {
            "notifyKey": "ni5ycfsn"
          },
          "clickTypeInfo": {
            "clickType": 0,
            "parameters": {
              "ext": "{\"room\":7}",
              "n": "[1]",
              "push_id": "0000000000000000000017",
              "s": "x"
            }
          },
          "noticeBarInfo": {
            "content": "你被邀请了",
            "noticeBarType": 0,
            "noticeMsgType": 1,
            "title": "你好"
          },
          "pushTimeInfo": {
            "offLine": 1,
            "validTime": 2
          }
        }
        "#);
    }

    #[test]
    fn it_is_kept_for_whole_hours_one_at_least_and_three_days_at_most() {
        for (secs, hours) in [(0, 1), (90, 1), (7_199, 1), (7_200, 2), (259_199, 71), (u32::MAX, 72)] {
            let time = &message(&a_push(), 0, Some(secs))["pushTimeInfo"];
            assert_eq!(*time, serde_json::json!({"offLine": 1, "validTime": hours}), "{secs}");
        }
    }

    #[test]
    fn blanks_are_nothing_to_show() {
        let mut push = a_push();
        push.notification.as_mut().unwrap().text = " ".to_owned();
        assert!(Payload::new(&push, Wording(0), None).is_err());
        push.notification = None;
        assert!(Payload::new(&push, Wording(0), None).is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_sent_is_within_meizus_limits(notification in any_notification()) {
            let push = Push { notification: Some(notification), ..a_push() };
            for wording in 0..3 {
                let Ok(payload) = Payload::new(&push, Wording(wording), None) else { continue };
                let message: Value = serde_json::from_str(&payload.message(None)).unwrap();
                let length = |name: &str| message["noticeBarInfo"][name].as_str().unwrap().chars().count();
                proptest::prop_assert!((1..=32).contains(&length("title")));
                proptest::prop_assert!((1..=100).contains(&length("content")));
                let parameters = message["clickTypeInfo"]["parameters"].as_object().unwrap();
                proptest::prop_assert!(parameters.values().all(Value::is_string));
            }
        }
    }
}
