//! What a push looks like to OPPO.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::channel::Target;
use crate::channel::brief::Brief;
use crate::channel::check::{Measured, Unfit};
use crate::channel::data::{data, request_id, texts};
use crate::domain::notification::{NotifyLevel, Oppo};
use crate::domain::{Channel, OppoCredentials, Push, Wording};

/// `target_type` of a registration id.
const REGISTRATION_ID: u8 = 2;
/// `click_action_type` of the app itself.
const OPENS_THE_APP: u8 = 0;
/// The usual look, and how many characters of a text it shows.
const USUAL: (u8, usize) = (1, 50);
/// The look of a text that can be unfolded, and how many it may have.
const UNFOLDED: (u8, usize) = (2, 128);
/// Most characters of a title.
const MAX_TITLE: usize = 50;
/// Most characters of the caller's data.
const MAX_PARAMETERS: usize = 4_000;
/// Longest time that OPPO keeps a message: 10 days.
const MAX_TTL_SECS: u32 = 864_000;

/// A message without its receiver and its time to live.
pub(super) struct Payload<'a> {
    push: &'a Push,
    content: Content<'a>,
    /// How long its form is, without a receiver.
    bytes: usize,
}

#[derive(Serialize)]
struct Message<'a> {
    target_type: u8,
    target_value: &'a str,
    notification: Notification<'a>,
}

#[derive(Serialize)]
struct Notification<'a> {
    /// By it OPPO drops a repetition. It counts for one device: of single pushes with the same, one is sent.
    app_message_id: String,
    #[serde(flatten)]
    content: &'a Content<'a>,
    /// Whether it waits for a device that cannot be reached.
    off_line: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    off_line_ttl: Option<u32>,
}

#[derive(Serialize)]
struct Content<'a> {
    style: u8,
    title: Cow<'a, str>,
    content: Cow<'a, str>,
    click_action_type: u8,
    action_parameters: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notify_level: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_msg_template_id: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    private_title_parameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    private_content_parameters: BTreeMap<String, String>,
}

impl<'a> Payload<'a> {
    /// A title of more than 50 characters, and a text of more than 50 (128 where it can be unfolded), are cut short. OPPO's
    /// texts also speak of 200 for the usual look, of which its phones show 50.
    ///
    /// Sounds and numbers on the icon are no members of OPPO's; pictures must be uploaded to it first.
    pub(super) fn new(push: &'a Push, wording: Wording, default_title: Option<&'a str>) -> Result<Self, Unfit> {
        let notification = push.notification.as_ref().ok_or(Unfit::NoNotification)?;
        let shown = notification.shown(Channel::Oppo, wording).ok_or(Unfit::NoNotification)?;
        let settings = &notification.android;
        let Oppo { notification_channel, category, notify_level, template } = &settings.oppo;
        let action_parameters = Value::Object(data(push, notification, &settings.extras)).to_string();
        Measured::DataCharacters.fits(Channel::Oppo, action_parameters.chars().count(), MAX_PARAMETERS)?;
        let (style, most) = if settings.big_text { UNFOLDED } else { USUAL };
        let words = Brief::of(shown, default_title, MAX_TITLE, most).ok_or(Unfit::NoNotification)?;
        let template = template.as_ref();
        let content = Content {
            style,
            title: words.title,
            content: words.text,
            click_action_type: OPENS_THE_APP,
            action_parameters,
            channel_id: notification_channel.as_deref(),
            category: category.as_deref(),
            // Without a category OPPO refuses it (67).
            notify_level: notify_level.filter(|_| category.is_some()).map(level),
            private_msg_template_id: template.map(|template| template.id.as_str()),
            private_title_parameters: template.map(|template| texts(&template.title)).unwrap_or_default(),
            private_content_parameters: template.map(|template| texts(&template.content)).unwrap_or_default(),
        };
        let mut payload = Self { push, content, bytes: 0 };
        let message = json(&[payload.message(request_id(push, &[]), "", Some(MAX_TTL_SECS))]);
        payload.bytes = form_urlencoded::byte_serialize(message.as_bytes()).map(str::len).sum();
        Ok(payload)
    }

