//! Xiaomi MiPush: up to a thousand devices of one package a request, with a secret that never changes.

mod answer;
mod payload;

use secrecy::ExposeSecret;

use crate::domain::{Outcome, XiaomiCredentials};

use super::batch::{Batch, ByWording};
use super::check::Unfit;
use super::http2::Answer;
use super::turns::Turn;
use super::{Shared, Target};
use answer::Verdict;
use payload::Payload;
pub(super) use payload::check;

/// Most tokens in one request (Xiaomi, "Server API", `registration_id`).
const MAX_TOKENS: usize = 1_000;

/// Sends to Xiaomi's phones.
pub(super) struct Sender {
    shared: Shared,
}

impl Sender {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// One outcome for each target of the batch.
    pub(super) async fn send(&self, credentials: &XiaomiCredentials, batch: &Batch<'_>) -> Vec<Outcome> {
        match Job::new(&self.shared, credentials, batch) {
            Ok(job) => match batch.connect(&self.shared.http, &job.url, MAX_TOKENS).await {
                Ok(()) => {
                    let job = &job;
                    let key = |target| (job.package(target), target.wording);
                    batch.each_request(MAX_TOKENS, key, |targets, turn| job.send(targets, turn)).await
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
    credentials: &'a XiaomiCredentials,
    url: String,
    payloads: ByWording<Payload<'a>>,
}

impl<'a> Job<'a> {
    fn new(shared: &'a Shared, credentials: &'a XiaomiCredentials, batch: &'a Batch<'a>) -> Result<Self, Unfit> {
        Ok(Self {
            shared,
            batch,
            credentials,
            url: format!("{}/v3/message/regid", credentials.endpoint.trim_end_matches('/')),
            payloads: batch.by_wording(|wording| Payload::new(batch.push, wording, credentials))?,
        })
    }

    fn package<'t>(&self, target: &'t Target) -> &'t str
    where
        'a: 't,
    {
        target.package.as_deref().unwrap_or(&self.credentials.package)
    }

    /// Sends to the devices of one request, which share package and wording.
    async fn send(&self, targets: Vec<&Target>, turn: Turn) -> Vec<Outcome> {
        let Some(payload) = self.payloads.of(targets[0]).filter(|_| self.batch.is_alive()) else {
            return vec![Outcome::Transient(None); targets.len()];
        };
        let body = payload.body(self.package(targets[0]), &targets, self.batch.remaining_secs());
        let key = format!("key={}", self.credentials.app_secret.expose_secret());
        let request = self.shared.http.post(&self.url, "application/x-www-form-urlencoded", body);
        let Answer { status, retry_after, body, .. } =
            match self.batch.ask(&self.shared.http, &turn, request.header(http::header::AUTHORIZATION, key)).await {
                Ok(answer) => answer,
                Err(outcome) => return vec![outcome; targets.len()],
            };
        let (code, verdict) = answer::verdict(status, &body, retry_after);
        if let Verdict::All(outcome) = &verdict {
            self.batch.complaint.of_answer(outcome, status, &code.map(|code| code.to_string()).unwrap_or_default());
        }
        let outcomes = verdict.outcomes(&targets);
        if self.package(targets[0]) == self.credentials.package {
            return outcomes;
        }
        // Whoever registered can have named any package. That it is not one of the app's is no matter of the app's.
        let of_device = |outcome| if outcome == Outcome::Config { Outcome::NotEntitled } else { outcome };
        outcomes.into_iter().map(of_device).collect()
    }
}

#[cfg(test)]
mod tests;
