//! Huawei's Push Kit for HarmonyOS 5 and later, its v3.

mod message;
mod provider_token;

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use self::{message::Message, provider_token::ProviderTokens};
use super::{
    behaviour::Behaviour,
    keys::Keys,
    vendor::{Answer, Call, Outcome, Protocols, Reply, Vendor, VendorRequest},
};

const PROJECT_ID: &str = "101653523863";
const KEY_ID: &str = "fanfare-local-key";
const SUB_ACCOUNT: &str = "fanfare-local-account";

pub(super) struct Harmony {
    endpoint: String,
    private_key: String,
    provider_tokens: ProviderTokens,
    answered: AtomicU64,
}

/// A result code of Huawei's, with its words.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal(&'static str, String);

impl Refusal {
    fn new(code: &'static str, words: impl Into<String>) -> Self {
        Self(code, words.into())
    }
}

impl Harmony {
    /// Its service account has the same key as Google's: keys take long to make, and are nobody's here.
    pub(super) fn new(endpoint: &str, keys: &Keys) -> io::Result<Self> {
        Ok(Self {
            endpoint: endpoint.to_owned(),
            private_key: keys.service_account.serialize_pem(),
            provider_tokens: ProviderTokens::new(&keys.service_account, KEY_ID, SUB_ACCOUNT)?,
            answered: AtomicU64::new(0),
        })
    }
}

impl Vendor for Harmony {
    fn channel(&self) -> &'static str {
        "harmony"
    }

    fn protocols(&self) -> Protocols {
        Protocols { alpn: &[b"h2", b"http/1.1"], streams: 100, streams_at_first: None, goaway_reason: None }
    }

    fn credentials(&self) -> Value {
        json!({
            "endpoint": self.endpoint,
            "project_id": PROJECT_ID,
            "key_id": KEY_ID,
            "sub_account": SUB_ACCOUNT,
            "private_key": self.private_key,
        })
    }

    fn answer(&self, call: &Call<'_>) -> Reply {
        if call.request.method != Method::POST || call.request.path != format!("/v3/{PROJECT_ID}/messages:send") {
            let answer = Answer::empty(StatusCode::NOT_FOUND);
            return Reply {
                answer,
                outcomes: refused(message::claimed_tokens(&call.request.body)),
                authenticated: false,
            };
        }
        match self.judge(call.request, call.now_ms) {
            Ok(message) => self.bend(call.behaviour, message),
            Err(Refusal(code, words)) => Reply {
                answer: self.result(refusal_status(code), code, &words),
                outcomes: refused(message::claimed_tokens(&call.request.body)),
                authenticated: false,
            },
        }
    }
}

impl Harmony {
    fn judge(&self, request: &VendorRequest, now_ms: i64) -> Result<Message, Refusal> {
        self.provider_tokens.check(request.bearer(), now_ms)?;
        message::parse(request)
    }

    /// What the behaviour makes of a message that is right.
    fn bend(&self, behaviour: &Behaviour, message: Message) -> Reply {
        let tokens: Vec<&str> = message.tokens.iter().map(String::as_str).collect();
        let failure = behaviour.failure(&tokens);
        // A number is a code of the whole request, a word the reason of tokens.
        let is_reason = |reason: &str| !reason.is_empty() && reason.bytes().all(|byte| byte.is_ascii_alphabetic());
        if let Some(failure) = failure.filter(|failure| !is_reason(&failure.reason)) {
            let answer = failure.answer(|code| self.result(failure.status(), code, "As the sandbox was told"));
            return Reply { answer, outcomes: refused(message.tokens), authenticated: true };
        }
        let reason = failure.map_or("tokenFormatError", |failure| &failure.reason);
        let is_named = |token: &str| failure.is_some_and(|failure| failure.names(token));
        let is_bad = |token: &String| is_named(token) || behaviour.is_dead(token) || !message::is_token(token);
        let bad: Vec<&String> = message.tokens.iter().filter(|token| is_bad(token)).collect();
        let mut illegal = json!({"illegalTokens": {reason: bad}, "failure": bad.len()});
        let answer = match (bad.len(), message.tokens.len() - bad.len()) {
            (0, _) => self.result(StatusCode::OK, "80000000", "Success"),
            (_, 0) => self.result(refusal_status("80300007"), "80300007", &illegal.to_string()),
            (_, good) => {
                illegal["success"] = good.into();
                self.result(StatusCode::OK, "80100000", &illegal.to_string())
            }
        };
        let outcomes = message.tokens.iter().map(|token| Outcome { token: token.clone(), accepted: !is_bad(token) });
        Reply { answer, outcomes: outcomes.collect(), authenticated: true }
    }

    fn result(&self, status: StatusCode, code: &str, msg: &str) -> Answer {
        let number = self.answered.fetch_add(1, Ordering::Relaxed) + 1;
        Answer::json(status, &json!({"code": code, "msg": msg, "requestId": format!("{number:016}")}))
    }
}

/// The status that stands beside a result code: a wrong provider token is 401, whatever else is wrong 400.
fn refusal_status(code: &str) -> StatusCode {
    if code.starts_with("802") { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST }
}

fn refused(tokens: Vec<String>) -> Vec<Outcome> {
    tokens.into_iter().map(|token| Outcome { token, accepted: false }).collect()
}
