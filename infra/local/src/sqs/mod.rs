//! SQS: an engine in this process, behind a proxy that counts.

mod billing;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::dispatch::dispatch_operation;
use rustack_sqs_http::response::error_to_response;
use rustack_sqs_http::router::resolve_operation;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::caller::Caller;
use crate::gate::{self, Gate};
use crate::net;
use crate::template::{ACCOUNT, Queue, REGION};
use crate::usage::Usage;

/// The largest request: ten messages and their attributes fit well.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// How long an event source mapping waits for a message in one request.
const LONG_POLL: Duration = Duration::from_secs(20);

/// How often a long poll looks for messages whose delay or visibility timeout has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why SQS could not start, or refused what the stack itself asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No port.
    #[error("SQS cannot listen")]
    Io(#[from] io::Error),
    /// The engine says no.
    #[error("SQS refuses {operation}: {reason}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// What SQS says.
        reason: String,
    },
}

/// A running SQS.
#[derive(Clone)]
pub struct Sqs {
    shared: Arc<Shared>,
}

struct Shared {
    handler: RustackSqsHandler,
    url: String,
    /// Logical ids of queues by name, and who waits for their messages.
    queues: HashMap<String, Known>,
    usage: Usage,
    gate: Gate,
    /// Whole seconds that a message is delayed at most, whatever its sender says.
    longest_delay: AtomicU64,
}

struct Known {
    id: String,
    sent: Notify,
}

/// A message as `ReceiveMessage` answers it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    /// Its id.
    pub message_id: String,
    /// What deletes it.
    pub receipt_handle: String,
    /// What it says.
    pub body: String,
    /// MD5 of the body.
    #[serde(rename = "MD5OfBody")]
    pub md5_of_body: String,
    /// MD5 of the message attributes, if there are any.
    #[serde(rename = "MD5OfMessageAttributes")]
    pub md5_of_message_attributes: Option<String>,
    /// System attributes.
    #[serde(default)]
    pub attributes: HashMap<String, String>,
    /// The sender's attributes, as in the API.
    #[serde(default)]
    pub message_attributes: HashMap<String, Value>,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Waiting to be received.
    pub visible: u64,
    /// Received, and neither deleted nor visible again.
    pub in_flight: u64,
    /// Not due yet.
    pub delayed: u64,
}

impl Sqs {
    /// Starts behind `listener`, with the template's queues.
    ///
    /// # Errors
    ///
    /// When a queue is refused.
    pub async fn start(listener: TcpListener, queues: &[Queue], usage: Usage, gate: Gate) -> Result<Self, Error> {
        let address = listener.local_addr()?;
        let provider = RustackSqs::new(SqsConfig {
            skip_signature_validation: true,
            default_region: REGION.to_owned(),
            account_id: ACCOUNT.to_owned(),
            host: address.ip().to_string(),
            port: address.port(),
        });
        let known = queues.iter().map(|queue| {
            let known = Known { id: queue.id.clone(), sent: Notify::new() };
            (queue.name.clone(), known)
        });
        let sqs = Self {
            shared: Arc::new(Shared {
                handler: RustackSqsHandler::new(Arc::new(provider)),
                url: net::url(&listener)?,
                queues: known.collect(),
                usage,
                gate,
                longest_delay: AtomicU64::new(u64::MAX),
            }),
        };
        for queue in queues {
            let request = json!({"QueueName": queue.name, "Attributes": queue.attributes});
            sqs.ask("CreateQueue", &request).await?;
        }
        let router = axum::Router::new().fallback(handle).with_state(sqs.clone());
        net::serve(listener, router);
        Ok(sqs)
    }

    /// Where functions reach it.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Waits for messages on behalf of a function, as an event source mapping does: up to 20 seconds,
    /// and nothing then.
    ///
    /// # Errors
    ///
    /// When the engine fails.
    pub async fn receive(&self, function: &str, queue: &str, most: usize) -> Result<Vec<Message>, Error> {
        let end = Instant::now() + LONG_POLL;
        loop {
            let messages = self.receive_now(function, queue, most).await?;
            if !messages.is_empty() {
                return Ok(messages);
            }
            if Instant::now() >= end {
                self.shared.usage.count_empty_receive();
                return Ok(messages);
            }
            self.sent_or_due(queue).await;
        }
    }

