//! Sending tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use serde::Serialize;
use tracing::error;

use crate::domain::{AppId, Channel, limits};
use crate::runtime::config::{ConfigError, Lookup, optional, required};
use crate::runtime::telemetry::chain;

use super::{DeliverTask, FanOutTask, News, WebhookTask};

/// Most messages of one `SendMessageBatch` (SQS, message quotas).
const MESSAGES_PER_SEND: usize = 10;
/// Most bytes of one `SendMessageBatch`, with room for what surrounds the bodies.
const BYTES_PER_SEND: usize = 240 * 1024;
/// How often messages are sent again that SQS did not take.
const ROUNDS: u32 = 4;
/// For how long news of a webhook may hold back what they are about.
const NEWS_PATIENCE: Duration = Duration::from_secs(2);

/// A task that could not be enqueued.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// SQS did not answer, or refused.
    #[error("the queue failed: {code}")]
    Unavailable {
        /// The code of the failure, or that there was no answer.
        code: String,
        /// The failure.
        source: Box<aws_sdk_sqs::Error>,
    },
    /// SQS took some messages of a batch, and these not.
    #[error("the queue refused {refused} messages: {code}")]
    Refused {
        /// How many.
        refused: usize,
        /// The code of the first.
        code: String,
    },
    /// The task has no queue.
    #[error("channel {0} has no queue")]
    NoQueue(Channel),
    /// The task cannot be written down.
    #[error("the task cannot be serialized")]
    Serialize(#[from] serde_json::Error),
}

impl QueueError {
    fn of(error: impl Into<aws_sdk_sqs::Error>) -> Self {
        let source = Box::new(error.into());
        let code = source.code().unwrap_or("no answer").to_owned();
        Self::Unavailable { code, source }
    }
}

/// Where the queues are.
#[derive(Debug, Clone)]
pub struct Urls {
    /// The queue of `fan-out`.
    pub fan_out: String,
    /// The queues of `deliver`. A channel without one cannot be sent through.
    pub deliver: BTreeMap<Channel, String>,
}

impl Urls {
    /// From `FANFARE_FAN_OUT_QUEUE_URL` and, for each channel, `FANFARE_DELIVER_<CHANNEL>_QUEUE_URL`.
    pub fn from_lookup(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        let deliver = Channel::ALL.iter().filter_map(|channel| {
            let name = format!("FANFARE_DELIVER_{}_QUEUE_URL", channel.name().to_uppercase());
            Some((*channel, optional(lookup, &name)?))
        });
        Ok(Self { fan_out: required(lookup, "FANFARE_FAN_OUT_QUEUE_URL")?, deliver: deliver.collect() })
    }
}

/// Sends tasks.
#[derive(Clone)]
pub struct Queues {
    client: Client,
    urls: Urls,
}

impl Queues {
    /// Over the queues at `urls`.
    pub fn new(client: Client, urls: Urls) -> Self {
        Self { client, urls }
    }

    /// Whether a channel can be sent through.
    pub fn serves(&self, channel: Channel) -> bool {
        self.urls.deliver.contains_key(&channel)
    }

    /// Enqueues work of `fan-out`, to be seen after a delay of up to 900 s.
    pub async fn fan_out(&self, tasks: &[FanOutTask], delay: Duration) -> Result<(), QueueError> {
        let messages =
            tasks.iter().map(|task| Ok(Message::new(task, delay)?)).collect::<Result<Vec<_>, QueueError>>()?;
        send(&self.client, &self.urls.fan_out, messages).await
    }

    /// Enqueues batches of one channel, each to be seen after its delay of up to 900 s.
    pub async fn deliver(&self, channel: Channel, tasks: &[(DeliverTask, Duration)]) -> Result<(), QueueError> {
        let url = self.urls.deliver.get(&channel).ok_or(QueueError::NoQueue(channel))?;
        let messages = tasks
            .iter()
            .map(|(task, delay)| Ok(Message::new(task, *delay)?))
            .collect::<Result<Vec<_>, QueueError>>()?;
        send(&self.client, url, messages).await
    }
}

/// Sends the tasks of `webhook`.
#[derive(Clone)]
pub struct Webhooks {
    client: Client,
    url: String,
}

impl Webhooks {
    /// Over the queue at `url`.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    /// Over the queue at `FANFARE_WEBHOOK_QUEUE_URL`.
    pub fn from_lookup(client: Client, lookup: &impl Lookup) -> Result<Self, ConfigError> {
        Ok(Self::new(client, required(lookup, "FANFARE_WEBHOOK_QUEUE_URL")?))
    }

