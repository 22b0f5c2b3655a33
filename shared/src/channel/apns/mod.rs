//! Apple Push Notification service: one device a request, over HTTP/2, signed by a token that every environment can
//! make for itself.

mod answer;
mod credential;
mod payload;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use rustls::ClientConfig;

use crate::domain::{ApnsCredentials, Outcome, Push, Wording};
use crate::runtime::Clock;

use super::Target;
use super::batch::{Batch, ByWording};
use super::by_credential::ByCredential;
use super::check::Unfit;
use super::http2::{Pool, Settings, Site};
use super::turns::Turn;
use answer::Refusal;
use credential::{InvalidKey, ProviderToken, Signer};
pub(super) use payload::check;

/// Two connections with half the streams that Apple usually grants: at 100 ms an answer, 10,000 notifications a second.
const SETTINGS: Settings = Settings {
    connections: 2,
    streams: 500,
    connect_timeout: Duration::from_secs(3),
    request_timeout: Duration::from_secs(8),
    answer_bytes: 64 * 1024,
    proves: Some(has_accepted_our_token),
};

/// Apple allows one stream on a connection until it has accepted a provider token there. These verdicts are about the
/// device, and so come after that; what else it answers may come from a server that has not looked yet.
fn has_accepted_our_token(status: StatusCode) -> bool {
    matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::GONE)
}

/// Why a batch cannot be sent, or one target of it.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error("the endpoint, the topic or the key cannot be used")]
    Settings,
    #[error("a token that Apple cannot have given")]
    MalformedToken,
    #[error("a package that cannot be a topic")]
    MalformedPackage,
}

impl Error {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Unfit(_) | Self::MalformedPackage => Outcome::Permanent,
            Self::Settings => Outcome::Config,
            // As Apple would say, but it was not asked.
            Self::MalformedToken => Outcome::InvalidToken { since: None, doubtful: true },
        }
    }
}

impl From<InvalidKey> for Error {
    fn from(_: InvalidKey) -> Self {
        Self::Settings
    }
}

/// Sends to Apple's devices.
pub(super) struct Sender {
    pool: Pool,
    signers: ByCredential<Signer>,
}

impl Sender {
    pub(super) fn new(tls: Arc<ClientConfig>, clock: Clock) -> Self {
        Self::with_settings(tls, clock, SETTINGS)
    }

    fn with_settings(tls: Arc<ClientConfig>, clock: Clock, settings: Settings) -> Self {
        Self { pool: Pool::new(tls, settings, clock), signers: ByCredential::default() }
    }

    /// One outcome for each target of the batch.
    pub(super) async fn send(&self, credentials: &ApnsCredentials, batch: &Batch<'_>) -> Vec<Outcome> {
        match Job::new(self, credentials, batch) {
            Ok(job) => match self.pool.connect(&job.site, batch.targets.len()).await {
                Ok(()) => {
                    batch.each(batch.targets, self.pool.concurrency(), |target, turn| job.send(target, turn)).await
                }
                Err(failure) => batch.unreachable(&failure),
            },
            Err(error) => batch.unsendable(&error, &error.outcome()),
        }
    }
}

/// What all requests of a batch have in common.
struct Job<'a> {
    pool: &'a Pool,
    batch: &'a Batch<'a>,
    credentials: &'a ApnsCredentials,
    site: Site,
    signer: Arc<Signer>,
    contents: ByWording<Content>,
    expiration: HeaderValue,
    collapse_id: HeaderValue,
}

/// What all requests in one wording have in common.
struct Content {
    body: Bytes,
    push_type: &'static str,
    priority: &'static str,
}

impl Content {
    fn new(push: &Push, wording: Wording) -> Result<Self, Error> {
        let (push_type, priority) = payload::push_type(push, wording);
        Ok(Self { body: payload::body(push, wording)?, push_type, priority })
    }
}

impl<'a> Job<'a> {
    fn new(sender: &'a Sender, credentials: &'a ApnsCredentials, batch: &'a Batch<'a>) -> Result<Self, Error> {
        let endpoint: Uri = credentials.endpoint.parse().map_err(|_| Error::Settings)?;
        // Apple wants one team and one key on a connection.
        let owner = format!("{}/{}", credentials.team_id, credentials.key_id);
        HeaderValue::from_str(&credentials.topic).map_err(|_| Error::Settings)?;
        Ok(Self {
            pool: &sender.pool,
            batch,
            credentials,
            site: Site::new(&endpoint, owner).map_err(|_| Error::Settings)?,
            signer: Signer::of(&sender.signers, credentials)?,
            contents: batch.by_wording(|wording| Content::new(batch.push, wording))?,
            expiration: HeaderValue::from(payload::expiration(batch.push)),
            collapse_id: HeaderValue::from_str(&payload::collapse_id(batch.push)).map_err(|_| Error::Settings)?,
        })
    }

    /// Sends to one device.
    async fn send(&self, target: &Target, turn: Turn) -> Outcome {
        let token = self.signer.token(self.batch.clock.now());
        match self.try_send(target, &token, &turn).await {
            Ok(()) => Outcome::Delivered,
            Err(Refusal::StaleProviderToken) => {
                // The grid decides when there is a new token, so that all environments have the same one.
                let newer = self.signer.token(self.batch.clock.now());
                if newer == token {
                    return Refusal::StaleProviderToken.outcome();
                }
                self.try_send(target, &newer, &turn)
                    .await
                    .map_or_else(|refusal| refusal.outcome(), |()| Outcome::Delivered)
            }
            Err(refusal) => refusal.outcome(),
        }
    }

    async fn try_send(&self, target: &Target, token: &ProviderToken, turn: &Turn) -> Result<(), Refusal> {
        if !self.batch.is_alive() {
            return Err(Refusal::Late);
        }
        let request = self.request(target, token)?;
        let answer = self.pool.send(&self.site, turn, request).await;
        let answer = answer.inspect_err(|failure| self.batch.complaint.of_failure(failure))?;
        let Some(refusal) = answer::refusal(answer.status, &answer.body, answer.retry_after) else {
            return Ok(());
        };
        self.batch.complaint.of_answer(&refusal.outcome(), answer.status, &answer::reason(&answer.body));
        if refusal.spoils_the_connection() {
            answer.retire_connection();
        }
        Err(refusal)
    }

    fn request(&self, target: &Target, token: &ProviderToken) -> Result<Request<Full<Bytes>>, Error> {
        let device = target.token.expose();
        if device.is_empty() || device.len() > 200 || !device.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::MalformedToken);
        }
        let topic = target.package.as_deref().unwrap_or(&self.credentials.topic);
        let topic = HeaderValue::from_str(topic).map_err(|_| Error::MalformedPackage)?;
        let endpoint = self.credentials.endpoint.trim_end_matches('/');
        let content = self.contents.of(target).ok_or(Unfit::NoNotification)?;
        Request::post(format!("{endpoint}/3/device/{device}"))
            .header(header::AUTHORIZATION, token.header())
            .header("apns-topic", topic)
            .header("apns-push-type", content.push_type)
            .header("apns-priority", content.priority)
            .header("apns-expiration", &self.expiration)
            .header("apns-collapse-id", &self.collapse_id)
            .header("apns-id", payload::apns_id(self.batch.push, &target.token).to_string())
            .body(Full::new(content.body.clone()))
            .map_err(|_| Error::Settings)
    }
}

#[cfg(test)]
mod tests;
