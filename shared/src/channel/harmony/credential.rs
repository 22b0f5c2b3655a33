//! The provider token: a JWT that the service account's own key signs. No round trip, and several may live at once, so
//! each environment makes its own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::channel::access::Trial;
use crate::channel::by_credential::ByCredential;
use crate::domain::{HarmonyCredentials, Timestamp};

/// Whom the token is for, whatever the endpoint (Huawei, "Service account based authentication").
const AUDIENCE: &str = "https://oauth-login.cloud.huawei.com/oauth2/v3/token";
/// How long a token lives. Huawei refuses more than a day (80300036).
const LIFE_SECS: i64 = 3_600;
/// A token is dated back by so much, for servers whose clocks are behind ours.
const BACK_SECS: i64 = 60;
/// A token is not used in its last five minutes: a batch must not outlive it.
const MARGIN_SECS: i64 = 300;

/// The key of a credential is not one of RSA in PEM.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot be used")]
pub(super) struct InvalidKey;

/// What a request is authorized with.
#[derive(Clone)]
pub(super) struct ProviderToken(Arc<str>, Trial);

impl ProviderToken {
    /// Whether it is on trial.
    pub(super) fn trial(&self) -> &Trial {
        &self.1
    }

    /// The token, to be sent to Huawei.
    pub(super) fn expose(&self) -> &str {
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
    key: EncodingKey,
    header: Header,
    sub_account: String,
    latest: Mutex<Option<(Timestamp, ProviderToken)>>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'static str,
    iat: i64,
    exp: i64,
}

impl Signer {
    /// The signer of a credential.
    pub(super) fn of(signers: &ByCredential<Self>, credentials: &HarmonyCredentials) -> Result<Arc<Self>, InvalidKey> {
        let parts: [&str; 3] = [&credentials.sub_account, &credentials.key_id, credentials.private_key.expose_secret()];
        signers.of(&parts, || Self::new(credentials))
    }

    fn new(credentials: &HarmonyCredentials) -> Result<Self, InvalidKey> {
        let key = credentials.private_key.expose_secret().trim();
        let mut header = Header::new(Algorithm::PS256);
        header.kid = Some(credentials.key_id.clone());
        Ok(Self {
            key: EncodingKey::from_rsa_pem(key.as_bytes()).map_err(|_| InvalidKey)?,
            header,
            sub_account: credentials.sub_account.clone(),
            latest: Mutex::new(None),
        })
    }

    /// A token that is fresh, and not the one that was just refused. A crowd whose token is refused gets one new one.
    pub(super) fn token(&self, now: Timestamp, refused: Option<&ProviderToken>) -> Result<ProviderToken, InvalidKey> {
        let is_other = |token: &ProviderToken| refused.is_none_or(|refused| !Arc::ptr_eq(&refused.0, &token.0));
        // A clock that was set back must not keep a token from the future.
        let is_fresh = |made: Timestamp| (0..LIFE_SECS - BACK_SECS - MARGIN_SECS).contains(&(now.secs() - made.secs()));
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some((made, token)) if is_fresh(*made) && is_other(token) => Ok(token.clone()),
            _ => Ok(latest.insert((now, self.mint(now)?)).1.clone()),
        }
    }

    fn mint(&self, now: Timestamp) -> Result<ProviderToken, InvalidKey> {
        let iat = now.secs() - BACK_SECS;
        let claims = Claims { iss: &self.sub_account, aud: AUDIENCE, iat, exp: iat + LIFE_SECS };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.key).map_err(|_| InvalidKey)?;
        Ok(ProviderToken(token.into(), Trial::default()))
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use secrecy::SecretString;
    use serde_json::{Value, json};

    use super::*;
    use crate::channel::harmony::tests::{KEY, credentials};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn signer() -> Arc<Signer> {
        Signer::of(&ByCredential::default(), &credentials("https://localhost")).unwrap()
    }

    #[test]
    fn a_token_says_who_and_when_and_is_signed_with_pss() {
        let token = signer().token(NOW, None).unwrap();
        let key = DecodingKey::from_rsa_pem(KEY.public_key_pem().as_bytes()).unwrap();
        let mut validation = Validation::new(Algorithm::PS256);
        validation.validate_exp = false;
        validation.set_audience(&[AUDIENCE]);
        let read = jsonwebtoken::decode::<Value>(token.expose(), &key, &validation).unwrap();
        assert_eq!((read.header.kid.as_deref(), read.header.typ.as_deref()), (Some("key-1"), Some("JWT")));
        let (iat, exp) = (1_699_999_940, 1_700_003_540);
        assert_eq!(read.claims, json!({"iss": "account-1", "aud": AUDIENCE, "iat": iat, "exp": exp}));
    }

    #[test]
    fn a_token_is_used_until_its_last_five_minutes() {
        let signer = signer();
        let first = signer.token(NOW, None).unwrap();
        let is_first = |secs: i64| {
            let token = signer.token(NOW.plus_secs(secs), None).unwrap();
            Arc::ptr_eq(&token.0, &first.0)
        };
        assert!(is_first(0) && is_first(3_239));
        assert!(!is_first(3_240));
    }

    #[test]
    fn a_clock_set_back_makes_a_new_token() {
        let signer = signer();
        let ahead = signer.token(NOW.plus_secs(86_400), None).unwrap();
        assert!(!Arc::ptr_eq(&signer.token(NOW, None).unwrap().0, &ahead.0));
    }

    #[test]
    fn a_crowd_whose_token_is_refused_gets_one_new_one() {
        let signer = signer();
        let refused = signer.token(NOW, None).unwrap();
        let next = signer.token(NOW, Some(&refused)).unwrap();
        assert!(!Arc::ptr_eq(&next.0, &refused.0));
        assert!(Arc::ptr_eq(&signer.token(NOW, Some(&refused)).unwrap().0, &next.0));
        assert_eq!(format!("{next:?}"), "ProviderToken(…)");
    }

    #[test]
    fn a_changed_key_has_a_signer_of_its_own_and_no_key_has_none() {
        let signers = ByCredential::default();
        let mut changed = credentials("https://localhost");
        let first = Signer::of(&signers, &changed).unwrap();
        assert!(Arc::ptr_eq(&first, &Signer::of(&signers, &changed).unwrap()));
        changed.key_id = "key-2".to_owned();
        assert!(!Arc::ptr_eq(&first, &Signer::of(&signers, &changed).unwrap()));
        changed.private_key = SecretString::from("no key");
        assert!(Signer::of(&signers, &changed).is_err());
    }
}
