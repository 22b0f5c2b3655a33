//! `/push.json`, `/push/custom.json` and `/push/user.json`: a notification, or a message with one, and whom it is for.

use sha2::{Digest, Sha256};

use super::message::SystemMessage;
use super::{Code, Error, Receivers, Reply, body, notification, user};
use crate::dialect::canonical::canonical;
use crate::dialect::field::Field;
use crate::domain::notification::Harmony;
use crate::domain::{Channel, Notification, Platform, PushId, Wording};

/// What a push asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct PushRequest {
    /// Whom it is for.
    pub receivers: Receivers,
    /// What connected clients get. `None`: it is a notification and nothing else, shown on every device, connected or
    /// not, and stored nowhere.
    pub message: Option<SystemMessage>,
    /// What the vendors show; never absent where there is no message.
    pub notification: Option<Notification>,
    fingerprint: [u8; 32],
}

/// What a call asks for, but for what all of them have.
type Asked = (Receivers, Option<SystemMessage>, Option<Notification>);

impl PushRequest {
    /// Reads the body of a `/push.json`: with `fromuserid` and `message` it is a message, without them a notification.
    ///
    /// # Errors
    ///
    /// 1003 for no body, 1005 for what is too long, 1002 for everything else: what is missing, malformed or too many,
    /// and a notification that says nothing to the devices that it is for.
    pub fn push(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse(bytes, |request| {
            let mut receivers = Receivers::read(request)?;
            match SystemMessage::read(request)? {
                Some(message) => {
                    let notification = request.member("notification");
                    let read = |field: Field<'_>| notification::read(&field, ALERT).transpose();
                    let notification = notification.and_then(read).transpose()?;
                    reach_harmony(&mut receivers, notification.as_ref());
                    reach_web(&mut receivers);
                    Ok((receivers, Some(message), notification))
                }
                None => notification_only(request, receivers, ALERT),
            }
        })
    }

    /// Reads the body of a `/push/custom.json`: a notification.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn custom(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse(bytes, |request| notification_only(request, Receivers::read_custom(request)?, ALERT))
    }

    /// Reads the body of a `/push/user.json`: a notification to named users, whose text is called `pushContent`.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn user(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse(bytes, |request| notification_only(request, user::receivers(request)?, user::TEXT))
    }

    fn parse(bytes: &[u8], read: impl Fn(&Field<'_>) -> Result<Asked, Error>) -> Result<Self, Error> {
        let json = body::parse(bytes)?;
        let (receivers, message, notification) = read(&Field::root(&json))?;
        Ok(Self { receivers, message, notification, fingerprint: Sha256::digest(canonical(&json)).into() })
    }

    /// The same for the same body, whatever the order of its members and the white space between them: by this and its
    /// path a repetition is known. Bodies have no number of their own.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The answer when it was accepted: its id and, for a message, the id by which it can be recalled. They are the same.
    pub fn accepted(&self, id: PushId) -> Reply {
        let reply = Reply::ok().with("id", id.to_string());
        if self.message.is_some() { reply.with("messageUID", id.to_string()) } else { reply }
    }
}

/// What the text for all platforms is called.
const ALERT: &str = "alert";

fn notification_only(request: &Field<'_>, mut receivers: Receivers, text: &str) -> Result<Asked, Error> {
    let field = request.required("notification", Code::Parameter)?;
    let notification = notification::read(&field, text)?;
    reach_harmony(&mut receivers, notification.as_ref());
    let notification = notification.filter(|notification| speaks(notification, &receivers)).ok_or_else(|| {
        let fault =
            format!("says nothing to the devices that it is for: it needs {text}, or an alert for their platform");
        field.error(Code::Parameter, &fault)
    })?;
    Ok((receivers, None, Some(notification)))
}

/// Whether at least one of the platforms has something to show, or someone to wake.
fn speaks(notification: &Notification, receivers: &Receivers) -> bool {
    let platforms = &receivers.devices.platforms;
    let platform_of =
        [(Platform::Ios, Channel::Apns), (Platform::Android, Channel::Fcm), (Platform::Harmony, Channel::Harmony)];
    let mut meant = platform_of.iter().filter(|(platform, _)| platforms.is_empty() || platforms.contains(platform));
    meant.any(|(_, channel)| notification.is_for(*channel, Wording::default()))
}

/// `platform` knows iOS and Android, and the SDKs let no third one pass: whoever sets something for HarmonyOS means its
/// devices too, as the contract's own example does.
fn reach_harmony(receivers: &mut Receivers, notification: Option<&Notification>) {
    let platforms = &mut receivers.devices.platforms;
    if !platforms.is_empty() && notification.is_some_and(|notification| notification.harmony != Harmony::default()) {
        platforms.insert(Platform::Harmony);
    }
}

