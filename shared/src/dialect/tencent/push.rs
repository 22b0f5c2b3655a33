//! `im_push`: one message to everyone, or to the users whose tags or attributes match; and what the three calls that
//! push have in common.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::audience::Accounts;
use super::body::{self, Field};
use super::offline::BadgeMode;
use super::{Call, Code, Criteria, Error, Refusal, Reply, elements, offline, terms, timpush};
use crate::dialect::canonical::canonical;
use crate::domain::{App, Notification, Quotas, UserId, limits};

/// What a push asks for, checked as far as the request alone allows.
#[derive(Debug, Clone, PartialEq)]
pub struct PushRequest {
    /// `MsgRandom`.
    pub random: u32,
    /// `From_Account`: whom receivers see as the sender. `None`: the administrator who calls.
    pub sender: Option<UserId>,
    /// Whom it is for.
    pub recipients: Recipients,
    /// What it says.
    pub content: Content,
    /// `DataId`: the caller's own word for it.
    pub data_id: Option<String>,
    fingerprint: [u8; 32],
}

/// Whom a push is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Recipients {
    /// All users of the app.
    Everyone,
    /// Those who meet its `Condition`.
    Matching(Criteria),
    /// Those named in its `To_Account`.
    Named(Accounts),
}

/// What a push says, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// `MsgBody`, as it was given; an empty list where the call has none.
    pub body: Value,
    /// What apps are to show by themselves, where there is no `MsgBody`.
    pub shown: Option<Notification>,
    /// What the vendors show; `None` if nothing is to go to them.
    pub notification: Option<Notification>,
    /// Whether the message is kept, in its lifetime, for those who are offline.
    pub kept: bool,
    /// For how long any of it may be sent, in seconds. 0: for those who are online now.
    pub lifetime_secs: u32,
}

/// What a call asks for, but for what all of them have.
pub(super) struct Asked {
    pub random: u32,
    pub sender: Option<UserId>,
    pub recipients: Recipients,
    pub content: Content,
    pub data_id: Option<String>,
}

impl PushRequest {
    /// Reads the body of a call: JSON, then whether the app may push at all, then the fields.
    pub fn parse(call: Call, bytes: &[u8], app: &App) -> Result<Self, Error> {
        let json = body::parse(bytes, Code::Json)?;
        if !app.tencent.as_ref().is_some_and(|tencent| tencent.push_enabled) {
            return Err(Error::new(Code::PushNotEnabled, "pushing to all users is not switched on for this app"));
        }
        let request = Field::root(&json);
        let canonical = canonical(&json);
        not_too_long(call, &request, &canonical, &app.quotas)?;
        let Asked { random, sender, recipients, content, data_id } = match call {
            Call::Push => timpush::push(&request, &app.quotas)?,
            Call::Batch => timpush::batch(&request, &app.quotas)?,
            _ => im_push(&request)?,
        };
        Ok(Self { random, sender, recipients, content, data_id, fingerprint: Sha256::digest(&canonical).into() })
    }

    /// The same for the same request, whatever the order of its members and the white space between them: by this, its
    /// call and `random` a repetition is known. Who called is not in it.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }
}

/// The answer to a push that was accepted, and the accounts that it cannot be for.
pub fn accepted(task_id: &str, refused: &[Refusal]) -> Reply {
    Reply::ok().with("TaskId", task_id).with_refusals(refused)
}

/// The answer to a push to named users of whom none exists. It is none: nothing was accepted.
///
/// The page says that the call fails if it fails for all, and gives no number for this: it is that of each account.
pub fn for_no_one(refused: &[Refusal]) -> Reply {
    Reply::from(Error::new(Code::UnknownAccount, "none of the accounts in To_Account exists")).with_refusals(refused)
}

/// What comes of a call, with the empty `TaskId` that the page of `batch` shows in a failure.
pub fn answer(call: Call, result: Result<Reply, Error>) -> Reply {
    let reply = Reply::from(result);
    if call == Call::Batch && reply.error().is_some() { reply.with("TaskId", "") } else { reply }
}

/// A sender who is no account of the app.
pub fn unknown_sender() -> Error {
    Error::new(
        Code::AccountNotFound,
        "From_Account does not exist: it is neither an account of the app nor an administrator",
    )
}

