//! Event source mappings: messages of a queue become events of a function.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::clock::Clock;
use crate::lambda::Lambda;
use crate::sqs::{Message, Sqs};
use crate::template::{ACCOUNT, Function, QueueMapping, REGION};

/// What waits for its visibility timeout, in one queue.
type Waiting = Arc<Mutex<Vec<Waits>>>;

struct Waits {
    receipt: String,
    /// When it is visible again, in seconds since 1970 by the stack's clock.
    until: u64,
}

/// One mapping at work.
pub struct Mapping {
    work: Arc<Work>,
    task: JoinHandle<()>,
}

struct Work {
    function: String,
    mapping: QueueMapping,
    visibility: Duration,
    sqs: Sqs,
    lambda: Lambda,
    clock: Clock,
    waiting: Waiting,
}

impl Mapping {
    /// Starts to poll.
    pub fn start(
        function: &Function,
        mapping: &QueueMapping,
        visibility: Duration,
        sqs: Sqs,
        lambda: Lambda,
        clock: Clock,
    ) -> Self {
        let at_once = lambda.concurrency(&function.name).min(mapping.maximum_concurrency.unwrap_or(usize::MAX));
        let work = Arc::new(Work {
            function: function.name.clone(),
            mapping: mapping.clone(),
            visibility,
            sqs,
            lambda,
            clock,
            waiting: Waiting::default(),
        });
        Self { task: tokio::spawn(poll(Arc::clone(&work), at_once)), work }
    }

    /// The queue that is polled.
    pub fn queue(&self) -> &str {
        &self.work.mapping.queue
    }

    /// The stack's clock has moved: messages whose visibility timeout is over come back. What was sent with a
    /// delay stays away, because a paced push takes its time.
    pub async fn clock_moved(&self) {
        self.work.release_due().await;
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Receives only when an environment can take the batch: a message that waits in the queue can still
/// go to somebody else.
async fn poll(work: Arc<Work>, at_once: usize) {
    let permits = Arc::new(Semaphore::new(at_once));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let batch = match work.batch().await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "Polling `{}` failed", work.mapping.queue);
                sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        if batch.is_empty() {
            continue;
        }
        let work = Arc::clone(&work);
        tokio::spawn(async move {
            work.process(batch).await;
            drop(permit);
        });
    }
}

impl Work {
    /// Up to a batch of messages; none after a long poll that brought nothing.
    async fn batch(&self) -> Result<Vec<Message>, crate::sqs::Error> {
        let QueueMapping { queue, batch_size, window, .. } = &self.mapping;
        let mut batch = self.sqs.receive(&self.function, queue, *batch_size).await?;
        let end = Instant::now() + *window;
        while batch.len() < *batch_size && !batch.is_empty() && Instant::now() < end {
            let wanted = batch_size - batch.len();
            let more = self.sqs.receive_now(&self.function, queue, wanted).await?;
            if more.is_empty() {
                self.sqs.sent_or_due(queue).await;
            }
            batch.extend(more);
        }
        Ok(batch)
    }

    /// Invokes the function, and deletes what succeeded. The rest comes back after its timeout.
    async fn process(&self, batch: Vec<Message>) {
        let until = self.clock.now() + self.visibility.as_secs();
        let event = Bytes::from(event(&batch, &self.mapping.queue).to_string());
        let failed = match self.lambda.invoke(&self.function, event).await {
            Ok(answer) if self.mapping.reports_failures => failed_items(&answer, &batch),
            Ok(_) => Vec::new(),
            Err(_) => batch.iter().map(|message| message.message_id.clone()).collect(),
        };
        let (failed, done): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|message| failed.contains(&message.message_id));
        let done: Vec<String> = done.into_iter().map(|message| message.receipt_handle).collect();
        let failed = failed.into_iter().map(|message| Waits { receipt: message.receipt_handle, until });
        self.waiting().extend(failed);
        // The clock may have moved while the function was at work.
        self.release_due().await;
        if let Err(error) = self.sqs.delete(&self.function, &self.mapping.queue, &done).await {
            tracing::error!(%error, "Deleting from `{}` failed", self.mapping.queue);
        }
    }

    /// Makes visible what the stack's clock says is. The queue itself goes by the machine's clock.
    async fn release_due(&self) {
        let now = self.clock.now();
        let due: Vec<Waits> = self.waiting().extract_if(.., |waits| waits.until <= now).collect();
        for waits in due {
            // It may have come back by itself, and be somebody else's by now.
            drop(self.sqs.release(&self.mapping.queue, &waits.receipt).await);
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waits>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages that a partial batch response says have failed: all of them when it makes no sense.
fn failed_items(answer: &Bytes, batch: &[Message]) -> Vec<String> {
    let all = || batch.iter().map(|message| message.message_id.clone()).collect();
    if answer.is_empty() {
        return Vec::new();
    }
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
        return all();
    };
    let failures = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(failures)) => failures,
        Some(_) => return all(),
    };
    let mut failed = Vec::new();
    for failure in failures {
        let id = failure["itemIdentifier"].as_str().unwrap_or_default();
        if !batch.iter().any(|message| message.message_id == id) {
            return all();
        }
        failed.push(id.to_owned());
    }
    failed
}

