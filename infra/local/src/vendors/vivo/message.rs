//! The bodies of requests, and everything that vivo refuses about them.

use http::header;
use serde_json::{Map, Value};

use super::super::vendor::VendorRequest;

/// vivo has a number for each fault, few of which are established; a sender is to take any of them for a refusal. This is
/// one that vivo is not known to use.
const WRONG: i64 = 10_999;
const ANOTHER_APP: i64 = 10_094;
const NO_SUCH_CATEGORY: i64 = 10_096;
const CATEGORY_OF_ANOTHER_CLASS: i64 = 10_097;

const MAX_CUSTOM: usize = 1_024;
/// The kinds of message of each class: 0, what an operator wants said, and 1, what concerns the user.
const CATEGORIES: [&[&str]; 2] = [
    &["NEWS", "CONTENT", "MARKETING", "SOCIAL"],
    &["IM", "ACCOUNT", "TODO", "DEVICE_REMINDER", "ORDER", "SUBSCRIPTION"],
];

pub(super) type Body = Map<String, Value>;

/// Whom a message is for, with nothing wrong about it.
#[derive(Debug)]
pub(super) struct List {
    /// The saved message, if it is one.
    pub task: Option<String>,
    pub tokens: Vec<String>,
    /// The sender's own id of the request.
    pub request_id: String,
}

/// What is wrong: vivo's result, and a few words.
#[derive(Debug)]
pub(super) struct Wrong(pub i64, pub String);

#[derive(Clone, Copy)]
enum Kind {
    /// A text of so many characters, one at least.
    Text(usize),
    Between(i64, i64),
    Bool,
    /// An object of texts, with so many characters in names and values together.
    Texts(usize),
    /// So many texts.
    List(usize, usize),
    /// The app's id: a number, or its digits.
    App,
}

const MESSAGE: &[(&str, Kind)] = &[
    ("appId", Kind::App),
    ("notifyType", Kind::Between(1, 4)),
    ("title", Kind::Text(40)),
    ("content", Kind::Text(100)),
    ("timeToLive", Kind::Between(60, 86_400)),
    ("skipType", Kind::Between(1, 4)),
    ("skipContent", Kind::Text(1_024)),
    ("networkType", Kind::Between(-1, 1)),
    ("classification", Kind::Between(0, 1)),
    ("category", Kind::Text(64)),
    ("clientCustomMap", Kind::Texts(MAX_CUSTOM)),
    ("extra", Kind::Texts(usize::MAX)),
    ("requestId", Kind::Text(64)),
    ("pushMode", Kind::Between(0, 1)),
    ("notifyId", Kind::Between(1, 2_147_483_647)),
    ("sendOnline", Kind::Bool),
    ("foregroundShow", Kind::Bool),
];
const REQUIRED: &[&str] = &["notifyType", "title", "content", "skipType", "requestId"];

const LIST: &[(&str, Kind)] = &[
    ("appId", Kind::App),
    ("regIds", Kind::List(2, 1_000)),
    ("taskId", Kind::Text(64)),
    ("requestId", Kind::Text(64)),
];

/// The body as a JSON object.
pub(super) fn read(request: &VendorRequest) -> Result<Body, Wrong> {
    let content_type = request.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if !content_type.starts_with("application/json") {
        return Err(wrong("Content-Type must be application/json"));
    }
    serde_json::from_slice(&request.body).map_err(|_| wrong("the body is no JSON object"))
}

/// A message for one device.
pub(super) fn to_one(body: &Body, app_id: u64) -> Result<List, Wrong> {
    let mut message = body.clone();
    let token = match message.remove("regId") {
        Some(Value::String(token)) => token,
        _ => return Err(wrong("regId is missing")),
    };
    to_be_saved(&message, app_id)?;
    Ok(List { task: None, tokens: vec![token], request_id: text(body, "requestId") })
}

