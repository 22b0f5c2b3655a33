//! Live sockets, by API Gateway's `@connections`.

mod answer;
mod client;
mod payload;
mod signature;
mod socket;

use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use tracing::error;

use crate::domain::Outcome;

use super::Target;
use super::batch::Batch;
use super::turns::Turn;
use answer::{Refusal, verdict};
pub use client::Client;
pub use payload::frame;
pub use socket::{CloseError, Ended, PostError, Sockets};

/// A connection answers "gone" until its `$connect` has returned, and may be written to from a little before. This much
/// later it has: whatever `$connect` does after it has made the connection known must take no longer. Only what is gone
/// then too is gone.
pub const NEWBORN: Duration = Duration::from_secs(1);

/// Writes to sockets.
pub(super) struct Sender {
    client: Client,
}

impl Sender {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// One outcome for each connection of the batch.
    pub(super) async fn send(&self, batch: &Batch<'_>) -> Vec<Outcome> {
        let job = Job { client: &self.client, batch, frame: frame(batch.push).into(), forbidden: Once::new() };
        match self.client.warm_up(batch.targets.len().min(client::CONCURRENCY)).await {
            Ok(()) => batch.each(batch.targets, client::CONCURRENCY, |target, turn| job.send(target, turn)).await,
            Err(failure) => batch.unreachable(&failure),
        }
    }
}

struct Job<'a> {
    client: &'a Client,
    batch: &'a Batch<'a>,
    frame: Bytes,
    forbidden: Once,
}

impl Job<'_> {
    async fn send(&self, target: &Target, turn: Turn) -> Outcome {
        self.try_send(target, turn).await.map_or_else(|refusal| refusal.outcome(), |()| Outcome::Delivered)
    }

    async fn try_send(&self, target: &Target, turn: Turn) -> Result<(), Refusal> {
        if !self.batch.is_alive() {
            return Err(Refusal::Late);
        }
        let posted = self.client.call(Method::POST, target.token.expose(), self.frame.clone(), &turn).await;
        let status = posted.map_err(|failure| {
            self.batch.complaint.of_failure(&failure);
            Refusal::from(&failure)
        })?;
        verdict(status).inspect_err(|refusal| {
            self.batch.complaint.of_answer(&refusal.outcome(), status, "");
            if *refusal == Refusal::Forbidden {
                self.forbidden.call_once(|| forbidden(status));
            }
        })
    }
}

/// No push is at fault, nor an app, nor does it pass: the installation is set up wrongly, and nobody's socket is reached.
fn forbidden(status: StatusCode) {
    let status = status.as_u16();
    error!(status, "The function may not post to connections: its role lacks the right, or its signature is wrong");
}

#[cfg(test)]
mod tests;
