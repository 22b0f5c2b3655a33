//! The provider token.
//!
//! Apple wants a team to make a new one at most every 20 minutes, and to use none older than an hour, while we have any
//! number of environments that share nothing. So each makes the same one: the moment of issue is rounded down to a grid
//! of 40 minutes, and the signature (RFC 6979) has no randomness. No store, no refresher, no call to wait for.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::channel::by_credential::ByCredential;
use crate::domain::{ApnsCredentials, Timestamp};

/// Twice what Apple forbids to fall short of, and twenty minutes less than what it refuses.
const GRID_SECS: i64 = 40 * 60;

/// The key of a credential is not one of P-256 in PKCS #8, or its ids are not plain text.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot be used")]
pub(super) struct InvalidKey;

/// What a request is authorized with.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ProviderToken(HeaderValue);

impl ProviderToken {
    /// The `authorization` header, marked as sensitive.
    pub(super) fn header(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Debug for ProviderToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderToken(…)")
    }
}

/// Makes the provider tokens of one credential.
pub(super) struct Signer {
    key: SigningKey,
    team_id: String,
    key_id: String,
    latest: Mutex<Option<(i64, ProviderToken)>>,
}

impl Signer {
    /// The signer of a credential.
    pub(super) fn of(signers: &ByCredential<Self>, credentials: &ApnsCredentials) -> Result<Arc<Self>, InvalidKey> {
        let parts: [&str; 3] = [&credentials.team_id, &credentials.key_id, credentials.private_key.expose_secret()];
        signers.of(&parts, || Self::new(credentials))
    }

    fn new(credentials: &ApnsCredentials) -> Result<Self, InvalidKey> {
        let ApnsCredentials { team_id, key_id, private_key, .. } = credentials;
        Ok(Self {
            key: signing_key(private_key)?,
            team_id: team_id.clone(),
            key_id: key_id.clone(),
            latest: Mutex::new(None),
        })
    }

    /// The one token of the present 40 minutes.
    pub(super) fn token(&self, now: Timestamp) -> ProviderToken {
        let issued_at = now.secs() - now.secs().rem_euclid(GRID_SECS);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some((at, token)) if *at == issued_at => token.clone(),
            _ => latest.insert((issued_at, self.mint(issued_at))).1.clone(),
        }
    }

    fn mint(&self, issued_at: i64) -> ProviderToken {
        let header = part(&Header { alg: "ES256", kid: &self.key_id });
        let claims = part(&Claims { iss: &self.team_id, iat: issued_at });
        let signature: Signature = self.key.sign(format!("{header}.{claims}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
        let mut value = HeaderValue::from_str(&format!("bearer {header}.{claims}.{signature}"))
            .expect("letters, digits and dots make a header");
        value.set_sensitive(true);
        ProviderToken(value)
    }
}

/// The order of the members is part of the token: it must not change from one build to the next.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
}

fn part(json: &impl Serialize) -> String {
    // Strings and a number: nothing here can fail to be JSON.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(json).unwrap_or_default())
}

fn signing_key(pem: &SecretString) -> Result<SigningKey, InvalidKey> {
    SigningKey::from_pkcs8_pem(pem.expose_secret().trim()).map_err(|_| InvalidKey)
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Verifier;
    use p256::pkcs8::EncodePrivateKey;

    use super::*;
    use crate::channel::testkit;

    fn signer() -> Signer {
        Signer::new(&testkit::apns_credentials("https://localhost")).unwrap()
    }

    fn text(token: &ProviderToken) -> String {
        token.header().to_str().unwrap().strip_prefix("bearer ").unwrap().to_owned()
    }

    #[test]
    fn every_environment_makes_the_same_token_within_forty_minutes() {
        let start = Timestamp::from_secs(1_700_001_600); // on the grid
        assert_eq!(start.secs() % GRID_SECS, 0);
        let first = signer().token(start);
        assert_eq!(signer().token(start.plus_secs(GRID_SECS - 1)), first);
        assert_ne!(signer().token(start.plus_secs(GRID_SECS)), first);
        assert_ne!(signer().token(start.plus_secs(-1)), first);
    }

    #[test]
    fn a_token_says_who_and_when_and_is_signed() {
        let signer = signer();
        let token = text(&signer.token(Timestamp::from_secs(1_700_001_600 + 77)));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let read = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        insta::assert_snapshot!(read(header), @r#"{"alg":"ES256","kid":"LOCALKEY01"}"#);
        insta::assert_snapshot!(read(claims), @r#"{"iss":"FANFARE001","iat":1700001600}"#);
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        signer.key.verifying_key().verify(signed.as_bytes(), &signature).unwrap();
    }

    /// RFC 6979, A.2.5: P-256 and SHA-256, message "sample". A randomized signature would make each environment's
    /// token another.
    #[test]
    fn signatures_are_those_of_rfc_6979() {
        let scalar: Vec<u8> = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
        let pem = SigningKey::from_slice(&scalar).unwrap().to_pkcs8_pem(Default::default()).unwrap();
        let key = signing_key(&SecretString::from(pem.to_string())).unwrap();
        let signature: Signature = key.sign(b"sample");
        let expected = hex(concat!(
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
            "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        ));
        assert_eq!(signature.to_bytes().as_slice(), expected);
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn a_token_hides_itself() {
        let token = signer().token(Timestamp::from_secs(0));
        assert_eq!(format!("{token:?} {:?}", token.header()), "ProviderToken(…) Sensitive");
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let mut credentials = testkit::apns_credentials("https://localhost");
        credentials.private_key = SecretString::from("no key");
        assert!(Signer::of(&ByCredential::default(), &credentials).is_err());
    }
}
