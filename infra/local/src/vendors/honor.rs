//! Honor Push, its `sendMessage`, and Honor's token endpoint beside it.
//!
//! Honor's table of codes was not to be had: what is refused here is refused with HTTP's own status, in the body as well.

mod message;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use self::message::Message;
use super::{
    behaviour::Behaviour,
    client_credentials::{AccessTokens, Standing, claimed_tokens},
    vendor::{Answer, Call, Outcome, Protocols, Reply, Vendor, VendorRequest},
};

const APP_ID: &str = "104000002";
const CLIENT_ID: &str = "honor-client-01";
const TOKEN_PATH: &str = "/auth/token";
/// Where tokens stand that a message did not reach this time; as an error's reason, that they stand there.
const FAILED: &str = "failTokens";

pub(super) struct Honor {
    endpoint: String,
    access_tokens: AccessTokens,
}

/// Why nothing of a request is sent.
#[derive(Debug)]
enum Refusal {
    /// The path or the method leads nowhere, or to an app that is not here.
    NoSuchPage,
    Unauthenticated,
    Message(String),
}

impl Honor {
    pub(super) fn new(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), access_tokens: AccessTokens::new(CLIENT_ID) }
    }
}

impl Vendor for Honor {
    fn channel(&self) -> &'static str {
        "honor"
    }

    fn protocols(&self) -> Protocols {
        Protocols { alpn: &[b"h2", b"http/1.1"], streams: 100, streams_at_first: None, goaway_reason: None }
    }

    fn credentials(&self) -> Value {
        json!({
            "endpoint": self.endpoint,
            "token_uri": format!("{}{TOKEN_PATH}", self.endpoint),
            "app_id": APP_ID,
            "client_id": CLIENT_ID,
            "client_secret": self.access_tokens.client_secret(),
            "badge_class": "com.example.app.MainActivity",
        })
    }

    fn answer(&self, call: &Call<'_>) -> Reply {
        if call.request.path == TOKEN_PATH {
            let answer = self.access_tokens.grant(call.request, call.now_ms);
            return Reply { answer, outcomes: Vec::new(), authenticated: false };
        }
        match self.judge(call.request, call.now_ms) {
            Ok(message) => bend(call.behaviour, message),
            Err(refusal) => {
                let mut tokens = claimed_tokens(&call.request.body, "/token");
                if tokens.is_empty() {
                    tokens.push(String::new());
                }
                let outcomes = tokens.into_iter().map(|token| Outcome { token, accepted: false }).collect();
                Reply { answer: refusal.answer(), outcomes, authenticated: false }
            }
        }
    }
}

impl Honor {
    fn judge(&self, request: &VendorRequest, now_ms: i64) -> Result<Message, Refusal> {
        if request.method != Method::POST || request.path != format!("/api/v1/{APP_ID}/sendMessage") {
            return Err(Refusal::NoSuchPage);
        }
        if self.access_tokens.standing(request.bearer(), now_ms) != Standing::Valid {
            return Err(Refusal::Unauthenticated);
        }
        message::parse(request).map_err(Refusal::Message)
    }
}

/// What the behaviour makes of a message that is right.
fn bend(behaviour: &Behaviour, message: Message) -> Reply {
    let tokens: Vec<&str> = message.tokens.iter().map(String::as_str).collect();
    let failure = behaviour.failure(&tokens);
    let failed: Vec<&str> = match failure {
        Some(failure) if failure.reason == FAILED => {
            tokens.iter().copied().filter(|token| failure.names(token)).collect()
        }
        _ => Vec::new(),
    };
    let failure = failure.filter(|failure| failure.reason != FAILED);
    let is_expired = |token: &str| !message::is_token(token) || behaviour.is_dead(token);
    let expired: Vec<&str> = tokens.iter().copied().filter(|token| is_expired(token)).collect();
    let answer = match failure {
        Some(failure) => {
            // A number is Honor's code, any other word its message.
            let code = failure.reason.parse().unwrap_or(i64::from(failure.status().as_u16()));
            failure.answer(|reason| told(failure.status(), code, reason, &Value::Null))
        }
        None => {
            let data = json!({
                "sendResult": expired.len() + failed.len() < tokens.len(),
                "requestId": Uuid::new_v4().simple().to_string(),
                (FAILED): failed,
                "expireTokens": expired,
            });
            told(StatusCode::OK, 200, "success", &data)
        }
    };
    let is_sent = failure.is_none() && !message.is_test;
    let accepts = |token: &str| is_sent && !is_expired(token) && !failed.contains(&token);
    let outcome = |token: &str| Outcome { token: token.to_owned(), accepted: accepts(token) };
    Reply { answer, outcomes: tokens.into_iter().map(outcome).collect(), authenticated: true }
}

fn told(status: StatusCode, code: i64, message: &str, data: &Value) -> Answer {
    Answer::json(status, &json!({ "code": code, "message": message, "data": data }))
}

impl Refusal {
    fn answer(&self) -> Answer {
        let (status, message) = match self {
            Self::NoSuchPage => (StatusCode::NOT_FOUND, "not found"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "the access token is not valid"),
            Self::Message(what) => (StatusCode::BAD_REQUEST, what.as_str()),
        };
        told(status, i64::from(status.as_u16()), message, &Value::Null)
    }
}
