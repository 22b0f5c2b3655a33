//! Huawei Push Kit, for its phones with Android: up to a thousand devices a request, with an access token that all
//! environments share.

mod answer;
mod payload;

use crate::domain::{Channel, HuaweiCredentials, Outcome};

use super::access::AccessToken;
use super::batch::{Batch, ByWording, Unready};
use super::http2::Answer;
use super::oauth::{Client, ClientCredentials};
use super::turns::Turn;
use super::{Shared, Target};
use payload::Payload;
pub(super) use payload::check;

/// Most tokens in one request (Huawei, error 80300010).
const MAX_TOKENS: usize = 1_000;

/// Sends to Huawei's phones.
pub(super) struct Sender {
    shared: Shared,
}

impl Sender {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// One outcome for each target of the batch.
    pub(super) async fn send(&self, credentials: &HuaweiCredentials, batch: &Batch<'_>) -> Vec<Outcome> {
        match Job::new(&self.shared, credentials, batch) {
            Ok(job) => match job.ready(MAX_TOKENS).await {
                Ok(()) => {
                    batch
                        .each_request(MAX_TOKENS, |target| target.wording, |targets, turn| job.send(targets, turn))
                        .await
                }
                Err(outcome) => batch.all(&outcome),
            },
            Err(error) => batch.unsendable(&error, &error.outcome()),
        }
    }
}

/// What all requests of a batch have in common.
struct Job<'a> {
    shared: &'a Shared,
    batch: &'a Batch<'a>,
    credential: ClientCredentials<'a>,
    url: String,
    payloads: ByWording<Payload<'a>>,
}

impl<'a> Job<'a> {
    fn new(shared: &'a Shared, credentials: &'a HuaweiCredentials, batch: &'a Batch<'a>) -> Result<Self, Unready> {
        let HuaweiCredentials { endpoint, token_uri, app_id, client_secret, badge_class, .. } = credentials;
        // It goes into a path: nothing in it may lead elsewhere.
        if app_id.is_empty() || !app_id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Unready::Settings("the app's id"));
        }
        let client = Client { token_uri, id: app_id, secret: client_secret };
        let payload = |wording| Payload::new(batch.push, wording, badge_class.as_deref());
        Ok(Self {
            shared,
            batch,
            credential: ClientCredentials::new(shared, batch, Channel::Huawei, client),
            url: format!("{}/v1/{app_id}/messages:send", endpoint.trim_end_matches('/')),
            payloads: batch.by_wording(payload)?,
        })
    }

    /// All that takes time and is not a message: a connection, and an access token.
    async fn ready(&self, most: usize) -> Result<(), Outcome> {
        self.batch.connect(&self.shared.http, &self.url, most).await?;
        self.credential.ready().await
    }

    /// Sends to the devices of one request.
    async fn send(&self, targets: Vec<&Target>, turn: Turn) -> Vec<Outcome> {
        self.credential.send_to(targets.len(), |token| self.try_send(&targets, token, &turn)).await
    }

    /// One outcome for each of them; `None` if the access token is not accepted.
    async fn try_send(&self, targets: &[&Target], token: AccessToken, turn: &Turn) -> Option<Vec<Outcome>> {
        let all = |outcome: Outcome| Some(vec![outcome; targets.len()]);
        let Some(payload) = self.payloads.of(targets[0]).filter(|_| self.batch.is_alive()) else {
            return all(Outcome::Transient(None));
        };
        let body = payload.body(targets, self.batch.remaining_secs());
        let request = self.shared.http.post(&self.url, "application/json", body).bearer_auth(token.expose());
        let Answer { status, retry_after, body, .. } = match self.batch.ask(&self.shared.http, turn, request).await {
            Ok(answer) => answer,
            Err(outcome) => return all(outcome),
        };
        let verdict = answer::verdict(status, &body, retry_after);
        if let Some(outcome) = verdict.of_all() {
            self.batch.complaint.of_answer(outcome, status, &answer::code(&body));
        }
        verdict.outcomes(targets)
    }
}

#[cfg(test)]
mod tests;
