//! What holds of every call, whatever came in: the fuzz targets break it or it stands.
#![allow(clippy::expect_used, reason = "a broken invariant ends the target, which is its result")]

mod pushes;
mod reply;
pub mod signed;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;

use fanfare::dialect::tencent::{Call, Code, Command, Error, Reply, accounts, audience, online, push};
use fanfare::domain::{
    App, AttributeNames, AttributeSlot, AttributeValue, Channel, Device, DeviceId, DeviceToken, Edit, EditError,
    Ordinal, Platform, Presence, Profile, Tag, Timestamp, User, UserId, limits,
};
use serde_json::{Value, json};

/// The `SDKAppID` of the app that is called.
pub const SDK_APP_ID: u64 = 1_400_000_000;
/// The app's administrator.
pub const ADMIN: &str = "administrator";
/// What the app's UserSigs are signed with.
pub const KEY: &str = "the key that no input knows";

/// The app's `App-Key`.
pub const APP_KEY: &str = "fanfare-fuzz";
/// What the app's calls of RongCloud's contract are signed with.
pub const APP_SECRET: &str = "the secret that no input knows";

/// The longest sentence of an error, in characters: what it may quote, and the sign that there was more.
const SENTENCE_CHARS: usize = 201;

/// The app that is called.
pub fn app() -> App {
    let tencent = json!({"sdk_app_id": SDK_APP_ID, "secret_key": KEY, "admins": [ADMIN]});
    let rongcloud = json!({"app_key": APP_KEY, "app_secret": APP_SECRET});
    serde_json::from_value(json!({"id": "1400000000", "tencent": tencent, "rongcloud": rongcloud})).expect("an app")
}

/// The call and the body of an input: the call's path (without `/v4/`) in the first line, then the body.
pub fn addressed(input: &[u8]) -> Option<(Call, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    let path = std::str::from_utf8(&input[..end]).ok()?;
    let command = Command::of(&format!("/v4/{path}"))?;
    Some((command.call, &input[end + 1..]))
}

/// A call is answered as the contract says, and the same when its JSON is written otherwise.
pub fn check_call(call: Call, body: &[u8]) {
    let answer = answer(call, body);
    if let Some(respelled) = respelled(body) {
        assert_eq!(answer, self::answer(call, &respelled), "{call:?} hangs on white space");
    }
    let reply = answer.map(|answer| answer.reply);
    reply::check(call, if call.is_push() { push::answer(call, reply) } else { Reply::from(reply) });
}

/// An error has a number that is explained, and one sentence.
pub fn check_error(error: &Error) {
    assert!(Code::ALL.contains(&error.code));
    let chars = error.info.chars().count();
    assert!(!error.info.trim().is_empty() && chars <= SENTENCE_CHARS, "{chars} characters: {:?}", error.info);
}

/// The same JSON with other white space. Not if it has fractions: what is printed of one may be read as its neighbour.
fn respelled(body: &[u8]) -> Option<Vec<u8>> {
    let json: Value = serde_json::from_slice(body).ok()?;
    (!has_fraction(&json)).then(|| serde_json::to_vec_pretty(&json).expect("JSON"))
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}

/// What a call was understood to ask, and what it is answered.
#[derive(Debug, PartialEq)]
struct Answer {
    asked: String,
    reply: Reply,
}

impl Answer {
    fn new(asked: impl Debug, reply: Reply) -> Self {
        Self { asked: format!("{asked:?}"), reply }
    }
}

/// What the functions do with a call, but for the store: of the accounts that a call names, every second one exists.
fn answer(call: Call, body: &[u8]) -> Result<Answer, Error> {
    Ok(match call {
        Call::ImPush | Call::Push | Call::Batch => pushes::asked(call, body)?,
        Call::SetAttrName => named(audience::set_attribute_names(body)?),
        Call::SetTypedAttrName => {
            let wanted = audience::set_typed_attribute_names(body)?;
            assert_eq!(audience::set_attribute_names(body).as_ref(), Ok(&wanted), "types change names");
            named(wanted)
        }
        Call::GetAttrName => {
            audience::get_attribute_names(body)?;
            Answer::new((), audience::attribute_names(&names()))
        }
        Call::SetAttr => edited(call, audience::set_attributes(body, &names())?),
        Call::RemoveAttr => edited(call, audience::remove_attributes(body, &names())?),
        Call::AddTag => edited(call, audience::add_tags(body)?),
        Call::AddOrReplaceTag => edited(call, audience::add_or_replace_tags(body)?),
        Call::RemoveTag => edited(call, audience::remove_tags(body)?),
        Call::ClearTags => edited(call, audience::remove_all_tags(body)?),
        Call::GetAttr => {
            let asked = audience::accounts(body)?;
            let users = every_second(&asked.ids);
            Answer::new(&asked, asked.clone().attributes(&users, &names()))
        }
        Call::GetTag => {
            let asked = audience::accounts(body)?;
            let users = every_second(&asked.ids);
            Answer::new(&asked, asked.clone().tags(&users))
        }
        Call::AccountImport => Answer::new(accounts::import(body)?, Reply::ok()),
        Call::MultiaccountImport => {
            let import = accounts::import_many(body)?;
            assert!(import.users.len() <= limits::ACCOUNTS_PER_REQUEST);
            let barred: Vec<UserId> = import.users.iter().skip(1).step_by(2).map(|(id, _)| id.clone()).collect();
            Answer::new(&import, import.clone().answer(&barred))
        }
        Call::AccountCheck => {
            let check = accounts::check(body)?;
            let users = every_second(&check.ids());
            Answer::new(&check, check.clone().answer(&users))
        }
        Call::AccountDelete => {
            let refused = accounts::delete(body, false).expect_err("deleted though the app may not");
            let deletion = accounts::delete(body, true)?;
            assert_eq!(refused.code, Code::DeletionNotAllowed);
            assert!(deletion.ids().len() <= limits::ACCOUNTS_PER_REQUEST);
            let deleted = every_second(&deletion.ids()).into_keys().collect();
            Answer::new(&deletion, deletion.clone().answer(&deleted))
        }
        Call::Kick => {
            let id = accounts::kick(body)?;
            assert!((1..=limits::ACCOUNT_BYTES).contains(&id.as_str().len()));
            // One account alone is there if its name's length is odd.
            let reply = if id.as_str().len() % 2 == 1 { Reply::ok() } else { accounts::unknown().into() };
            Answer::new(&id, reply)
        }
        Call::QueryOnlineStatus | Call::QueryState => {
            let question = online::question(body)?;
            let ids = question.ids();
            assert!(ids.len() <= limits::STATUS_ACCOUNTS);
            assert!(is_each_once(&ids), "asked twice");
            Answer::new(&question, question.clone().answer(&presences(&ids)))
        }
    })
}

