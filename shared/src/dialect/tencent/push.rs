//! `im_push`: one message to everyone, or to the users whose tags or attributes match.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::body::{self, Field};
use super::offline::BadgeMode;
use super::{Code, Criteria, Error, Reply, elements, offline, terms};
use crate::domain::{App, AttributeNames, Audience, Notification, Quotas, limits};

/// What a push asks for, checked as far as the request alone allows.
#[derive(Debug, Clone, PartialEq)]
pub struct PushRequest {
    /// `MsgRandom`.
    pub random: u32,
    /// `From_Account`: whom receivers see as the sender. `None`: the administrator who calls.
    pub sender: Option<String>,
    /// `MsgLifeTime`: how long the message is kept for those who are offline, in seconds. 0: for online users only.
    pub lifetime_secs: u32,
    /// `Condition`. `None`: everyone.
    pub condition: Option<Criteria>,
    /// `MsgBody`, as it was given.
    pub body: Value,
    /// What the vendors show; `None` if nothing is to go to them.
    pub notification: Option<Notification>,
    fingerprint: [u8; 32],
}

impl PushRequest {
    /// Reads the body of a call: JSON, then whether the app may push at all, then the fields.
    pub fn parse(bytes: &[u8], app: &App) -> Result<Self, Error> {
        let json = body::parse(bytes, Code::Json)?;
        if !app.tencent.as_ref().is_some_and(|tencent| tencent.push_enabled) {
            return Err(Error::new(Code::PushNotEnabled, "pushing to all users is not switched on for this app"));
        }
        Self::read(&json, &app.quotas)
    }

    /// Whom it is for, once the app's attribute names are known.
    pub fn audience(&self, names: &AttributeNames) -> Result<Audience, Error> {
        self.condition.as_ref().map_or(Ok(Audience::Everyone), |criteria| criteria.audience(names))
    }

    /// The same for the same request, whatever the order of its members and the white space between them: by this and
    /// `random` a repetition is known. Who called is not in it.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    fn read(json: &Value, quotas: &Quotas) -> Result<Self, Error> {
        let request = Field::root(json);
        let canonical = canonical(json);
        if canonical.len() > quotas.message_bytes {
            let info = format!("the message is longer than {} bytes", quotas.message_bytes);
            return Err(Error::new(Code::MessageTooLong, info));
        }
        let random = random(&request)?;
        let body = request.required("MsgBody", Code::MsgBody)?;
        let elements = elements::read(&body)?;
        let lifetime_secs = lifetime_secs(&request)?;
        let sender = sender(&request)?;
        let condition = request.member("Condition").as_ref().map(Criteria::read).transpose()?;
        let info = request.member("OfflinePushInfo");
        let notification = offline::notification(info.as_ref(), &elements, lifetime_secs == 0, BadgeMode::Count)?;
        let fingerprint = Sha256::digest(&canonical).into();
        Ok(Self { random, sender, lifetime_secs, condition, body: body.value.clone(), notification, fingerprint })
    }
}

/// The answer to a push that was accepted.
pub fn accepted(task_id: &str) -> Reply {
    Reply::ok().with("TaskId", task_id)
}

fn random(request: &Field<'_>) -> Result<u32, Error> {
    let field = request.required("MsgRandom", Code::MsgRandom)?;
    let number = field.value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| field.error(Code::MsgRandom, "must be a 32-bit unsigned integer"))
}

fn lifetime_secs(request: &Field<'_>) -> Result<u32, Error> {
    let Some(field) = request.member("MsgLifeTime") else { return Ok(0) };
    let secs = field.integer(Code::MsgLifeTimeType)?;
    u32::try_from(secs)
        .ok()
        .filter(|secs| *secs <= limits::LIFETIME_SECS)
        .ok_or_else(|| field.error(Code::MsgLifeTime, &format!("must be 0 to {} seconds", limits::LIFETIME_SECS)))
}

