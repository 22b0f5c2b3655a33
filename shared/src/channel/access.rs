//! Access tokens that environments share, because their vendors limit how often one may be asked for.
//!
//! An environment asks the vault before it asks the vendor. Of those that find nothing fresh there, one is let to refresh;
//! the others wait for what it brings. A refresh that fails is not tried again by the next at once: whoever was let keeps
//! the others away for a few seconds.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use tracing::warn;

use super::batch::{Complaint, Unready};
use super::by_credential::fingerprint;
use super::flight::Flight;
use super::http2::{Failure, shown};
use super::rest::NoAnswer;
use crate::domain::{AppId, Channel, Outcome, Timestamp};
use crate::runtime::Clock;

/// A token is not used in its last five minutes, or in the last fifth of a shorter life: a batch must not outlive it.
const MARGIN_MILLIS: i64 = 300_000;
/// How long whoever refreshes keeps the others away: longer than a vendor may take to answer.
const CLAIM_MILLIS: i64 = 12_000;
/// How often the others look whether it is there.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often they look in all: no longer than a claim lasts.
const LOOKS: u32 = 48;
/// Credentials of more apps than this are not kept at once.
const MAX_CREDENTIALS: usize = 1_000;

/// Where access tokens are shared.
pub trait Vault: Send + Sync {
    /// What is kept under a name; `None` if nothing is.
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Kept>, VaultError>>;

    /// Asks to be the one who refreshes what is kept in the given version, 0 for nothing. Says whether the caller is.
    /// Until `until` nobody else will be.
    fn claim<'a>(
        &'a self,
        name: &'a str,
        version: u64,
        now: Timestamp,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<bool, VaultError>>;

    /// Keeps a token in place of the one before, and ends the claim.
    fn keep<'a>(&'a self, name: &'a str, kept: Kept) -> BoxFuture<'a, Result<(), VaultError>>;
}

/// A token in the vault.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The token.
    pub token: SecretString,
    /// Until when it is good to use.
    pub fresh_until: Timestamp,
    /// Counts the refreshes.
    pub version: u64,
}

/// The vault does not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the vault of access tokens failed: {0}")]
pub struct VaultError(pub String);

/// What a vendor granted.
#[derive(Debug, Clone)]
pub(super) struct Granted {
    /// The token.
    pub(super) token: SecretString,
    /// For how long, from when it was asked for.
    pub(super) life_secs: i64,
}

/// Why there is no access token, in a few words without anybody's data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum GrantError {
    /// The vendor does not accept the credential: a person must mend it.
    #[error("no access token: {0}")]
    Rejected(String),
    /// The vendor, or the vault, is unwell. The vendor may say for how long.
    #[error("no access token: {0}")]
    Unavailable(String, Option<Duration>),
}

/// What a vendor said in place of a token, as a complaint says it: the status, and the vendor's word.
pub(super) fn said(status: StatusCode, word: &str) -> String {
    format!("{} {}", status.as_u16(), shown(word))
}

impl From<NoAnswer> for GrantError {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Unmade => Self::Rejected(Unready::ENDPOINT.to_string()),
            NoAnswer::Failed(_) => Self::unanswered(),
        }
    }
}

impl From<Failure> for GrantError {
    fn from(_: Failure) -> Self {
        Self::unanswered()
    }
}

impl GrantError {
    fn unanswered() -> Self {
        Self::Unavailable("no answer".to_owned(), None)
    }

    /// What it means for those who were to be sent to.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Rejected(_) => Outcome::Config,
            Self::Unavailable(_, wait) => Outcome::Transient(*wait),
        }
    }
}

/// An access token, for as long as it is fresh.
#[derive(Clone)]
pub(super) struct AccessToken {
    token: Arc<SecretString>,
    fresh_until: Timestamp,
    trial: Trial,
}

