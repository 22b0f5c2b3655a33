//! Xiaomi MiPush, its notifications to registration ids.

mod message;

use std::sync::atomic::{AtomicU64, Ordering};

use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use self::message::Wrong;
use super::{
    behaviour::{Behaviour, Failure},
    form,
    vendor::{Answer, Call, Outcome, Protocols, Reply, Vendor, VendorRequest},
};

const PATH: &str = "/v3/message/regid";
const PACKAGE: &str = "com.example.app";
/// "No registration id is valid."
const NONE_VALID: i64 = 20301;

pub(super) struct Xiaomi {
    endpoint: String,
    app_secret: String,
    sent: AtomicU64,
}

impl Xiaomi {
    pub(super) fn new(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), app_secret: Uuid::new_v4().simple().to_string(), sent: AtomicU64::new(0) }
    }
}

impl Vendor for Xiaomi {
    fn channel(&self) -> &'static str {
        "xiaomi"
    }

    fn protocols(&self) -> Protocols {
        Protocols { alpn: &[b"h2", b"http/1.1"], streams: 100, streams_at_first: None, goaway_reason: None }
    }

    fn credentials(&self) -> Value {
        json!({
            "endpoint": self.endpoint,
            "app_secret": self.app_secret,
            "package": PACKAGE,
            "default_channel": "fanfare",
        })
    }

    fn answer(&self, call: &Call<'_>) -> Reply {
        let tokens = form::listed(&call.request.body, "registration_id");
        if call.request.method != Method::POST || call.request.path != PATH {
            return refused(tokens, Answer::empty(StatusCode::NOT_FOUND), false);
        }
        if !self.is_ours(call.request) {
            return refused(tokens, error(21301, "the secret is wrong"), false);
        }
        match message::check(call.request, PACKAGE) {
            Ok(()) => self.bend(call.behaviour, tokens),
            Err(wrong) => refused(tokens, wrong.answer(), true),
        }
    }
}

impl Xiaomi {
    /// The scheme's name must be small.
    fn is_ours(&self, request: &VendorRequest) -> bool {
        let given = request.header(header::AUTHORIZATION.as_str());
        given.and_then(|given| given.strip_prefix("key=")) == Some(self.app_secret.as_str())
    }

    /// What the behaviour makes of a message that is right.
    fn bend(&self, behaviour: &Behaviour, tokens: Vec<String>) -> Reply {
        let names: Vec<&str> = tokens.iter().map(String::as_str).collect();
        if let Some(failure) = behaviour.failure(&names) {
            return refused(tokens, failed(failure), true);
        }
        let dead: Vec<&str> = names.into_iter().filter(|token| behaviour.is_dead(token)).collect();
        if dead.len() == tokens.len() {
            return refused(tokens, error(NONE_VALID, "message was not sent"), true);
        }
        let id = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        let mut data = json!({"id": format!("scm{id:020}"), "day_quota": "1000000", "day_acked": id.to_string()});
        if !dead.is_empty() {
            data["bad_regids"] = dead.join(",").into();
        }
        let info = format!("Received push messages for {} REGID", tokens.len() - dead.len());
        let body = json!({
            "result": "ok", "code": 0, "data": data, "description": "success", "info": info, "trace_id": format!("Xcm{id}"),
        });
        let outcome = |token: &String| Outcome { token: token.clone(), accepted: !behaviour.is_dead(token) };
        Reply {
            answer: Answer::json(StatusCode::OK, &body),
            outcomes: tokens.iter().map(outcome).collect(),
            authenticated: true,
        }
    }
}

impl Wrong {
    fn answer(&self) -> Answer {
        error(self.code(), &self.to_string())
    }
}

/// An answer for all.
fn refused(tokens: Vec<String>, answer: Answer, authenticated: bool) -> Reply {
    let outcomes = tokens.into_iter().map(|token| Outcome { token, accepted: false }).collect();
    Reply { answer, outcomes, authenticated }
}

/// An error that was asked for: in Xiaomi's shape if it has a number, else the status says all.
fn failed(failure: &Failure) -> Answer {
    failure.answer(|reason| match reason.parse() {
        Ok(code) => error(code, "as asked for"),
        Err(_) => Answer::empty(StatusCode::OK),
    })
}

/// What Xiaomi cannot do it says in numbers, under a status of 200. That a message was not sent has one for whatever the
/// reason; ours is always the receivers.
fn error(code: i64, description: &str) -> Answer {
    let reason = if code == NONE_VALID { "No valid targets!" } else { description };
    let body = json!({
        "result": "error", "code": code, "reason": reason, "description": description, "info": "",
        "trace_id": "Xdm0",
    });
    Answer::json(StatusCode::OK, &body)
}
