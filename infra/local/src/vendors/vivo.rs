//! vivo Push: access tokens, messages to one device, and saved messages to lists of devices.

mod message;

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{Method, StatusCode};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use uuid::Uuid;

use self::message::{List, Wrong};
use super::{
    behaviour::Behaviour,
    day_tokens::{DayTokens, is_timely},
    repetitions::Repetitions,
    vendor::{Answer, Call, Outcome, Protocols, Reply, Vendor, VendorRequest},
};

const AUTH: &str = "/message/auth";
const SEND: &str = "/message/send";
const SAVE: &str = "/message/saveListPayload";
const SEND_TO_LIST: &str = "/message/pushToList";
const APP_ID: u64 = 10_004;
/// Tokens that an app may ask for in a second.
const GRANTS_A_SECOND: usize = 10;
/// What stands beside a user who does not exist.
const NO_SUCH_USER: i64 = 1;
/// Results from here on are about a request, smaller numbers about a user.
const LEAST_RESULT: i64 = 10_000;
/// Saved messages that are kept: more are not remembered, and then all are forgotten.
const MOST_TASKS: usize = 100_000;

pub(super) struct Vivo {
    endpoint: String,
    app_key: String,
    app_secret: String,
    tokens: DayTokens,
    /// When tokens were asked for in the last second, in UNIX milliseconds.
    asked: Mutex<VecDeque<i64>>,
    /// Saved messages, by their tasks.
    tasks: Mutex<HashSet<String>>,
    repetitions: Repetitions,
    sent: AtomicU64,
}

impl Vivo {
    pub(super) fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            app_key: Uuid::new_v4().to_string(),
            app_secret: Uuid::new_v4().to_string(),
            tokens: DayTokens::default(),
            asked: Mutex::default(),
            tasks: Mutex::default(),
            repetitions: Repetitions::default(),
            sent: AtomicU64::new(0),
        }
    }
}

impl Vendor for Vivo {
    fn channel(&self) -> &'static str {
        "vivo"
    }

    fn protocols(&self) -> Protocols {
        Protocols { alpn: &[b"h2", b"http/1.1"], streams: 100, streams_at_first: None, goaway_reason: None }
    }

    fn credentials(&self) -> Value {
        json!({
            "endpoint": self.endpoint,
            "app_id": APP_ID.to_string(),
            "app_key": self.app_key,
            "app_secret": self.app_secret,
            "default_title": "Fanfare",
        })
    }

    fn answer(&self, call: &Call<'_>) -> Reply {
        let (request, now_ms) = (call.request, call.now_ms);
        if request.method != Method::POST {
            return refused(request, Answer::empty(StatusCode::METHOD_NOT_ALLOWED));
        }
        match request.path.as_str() {
            AUTH => unrecorded(self.grant(request, now_ms)),
            SAVE => unrecorded(self.save(request, now_ms)),
            SEND => {
                let message = self.admit(request, now_ms).and_then(|body| message::to_one(&body, APP_ID));
                message.map_or_else(|wrong| refused(request, wrong.answer()), |list| self.bend(call.behaviour, &list))
            }
            SEND_TO_LIST => {
                let list = self.admit(request, now_ms).and_then(|body| message::to_list(&body, APP_ID));
                let list =
                    list.and_then(|list| if self.knows(&list) { Ok(list) } else { Err(message::no_such_task()) });
                list.map_or_else(|wrong| refused(request, wrong.answer()), |list| self.bend(call.behaviour, &list))
            }
            _ => refused(request, Answer::empty(StatusCode::NOT_FOUND)),
        }
    }
}

impl Vivo {
    fn grant(&self, request: &VendorRequest, now_ms: i64) -> Result<Value, Wrong> {
        let body = message::read(request)?;
        let wrong = |what: &str| Err(message::wrong(what));
        if !message::is_app(&body, APP_ID) || body.get("appKey") != Some(&self.app_key.as_str().into()) {
            return wrong("appId and appKey name no app");
        }
        if self.is_too_often(now_ms) {
            return Err(Wrong(10_072, "too many requests".to_owned()));
        }
        let timestamp = body.get("timestamp").and_then(|value| match value {
            Value::String(text) => text.parse().ok(),
            value => value.as_i64(),
        });
        let Some(timestamp) = timestamp.filter(|timestamp_ms| is_timely(*timestamp_ms, now_ms)) else {
            return wrong("timestamp is not the present");
        };
        let digest = Md5::digest(format!("{APP_ID}{}{timestamp}{}", self.app_key, self.app_secret));
        if body.get("sign") != Some(&base16ct::lower::encode_string(&digest).into()) {
            return wrong("sign is wrong");
        }
        Ok(json!({ "authToken": self.tokens.issue(now_ms) }))
    }

