//! How an app proves itself to the push service of a browser (RFC 8292, VAPID): a JWT for each service, with the key that the
//! browser subscribed with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::SecretKey;
use p256::pkcs8::DecodePrivateKey;
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::channel::by_credential::ByCredential;
use crate::domain::{Timestamp, WebpushCredentials};

/// A token ends twelve hours after the last of these moments, and is so used in its first half only. Services refuse one
/// that ends more than a day from now (RFC 8292, section 2).
const GRID_SECS: i64 = 6 * 3_600;
/// How long after that moment.
const LIFE_SECS: i64 = 12 * 3_600;
/// Tokens for more services than this are not kept at once.
const MAX_KEPT: usize = 1_000;

/// The key of a credential is not one of P-256 in PKCS #8, or its subject is no address.
#[derive(Debug, thiserror::Error)]
#[error("the key or the subject cannot be used")]
pub(super) struct InvalidKey;

/// Signs for one credential.
pub(super) struct Signer {
    key: EncodingKey,
    /// The public key, as browsers take it.
    public: String,
    subject: String,
    /// By origin, with the moment of the grid at which each was made.
    kept: Mutex<HashMap<String, (i64, HeaderValue)>>,
}

/// The order of the members is that of RFC 8292, section 2.4.
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: i64,
    sub: &'a str,
}

impl Signer {
    /// The signer of a credential.
    pub(super) fn of(signers: &ByCredential<Self>, credentials: &WebpushCredentials) -> Result<Arc<Self>, InvalidKey> {
        let parts: [&str; 2] = [&credentials.subject, credentials.private_key.expose_secret()];
        signers.of(&parts, || Self::new(credentials))
    }

    fn new(credentials: &WebpushCredentials) -> Result<Self, InvalidKey> {
        let pem = credentials.private_key.expose_secret().trim();
        let public = SecretKey::from_pkcs8_pem(pem).map_err(|_| InvalidKey)?.public_key().to_sec1_bytes();
        let subject = credentials.subject.clone();
        if !subject.starts_with("mailto:") && !subject.starts_with("https:") {
            return Err(InvalidKey);
        }
        Ok(Self {
            key: EncodingKey::from_ec_pem(pem.as_bytes()).map_err(|_| InvalidKey)?,
            public: URL_SAFE_NO_PAD.encode(public),
            subject,
            kept: Mutex::default(),
        })
    }

    /// The `authorization` header for a push service, marked as sensitive.
    pub(super) fn authorization(&self, origin: &str, now: Timestamp) -> Result<HeaderValue, InvalidKey> {
        let made_at = now.secs() - now.secs().rem_euclid(GRID_SECS);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, header)) = kept.get(origin)
            && *at == made_at
        {
            return Ok(header.clone());
        }
        let mut header = HeaderValue::from_str(&self.sign(origin, made_at + LIFE_SECS)?).map_err(|_| InvalidKey)?;
        header.set_sensitive(true);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(origin.to_owned(), (made_at, header.clone()));
        Ok(header)
    }

    fn sign(&self, origin: &str, exp: i64) -> Result<String, InvalidKey> {
        let claims = Claims { aud: origin, exp, sub: &self.subject };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key).map_err(|_| InvalidKey)?;
        Ok(format!("vapid t={token}, k={}", self.public))
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Verifier;
    use p256::ecdsa::{Signature, VerifyingKey};

    use super::*;
    use crate::channel::webpush::tests::credentials;

    /// RFC 8292, section 2.4, figures 1 and 2.
    const RFC_TOKEN: &str = concat!(
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3",
        "B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1ha",
        "Wx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_H",
        "LGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA",
    );
    const RFC_KEY: &str = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";

    const NOW: Timestamp = Timestamp::from_secs(1_700_006_400); // on the grid

    fn signer() -> Arc<Signer> {
        Signer::of(&ByCredential::default(), &credentials("https://localhost:8443")).unwrap()
    }

    /// The token and the key of a header.
    fn parts(header: &str) -> (&str, &str) {
        header.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap()
    }

    /// Whether the key signed the token.
    fn is_signed(token: &str, key: &str) -> bool {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = VerifyingKey::from_sec1_bytes(&URL_SAFE_NO_PAD.decode(key).unwrap()).unwrap();
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        key.verify(signed.as_bytes(), &signature).is_ok()
    }

    #[test]
    fn what_is_signed_is_byte_for_byte_that_of_rfc_8292() {
        assert!(is_signed(RFC_TOKEN, RFC_KEY), "the RFC's own token is good by the same measure");
        let mut like_the_rfc = credentials("https://localhost:8443");
        like_the_rfc.subject = "mailto:push@example.com".to_owned();
        let signer = Signer::of(&ByCredential::default(), &like_the_rfc).unwrap();
        let header = signer.sign("https://push.example.net", 1_453_523_768).unwrap();
        let (token, key) = parts(&header);
        assert_eq!(token.rsplit_once('.').unwrap().0, RFC_TOKEN.rsplit_once('.').unwrap().0);
        assert!(is_signed(token, key));
        assert!(!is_signed(token, RFC_KEY));
        assert_eq!(key.len(), RFC_KEY.len());
    }

    #[test]
    fn a_token_is_kept_for_its_service_and_ends_within_a_day() {
        let signer = signer();
        let of = |origin: &str, secs: i64| signer.authorization(origin, NOW.plus_secs(secs)).unwrap();
        let first = of("https://a.example", 0);
        assert!(first.is_sensitive());
        assert_eq!(of("https://a.example", GRID_SECS - 1), first);
        assert_ne!(of("https://a.example", GRID_SECS), first);
        assert_ne!(of("https://b.example", 0), first);
        for (now, origin) in [(0, "https://c.example"), (GRID_SECS - 1, "https://d.example")] {
            let header = of(origin, now);
            let (token, _) = parts(header.to_str().unwrap());
            let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
            let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
            let left = claims["exp"].as_i64().unwrap() - NOW.plus_secs(now).secs();
            assert!((GRID_SECS..86_400).contains(&left), "{left}");
            assert_eq!(claims["aud"], origin);
        }
    }

    #[test]
    fn a_key_that_is_none_and_a_subject_that_is_none_are_refused() {
        let right = credentials("https://localhost:8443");
        let signers = ByCredential::default();
        let first = Signer::of(&signers, &right).unwrap();
        assert!(Arc::ptr_eq(&first, &Signer::of(&signers, &right).unwrap()));
        assert!(
            Signer::of(&signers, &WebpushCredentials { private_key: "no key".to_owned().into(), ..right.clone() })
                .is_err()
        );
        assert!(Signer::of(&signers, &WebpushCredentials { subject: "somebody".to_owned(), ..right }).is_err());
    }
}
