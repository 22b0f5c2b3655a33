//! The WebSocket API: a connection's life as events for functions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};

use super::connections::{Connections, Order};
use super::{message, query_pairs};
use crate::clock::{Civil, Clock};
use crate::lambda::Lambda;
use crate::template::{REGION, SocketApi};

/// The largest frame that API Gateway takes.
const MAX_FRAME_BYTES: usize = 32 * 1024;
/// The largest message that API Gateway takes.
const MAX_MESSAGE_BYTES: usize = 128 * 1024;
/// A connection on which nothing is said ends.
const IDLE: Duration = Duration::from_secs(600);
/// A connection ends in any case.
const LONGEST: Duration = Duration::from_secs(2 * 3600);
/// How many frames of one connection functions work on at once. AWS sets no such limit.
const AT_ONCE: usize = 16;

const GOING_AWAY: u16 = 1001;
const TOO_BIG: u16 = 1009;
const ABNORMAL: u16 = 1006;

/// A running WebSocket API.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    api: SocketApi,
    connections: Connections,
    lambda: Lambda,
    clock: Clock,
}

/// What is the same in all events of a connection.
struct Client {
    id: String,
    connected_at: u64,
    source_ip: String,
    user_agent: String,
}

impl Gateway {
    /// Serves `api` with the functions of `lambda`.
    pub fn new(api: SocketApi, connections: Connections, lambda: Lambda, clock: Clock) -> Self {
        Self { shared: Arc::new(Shared { api, connections, lambda, clock }) }
    }

    /// Answers a handshake: `$connect` decides.
    pub async fn handle(&self, upgrade: WebSocketUpgrade, parts: Parts) -> Response {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let client = Client {
            id: Connections::new_id(),
            connected_at: self.shared.clock.now_ms(),
            source_ip: address.map_or("127.0.0.1".to_owned(), |info| info.0.ip().to_string()),
            user_agent: text(&parts.headers, USER_AGENT.as_str()),
        };
        if let Some(function) = self.shared.api.function("$connect") {
            let event = self.connect_event(&client, &parts);
            let answer = self.shared.lambda.invoke(function, event).await;
            let status = match answer {
                Ok(answer) => status_of(&answer),
                Err(_) => StatusCode::BAD_GATEWAY,
            };
            if !status.is_success() {
                return refused(status);
            }
        }
        let gateway = self.clone();
        upgrade
            .max_frame_size(MAX_FRAME_BYTES)
            .max_message_size(MAX_MESSAGE_BYTES)
            .on_upgrade(move |socket| gateway.live(client, socket))
    }

    /// The connection, until it ends one way or another.
    async fn live(self, client: Client, mut socket: WebSocket) {
        let connections = &self.shared.connections;
        let orders = connections.open(&client.id, client.source_ip.clone(), client.user_agent.clone());
        let client = Arc::new(client);
        let (code, reason) = self.converse(&client, &mut socket, orders).await;
        connections.closed(&client.id);
        // A client that is gone cannot be told so.
        drop(socket.send(close_frame(code, reason)).await);
        drop(socket);

        if let Some(function) = self.shared.api.function("$disconnect") {
            let event = self.disconnect_event(&client, code, reason);
            drop(self.shared.lambda.invoke(function, event).await);
        }
    }

    /// Frames in, orders out; ends with the code and the reason.
    async fn converse(
        &self,
        client: &Arc<Client>,
        socket: &mut WebSocket,
        mut orders: mpsc::Receiver<Order>,
    ) -> (u16, &'static str) {
        let (mut out, mut frames) = socket.split();
        let (replies, mut replied) = mpsc::channel::<String>(AT_ONCE);
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        let end = Instant::now() + LONGEST;
        let mut idle = Instant::now() + IDLE;
        loop {
            let sent = tokio::select! {
                frame = frames.next() => match frame {
                    Some(Ok(Message::Text(text))) => {
                        idle = Instant::now() + IDLE;
                        self.take(client, text.to_string(), &at_once, &replies).await;
                        Ok(())
                    }
                    Some(Ok(Message::Binary(bytes))) => {
                        idle = Instant::now() + IDLE;
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        self.take(client, text, &at_once, &replies).await;
                        Ok(())
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                        idle = Instant::now() + IDLE;
                        Ok(())
                    }
                    Some(Ok(Message::Close(frame))) => {
                        return (frame.map_or(1005, |frame| frame.code), "Client-side close frame");
                    }
                    Some(Err(error)) if is_too_long(&error) => {
                        return (TOO_BIG, "The message is too long");
                    }
                    Some(Err(_)) | None => return (ABNORMAL, "Connection closed"),
                },
                order = orders.recv() => match order {
                    Some(Order::Send(bytes)) => {
                        idle = Instant::now() + IDLE;
                        out.send(outgoing(&bytes)).await
                    }
                    Some(Order::Close) | None => return (1000, "Server-side close"),
                },
                Some(reply) = replied.recv() => out.send(Message::Text(reply.into())).await,
                () = sleep_until(idle) => return (GOING_AWAY, "Going away"),
                () = sleep_until(end) => return (GOING_AWAY, "Going away"),
            };
            if sent.is_err() {
                return (ABNORMAL, "Connection closed");
            }
        }
    }

