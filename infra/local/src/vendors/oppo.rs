//! OPPO Push: access tokens, and the batch of single pushes.

mod message;

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::message::{Message, Wrong};
use super::{
    behaviour::Behaviour,
    day_tokens::{DayTokens, is_timely},
    repetitions::Repetitions,
    vendor::{Answer, Call, Outcome, Protocols, Reply, Vendor, VendorRequest},
};

const AUTH: &str = "/server/v1/auth";
const SEND: &str = "/server/v1/message/notification/unicast_batch";
/// Codes from here on are about one registration id, those below about a request.
const INVALID_REGISTRATION_ID: i64 = 10_000;

pub(super) struct Oppo {
    endpoint: String,
    app_key: String,
    master_secret: String,
    tokens: DayTokens,
    repetitions: Repetitions,
    sent: AtomicU64,
}

type Form = HashMap<String, String>;

impl Oppo {
    pub(super) fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            app_key: Uuid::new_v4().simple().to_string(),
            master_secret: Uuid::new_v4().simple().to_string(),
            tokens: DayTokens::default(),
            repetitions: Repetitions::default(),
            sent: AtomicU64::new(0),
        }
    }
}

impl Vendor for Oppo {
    fn channel(&self) -> &'static str {
        "oppo"
    }

    fn protocols(&self) -> Protocols {
        Protocols { alpn: &[b"h2", b"http/1.1"], streams: 100, streams_at_first: None, goaway_reason: None }
    }

    fn credentials(&self) -> Value {
        json!({
            "endpoint": self.endpoint,
            "app_key": self.app_key,
            "master_secret": self.master_secret,
            "default_title": "Fanfare",
        })
    }

    fn answer(&self, call: &Call<'_>) -> Reply {
        let form = form(call.request);
        match (&call.request.method, call.request.path.as_str()) {
            (&Method::POST, AUTH) => {
                let answer = match self.grant(&form.unwrap_or_default(), call.now_ms) {
                    Ok(token) => told(0, "Success", &json!({ "auth_token": token, "create_time": call.now_ms })),
                    Err(wrong) => wrong.answer(),
                };
                Reply { answer, outcomes: Vec::new(), authenticated: false }
            }
            (&Method::POST, SEND) => match self.judge(call.request, form.as_ref(), call.now_ms) {
                Ok(messages) => self.bend(call.behaviour, &messages),
                Err(wrong) => refused(form.as_ref(), wrong.answer()),
            },
            _ => refused(form.as_ref(), Answer::empty(StatusCode::NOT_FOUND)),
        }
    }
}

impl Oppo {
    /// The numbers are those of OPPO's public return codes, from memory; all that tells them apart for a sender is that
    /// 14 to 19 are faults of its settings.
    fn grant(&self, form: &Form, now_ms: i64) -> Result<String, Wrong> {
        let app_key = form.get("app_key").ok_or(Wrong(15, "Missing App Key".to_owned()))?;
        if *app_key != self.app_key {
            return Err(Wrong(14, "Invalid App Key".to_owned()));
        }
        let timestamp = form.get("timestamp").ok_or(Wrong(18, "Missing Timestamp".to_owned()))?;
        if !timestamp.parse().is_ok_and(|timestamp_ms| is_timely(timestamp_ms, now_ms)) {
            return Err(Wrong(19, "Invalid Timestamp".to_owned()));
        }
        let sign = form.get("sign").ok_or(Wrong(17, "Missing Signature".to_owned()))?;
        let digest = Sha256::digest(format!("{app_key}{timestamp}{}", self.master_secret));
        if *sign != base16ct::lower::encode_string(&digest) {
            return Err(Wrong(16, "Invalid Signature".to_owned()));
        }
        Ok(self.tokens.issue(now_ms))
    }

    fn judge(&self, request: &VendorRequest, form: Option<&Form>, now_ms: i64) -> Result<Vec<Message>, Wrong> {
        let form = form.ok_or(Wrong(message::INVALID, "the body is no form".to_owned()))?;
        let token = form.get("auth_token").map(String::as_str).or_else(|| request.header("auth_token"));
        let token = token.ok_or(Wrong(29, "Missing Auth Token".to_owned()))?;
        if !self.tokens.is_valid(token, now_ms) {
            return Err(Wrong(11, "Invalid Auth Token".to_owned()));
        }
        message::parse(form.get("messages").map(String::as_str))
    }

    /// What the behaviour makes of messages that are right.
    fn bend(&self, behaviour: &Behaviour, messages: &[Message]) -> Reply {
        let tokens: Vec<&str> = messages.iter().map(|message| message.token.as_str()).collect();
        let failure = behaviour.failure(&tokens);
        let code = failure.map(|failure| failure.reason.parse::<i64>().unwrap_or(-1));
        if let (Some(failure), Some(code)) = (failure, code)
            && (failure.whole || code < INVALID_REGISTRATION_ID)
        {
            let answer = failure.answer(|_| told(code, "The vendor answers so.", &Value::Null));
            let outcome = |token: &&str| Outcome { token: (*token).to_owned(), accepted: false };
            let outcomes = tokens.iter().map(outcome).collect();
            return Reply { answer, outcomes, authenticated: true };
        }
        let (mut data, mut outcomes) = (Vec::new(), Vec::new());
        for Message { token, id } in messages {
            let asked_for = code.filter(|_| failure.is_some_and(|failure| failure.names(token)));
            let is_bad = !message::is_registration_id(token) || behaviour.is_dead(token);
            let code = asked_for.or(is_bad.then_some(INVALID_REGISTRATION_ID));
            let message_id = format!("{}-1-1-{:024x}", self.app_key, self.sent.fetch_add(1, Ordering::Relaxed) + 1);
            let before = match (code, id) {
                (None, Some(id)) => self.repetitions.before(id, &message_id),
                _ => None,
            };
            outcomes.push(Outcome { token: token.clone(), accepted: code.is_none() && before.is_none() });
            data.push(match code {
                Some(code) => {
                    json!({ "messageId": message_id, "registrationId": token, "errorCode": code, "errorMessage": "The vendor answers so." })
                }
                None => json!({ "messageId": before.unwrap_or(message_id), "registrationId": token }),
            });
        }
        Reply { answer: told(0, "Success", &data.into()), outcomes, authenticated: true }
    }
}

impl Wrong {
    fn answer(&self) -> Answer {
        told(self.0, &self.1, &Value::Null)
    }
}

/// OPPO says in the body what is wrong.
fn told(code: i64, message: &str, data: &Value) -> Answer {
    let mut body = json!({ "code": code, "message": message });
    if !data.is_null() {
        body["data"] = data.clone();
    }
    Answer::json(StatusCode::OK, &body)
}

/// The same for all whom a request is for, whatever is wrong with it; at least for one, who may have no name.
fn refused(form: Option<&Form>, answer: Answer) -> Reply {
    let mut tokens = form.and_then(|form| form.get("messages")).map_or_else(Vec::new, |json| message::claimed(json));
    if tokens.is_empty() {
        tokens.push(String::new());
    }
    let outcomes = tokens.into_iter().map(|token| Outcome { token, accepted: false }).collect();
    Reply { answer, outcomes, authenticated: false }
}

fn form(request: &VendorRequest) -> Option<Form> {
    let content_type = request.header(header::CONTENT_TYPE.as_str())?;
    let is_form = content_type.starts_with("application/x-www-form-urlencoded");
    is_form.then(|| form_urlencoded::parse(&request.body).into_owned().collect())
}