/// A message goes to browsers too, unless it is for those who have a package.
fn reach_web(receivers: &mut Receivers) {
    let devices = &mut receivers.devices;
    if !devices.platforms.is_empty() && devices.package.is_none() {
        devices.platforms.insert(Platform::Web);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::{Call, Users};
    use super::*;
    use crate::domain::{Condition, Tag, Term};

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../../../../tests/fixtures/rongcloud/", $name))
        };
    }

    fn push(request: &Value) -> Result<PushRequest, Error> {
        PushRequest::push(request.to_string().as_bytes())
    }

    fn message() -> Value {
        json!({"platform": ["ios"], "fromuserid": "u0", "audience": {"tag": ["a"], "is_to_all": false},
            "message": {"objectName": "RC:TxtMsg", "content": "{\"content\":\"x\"}"}})
    }

    fn platforms(push: &PushRequest) -> Vec<Platform> {
        push.receivers.devices.platforms.iter().copied().collect()
    }

    fn tagged(name: &str) -> Condition {
        Condition::Term(Term::Tag(Tag::try_from(name.to_owned()).unwrap()))
    }

    #[test]
    fn the_example_of_the_page_is_understood() {
        let push = PushRequest::push(fixture!("page_example.json")).unwrap();
        assert_eq!((&push.receivers.users, &push.message), (&Users::Everyone, &None));
        assert_eq!(platforms(&push), [Platform::Ios, Platform::Android, Platform::Harmony]);
        let read = serde_json::to_value(push.notification.unwrap()).unwrap();
        let extras = json!({"id": "1", "name": "2"});
        let picture = "https://example.com/image.png";
        let expected = json!({
            "title": "Title", "text": "this is a push",
            "ios": {"text": "override alert", "thread_id": "223", "collapse_id": "111", "extras": extras},
            "android": {
                "text": "override alert", "extras": extras,
                "huawei": {"notification_channel": "NotificationKanong", "importance": "normal", "image": picture},
                "xiaomi": {"notification_channel": "rongcloud_kanong", "large_icon": picture},
                "oppo": {"notification_channel": "rc_notification_id", "category": "IM", "notify_level": "lock_screen"},
                "vivo": {"classification": "operation"}
            },
            "harmony": {"category": "IM", "image": picture, "extras": extras}
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn what_the_sdks_send_is_understood() {
        let go = PushRequest::push(fixture!("go_push.json")).unwrap();
        assert_eq!((&go.receivers.users, platforms(&go)), (&Users::Everyone, vec![Platform::Ios, Platform::Android]));
        assert_eq!((go.message, go.notification.unwrap().text.as_str()), (None, "hi"));

        let tagged_a = Users::Matching(Condition::All(vec![tagged("a")]));
        for (bytes, content, is_pushed) in [
            (&fixture!("go_broadcast.json")[..], r#"{"content":"x"}"#, false),
            (fixture!("node_message.json"), r#"{"content":"x"}"#, true),
            (fixture!("python_message.json"), r#"{"content": "a b"}"#, true),
        ] {
            let push = PushRequest::push(bytes).unwrap();
            let sent = push.message.as_ref().unwrap();
            assert_eq!((sent.sender.as_str(), &sent.body["content"]), ("u0", &json!(content)));
            assert_eq!((&push.receivers.users, push.notification.is_some()), (&tagged_a, is_pushed));
            assert_eq!(platforms(&push), [Platform::Ios, Platform::Web]);
        }

        let go = PushRequest::user(fixture!("go_push_user.json")).unwrap();
        let notification = go.notification.unwrap();
        assert_eq!((notification.title.as_deref(), notification.text.as_str()), (Some("t"), "c"));
        assert_eq!(notification.android.huawei.notification_channel.as_deref(), Some("x"));
        assert!(matches!(go.receivers.users, Users::Named(users) if users.len() == 2));

        let go = PushRequest::custom(fixture!("go_push_custom.json")).unwrap();
        assert_eq!(go.receivers.users, Users::Matching(Condition::All(vec![tagged("a"), tagged("b")])));
    }

    #[test]
    fn an_expression_overrules_tags_and_is_unknown_to_the_plain_call() {
        let with = |audience: Value| json!({"platform": ["ios"], "audience": audience, "notification": {"alert": "a"}});
        let audience =
            json!({"tag": ["x".repeat(41)], "tagItems": [{"tags": ["b"]}], "userid": ["u"], "packageName": "p"});
        let custom = |audience: Value| PushRequest::custom(with(audience).to_string().as_bytes());
        let read = custom(audience.clone()).unwrap();
        assert_eq!(read.receivers.users, Users::Matching(Condition::Any(vec![tagged("b")])));
        assert_eq!(read.receivers.devices.package.as_deref(), Some("p"));
        assert!(matches!(push(&with(audience)).unwrap().receivers.users, Users::Named(_)));
        let plain = custom(json!({"tag": ["a"], "tagItems": []})).unwrap();
        assert_eq!(plain.receivers.users, Users::Matching(Condition::All(vec![tagged("a")])));
        assert_eq!(custom(json!({"is_to_all": true, "tagItems": 5})).unwrap().receivers.users, Users::Everyone);
        assert!(custom(json!({"userid": ["u"]})).unwrap_err().info.starts_with("audience asks nothing"));
    }

    #[test]
    fn a_notification_must_say_something_to_the_devices_that_it_is_for() {
        let to = |platform: Value, audience: Value, notification: Value| {
            push(&json!({"platform": platform, "audience": audience, "notification": notification}))
        };
        let all = || json!({"is_to_all": true});
        let (on_ios, on_harmony) = (json!({"ios": {"alert": "a"}}), json!({"harmonyOS": {"alert": "a"}}));
        assert!(to(json!(["ios", "android"]), all(), on_ios.clone()).is_ok());
        assert!(to(json!(["ios"]), all(), json!({"ios": {"contentAvailable": 1}})).is_ok());
        assert!(to(Value::Null, json!({"userid": ["u"]}), on_ios.clone()).unwrap().receivers.devices.is_open());
        assert_eq!(platforms(&to(json!(["ios"]), all(), on_harmony).unwrap()), [Platform::Ios, Platform::Harmony]);
        for notification in [Value::Null, json!({}), json!({"title": "t"}), json!({"alert": "", "ios": {}}), on_ios] {
            assert_eq!(to(json!(["android"]), all(), notification).unwrap_err().code, Code::Parameter);
        }
    }

    #[test]
    fn a_message_may_do_without_a_notification_and_goes_to_browsers_unless_a_package_is_named() {
        let mut request = message();
        assert_eq!(push(&request).unwrap().notification, None);
        request["notification"] = json!({"title": "t"});
        assert_eq!(push(&request).unwrap().notification, None);
        request["audience"]["packageName"] = "p".into();
        assert_eq!(platforms(&push(&request).unwrap()), [Platform::Ios]);
        request["audience"] = json!({"userid": ["u"]});
        assert_eq!(platforms(&push(&request).unwrap()), []);
    }

    #[test]
    fn every_faulty_request_has_its_code() {
        let with = |name: &str, value: Value| {
            let mut request = message();
            request[name] = value;
            push(&request).map(|_| ()).unwrap_err().code.number()
        };
        assert_eq!(PushRequest::push(b"").unwrap_err().code, Code::NoBody);
        assert_eq!(PushRequest::user(b"{").unwrap_err().code, Code::Parameter);
        assert_eq!(with("audience", Value::Null), 1002);
        assert_eq!(with("platform", json!(["symbian"])), 1002);
        assert_eq!(with("message", Value::Null), 1002);
        assert_eq!(with("fromuserid", Value::Null), 1002);
        assert_eq!(with("fromuserid", json!("x".repeat(65))), 1005);
        assert_eq!(with("notification", json!("hi")), 1002);
        assert_eq!(with("notification", json!({"title": "x".repeat(51)})), 1005);
    }

    #[test]
    fn a_repetition_has_the_same_fingerprint_and_another_request_has_not() {
        let fingerprint = |text: &str| *PushRequest::push(text.as_bytes()).unwrap().fingerprint();
        let once = r#"{"platform":["ios"],"audience":{"is_to_all":true},"notification":{"alert":"a"}}"#;
        let again = r#"{ "audience":{"is_to_all":true,"tag":null},"platform":["ios"], "notification":{"alert":"a"}}"#;
        assert_eq!(fingerprint(once), fingerprint(again));
        for (from, to) in
            [("\"a\"", "\"b\""), ("[\"ios\"]", "[\"android\"]"), ("\"alert\"", "\"title\":\"\",\"alert\"")]
        {
            assert_ne!(fingerprint(once), fingerprint(&once.replace(from, to)));
        }
    }

    #[test]
    fn only_a_message_has_an_id_to_recall_it_by() {
        let id = PushId::from_u128(7);
        let plain = PushRequest::push(fixture!("go_push.json")).unwrap();
        assert_eq!(plain.accepted(id).to_json(), json!({"code": 200, "id": id.to_string()}));
        let id_twice = json!({"code": 200, "id": id.to_string(), "messageUID": id.to_string()});
        assert_eq!(push(&message()).unwrap().accepted(id).to_json(), id_twice);
    }

    proptest! {
        #[test]
        fn any_platforms_and_any_flags_lead_to_a_push_that_speaks_or_a_sentence(
            platforms in prop::collection::btree_set(prop::sample::select(vec!["ios", "android", "HarmonyOS"]), 0..3),
            alerts in prop::collection::btree_set(prop::sample::select(vec!["alert", "ios", "android", "harmonyOS"]), 0..4),
            call in prop::sample::select(vec![Call::Push, Call::PushCustom]),
        ) {
            let mut notification = json!({});
            for name in &alerts {
                notification[name] = if *name == "alert" { json!("a") } else { json!({"alert": "a"}) };
            }
            let names: Vec<&str> = platforms.iter().copied().collect();
            let request = json!({"platform": names, "audience": {"is_to_all": true}, "notification": notification}).to_string();
            let read = if call == Call::Push { PushRequest::push(request.as_bytes()) } else { PushRequest::custom(request.as_bytes()) };
            let own: BTreeSet<&str> = platforms.iter().map(|name| if *name == "HarmonyOS" { "harmonyOS" } else { *name }).collect();
            let speaks = alerts.contains("alert") || alerts.contains("harmonyOS") || own.iter().any(|name| alerts.contains(name));
            prop_assert_eq!(read.is_ok(), !platforms.is_empty() && speaks);
        }
    }
}
