//! Meizu Flyme Push, its notifications to push ids.

mod message;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use http::{Method, StatusCode};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    behaviour::Behaviour,
    form::{self, Form},
    vendor::{Answer, Call, Outcome, Protocols, Reply, Vendor, VendorRequest},
};

const PATH: &str = "/garcia/api/server/push/varnished/pushByPushId";
const APP_ID: &str = "110123";
const MAX_TOKENS: usize = 100;
/// What stands beside the push ids of devices that are not subscribed.
const NOT_SUBSCRIBED: &str = "110002";

pub(super) struct Meizu {
    endpoint: String,
    app_secret: String,
    sent: AtomicU64,
}

/// What is wrong with a request: Meizu's number for it, and why.
pub(super) struct Wrong(&'static str, String);

impl Meizu {
    pub(super) fn new(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), app_secret: Uuid::new_v4().simple().to_string(), sent: AtomicU64::new(0) }
    }
}

impl Vendor for Meizu {
    fn channel(&self) -> &'static str {
        "meizu"
    }

    fn protocols(&self) -> Protocols {
        Protocols { alpn: &[b"h2", b"http/1.1"], streams: 100, streams_at_first: None, goaway_reason: None }
    }

    fn credentials(&self) -> Value {
        json!({"endpoint": self.endpoint, "app_id": APP_ID, "app_secret": self.app_secret})
    }

    fn answer(&self, call: &Call<'_>) -> Reply {
        let tokens = form::listed(&call.request.body, "pushIds");
        if call.request.method != Method::POST || call.request.path != PATH {
            return refused(tokens, Answer::empty(StatusCode::NOT_FOUND));
        }
        match self.check(call.request) {
            Ok(()) => self.bend(call.behaviour, tokens),
            Err(Wrong(code, message)) => refused(tokens, error(code, &message)),
        }
    }
}

impl Meizu {
    fn check(&self, request: &VendorRequest) -> Result<(), Wrong> {
        let form = form::read(request).ok_or_else(|| Wrong::parameter("the body is no form, or has a field twice"))?;
        for name in ["appId", "pushIds", "messageJson", "sign"] {
            if form.get(name).is_none_or(String::is_empty) {
                return Err(Wrong("110004", format!("{name} is missing")));
            }
        }
        if form.len() != 4 {
            return Err(Wrong::parameter("there is a field that this call does not have"));
        }
        if form["appId"] != APP_ID {
            return Err(Wrong("110000", "appId is none".to_owned()));
        }
        if form["sign"] != sign(&form, &self.app_secret) {
            return Err(Wrong("1006", "the signature is wrong".to_owned()));
        }
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
        let ids: Vec<&str> = form["pushIds"].split(',').collect();
        if ids.len() > MAX_TOKENS || !ids.iter().all(|id| is_id(id)) {
            return Err(Wrong::parameter("pushIds are 1 to 100 ids"));
        }
        message::check(&form["messageJson"]).map_err(|field| Wrong::parameter(&format!("{field} is wrong")))
    }

    /// What the behaviour makes of a message that is right.
    fn bend(&self, behaviour: &Behaviour, tokens: Vec<String>) -> Reply {
        let names: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let mut failed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let failure = behaviour.failure(&names);
        if let Some(failure) = failure {
            // An error for tokens stands beside them; one for requests stands for all.
            if !names.iter().any(|token| failure.is_for(token)) {
                return refused(tokens, failure.answer(|code| error(code, "as asked for")));
            }
        }
        for &token in &names {
            match failure {
                Some(failure) if failure.is_for(token) => failed.entry(&failure.reason).or_default().push(token),
                _ if behaviour.is_dead(token) => failed.entry(NOT_SUBSCRIBED).or_default().push(token),
                _ => {}
            }
        }
        let has_failed = |token: &str| failed.values().flatten().any(|own| *own == token);
        let outcome = |token: &&str| Outcome { token: (*token).to_owned(), accepted: !has_failed(token) };
        let id = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        let body =
            json!({"code": "200", "message": "", "value": failed, "redirect": "", "msgId": format!("NS{id:030}")});
        Reply {
            answer: Answer::json(StatusCode::OK, &body),
            outcomes: names.iter().map(outcome).collect(),
            authenticated: true,
        }
    }
}

impl Wrong {
    fn parameter(message: &str) -> Self {
        Self("1005", message.to_owned())
    }
}

/// MD5 over all fields but the signature, in the order of their names and before they were encoded, and the secret.
fn sign(form: &Form, secret: &str) -> String {
    let signed = form.iter().filter(|(name, _)| *name != "sign").map(|(name, value)| format!("{name}={value}"));
    let digest = Md5::digest(signed.collect::<String>() + secret);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer for all. Requests carry their own proof: none makes the connection a better one.
fn refused(tokens: Vec<String>, answer: Answer) -> Reply {
    let outcomes = tokens.into_iter().map(|token| Outcome { token, accepted: false }).collect();
    Reply { answer, outcomes, authenticated: false }
}

/// What Meizu cannot do it says in numbers, under a status of 200.
fn error(code: &str, message: &str) -> Answer {
    Answer::json(StatusCode::OK, &json!({"code": code, "message": message, "value": "", "redirect": ""}))
}
