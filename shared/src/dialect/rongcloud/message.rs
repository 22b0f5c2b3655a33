//! A message: what connected clients of this contract show in a SYSTEM conversation.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::body::text;
use super::form::Form;
use super::names::{not_longer, user};
use super::{Code, Error};
use crate::dialect::field::Field;
use crate::domain::UserId;

/// Longest `content`, in bytes: 128 KB.
const CONTENT_BYTES: usize = 128 * 1024;
/// Longest `objectName`, in bytes.
const NAME_BYTES: usize = 32;
/// How the names of the contract's own kinds of messages begin. Their content is a JSON object, written as a text.
const BUILT_IN: &str = "RC:";

/// A message to be shown in a SYSTEM conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemMessage {
    /// `fromuserid`: the conversation in which receivers see it.
    pub sender: UserId,
    /// What clients get, as the body of a message: `{"objectName":"RC:TxtMsg","content":"{…}"}`, where `content` is a
    /// text as the contract has it, and `"disableUpdateLastMsg":true` if the conversation's last message is to stay.
    pub body: Value,
}

impl SystemMessage {
    /// Reads `fromuserid` and `message` of a request. `None` if there is neither: it is a notification only.
    ///
    /// # Errors
    ///
    /// 1002 for one without the other, and for what is malformed; 1005 for what is too long.
    pub(super) fn read(request: &Field<'_>) -> Result<Option<Self>, Error> {
        let sender = text(request, "fromuserid")?;
        let message = request.member("message");
        if sender.is_none() && message.is_none() {
            return Ok(None);
        }
        let missing = |name: &str| Error::new(Code::Parameter, format!("{name} is missing"));
        let sender = user("fromuserid", sender.ok_or_else(|| missing("fromuserid"))?)?;
        let message = message.ok_or_else(|| missing("message"))?;
        message.members(Code::Parameter)?;
        let required = |name: &str| text(&message, name)?.ok_or_else(|| missing(&format!("message.{name}")));
        let (name, content) = (required("objectName")?, required("content")?);
        let stays = message.member("disableUpdateLastMsg").map_or(Ok(false), |flag| {
            flag.value.as_bool().ok_or_else(|| flag.error(Code::Parameter, "must be true or false"))
        })?;
        Ok(Some(Self { sender, body: body("message.", name, content, stays)? }))
    }

    /// Reads `fromUserId`, `objectName` and `content` of a form.
    ///
    /// # Errors
    ///
    /// The same.
    pub(super) fn of_form(form: &Form) -> Result<Self, Error> {
        let sender = user("fromUserId", form.required("fromUserId")?)?;
        let (name, content) = (form.required("objectName")?, form.required("content")?);
        Ok(Self { sender, body: body("", name, content, form.flag("disableUpdateLastMsg")?)? })
    }
}

fn body(place: &str, name: &str, content: &str, stays: bool) -> Result<Value, Error> {
    let error = |fault: &str| Err(Error::new(Code::Parameter, format!("{place}{fault}")));
    not_longer(&format!("{place}objectName"), name, NAME_BYTES)?;
    if name.chars().any(char::is_control) {
        return error("objectName must not have control characters");
    }
    let content = unescaped(content);
    not_longer(&format!("{place}content"), &content, CONTENT_BYTES)?;
    if name.starts_with(BUILT_IN) && !is_object(&content) {
        return error("content of a built-in type must be a JSON object, written as a string");
    }
    let mut body = json!({"objectName": name, "content": content});
    if stays {
        body["disableUpdateLastMsg"] = true.into();
    }
    Ok(body)
}

