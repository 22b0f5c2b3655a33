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
use super::batch::{Batch, Complaint};
use super::pace::Pace;
use answer::Refusal;
pub use payload::frame;
pub use socket::{CloseError, Ended, PostError, Sockets};

/// Posts under way at a time. At 20 ms each, the account's whole limit of 10,000 a second would take twice as many; the
/// limit is shared with every other API of the account.
const CONCURRENCY: usize = 100;

/// A connection answers "gone" until its `$connect` has returned, and may be written to from a little before. This much
/// later it has: whatever `$connect` does after it has made the connection known must take no longer.
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
        let job = Job {
            client: &self.client,
            batch,
            pace: Pace::new(batch.rate),
            complaint: Complaint::new(batch),
            frame: Blob::new(frame(batch.push).into_bytes()),
        };
        batch.each(CONCURRENCY, |target| job.send(target)).await
    }
}

struct Job<'a> {
    client: &'a Client,
    batch: &'a Batch<'a>,
    pace: Pace,
    complaint: Complaint,
    frame: Blob,
}

impl Job<'_> {
    async fn send(&self, target: &Target) -> Outcome {
        match self.try_send(target).await {
            Ok(()) => Outcome::Delivered,
            Err(Refusal::Gone) => {
                tokio::time::sleep(NEWBORN).await;
                self.try_send(target).await.map_or_else(|refusal| refusal.outcome(), |()| Outcome::Delivered)
            }
            Err(refusal) => refusal.outcome(),
        }
    }

    async fn try_send(&self, target: &Target) -> Result<(), Refusal> {
        self.pace.turn().await;
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
                Some(status) => self.complaint.of_answer(&refusal.outcome(), status, ""),
                None => self.complaint.of_failure(&error),
            }
            refusal
        })
    }
}

#[cfg(test)]
mod tests;
