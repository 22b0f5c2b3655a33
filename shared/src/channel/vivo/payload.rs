//! What a push looks like to vivo.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::channel::Target;
use crate::channel::brief::Brief;
use crate::channel::check::{Measured, Unfit};
use crate::channel::data::{data, notify_id, request_id, texts};
use crate::domain::notification::{NotifyType, Vivo, VivoClass};
use crate::domain::{Channel, Push, VivoCredentials, Wording};

/// How it rings where the caller does not say; vivo demands that we do. As a phone does for messages of other kinds.
const USUAL: NotifyType = NotifyType::RingAndVibrate;
/// `skipType` of the app itself.
const OPENS_THE_APP: u8 = 1;
/// Most characters of a title, of whatever script. (In older documents a Chinese one counts as two.)
const MAX_TITLE: usize = 40;
/// Most characters of a text.
const MAX_TEXT: usize = 100;
/// Most characters of the caller's data, names and values together.
const MAX_CUSTOM: usize = 1_024;
/// Shortest time that vivo keeps a message.
const MIN_TTL_SECS: u32 = 60;

/// A message without its receivers and its time to live.
pub(super) struct Payload<'a> {
    push: &'a Push,
    app_id: Value,
    max_ttl_secs: u32,
    content: Content<'a>,
}

/// A message, for one or to be saved.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    app_id: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    reg_id: Option<&'a str>,
    #[serde(flatten)]
    content: &'a Content<'a>,
    time_to_live: u32,
    request_id: String,
}

/// The receivers of a saved message.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<'a> {
    app_id: &'a Value,
    reg_ids: Vec<&'a str>,
    task_id: &'a str,
    request_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    notify_type: u8,
    title: Cow<'a, str>,
    content: Cow<'a, str>,
    skip_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    classification: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    client_custom_map: BTreeMap<String, String>,
    /// A notification replaces one with the same: even where a push is sent twice, one shows. 1 to 2147483647.
    notify_id: u32,
}

impl<'a> Payload<'a> {
    /// A title of more than 40 characters and a text of more than 100 are cut short.
    ///
    /// Sounds of the app's own, numbers on the icon, pictures and notification channels are no members of vivo's.
    pub(super) fn new(push: &'a Push, wording: Wording, credentials: &'a VivoCredentials) -> Result<Self, Unfit> {
        let notification = push.notification.as_ref().ok_or(Unfit::NoNotification)?;
        let shown = notification.shown(Channel::Vivo, wording).ok_or(Unfit::NoNotification)?;
        let settings = &notification.android;
        let Vivo { classification, category, notify_type } = &settings.vivo;
        let custom = texts(&data(push, notification, &settings.extras));
        let length = custom.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        Measured::DataCharacters.fits(Channel::Vivo, length, MAX_CUSTOM)?;
        let words = Brief::of(shown, credentials.default_title.as_deref(), MAX_TITLE, MAX_TEXT);
        let words = words.ok_or(Unfit::NoNotification)?;
        let content = Content {
            notify_type: number(notify_type.unwrap_or(USUAL)),
            title: words.title,
            content: words.text,
            skip_type: OPENS_THE_APP,
            classification: classification.map(class),
            category: category.as_deref().map(str::to_ascii_uppercase),
            client_custom_map: custom,
            notify_id: notify_id(push).max(1),
        };
        Ok(Self { push, app_id: app_id(credentials), max_ttl_secs: credentials.max_ttl_secs, content })
    }