    /// Has an app's server told some news. Whoever has news has something better to do than to tell them: what the queue
    /// does not take in [`NEWS_PATIENCE`] is logged and lost.
    pub async fn tell(&self, app: &AppId, news: Vec<News>) {
        if news.is_empty() {
            return;
        }
        let task = |news| WebhookTask { app: app.clone(), news, attempt: 0, window: None };
        let tasks: Vec<WebhookTask> = news.into_iter().map(task).collect();
        match tokio::time::timeout(NEWS_PATIENCE, self.enqueue(&tasks, Duration::ZERO)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                error!(app.id = %app, error = chain(&error), calls = tasks.len(), "The webhook of `{app}` misses some news");
            }
            Err(_) => {
                error!(app.id = %app, calls = tasks.len(), "The webhook of `{app}` misses some news: no answer in time")
            }
        }
    }

    /// Enqueues calls to apps' servers, to be seen after a delay of up to 900 s. Each is in the message group of its app:
    /// SQS lets a queue's tenants with few messages pass one with many (SQS, "fair queues").
    pub async fn enqueue(&self, tasks: &[WebhookTask], delay: Duration) -> Result<(), QueueError> {
        let messages = tasks
            .iter()
            .map(|task| Ok(Message { group: Some(task.app.to_string()), ..Message::new(task, delay)? }))
            .collect::<Result<Vec<_>, QueueError>>()?;
        send(&self.client, &self.url, messages).await
    }
}

async fn send(client: &Client, url: &str, messages: Vec<Message>) -> Result<(), QueueError> {
    for group in grouped(messages) {
        send_group(client, url, group).await?;
    }
    Ok(())
}

/// Sends up to ten messages. Those that SQS did not take are sent again: they are no error of the call.
async fn send_group(client: &Client, url: &str, mut messages: Vec<Message>) -> Result<(), QueueError> {
    if let [message] = messages.as_slice() {
        let send = client.send_message().queue_url(url).message_body(&message.body);
        let send = send.set_message_group_id(message.group.clone());
        let sent = send.delay_seconds(message.delay_secs).send().await;
        return sent.map(drop).map_err(QueueError::of);
    }
    let mut refused = String::new();
    for round in 0..ROUNDS {
        if round > 0 {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(20..100) << round)).await;
        }
        let entries = messages
            .iter()
            .enumerate()
            .map(|(id, message)| {
                SendMessageBatchRequestEntry::builder()
                    .id(id.to_string())
                    .message_body(&message.body)
                    .delay_seconds(message.delay_secs)
                    .set_message_group_id(message.group.clone())
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(QueueError::of)?;
        let answer = client
            .send_message_batch()
            .queue_url(url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(QueueError::of)?;
        let Some(first) = answer.failed.first() else { return Ok(()) };
        refused.clone_from(&first.code);
        let failed: Vec<usize> = answer.failed.iter().filter_map(|entry| entry.id.parse().ok()).collect();
        let mut id = 0..;
        messages.retain(|_| id.next().is_some_and(|id| failed.contains(&id)));
    }
    Err(QueueError::Refused { refused: messages.len(), code: refused })
}

struct Message {
    body: String,
    delay_secs: i32,
    /// The tenant it counts for, in a queue that several share.
    group: Option<String>,
}

impl Message {
    fn new(task: &impl Serialize, delay: Duration) -> Result<Self, serde_json::Error> {
        let delay_secs = delay.as_secs().min(limits::QUEUE_DELAY_SECS as u64) as i32;
        Ok(Self { body: serde_json::to_string(task)?, delay_secs, group: None })
    }
}

/// As many messages together as one send takes.
fn grouped(messages: Vec<Message>) -> Vec<Vec<Message>> {
    let mut groups: Vec<Vec<Message>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        let size = message.body.len();
        match groups.last_mut() {
            Some(group) if group.len() < MESSAGES_PER_SEND && bytes + size <= BYTES_PER_SEND => {
                bytes += size;
                group.push(message);
            }
            _ => {
                bytes = size;
                groups.push(vec![message]);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(bodies: &[usize]) -> Vec<usize> {
        let messages =
            bodies.iter().map(|length| Message { body: "x".repeat(*length), delay_secs: 0, group: None }).collect();
        grouped(messages).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_send_takes_ten_messages_and_240_kb() {
        assert_eq!(lengths(&[10; 25]), [10, 10, 5]);
        assert_eq!(lengths(&[64 * 1024; 7]), [3, 3, 1]);
        assert_eq!(lengths(&[250 * 1024, 1]), [1, 1]);
    }

    #[test]
    fn a_delay_is_cut_at_the_longest_that_sqs_takes() {
        assert_eq!(Message::new(&1, Duration::from_secs(5_000)).unwrap().delay_secs, 900);
    }

    #[test]
    fn channels_without_a_queue_are_not_served() {
        let urls = Urls::from_lookup(&|name: &str| (!name.contains("HUAWEI")).then(|| name.to_owned())).unwrap();
        assert_eq!(urls.deliver[&Channel::Fcm], "FANFARE_DELIVER_FCM_QUEUE_URL");
        assert!(!urls.deliver.contains_key(&Channel::Huawei));
    }
}
