//! The same for RongCloud's contract: what holds of every call, of what is pushed by it, and of every answer.

use std::collections::BTreeSet;

use fanfare::dialect::rongcloud::{
    Broadcast, Call, Code, Command, Error, PushRequest, QuietRequest, Recall, Reply, SystemMessage, TagsRequest,
    TokenRequest, Users, quiet, tags,
};
use fanfare::domain::{
    Audience, DeviceFilter, Edit, Message, Notification, Ordinal, Push, PushId, Seq, Tag, Timestamp, UserId, limits,
};
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::pushes::{ID, check_notification};
use crate::{SENTENCE_CHARS, app, has_fraction, names_of, respelled};

/// The call and the body of an input: the call's path in the first line, then the body.
pub fn addressed(input: &[u8]) -> Option<(&'static Command, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    let path = std::str::from_utf8(&input[..end]).ok()?;
    Some((Command::of(path)?, &input[end + 1..]))
}

/// A call is answered as the contract says, and the same when its JSON or its form is written otherwise.
pub fn check_call(command: &Command, body: &[u8]) {
    let answer = answer(command.call, body);
    let respelled = if is_form(command.call) { escaped(body) } else { respelled(body) };
    if let Some(respelled) = respelled {
        assert_eq!(answer, self::answer(command.call, &respelled), "{} hangs on how it is written", command.path);
    }
    check_reply(command, answer.map(|(_, reply)| reply));
}

/// An error has a number that is explained, and one sentence.
pub fn check_error(error: &Error) {
    assert!(Code::ALL.contains(&error.code));
    let chars = error.info.chars().count();
    assert!(!error.info.trim().is_empty() && chars <= SENTENCE_CHARS, "{chars} characters: {:?}", error.info);
}

fn is_form(call: Call) -> bool {
    !matches!(call, Call::Push | Call::PushUser | Call::PushCustom | Call::SetTags | Call::BatchSetTags)
}

/// The same form, escaped throughout. The SDKs for Go and Java escape, Python's does not. What is no UTF-8 cannot be written
/// otherwise: a reader of forms replaces it.
fn escaped(body: &[u8]) -> Option<Vec<u8>> {
    let fields: Vec<_> = form_urlencoded::parse(body).collect();
    if fields.iter().any(|(name, value)| [name, value].iter().any(|text| text.contains('\u{fffd}'))) {
        return None;
    }
    let escaped = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    // A form of no field at all is no body.
    (!escaped.is_empty()).then(|| escaped.into_bytes())
}

/// What a call was understood to ask, and what it is answered, but for the store: of the users that it names, all exist.
fn answer(call: Call, body: &[u8]) -> Result<(String, Reply), Error> {
    let id = PushId::from_u128(ID);
    let ok = |asked: String| Ok((asked, Reply::ok()));
    match call {
        Call::Push | Call::PushUser | Call::PushCustom => {
            let wanted = match call {
                Call::Push => PushRequest::push(body)?,
                Call::PushUser => PushRequest::user(body)?,
                _ => PushRequest::custom(body)?,
            };
            check_users(call, &wanted.receivers.users);
            assert!(wanted.message.is_some() || wanted.notification.is_some(), "it says nothing");
            assert!(wanted.message.is_none() || call == Call::Push, "{call:?} has a message");
            let audience = match &wanted.receivers.users {
                Users::Everyone => Audience::Everyone,
                Users::Named(ids) => Audience::Users((0..).take(ids.len()).map(Ordinal).collect()),
                Users::Matching(condition) => Audience::Matching(condition.clone()),
            };
            check_stored(&wanted.receivers.devices, wanted.message.as_ref(), wanted.notification.as_ref(), audience);
            Ok((format!("{wanted:?}"), wanted.accepted(id)))
        }
        Call::Broadcast | Call::OnlineBroadcast => {
            let is_online = call == Call::OnlineBroadcast;
            let wanted = if is_online { Broadcast::to_online(body)? } else { Broadcast::to_all(body)? };
            assert!(!is_online || (wanted.notification.is_none() && wanted.devices.is_open()), "{wanted:?}");
            check_stored(&wanted.devices, Some(&wanted.message), wanted.notification.as_ref(), Audience::Everyone);
            Ok((format!("{wanted:?}"), wanted.accepted(id)))
        }
        Call::RecallBroadcast => {
            let recall = Recall::parse(body)?;
            check_user(&recall.sender);
            ok(format!("{recall:?}"))
        }
        Call::SetTags | Call::BatchSetTags => {
            let (wanted, most) = match call {
                Call::SetTags => (TagsRequest::set(body)?, 1),
                _ => (TagsRequest::batch_set(body)?, 1_000),
            };
            assert!((1..=most).contains(&wanted.users.len()));
            wanted.users.iter().for_each(check_user);
            // Fewer than a user may have, so that no user is full.
            assert!(matches!(&wanted.edit, Edit::ReplaceTags(tags) if tags.len() <= 20 && tags.iter().all(is_tag)));
            ok(format!("{wanted:?}"))
        }
        Call::GetTags => {
            let ids = tags::get(body)?;
            assert!((1..=50).contains(&ids.len()) && crate::is_each_once(&ids));
            ids.iter().for_each(check_user);
            let gold = Tag::try_from("gold".to_owned()).expect("a tag");
            let found = ids.iter().enumerate().map(|(n, id)| (id.clone(), vec![gold.clone(); n % 2]));
            Ok((format!("{ids:?}"), tags::found(found)))
        }
        Call::GetToken => {
            let wanted = TokenRequest::parse(body)?;
            check_user(&wanted.user);
            Ok((format!("{wanted:?}"), wanted.granted("token")))
        }
        Call::SetQuietHours => {
            let wanted = QuietRequest::set(body)?;
            check_user(&wanted.user);
            let fits =
                wanted.hours.is_none_or(|hours| hours.start_secs < 86_400 && (1..1_440).contains(&hours.minutes));
            assert!(fits, "{wanted:?}");
            ok(format!("{wanted:?}"))
        }
        Call::GetQuietHours | Call::DeleteQuietHours => {
            let user = quiet::whose(body)?;
            check_user(&user);
            let reply = if call == Call::GetQuietHours { quiet::found(None) } else { Reply::ok() };
            Ok((format!("{user:?}"), reply))
        }
    }
}