    /// The message for one device. vivo drops a repetition of the same request.
    pub(super) fn to_one(&'a self, target: &'a Target, remaining_secs: Option<u32>) -> Message<'a> {
        let request_id = request_id(self.push, &[target]);
        Message { reg_id: Some(target.token.expose()), ..self.message(remaining_secs, request_id) }
    }

    /// The message to be saved. Each time it is another: to save it twice shows it to nobody.
    pub(super) fn saved(&self, remaining_secs: Option<u32>) -> Message<'_> {
        self.message(remaining_secs, Uuid::now_v7().simple().to_string())
    }

    /// Whom the saved message is for. vivo drops a repetition of the same request.
    pub(super) fn to_list(&'a self, task_id: &'a str, targets: &[&'a Target]) -> List<'a> {
        let reg_ids = targets.iter().map(|target| target.token.expose()).collect();
        List { app_id: &self.app_id, reg_ids, task_id, request_id: request_id(self.push, targets) }
    }

    /// vivo knows no "now or never": the least is a minute.
    fn message(&self, remaining_secs: Option<u32>, request_id: String) -> Message<'_> {
        let most = self.max_ttl_secs.max(MIN_TTL_SECS);
        let time_to_live = remaining_secs.unwrap_or(MIN_TTL_SECS).clamp(MIN_TTL_SECS, most);
        Message { app_id: &self.app_id, reg_id: None, content: &self.content, time_to_live, request_id }
    }
}

/// Whether vivo takes what a push looks like in one wording.
pub(in crate::channel) fn check(push: &Push, wording: Wording, credentials: &VivoCredentials) -> Result<(), Unfit> {
    Payload::new(push, wording, credentials).map(drop)
}

/// The app's id as vivo's documents have it: a number.
pub(super) fn app_id(credentials: &VivoCredentials) -> Value {
    credentials.app_id.parse::<u64>().map_or_else(|_| credentials.app_id.as_str().into(), Value::from)
}

fn number(notify_type: NotifyType) -> u8 {
    match notify_type {
        NotifyType::Quiet => 1,
        NotifyType::Ring => 2,
        NotifyType::Vibrate => 3,
        NotifyType::RingAndVibrate => 4,
    }
}