    fn is_too_often(&self, now_ms: i64) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|at_ms| now_ms.saturating_sub(*at_ms) < 1_000);
        if asked.len() >= GRANTS_A_SECOND {
            return true;
        }
        asked.push_back(now_ms);
        false
    }

    /// The body of a request that has a token.
    fn admit(&self, request: &VendorRequest, now_ms: i64) -> Result<message::Body, Wrong> {
        let token = request.header("authToken").unwrap_or_default();
        if !self.tokens.is_valid(token, now_ms) {
            return Err(Wrong(LEAST_RESULT, "authToken is not valid".to_owned()));
        }
        message::read(request)
    }

    fn save(&self, request: &VendorRequest, now_ms: i64) -> Result<Value, Wrong> {
        let body = self.admit(request, now_ms)?;
        message::to_be_saved(&body, APP_ID)?;
        let task = self.task();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.len() >= MOST_TASKS {
            tasks.clear();
        }
        tasks.insert(task.clone());
        Ok(json!({ "taskId": task }))
    }

    fn knows(&self, list: &List) -> bool {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        list.task.as_ref().is_some_and(|task| tasks.contains(task))
    }

    fn task(&self) -> String {
        format!("{APP_ID}{:013}", self.sent.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// What the behaviour makes of a message that is right.
    fn bend(&self, behaviour: &Behaviour, list: &List) -> Reply {
        let tokens: Vec<&str> = list.tokens.iter().map(String::as_str).collect();
        let failure = behaviour.failure(&tokens);
        let number = failure.map(|failure| failure.reason.parse::<i64>().unwrap_or(LEAST_RESULT));
        let outcome = |accepted: bool, token: &str| Outcome { token: token.to_owned(), accepted };
        if let (Some(failure), Some(result)) = (failure, number.filter(|number| *number >= LEAST_RESULT)) {
            let answer = failure.answer(|_| told(result, "The vendor answers so.", json!({})));
            let outcomes = tokens.iter().map(|token| outcome(false, token)).collect();
            return Reply { answer, outcomes, authenticated: true };
        }
        let status = |token: &str| {
            let asked_for = number.filter(|_| failure.is_some_and(|failure| failure.names(token)));
            let is_bad = !message::is_reg_id(token) || behaviour.is_dead(token);
            asked_for.or(is_bad.then_some(NO_SUCH_USER))
        };
        let invalid: Vec<Value> =
            tokens.iter().filter_map(|token| Some(json!({ "userid": token, "status": status(token)? }))).collect();
        // Nobody is left to send to.
        let result = if list.task.is_none() && !invalid.is_empty() { 10_302 } else { 0 };
        let task = list.task.clone().unwrap_or_else(|| self.task());
        let before = if invalid.len() < tokens.len() { self.repetitions.before(&list.request_id, &task) } else { None };
        let outcomes = tokens.iter().map(|token| outcome(before.is_none() && status(token).is_none(), token)).collect();
        let mut more = json!({ "taskId": before.unwrap_or(task), "requestId": list.request_id });
        if !invalid.is_empty() {
            more["invalidUsers"] = invalid.into();
        }
        Reply { answer: told(result, "done", more), outcomes, authenticated: true }
    }
}

impl Wrong {
    fn answer(&self) -> Answer {
        told(self.0, &self.1, json!({}))
    }
}

/// vivo says in the body what is wrong.
fn told(result: i64, desc: &str, mut body: Value) -> Answer {
    body["result"] = result.into();
    body["desc"] = desc.into();
    Answer::json(StatusCode::OK, &body)
}

/// An answer to a request that sends nothing.
fn unrecorded(result: Result<Value, Wrong>) -> Reply {
    let answer = result.map_or_else(|wrong| wrong.answer(), |more| told(0, "done", more));
    Reply { answer, outcomes: Vec::new(), authenticated: false }
}

/// The same for all whom a request is for, whatever is wrong with it; at least for one, who may have no name.
fn refused(request: &VendorRequest, answer: Answer) -> Reply {
    let outcomes = message::claimed(&request.body).into_iter().map(|token| Outcome { token, accepted: false });
    Reply { answer, outcomes: outcomes.collect(), authenticated: false }
}
