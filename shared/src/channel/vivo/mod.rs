//! vivo Push, for the phones of vivo and iQOO: one device by one request, up to a thousand by two, a message that is saved
//! and then sent to a list. With an access token that all environments share.

mod answer;
mod credential;
mod payload;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Serialize;

use crate::domain::{Outcome, VivoCredentials, Wording};

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
            Ok(mut job) => match job.ready().await {
                Ok(()) => {
                    batch.each_request(MAX_LIST, |target| target.wording, |targets, turn| job.send(targets, turn)).await
                }
                Err(outcomes) => outcomes,
            },
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
    /// The messages that lists are sent, by the numbers that vivo gave them; or what it means for a list that it did not.
    saved: BTreeMap<Wording, Result<String, Outcome>>,
}

impl<'a> Job<'a> {
    fn new(shared: &'a Shared, credentials: &'a VivoCredentials, batch: &'a Batch<'a>) -> Result<Self, Unfit> {
        Ok(Self {
            shared,
            batch,
            credential: Credential::new(shared, credentials, batch),
            endpoint: credentials.endpoint.trim_end_matches('/'),
            payloads: batch.by_wording(|wording| Payload::new(batch.push, wording, credentials))?,
            saved: BTreeMap::new(),
        })
    }

    /// All that takes time and is not a message to devices: a connection, an access token, and the messages that lists are
    /// sent, which vivo saves, once each.
    ///
    /// # Errors
    ///
    /// If there is nothing left to send, what came of each target.
    async fn ready(&mut self) -> Result<(), Vec<Outcome>> {
        let (batch, all) = (self.batch, |outcome| self.batch.all(&outcome));
        batch.connect(&self.shared.http, &format!("{}{SEND}", self.endpoint), MAX_LIST).await.map_err(all)?;
        self.credential.ready().await.map_err(all)?;
        if batch.largest(MAX_LIST) == 1 {
            return Ok(());
        }
        let mut counts: BTreeMap<Wording, usize> = BTreeMap::new();
        batch.targets.iter().for_each(|target| *counts.entry(target.wording).or_default() += 1);
        let lists = counts.into_iter().filter(|(_, count)| *count > 1);
        for (wording, _) in lists {
            self.saved.insert(wording, self.save(wording).await);
        }
        let failed = |target: &Target| self.saved.get(&target.wording)?.clone().err();
        match batch.targets.iter().map(failed).collect() {
            Some(outcomes) if !batch.targets.is_empty() => Err(outcomes),
            _ => Ok(()),
        }
    }

    /// Saves the message in a wording, and says its number.
    async fn save(&self, wording: Wording) -> Result<String, Outcome> {
        let saved = OnceLock::new();
        let save = |token: AccessToken| {
            let saved = &saved;
            async move {
                let Some(payload) = self.payloads.get(wording) else { return Some(vec![Outcome::Transient(None)]) };
                // vivo counts messages, and saving one is none.
                match self.post(SAVE, &token, &Turn::free(), || payload.saved(self.batch.remaining_secs())).await {
                    Verdict::Taken { task: Some(task), .. } => {
                        saved.get_or_init(|| task);
                        // Nobody was sent to, and whether the access token is accepted there, that will say.
                        Some(vec![Outcome::Unsent])
                    }
                    // Saved, and it does not say as what; and no answer here is about devices.
                    Verdict::Taken { .. } | Verdict::Invalid(_) => Some(vec![Outcome::Transient(None)]),
                    Verdict::All(outcome) => Some(vec![outcome]),
                    Verdict::Unauthenticated => None,
                }
            }
        };
        let outcomes = self.credential.send_to(1, save).await;
        saved.into_inner().ok_or_else(|| outcomes.into_iter().next().unwrap_or(Outcome::Transient(None)))
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
        match self.saved.get(&targets[0].wording) {
            Some(Ok(task)) => self.post(SEND_TO_LIST, token, turn, || payload.to_list(task, targets)).await,
            Some(Err(outcome)) => Verdict::All(outcome.clone()),
            None => Verdict::All(Outcome::Transient(None)),
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