fn check_user(id: &UserId) {
    assert!((1..=64).contains(&id.as_str().len()), "{id}");
}

fn is_tag(tag: &Tag) -> bool {
    (1..=40).contains(&tag.as_str().len())
}

fn check_users(call: Call, users: &Users) {
    match users {
        Users::Everyone => assert_ne!(call, Call::PushUser),
        Users::Named(ids) => {
            let most = match call {
                Call::PushUser => 100,
                Call::Push => 1_000,
                _ => 0,
            };
            assert!((1..=most).contains(&ids.len()), "{call:?} names {}", ids.len());
            ids.iter().for_each(check_user);
        }
        Users::Matching(condition) => {
            // Twenty tags in each of two lists, or in each of twenty items.
            let most = if call == Call::PushCustom { 400 } else { 40 };
            assert!((1..=most).contains(&condition.terms().len()), "{condition:?}");
        }
    }
}

/// What is stored is read again, and the same.
fn check_stored(
    devices: &DeviceFilter,
    message: Option<&SystemMessage>,
    notification: Option<&Notification>,
    audience: Audience,
) {
    notification.into_iter().for_each(check_notification);
    let message = message.map(|message| {
        check_user(&message.sender);
        let body = message.body.clone();
        Message { sender: message.sender.to_string(), body, notification: None, kept: true, recallable: true }
    });
    let push = Push {
        id: PushId::from_u128(ID),
        app: app().id,
        seq: message.as_ref().map(|_| Seq(1)),
        accepted_at: Timestamp::from_secs(1_600_000_000),
        audience,
        devices: devices.clone(),
        population: 100,
        message,
        notification: notification.cloned(),
        lifetime_secs: limits::LIFETIME_SECS,
        task_id: PushId::from_u128(ID).to_string(),
        revokes: None,
        data_id: None,
    };
    let json = serde_json::to_value(&push).expect("a push is JSON");
    let read: Push = serde_json::from_str(&json.to_string()).expect("stored, and not read again");
    assert!(has_fraction(&json) || read == push, "stored otherwise than asked: {push:?}");
}

/// A reply has the shape that its call's page gives it.
fn check_reply(command: &Command, reply: Result<Reply, Error>) {
    if let Err(error) = &reply {
        check_error(error);
    }
    let code = reply.as_ref().map_or_else(|error| error.code.number(), |_| 200);
    let status = reply.as_ref().map_or_else(|error| error.code.status().as_u16(), |_| 200);
    let succeeded = reply.is_ok();
    let response = reply.unwrap_or_else(|error| Reply::failed(command.path, &error)).into_http();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
    assert_eq!(response.status().as_u16(), status);
    let answer: Value = serde_json::from_str(response.body()).expect("JSON");
    assert_eq!(answer["code"], code, "{answer}");
    let own: &[&str] = match command.call {
        _ if !succeeded => &["url", "errorMessage"],
        Call::Push if answer.get("messageUID").is_some() => &["id", "messageUID"],
        Call::Push | Call::PushUser | Call::PushCustom => &["id"],
        Call::Broadcast | Call::OnlineBroadcast => &["messageUID"],
        Call::RecallBroadcast | Call::SetTags | Call::BatchSetTags | Call::SetQuietHours | Call::DeleteQuietHours => {
            &[]
        }
        Call::GetTags => &["result"],
        Call::GetToken => &["token", "userId"],
        Call::GetQuietHours => &["data"],
    };
    let expected: BTreeSet<&str> = own.iter().copied().chain(["code"]).collect();
    assert_eq!(names_of(&answer).collect::<BTreeSet<_>>(), expected, "{}: {answer}", command.path);
}
