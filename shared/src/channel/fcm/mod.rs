//! Firebase Cloud Messaging, HTTP v1: one device a request, with an access token of the project's service account.

mod answer;
mod credential;
mod payload;

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Uri, header};
use http_body_util::Full;
use rustls::ClientConfig;

use crate::domain::{FcmCredentials, Outcome};
use crate::runtime::Clock;

use super::Target;
use super::batch::{Batch, ByWording, Unready};
use super::http2::{Pool, Settings, Site};
use super::turns::Turn;
use answer::Refusal;
use credential::{AccessToken, Account, Accounts};
use payload::Payload;
pub(super) use payload::check;

/// Google grants 100 streams a connection: ten of them, at 100 ms an answer, are a project's whole quota of 10,000
/// messages a second.
const SETTINGS: Settings = Settings {
    connections: 10,
    streams: 100,
    connect_timeout: Duration::from_secs(3),
    request_timeout: Duration::from_secs(8),
    answer_bytes: 64 * 1024,
    proves: None,
};

const UNUSABLE: Unready = Unready::Settings("the endpoint, the project or the key");

/// Sends to devices with Google's services.
pub(super) struct Sender {
    pool: Arc<Pool>,
    accounts: Accounts,
}

impl Sender {
    pub(super) fn new(tls: Arc<ClientConfig>, clock: Clock) -> Self {
        Self::with_settings(tls, clock, SETTINGS)
    }

    fn with_settings(tls: Arc<ClientConfig>, clock: Clock, settings: Settings) -> Self {
        let pool = Arc::new(Pool::new(tls, settings, clock.clone()));
        Self { accounts: Accounts::new(pool.clone(), clock), pool }
    }

    /// One outcome for each target of the batch.
    pub(super) async fn send(&self, credentials: &FcmCredentials, batch: &Batch<'_>) -> Vec<Outcome> {
        match Job::new(self, credentials, batch) {
            Ok(job) => match job.ready().await {
                Ok(()) => {
                    batch.each(batch.targets, self.pool.concurrency(), |target, turn| job.send(target, turn)).await
                }
                Err(refusal) => batch.all(&refusal.outcome()),
            },
            Err(error) => batch.unsendable(&error, &error.outcome()),
        }
    }
}

/// What all requests of a batch have in common.
struct Job<'a> {
    pool: &'a Pool,
    batch: &'a Batch<'a>,
    site: Site,
    uri: Uri,
    account: Arc<Account>,
    payloads: ByWording<Payload<'a>>,
}

impl<'a> Job<'a> {
    fn new(sender: &'a Sender, credentials: &'a FcmCredentials, batch: &'a Batch<'a>) -> Result<Self, Unready> {
        let project = &credentials.service_account.project_id;
        // A project id goes into a path: nothing in it may lead elsewhere.
        if project.is_empty() || !project.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)) {
            return Err(UNUSABLE);
        }
        let endpoint = credentials.endpoint.trim_end_matches('/');
        let uri: Uri = format!("{endpoint}/v1/projects/{project}/messages:send").parse().map_err(|_| UNUSABLE)?;
        Ok(Self {
            pool: &sender.pool,
            batch,
            site: Site::new(&uri, "").map_err(|_| UNUSABLE)?,
            uri,
            account: sender.accounts.of(&credentials.service_account).map_err(|_| UNUSABLE)?,
            payloads: batch.by_wording(|wording| Payload::new(batch.push, wording))?,
        })
    }

    /// All that takes time and is not a message: a connection, and an access token.
    async fn ready(&self) -> Result<(), Refusal> {
        self.token(None).await?;
        let connected = self.pool.connect(&self.site, self.batch.targets.len()).await;
        Ok(connected.inspect_err(|failure| self.batch.complaint.of_failure(failure))?)
    }

    async fn token(&self, failed: Option<&AccessToken>) -> Result<AccessToken, Refusal> {
        let token = self.account.token(failed).await;
        Ok(token.inspect_err(|error| self.batch.complaint.of_grant(error))?)
    }

    /// Sends to one device.
    async fn send(&self, target: &Target, turn: Turn) -> Outcome {
        match self.send_with_a_fresh_token(target, &turn).await {
            Ok(()) => Outcome::Delivered,
            Err(refusal) => refusal.outcome(),
        }
    }

    async fn send_with_a_fresh_token(&self, target: &Target, turn: &Turn) -> Result<(), Refusal> {
        let token = self.token(None).await?;
        match self.try_send(target, &token, turn).await {
            Err(Refusal::Unauthenticated) if !token.trial().fail() => {
                let newer = self.token(Some(&token)).await?;
                newer.trial().begin();
                self.try_send(target, &newer, turn).await.inspect(|()| newer.trial().pass())
            }
            Err(Refusal::Unauthenticated) => Err(Refusal::Unauthenticated),
            result => result.inspect(|()| token.trial().pass()),
        }
    }

    async fn try_send(&self, target: &Target, token: &AccessToken, turn: &Turn) -> Result<(), Refusal> {
        if !self.batch.is_alive() {
            return Err(Refusal::Late);
        }
        let payload = self.payloads.of(target).ok_or(Refusal::Forbidden)?;
        let body = payload.body(&target.token, self.batch.remaining_secs());
        let request = Request::post(self.uri.clone())
            .header(header::AUTHORIZATION, token.header())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| Refusal::Forbidden)?;
        let answer = self.pool.send(&self.site, turn, request).await;
        let answer = answer.inspect_err(|failure| self.batch.complaint.of_failure(failure))?;
        let Some(refusal) = answer::refusal(answer.status, &answer.body, answer.retry_after) else {
            return Ok(());
        };
        self.batch.complaint.of_answer(&refusal.outcome(), answer.status, &answer::reason(&answer.body));
        Err(refusal)
    }
}

#[cfg(test)]
mod tests;
