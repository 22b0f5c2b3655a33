//! `/message/broadcast/recall.json`, and its older form in `/message/broadcast.json`: a message that is withdrawn.

use serde_json::{Value, json};

use super::body::text;
use super::form::Form;
use super::names::user;
use super::{Code, Error};
use crate::dialect::field::Field;
use crate::domain::{PushId, UserId};

/// The kind of message that withdraws another ("Recall command message").
const RECALL_COMMAND: &str = "RC:RcCmd";

/// A message that is to be withdrawn: one of `/message/broadcast.json`, or of `/push.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// Its sender, as it was sent.
    pub sender: UserId,
    /// Which it is. A `messageUID` is the id of the push.
    pub message: PushId,
    /// Whether clients are to show that an administrator withdrew it.
    pub by_admin: bool,
    /// Whether clients are to delete it, and not to show that it was withdrawn.
    pub deletes: bool,
    /// The caller's own data, for clients.
    pub extra: Option<String>,
    /// Whether the conversation's last message is to stay.
    pub keeps_last: bool,
}

impl Recall {
    /// Reads the form: `fromUserId`, `messageUID`, and optionally `isAdmin`, `isDelete`, `extra` and
    /// `disableUpdateLastMsg`. `sentTime` may be anything: the message is known by its id. The answer to it is
    /// [`Reply::ok`](super::Reply::ok).
    ///
    /// # Errors
    ///
    /// 1003 for no body, 1005 for a user id that is too long, 1002 for what is missing or malformed. Among these is a
    /// `messageUID` that cannot be one of ours.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let form = Form::parse(bytes)?;
        Ok(Self {
            sender: user("fromUserId", form.required("fromUserId")?)?,
            message: message("messageUID", form.required("messageUID")?)?,
            by_admin: form.flag("isAdmin")?,
            deletes: form.flag("isDelete")?,
            extra: form.get("extra").map(str::to_owned),
            keeps_last: form.flag("disableUpdateLastMsg")?,
        })
    }

    /// Reads the form of a `/message/broadcast.json` that withdraws a message, as the SDKs for Go and PHP send it: a
    /// message of the kind `RC:RcCmd`, whose `content` is the JSON `{"messageUId","conversationType","isAdmin","isDelete"}`.
    /// `None` if it is a message of another kind. It is answered as a message is.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn of_broadcast(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let form = Form::parse(bytes)?;
        if form.get("objectName") != Some(RECALL_COMMAND) {
            return Ok(None);
        }
        let sender = user("fromUserId", form.required("fromUserId")?)?;
        let json = serde_json::from_str(form.required("content")?).ok().filter(Value::is_object);
        let fault = "content of a recall command must be a JSON object, written as a string";
        let json = json.ok_or_else(|| Error::new(Code::Parameter, fault))?;
        let content = Field { path: "content".to_owned(), value: &json };
        // The example of the SDK for PHP calls it `uId`.
        let (place, id) = match (text(&content, "messageUId")?, text(&content, "uId")?) {
            (Some(id), _) => ("content.messageUId", id),
            (None, Some(id)) => ("content.uId", id),
            (None, None) => return Err(Error::new(Code::Parameter, "content.messageUId is missing")),
        };
        Ok(Some(Self {
            sender,
            message: message(place, id)?,
            by_admin: flag(&content, "isAdmin")?,
            deletes: flag(&content, "isDelete")?,
            extra: text(&content, "extra")?.map(str::to_owned),
            keeps_last: form.flag("disableUpdateLastMsg")?,
        }))
    }

    /// What clients get with the id of the withdrawn message: `{"isAdmin":0,"isDelete":0}`, and if they were given
    /// `"extra":"…"` and `"disableUpdateLastMsg":true`.
    pub fn body(&self) -> Value {
        let mut body = json!({"isAdmin": u8::from(self.by_admin), "isDelete": u8::from(self.deletes)});
        if let Some(extra) = &self.extra {
            body["extra"] = extra.as_str().into();
        }
        if self.keeps_last {
            body["disableUpdateLastMsg"] = true.into();
        }
        body
    }

    /// The answer to a `messageUID` of what is not there, was never a message that can be withdrawn, is another sender's,
    /// or is past its lifetime: which of these, only its sender need know.
    pub fn unknown_message() -> Error {
        Error::new(Code::Parameter, "messageUID is that of no message of this sender that can still be recalled")
    }
}

fn message(place: &str, text: &str) -> Result<PushId, Error> {
    let id = PushId::try_from(text.to_owned());
    id.map_err(|_| Error::new(Code::Parameter, format!("{place} is that of no message")))
}

