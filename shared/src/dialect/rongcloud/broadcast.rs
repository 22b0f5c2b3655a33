//! `/message/broadcast.json` and `/message/online/broadcast.json`: messages to everyone.

use std::collections::BTreeSet;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::form::Form;
use super::message::SystemMessage;
use super::notification::{Beside, Part, read_beside};
use super::{Code, Error, Reply};
use crate::dialect::field::Field;
use crate::domain::{DeviceFilter, Notification, Platform, PushId};

/// A message to everyone who is online is kept this long for those who come online, in seconds: ten minutes.
pub const ONLINE_SECS: u32 = 600;

/// A message to everyone.
#[derive(Debug, Clone, PartialEq)]
pub struct Broadcast {
    /// What clients get.
    pub message: SystemMessage,
    /// What the vendors show; `None` if nothing is to go to them, because there is no `pushContent`.
    pub notification: Option<Notification>,
    /// Which devices: all, or those on the one platform that an older `os` names.
    pub devices: DeviceFilter,
    fingerprint: [u8; 32],
}

impl Broadcast {
    /// Reads the form of a message to everyone: `fromUserId`, `objectName` and `content`; for the vendors `pushContent`,
    /// `pushData`, `contentAvailable` and `pushExt`.
    ///
    /// # Errors
    ///
    /// 1003 for no body, 1005 for what is too long, 1002 for what is missing or malformed.
    pub fn to_all(bytes: &[u8]) -> Result<Self, Error> {
        let form = Form::parse(bytes)?;
        let message = SystemMessage::of_form(&form)?;
        Ok(Self {
            message,
            notification: notification(&form)?,
            devices: devices(&form)?,
            fingerprint: fingerprint(&form),
        })
    }

    /// Reads the form of a message to everyone who is online, or comes online within [`ONLINE_SECS`]. Nothing of it goes to
    /// the vendors.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn to_online(bytes: &[u8]) -> Result<Self, Error> {
        let form = Form::parse(bytes)?;
        let message = SystemMessage::of_form(&form)?;
        Ok(Self { message, notification: None, devices: DeviceFilter::default(), fingerprint: fingerprint(&form) })
    }

    /// The same for a form with the same fields, in whatever order: by this and its path a repetition is known. The SDK
    /// for Java sends a `msgRandom`, by which forms differ that are meant to be two.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The answer when it was accepted: `{"code":200,"messageUID":"…"}`.
    pub fn accepted(&self, id: PushId) -> Reply {
        Reply::ok().with("messageUID", id.to_string())
    }
}

fn notification(form: &Form) -> Result<Option<Notification>, Error> {
    let json: Option<Value> = match form.get("pushExt") {
        None => None,
        Some(text) => {
            let error = |_| Error::new(Code::Parameter, "pushExt must be a JSON object, written as a string");
            Some(serde_json::from_str(text).map_err(error)?)
        }
    };
    let ext = match &json {
        None => Part::absent(),
        Some(value) => Part::of(Field { path: "pushExt".to_owned(), value })?,
    };
    read_beside(&Beside {
        text: form.get("pushContent").unwrap_or_default(),
        data: form.get("pushData"),
        wakes: form.flag("contentAvailable")?,
        ext,
    })
}

/// `os`, of older clients.
fn devices(form: &Form) -> Result<DeviceFilter, Error> {
    let platforms = match form.get("os").map(str::to_ascii_lowercase).as_deref() {
        None => BTreeSet::new(),
        Some("ios") => BTreeSet::from([Platform::Ios]),
        Some("android") => BTreeSet::from([Platform::Android]),
        Some(_) => return Err(Error::new(Code::Parameter, "os must be iOS or Android")),
    };
    Ok(DeviceFilter { platforms, package: None })
}

