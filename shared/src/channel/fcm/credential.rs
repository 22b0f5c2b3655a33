//! Access tokens: a service account's signed wish for one, taken to Google's token endpoint (RFC 7523).
//!
//! Several of an account may live at once, so each environment has its own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::channel::access::{GrantError, Trial, said};
use crate::channel::by_credential::ByCredential;
use crate::channel::flight::Flight;
use crate::channel::http2::{Pool, Site};
use crate::channel::turns::Turn;
use crate::domain::{ServiceAccount, Timestamp};
use crate::runtime::Clock;
use crate::runtime::telemetry::chain;

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest life of an assertion that Google accepts.
const ASSERTION_SECS: i64 = 3_600;
/// A token is not used in its last five minutes, or in the last fifth of a shorter life: a batch must not outlive it.
const MARGIN_MS: i64 = 300_000;

/// The service account's key or token address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the service account cannot be used")]
pub(super) struct InvalidAccount;

/// What a request is authorized with.
#[derive(Clone)]
pub(super) struct AccessToken(Arc<Granted>);

struct Granted {
    header: HeaderValue,
    fresh_until: Timestamp,
    trial: Trial,
}

impl AccessToken {
    /// Whether it is on trial.
    pub(super) fn trial(&self) -> &Trial {
        &self.0.trial
    }

