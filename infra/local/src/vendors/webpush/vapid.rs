//! How an app proves itself (RFC 8292).

use std::io;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use p256::{SecretKey, pkcs8::DecodePrivateKey};
use rcgen::KeyPair;
use serde::Deserialize;

use super::{super::jwt::Verifier, Refusal};

const MAX_LIFE_S: i64 = 86_400;

const MISSING: Refusal = Refusal(StatusCode::UNAUTHORIZED, "Authorization with the scheme vapid is missing");
const MALFORMED: Refusal = Refusal(StatusCode::UNAUTHORIZED, "Authorization must be `vapid t=…, k=…`");
const OTHER_KEY: Refusal = Refusal(StatusCode::FORBIDDEN, "the browser subscribed with another key");
const INVALID: Refusal = Refusal(StatusCode::FORBIDDEN, "the token is not signed with the key");
const OTHER_AUDIENCE: Refusal = Refusal(StatusCode::FORBIDDEN, "aud is not this service");
const EXPIRED: Refusal = Refusal(StatusCode::FORBIDDEN, "exp must be within a day from now");
const NO_CONTACT: Refusal = Refusal(StatusCode::FORBIDDEN, "sub must be mailto: or https:");

pub(super) struct Vapid {
    verifier: Verifier,
    /// The key that all browsers here have subscribed with.
    public_key: String,
    origin: String,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    exp: i64,
    #[serde(default)]
    sub: String,
}

impl Vapid {
    pub(super) fn new(key: &KeyPair, origin: &str) -> io::Result<Self> {
        let secret = SecretKey::from_pkcs8_pem(&key.serialize_pem()).map_err(io::Error::other)?;
        Ok(Self {
            verifier: Verifier::es256(key)?,
            public_key: URL_SAFE_NO_PAD.encode(secret.public_key().to_sec1_bytes()),
            origin: origin.to_owned(),
        })
    }

    /// Whether the `Authorization` header is good now.
    pub(super) fn check(&self, authorization: Option<&str>, now_ms: i64) -> Result<(), Refusal> {
        let (token, key) = parts(authorization.ok_or(MISSING)?)?;
        if key != self.public_key {
            return Err(OTHER_KEY);
        }
        let (_, claims) = self.verifier.verify::<Claims>(token).ok_or(INVALID)?;
        let now_s = now_ms.div_euclid(1000);
        if claims.aud != self.origin {
            return Err(OTHER_AUDIENCE);
        }
        if claims.exp <= now_s || claims.exp > now_s + MAX_LIFE_S {
            return Err(EXPIRED);
        }
        if !claims.sub.starts_with("mailto:") && !claims.sub.starts_with("https:") {
            return Err(NO_CONTACT);
        }
        Ok(())
    }
}

/// The token and the key: parameters in either order (RFC 8292, section 3).
fn parts(authorization: &str) -> Result<(&str, &str), Refusal> {
    let (scheme, parameters) = authorization.split_once(' ').ok_or(MISSING)?;
    if !scheme.eq_ignore_ascii_case("vapid") {
        return Err(MISSING);
    }
    let of = |name: &str| {
        let mut values = parameters.split(',').filter_map(|parameter| parameter.trim().split_once('='));
        values.find(|(own, _)| *own == name).map(|(_, value)| value.trim_matches('"'))
    };
    Ok((of("t").ok_or(MALFORMED)?, of("k").ok_or(MALFORMED)?))
}
