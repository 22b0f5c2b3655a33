//! A request to send, and what is wrong with one: the members that Honor's examples and two client libraries have, with
//! Huawei's limits where Honor's are not known.

use http::header;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::vendor::VendorRequest;

/// Not Honor's word: its documents say none.
const MAX_TOKENS: usize = 1000;
/// Not Honor's word either.
const MAX_PAYLOAD: usize = 4096;
/// 15 days.
const MAX_TTL_S: u32 = 1_296_000;

/// A message with nothing wrong about it but, perhaps, some of its tokens.
#[derive(Debug)]
pub(super) struct Message {
    pub tokens: Vec<String>,
    /// It is not for real devices.
    pub is_test: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    data: Option<String>,
    notification: Option<Words>,
    android: Option<Android>,
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
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Android {
    ttl: Option<String>,
    target_user_type: Option<i64>,
    data: Option<String>,
    notification: Option<Notification>,
    #[serde(rename = "biTag")]
    _bi_tag: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Notification {
    title: Option<String>,
    body: Option<String>,
    image: Option<String>,
    importance: Option<String>,
    click_action: Option<ClickAction>,
    badge: Option<Badge>,
    style: Option<i64>,
    big_title: Option<String>,
    big_body: Option<String>,
    #[serde(rename = "notifyId")]
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
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Badge {
    add_num: Option<i64>,
    set_num: Option<i64>,
    #[serde(rename = "badgeClass")]
    _badge_class: Option<String>,
}

/// Reads the request's message; else says what is wrong with it.
pub(super) fn parse(request: &VendorRequest) -> Result<Message, String> {
    let content_type = request.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    require(content_type.starts_with("application/json"), "Content-Type must be application/json")?;
    // Milliseconds have 13 digits until the year 2286.
    let timestamp = request.header("timestamp").unwrap_or_default();
    let is_millis = timestamp.len() == 13 && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    require(is_millis, "the header timestamp must be the time in milliseconds")?;
    let whole: Value = serde_json::from_slice(&request.body).map_err(|error| error.to_string())?;
    require(payload_size(&whole) <= MAX_PAYLOAD, "the message is over 4096 bytes")?;
    let body: Body = serde_json::from_value(whole).map_err(|error| error.to_string())?;
    require((1..=MAX_TOKENS).contains(&body.token.len()), "there must be 1 to 1000 tokens")?;
    body.check()?;
    let is_test = body.android.is_some_and(|android| android.target_user_type == Some(1));
    Ok(Message { tokens: body.token, is_test })
}

/// Whether it is of the form of Honor's tokens, as far as that is known. Short ones are let pass, so that a test can say
/// which device it means.
pub(super) fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:.+/=".contains(&byte);
    (1..=512).contains(&text.len()) && text.bytes().all(is_allowed)
}

impl Body {
    fn check(&self) -> Result<(), String> {
        let android = self.android.as_ref();
        if let Some(android) = android {
            require(android.ttl.as_deref().is_none_or(is_ttl), "ttl must be 1s to 1296000s")?;
            require(matches!(android.target_user_type, None | Some(0 | 1)), "targetUserType must be 0 or 1")?;
        }
        let shown = android.and_then(|android| android.notification.as_ref());
        let words = self.notification.as_ref();
        let data = android.and_then(|android| android.data.as_ref()).or(self.data.as_ref());
        if shown.is_none() && words.is_none() {
            return require(data.is_some(), "there is neither a notification nor data");
        }
        shown.ok_or("a notification needs android.notification")?.check(words.unwrap_or(&Words::default()))?;
        // Of a message without notification it may be any text.
        let is_object = |data: &String| serde_json::from_str::<Map<String, Value>>(data).is_ok();
        require(data.is_none_or(is_object), "data beside a notification must be a JSON object")
    }
}

impl Notification {
    /// `words` stand for what is missing here.
    fn check(&self, words: &Words) -> Result<(), String> {
        let is_there = |own: &Option<String>, other: &Option<String>| {
            own.as_ref().or(other.as_ref()).is_some_and(|text| !text.is_empty())
        };
        require(is_there(&self.title, &words.title), "title is missing")?;
        require(is_there(&self.body, &words.body), "body is missing")?;
        let images = [&self.image, &words.image];
        require(images.into_iter().flatten().all(|image| image.starts_with("https://")), "image must be https")?;
        let importance = self.importance.as_deref();
        require(matches!(importance, None | Some("LOW" | "NORMAL")), "importance must be LOW or NORMAL")?;
        let is_written = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let is_unfolded = is_written(&self.big_title) && is_written(&self.big_body);
        require(
            matches!(self.style, None | Some(0)) || self.style == Some(1) && is_unfolded,
            "style must be 0 or 1; 1 needs bigTitle and bigBody",
        )?;
        self.click_action.as_ref().ok_or("clickAction is missing")?.check()?;
        self.badge.as_ref().map_or(Ok(()), Badge::check)
    }
}

impl ClickAction {
    fn check(&self) -> Result<(), String> {
        let fits = match self.r#type {
            1 => self.intent.is_some() || self.action.is_some(),
            2 => self.url.as_ref().is_some_and(|url| url.starts_with("https://")),
            3 => true,
            _ => false,
        };
        require(fits, "clickAction must be 1 with an intent or an action, 2 with an https url, or 3")
    }
}

impl Badge {
    fn check(&self) -> Result<(), String> {
        require(self.add_num.is_none_or(|number| (1..=99).contains(&number)), "badge.addNum must be 1 to 99")?;
        require(self.set_num.is_none_or(|number| (0..=99).contains(&number)), "badge.setNum must be 0 to 99")
    }
}

/// The whole message without its addresses.
fn payload_size(whole: &Value) -> usize {
    let mut content = whole.clone();
    if let Some(message) = content.as_object_mut() {
        message.remove("token");
    }
    content.to_string().len()
}

fn is_ttl(ttl: &str) -> bool {
    let digits = ttl.strip_suffix('s').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds = digits.and_then(|digits| digits.parse::<u32>().ok());
    seconds.is_some_and(|seconds| (1..=MAX_TTL_S).contains(&seconds))
}

fn require(fits: bool, otherwise: &str) -> Result<(), String> {
    if fits { Ok(()) } else { Err(otherwise.to_owned()) }
}