    /// The `authorization` header, marked as sensitive.
    pub(super) fn header(&self) -> &HeaderValue {
        &self.0.header
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// The service accounts of all apps.
pub(super) struct Accounts {
    pool: Arc<Pool>,
    clock: Clock,
    known: ByCredential<Account>,
}

impl Accounts {
    pub(super) fn new(pool: Arc<Pool>, clock: Clock) -> Self {
        Self { pool, clock, known: ByCredential::default() }
    }

    /// The account of a credential.
    pub(super) fn of(&self, account: &ServiceAccount) -> Result<Arc<Account>, InvalidAccount> {
        let parts: [&str; 3] = [&account.client_email, &account.token_uri, account.private_key.expose_secret()];
        self.known.of(&parts, || {
            let grant = Grant::new(self.pool.clone(), self.clock.clone(), account)?;
            Ok(Account { grant: Arc::new(grant), token: Flight::new() })
        })
    }
}

/// One service account, and its present token.
pub(super) struct Account {
    grant: Arc<Grant>,
    token: Flight<AccessToken, GrantError>,
}

impl Account {
    /// A token that is fresh, and not the one that just failed. A crowd fetches one.
    pub(super) async fn token(&self, failed: Option<&AccessToken>) -> Result<AccessToken, GrantError> {
        let now = self.grant.clock.now();
        // Not the same grant: should Google repeat a token, it has said again that it is good.
        let is_other = |token: &AccessToken| failed.is_none_or(|failed| !Arc::ptr_eq(&failed.0, &token.0));
        let usable = |token: &AccessToken| now < token.0.fresh_until && is_other(token);
        let fetch = || {
            let grant = self.grant.clone();
            async move { grant.fetch().await }.boxed()
        };
        self.token.get(usable, fetch).await
    }
}

/// How to have a token.
struct Grant {
    pool: Arc<Pool>,
    clock: Clock,
    key: EncodingKey,
    client_email: String,
    token_uri: String,
    site: Site,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct GrantBody {
    access_token: String,
    expires_in: i64,
}

#[derive(Default, Deserialize)]
struct Refused {
    #[serde(default)]
    error: String,
}

impl Grant {
    fn new(pool: Arc<Pool>, clock: Clock, account: &ServiceAccount) -> Result<Self, InvalidAccount> {
        let uri: Uri = account.token_uri.parse().map_err(|_| InvalidAccount)?;
        Ok(Self {
            pool,
            clock,
            key: EncodingKey::from_rsa_pem(account.private_key.expose_secret().trim().as_bytes())
                .map_err(|_| InvalidAccount)?,
            client_email: account.client_email.clone(),
            token_uri: account.token_uri.clone(),
            site: Site::new(&uri, "").map_err(|_| InvalidAccount)?,
        })
    }

    async fn fetch(&self) -> Result<AccessToken, GrantError> {
        let asked_at = self.clock.now();
        let assertion = self.assertion(asked_at)?;
        let request = Request::post(&self.token_uri)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(form(&assertion)))
            .map_err(|_| unusable())?;
        // One request an hour, and another if the first was not processed: the batch's rate is for messages.
        let answer = self.pool.send(&self.site, &Turn::free(), request).await;
        let answer = answer.inspect_err(|error| {
            warn!(channel = "fcm", error = chain(error), "No access token was granted");
        })?;
        let granted = (answer.status == StatusCode::OK).then(|| granted(&answer.body, asked_at)).flatten();
        granted.ok_or_else(|| refused(answer.status, &answer.body, answer.retry_after))
    }

    fn assertion(&self, now: Timestamp) -> Result<String, GrantError> {
        let claims = Claims {
            iss: &self.client_email,
            scope: SCOPE,
            aud: &self.token_uri,
            iat: now.secs(),
            exp: now.secs() + ASSERTION_SECS,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key).map_err(|_| unusable())
    }
}

/// The form: of its values only the grant type holds what must be escaped.
fn form(assertion: &str) -> Bytes {
    format!("grant_type={}&assertion={assertion}", GRANT_TYPE.replace(':', "%3A")).into()
}

fn granted(body: &[u8], asked_at: Timestamp) -> Option<AccessToken> {
    let GrantBody { access_token, expires_in } = serde_json::from_slice(body).ok()?;
    let mut header = HeaderValue::from_str(&format!("Bearer {access_token}")).ok()?;
    header.set_sensitive(true);
    let life_ms = expires_in.clamp(0, 86_400) * 1_000;
    let margin_ms = MARGIN_MS.min(life_ms / 5);
    Some(AccessToken(Arc::new(Granted {
        header,
        fresh_until: asked_at.plus_millis(life_ms - margin_ms),
        trial: Trial::default(),
    })))
}

/// 400 and 401 are `invalid_grant`, `invalid_client` and the like when they say so in OAuth's form.
fn refused(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> GrantError {
    let Refused { error } = serde_json::from_slice(body).unwrap_or_default();
    let why = said(status, &error);
    match status.as_u16() {
        400 | 401 | 403 if !error.is_empty() => GrantError::Rejected(why),
        404 => GrantError::Rejected(why),
        _ => GrantError::Unavailable(why, retry_after),
    }
}

fn unusable() -> GrantError {
    GrantError::Rejected(InvalidAccount.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_fresh_until_shortly_before_its_end() {
        let asked = Timestamp::from_secs(1_000);
        let fresh_until = |expires_in: i64| {
            let body = format!(r#"{{"access_token":"a","expires_in":{expires_in},"token_type":"Bearer"}}"#);
            granted(body.as_bytes(), asked).unwrap().0.fresh_until.secs() - 1_000
        };
        assert_eq!(fresh_until(3_599), 3_299);
        assert_eq!(fresh_until(60), 48);
        assert_eq!(fresh_until(-5), 0);
    }

    #[test]
    fn a_refusal_is_for_a_person_when_oauth_says_so() {
        let refused = |status: u16, body: &str| refused(StatusCode::from_u16(status).unwrap(), body.as_bytes(), None);
        let (rejected, unavailable) = (
            |why: &str| GrantError::Rejected(why.to_owned()),
            |why: &str| GrantError::Unavailable(why.to_owned(), None),
        );
        assert_eq!(refused(400, r#"{"error":"invalid_grant"}"#), rejected("400 invalid_grant"));
        assert_eq!(refused(401, r#"{"error":"invalid_client"}"#), rejected("401 invalid_client"));
        assert_eq!(refused(400, "<html>"), unavailable("400 ?"));
        assert_eq!(refused(500, r#"{"error":"internal_failure"}"#), unavailable("500 internal_failure"));
        assert_eq!(refused(429, ""), unavailable("429 ?"));
    }

    #[test]
    fn a_token_hides_itself() {
        let token = granted(br#"{"access_token":"secret","expires_in":10}"#, Timestamp::from_secs(0)).unwrap();
        assert_eq!(format!("{token:?} {:?}", token.header()), "AccessToken(…) Sensitive");
    }

    #[test]
    fn the_form_is_escaped() {
        insta::assert_snapshot!(
            String::from_utf8(form("a.b-c_d").to_vec()).unwrap(),
            @"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b-c_d"
        );
    }
}
