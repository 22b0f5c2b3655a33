//! Live sockets, by API Gateway's `@connections`.

mod answer;
mod payload;
mod socket;

use std::time::Duration;

pub use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::config::Config;
use aws_sdk_apigatewaymanagement::config::retry::RetryConfig;
use aws_sdk_apigatewaymanagement::primitives::Blob;

use crate::domain::Outcome;

use super::Target;
use super::batch::Batch;
use super::turns::Turn;
use answer::Refusal;
pub use payload::frame;
pub use socket::{CloseError, Ended, PostError, Sockets};

/// Posts under way at a time. At 20 ms each, the account's whole limit of 10,000 a second would take twice as many; the
/// limit is shared with every other API of the account.
const CONCURRENCY: usize = 100;

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
        let job = Job { client: &self.client, batch, frame: Blob::new(frame(batch.push).into_bytes()) };
        batch.each(batch.targets, CONCURRENCY, |target, turn| job.send(target, turn)).await
    }
}

struct Job<'a> {
    client: &'a Client,
    batch: &'a Batch<'a>,
    frame: Blob,
}

impl Job<'_> {
    async fn send(&self, target: &Target, turn: Turn) -> Outcome {
        self.try_send(target, turn).await.map_or_else(|refusal| refusal.outcome(), |()| Outcome::Delivered)
    }

    async fn try_send(&self, target: &Target, turn: Turn) -> Result<(), Refusal> {
        turn.take().await?;
        if !self.batch.is_alive() {
            return Err(Refusal::Late);
        }
        let posted = self
            .client
            .post_to_connection()
            .connection_id(target.token.expose())
            .data(self.frame.clone())
            .customize()
            // Tries of the SDK's own would take no turn.
            .config_override(Config::builder().retry_config(RetryConfig::disabled()))
            .send()
            .await;
        posted.map(drop).map_err(|error| {
            let (refusal, status) = answer::refusal(&error);
            match status {
                Some(status) => self.batch.complaint.of_answer(&refusal.outcome(), status, ""),
                None => self.batch.complaint.of_failure(&error),
            }
            refusal
        })
    }
}

#[cfg(test)]
mod tests;