/// 0 or 1: a number in one version of the SDK for Go, true or false in another, a text in that for PHP.
fn flag(content: &Field<'_>, name: &str) -> Result<bool, Error> {
    match content.member(name).as_ref().map(|flag| (flag, flag.value)) {
        None => Ok(false),
        Some((_, Value::Bool(flag))) => Ok(*flag),
        Some((_, Value::String(text))) if text == "0" => Ok(false),
        Some((_, Value::String(text))) if text == "1" => Ok(true),
        Some((_, Value::Number(_))) => content.flag(name, Code::Parameter),
        Some((flag, _)) => Err(flag.error(Code::Parameter, "must be 0 or 1")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> PushId {
        PushId::from_u128(7)
    }

    fn older(content: &str) -> Result<Option<Recall>, Error> {
        let fields = [("fromUserId", "u0"), ("objectName", RECALL_COMMAND), ("content", content)];
        let form: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Recall::of_broadcast(form.as_bytes())
    }

    #[test]
    fn a_recall_names_a_sender_and_a_message() {
        let recall = |more: &str| Recall::parse(format!("fromUserId=u0&messageUID={}{more}", id()).as_bytes());
        let plain = recall("").unwrap();
        assert_eq!((plain.sender.as_str(), plain.message), ("u0", id()));
        assert!(!plain.by_admin && !plain.deletes && !plain.keeps_last && plain.extra.is_none());
        assert_eq!(plain.body(), json!({"isAdmin": 0, "isDelete": 0}));
        let full = recall("&sentTime=1700000000123&isAdmin=1&isDelete=1&extra=e&disableUpdateLastMsg=true").unwrap();
        let body = json!({"isAdmin": 1, "isDelete": 1, "extra": "e", "disableUpdateLastMsg": true});
        assert_eq!(full.body(), body);
        for anything in ["", "now", "-1", "1700000000.5"] {
            assert_eq!(recall(&format!("&sentTime={anything}")), Ok(plain.clone()));
        }
        for (more, info) in [("&isAdmin=yes", "isAdmin must be 0 or 1"), ("&isDelete=2", "isDelete must be 0 or 1")] {
            assert_eq!(recall(more).unwrap_err(), Error::new(Code::Parameter, info));
        }
        for (form, info) in [
            ("messageUID=x", "fromUserId is missing"),
            ("fromUserId=u", "messageUID is missing"),
            ("fromUserId=u&messageUID=5FGT-7VA9-G4DD-4V5P", "messageUID is that of no message"),
        ] {
            assert_eq!(Recall::parse(form.as_bytes()).unwrap_err(), Error::new(Code::Parameter, info));
        }
        assert_eq!(Recall::parse(b"").unwrap_err().code, Code::NoBody);
    }

    #[test]
    fn the_older_form_says_the_same_in_every_spelling_of_the_sdks() {
        let id = id();
        for (content, by_admin) in [
            (json!({"messageUId": id, "conversationType": 6, "isAdmin": 0, "isDelete": 0}), false),
            (json!({"messageUId": id, "conversationType": 6, "isAdmin": true, "isDelete": false}), true),
            (json!({"uId": id, "isAdmin": "1", "isDelete": "0"}), true),
            (json!({"messageUId": id, "isAdmin": null}), false),
        ] {
            let recall = older(&content.to_string()).unwrap().unwrap();
            assert_eq!((recall.sender.as_str(), recall.message, recall.by_admin), ("u0", id, by_admin), "{content}");
            assert!(!recall.deletes);
        }
        assert_eq!(Recall::of_broadcast(b"fromUserId=u&objectName=RC:TxtMsg&content=%7B%7D"), Ok(None));
    }

    #[test]
    fn a_faulty_one_of_the_older_form_has_its_sentence() {
        let id = id();
        for (content, info) in [
            ("x".to_owned(), "content of a recall command must be a JSON object, written as a string"),
            ("[]".to_owned(), "content of a recall command must be a JSON object, written as a string"),
            ("{}".to_owned(), "content.messageUId is missing"),
            (json!({"messageUId": 5}).to_string(), "content.messageUId must be a string"),
            (json!({"messageUId": "BC52-ESJ0-022O-001H"}).to_string(), "content.messageUId is that of no message"),
            (json!({"messageUId": id, "isAdmin": 2}).to_string(), "content.isAdmin must be 0 or 1"),
            (json!({"messageUId": id, "isDelete": "yes"}).to_string(), "content.isDelete must be 0 or 1"),
            (json!({"messageUId": id, "isDelete": []}).to_string(), "content.isDelete must be 0 or 1"),
        ] {
            assert_eq!(older(&content).unwrap_err(), Error::new(Code::Parameter, info), "{content}");
        }
    }

    proptest! {
        #[test]
        fn any_form_is_read_or_refused(form in "([a-zA-Z]{0,9}=[ -~]{0,20}&){0,5}", content in "[ -~]{0,30}") {
            let _ = Recall::parse(form.as_bytes());
            let _ = Recall::of_broadcast(format!("{form}objectName=RC:RcCmd&content={content}").as_bytes());
        }
    }
}
