//! vivo Push, for the phones of vivo and iQOO: one device by one request, up to a thousand by two, a message that is saved
//! and then sent to a list. With an access token that all environments share.

mod answer;
mod credential;
mod payload;

use serde::Serialize;

use crate::domain::{Outcome, VivoCredentials};

use super::access::AccessToken;
use super::batch::{Batch, ByWording};
use super::check::Unfit;
use super::http2::Answer;
use super::turns::Turn;
use super::{Shared, Target};
use answer::Verdict;
use credential::Credential;
use payload::Payload;
pub(super) use payload::check;

const SEND: &str = "/message/send";
const SAVE: &str = "/message/saveListPayload";
const SEND_TO_LIST: &str = "/message/pushToList";
/// Most devices in one list, which has two at least (vivo, "Push to a list").
const MAX_LIST: usize = 1_000;
/// Requests under way at a time: a few fill the rate of 3,000 devices a second.
const CONCURRENCY: usize = 8;

/// Sends to vivo's phones.
pub(super) struct Sender {
    shared: Shared,
}

impl Sender {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// One outcome for each target of the batch.
    pub(super) async fn send(&self, credentials: &VivoCredentials, batch: &Batch<'_>) -> Vec<Outcome> {
        match Job::new(&self.shared, credentials, batch) {
            Ok(job) => {
                batch
                    .each_request(
                        MAX_LIST,
                        CONCURRENCY,
                        |target| target.wording,
                        |targets, turn| job.send(targets, turn),
                    )
                    .await
            }
            Err(error) => batch.unsendable(&error, &Outcome::Permanent),
        }
    }
}

/// What all requests of a batch have in common.
struct Job<'a> {
    shared: &'a Shared,
    batch: &'a Batch<'a>,
    credential: Credential<'a>,
    endpoint: &'a str,
    payloads: ByWording<Payload<'a>>,
}

impl<'a> Job<'a> {
    fn new(shared: &'a Shared, credentials: &'a VivoCredentials, batch: &'a Batch<'a>) -> Result<Self, Unfit> {
        Ok(Self {
            shared,
            batch,
            credential: Credential::new(shared, credentials, batch),
            endpoint: credentials.endpoint.trim_end_matches('/'),
            payloads: batch.by_wording(|wording| Payload::new(batch.push, wording, credentials))?,
        })
    }

    /// Sends to the devices of one list; once more, with another access token, if the first is refused.
    async fn send(&self, targets: Vec<&Target>, turn: Turn) -> Vec<Outcome> {
        let send = |token: AccessToken| {
            let (targets, turn) = (&targets, &turn);
            async move {
                match self.try_send(targets, &token, turn).await {
                    Verdict::Unauthenticated => None,
                    verdict => Some(verdict.outcomes(targets)),
                }
            }
        };
        self.credential.send_to(targets.len(), send).await
    }

    async fn try_send(&self, targets: &[&Target], token: &AccessToken, turn: &Turn) -> Verdict {
        let Some(payload) = self.payloads.of(targets[0]) else { return Verdict::All(Outcome::Transient(None)) };
        if let [target] = targets {
            return self.post(SEND, token, turn, || payload.to_one(target, self.batch.remaining_secs())).await;
        }
        // A batch seldom has more than one list of a wording, so each list saves its own message: to share one would save
        // next to nothing.
        // vivo counts messages, and saving one is none.
        match self.post(SAVE, token, &Turn::free(), || payload.saved(self.batch.remaining_secs())).await {
            Verdict::Taken { task: Some(task), .. } => {
                self.post(SEND_TO_LIST, token, turn, || payload.to_list(&task, targets)).await
            }
            // Saved, and it does not say as what.
            Verdict::Taken { .. } => Verdict::All(Outcome::Transient(None)),
            verdict => verdict,
        }
    }

    async fn post<T: Serialize>(
        &self,
        path: &str,
        token: &AccessToken,
        turn: &Turn,
        body: impl FnOnce() -> T,
    ) -> Verdict {
        if !self.batch.is_alive() {
            return Verdict::All(Outcome::Transient(None));
        }
        // Texts and numbers only: nothing here can fail to be JSON.
        let body = serde_json::to_vec(&body()).unwrap_or_default();
        let url = format!("{}{path}", self.endpoint);
        let request = self.shared.http.post(&url, "application/json", body).header("authToken", token.expose());
        let Answer { status, retry_after, body, .. } = match self.batch.ask(&self.shared.http, turn, request).await {
            Ok(answer) => answer,
            Err(outcome) => return Verdict::All(outcome),
        };
        let verdict = answer::verdict(status, &body, retry_after);
        if let Some(outcome) = verdict.of_all() {
            self.batch.complaint.of_answer(outcome, status, &answer::code(&body));
        }
        verdict
    }
}

#[cfg(test)]
mod tests;