fn class(class: VivoClass) -> u8 {
    match class {
        VivoClass::Operation => 0,
        VivoClass::System => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::channel::check::TooLarge;
    use crate::channel::testkit::{a_push, a_rich_push, target};

    fn credentials() -> VivoCredentials {
        serde_json::from_value(json!({"app_id": "10004", "app_key": "key", "app_secret": "secret"})).unwrap()
    }

    fn message(push: &Push, wording: u8, remaining_secs: Option<u32>) -> Value {
        let credentials = credentials();
        let payload = Payload::new(push, Wording(wording), &credentials).unwrap();
        serde_json::to_value(payload.to_one(&target("1601"), remaining_secs)).unwrap()
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
          "appId": 10004,
          "clientCustomMap": {
            "ext": "{\"room\":7}",
            "push_id": "0000000000000000000017"
          },
          "content": "You are invited",
          "notifyId": 1655519430,
          "notifyType": 4,
          "regId": "1601",
          "requestId": "bfa87ca3116a2af5cdcac872e012fb86",
          "skipType": 1,
          "timeToLive": 90,
          "title": "Hello"
        }
        "#);
    }

    #[test]
    fn every_member_that_vivo_knows_has_its_place() {
        let vivo = json!({"classification": "system", "category": "im", "notify_type": "ring"});
        let push = with(|notification| notification.android.vivo = serde_json::from_value(vivo).unwrap());
        insta::assert_json_snapshot!(message(&push, 1, None), @r#"
        {
          "appId": 10004,
          "category": "IM",
          "classification": 1,
          "clientCustomMap": {
            "ext": "{\"room\":7}",
            "n": "[1]",
            "push_id": "0000000000000000000017",
            "s": "x"
          },
          "content": "你被邀请了",
          "notifyId": 1655519430,
          "notifyType": 2,
          "regId": "1601",
          "requestId": "bfa87ca3116a2af5cdcac872e012fb86",
          "skipType": 1,
          "timeToLive": 60,
          "title": "你好"
        }
        "#);
    }

    #[test]
    fn what_is_saved_has_no_receiver_and_what_is_sent_to_a_list_nothing_else() {
        let (push, credentials) = (a_push(), credentials());
        let payload = Payload::new(&push, Wording::default(), &credentials).unwrap();
        let mut one = serde_json::to_value(payload.to_one(&target("1"), Some(90))).unwrap();
        let mut saved = serde_json::to_value(payload.saved(Some(90))).unwrap();
        one.as_object_mut().unwrap().remove("regId");
        let ids = [one["requestId"].take(), saved["requestId"].take()];
        assert_eq!(one, saved);
        assert!(ids[0] != ids[1] && ids.iter().all(|id| id.as_str().unwrap().len() == 32));
        let (a, b) = (target("1"), target("2"));
        let list = serde_json::to_value(payload.to_list("task", &[&a, &b])).unwrap();
        let id = request_id(&push, &[&a, &b]);
        assert_eq!(list, json!({"appId": 10_004, "regIds": ["1", "2"], "taskId": "task", "requestId": id}));
    }

    #[test]
    fn titles_and_texts_are_cut_to_what_vivo_takes() {
        let push = with(|notification| {
            notification.android.title = Some("题".repeat(41));
            notification.text = "字".repeat(101);
        });
        let message = message(&push, 0, None);
        assert_eq!(message["title"], "题".repeat(39) + "…");
        assert_eq!(message["content"], "字".repeat(99) + "…");
    }

    #[test]
    fn a_push_without_a_title_has_the_apps_or_its_text() {
        let mut credentials = credentials();
        for (own, default_title, title) in [
            (None, None, "You are invited"),
            (None, Some("Fanfare"), "Fanfare"),
            (Some(" "), Some("Fanfare"), "Fanfare"),
        ] {
            let own = own.map(str::to_owned);
            let push = with(|notification| (notification.title, notification.android.title) = (own, None));
            credentials.default_title = default_title.map(str::to_owned);
            assert_eq!(Payload::new(&push, Wording::default(), &credentials).unwrap().content.title, title);
        }
    }

    #[test]
    fn it_is_kept_for_a_minute_at_least_and_no_longer_than_the_app_says() {
        let push = a_push();
        let mut credentials = credentials();
        for (max, remaining, expected) in [
            (86_400, None, 60),
            (86_400, Some(59), 60),
            (86_400, Some(61), 61),
            (86_400, Some(86_401), 86_400),
            (604_800, Some(86_401), 86_401),
            (0, Some(86_401), 60),
        ] {
            credentials.max_ttl_secs = max;
            let payload = Payload::new(&push, Wording::default(), &credentials).unwrap();
            assert_eq!(payload.saved(remaining).time_to_live, expected, "{max} {remaining:?}");
        }
    }

    #[test]
    fn a_thousand_and_twenty_four_characters_of_data_pass_and_one_more_does_not() {
        let with_data = |length: usize| {
            with(|notification| {
                notification.ext = None;
                notification.android.extras = Map::from_iter([("x".to_owned(), "字".repeat(length).into())]);
            })
        };
        // Beside it there is the push's id, of 22 characters, under its name of 7.
        let (fits, too_long) = (with_data(1_024 - 30), with_data(1_025 - 30));
        let credentials = credentials();
        assert!(Payload::new(&fits, Wording::default(), &credentials).is_ok());
        let result = Payload::new(&too_long, Wording::default(), &credentials);
        assert!(matches!(result, Err(Unfit::TooLarge(TooLarge { size: 1_025, .. }))));
    }

    #[test]
    fn every_way_to_ring_and_every_class_has_its_number() {
        use NotifyType::{Quiet, Ring, RingAndVibrate, Vibrate};
        assert_eq!([Quiet, Ring, Vibrate, RingAndVibrate].map(number), [1, 2, 3, 4]);
        assert_eq!([VivoClass::Operation, VivoClass::System].map(class), [0, 1]);
    }
}