fn im_push(request: &Field<'_>) -> Result<Asked, Error> {
    let random = random(request)?;
    let body = request.required("MsgBody", Code::MsgBody)?;
    let elements = elements::read(&body)?;
    let lifetime_secs = lifetime_secs(request)?;
    let sender = sender(request)?;
    let criteria = request.member("Condition").as_ref().map(Criteria::read).transpose()?;
    let info = request.member("OfflinePushInfo");
    let notification = offline::notification(info.as_ref(), &elements, lifetime_secs == 0, BadgeMode::Count)?;
    let kept = lifetime_secs > 0;
    let content = Content { body: body.value.clone(), shown: None, notification, kept, lifetime_secs };
    let recipients = criteria.map_or(Recipients::Everyone, Recipients::Matching);
    Ok(Asked { random, sender, recipients, content, data_id: None })
}

/// The message must fit. What is measured is the request; the names of up to 500 accounts are no part of a message.
fn not_too_long(call: Call, request: &Field<'_>, whole: &str, quotas: &Quotas) -> Result<(), Error> {
    let named = match call {
        Call::Batch => request.member("To_Account").map_or(0, |list| canonical(list.value).len()),
        _ => 0,
    };
    if whole.len() - named > quotas.message_bytes {
        let info = format!("the message is longer than {} bytes", quotas.message_bytes);
        return Err(Error::new(Code::MessageTooLong, info));
    }
    Ok(())
}

pub(super) fn random(request: &Field<'_>) -> Result<u32, Error> {
    let field = request.required("MsgRandom", Code::MsgRandom)?;
    as_u32(&field).ok_or_else(|| field.error(Code::MsgRandom, "must be a 32-bit unsigned integer"))
}

