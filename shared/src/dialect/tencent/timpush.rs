//! `push` and `batch` of the newer push service: to everyone or whoever matches, and to named users.
//!
//! Tencent documents `push` twice. With a `MsgBody` it is a message, like that of `im_push`. Without one it is what its
//! `OfflinePushInfo` says and nothing else, and so is a `batch`.

use serde_json::json;

use super::audience::Accounts;
use super::body::Field;
use super::offline::BadgeMode;
use super::push::{Asked, Content, Recipients, as_u32, random, sender};
use super::{Code, Criteria, Error, elements, offline};
use crate::domain::{Quotas, limits};

/// What the service itself answers to a `MsgRandom` that is none (its page of `batch`).
const NO_RANDOM: &str = "Invalid format of MsgRandom";

/// Reads a `push`. `MsgLifeTime` is unknown to it: what is kept is kept for as long as the app's settings say.
pub(super) fn push(request: &Field<'_>, quotas: &Quotas) -> Result<Asked, Error> {
    let random = random(request)?;
    let is_kept = !request.flag("OnlineOnlyFlag", Code::Json)?;
    let info = request.member("OfflinePushInfo");
    let content = match request.member("MsgBody") {
        Some(body) => {
            let elements = elements::read(&body)?;
            let notification = offline::notification(info.as_ref(), &elements, false, BadgeMode::Count)?;
            let (body, lifetime_secs) = (body.value.clone(), quotas.lifetime_secs);
            Content { body, shown: None, notification, kept: is_kept, lifetime_secs }
        }
        None => notification_only(info, quotas)?,
    };
    let sender = sender(request)?;
    let criteria = request.member("Condition").as_ref().map(Criteria::read_newer).transpose()?;
    let recipients = criteria.map_or(Recipients::Everyone, Recipients::Matching);
    Ok(Asked { random, sender, recipients, content, data_id: data_id(request)? })
}

/// Reads a `batch`.
///
/// Its page answers a bad `MsgRandom` with 90001, where that of `push` has 90005; and lists no number for too many
/// accounts: it is 90011, which another call for up to 500 of them has for it.
pub(super) fn batch(request: &Field<'_>, quotas: &Quotas) -> Result<Asked, Error> {
    let random = request.member("MsgRandom").as_ref().and_then(as_u32);
    let random = random.ok_or_else(|| Error::new(Code::Json, NO_RANDOM))?;
    let list = request.required("To_Account", Code::ToAccount)?;
    let items = list.items(Code::ToAccount)?;
    if items.is_empty() {
        return Err(list.error(Code::Json, "must not be empty"));
    }
    if items.len() > limits::TARGETS_PER_REQUEST {
        let fault = format!("must not have more than {} elements", limits::TARGETS_PER_REQUEST);
        return Err(list.error(Code::TooManyTargets, &fault));
    }
    let recipients = Recipients::Named(Accounts::read(&items)?);
    let content = notification_only(request.member("OfflinePushInfo"), quotas)?;
    Ok(Asked { random, sender: sender(request)?, recipients, content, data_id: data_id(request)? })
}

/// Nothing to keep. Who is online gets it by socket, and everyone else through the vendors, unless the `PushFlag` is 1.
fn notification_only(info: Option<Field<'_>>, quotas: &Quotas) -> Result<Content, Error> {
    let missing = || Error::new(Code::OfflinePushInfo, "OfflinePushInfo is missing, and there is no MsgBody");
    let info = info.ok_or_else(missing)?;
    let offline = offline::read(Some(&info), &[], BadgeMode::Leave)?;
    let nothing =
        || info.error(Code::OfflinePushInfo, "says nothing: without a MsgBody it needs a Desc, in some language");
    let shown = offline.notification.ok_or_else(nothing)?;
    let notification = offline.is_pushed.then(|| shown.clone());
    let (body, lifetime_secs) = (json!([]), quotas.lifetime_secs);
    Ok(Content { body, shown: Some(shown), notification, kept: false, lifetime_secs })
}

