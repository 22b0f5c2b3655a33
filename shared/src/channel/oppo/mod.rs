//! OPPO Push, for the phones of OPPO, realme and OnePlus: up to a thousand devices a request, with an access token that all
//! environments share.
//!
//! Of OPPO's two ways to send to many, this is the batch of single pushes (`unicast_batch`), and not the saved message that
//! is broadcast to a list:
//! - it answers for each device by itself, where a broadcast names only those it failed for;
//! - each message has an id of its own by which OPPO drops a repetition, so what went unanswered can be sent again;
//! - messages about one user (a `category` such as `IM`) may be sent to single users only;
//! - it is one request instead of two that depend on each other.
//!
//! The price is that the notification is said anew for each device: half a kilobyte, five cents a million devices.

mod answer;
mod credential;
mod payload;

use crate::domain::{OppoCredentials, Outcome};

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

const SEND: &str = "/server/v1/message/notification/unicast_batch";
/// Most messages in one request (OPPO, "Batch of single pushes").
const MAX_MESSAGES: usize = 1_000;
/// Most bytes of a request. OPPO publishes no limit; servers of its kind often take no longer form than 2 MB.
const MAX_REQUEST_BYTES: usize = 512 * 1024;

/// Sends to OPPO's phones.
pub(super) struct Sender {
    shared: Shared,
}

impl Sender {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// One outcome for each target of the batch.
    pub(super) async fn send(&self, credentials: &OppoCredentials, batch: &Batch<'_>) -> Vec<Outcome> {
        match Job::new(&self.shared, credentials, batch) {
            Ok(job) => match job.ready(job.most()).await {
                Ok(()) => {
                    batch
                        .each_request(job.most(), |target| target.wording, |targets, turn| job.send(targets, turn))
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
    credential: Credential<'a>,
    url: String,
    forget_unsubscribed: bool,
    payloads: ByWording<Payload<'a>>,
}

impl<'a> Job<'a> {
    fn new(shared: &'a Shared, credentials: &'a OppoCredentials, batch: &'a Batch<'a>) -> Result<Self, Unfit> {
        let default_title = credentials.default_title.as_deref();
        Ok(Self {
            shared,
            batch,
            credential: Credential::new(shared, credentials, batch),
            url: format!("{}{SEND}", credentials.endpoint.trim_end_matches('/')),
            forget_unsubscribed: credentials.forget_unsubscribed,
            payloads: batch.by_wording(|wording| Payload::new(batch.push, wording, default_title))?,
        })
    }

    /// How many messages there may be in each request.
    fn most(&self) -> usize {
        let sizes = self.batch.targets.iter().filter_map(|target| Some(self.payloads.of(target)?.most_bytes(target)));
        (MAX_REQUEST_BYTES / sizes.max().unwrap_or(1).max(1)).clamp(1, MAX_MESSAGES)
    }

    /// All that takes time and is not a message: a connection, and an access token.
    async fn ready(&self, most: usize) -> Result<(), Outcome> {
        self.batch.connect(&self.shared.http, &self.url, most).await?;
        self.credential.ready().await
    }

    /// Sends to the devices of one request; once more, with another access token, if the first is refused.
    async fn send(&self, targets: Vec<&Target>, turn: Turn) -> Vec<Outcome> {
        let send = |token: AccessToken| {
            let (targets, turn) = (&targets, &turn);
            async move {
                match self.try_send(targets, &token, turn).await {
                    Verdict::Unauthenticated => None,
                    verdict => Some(verdict.outcomes(targets, self.forget_unsubscribed)),
                }
            }
        };
        self.credential.send_to(targets.len(), send).await
    }

    async fn try_send(&self, targets: &[&Target], token: &AccessToken, turn: &Turn) -> Verdict {
        let Some(payload) = self.payloads.of(targets[0]).filter(|_| self.batch.is_alive()) else {
            return Verdict::All(Outcome::Transient(None));
        };
        let messages = payload.messages(targets, self.batch.remaining_secs());
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("auth_token", token.expose())
            .append_pair("messages", &messages)
            .finish();
        let request = self.shared.http.post(&self.url, "application/x-www-form-urlencoded", form);
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