pub(super) fn as_u32(field: &Field<'_>) -> Option<u32> {
    field.value.as_u64().and_then(|number| u32::try_from(number).ok())
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
pub(super) fn sender(request: &Field<'_>) -> Result<Option<UserId>, Error> {
    let Some(field) = request.member("From_Account") else { return Ok(None) };
    match field.text(Code::FromAccount)? {
        "" => Ok(None),
        name => terms::account(name).map(Some).ok_or_else(|| {
            field.error(Code::FromAccount, "can be no account: they have up to 32 printable ASCII characters")
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::{Message, Tag};

    const CALLS: [Call; 3] = [Call::ImPush, Call::Push, Call::Batch];

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
        PushRequest::parse(Call::ImPush, request.to_string().as_bytes(), &app(true))
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
        let sender = UserId::try_from("xiaoming").unwrap();
        assert_eq!((push.random, push.sender, push.data_id), (56_512, Some(sender), None));
        let Content { body, shown, notification, kept, lifetime_secs } = push.content;
        assert_eq!((body, shown, kept, lifetime_secs), (request()["MsgBody"].clone(), None, true, 120));
        let tag = |name: &str| Tag::try_from(name.to_owned()).unwrap();
        let all = vec![tag("Stock A"), tag("Stock B")];
        let criteria = Criteria::Tags { any: vec![], all, not: vec![] };
        assert_eq!(push.recipients, Recipients::Matching(criteria));
        let notification = notification.unwrap();
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
        assert_eq!(push.recipients, Recipients::Everyone);
        assert_eq!((push.sender, push.content.lifetime_secs, push.content.kept), (None, 0, false));
        assert_eq!(push.content.notification, None);
    }

    #[test]
    fn numbers_are_taken_up_to_their_limits() {
        for random in [0, u32::MAX] {
            assert_eq!(parse(&with("MsgRandom", random.into())).unwrap().random, random);
        }
        for lifetime in [0, 604_800] {
            assert_eq!(parse(&with("MsgLifeTime", lifetime.into())).unwrap().content.lifetime_secs, lifetime);
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
        let code = |bytes: &[u8]| PushRequest::parse(Call::ImPush, bytes, &app(false)).unwrap_err().code.number();
        assert_eq!(code(b"{"), 90001);
        assert_eq!(code(b"{}"), 90045);
        assert_eq!(parse(&json!({})).unwrap_err().code.number(), 90005);
    }

    #[test]
    fn a_message_of_twelve_kilobytes_passes_and_one_byte_more_does_not() {
        let text = |length: usize| json!({"MsgRandom": 1, "MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "x".repeat(length)}}]});
        let room = limits::MESSAGE_BYTES - text(0).to_string().len();
        let spread = serde_json::to_vec_pretty(&text(room)).unwrap();
        assert!(PushRequest::parse(Call::ImPush, &spread, &app(true)).is_ok());
        assert_eq!(parse(&text(room + 1)).unwrap_err().code, Code::MessageTooLong);
    }

    #[test]
    fn what_is_nested_as_deep_as_may_be_can_be_read_again() {
        let lists = |count: usize| (0..count).fold(json!([]), |inner, _| json!([inner]));
        // Where the contract lets callers nest as they like: beside the members of an element, in a template, in an activity.
        let request = |room: usize| {
            let mut request = request();
            request["MsgLifeTime"] = 60.into();
            request["MsgBody"][0]["New"] = lists(room - 4);
            request["OfflinePushInfo"] = json!({
                "PushTemplateId": "t", "PushTemplateParam": {"k": lists(room - 4)},
                "AndroidInfo": {"OPPOPrivateMsgTemplateId": "t", "OPPOPrivateTitleParameters": {"k": lists(room - 5)}},
                "ApnsInfo": {"LiveActivity": {"LaId": "a", "Event": "end", "ContentState": {"k": lists(room - 6)}}}});
            request
        };
        let push = parse(&request(limits::REQUEST_LEVELS)).unwrap();
        let Content { body, notification, kept, .. } = push.content;
        let message =
            Message { sender: "s".to_owned(), body, notification: notification.clone(), kept, recallable: false };
        let stored =
            serde_json::to_string(&json!({"push": {"message": message, "notification": notification}})).unwrap();
        let read: Value = serde_json::from_str(&stored).unwrap();
        assert_eq!(serde_json::from_value::<Message>(read["push"]["message"].clone()).unwrap(), message);
        assert_eq!(parse(&request(limits::REQUEST_LEVELS + 1)).unwrap_err().code, Code::Json);
    }

    #[test]
    fn a_repetition_has_the_same_fingerprint_and_another_request_has_not() {
        let fingerprint =
            |text: &str| *PushRequest::parse(Call::ImPush, text.as_bytes(), &app(true)).unwrap().fingerprint();
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
            accepted("1_2_3_4", &[]).to_json(),
            json!({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "TaskId": "1_2_3_4"})
        );
    }

    #[test]
    fn a_failed_batch_has_an_empty_task_and_the_others_have_none() {
        let failed = || Error::new(Code::Json, "no");
        assert_eq!(answer(Call::Batch, Err(failed())).to_json()["TaskId"], "");
        assert_eq!(answer(Call::Push, Err(failed())).to_json().get("TaskId"), None);
        assert_eq!(answer(Call::Batch, Ok(accepted("x", &[]))).to_json()["TaskId"], "x");
        let no_one = answer(Call::Batch, Ok(for_no_one(&[Refusal::unknown("nobody")]))).to_json();
        assert_eq!((&no_one["ActionStatus"], &no_one["ErrorCode"]), (&json!("FAIL"), &json!(70107)));
        assert_eq!((&no_one["TaskId"], &no_one["ErrorList"][0]["To_Account"]), (&json!(""), &json!("nobody")));
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
            for call in CALLS {
                prop_assert!(PushRequest::parse(call, &bytes, &app(true)).is_err());
            }
        }

        #[test]
        fn any_fields_are_read_or_refused_with_a_sentence(
            fields in prop::collection::btree_map("MsgRandom|MsgBody|MsgLifeTime|From_Account|Condition|OfflinePushInfo|OnlineOnlyFlag|DataId|To_Account", values(), 0..4),
        ) {
            let mut request = request();
            for (name, value) in fields {
                request[name] = value;
            }
            for call in CALLS {
                if let Err(error) = PushRequest::parse(call, request.to_string().as_bytes(), &app(true)) {
                    prop_assert!(!error.info.is_empty());
                }
            }
        }
    }
}
