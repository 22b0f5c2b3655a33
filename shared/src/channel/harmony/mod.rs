//! Huawei Push Kit for HarmonyOS 5 and later (its v3): up to a thousand devices a request, signed by a token that every
//! environment can make for itself.

mod answer;
mod credential;
mod payload;

use std::sync::Arc;

use crate::domain::{HarmonyCredentials, Outcome};

use super::batch::{Batch, ByWording, Unready};
use super::by_credential::ByCredential;
use super::http2::Answer;
use super::turns::Turn;
use super::{Shared, Target};
use answer::Verdict;
use credential::{ProviderToken, Signer};
use payload::Payload;
pub(super) use payload::check;

/// Most tokens in one request (Huawei, error 80300010).
const MAX_TOKENS: usize = 1_000;
/// `push-type` of what is shown.
const ALERT: &str = "0";

const UNUSABLE: Unready = Unready::Settings("the project's id or the key");

/// Sends to devices with HarmonyOS.
pub(super) struct Sender {
    shared: Shared,
    signers: ByCredential<Signer>,
}

impl Sender {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared, signers: ByCredential::default() }
    }

    /// One outcome for each target of the batch.
    pub(super) async fn send(&self, credentials: &HarmonyCredentials, batch: &Batch<'_>) -> Vec<Outcome> {
        match Job::new(self, credentials, batch) {
            Ok(job) => match batch.connect(&self.shared.http, &job.url, MAX_TOKENS).await {
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
    signer: Arc<Signer>,
    url: String,
    payloads: ByWording<Payload<'a>>,
}

impl<'a> Job<'a> {
    fn new(sender: &'a Sender, credentials: &'a HarmonyCredentials, batch: &'a Batch<'a>) -> Result<Self, Unready> {
        let (endpoint, project_id) = (credentials.endpoint.trim_end_matches('/'), &credentials.project_id);
        // It goes into a path: nothing in it may lead elsewhere.
        if project_id.is_empty() || !project_id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(UNUSABLE);
        }
        Ok(Self {
            shared: &sender.shared,
            batch,
            signer: Signer::of(&sender.signers, credentials).map_err(|_| UNUSABLE)?,
            url: format!("{endpoint}/v3/{project_id}/messages:send"),
            payloads: batch.by_wording(|wording| Payload::new(batch.push, wording, credentials))?,
        })
    }

    /// Sends to the devices of one request; once more, with another provider token, if the first is refused.
    async fn send(&self, targets: Vec<&Target>, turn: Turn) -> Vec<Outcome> {
        let mut refused = None;
        loop {
            let Ok(token) = self.signer.token(self.batch.clock.now(), refused.as_ref()) else {
                return vec![UNUSABLE.outcome(); targets.len()];
            };
            if refused.is_some() {
                token.trial().begin();
            }
            match self.try_send(&targets, &token, &turn).await {
                Verdict::Unauthenticated if !token.trial().fail() && refused.is_none() => refused = Some(token),
                Verdict::Unauthenticated => return Verdict::Unauthenticated.outcomes(&targets),
                verdict if verdict.of_all() == Some(&Outcome::Unsent) => return verdict.outcomes(&targets),
                verdict => {
                    token.trial().pass();
                    return verdict.outcomes(&targets);
                }
            }
        }
    }

    async fn try_send(&self, targets: &[&Target], token: &ProviderToken, turn: &Turn) -> Verdict {
        let Some(payload) = self.payloads.of(targets[0]).filter(|_| self.batch.is_alive()) else {
            return Verdict::All(Outcome::Transient(None));
        };
        let body = payload.body(targets, self.batch.remaining_secs());
        let request = self.shared.http.post(&self.url, "application/json", body);
        let request = request.bearer_auth(token.expose()).header("push-type", ALERT);
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
