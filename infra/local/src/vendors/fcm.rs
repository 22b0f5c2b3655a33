//! Firebase Cloud Messaging, its HTTP v1 API, and Google's token endpoint beside it.

mod errors;
mod message;
mod oauth;
mod schema;

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use self::{
    errors::{Detail, error},
    message::Message,
    oauth::AccessTokens,
};
use super::{
    behaviour::{Behaviour, Verdict},
    keys::Keys,
    vendor::{Answer, Call, Outcome, Protocols, Reply, Vendor, VendorRequest},
};

const PROJECT_ID: &str = "fanfare-local";
const CLIENT_EMAIL: &str = "push@fanfare-local.iam.gserviceaccount.com";
const TOKEN_PATH: &str = "/token";

pub(super) struct Fcm {
    endpoint: String,
    private_key: String,
    access_tokens: AccessTokens,
    sent: AtomicU64,
}

/// What is wrong with a request to send.
#[derive(Debug)]
enum Refusal {
    /// The path or the method leads nowhere.
    NoSuchPage,
    Unauthenticated,
    NoSuchProject,
    Message(message::Wrong),
}

impl Fcm {
    pub(super) fn new(endpoint: &str, keys: &Keys) -> io::Result<Self> {
        Ok(Self {
            endpoint: endpoint.to_owned(),
            private_key: keys.service_account.serialize_pem(),
            access_tokens: AccessTokens::new(&keys.service_account, CLIENT_EMAIL, format!("{endpoint}{TOKEN_PATH}"))?,
            sent: AtomicU64::new(0),
        })
    }
}

impl Vendor for Fcm {
    fn channel(&self) -> &'static str {
        "fcm"
    }

    fn protocols(&self) -> Protocols {
        Protocols { alpn: &[b"h2", b"http/1.1"], streams: 100, streams_at_first: None, goaway_reason: None }
    }

    fn credentials(&self) -> Value {
        json!({
            "endpoint": self.endpoint,
            "service_account": {
                "project_id": PROJECT_ID,
                "client_email": CLIENT_EMAIL,
                "private_key": self.private_key,
                "token_uri": format!("{}{TOKEN_PATH}", self.endpoint),
            },
        })
    }

    fn answer(&self, call: &Call<'_>) -> Reply {
        if call.request.path == TOKEN_PATH {
            return Reply {
                answer: self.access_tokens.grant(call.request, call.now_ms),
                outcomes: Vec::new(),
                authenticated: false,
            };
        }
        let judged = self.judge(call.request, call.now_ms);
        let token = match &judged {
            Ok(message) => message.token.clone(),
            Err(_) => message::claimed_token(&call.request.body),
        };
        let (accepted, answer) = match judged {
            Ok(message) => self.bend(call.behaviour, &message),
            Err(refusal) => (false, refusal.answer()),
        };
        Reply { answer, outcomes: vec![Outcome { token, accepted }], authenticated: accepted }
    }
}

impl Fcm {
    fn judge(&self, request: &VendorRequest, now_ms: i64) -> Result<Message, Refusal> {
        let project = project(request).ok_or(Refusal::NoSuchPage)?;
        if !self.access_tokens.is_valid(request.bearer(), now_ms) {
            return Err(Refusal::Unauthenticated);
        }
        if project != PROJECT_ID {
            return Err(Refusal::NoSuchProject);
        }
        message::parse(request).map_err(Refusal::Message)
    }

    /// What the behaviour makes of a message that is right.
    fn bend(&self, behaviour: &Behaviour, message: &Message) -> (bool, Answer) {
        match behaviour.verdict(&message.token) {
            Verdict::Deliver => (!message.validate_only, self.accept(message)),
            Verdict::Fail(failure) => (false, failure.answer(|code| errors::fcm_error(failure.status(), code))),
            Verdict::BadToken => (false, errors::fcm_error(StatusCode::FORBIDDEN, "SENDER_ID_MISMATCH")),
            Verdict::Dead(_) => (
                false,
                error(
                    StatusCode::NOT_FOUND,
                    "NOT_FOUND",
                    "Requested entity was not found.",
                    &[Detail::Fcm("UNREGISTERED")],
                ),
            ),
        }
    }

    fn accept(&self, message: &Message) -> Answer {
        let id = if message.validate_only {
            "fake_message_id".to_owned()
        } else {
            let number = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
            format!("0:{number:016}")
        };
        let name = format!("projects/{PROJECT_ID}/messages/{id}");
        Answer::json(StatusCode::OK, &json!({ "name": name }))
    }
}

fn project(request: &VendorRequest) -> Option<&str> {
    if request.method != Method::POST {
        return None;
    }
    let project = request.path.strip_prefix("/v1/projects/")?.strip_suffix("/messages:send")?;
    (!project.is_empty() && !project.contains('/')).then_some(project)
}

impl Refusal {
    fn answer(&self) -> Answer {
        match self {
            // Google's front end answers this one, and not in JSON.
            Self::NoSuchPage => Answer::text(
                StatusCode::NOT_FOUND,
                "text/html; charset=UTF-8",
                "<!DOCTYPE html>\n<html><title>Error 404 (Not Found)</title></html>\n".to_owned(),
            ),
            Self::Unauthenticated => errors::unauthenticated(),
            Self::NoSuchProject => error(StatusCode::NOT_FOUND, "NOT_FOUND", "There is no such project.", &[]),
            Self::Message(wrong) => wrong.answer(),
        }
    }
}
