//! What a push looks like to Xiaomi: a form.

use form_urlencoded::Serializer;
use serde_json::Value;

use crate::channel::Target;
use crate::channel::brief::Brief;
use crate::channel::check::{Measured, Unfit};
use crate::channel::data::{data, notify_id, resource, short_key};
use crate::domain::{Channel, Push, Wording, XiaomiCredentials};

/// Most characters of `title`: fewer than 50 (Xiaomi, "Server API", table 1-1).
const TITLE_CHARS: usize = 49;
/// Most characters of `description`: fewer than 128 (there).
const TEXT_CHARS: usize = 127;
/// Most bytes of the app's data: fewer than 4,096 (there). Whether before or after it is encoded is not said: we count
/// before, because what is too long after it is refused all the same.
const DATA_BYTES: usize = 4_095;
/// Most characters of all `extra.` fields together, of which there may be ten.
const EXTRA_CHARS: usize = 1_024;
/// Longest time that Xiaomi keeps a message: ten days, of private messages. It keeps public ones for one, whatever is asked.
const MAX_TTL_SECS: u32 = 864_000;

/// A message without its receivers, their package and its time to live.
pub(super) struct Payload<'a> {
    words: Brief<'a>,
    data: String,
    notify_id: u32,
    key: String,
    notification_channel: Option<&'a str>,
    sound: Option<&'a str>,
    large_icon: Option<&'a str>,
}

impl<'a> Payload<'a> {
    /// Title and text are cut to what Xiaomi takes. It shows no badge that we could set.
    pub(super) fn new(push: &'a Push, wording: Wording, defaults: &'a XiaomiCredentials) -> Result<Self, Unfit> {
        let notification = push.notification.as_ref().ok_or(Unfit::NoNotification)?;
        let shown = notification.shown(Channel::Xiaomi, wording).ok_or(Unfit::NoNotification)?;
        let words = Brief::of(shown, defaults.default_title.as_deref(), TITLE_CHARS, TEXT_CHARS);
        let words = words.ok_or(Unfit::NoNotification)?;
        let settings = &notification.android;
        let data = Value::Object(data(push, notification, &settings.extras)).to_string();
        Measured::Data.fits(Channel::Xiaomi, data.len(), DATA_BYTES)?;
        Ok(Self {
            words,
            data,
            notify_id: notify_id(push),
            key: short_key(push),
            notification_channel: settings
                .xiaomi
                .notification_channel
                .as_deref()
                .or(defaults.default_channel.as_deref()),
            sound: settings.sound.as_deref().and_then(resource),
            // The notification is worth more than a picture that no phone could load.
            large_icon: settings.xiaomi.large_icon.as_deref().filter(|address| is_address(address)),
        })
    }

    /// The body for the devices of one request. Xiaomi knows no "now or never": the least is a second.
    pub(super) fn body(&self, package: &str, targets: &[&Target], remaining_secs: Option<u32>) -> String {
        let tokens: Vec<&str> = targets.iter().map(|target| target.token.expose()).collect();
        let ttl_ms = u64::from(remaining_secs.unwrap_or(1).clamp(1, MAX_TTL_SECS)) * 1_000;
        let mut form = Serializer::new(String::new());
        form.append_pair("registration_id", &tokens.join(","))
            .append_pair("restricted_package_name", package)
            .append_pair("pass_through", "0")
            .append_pair("title", &self.words.title)
            .append_pair("description", &self.words.text)
            .append_pair("payload", &self.data)
            // Sound, vibration and light, as far as the phone's owner allows.
            .append_pair("notify_type", "-1")
            // A notification replaces one with the same: even where a push is sent twice, one shows.
            .append_pair("notify_id", &self.notify_id.to_string())
            .append_pair("time_to_live", &ttl_ms.to_string());
        for (name, value) in self.extras(package) {
            form.append_pair(name, &value);
        }
        form.finish()
    }

