//! The token endpoint: a service account's signed assertion for an access token.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, PoisonError},
};

use http::{Method, StatusCode};
use rcgen::KeyPair;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::super::{
    jwt::Verifier,
    vendor::{Answer, VendorRequest},
};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Either lets its bearer send messages.
const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/firebase.messaging", "https://www.googleapis.com/auth/cloud-platform"];
const MAX_ASSERTION_LIFE_S: i64 = 3600;
const ACCESS_TOKEN_LIFE_S: i64 = 3599;

pub(super) struct AccessTokens {
    verifier: Verifier,
    client_email: &'static str,
    audience: String,
    /// Tokens with the time, in UNIX milliseconds, at which each expires. Several live at a time.
    live: Mutex<HashMap<String, i64>>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    #[serde(default)]
    scope: String,
}

struct Refusal(&'static str, &'static str);

impl AccessTokens {
    pub(super) fn new(key: &KeyPair, client_email: &'static str, audience: String) -> io::Result<Self> {
        Ok(Self { verifier: Verifier::rs256(key)?, client_email, audience, live: Mutex::default() })
    }

    /// Answers a request for an access token.
    pub(super) fn grant(&self, request: &VendorRequest, now_ms: i64) -> Answer {
        if request.method != Method::POST {
            return Answer::empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        match self.check(request, now_ms) {
            Ok(()) => Answer::json(
                StatusCode::OK,
                &json!({
                    "access_token": self.issue(now_ms),
                    "expires_in": ACCESS_TOKEN_LIFE_S,
                    "token_type": "Bearer",
                }),
            ),
            Err(Refusal(error, description)) => {
                Answer::json(StatusCode::BAD_REQUEST, &json!({ "error": error, "error_description": description }))
            }
        }
    }

    pub(super) fn is_valid(&self, token: Option<&str>, now_ms: i64) -> bool {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let expires_ms = token.and_then(|token| live.get(token));
        expires_ms.is_some_and(|expires_ms| now_ms < *expires_ms)
    }

    fn issue(&self, now_ms: i64) -> String {
        let token = format!("ya29.{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|_, expires_ms| now_ms < *expires_ms);
        live.insert(token.clone(), now_ms + ACCESS_TOKEN_LIFE_S * 1000);
        token
    }

    fn check(&self, request: &VendorRequest, now_ms: i64) -> Result<(), Refusal> {
        let form: HashMap<_, _> = form_urlencoded::parse(&request.body).collect();
        if form.get("grant_type").map(AsRef::as_ref) != Some(GRANT_TYPE) {
            return Err(Refusal("unsupported_grant_type", "grant_type is not known"));
        }
        let assertion = form.get("assertion").ok_or(Refusal("invalid_request", "assertion is missing"))?;
        let (_, claims) = self
            .verifier
            .verify::<Claims>(assertion)
            .ok_or(Refusal("invalid_grant", "the assertion's signature or claims are invalid"))?;
        if claims.iss != self.client_email {
            return Err(Refusal("invalid_grant", "iss names no account"));
        }
        if claims.aud != self.audience {
            return Err(Refusal("invalid_grant", "aud is not this endpoint"));
        }
        let now_s = now_ms.div_euclid(1000);
        let life_s = claims.exp.saturating_sub(claims.iat);
        if claims.iat > now_s || claims.exp <= now_s || life_s > MAX_ASSERTION_LIFE_S {
            return Err(Refusal("invalid_grant", "iat and exp must enclose the present and be an hour apart at most"));
        }
        let mut scopes = claims.scope.split_ascii_whitespace();
        if !scopes.any(|scope| SCOPES.contains(&scope)) {
            return Err(Refusal("invalid_scope", "scope does not allow messaging"));
        }
        Ok(())
    }
}
