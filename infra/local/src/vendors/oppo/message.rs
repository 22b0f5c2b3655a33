//! The messages of a batch of single pushes, and everything that OPPO refuses about one.

use serde_json::{Map, Value};

const MISSING: i64 = 40;
pub(super) const INVALID: i64 = 41;
const LEVEL_WITHOUT_CATEGORY: i64 = 67;

const MAX_MESSAGES: usize = 1_000;
const MAX_PARAMETERS: usize = 4_000;
/// 10 days.
const MAX_TTL_S: i64 = 864_000;

/// A message with nothing wrong about it.
#[derive(Debug)]
pub(super) struct Message {
    pub token: String,
    /// The sender's own id of it.
    pub id: Option<String>,
}

/// What is wrong: OPPO's code, and a few words.
#[derive(Debug)]
pub(super) struct Wrong(pub i64, pub String);

#[derive(Clone, Copy)]
enum Kind {
    /// A text of so many characters at most.
    Text(usize),
    /// A text that is a JSON object.
    Parameters,
    OneOf(&'static [i64]),
    Between(i64, i64),
    Bool,
    /// An object of texts.
    Texts,
}

const ANY_LENGTH: Kind = Kind::Text(usize::MAX);

const MESSAGE: &[(&str, Kind)] =
    &[("target_type", Kind::OneOf(&[2])), ("target_value", ANY_LENGTH), ("verify_registration_id", Kind::Bool)];

/// Pictures, and the style that shows one, are for broadcasts only.
const NOTIFICATION: &[(&str, Kind)] = &[
    ("app_message_id", ANY_LENGTH),
    ("style", Kind::OneOf(&[1, 2])),
    ("title", Kind::Text(50)),
    ("sub_title", Kind::Text(10)),
    ("content", ANY_LENGTH),
    ("click_action_type", Kind::OneOf(&[0, 1, 2, 4, 5])),
    ("click_action_activity", ANY_LENGTH),
    ("click_action_url", ANY_LENGTH),
    ("action_parameters", Kind::Parameters),
    ("off_line", Kind::Bool),
    ("off_line_ttl", Kind::Between(1, MAX_TTL_S)),
    ("channel_id", ANY_LENGTH),
    ("category", ANY_LENGTH),
    ("notify_level", Kind::OneOf(&[1, 2, 16])),
    ("call_back_url", ANY_LENGTH),
    ("private_msg_template_id", ANY_LENGTH),
    ("private_title_parameters", Kind::Texts),
    ("private_content_parameters", Kind::Texts),
];

/// Reads the messages.
pub(super) fn parse(json: Option<&str>) -> Result<Vec<Message>, Wrong> {
    let json = json.ok_or_else(|| Wrong(MISSING, "messages is missing".to_owned()))?;
    let messages: Vec<Map<String, Value>> =
        serde_json::from_str(json).map_err(|_| wrong("messages is no JSON array of objects"))?;
    if !(1..=MAX_MESSAGES).contains(&messages.len()) {
        return Err(wrong("messages has 1 to 1000 elements"));
    }
    messages.into_iter().map(read).collect()
}

/// The registration ids of messages that may be wrong.
pub(super) fn claimed(json: &str) -> Vec<String> {
    let messages: Vec<Value> = serde_json::from_str(json).unwrap_or_default();
    messages.iter().filter_map(|message| message["target_value"].as_str()).map(str::to_owned).collect()
}

/// Whether OPPO could have given it out: real ones are `OPPO_CN_` or the like and 32 digits. Short ones are let pass, so
/// that a test can say which device it means.
pub(super) fn is_registration_id(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn read(mut message: Map<String, Value>) -> Result<Message, Wrong> {
    let notification = match message.remove("notification") {
        Some(Value::Object(notification)) => notification,
        Some(_) => return Err(wrong("notification is no object")),
        None => return Err(missing("notification")),
    };
    check(&message, MESSAGE)?;
    check(&notification, NOTIFICATION)?;
    require(&message, &["target_type", "target_value"])?;
    require(&notification, &["title", "content"])?;
    let most = if notification.get("style") == Some(&Value::from(2)) { 128 } else { 50 };
    if !Kind::Text(most).fits(&notification["content"]) {
        return Err(wrong("content is too long for its style"));
    }
    if notification.contains_key("notify_level") && !notification.contains_key("category") {
        return Err(Wrong(LEVEL_WITHOUT_CATEGORY, "notify_level needs a category".to_owned()));
    }
    let text = |object: &Map<String, Value>, name| object.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(Message { token: text(&message, "target_value").unwrap_or_default(), id: text(&notification, "app_message_id") })
}

/// Every member is known, and what it should be.
fn check(object: &Map<String, Value>, fields: &[(&str, Kind)]) -> Result<(), Wrong> {
    for (name, value) in object {
        let kind = fields.iter().find(|(own, _)| own == name).map(|(_, kind)| kind);
        if !kind.ok_or_else(|| wrong(&format!("{name} is not known")))?.fits(value) {
            return Err(wrong(&format!("{name} is not as it should be")));
        }
    }
    Ok(())
}

fn require(object: &Map<String, Value>, names: &[&str]) -> Result<(), Wrong> {
    let is_there = |name: &str| object.get(name).is_some_and(|value| *value != "");
    names.iter().find(|name| !is_there(name)).map_or(Ok(()), |name| Err(missing(name)))
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text(most) => value.as_str().is_some_and(|text| text.chars().count() <= most),
            Self::Parameters => value.as_str().is_some_and(|text| {
                text.chars().count() <= MAX_PARAMETERS && serde_json::from_str::<Map<String, Value>>(text).is_ok()
            }),
            Self::OneOf(numbers) => value.as_i64().is_some_and(|number| numbers.contains(&number)),
            Self::Between(least, most) => value.as_i64().is_some_and(|number| (least..=most).contains(&number)),
            Self::Bool => value.is_boolean(),
            Self::Texts => value.as_object().is_some_and(|texts| texts.values().all(Value::is_string)),
        }
    }
}

fn wrong(what: &str) -> Wrong {
    Wrong(INVALID, what.to_owned())
}

fn missing(name: &str) -> Wrong {
    Wrong(MISSING, format!("{name} is missing"))
}
