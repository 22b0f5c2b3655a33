//! The body of a request to send, and everything that Huawei refuses about one.

use http::header;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{super::vendor::VendorRequest, Refusal};

const MAX_PAYLOAD: usize = 4096;
const MAX_TOKENS: usize = 1000;
const MAX_TEST_TOKENS: usize = 10;
/// 15 days.
const MAX_TTL_S: i64 = 1_296_000;
const MAX_BADGE: i64 = 99;
const CATEGORIES: &[&str] = &[
    "IM",
    "VOIP",
    "MISS_CALL",
    "SUBSCRIPTION",
    "TRAVEL",
    "HEALTH",
    "WORK",
    "ACCOUNT",
    "EXPRESS",
    "FINANCE",
    "DEVICE_REMINDER",
    "MAIL",
    "MARKETING",
];

/// A message with nothing wrong about it but, maybe, some of its tokens.
#[derive(Debug)]
pub(super) struct Message {
    pub tokens: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    payload: Payload,
    target: Target,
    push_options: Option<Options>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    notification: Notification,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    token: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    ttl: Option<i64>,
    collapse_key: Option<i64>,
    #[serde(default)]
    test_message: bool,
    #[serde(rename = "biTag")]
    _bi_tag: Option<String>,
    #[serde(rename = "receiptId")]
    _receipt_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Notification {
    category: String,
    title: String,
    body: String,
    image: Option<String>,
    click_action: ClickAction,
    badge: Option<Badge>,
    #[serde(rename = "sound")]
    _sound: Option<String>,
    sound_duration: Option<i64>,
    notify_id: Option<i64>,
    app_message_id: Option<String>,
    #[serde(rename = "foregroundShow")]
    _foreground_show: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClickAction {
    action_type: i64,
    #[serde(rename = "data")]
    _data: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Badge {
    add_num: Option<i64>,
    set_num: Option<i64>,
}

/// Reads the request's message.
pub(super) fn parse(request: &VendorRequest) -> Result<Message, Refusal> {
    let bad = |words: &str| Refusal::new("80100001", words);
    if request.header("push-type") != Some("0") {
        return Err(bad("push-type must be 0 for an alert"));
    }
    let content_type = request.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if !content_type.starts_with("application/json") {
        return Err(bad("Content-Type must be application/json"));
    }
    let body: Body =
        serde_json::from_slice(&request.body).map_err(|error| Refusal::new("80100003", error.to_string()))?;
    check_tokens(&body)?;
    if size_without_tokens(&request.body) > MAX_PAYLOAD {
        return Err(Refusal::new("80300008", "The message is over 4096 bytes"));
    }
    check_options(body.push_options.as_ref())?;
    check_notification(&body.payload.notification).map_err(bad)?;
    Ok(Message { tokens: body.target.token })
}

/// The tokens of a message that may be wrong; none if it has none.
pub(super) fn claimed_tokens(body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let tokens = body.pointer("/target/token").and_then(Value::as_array);
    tokens.into_iter().flatten().map(|token| token.as_str().unwrap_or_default().to_owned()).collect()
}

/// Real tokens are some hundred characters of base64. Short ones are let pass, so that a test can say which device it means.
pub(super) fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/' | b'=');
    (1..=512).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn check_tokens(body: &Body) -> Result<(), Refusal> {
    let count = body.target.token.len();
    let is_test = body.push_options.as_ref().is_some_and(|options| options.test_message);
    match count {
        0 => Err(Refusal::new("80100001", "target.token is empty")),
        _ if is_test && count > MAX_TEST_TOKENS => Err(Refusal::new("80300029", "A test message is for 10 at most")),
        _ if count > MAX_TOKENS => Err(Refusal::new("80300010", "More than 1000 tokens")),
        _ => Ok(()),
    }
}

fn check_options(options: Option<&Options>) -> Result<(), Refusal> {
    let Some(options) = options else { return Ok(()) };
    if options.ttl.is_some_and(|ttl| !(1..=MAX_TTL_S).contains(&ttl)) {
        return Err(Refusal::new("80100004", "pushOptions.ttl must be 1 to 1296000"));
    }
    if options.collapse_key.is_some_and(|key| !(-1..=100).contains(&key)) {
        return Err(Refusal::new("80100013", "pushOptions.collapseKey must be -1 to 100"));
    }
    Ok(())
}

fn check_notification(notification: &Notification) -> Result<(), &'static str> {
    let Notification {
        category,
        title,
        body,
        image,
        click_action,
        badge,
        sound_duration,
        notify_id,
        app_message_id,
        ..
    } = notification;
    let badge = badge.as_ref();
    let (added, set) = (badge.and_then(|badge| badge.add_num), badge.and_then(|badge| badge.set_num));
    let is_id_char = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || "+/=-_".contains(c);
    let rules = [
        (CATEGORIES.contains(&category.as_str()), "category is not known"),
        (!title.is_empty() && !body.is_empty(), "title and body must not be empty"),
        (image.as_ref().is_none_or(|image| image.starts_with("https://")), "image must be an https address"),
        (matches!(click_action.action_type, 0 | 1), "clickAction.actionType must be 0 or 1"),
        // Huawei takes both, and only setNum counts: a sender of ours means one.
        (badge.is_none() || added.is_some() != set.is_some(), "badge must have one of addNum and setNum"),
        (added.is_none_or(|number| (1..=MAX_BADGE).contains(&number)), "badge addNum value ranges from 1 to 99"),
        (set.is_none_or(|number| (0..=MAX_BADGE).contains(&number)), "badge setNum value ranges from 0 to 99"),
        (sound_duration.is_none_or(|secs| (1..=60).contains(&secs)), "soundDuration must be 1 to 60"),
        (notify_id.is_none_or(|id| (0..=i64::from(i32::MAX)).contains(&id)), "notifyId must be 0 to 2147483647"),
        (
            app_message_id.as_ref().is_none_or(|id| (1..=64).contains(&id.len()) && id.chars().all(is_id_char)),
            "appMessageId must have 1 to 64 letters, digits, and some marks",
        ),
    ];
    rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(*rule))
}

/// What of a message goes to a device. How Huawei itself counts is not documented to the byte; this counts all of the JSON,
/// which is never less.
fn size_without_tokens(body: &[u8]) -> usize {
    let mut message: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(target) = message.get_mut("target") {
        target["token"] = Value::Array(Vec::new());
    }
    message.to_string().len()
}
