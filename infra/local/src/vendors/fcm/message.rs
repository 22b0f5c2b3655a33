//! The body of a request to send, and everything that FCM refuses about one.

use http::{StatusCode, header};
use serde_json::{Map, Value};

use super::{
    super::vendor::{Answer, VendorRequest},
    errors::{Detail, Violation, error},
    schema,
};

const MAX_PAYLOAD: usize = 4096;
/// 28 days.
const MAX_TTL_S: i64 = 2_419_200;

/// A message with nothing wrong about it.
#[derive(Debug)]
pub(super) struct Message {
    pub token: String,
    /// It is checked only, and not delivered.
    pub validate_only: bool,
}

/// What is wrong with a message.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The body is not JSON, or not JSON of the API's fields and types: the platform refuses it
    /// before FCM sees it.
    Shape(Vec<Violation>),
    /// FCM refuses its content.
    Content(Vec<Violation>),
    /// The token is none that FCM could have given out.
    Token,
}

impl Wrong {
    pub(super) fn answer(&self) -> Answer {
        let fcm = Detail::Fcm("INVALID_ARGUMENT");
        let refuse = |message: &str, details: &[Detail<'_>]| {
            error(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message, details)
        };
        match self {
            Self::Shape(violations) => refuse(&summary(violations), &[Detail::BadRequest(violations)]),
            Self::Content(violations) => refuse(&summary(violations), &[Detail::BadRequest(violations), fcm]),
            // Senders know this case by its words only.
            Self::Token => refuse("The registration token is not a valid FCM registration token", &[fcm]),
        }
    }
}

/// Reads the request's message.
pub(super) fn parse(request: &VendorRequest) -> Result<Message, Wrong> {
    let body = read(request)?;
    let mut violations = Vec::new();
    schema::check(&body, schema::REQUEST, "", &mut violations);
    let message = schema::field(&body, "message");
    if message.is_none() {
        violations.push(violation("message", "message is required"));
    }
    let (true, Some(message)) = (violations.is_empty(), message) else {
        return Err(Wrong::Shape(violations));
    };
    check_content(message)?;
    let token = schema::field(message, "token").and_then(Value::as_str);
    let token = token.filter(|token| is_token(token)).ok_or(Wrong::Token)?;
    let validate_only = schema::field(&body, "validate_only") == Some(&Value::Bool(true));
    Ok(Message { token: token.to_owned(), validate_only })
}

/// The token of a message that may be wrong; empty if it has none.
pub(super) fn claimed_token(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let token = body.pointer("/message/token").and_then(Value::as_str);
    token.unwrap_or_default().to_owned()
}

fn read(request: &VendorRequest) -> Result<Value, Wrong> {
    let content_type = request.header(header::CONTENT_TYPE.as_str()).unwrap_or("application/json");
    if !content_type.starts_with("application/json") {
        let what = "Content-Type must be application/json";
        return Err(Wrong::Shape(vec![violation("", what)]));
    }
    let body = serde_json::from_slice(&request.body);
    body.map_err(|_| Wrong::Shape(vec![violation("", "The body is not JSON")]))
}

fn check_content(message: &Value) -> Result<(), Wrong> {
    let mut violations = Vec::new();
    check_target(message, &mut violations);
    let android = schema::field(message, "android");
    check_data(message, "message.data", &mut violations);
    if let Some(android) = android {
        check_data(android, "message.android.data", &mut violations);
    }
    let ttl = android.and_then(|android| schema::field(android, "ttl"));
    let ttl_s = ttl.and_then(schema::seconds);
    if ttl_s.is_some_and(|seconds| !(0..=MAX_TTL_S).contains(&seconds)) {
        let what = "ttl must be between 0 and 2419200 seconds";
        violations.push(violation("message.android.ttl", what));
    }
    if payload_size(message) > MAX_PAYLOAD {
        violations.push(violation("message", "the message is over 4096 bytes"));
    }
    if violations.is_empty() { Ok(()) } else { Err(Wrong::Content(violations)) }
}

/// Topics and conditions are FCM's own audiences; nobody has subscribed to any here.
fn check_target(message: &Value, violations: &mut Vec<Violation>) {
    let is_given = |name: &&str| schema::field(message, name).is_some();
    let targets: Vec<_> = ["token", "topic", "condition"].into_iter().filter(is_given).collect();
    if targets != ["token"] {
        let what = "the recipient must be a token, and nothing beside it";
        violations.push(violation("message.token", what));
    }
}

fn check_data(holder: &Value, path: &str, violations: &mut Vec<Violation>) {
    let data = schema::field(holder, "data").and_then(Value::as_object);
    for key in data.into_iter().flat_map(Map::keys) {
        let is_reserved = matches!(key.as_str(), "from" | "message_type")
            || key.starts_with("google.")
            || key.starts_with("gcm.notification.");
        if is_reserved {
            violations.push(violation(path, &format!("\"{key}\" is a reserved data key")));
        }
    }
}

/// The message without its address: what of it goes to the device. How FCM itself counts is not
/// documented to the byte; this counts all of the JSON, which is never less.
fn payload_size(message: &Value) -> usize {
    let mut content = message.clone();
    if let Some(fields) = content.as_object_mut() {
        fields.remove("token");
    }
    content.to_string().len()
}

/// Real tokens are some 160 characters of an instance id, a colon and base64. Short ones are let
/// pass, so that a test can say which device it means.
fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-');
    (1..=1024).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn violation(field: &str, description: &str) -> Violation {
    Violation { field: field.to_owned(), description: description.to_owned() }
}

fn summary(violations: &[Violation]) -> String {
    let descriptions: Vec<_> = violations.iter().map(|violation| violation.description.as_str()).collect();
    descriptions.join("; ")
}
