//! Web Push: one browser a request, to whichever push service it has its subscription with, encrypted for it alone.
//!
//! The services are several, and not all are known to speak HTTP/2; so requests go through the client that negotiates it. It
//! keeps one such connection to a service, which at a hundred streams and 100 ms an answer is a thousand messages a second.

mod answer;
mod credential;
mod encryption;
mod payload;
mod subscription;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use http::{HeaderValue, header};
use url::Url;

use crate::domain::{Outcome, WebpushCredentials};

use super::batch::{Batch, ByWording};
use super::by_credential::ByCredential;
use super::check::Unfit;
use super::http2::Answer;
use super::turns::Turn;
use super::{Shared, Target};
use credential::{InvalidKey, Signer};
use encryption::TooLong;
pub(super) use payload::check;
use subscription::Subscription;

/// Requests under way at a time: as many streams as services usually allow on a connection.
const CONCURRENCY: usize = 100;

/// Why a batch cannot be sent, or one target of it.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("the key or the subject cannot be used")]
    Settings,
    #[error("a subscription that no browser can have made")]
    MalformedToken,
    #[error("a subscription with a service that is not on the list")]
    ForeignService,
}

impl Error {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Unfit(_) | Self::TooLong(_) => Outcome::Permanent,
            // The list may lack one: the subscription is good for all we know.
            Self::Settings | Self::ForeignService => Outcome::Config,
            Self::MalformedToken => Outcome::InvalidToken { since: None, doubtful: true },
        }
    }
}

impl From<InvalidKey> for Error {
    fn from(_: InvalidKey) -> Self {
        Self::Settings
    }
}

/// Sends to browsers.
pub(super) struct Sender {
    shared: Shared,
    signers: ByCredential<Signer>,
}

impl Sender {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared, signers: ByCredential::default() }
    }

    /// One outcome for each target of the batch.
    pub(super) async fn send(&self, credentials: &WebpushCredentials, batch: &Batch<'_>) -> Vec<Outcome> {
        match Job::new(self, credentials, batch) {
            Ok(job) => {
                let sealed = job.seal_all().await;
                job.connect(&sealed).await;
                batch.each(sealed, CONCURRENCY, |sealed, turn| job.send(sealed, turn)).await
            }
            Err(error) => batch.unsendable(&error, &error.outcome()),
        }
    }
}

/// What all requests of a batch have in common.
struct Job<'a> {
    shared: &'a Shared,
    batch: &'a Batch<'a>,
    credentials: &'a WebpushCredentials,
    signer: Arc<Signer>,
    texts: ByWording<Vec<u8>>,
    topic: HeaderValue,
    urgency: &'static str,
}

impl<'a> Job<'a> {
    fn new(sender: &'a Sender, credentials: &'a WebpushCredentials, batch: &'a Batch<'a>) -> Result<Self, Error> {
        Ok(Self {
            shared: &sender.shared,
            batch,
            credentials,
            signer: Signer::of(&sender.signers, credentials)?,
            texts: batch.by_wording(|wording| payload::text(batch.push, wording))?,
            topic: payload::topic(batch.push),
            urgency: payload::urgency(batch.push),
        })
    }

    /// The messages for all browsers of the batch, in their order.
    async fn seal_all(&self) -> Vec<Result<Sealed, Error>> {
        let mut all = Vec::with_capacity(self.batch.targets.len());
        for target in self.batch.targets {
            all.push(self.seal(target));
            // Each takes a while, in which the batch before may have answers to read.
            tokio::task::yield_now().await;
        }
        all
    }

    /// Connects to the push services of a batch.
    async fn connect(&self, sealed: &[Result<Sealed, Error>]) {
        let mut services: BTreeMap<String, (&Url, usize)> = BTreeMap::new();
        for Sealed { endpoint, .. } in sealed.iter().flatten() {
            services.entry(endpoint.origin().ascii_serialization()).or_insert((endpoint, 0)).1 += 1;
        }
        let connect = |(service, count): (&Url, usize)| {
            let (http, service) = (self.shared.http.clone(), service.to_string());
            // What keeps them from standing, the requests will say: it is one of several services.
            async move { drop(http.connect(&service, count.min(CONCURRENCY)).await) }
        };
        join_all(services.into_values().map(connect)).await;
    }

    fn seal(&self, target: &Target) -> Result<Sealed, Error> {
        let subscription = Subscription::read(&target.token, self.credentials)?;
        let text = self.texts.of(target).ok_or(Unfit::NoNotification)?;
        let body = encryption::encrypt(text, &subscription.key, &subscription.auth)?;
        let authorization = self.signer.authorization(&subscription.origin(), self.batch.clock.now())?;
        Ok(Sealed { endpoint: subscription.endpoint, body, authorization })
    }

    /// Sends to one browser.
    async fn send(&self, sealed: Result<Sealed, Error>, turn: Turn) -> Outcome {
        if !self.batch.is_alive() {
            return Outcome::Transient(None);
        }
        let Sealed { endpoint, body, authorization } = match sealed {
            Ok(sealed) => sealed,
            Err(error) => return error.outcome(),
        };
        let request = self.shared.http.post(endpoint.as_str(), "application/octet-stream", body);
        let request = request
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_ENCODING, "aes128gcm")
            .header("ttl", payload::ttl(self.batch.remaining_secs()))
            .header("urgency", self.urgency)
            .header("topic", &self.topic);
        match self.batch.ask(&self.shared.http, &turn, request).await {
            Ok(Answer { status, retry_after, .. }) => {
                let outcome = answer::outcome(status, retry_after);
                self.batch.complaint.of_answer(&outcome, status, "");
                outcome
            }
            Err(outcome) => outcome,
        }
    }
}

/// A message for one browser.
struct Sealed {
    endpoint: Url,
    body: Vec<u8>,
    authorization: HeaderValue,
}

#[cfg(test)]
mod tests;