/// An empty sender is none: clients that know no absent texts send it so.
fn sender(request: &Field<'_>) -> Result<Option<String>, Error> {
    let Some(field) = request.member("From_Account") else { return Ok(None) };
    let name = field.text(Code::FromAccount)?;
    if !name.is_empty() && terms::account(name).is_none() {
        return Err(field.error(Code::FromAccount, "can be no account: they have up to 32 printable ASCII characters"));
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// The request's JSON in one spelling: no white space, members sorted, none that is `null`.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            let member =
                |(name, value): (&String, &Value)| format!("{}:{}", Value::from(name.as_str()), canonical(value));
            format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::Tag;

    fn app(push_enabled: bool) -> App {
        let tencent = json!({"sdk_app_id": 1, "secret_key": "k", "admins": [], "push_enabled": push_enabled});
        serde_json::from_value(json!({"id": "a", "tencent": tencent})).unwrap()
    }

    fn request() -> Value {
        json!({"MsgRandom": 56512, "MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "hi, beauty"}}]})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut request = request();
        request[name] = value;
        request
    }

    fn parse(request: &Value) -> Result<PushRequest, Error> {
        PushRequest::parse(request.to_string().as_bytes(), &app(true))
    }

    #[test]
    fn the_sample_of_the_page_is_understood() {
        let mut sample = request();
        sample["From_Account"] = "xiaoming".into();
        sample["MsgLifeTime"] = 120.into();
        sample["Condition"] = json!({"TagsAnd": ["Stock A", "Stock B"]});
        sample["OfflinePushInfo"] = json!({"PushFlag": 0, "Desc": "Content to push offline", "Ext": "Passthrough content",
            "AndroidInfo": {"Sound": "android.mp3"}, "ApnsInfo": {"Sound": "apns.mp3", "BadgeMode": 1, "Title": "t"}});
        let push = parse(&sample).unwrap();
        assert_eq!((push.random, push.sender.as_deref(), push.lifetime_secs), (56_512, Some("xiaoming"), 120));
        assert_eq!(push.body, request()["MsgBody"]);
        let tag = |name: &str| Tag::try_from(name.to_owned()).unwrap();
        let all = vec![tag("Stock A"), tag("Stock B")];
        assert_eq!(push.condition, Some(Criteria::Tags { any: vec![], all }));
        let notification = push.notification.unwrap();
        assert_eq!((notification.title, notification.text.as_str()), (None, "Content to push offline"));
        assert_eq!(notification.ext.as_deref(), Some("Passthrough content"));
    }

    #[test]
    fn without_a_condition_it_is_for_everyone_and_without_a_lifetime_for_the_system_bar_of_no_one() {
        let mut request = request();
        for absent in ["Condition", "From_Account", "MsgLifeTime", "OfflinePushInfo"] {
            request[absent] = Value::Null;
        }
        let push = parse(&request).unwrap();
        assert_eq!(push.audience(&AttributeNames::default()), Ok(Audience::Everyone));
        assert_eq!((push.sender, push.lifetime_secs, push.notification), (None, 0, None));
    }

    #[test]
    fn numbers_are_taken_up_to_their_limits() {
        for random in [0, u32::MAX] {
            assert_eq!(parse(&with("MsgRandom", random.into())).unwrap().random, random);
        }
        for lifetime in [0, 604_800] {
            assert_eq!(parse(&with("MsgLifeTime", lifetime.into())).unwrap().lifetime_secs, lifetime);
        }
        assert_eq!(parse(&with("From_Account", "".into())).unwrap().sender, None);
        assert!(parse(&with("From_Account", "x".repeat(32).into())).is_ok());
    }

    #[test]
    fn every_faulty_field_has_its_code() {
        for (name, value, code) in [
            ("MsgRandom", Value::Null, 90005),
            ("MsgRandom", json!("56512"), 90005),
            ("MsgRandom", json!(1.5), 90005),
            ("MsgRandom", json!(-1), 90005),
            ("MsgRandom", json!(4_294_967_296_u64), 90005),
            ("MsgBody", Value::Null, 90002),
            ("MsgBody", json!({"MsgType": "TIMTextElem"}), 90007),
            ("MsgBody", json!([{"MsgType": "?", "MsgContent": {}}]), 90002),
            ("MsgBody", json!([{"MsgType": "TIMTextElem", "MsgContent": {}}]), 90010),
            ("MsgLifeTime", json!(604_801), 90026),
            ("MsgLifeTime", json!(-1), 90026),
            ("MsgLifeTime", json!(i64::MAX), 90026),
            ("MsgLifeTime", json!("120"), 90044),
            ("MsgLifeTime", json!(1.5), 90044),
            ("From_Account", json!(5), 90008),
            ("From_Account", json!("x".repeat(33)), 90008),
            ("From_Account", json!("小明"), 90008),
            ("Condition", json!({}), 90040),
            ("Condition", json!({"TagsOr": ["a", "a"]}), 90022),
            ("OfflinePushInfo", json!("hi"), 90043),
        ] {
            let request = with(name, value);
            assert_eq!(parse(&request).unwrap_err().code.number(), code, "{request}");
        }
    }

    #[test]
    fn json_comes_before_the_feature_and_the_feature_before_the_fields() {
        let code = |bytes: &[u8]| PushRequest::parse(bytes, &app(false)).unwrap_err().code.number();
        assert_eq!(code(b"{"), 90001);
        assert_eq!(code(b"{}"), 90045);
        assert_eq!(parse(&json!({})).unwrap_err().code.number(), 90005);
    }

    #[test]
    fn a_message_of_twelve_kilobytes_passes_and_one_byte_more_does_not() {
        let text = |length: usize| json!({"MsgRandom": 1, "MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "x".repeat(length)}}]});
        let room = limits::MESSAGE_BYTES - text(0).to_string().len();
        let spread = serde_json::to_vec_pretty(&text(room)).unwrap();
        assert!(PushRequest::parse(&spread, &app(true)).is_ok());
        assert_eq!(parse(&text(room + 1)).unwrap_err().code, Code::MessageTooLong);
    }

    #[test]
    fn a_repetition_has_the_same_fingerprint_and_another_request_has_not() {
        let fingerprint = |text: &str| *PushRequest::parse(text.as_bytes(), &app(true)).unwrap().fingerprint();
        let once = r#"{"MsgRandom":1,"MsgBody":[{"MsgType":"TIMFaceElem","MsgContent":{"Index":1}}]}"#;
        let again = r#"{ "MsgBody":[{"MsgContent":{"Index":1,"Data":null},"MsgType":"TIMFaceElem"}],"MsgRandom":1, "Condition":null}"#;
        assert_eq!(fingerprint(once), fingerprint(again));
        for (from, to) in [
            ("\"Index\":1", "\"Index\":2"),
            ("\"MsgRandom\":1", "\"MsgRandom\":2"),
            ("\"MsgBody\"", "\"New\":1,\"MsgBody\""),
        ] {
            assert_ne!(fingerprint(once), fingerprint(&once.replace(from, to)));
        }
    }

    #[test]
    fn acceptance_is_answered_with_the_task() {
        assert_eq!(
            accepted("1_2_3_4").to_json(),
            json!({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "TaskId": "1_2_3_4"})
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop_oneof!["\\PC{0,60}", "TIM(Text|Custom|Face|Image)Elem"].prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let name = "MsgType|MsgContent|Text|TagsOr|AttrsAnd|PushFlag|ImageInfoArray|[a-z]{0,3}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(PushRequest::parse(&bytes, &app(true)).is_err());
        }

        #[test]
        fn any_fields_are_read_or_refused_with_a_sentence(
            fields in prop::collection::btree_map("MsgRandom|MsgBody|MsgLifeTime|From_Account|Condition|OfflinePushInfo", values(), 0..3),
        ) {
            let mut request = request();
            for (name, value) in fields {
                request[name] = value;
            }
            if let Err(error) = parse(&request) {
                prop_assert!(!error.info.is_empty());
            }
        }
    }
}
