//! What holds of every call, whatever came in: the fuzz targets break it or it stands.
#![allow(clippy::expect_used, reason = "a broken invariant ends the target, which is its result")]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use fanfare::dialect::tencent::{Call, Code, Command, Error, PushRequest, Reply, accounts, audience, push};
use fanfare::domain::{
    App, AttributeNames, AttributeSlot, AttributeValue, Audience, EditError, Ordinal, Profile, Tag, User, UserId,
    limits,
};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

/// The `SDKAppID` of the app that is called.
pub const SDK_APP_ID: u64 = 1_400_000_000;
/// The app's administrator.
pub const ADMIN: &str = "administrator";
/// What the app's UserSigs are signed with.
pub const KEY: &str = "the key that no input knows";

/// The longest sentence of an error, in characters: what it may quote, and the sign that there was more.
const SENTENCE_CHARS: usize = 201;

/// The app that is called.
pub fn app() -> App {
    let tencent = json!({"sdk_app_id": SDK_APP_ID, "secret_key": KEY, "admins": [ADMIN]});
    serde_json::from_value(json!({"id": "1400000000", "tencent": tencent})).expect("an app")
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
    check_reply(Reply::from(answer.map(|answer| answer.reply)));
}

/// An error has a number that is explained, and one sentence.
pub fn check_error(error: &Error) {
    assert!(Code::ALL.contains(&error.code));
    let chars = error.info.chars().count();
    assert!(!error.info.trim().is_empty() && chars <= SENTENCE_CHARS, "{chars} characters: {:?}", error.info);
}

fn check_reply(reply: Reply) {
    if let Some(error) = reply.error() {
        check_error(error);
    }
    let response = reply.into_http();
    assert_eq!(
        (response.status().as_u16(), response.headers()[CONTENT_TYPE].as_bytes()),
        (200, &b"application/json"[..])
    );
    let answer: Value = serde_json::from_str(response.body()).expect("JSON");
    let (status, info) = (answer["ActionStatus"].as_str(), answer["ErrorInfo"].as_str());
    match answer["ErrorCode"].as_u64() {
        Some(0) => {
            assert_eq!((status, info), (Some("OK"), Some("")));
            for refusal in answer["ErrorList"].as_array().into_iter().flatten() {
                assert!(refusal["To_Account"].is_string() && is_known(&refusal["ErrorCode"]), "{refusal}");
                assert!(refusal["ErrorInfo"].as_str().is_some_and(|info| !info.is_empty()), "{refusal}");
            }
        }
        _ => {
            assert!(status == Some("FAIL") && is_known(&answer["ErrorCode"]), "{answer}");
            assert_eq!(answer.as_object().map(|members| members.len()), Some(3), "{answer}");
        }
    }
}

fn is_known(code: &Value) -> bool {
    Code::ALL.iter().any(|known| *code == known.number())
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
    let edited = |edits: audience::Edits| {
        assert!(edits.edits.len() <= limits::ACCOUNTS_PER_REQUEST);
        let refused = edits.edits.iter().skip(1).step_by(2).zip([EditError::UnknownUser, EditError::TooManyTags]);
        let refused = refused.map(|((id, _), error)| (id.clone(), error)).collect();
        Answer::new(&edits, edits.clone().answer(refused))
    };
    Ok(match call {
        Call::ImPush => asked_to_push(body)?,
        Call::SetAttrName | Call::SetTypedAttrName => {
            let wanted = audience::set_attribute_names(body)?;
            Answer::new(&wanted, audience::attribute_names_set(names().named(wanted.clone())))
        }
        Call::GetAttrName => {
            audience::get_attribute_names(body)?;
            Answer::new((), audience::attribute_names(&names()))
        }
        Call::SetAttr => edited(audience::set_attributes(body, &names())?),
        Call::RemoveAttr => edited(audience::remove_attributes(body, &names())?),
        Call::AddTag | Call::AddOrReplaceTag => edited(audience::add_tags(body)?),
        Call::RemoveTag => edited(audience::remove_tags(body)?),
        Call::ClearTags => edited(audience::remove_all_tags(body)?),
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
            Answer::new(&import, import.clone().answer())
        }
        Call::AccountCheck => {
            let check = accounts::check(body)?;
            let users = every_second(&check.ids());
            Answer::new(&check, check.clone().answer(&users))
        }
        Call::Push | Call::Batch | Call::AccountDelete | Call::Kick | Call::QueryOnlineStatus | Call::QueryState => {
            return Err(Error::new(Code::UnknownResource, "this call is not there yet"));
        }
    })
}

fn asked_to_push(body: &[u8]) -> Result<Answer, Error> {
    let wanted = PushRequest::parse(body, &app())?;
    assert!(wanted.lifetime_secs <= limits::LIFETIME_SECS);
    let audience = wanted.audience(&names())?;
    if let Audience::Matching(condition) = &audience {
        // Two lists of ten tags, or one of each attribute twice.
        assert!((1..=20).contains(&condition.terms().len()), "{condition:?}");
        let text = serde_json::to_string(condition).expect("a condition is JSON");
        assert_eq!(serde_json::from_str(&text).ok().as_ref(), Some(condition), "stored otherwise than asked");
    }
    Ok(Answer::new((&wanted, audience), push::accepted("1400000000_1_2_3")))
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

fn slot_of(number: u8) -> AttributeSlot {
    AttributeSlot::try_from(number).expect("a slot")
}