    /// Invokes the function of a frame's route. As on AWS, frames do not wait for each other.
    async fn take(
        &self,
        client: &Arc<Client>,
        frame: String,
        at_once: &Arc<Semaphore>,
        replies: &mpsc::Sender<String>,
    ) {
        self.shared.connections.touch(&client.id);
        let Ok(permit) = Arc::clone(at_once).acquire_owned().await else {
            return;
        };
        let request_id = request_id();
        let (route, function) = self.route(&frame);
        let Some(function) = function.map(str::to_owned) else {
            drop(replies.try_send(complaint("Forbidden", client, &request_id)));
            return;
        };
        let event = self.message_event(client, &route, frame, &request_id);
        let (gateway, client, replies) = (self.clone(), Arc::clone(client), replies.clone());
        // Counted from here on, so that nothing seems idle between two tasks.
        let busy = self.shared.lambda.busy();
        tokio::spawn(async move {
            if gateway.shared.lambda.invoke(&function, event).await.is_err() {
                let complaint = complaint("Internal server error", &client, &request_id);
                drop(replies.send(complaint).await);
            }
            drop((permit, busy));
        });
    }

    /// The route that the frame selects, and its function.
    fn route(&self, frame: &str) -> (String, Option<&str>) {
        let api = &self.shared.api;
        let body: Value = serde_json::from_str(frame).unwrap_or_default();
        let selected = api.selection.iter().try_fold(&body, |value, part| value.get(part));
        if let Some(route) = selected.and_then(Value::as_str)
            && !route.starts_with('$')
            && let Some(function) = api.function(route)
        {
            return (route.to_owned(), Some(function));
        }
        ("$default".to_owned(), api.function("$default"))
    }

    fn connect_event(&self, client: &Client, parts: &Parts) -> Bytes {
        let mut event = self.event(client, "$connect", "CONNECT", &request_id());
        set_headers(&mut event, &parts.headers);
        let query: Vec<_> = query_pairs(parts.uri.query().unwrap_or_default()).collect();
        if !query.is_empty() {
            let last: BTreeMap<_, _> = query.iter().cloned().collect();
            let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (name, value) in query {
                all.entry(name).or_default().push(value);
            }
            event["queryStringParameters"] = json!(last);
            event["multiValueQueryStringParameters"] = json!(all);
        }
        Bytes::from(event.to_string())
    }

    fn message_event(&self, client: &Client, route: &str, frame: String, id: &str) -> Bytes {
        let mut event = self.event(client, route, "MESSAGE", id);
        event["requestContext"]["messageId"] = json!(Connections::new_id());
        event["body"] = json!(frame);
        Bytes::from(event.to_string())
    }

    fn disconnect_event(&self, client: &Client, code: u16, reason: &str) -> Bytes {
        let mut event = self.event(client, "$disconnect", "DISCONNECT", &request_id());
        event["requestContext"]["disconnectStatusCode"] = json!(code);
        event["requestContext"]["disconnectReason"] = json!(reason);
        event["headers"] = json!({"Host": self.domain()});
        event["multiValueHeaders"] = json!({"Host": [self.domain()]});
        Bytes::from(event.to_string())
    }

    fn event(&self, client: &Client, route: &str, kind: &str, request_id: &str) -> Value {
        let now_ms = self.shared.clock.now_ms();
        json!({
            "requestContext": {
                "routeKey": route,
                "eventType": kind,
                "extendedRequestId": request_id,
                "requestTime": Civil::from_unix(now_ms / 1000).common_log(),
                "messageDirection": "IN",
                "stage": self.shared.api.stage,
                "connectedAt": client.connected_at,
                "requestTimeEpoch": now_ms,
                "identity": {"sourceIp": client.source_ip, "userAgent": client.user_agent},
                "requestId": request_id,
                "domainName": self.domain(),
                "connectionId": client.id,
                "apiId": self.shared.api.id,
            },
            "isBase64Encoded": false,
        })
    }

    fn domain(&self) -> String {
        format!("{}.execute-api.{REGION}.amazonaws.com", self.shared.api.id)
    }
}

fn request_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..16].to_owned()
}

/// Anything but a status of its own is a refusal: `$connect` has to say 2xx.
fn status_of(answer: &Bytes) -> StatusCode {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let status = match &answer["statusCode"] {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// The client learns the status, and nothing of what the function wrote.
fn refused(status: StatusCode) -> Response {
    match status {
        StatusCode::UNAUTHORIZED => message(status, "Unauthorized"),
        StatusCode::FORBIDDEN => message(status, "Forbidden"),
        StatusCode::BAD_GATEWAY => message(status, "Internal server error"),
        _ => status.into_response(),
    }
}

fn text(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn set_headers(event: &mut Value, headers: &HeaderMap) {
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        last.insert(name.to_string(), value.clone());
        all.entry(name.to_string()).or_default().push(value);
    }
    event["headers"] = json!(last);
    event["multiValueHeaders"] = json!(all);
}

fn outgoing(bytes: &Bytes) -> Message {
    match Utf8Bytes::try_from(bytes.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(bytes.clone()),
    }
}

fn complaint(text: &str, client: &Client, request_id: &str) -> String {
    json!({"message": text, "connectionId": client.id, "requestId": request_id}).to_string()
}

/// 1005 and 1006 say that there was no close frame, so they are never in one.
fn close_frame(code: u16, reason: &'static str) -> Message {
    match code {
        1005 | ABNORMAL => Message::Close(None),
        _ => Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })),
    }
}

/// The library says it only in words.
fn is_too_long(error: &axum::Error) -> bool {
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        text.push_str(&error.to_string());
        source = error.source();
    }
    text.contains("too long") || text.contains("too large") || text.contains("Space limit exceeded")
}