    /// The messages for the devices of one request, as JSON.
    pub(super) fn messages(&self, targets: &[&Target], remaining_secs: Option<u32>) -> String {
        let messages = targets
            .iter()
            .map(|target| self.message(request_id(self.push, &[target]), target.token.expose(), remaining_secs));
        json(&messages.collect::<Vec<_>>())
    }

    /// No message to a target takes more bytes of a form.
    pub(super) fn most_bytes(&self, target: &Target) -> usize {
        // Three for each byte that has to be escaped.
        self.bytes + 3 * target.token.expose().len()
    }

    fn message<'b>(&'b self, app_message_id: String, token: &'b str, remaining_secs: Option<u32>) -> Message<'b> {
        let off_line_ttl = remaining_secs.map(|secs| secs.clamp(1, MAX_TTL_SECS));
        let off_line = off_line_ttl.is_some();
        let notification = Notification { app_message_id, content: &self.content, off_line, off_line_ttl };
        Message { target_type: REGISTRATION_ID, target_value: token, notification }
    }
}

/// Whether OPPO takes what a push looks like in one wording.
pub(in crate::channel) fn check(push: &Push, wording: Wording, credentials: &OppoCredentials) -> Result<(), Unfit> {
    Payload::new(push, wording, credentials.default_title.as_deref()).map(drop)
}

