//! The body of a request to send, and everything that Huawei refuses about one (Huawei, "Sending messages").

use http::header;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{super::vendor::VendorRequest, Refusal};

const MAX_TOKENS: usize = 1000;
const MAX_PAYLOAD: usize = 4096;
/// 15 days.
const MAX_TTL_S: u32 = 1_296_000;

/// A message with nothing wrong about it but, perhaps, some of its tokens.
#[derive(Debug)]
pub(super) struct Message {
    pub tokens: Vec<String>,
    /// It is checked only, and not delivered.
    pub validate_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    validate_only: bool,
    message: Content,
}

/// Topics and conditions are Huawei's own audiences: nobody has subscribed to any here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    data: Option<String>,
    notification: Option<Words>,
    android: Option<Android>,
    #[serde(default)]
    token: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    title: Option<String>,
    body: Option<String>,
    image: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Android {
    collapse_key: Option<i64>,
    category: Option<String>,
    ttl: Option<String>,
    urgency: Option<String>,
    data: Option<String>,
    notification: Option<Notification>,
    #[serde(rename = "bi_tag")]
    _bi_tag: Option<String>,
    #[serde(rename = "receipt_id")]
    _receipt_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Notification {
    title: Option<String>,
    body: Option<String>,
    image: Option<String>,
    sound: Option<String>,
    default_sound: Option<bool>,
    importance: Option<String>,
    click_action: Option<ClickAction>,
    badge: Option<Badge>,
    style: Option<i64>,
    big_title: Option<String>,
    big_body: Option<String>,
    #[serde(rename = "channel_id")]
    _channel_id: Option<String>,
    #[serde(rename = "notify_id")]
    _notify_id: Option<i32>,
    #[serde(rename = "tag")]
    _tag: Option<String>,
    #[serde(rename = "group")]
    _group: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClickAction {
    r#type: i64,
    intent: Option<String>,
    url: Option<String>,
    action: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Badge {
    add_num: Option<i64>,
    set_num: Option<i64>,
    #[serde(rename = "class")]
    _class: Option<String>,
}

/// Reads the request's message.
pub(super) fn parse(request: &VendorRequest) -> Result<Message, Refusal> {
    let content_type = request.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if !content_type.starts_with("application/json") {
        return Err(wrong("Content-Type must be application/json"));
    }
    let whole: Value = serde_json::from_slice(&request.body).map_err(wrong)?;
    if payload_size(&whole) > MAX_PAYLOAD {
        return Err(Refusal::code("80300008", "the message is over 4096 bytes"));
    }
    let Body { validate_only, message } = serde_json::from_value(whole).map_err(wrong)?;
    if message.token.is_empty() {
        return Err(Refusal::code("80100001", "token is missing"));
    }
    if message.token.len() > MAX_TOKENS {
        return Err(Refusal::code("80300010", "there are more than 1000 tokens"));
    }
    message.check()?;
    Ok(Message { tokens: message.token, validate_only })
}

/// Whether Huawei could have given it out. Real tokens are some 130 characters of base64; short ones are let pass, so that a
/// test can say which device it means.
pub(super) fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:.+/=".contains(&byte);
    (1..=512).contains(&text.len()) && text.bytes().all(is_allowed)
}

impl Content {
    fn check(&self) -> Result<(), Refusal> {
        let android = self.android.as_ref();
        if let Some(android) = android {
            android.check()?;
        }
        let shown = android.and_then(|android| android.notification.as_ref());
        let words = self.notification.as_ref();
        let data = android.and_then(|android| android.data.as_ref()).or(self.data.as_ref());
        if shown.is_none() && words.is_none() {
            return require(data.is_some(), "there is neither a notification nor data");
        }
        let shown = shown.ok_or_else(|| wrong("a notification on Android needs android.notification"))?;
        shown.check(words.unwrap_or(&Words::default()))?;
        // Of a message without notification it may be any text.
        let is_object = |data: &String| serde_json::from_str::<Map<String, Value>>(data).is_ok();
        require(data.is_none_or(is_object), "data beside a notification must be a JSON object")
    }
}

impl Android {
    fn check(&self) -> Result<(), Refusal> {
        if self.ttl.as_deref().is_some_and(|ttl| seconds(ttl).is_none()) {
            return Err(Refusal::code("80100004", "ttl must be 1s to 1296000s"));
        }
        if self.collapse_key.is_some_and(|key| !(-1..=100).contains(&key)) {
            return Err(Refusal::code("80100013", "collapse_key must be -1 to 100"));
        }
        let is_capitals = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        require(self.category.as_deref().is_none_or(is_capitals), "category must be in capitals")?;
        match self.urgency.as_deref() {
            None | Some("NORMAL") => Ok(()),
            Some("HIGH") => Err(Refusal::code("80300011", "no right to send with high urgency")),
            Some(_) => Err(wrong("urgency must be HIGH or NORMAL")),
        }
    }
}

impl Notification {
    /// `words` stand for what is missing here.
    fn check(&self, words: &Words) -> Result<(), Refusal> {
        let is_there = |own: &Option<String>, other: &Option<String>| {
            own.as_ref().or(other.as_ref()).is_some_and(|text| !text.is_empty())
        };
        require(is_there(&self.title, &words.title), "title is missing")?;
        require(is_there(&self.body, &words.body), "body is missing")?;
        let images = [&self.image, &words.image];
        require(images.into_iter().flatten().all(|image| image.starts_with("https://")), "image must be https")?;
        require(self.sound.as_ref().is_none_or(|sound| sound.starts_with("/raw/")), "sound must be below /raw/")?;
        require(self.default_sound != Some(false) || self.sound.is_some(), "default_sound false needs a sound")?;
        match self.importance.as_deref() {
            None | Some("LOW" | "NORMAL") => {}
            Some("HIGH") => return Err(Refusal::code("80300011", "no right to send with high importance")),
            Some(_) => return Err(wrong("importance must be LOW, NORMAL or HIGH")),
        }
        let is_written = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        match self.style {
            None | Some(0) => {}
            Some(1) => require(
                is_written(&self.big_title) && is_written(&self.big_body),
                "style 1 needs big_title and big_body",
            )?,
            Some(_) => return Err(wrong("style must be 0 or 1 here")),
        }
        self.click_action.as_ref().ok_or_else(|| wrong("click_action is missing"))?.check()?;
        self.badge.as_ref().map_or(Ok(()), Badge::check)
    }
}

impl ClickAction {
    fn check(&self) -> Result<(), Refusal> {
        match self.r#type {
            1 => require(self.intent.is_some() || self.action.is_some(), "click_action 1 needs an intent or an action"),
            2 => require(
                self.url.as_ref().is_some_and(|url| url.starts_with("https://")),
                "click_action 2 needs an https url",
            ),
            3 => Ok(()),
            _ => Err(wrong("click_action.type must be 1, 2 or 3")),
        }
    }
}

impl Badge {
    fn check(&self) -> Result<(), Refusal> {
        require(self.add_num.is_none_or(|number| (1..=99).contains(&number)), "badge.add_num must be 1 to 99")?;
        require(self.set_num.is_none_or(|number| (0..=99).contains(&number)), "badge.set_num must be 0 to 99")
    }
}

/// The whole message without its addresses. How Huawei itself counts is not documented to the byte; this counts all of the
/// JSON, which is never less.
fn payload_size(whole: &Value) -> usize {
    let mut content = whole.clone();
    if let Some(message) = content.get_mut("message").and_then(Value::as_object_mut) {
        message.remove("token");
    }
    content.to_string().len()
}

/// The seconds of a TTL, with or without their unit (Huawei's own examples have both).
fn seconds(ttl: &str) -> Option<u32> {
    let digits = ttl.strip_suffix('s').unwrap_or(ttl);
    let seconds = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    (1..=MAX_TTL_S).contains(&seconds).then_some(seconds)
}

fn require(fits: bool, otherwise: &str) -> Result<(), Refusal> {
    if fits { Ok(()) } else { Err(wrong(otherwise)) }
}

/// The message's structure is wrong.
fn wrong(what: impl ToString) -> Refusal {
    Refusal::code("80100003", what.to_string())
}