fn fingerprint(form: &Form) -> [u8; 32] {
    let mut fields: Vec<_> = form.fields().collect();
    fields.sort_unstable();
    let mut digest = Sha256::new();
    for (name, value) in fields {
        for text in [name, value] {
            // Its length before each text, so that no two forms read the same.
            digest.update(text.len().to_be_bytes());
            digest.update(text);
        }
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::notification::Wake;

    const PLAIN: &str = "fromUserId=u0&objectName=app:x&content=c";

    fn all(more: &str) -> Result<Broadcast, Error> {
        Broadcast::to_all(format!("{PLAIN}{more}").as_bytes())
    }

    fn with_ext(ext: &Value) -> Result<Broadcast, Error> {
        let ext: String = form_urlencoded::byte_serialize(ext.to_string().as_bytes()).collect();
        all(&format!("&pushContent=hi&pushExt={ext}"))
    }

    #[test]
    fn what_the_sdk_for_python_sends_is_understood() {
        let form = include_bytes!("../../../../tests/fixtures/rongcloud/python_broadcast.form");
        let broadcast = Broadcast::to_all(form).unwrap();
        assert_eq!(broadcast.message.body, json!({"objectName": "RC:TxtMsg", "content": "{\"content\": \"a b\"}"}));
        assert_eq!(broadcast.notification.unwrap().text, "hi");
        assert!(broadcast.devices.is_open());
        // Those who are online are shown the message itself.
        let online = Broadcast::to_online(form).unwrap();
        assert_eq!((online.message, online.notification), (broadcast.message, None));
    }

    #[test]
    fn vendors_get_what_the_form_says_to_them_and_nothing_without_a_text() {
        assert_eq!(all("&pushData=d").unwrap().notification, None);
        let silent = all("&contentAvailable=1").unwrap().notification.unwrap();
        assert_eq!(silent.ios.wake, Some(Wake::Silently));
        let shown = all("&pushContent=hi&pushData=d&contentAvailable=1&os=iOS").unwrap();
        assert_eq!(shown.devices.platforms, [Platform::Ios].into());
        let shown = shown.notification.unwrap();
        assert_eq!((shown.text.as_str(), shown.ext.as_deref(), shown.ios.wake), ("hi", Some("d"), Some(Wake::AndShow)));
        let ext = json!({"title": "t", "forceShowPushContent": 1, "pushConfigs": [
            {"HW": {"channelId": "hw", "importance": "LOW"}}, {"HONOR": {"importance": "NORMAL"}}, {"MI": {"channelId": "mi"}},
            {"OPPO": {"channelId": "op"}}, {"VIVO": {"classification": "1"}}, {"FCM": {"collapse_key": "k"}},
            {"APNs": {"thread-id": "1", "apns-collapse-id": "2"}}, {"OHOS": {"category": "IM"}}, {"NEW": 5}
        ]});
        let notification = with_ext(&ext).unwrap().notification.unwrap();
        let expected = json!({
            "title": "t", "text": "hi", "text_forced": true,
            "ios": {"thread_id": "1", "collapse_id": "2"},
            "android": {
                "huawei": {"notification_channel": "hw", "importance": "low"}, "honor": {"importance": "normal"},
                "xiaomi": {"notification_channel": "mi"}, "oppo": {"notification_channel": "op"},
                "vivo": {"classification": "system"}, "fcm": {"collapse_key": "k"}
            },
            "harmony": {"category": "IM"}
        });
        assert_eq!(serde_json::to_value(notification).unwrap(), expected);
    }

    #[test]
    fn every_faulty_field_has_its_code() {
        for (ext, code, info) in [
            (json!([1]), 1002, "pushExt must be an object"),
            (json!({"title": "x".repeat(51)}), 1005, "pushExt.title must not be longer than 50 characters"),
            (json!({"pushConfigs": {}}), 1002, "pushExt.pushConfigs must be an array"),
            (json!({"pushConfigs": ["HW"]}), 1002, "pushExt.pushConfigs[0] must be an object"),
            (json!({"pushConfigs": [{"HW": 5}]}), 1002, "pushExt.pushConfigs[0].HW must be an object"),
        ] {
            let error = with_ext(&ext).unwrap_err();
            assert_eq!((error.code.number(), error.info.as_str()), (code, info));
        }
        for (form, code, info) in [
            (String::new(), 1003, "there is no body"),
            ("objectName=a&content=c".to_owned(), 1002, "fromUserId is missing"),
            ("fromUserId=u&content=c".to_owned(), 1002, "objectName is missing"),
            ("fromUserId=u&objectName=a".to_owned(), 1002, "content is missing"),
            (
                "fromUserId=u&objectName=RC:TxtMsg&content=c".to_owned(),
                1002,
                "content of a built-in type must be a JSON object, written as a string",
            ),
            (
                format!("fromUserId=u&objectName={}&content=c", "x".repeat(33)),
                1005,
                "objectName must not be longer than 32 bytes",
            ),
            (format!("{PLAIN}&disableUpdateLastMsg=2"), 1002, "disableUpdateLastMsg must be 0 or 1"),
        ] {
            for error in
                [Broadcast::to_all(form.as_bytes()).unwrap_err(), Broadcast::to_online(form.as_bytes()).unwrap_err()]
            {
                assert_eq!((error.code.number(), error.info.as_str()), (code, info), "{form}");
            }
        }
        for (more, info) in [
            ("&pushExt=x", "pushExt must be a JSON object, written as a string"),
            ("&contentAvailable=2", "contentAvailable must be 0 or 1"),
            ("&os=Symbian", "os must be iOS or Android"),
        ] {
            assert_eq!(all(more).unwrap_err(), Error::new(Code::Parameter, info));
        }
    }

    #[test]
    fn an_accepted_one_has_an_id_by_which_it_is_recalled() {
        let id = PushId::from_u128(7);
        assert_eq!(all("").unwrap().accepted(id).to_json(), json!({"code": 200, "messageUID": id.to_string()}));
    }

    #[test]
    fn forms_with_the_same_fields_have_the_same_fingerprint() {
        let print = |form: &str| *Broadcast::to_all(form.as_bytes()).unwrap().fingerprint();
        let once = print("fromUserId=u&objectName=a&content=b+c");
        assert_eq!(print("content=b%20c&objectName=a&fromUserId=u"), once);
        for other in [
            "fromUserId=u&objectName=a&content=b",
            "fromUserId=u&objectName=a&content=b+c&msgRandom=1",
            "fromUserId=ua&objectName=a&content=b+c",
        ] {
            assert_ne!(print(other), once, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_form_is_read_or_refused(form in "([a-zA-Z]{0,9}=[ -~]{0,20}&){0,5}", ext in "[ -~]{0,30}") {
            let form = format!("{form}{PLAIN}&pushExt={ext}");
            for read in [Broadcast::to_all(form.as_bytes()), Broadcast::to_online(form.as_bytes())] {
                if let Err(error) = read {
                    prop_assert!(matches!(error.code, Code::Parameter | Code::TooLong), "{}", error.info);
                }
            }
        }
    }
}