/// An empty one is none.
fn data_id(request: &Field<'_>) -> Result<Option<String>, Error> {
    let Some(field) = request.member("DataId") else { return Ok(None) };
    let text = field.text(Code::Json)?;
    if text.len() > limits::DATA_ID_BYTES {
        let fault = format!("must not be longer than {} bytes", limits::DATA_ID_BYTES);
        return Err(field.error(Code::DataIdTooLong, &fault));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::{Call, PushRequest};
    use super::*;
    use crate::domain::{App, UserId};

    fn app(quotas: Value) -> App {
        let tencent = json!({"sdk_app_id": 1, "secret_key": "k", "admins": []});
        serde_json::from_value(json!({"id": "a", "tencent": tencent, "quotas": quotas})).unwrap()
    }

    fn parse(call: Call, request: &Value) -> Result<PushRequest, Error> {
        PushRequest::parse(call, request.to_string().as_bytes(), &app(json!({"lifetime_secs": 3_600})))
    }

    /// A good request with one member changed.
    fn with(call: Call, name: &str, value: Value) -> Value {
        let mut request = json!({"MsgRandom": 1, "OfflinePushInfo": {"Title": "t", "Desc": "d", "Ext": "e"}});
        if call == Call::Batch {
            request["To_Account"] = json!(["a", "b"]);
        }
        request[name] = value;
        request
    }

    fn names(count: usize) -> Value {
        (0..count).map(|n| format!("{n:0>32}")).collect()
    }

    #[test]
    fn without_a_body_it_is_what_the_notification_says_and_kept_by_no_one() {
        for call in [Call::Push, Call::Batch] {
            let push = parse(call, &with(call, "DataId", "mine".into())).unwrap();
            assert_eq!(push.data_id.as_deref(), Some("mine"));
            let content = push.content;
            assert_eq!((content.body, content.kept, content.lifetime_secs), (json!([]), false, 3_600));
            assert_eq!(content.notification, content.shown);
            let shown = content.shown.unwrap();
            let said = (shown.title.as_deref(), shown.text.as_str(), shown.ext.as_deref());
            assert_eq!(said, (Some("t"), "d", Some("e")));
            assert_eq!(shown.ios.badge, None, "what is no message does not count as one");
        }
    }

    #[test]
    fn online_only_still_has_something_to_show() {
        let info = json!({"PushFlag": 1, "Desc": "d"});
        let push = parse(Call::Push, &with(Call::Push, "OfflinePushInfo", info)).unwrap();
        assert_eq!((push.content.notification, push.content.shown.unwrap().text.as_str()), (None, "d"));
    }

    #[test]
    fn with_a_body_it_is_a_message_that_is_kept_unless_it_is_for_online_users_only() {
        let body = json!([{"MsgType": "TIMTextElem", "MsgContent": {"Text": "hi"}}]);
        for (flag, kept) in [(Value::Null, true), (json!(0), true), (json!(1), false)] {
            let request =
                json!({"MsgRandom": 1, "MsgBody": body, "OnlineOnlyFlag": flag, "MsgLifeTime": "unknown here"});
            let Content { notification, body: read, shown, kept: is_kept, lifetime_secs } =
                parse(Call::Push, &request).unwrap().content;
            assert_eq!((read, shown, is_kept, lifetime_secs), (body.clone(), None, kept, 3_600));
            assert_eq!(notification.unwrap().text, "hi", "vendors are for those who are not online");
        }
    }

    #[test]
    fn tags_not_is_known() {
        let condition = json!({"TagsNot": ["a"]});
        let push = parse(Call::Push, &with(Call::Push, "Condition", condition.clone())).unwrap();
        assert!(matches!(push.recipients, Recipients::Matching(Criteria::Tags { not, .. }) if not.len() == 1));
        let older = json!({"MsgRandom": 1, "MsgBody": [{"MsgType": "TIMFaceElem", "MsgContent": {"Index": 1}}], "Condition": condition});
        assert_eq!(parse(Call::ImPush, &older).unwrap_err().code, Code::Json);
    }

    #[test]
    fn named_users_are_read_once_each() {
        let push = parse(Call::Batch, &with(Call::Batch, "To_Account", json!(["b", "a", "b", "小明"]))).unwrap();
        let Recipients::Named(accounts) = push.recipients else { panic!("{push:?}") };
        assert_eq!(accounts.ids, ["b", "a"].map(|name| UserId::try_from(name).unwrap()));
    }

    #[test]
    fn every_faulty_field_has_its_code() {
        use Call::{Batch, Push};
        for (call, name, value, code) in [
            (Push, "MsgRandom", Value::Null, 90005),
            (Push, "MsgRandom", json!("1"), 90005),
            (Push, "MsgRandom", json!(4_294_967_296_u64), 90005),
            (Batch, "MsgRandom", Value::Null, 90001),
            (Batch, "MsgRandom", json!(-1), 90001),
            (Batch, "MsgRandom", json!(4_294_967_296_u64), 90001),
            (Push, "OnlineOnlyFlag", json!(2), 90001),
            (Push, "OnlineOnlyFlag", json!("0"), 90001),
            (Push, "MsgBody", json!({}), 90007),
            (Push, "MsgBody", json!([]), 90002),
            (Push, "MsgBody", json!([{"MsgType": "TIMTextElem", "MsgContent": {}}]), 90010),
            (Push, "OfflinePushInfo", Value::Null, 90043),
            (Push, "OfflinePushInfo", json!({}), 90043),
            (Push, "OfflinePushInfo", json!({"Title": "alone"}), 90043),
            (Push, "OfflinePushInfo", json!({"Desc": "d", "PushFlag": 2}), 90043),
            (Batch, "OfflinePushInfo", Value::Null, 90043),
            (Batch, "OfflinePushInfo", json!("hi"), 90043),
            (Push, "From_Account", json!("小明"), 90008),
            (Batch, "From_Account", json!(5), 90008),
            (Push, "Condition", json!({}), 90040),
            (Push, "Condition", json!({"TagsNot": ["a", "a"]}), 90022),
            (Push, "DataId", json!("é".repeat(32) + "x"), 90057),
            (Batch, "DataId", json!("é".repeat(32) + "x"), 90057),
            (Batch, "DataId", json!(5), 90001),
            (Batch, "To_Account", Value::Null, 90003),
            (Batch, "To_Account", json!("a"), 90003),
            (Batch, "To_Account", json!([5]), 90003),
            (Batch, "To_Account", json!([]), 90001),
            (Batch, "To_Account", names(501), 90011),
        ] {
            let request = with(call, name, value);
            assert_eq!(parse(call, &request).unwrap_err().code.number(), code, "{call:?} {name}");
        }
        let error = parse(Batch, &with(Batch, "MsgRandom", json!("x"))).unwrap_err();
        assert_eq!(error.info, "Invalid format of MsgRandom");
    }

    #[test]
    fn what_is_at_its_limit_passes() {
        for call in [Call::Push, Call::Batch] {
            let longest = "é".repeat(32);
            assert_eq!(parse(call, &with(call, "DataId", longest.clone().into())).unwrap().data_id, Some(longest));
            assert_eq!(parse(call, &with(call, "MsgRandom", u32::MAX.into())).unwrap().random, u32::MAX);
        }
        // 500 names of 32 characters are longer than a message may be, and are no part of it.
        assert!(parse(Call::Batch, &with(Call::Batch, "To_Account", names(500))).is_ok());
    }

    #[test]
    fn a_message_of_twelve_kilobytes_passes_and_one_byte_more_does_not() {
        for call in [Call::Push, Call::Batch] {
            let request = |length: usize| with(call, "New", "x".repeat(length).into());
            let named = if call == Call::Batch { json!(["a", "b"]).to_string().len() } else { 0 };
            let room = limits::MESSAGE_BYTES + named - request(0).to_string().len();
            assert!(parse(call, &request(room)).is_ok());
            assert_eq!(parse(call, &request(room + 1)).unwrap_err().code, Code::MessageTooLong);
        }
    }
}