fn json(messages: &[Message<'_>]) -> String {
    // Texts and numbers only: nothing here can fail to be JSON.
    serde_json::to_string(messages).unwrap_or_default()
}

fn level(level: NotifyLevel) -> u8 {
    match level {
        NotifyLevel::Bar => 1,
        NotifyLevel::LockScreen => 2,
        NotifyLevel::Banner => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::check::TooLarge;
    use crate::channel::testkit::{a_push, a_rich_push, target};
    use serde_json::{Map, json};

    fn message(push: &Push, wording: u8, remaining_secs: Option<u32>) -> Value {
        let payload = Payload::new(push, Wording(wording), None).unwrap();
        let target = target("OPPO_CN_1");
        serde_json::from_str::<Value>(&payload.messages(&[&target], remaining_secs)).unwrap()[0].take()
    }

    fn with(change: impl FnOnce(&mut crate::domain::Notification)) -> Push {
        let mut push = a_rich_push();
        change(push.notification.as_mut().unwrap());
        push
    }

    #[test]
    fn a_message_has_the_callers_data_beside_the_notification() {
        insta::assert_json_snapshot!(message(&a_push(), 0, Some(90)), @r#"
        {
          "notification": {
            "action_parameters": "{\"ext\":\"{\\\"room\\\":7}\",\"push_id\":\"0000000000000000000017\"}",
            "app_message_id": "ad056a6f38fef600cb5a33be63564e9c",
            "click_action_type": 0,
            "content": "You are invited",
            "off_line": true,
            "off_line_ttl": 90,
            "style": 1,
            "title": "Hello"
          },
          "target_type": 2,
          "target_value": "OPPO_CN_1"
        }
        "#);
    }

    #[test]
    fn every_member_that_oppo_knows_has_its_place() {
        let oppo = json!({"notification_channel": "op", "category": "IM", "notify_level": "banner",
            "template": {"id": "t-1", "title": {"city": "北京"}, "content": {"who": "汤姆", "n": 7}}});
        let push = with(|notification| {
            notification.android.oppo = serde_json::from_value(oppo).unwrap();
            notification.android.big_text = true;
        });
        insta::assert_json_snapshot!(message(&push, 1, None), @r#"
        {
          "notification": {
            "action_parameters": "{\"ext\":\"{\\\"room\\\":7}\",\"n\":[1],\"push_id\":\"0000000000000000000017\",\"s\":\"x\"}",
            "app_message_id": "ad056a6f38fef600cb5a33be63564e9c",
            "category": "IM",
            "channel_id": "op",
            "click_action_type": 0,
            "content": "你被邀请了",
            "notify_level": 16,
            "off_line": false,
            "private_content_parameters": {
              "n": "7",
              "who": "汤姆"
            },
            "private_msg_template_id": "t-1",
            "private_title_parameters": {
              "city": "北京"
            },
            "style": 2,
            "title": "你好"
          },
          "target_type": 2,
          "target_value": "OPPO_CN_1"
        }
        "#);
    }

    #[test]
    fn titles_and_texts_are_cut_to_what_is_shown() {
        for (big_text, most) in [(false, 50), (true, 128)] {
            let push = with(|notification| {
                notification.android.title = Some("题".repeat(51));
                notification.text = "字".repeat(129);
                notification.android.big_text = big_text;
            });
            let notification = &message(&push, 0, None)["notification"];
            assert_eq!(notification["title"], "题".repeat(49) + "…");
            assert_eq!(notification["content"], "字".repeat(most - 1) + "…");
        }
    }

    #[test]
    fn a_push_without_a_title_has_the_apps_or_its_text() {
        let mut push = a_push();
        for (own, default_title, title) in [
            (None, Some("Fanfare"), "Fanfare"),
            (Some(" "), Some("Fanfare"), "Fanfare"),
            (None, None, "You are invited"),
        ] {
            push.notification.as_mut().unwrap().title = own.map(str::to_owned);
            let payload = Payload::new(&push, Wording::default(), default_title).unwrap();
            assert_eq!(payload.content.title, title);
        }
    }

    #[test]
    fn a_level_goes_with_a_category_only() {
        for (category, level, expected) in [
            (None, NotifyLevel::Banner, Value::Null),
            (Some("IM"), NotifyLevel::Bar, json!(1)),
            (Some("IM"), NotifyLevel::LockScreen, json!(2)),
        ] {
            let push = with(|notification| {
                let oppo = &mut notification.android.oppo;
                (oppo.category, oppo.notify_level) = (category.map(str::to_owned), Some(level));
            });
            assert_eq!(message(&push, 0, None)["notification"]["notify_level"], expected);
        }
    }

    #[test]
    fn it_waits_no_longer_than_oppo_keeps_anything_and_not_at_all_if_it_is_for_now() {
        for (remaining, off_line, ttl) in [
            (None, false, Value::Null),
            (Some(0), true, json!(1)),
            (Some(864_000), true, json!(864_000)),
            (Some(864_001), true, json!(864_000)),
        ] {
            let notification = &message(&a_push(), 0, remaining)["notification"];
            assert_eq!((&notification["off_line"], &notification["off_line_ttl"]), (&json!(off_line), &ttl));
        }
    }

    #[test]
    fn four_thousand_characters_of_data_pass_and_one_more_does_not() {
        let with_data = |length: usize| {
            with(|notification| {
                notification.ext = None;
                notification.android.extras = Map::from_iter([("x".to_owned(), "x".repeat(length).into())]);
            })
        };
        let least = {
            let push = with_data(0);
            Payload::new(&push, Wording::default(), None).unwrap().content.action_parameters.chars().count()
        };
        assert!(Payload::new(&with_data(4_000 - least), Wording::default(), None).is_ok());
        let push = with_data(4_001 - least);
        let unfit = Payload::new(&push, Wording::default(), None).err();
        assert!(matches!(unfit, Some(Unfit::TooLarge(TooLarge { size: 4_001, .. }))));
    }

    #[test]
    fn no_message_is_longer_in_a_form_than_was_reckoned() {
        let push = a_rich_push();
        let payload = Payload::new(&push, Wording(1), None).unwrap();
        let target = target("a+/\"%é");
        let form: String =
            form_urlencoded::byte_serialize(payload.messages(&[&target], Some(864_000)).as_bytes()).collect();
        assert!(form.len() <= payload.most_bytes(&target) + 3, "{}", form.len());
    }
}