/// Whether a token came in place of one that was refused, and has not been accepted yet: if it is refused too, others are of
/// no use. The request that would have tried it may have come too late for its turn, so this is remembered beyond it.
#[derive(Clone, Default)]
pub(super) struct Trial(Arc<AtomicBool>);

impl Trial {
    /// It came in place of one that was refused.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// It was refused: says whether in place of another. The next refusal is a first one again.
    pub(super) fn fail(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    /// It was accepted.
    pub(super) fn pass(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl AccessToken {
    /// The token, to be sent to its vendor.
    pub(super) fn expose(&self) -> &str {
        self.token.expose_secret()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// The token of one credential, and whoever waits for it.
type Grants = Flight<AccessToken, GrantError>;

/// The access tokens of all apps, by credential.
#[derive(Clone)]
pub(super) struct AccessTokens {
    vault: Arc<dyn Vault>,
    clock: Clock,
    known: Arc<Mutex<HashMap<String, Arc<Grants>>>>,
}

/// Which credential a token is of. A changed credential has another name.
pub(super) fn name(app: &AppId, channel: Channel, credential: &[&str]) -> String {
    let digest = base16ct::lower::encode_string(&fingerprint(credential));
    format!("{app}#{channel}#{}", &digest[..32])
}

impl AccessTokens {
    pub(super) fn new(vault: Arc<dyn Vault>, clock: Clock) -> Self {
        Self { vault, clock, known: Arc::default() }
    }

    /// A token that is fresh, and not the one that just `failed`: the environment's own, or the vault's, or what `grant`
    /// brings.
    pub(super) async fn get(
        &self,
        name: &str,
        failed: Option<&AccessToken>,
        grant: impl FnOnce() -> BoxFuture<'static, Result<Granted, GrantError>> + Send + 'static,
    ) -> Result<AccessToken, GrantError> {
        let (now, flight) = (self.clock.now(), self.flight(name));
        let usable = |token: &AccessToken| now < token.fresh_until && !is_same(token, failed);
        let (this, name, failed) = (self.clone(), name.to_owned(), failed.cloned());
        flight.get(usable, || async move { this.shared(&name, failed.as_ref(), grant).await }.boxed()).await
    }

    /// Has a token for what is to be sent next.
    ///
    /// # Errors
    ///
    /// Without one, the outcome of all that would have been sent.
    pub(super) async fn ready(
        &self,
        name: &str,
        complaint: &Complaint,
        grant: impl FnOnce() -> BoxFuture<'static, Result<Granted, GrantError>> + Send + 'static,
    ) -> Result<(), Outcome> {
        self.get(name, None, grant).await.map(drop).map_err(|error| {
            complaint.of_grant(&error);
            error.outcome()
        })
    }

    /// Sends to so many devices with an access token; once more, with another, if the vendor does not accept the first and
    /// the request has a second turn. `send` answers `None` where it does not, else one outcome for each device. Why there is
    /// no token is said in the batch's complaint.
    pub(super) async fn send_to<F>(
        &self,
        name: &str,
        (count, complaint): (usize, &Complaint),
        grant: impl Fn() -> BoxFuture<'static, Result<Granted, GrantError>> + Clone + Send + 'static,
        send: impl Fn(AccessToken) -> F,
    ) -> Vec<Outcome>
    where
        F: Future<Output = Option<Vec<Outcome>>>,
    {
        let mut failed = None;
        loop {
            let token = match self.get(name, failed.as_ref(), grant.clone()).await {
                Ok(token) => token,
                Err(error) => {
                    complaint.of_grant(&error);
                    return vec![error.outcome(); count];
                }
            };
            if failed.is_some() {
                token.trial.begin();
            }
            match send(token.clone()).await {
                Some(outcomes) => {
                    if outcomes.iter().any(|outcome| *outcome != Outcome::Unsent) {
                        token.trial.pass();
                    }
                    return outcomes;
                }
                None if !token.trial.fail() && failed.is_none() => failed = Some(token),
                None => return vec![Outcome::Auth; count],
            }
        }
    }

    fn flight(&self, name: &str) -> Arc<Grants> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_CREDENTIALS && !known.contains_key(name) {
            known.clear();
        }
        known.entry(name.to_owned()).or_insert_with(|| Arc::new(Flight::new())).clone()
    }

    async fn shared(
        &self,
        name: &str,
        failed: Option<&AccessToken>,
        grant: impl FnOnce() -> BoxFuture<'static, Result<Granted, GrantError>>,
    ) -> Result<AccessToken, GrantError> {
        for look in 0..LOOKS {
            if look > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            let now = self.clock.now();
            let kept = self.vault.read(name).await.map_err(|error| unavailable(&error))?;
            let version = kept.as_ref().map_or(0, |kept| kept.version);
            if let Some(kept) = kept {
                let token =
                    AccessToken { token: Arc::new(kept.token), fresh_until: kept.fresh_until, trial: Trial::default() };
                if now < token.fresh_until && !is_same(&token, failed) {
                    return Ok(token);
                }
            }
            let claim = self.vault.claim(name, version, now, now.plus_millis(CLAIM_MILLIS)).await;
            if claim.map_err(|error| unavailable(&error))? {
                return self.refresh(name, version, now, grant()).await;
            }
        }
        Err(GrantError::Unavailable("none came in time".to_owned(), None))
    }

    async fn refresh(
        &self,
        name: &str,
        version: u64,
        asked_at: Timestamp,
        grant: BoxFuture<'static, Result<Granted, GrantError>>,
    ) -> Result<AccessToken, GrantError> {
        let Granted { token, life_secs } = grant.await?;
        if !is_sendable(token.expose_secret()) {
            // Kept, it would be in everyone's way until its end: no request can be made with it that a vendor could refuse.
            return Err(GrantError::Unavailable("what was granted is none".to_owned(), None));
        }
        let life_millis = life_secs.clamp(0, 7 * 86_400) * 1_000;
        let fresh_until = asked_at.plus_millis(life_millis - MARGIN_MILLIS.min(life_millis / 5));
        let kept = Kept { token: token.clone(), fresh_until, version: version + 1 };
        if let Err(error) = self.vault.keep(name, kept).await {
            // This environment has its token; the others will have one of their own.
            warn!(%error, "An access token could not be shared");
        }
        Ok(AccessToken { token: Arc::new(token), fresh_until, trial: Trial::default() })
    }
}

/// Whether a token is the one that failed. Compared by what it says: it may have come through the vault.
fn is_same(token: &AccessToken, failed: Option<&AccessToken>) -> bool {
    failed.is_some_and(|failed| failed.expose() == token.expose())
}

/// Whether it can stand in a header: it is no more than visible ASCII (RFC 6750, section 2.1, has less).
fn is_sendable(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn unavailable(error: &VaultError) -> GrantError {
    warn!(%error, "No access token: the vault failed");
    GrantError::Unavailable("the vault failed".to_owned(), None)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A vault in memory.
    #[derive(Default)]
    pub(in crate::channel) struct Memory(Mutex<HashMap<String, Place>>);

    /// What is kept, and until when nobody else may refresh it.
    type Place = (Option<Kept>, Option<Timestamp>);

    impl Vault for Memory {
        fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Kept>, VaultError>> {
            let kept = self.0.lock().unwrap().get(name).and_then(|(kept, _)| kept.clone());
            futures::future::ready(Ok(kept)).boxed()
        }

        fn claim<'a>(
            &'a self,
            name: &'a str,
            version: u64,
            now: Timestamp,
            until: Timestamp,
        ) -> BoxFuture<'a, Result<bool, VaultError>> {
            let mut all = self.0.lock().unwrap();
            let (kept, claimed) = all.entry(name.to_owned()).or_default();
            let is_free = kept.as_ref().map_or(0, |kept| kept.version) == version;
            let granted = is_free && claimed.is_none_or(|until| until <= now);
            if granted {
                *claimed = Some(until);
            }
            futures::future::ready(Ok(granted)).boxed()
        }

        fn keep<'a>(&'a self, name: &'a str, kept: Kept) -> BoxFuture<'a, Result<(), VaultError>> {
            self.0.lock().unwrap().insert(name.to_owned(), (Some(kept), None));
            futures::future::ready(Ok(())).boxed()
        }
    }

    fn granting(
        count: &Arc<AtomicU32>,
    ) -> impl FnOnce() -> BoxFuture<'static, Result<Granted, GrantError>> + Send + 'static {
        let count = count.clone();
        move || {
            async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let n = count.fetch_add(1, Ordering::SeqCst);
                Ok(Granted { token: format!("token-{n}").into(), life_secs: 3_600 })
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_environments_refresh_once() {
        let (vault, count) = (Arc::new(Memory::default()), Arc::new(AtomicU32::new(0)));
        let tokens = (0..100).map(|_| {
            let (vault, count) = (vault.clone(), count.clone());
            async move { AccessTokens::new(vault, Clock::system()).get("a", None, granting(&count)).await.unwrap() }
        });
        let tokens = futures::future::join_all(tokens).await;
        assert!(tokens.iter().all(|token| token.expose() == "token-0"));
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_failed_is_replaced_once_for_all() {
        let (vault, count) = (Arc::new(Memory::default()), Arc::new(AtomicU32::new(0)));
        let environments: Vec<_> = (0..20).map(|_| AccessTokens::new(vault.clone(), Clock::system())).collect();
        let get = |failed: Option<AccessToken>| {
            let count = &count;
            futures::future::join_all(environments.iter().map(move |tokens| {
                let failed = failed.clone();
                async move { tokens.get("a", failed.as_ref(), granting(count)).await.unwrap() }
            }))
        };
        let first = get(None).await.remove(0);
        let second = get(Some(first)).await;
        assert!(second.iter().all(|token| token.expose() == "token-1"), "{:?}", second[0].expose());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_credential_is_not_asked_for_by_each() {
        let (vault, count) = (Arc::new(Memory::default()), Arc::new(AtomicU32::new(0)));
        let refused = || {
            let count = count.clone();
            move || {
                count.fetch_add(1, Ordering::SeqCst);
                futures::future::ready(Err(GrantError::Rejected("400 ?".to_owned()))).boxed()
            }
        };
        let tokens = AccessTokens::new(vault.clone(), Clock::system());
        assert_eq!(tokens.get("a", None, refused()).await.unwrap_err(), GrantError::Rejected("400 ?".to_owned()));
        // Time stands still for the clock, so the claim lasts: the others wait in vain, and say so.
        let other = AccessTokens::new(vault, Clock::system());
        let in_vain = other.get("a", None, refused()).await.unwrap_err();
        assert_eq!(in_vain.to_string(), "no access token: none came in time");
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_be_sent_with_no_request_is_neither_used_nor_kept() {
        for granted in ["", "a b", "a\nb", "a\u{0}", "é", " "] {
            let vault = Arc::new(Memory::default());
            let grant = move || {
                let granted = Granted { token: granted.to_owned().into(), life_secs: 3_600 };
                futures::future::ready(Ok(granted)).boxed()
            };
            let tokens = AccessTokens::new(vault.clone(), Clock::system());
            let none = tokens.get("a", None, grant).await.unwrap_err();
            assert_eq!(none.to_string(), "no access token: what was granted is none", "{granted:?}");
            assert!(vault.read("a").await.unwrap().is_none(), "{granted:?}");
        }
    }

    #[test]
    fn another_credential_has_another_name() {
        let app = AppId::try_from("a").unwrap();
        let name = |parts: &[&str]| name(&app, Channel::Huawei, parts);
        assert_eq!(name(&["1", "2"]), name(&["1", "2"]));
        assert_ne!(name(&["1", "2"]), name(&["12", ""]));
        assert!(name(&["1"]).starts_with("a#huawei#"));
    }
}
