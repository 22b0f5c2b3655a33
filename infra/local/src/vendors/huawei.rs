//! Huawei Push Kit, its API v1, and Huawei's token endpoint beside it.

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

const APP_ID: &str = "104000001";
const TOKEN_PATH: &str = "/oauth2/v3/token";

pub(super) struct Huawei {
    endpoint: String,
    access_tokens: AccessTokens,
}

/// Why nothing of a request is sent.
#[derive(Debug)]
enum Refusal {
    /// The path or the method leads nowhere.
    NoSuchPage,
    /// One of Huawei's codes, with a few words.
    Code(&'static str, String),
}

impl Huawei {
    pub(super) fn new(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), access_tokens: AccessTokens::new(APP_ID) }
    }
}

impl Vendor for Huawei {
    fn channel(&self) -> &'static str {
        "huawei"
    }

    fn protocols(&self) -> Protocols {
        Protocols { alpn: &[b"h2", b"http/1.1"], streams: 100, streams_at_first: None, goaway_reason: None }
    }

    fn credentials(&self) -> Value {
        json!({
            "endpoint": self.endpoint,
            "token_uri": format!("{}{TOKEN_PATH}", self.endpoint),
            "app_id": APP_ID,
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
                let mut tokens = claimed_tokens(&call.request.body, "/message/token");
                if tokens.is_empty() {
                    tokens.push(String::new());
                }
                let outcomes = tokens.into_iter().map(|token| Outcome { token, accepted: false }).collect();
                Reply { answer: refusal.answer(), outcomes, authenticated: false }
            }
        }
    }
}

impl Huawei {
    fn judge(&self, request: &VendorRequest, now_ms: i64) -> Result<Message, Refusal> {
        let app_id = app_id(request).ok_or(Refusal::NoSuchPage)?;
        match self.access_tokens.standing(request.bearer(), now_ms) {
            Standing::Valid => {}
            Standing::Expired => return Err(Refusal::code("80200003", "OAuth token expired")),
            Standing::Unknown => return Err(Refusal::code("80200001", "OAuth authentication error")),
        }
        if app_id != APP_ID {
            return Err(Refusal::code("80300002", "the app has no right to send"));
        }
        message::parse(request)
    }
}

fn app_id(request: &VendorRequest) -> Option<&str> {
    if request.method != Method::POST {
        return None;
    }
    let app_id = request.path.strip_prefix("/v1/")?.strip_suffix("/messages:send")?;
    (!app_id.is_empty() && !app_id.contains('/')).then_some(app_id)
}

/// What the behaviour makes of a message that is right.
fn bend(behaviour: &Behaviour, message: Message) -> Reply {
    let tokens: Vec<&str> = message.tokens.iter().map(String::as_str).collect();
    let failure = behaviour.failure(&tokens);
    let is_illegal = |token: &str| !message::is_token(token) || behaviour.is_dead(token);
    let illegal: Vec<&str> = tokens.iter().copied().filter(|token| is_illegal(token)).collect();
    let answer = match failure {
        Some(failure) => failure.answer(|code| told(failure.status(), code, "The vendor answers so.")),
        None if illegal.is_empty() => told(StatusCode::OK, "80000000", "Success"),
        None if illegal.len() == tokens.len() => told(StatusCode::OK, "80300007", "All the tokens are invalid"),
        None => {
            let (success, failure) = (tokens.len() - illegal.len(), illegal.len());
            let partial = json!({ "success": success, "failure": failure, "illegal_tokens": illegal });
            told(StatusCode::OK, "80100000", &partial.to_string())
        }
    };
    let is_sent = failure.is_none() && !message.validate_only;
    let outcome = |token: &str| Outcome { token: token.to_owned(), accepted: is_sent && !is_illegal(token) };
    Reply { answer, outcomes: tokens.into_iter().map(outcome).collect(), authenticated: true }
}

fn told(status: StatusCode, code: &str, msg: &str) -> Answer {
    let request_id = Uuid::new_v4().simple().to_string();
    Answer::json(status, &json!({ "code": code, "msg": msg, "requestId": request_id }))
}

impl Refusal {
    fn code(code: &'static str, msg: impl Into<String>) -> Self {
        Self::Code(code, msg.into())
    }

    fn answer(&self) -> Answer {
        match self {
            Self::NoSuchPage => Answer::empty(StatusCode::NOT_FOUND),
            // Huawei says in the body what is wrong.
            Self::Code(code, msg) => told(StatusCode::OK, code, msg),
        }
    }
}