/// The event as Lambda makes it of messages.
fn event(batch: &[Message], queue: &str) -> Value {
    let records: Vec<Value> = batch
        .iter()
        .map(|message| {
            let mut record = json!({
                "messageId": message.message_id,
                "receiptHandle": message.receipt_handle,
                "body": message.body,
                "attributes": message.attributes,
                "messageAttributes": attributes(message),
                "md5OfBody": message.md5_of_body,
                "eventSource": "aws:sqs",
                "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"),
                "awsRegion": REGION,
            });
            if let Some(md5) = &message.md5_of_message_attributes {
                record["md5OfMessageAttributes"] = json!(md5);
            }
            record
        })
        .collect();
    json!({"Records": records})
}

/// Lambda writes the fields of an attribute in lower case.
fn attributes(message: &Message) -> Value {
    let attributes = message.message_attributes.iter().map(|(name, value)| {
        let mut attribute = json!({
            "dataType": value["DataType"],
            "stringListValues": [],
            "binaryListValues": [],
        });
        if let Some(text) = value.get("StringValue") {
            attribute["stringValue"] = text.clone();
        }
        if let Some(bytes) = value.get("BinaryValue") {
            attribute["binaryValue"] = bytes.clone();
        }
        (name.clone(), attribute)
    });
    Value::Object(attributes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Vec<Message> {
        ["a", "b", "c"]
            .iter()
            .map(|id| {
                serde_json::from_value(json!({
                    "MessageId": id,
                    "ReceiptHandle": format!("receipt-{id}"),
                    "Body": "body",
                    "MD5OfBody": "md5",
                    "Attributes": {"ApproximateReceiveCount": "1"},
                    "MessageAttributes": {"k": {"DataType": "String", "StringValue": "v"}},
                }))
                .unwrap()
            })
            .collect()
    }

    fn failed(answer: &str) -> Vec<String> {
        failed_items(&Bytes::from(answer.to_owned()), &batch())
    }

    #[test]
    fn only_the_messages_that_are_named_have_failed() {
        let answer = r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
        assert_eq!(failed(answer), ["b"]);
    }

    #[test]
    fn saying_nothing_is_success() {
        for answer in ["", "null", "{}", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#] {
            assert!(failed(answer).is_empty(), "{answer}");
        }
    }

    #[test]
    fn a_response_that_makes_no_sense_fails_the_batch() {
        for answer in [
            "not json",
            r#"{"batchItemFailures":"b"}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"unknown"}]}"#,
            r#"{"batchItemFailures":[{"id":"b"}]}"#,
        ] {
            assert_eq!(failed(answer).len(), 3, "{answer}");
        }
    }

    #[test]
    fn the_event_is_one_that_functions_can_read() {
        let event = event(&batch(), "FanOutQueue");
        let event: aws_lambda_events::sqs::SqsEvent = serde_json::from_value(event).unwrap();
        let first = &event.records[0];
        assert_eq!(first.message_id.as_deref(), Some("a"));
        assert_eq!(first.attributes["ApproximateReceiveCount"], "1");
        assert_eq!(first.message_attributes["k"].string_value.as_deref(), Some("v"));
        assert_eq!(first.event_source_arn.as_deref(), Some("arn:aws:sqs:us-east-1:000000000000:FanOutQueue"));
    }
}
