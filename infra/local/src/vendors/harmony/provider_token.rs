//! The JWT that a service account signs for itself.

use std::io;

use rcgen::KeyPair;
use serde::Deserialize;

use super::{super::jwt::Verifier, Refusal};

const AUDIENCE: &str = "https://oauth-login.cloud.huawei.com/oauth2/v3/token";
/// A token that lives longer is refused.
const MAX_LIFE_S: i64 = 86_400;

/// Huawei's documents do not say in which case it answers which of the two.
const INVALID: &str = "80200001";
const EXPIRED: &str = "80200005";
const LIVES_TOO_LONG: &str = "80300036";

pub(super) struct ProviderTokens {
    verifier: Verifier,
    key_id: &'static str,
    sub_account: &'static str,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
}

impl ProviderTokens {
    pub(super) fn new(key: &KeyPair, key_id: &'static str, sub_account: &'static str) -> io::Result<Self> {
        Ok(Self { verifier: Verifier::ps256(key)?, key_id, sub_account })
    }

    /// Whether a request's token is good now.
    pub(super) fn check(&self, token: Option<&str>, now_ms: i64) -> Result<(), Refusal> {
        let token = token.ok_or_else(|| Refusal::new(INVALID, "Authorization is missing"))?;
        let (header, claims) = self
            .verifier
            .verify::<Claims>(token)
            .ok_or_else(|| Refusal::new(INVALID, "The signature or the claims are invalid"))?;
        if header.kid.as_deref() != Some(self.key_id) || header.typ.as_deref() != Some("JWT") {
            return Err(Refusal::new(INVALID, "kid names no key, or typ is not JWT"));
        }
        if claims.iss != self.sub_account || claims.aud != AUDIENCE {
            return Err(Refusal::new(INVALID, "iss names no account, or aud is another"));
        }
        let now_s = now_ms.div_euclid(1000);
        if claims.exp.saturating_sub(claims.iat) > MAX_LIFE_S {
            return Err(Refusal::new(LIVES_TOO_LONG, "The token lives longer than a day"));
        }
        if claims.iat > now_s {
            return Err(Refusal::new(INVALID, "The token is from the future"));
        }
        if claims.exp <= now_s {
            return Err(Refusal::new(EXPIRED, "The token has expired"));
        }
        Ok(())
    }
}
