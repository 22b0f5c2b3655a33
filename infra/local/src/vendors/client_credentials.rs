//! Access tokens for an id and a secret: OAuth's client credentials (RFC 6749, section 4.4), as Huawei and Honor have
//! them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::vendor::{Answer, VendorRequest};

const LIFE_S: i64 = 3600;

pub(super) struct AccessTokens {
    client_id: &'static str,
    client_secret: String,
    /// Tokens with the time, in UNIX milliseconds, at which each expires. Several live at a time.
    live: Mutex<HashMap<String, i64>>,
}

/// Whether a token lets its bearer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Valid,
    Expired,
    /// Never given out, or expired so long ago that nobody remembers it.
    Unknown,
}

impl AccessTokens {
    /// For a client with a secret that is made here.
    pub(super) fn new(client_id: &'static str) -> Self {
        Self { client_id, client_secret: Uuid::new_v4().simple().to_string(), live: Mutex::default() }
    }

    pub(super) fn client_secret(&self) -> &str {
        &self.client_secret
    }

    /// Answers a request for an access token.
    pub(super) fn grant(&self, request: &VendorRequest, now_ms: i64) -> Answer {
        if request.method != Method::POST {
            return Answer::empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        match self.check(request) {
            Ok(()) => {
                let grant = json!({ "access_token": self.issue(now_ms), "expires_in": LIFE_S, "token_type": "Bearer" });
                // As Huawei writes it: what reads this without a JSON parser stumbles.
                let escaped = grant.to_string().replace('/', "\\/");
                Answer::text(StatusCode::OK, "application/json; charset=UTF-8", escaped)
            }
            Err((status, error)) => Answer::json(status, &json!({ "error": error, "sub_error": 0 })),
        }
    }

    pub(super) fn standing(&self, token: Option<&str>, now_ms: i64) -> Standing {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        match token.and_then(|token| live.get(token)) {
            Some(expires_ms) if now_ms < *expires_ms => Standing::Valid,
            Some(_) => Standing::Expired,
            None => Standing::Unknown,
        }
    }

    fn issue(&self, now_ms: i64) -> String {
        let token = format!("DgE{}/{}==", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|_, expires_ms| now_ms < *expires_ms + LIFE_S * 1000);
        live.insert(token.clone(), now_ms + LIFE_S * 1000);
        token
    }

    fn check(&self, request: &VendorRequest) -> Result<(), (StatusCode, &'static str)> {
        let content_type = request.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        if !content_type.starts_with("application/x-www-form-urlencoded") {
            return Err((StatusCode::BAD_REQUEST, "invalid_request"));
        }
        let form: HashMap<_, _> = form_urlencoded::parse(&request.body).collect();
        let given = |name: &str| form.get(name).map(AsRef::as_ref);
        if given("grant_type") != Some("client_credentials") {
            return Err((StatusCode::BAD_REQUEST, "unsupported_grant_type"));
        }
        let is_client = given("client_id") == Some(self.client_id);
        if is_client && given("client_secret") == Some(&self.client_secret) {
            Ok(())
        } else {
            Err((StatusCode::UNAUTHORIZED, "invalid_client"))
        }
    }
}

/// The tokens that a body names at `pointer`, whatever else is wrong with it.
pub(super) fn claimed_tokens(body: &[u8], pointer: &str) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let tokens = body.pointer(pointer).and_then(Value::as_array);
    tokens.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