    /// The messages that are there, counted only if there are any.
    ///
    /// A real long poll answers at the first message of a batch that is just being sent. This one looks
    /// when a send has ended, so that the same calls always cost the same number of requests.
    ///
    /// # Errors
    ///
    /// When the engine fails.
    pub async fn receive_now(&self, function: &str, queue: &str, most: usize) -> Result<Vec<Message>, Error> {
        let request = json!({
            "QueueUrl": self.queue_url(queue),
            "MaxNumberOfMessages": most.min(10),
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        let answer = self.ask("ReceiveMessage", &request).await?;
        let Some(messages) = answer.get("Messages") else {
            return Ok(Vec::new());
        };
        let read = serde_json::from_value::<Vec<Message>>(messages.clone());
        let messages =
            read.map_err(|error| Error::Refused { operation: "ReceiveMessage", reason: error.to_string() })?;
        if !messages.is_empty() {
            self.count(&Caller::named(function), "ReceiveMessage", &request, &answer);
        }
        Ok(messages)
    }

    /// Returns when something was sent to the queue, or it is time to look again.
    pub async fn sent_or_due(&self, queue: &str) {
        if let Some(known) = self.shared.queues.get(queue) {
            // The time being up is as good a reason to look as a message.
            drop(timeout(LOOK_EVERY, known.sent.notified()).await);
        }
    }

    /// Deletes messages on behalf of a function.
    ///
    /// # Errors
    ///
    /// When the engine fails.
    pub async fn delete(&self, function: &str, queue: &str, receipts: &[String]) -> Result<(), Error> {
        for receipts in receipts.chunks(10) {
            let entries: Vec<_> = receipts
                .iter()
                .enumerate()
                .map(|(id, receipt)| json!({"Id": id.to_string(), "ReceiptHandle": receipt}))
                .collect();
            let request = json!({"QueueUrl": self.queue_url(queue), "Entries": entries});
            let answer = self.ask("DeleteMessageBatch", &request).await?;
            self.count(&Caller::named(function), "DeleteMessageBatch", &request, &answer);
        }
        Ok(())
    }

    /// Makes a message visible at once, which nobody is charged for: the clock has moved.
    ///
    /// # Errors
    ///
    /// When the message is not in flight any more.
    pub async fn release(&self, queue: &str, receipt: &str) -> Result<(), Error> {
        let request = json!({
            "QueueUrl": self.queue_url(queue),
            "ReceiptHandle": receipt,
            "VisibilityTimeout": 0,
        });
        self.ask("ChangeMessageVisibility", &request).await?;
        if let Some(known) = self.shared.queues.get(queue) {
            known.sent.notify_one();
        }
        Ok(())
    }

    /// How many messages a queue holds.
    ///
    /// # Errors
    ///
    /// When there is no such queue.
    pub async fn depth(&self, queue: &str) -> Result<Depth, Error> {
        let request = json!({"QueueUrl": self.queue_url(queue), "AttributeNames": ["All"]});
        let answer = self.ask("GetQueueAttributes", &request).await?;
        let number = |name: &str| answer["Attributes"][name].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Depth {
            visible: number("ApproximateNumberOfMessages"),
            in_flight: number("ApproximateNumberOfMessagesNotVisible"),
            delayed: number("ApproximateNumberOfMessagesDelayed"),
        })
    }

    /// Delays no message that is sent from now on for longer than so many seconds; `None`: as its sender says.
    pub fn delay_at_most(&self, secs: Option<u64>) {
        self.shared.longest_delay.store(secs.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn queue_url(&self, queue: &str) -> String {
        format!("{}/{ACCOUNT}/{queue}", self.shared.url)
    }

    /// Asks the engine on the stack's own behalf, which nothing counts.
    async fn ask(&self, operation: &'static str, request: &Value) -> Result<Value, Error> {
        let refused = |reason: String| Error::Refused { operation, reason };
        let mut headers = HeaderMap::new();
        let target = format!("AmazonSQS.{operation}").parse();
        headers.insert("x-amz-target", target.map_err(|_| refused("no such operation".into()))?);
        let body = Bytes::from(request.to_string());
        let (parts, answer) = self.run(&headers, body).await.into_parts();
        if !parts.status.is_success() {
            return Err(refused(String::from_utf8_lossy(&answer).into_owned()));
        }
        serde_json::from_slice(&answer).map_err(|error| refused(error.to_string()))
    }

    async fn run(&self, headers: &HeaderMap, body: Bytes) -> http::Response<Bytes> {
        let result = match resolve_operation(headers) {
            Ok(operation) => dispatch_operation(&self.shared.handler, operation, body).await,
            Err(error) => Err(error),
        };
        let request_id = uuid::Uuid::new_v4().to_string();
        let response = result.unwrap_or_else(|error| error_to_response(&error, &request_id));
        let (parts, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => Bytes::new(),
        };
        http::Response::from_parts(parts, body)
    }

    fn count(&self, caller: &Caller, operation: &str, request: &Value, answer: &Value) {
        let name = queue_name(request).unwrap_or("unknown");
        let known = self.shared.queues.get(name);
        let id = known.map_or(name, |known| known.id.as_str());
        let traffic = billing::traffic(operation, request, answer);
        self.shared.usage.count_sqs(caller, operation, id, traffic);
    }
}

async fn handle(State(sqs): State<Sqs>, headers: HeaderMap, body: Body) -> Response {
    let Ok(body) = to_bytes(body, MAX_REQUEST_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let operation = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.strip_prefix("AmazonSQS."))
        .unwrap_or_default()
        .to_owned();
    let caller = Caller::of(&headers);
    let longest = sqs.shared.longest_delay.load(Ordering::Relaxed);
    let request = hastened(ungrouped(serde_json::from_slice(&body).unwrap_or_default()), longest);
    let body = Bytes::from(request.to_string());
    let gate = &sqs.shared.gate;

    let verdict = gate.enter(&caller, "sqs", &operation).await;
    if let Some(error) = &verdict.fail {
        return gate::refusal(error);
    }
    if verdict.duplicate {
        sqs.run(&headers, body.clone()).await;
    }
    let response = sqs.run(&headers, body).await;
    let answer = serde_json::from_slice(response.body()).unwrap_or_default();
    sqs.count(&caller, &operation, &request, &answer);
    if operation.starts_with("SendMessage")
        && let Some(known) = queue_name(&request).and_then(|name| sqs.shared.queues.get(name))
    {
        known.sent.notify_one();
    }
    gate.leave(&caller, &verdict).await;
    if verdict.lose {
        return gate::lost();
    }
    response.map(Body::from)
}

fn queue_name(request: &Value) -> Option<&str> {
    match request["QueueUrl"].as_str() {
        Some(url) => url.rsplit('/').next(),
        None => request["QueueName"].as_str(),
    }
}

/// Message groups on standard queues share them out fairly among tenants. The engine refuses them
/// there; without them the messages arrive all the same.
fn ungrouped(mut request: Value) -> Value {
    if queue_name(&request).is_some_and(|name| name.ends_with(".fifo")) {
        return request;
    }
    if let Some(request) = request.as_object_mut() {
        request.remove("MessageGroupId");
    }
    if let Some(entries) = request.get_mut("Entries").and_then(Value::as_array_mut) {
        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
            entry.remove("MessageGroupId");
        }
    }
    request
}

/// A send whose messages are delayed for no longer than so many seconds.
fn hastened(mut request: Value, longest: u64) -> Value {
    let shorten = |message: &mut Value| {
        if let Some(delay) = message.get_mut("DelaySeconds").filter(|delay| delay.as_u64() > Some(longest)) {
            *delay = longest.into();
        }
    };
    shorten(&mut request);
    request.get_mut("Entries").and_then(Value::as_array_mut).into_iter().flatten().for_each(shorten);
    request
}

#[cfg(test)]
mod tests;