    /// The further fields. The last are adornments: those that there is no room for are left out, rather than the
    /// notification lost.
    fn extras(&self, package: &str) -> Vec<(&'static str, String)> {
        let sound = self.sound.map(|name| format!("android.resource://{package}/raw/{name}"));
        let all = [
            // A click opens the app.
            ("extra.notify_effect", Some("1".to_owned())),
            // A phone shows the first of those with the same key. Up to 20 characters now, up to 8 in older documents.
            ("extra.jobkey", Some(self.key.clone())),
            ("extra.channel_id", self.notification_channel.map(str::to_owned)),
            ("extra.sound_uri", sound),
            ("extra.notification_large_icon_uri", self.large_icon.map(str::to_owned)),
        ];
        let mut room = EXTRA_CHARS;
        let given = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let fitting = given.filter(|(name, value)| match room.checked_sub(name.len() + value.chars().count()) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        });
        fitting.collect()
    }
}

/// Whether it is one that a phone can load.
fn is_address(text: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme))
}

/// Whether Xiaomi takes what a push looks like in one wording.
pub(in crate::channel) fn check(push: &Push, wording: Wording, credentials: &XiaomiCredentials) -> Result<(), Unfit> {
    Payload::new(push, wording, credentials).map(drop)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::LazyLock;

    use super::*;
    use crate::channel::check::TooLarge;
    use crate::channel::testkit::{a_push, a_rich_push, any_notification, form, target};

    const PLAIN: Wording = Wording(0);

    static CREDENTIALS: LazyLock<XiaomiCredentials> = LazyLock::new(|| XiaomiCredentials {
        endpoint: String::new(),
        app_secret: "a secret".into(),
        package: "com.example.app".to_owned(),
        default_channel: Some("default".to_owned()),
        default_title: Some("The app".to_owned()),
        rate: None,
    });

    fn fields(payload: &Payload<'_>, secs: Option<u32>) -> BTreeMap<String, String> {
        let (one, two) = (target("one="), target("two+/"));
        form(payload.body("com.example.app", &[&one, &two], secs).as_bytes()).into_iter().collect()
    }

    #[test]
    fn a_plain_push_is_a_title_and_a_text() {
        let push = a_push();
        insta::assert_json_snapshot!(fields(&Payload::new(&push, PLAIN, &CREDENTIALS).unwrap(), Some(90)), @r#"
        {
          "description": "You are invited",
          "extra.channel_id": "default",
          "extra.jobkey": "ni5ycfsn",
          "extra.notify_effect": "1",
          "notify_id": "1655519430",
          "notify_type": "-1",
          "pass_through": "0",
          "payload": "{\"ext\":\"{\\\"room\\\":7}\",\"push_id\":\"0000000000000000000017\"}",
          "registration_id": "one=,two+/",
          "restricted_package_name": "com.example.app",
          "time_to_live": "90000",
          "title": "Hello"
        }
        "#);
    }

    #[test]
    fn every_member_that_xiaomi_knows_has_its_place() {
        let push = a_rich_push();
        insta::assert_json_snapshot!(fields(&Payload::new(&push, Wording(1), &CREDENTIALS).unwrap(), None), @r#"
        {
          "description": "你被邀请了",
          "extra.channel_id": "mi",
          "extra.jobkey": "ni5ycfsn",
          "extra.notification_large_icon_uri": "https://example.com/3.png",
          "extra.notify_effect": "1",
          "extra.sound_uri": "android.resource://com.example.app/raw/bell",
          "notify_id": "1655519430",
          "notify_type": "-1",
          "pass_through": "0",
          "payload": "{\"ext\":\"{\\\"room\\\":7}\",\"n\":[1],\"push_id\":\"0000000000000000000017\",\"s\":\"x\"}",
          "registration_id": "one=,two+/",
          "restricted_package_name": "com.example.app",
          "time_to_live": "1000",
          "title": "你好"
        }
        "#);
    }

    #[test]
    fn what_a_push_leaves_out_an_app_may_have() {
        let mut push = a_push();
        push.notification.as_mut().unwrap().title = None;
        let title = |defaults: &XiaomiCredentials| {
            fields(&Payload::new(&push, PLAIN, defaults).unwrap(), None)["title"].clone()
        };
        assert_eq!(title(&CREDENTIALS), "The app");
        let bare = XiaomiCredentials { default_title: None, default_channel: None, ..CREDENTIALS.clone() };
        assert_eq!(title(&bare), "You are invited");
        assert!(!fields(&Payload::new(&push, PLAIN, &bare).unwrap(), None).contains_key("extra.channel_id"));
    }

    #[test]
    fn it_is_kept_a_second_at_least_and_ten_days_at_most() {
        let push = a_push();
        let payload = Payload::new(&push, PLAIN, &CREDENTIALS).unwrap();
        for (secs, expected) in [(None, "1000"), (Some(0), "1000"), (Some(7), "7000"), (Some(u32::MAX), "864000000")] {
            assert_eq!(fields(&payload, secs)["time_to_live"], expected, "{secs:?}");
        }
    }

    #[test]
    fn an_adornment_too_long_is_left_out() {
        let mut push = a_rich_push();
        let xiaomi = &mut push.notification.as_mut().unwrap().android.xiaomi;
        xiaomi.large_icon = Some(format!("https://example.com/{}.png", "x".repeat(1_000)));
        let fields = fields(&Payload::new(&push, PLAIN, &CREDENTIALS).unwrap(), None);
        assert!(!fields.contains_key("extra.notification_large_icon_uri"));
        assert_eq!(fields["extra.channel_id"], "mi");
    }

    #[test]
    fn data_of_four_kibibytes_are_too_much() {
        let mut push = a_push();
        let size = Payload::new(&push, PLAIN, &CREDENTIALS).unwrap().data.len();
        let grow = |push: &mut Push, by: usize| {
            push.notification.as_mut().unwrap().ext.as_mut().unwrap().push_str(&"x".repeat(by));
        };
        grow(&mut push, DATA_BYTES - size);
        assert!(Payload::new(&push, PLAIN, &CREDENTIALS).is_ok());
        grow(&mut push, 1);
        let unfit = Payload::new(&push, PLAIN, &CREDENTIALS).err();
        assert!(matches!(unfit, Some(Unfit::TooLarge(TooLarge { size: 4_096, limit: 4_095, .. }))));
    }

    #[test]
    fn blanks_are_nothing_to_show() {
        let mut push = a_push();
        push.notification.as_mut().unwrap().text = " ".to_owned();
        assert!(matches!(Payload::new(&push, PLAIN, &CREDENTIALS), Err(Unfit::NoNotification)));
        push.notification = None;
        assert!(matches!(Payload::new(&push, PLAIN, &CREDENTIALS), Err(Unfit::NoNotification)));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_sent_is_within_xiaomis_limits(notification in any_notification()) {
            let mut push = a_push();
            if let Ok(fitting) = notification.fitting() {
                push.notification = Some(fitting);
                for wording in 0..3 {
                    let Ok(payload) = Payload::new(&push, Wording(wording), &CREDENTIALS) else { continue };
                    let fields = fields(&payload, None);
                    proptest::prop_assert!(fields["title"].chars().count() < 50);
                    proptest::prop_assert!(fields["description"].chars().count() < 128);
                    proptest::prop_assert!(fields["payload"].len() < 4_096);
                    let extras = fields.iter().filter(|(name, _)| name.starts_with("extra."));
                    let lengths: Vec<usize> = extras.map(|(name, value)| name.len() + value.chars().count()).collect();
                    proptest::prop_assert!(lengths.len() <= 10 && lengths.iter().sum::<usize>() <= 1_024);
                }
            }
        }
    }
    #[test]
    fn an_icon_that_no_phone_could_load_is_left_out() {
        for (icon, is_sent) in
            [("https://e.x/i.png", true), ("http://e.x/i.png", true), ("www.e.x/i.png", false), ("https://", false)]
        {
            let mut push = a_push();
            push.notification.as_mut().unwrap().android.xiaomi.large_icon = Some(icon.to_owned());
            let fields = fields(&Payload::new(&push, PLAIN, &CREDENTIALS).unwrap(), None);
            assert_eq!(fields.contains_key("extra.notification_large_icon_uri"), is_sent, "{icon}");
        }
    }
}