/// A message without a receiver.
pub(super) fn to_be_saved(body: &Body, app_id: u64) -> Result<(), Wrong> {
    check(body, MESSAGE, REQUIRED)?;
    if body.contains_key("appId") && !is_app(body, app_id) {
        return Err(another_app());
    }
    if body.get("skipType") != Some(&1.into()) && !body.contains_key("skipContent") {
        return Err(wrong("skipType needs a skipContent"));
    }
    check_category(body)
}

/// The receivers of a saved message.
pub(super) fn to_list(body: &Body, app_id: u64) -> Result<List, Wrong> {
    check(body, LIST, &["appId", "regIds", "taskId", "requestId"])?;
    if !is_app(body, app_id) {
        return Err(another_app());
    }
    let tokens = body.get("regIds").and_then(Value::as_array).into_iter().flatten();
    let tokens = tokens.filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(List { task: Some(text(body, "taskId")), tokens, request_id: text(body, "requestId") })
}

/// Whether a body names the app, as a number or its digits.
pub(super) fn is_app(body: &Body, app_id: u64) -> bool {
    match body.get("appId") {
        Some(Value::String(text)) => *text == app_id.to_string(),
        Some(value) => value.as_u64() == Some(app_id),
        None => false,
    }
}

/// The tokens of a request that may be wrong; at least one, which may be empty.
pub(super) fn claimed(body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let list = body["regIds"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let tokens: Vec<String> = body["regId"].as_str().into_iter().chain(list).map(str::to_owned).collect();
    if tokens.is_empty() { vec![String::new()] } else { tokens }
}

/// Whether vivo could have given it out: real ones are some 20 digits. Others are let pass, so that a test can say which
/// device it means.
pub(super) fn is_reg_id(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

pub(super) fn wrong(what: &str) -> Wrong {
    Wrong(WRONG, what.to_owned())
}

fn another_app() -> Wrong {
    Wrong(ANOTHER_APP, "appId is another than that of authToken".to_owned())
}

pub(super) fn no_such_task() -> Wrong {
    wrong("taskId names no message")
}

/// Every member is known and what it should be, and none is missing.
fn check(body: &Body, fields: &[(&str, Kind)], required: &[&str]) -> Result<(), Wrong> {
    for (name, value) in body {
        let kind = fields.iter().find(|(own, _)| own == name).map(|(_, kind)| kind);
        if !kind.ok_or_else(|| wrong(&format!("{name} is not known")))?.fits(value) {
            return Err(wrong(&format!("{name} is not as it should be")));
        }
    }
    let missing = required.iter().find(|name| !body.contains_key(**name));
    missing.map_or(Ok(()), |name| Err(wrong(&format!("{name} is missing"))))
}

fn check_category(body: &Body) -> Result<(), Wrong> {
    let Some(category) = body.get("category").and_then(Value::as_str) else { return Ok(()) };
    let Some(class) = CATEGORIES.iter().position(|names| names.contains(&category)) else {
        return Err(Wrong(NO_SUCH_CATEGORY, "category is none".to_owned()));
    };
    match body.get("classification") {
        Some(given) if *given != class => {
            Err(Wrong(CATEGORY_OF_ANOTHER_CLASS, "category does not fit classification".to_owned()))
        }
        _ => Ok(()),
    }
}

fn text(body: &Body, name: &str) -> String {
    body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text(most) => value.as_str().is_some_and(|text| (1..=most).contains(&text.chars().count())),
            Self::Between(least, most) => value.as_i64().is_some_and(|number| (least..=most).contains(&number)),
            Self::Bool => value.is_boolean(),
            Self::Texts(most) => value.as_object().is_some_and(|texts| {
                let lengths = texts
                    .iter()
                    .map(|(name, value)| value.as_str().map(|value| name.chars().count() + value.chars().count()));
                lengths.sum::<Option<usize>>().is_some_and(|length| length <= most)
            }),
            Self::List(least, most) => value
                .as_array()
                .is_some_and(|list| (least..=most).contains(&list.len()) && list.iter().all(Value::is_string)),
            Self::App => value.is_u64() || value.is_string(),
        }
    }
}