fn named(wanted: BTreeMap<AttributeSlot, String>) -> Answer {
    assert!((1..=usize::from(limits::ATTRIBUTE_SLOTS)).contains(&wanted.len()));
    Answer::new(&wanted, audience::attribute_names_set(names().named(wanted.clone())))
}

fn edited(call: Call, edits: audience::Edits) -> Answer {
    assert!(edits.edits.len() <= limits::ACCOUNTS_PER_REQUEST);
    for (_, edit) in &edits.edits {
        let is_of_the_call = match (call, edit) {
            (Call::SetAttr, Edit::SetAttributes(values)) => values.len() <= usize::from(limits::ATTRIBUTE_SLOTS),
            (Call::RemoveAttr, Edit::RemoveAttributes(slots)) => slots.len() <= usize::from(limits::ATTRIBUTE_SLOTS),
            (Call::AddTag | Call::AddOrReplaceTag, Edit::AddTags(tags)) => tags.len() <= limits::TAGS_PER_REQUEST,
            (Call::AddOrReplaceTag, Edit::ReplaceTags(tags)) => tags.len() <= limits::TAGS_PER_USER,
            (Call::RemoveTag, Edit::RemoveTags(tags)) => tags.len() <= limits::TAGS_PER_USER,
            (Call::ClearTags, Edit::ClearTags) => true,
            _ => false,
        };
        assert!(is_of_the_call, "{call:?} does {edit:?}");
    }
    let refused = edits.edits.iter().skip(1).step_by(2).zip([EditError::UnknownUser, EditError::TooManyTags]);
    let refused = refused.map(|((id, _), error)| (id.clone(), error)).collect();
    Answer::new(&edits, edits.clone().answer(refused))
}

fn names() -> AttributeNames {
    let names = [(0, "sex"), (4, "city"), (9, "Membership Level")];
    let names = names.map(|(slot, name)| (slot_of(slot), name.to_owned()));
    AttributeNames::default().named(BTreeMap::from(names)).expect("good names")
}

fn every_second(ids: &[UserId]) -> HashMap<UserId, User> {
    let user = |id: &UserId| {
        let mut user = User::new(id.clone(), Ordinal(0), Profile::default());
        user.tags = vec![Tag::try_from("Stock A".to_owned()).expect("a tag")];
        let value = AttributeValue::try_from("Shenzhen".to_owned()).expect("a value");
        user.attributes = BTreeMap::from([(slot_of(4), value)]);
        (id.clone(), user)
    };
    ids.iter().step_by(2).map(user).collect()
}

/// Of those who exist, one is nowhere, one has a phone, and one is connected as well.
fn presences(ids: &[UserId]) -> HashMap<UserId, Presence> {
    let (now, desk) = (Timestamp::from_secs(1_600_000_000), DeviceId::try_from("desk").expect("an id"));
    let phone = [Device {
        id: DeviceId::try_from("phone").expect("an id"),
        platform: Platform::Ios,
        channel: Channel::Apns,
        token: DeviceToken::new("token"),
        package: None,
        push_enabled: true,
        language: None,
        registered_at: now,
        active_at: now,
    }];
    let (nothing, connected) = (BTreeSet::new(), BTreeSet::from([desk]));
    let kinds = [(&phone[..0], &nothing), (&phone[..], &nothing), (&phone[..], &connected)];
    let kinds = kinds.map(|(devices, connected)| Presence::of(devices, connected, |_| true, now));
    ids.iter().step_by(2).cloned().zip(kinds.into_iter().cycle()).collect()
}

/// The names of an object's members.
fn names_of(object: &Value) -> impl Iterator<Item = &str> {
    object.as_object().into_iter().flat_map(|members| members.keys().map(String::as_str))
}

fn is_each_once(ids: &[UserId]) -> bool {
    ids.iter().collect::<BTreeSet<_>>().len() == ids.len()
}

fn slot_of(number: u8) -> AttributeSlot {
    AttributeSlot::try_from(number).expect("a slot")
}