/// The SDK for Python writes the content as JSON and escapes it as if it went into a URL. What is an object, a list or a
/// string only when that is undone was escaped; anything else is left as it is.
fn unescaped(content: &str) -> Cow<'_, str> {
    if content.starts_with('%')
        && let Ok(plain) = percent_decode_str(content).decode_utf8()
        && plain.starts_with(['{', '[', '"'])
        && serde_json::from_str::<IgnoredAny>(&plain).is_ok()
    {
        return plain;
    }
    Cow::Borrowed(content)
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"{"content":"a b"}"#;

    fn request() -> Value {
        json!({"fromuserid": "u0", "message": {"objectName": "RC:TxtMsg", "content": TEXT}})
    }

    fn read(request: &Value) -> Result<Option<SystemMessage>, Error> {
        SystemMessage::read(&Field::root(request))
    }

    #[test]
    fn a_message_is_its_kind_and_its_content() {
        let mut request = request();
        let body = json!({"objectName": "RC:TxtMsg", "content": TEXT});
        let message = SystemMessage { sender: UserId::try_from("u0").unwrap(), body: body.clone() };
        assert_eq!(read(&request), Ok(Some(message.clone())));
        request["message"]["disableUpdateLastMsg"] = false.into();
        request["message"]["content"] = "%7B%22content%22%3A%22a%20b%22%7D".into();
        assert_eq!(read(&request), Ok(Some(message.clone())));
        let form =
            b"fromUserId=u0&objectName=RC%3ATxtMsg&content=%7B%22content%22%3A%22a+b%22%7D&disableUpdateLastMsg=false";
        assert_eq!(SystemMessage::of_form(&Form::parse(form).unwrap()), Ok(message));
        request["message"]["disableUpdateLastMsg"] = true.into();
        assert_eq!(read(&request).unwrap().unwrap().body["disableUpdateLastMsg"], true);
        for request in [json!({}), json!({"fromuserid": "", "message": null})] {
            assert_eq!(read(&request), Ok(None));
        }
    }

    #[test]
    fn a_kind_of_the_apps_own_has_any_content() {
        for content in ["hello", "%41", "%7B", "%", "%FF%FF", "100 %"] {
            let mut request = request();
            request["message"] = json!({"objectName": "app:custom", "content": content});
            assert_eq!(read(&request).unwrap().unwrap().body["content"], content);
        }
    }

    #[test]
    fn every_faulty_member_has_its_code_and_its_sentence() {
        let built_in = "message.content of a built-in type must be a JSON object, written as a string";
        let mut long = request();
        long["message"]["content"] = format!("{{\"a\":\"{}\"}}", "x".repeat(CONTENT_BYTES - 8)).into();
        assert!(read(&long).is_ok());
        for (path, value, code, info) in [
            ("/fromuserid", Value::Null, 1002, "fromuserid is missing"),
            ("/fromuserid", json!(5), 1002, "fromuserid must be a string"),
            ("/fromuserid", json!("x".repeat(65)), 1005, "fromuserid must not be longer than 64 bytes"),
            ("/message", Value::Null, 1002, "message is missing"),
            ("/message", json!("hi"), 1002, "message must be an object"),
            ("/message/objectName", Value::Null, 1002, "message.objectName is missing"),
            ("/message/objectName", json!("x".repeat(33)), 1005, "message.objectName must not be longer than 32 bytes"),
            ("/message/objectName", json!("a\nb"), 1002, "message.objectName must not have control characters"),
            ("/message/content", json!(""), 1002, "message.content is missing"),
            ("/message/content", json!({"content": "x"}), 1002, "message.content must be a string"),
            ("/message/content", json!("x"), 1002, built_in),
            ("/message/content", json!("[]"), 1002, built_in),
            (
                "/message/content",
                json!("x".repeat(CONTENT_BYTES + 1)),
                1005,
                "message.content must not be longer than 131072 bytes",
            ),
        ] {
            let mut request = request();
            *request.pointer_mut(path).unwrap() = value;
            let error = read(&request).unwrap_err();
            assert_eq!((error.code.number(), error.info.as_str()), (code, info), "{path}");
        }
        let mut request = request();
        request["message"]["disableUpdateLastMsg"] = json!(1);
        assert_eq!(read(&request).unwrap_err().info, "message.disableUpdateLastMsg must be true or false");
    }

    proptest! {
        #[test]
        fn escaped_or_not_a_content_comes_out_the_same(text in "\\PC{0,40}") {
            let content = json!({ "content": text }).to_string();
            let escaped = percent_encoding::utf8_percent_encode(&content, percent_encoding::NON_ALPHANUMERIC).to_string();
            let plain = |content: String| {
                let request = json!({"fromuserid": "u", "message": {"objectName": "RC:TxtMsg", "content": content}});
                read(&request).unwrap().unwrap().body["content"].clone()
            };
            prop_assert_eq!(plain(escaped), Value::from(content.clone()));
            prop_assert_eq!(plain(content.clone()), Value::from(content));
        }
    }
}
