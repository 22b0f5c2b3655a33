//! Meizu Flyme Push: up to a hundred devices a request, each request signed.

mod answer;
mod credential;
mod payload;

use crate::domain::{MeizuCredentials, Outcome};

use super::batch::{Batch, ByWording};
use super::check::Unfit;
use super::http2::Answer;
use super::turns::Turn;
use super::{Shared, Target};
use answer::Verdict;
use payload::Payload;

/// Most tokens in one request (Meizu, "Push API", `pushIds`; older documents allow a thousand).
const MAX_TOKENS: usize = 100;
/// To push ids, a notification.
const PATH: &str = "/garcia/api/server/push/varnished/pushByPushId";

/// Sends to Meizu's phones.
pub(super) struct Sender {
    shared: Shared,
}

impl Sender {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// One outcome for each target of the batch.
    pub(super) async fn send(&self, credentials: &MeizuCredentials, batch: &Batch<'_>) -> Vec<Outcome> {
        match Job::new(&self.shared, credentials, batch) {
            Ok(job) => match batch.connect(&self.shared.http, &job.url, MAX_TOKENS).await {
                Ok(()) => {
                    batch
                        .each_request(MAX_TOKENS, |target| target.wording, |targets, turn| job.send(targets, turn))
                        .await
                }
                Err(outcome) => batch.all(&outcome),
            },
            Err(error) => batch.unsendable(&error, &Outcome::Permanent),
        }
    }
}

/// What all requests of a batch have in common.
struct Job<'a> {
    shared: &'a Shared,
    batch: &'a Batch<'a>,
    credentials: &'a MeizuCredentials,
    url: String,
    payloads: ByWording<Payload<'a>>,
}

impl<'a> Job<'a> {
    fn new(shared: &'a Shared, credentials: &'a MeizuCredentials, batch: &'a Batch<'a>) -> Result<Self, Unfit> {
        Ok(Self {
            shared,
            batch,
            credentials,
            url: format!("{}{PATH}", credentials.endpoint.trim_end_matches('/')),
            payloads: batch
                .by_wording(|wording| Payload::new(batch.push, wording, credentials.default_title.as_deref()))?,
        })
    }

    /// Sends to the devices of one request, which share a wording.
    async fn send(&self, targets: Vec<&Target>, turn: Turn) -> Vec<Outcome> {
        let Some(payload) = self.payloads.of(targets[0]).filter(|_| self.batch.is_alive()) else {
            return vec![Outcome::Transient(None); targets.len()];
        };
        let message = payload.message(self.batch.remaining_secs());
        let body = credential::form(self.credentials, &targets, &message);
        let request = self.shared.http.post(&self.url, "application/x-www-form-urlencoded;charset=UTF-8", body);
        let Answer { status, retry_after, body, .. } = match self.batch.ask(&self.shared.http, &turn, request).await {
            Ok(answer) => answer,
            Err(outcome) => return vec![outcome; targets.len()],
        };
        let (code, verdict) = answer::verdict(status, &body, retry_after);
        if let Verdict::All(outcome) = &verdict {
            self.batch.complaint.of_answer(outcome, status, &code);
        }
        verdict.outcomes(&targets)
    }
}

#[cfg(test)]
mod tests;
