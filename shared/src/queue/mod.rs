//! Work between functions, over SQS standard queues. The only module that names the SQS SDK.
//!
//! Every queue delivers at least once, in any order; every task is safe to run twice.

mod consumer;
mod producer;
mod retry;
mod task;

pub use consumer::{Failure, consume};
pub use producer::{QueueError, Queues, Urls, Webhooks};
pub use retry::retry_delay;
pub use task::{DeliverTask, Destination, FanOutTask, News, Planned, Resume, WebhookTask};

pub use aws_sdk_sqs::Client;
