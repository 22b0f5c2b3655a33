//! Live connections, and the `@connections` endpoint through which functions reach them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;
use tokio::sync::mpsc;

use super::signature;
use crate::caller::Caller;
use crate::clock::{Civil, Clock};
use crate::gate::{self, Gate};

/// The largest message that can be posted.
pub(super) const MAX_MESSAGE_BYTES: usize = 128 * 1024;

/// How many messages may wait for a slow client.
const WAITING: usize = 1024;

/// Of so many posts it is known when they came.
const POSTS_KEPT: usize = 100_000;

/// What a connection's task is told to do.
#[derive(Debug)]
pub enum Order {
    /// Send this to the client.
    Send(Bytes),
    /// Close the connection.
    Close,
}

/// All live connections; clones share them.
#[derive(Clone)]
pub struct Connections {
    shared: Arc<Shared>,
}

struct Shared {
    live: Mutex<HashMap<String, Connection>>,
    posts: Mutex<VecDeque<u64>>,
    stage: String,
    clock: Clock,
    gate: Gate,
}

#[derive(Clone)]
struct Connection {
    orders: mpsc::Sender<Order>,
    connected_at: u64,
    last_active_at: u64,
    source_ip: String,
    user_agent: String,
}

impl Connections {
    /// No connections yet, on a stage.
    pub fn new(stage: &str, clock: Clock, gate: Gate) -> Self {
        Self {
            shared: Arc::new(Shared {
                live: Mutex::default(),
                posts: Mutex::default(),
                stage: stage.to_owned(),
                clock,
                gate,
            }),
        }
    }

    /// An id as API Gateway makes them, padding and all.
    pub fn new_id() -> String {
        BASE64_URL_SAFE.encode(&uuid::Uuid::new_v4().as_bytes()[..11])
    }

    /// The endpoint, which goes at `/{stage}/@connections/{id}`. Only what is signed is let in.
    pub fn router(&self) -> Router {
        let one = post(send).get(describe).delete(close);
        Router::new()
            .route("/{stage}/@connections/{id}", one)
            .fallback(|| async { (StatusCode::FORBIDDEN, axum::Json(json!({"message": "Forbidden"}))) })
            .with_state(self.clone())
            .layer(middleware::from_fn(signature::checked))
    }

    /// From now on the connection can be reached; what it is told arrives at the receiver.
    pub fn open(&self, id: &str, source_ip: String, user_agent: String) -> mpsc::Receiver<Order> {
        let (orders, receiver) = mpsc::channel(WAITING);
        let now = self.shared.clock.now();
        let connection = Connection { orders, connected_at: now, last_active_at: now, source_ip, user_agent };
        self.live().insert(id.to_owned(), connection);
        receiver
    }

    /// The client has sent something.
    pub fn touch(&self, id: &str) {
        let now = self.shared.clock.now();
        if let Some(connection) = self.live().get_mut(id) {
            connection.last_active_at = now;
        }
    }

    /// The connection is gone.
    pub fn closed(&self, id: &str) {
        self.live().remove(id);
    }

    /// When each of the last posts came, in milliseconds by the stack's clock, whatever became of it.
    pub fn posts(&self) -> Vec<u64> {
        self.shared.posts.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    fn note_post(&self) {
        let mut posts = self.shared.posts.lock().unwrap_or_else(PoisonError::into_inner);
        if posts.len() == POSTS_KEPT {
            posts.pop_front();
        }
        posts.push_back(self.shared.clock.now_ms());
    }

    fn get(&self, stage: &str, id: &str) -> Option<Connection> {
        let connection = self.live().get(id).cloned();
        connection.filter(|_| stage == self.shared.stage)
    }

    fn live(&self) -> std::sync::MutexGuard<'_, HashMap<String, Connection>> {
        self.shared.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a live connection what to do; false when it is gone.
    async fn tell(&self, stage: &str, id: &str, order: Order) -> bool {
        match self.get(stage, id) {
            Some(connection) => connection.orders.send(order).await.is_ok(),
            None => false,
        }
    }
}

async fn send(
    State(connections): State<Connections>,
    Path((stage, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    connections.note_post();
    let Ok(body) = to_bytes(body, MAX_MESSAGE_BYTES).await else {
        return error(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeException");
    };
    let order = Order::Send(body);
    obey(&connections, &headers, "PostToConnection", &stage, &id, order).await
}

async fn close(
    State(connections): State<Connections>,
    Path((stage, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let mut response = obey(&connections, &headers, "DeleteConnection", &stage, &id, Order::Close).await;
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

async fn obey(
    connections: &Connections,
    headers: &HeaderMap,
    operation: &str,
    stage: &str,
    id: &str,
    order: Order,
) -> Response {
    let caller = Caller::of(headers);
    let gate = &connections.shared.gate;
    let verdict = gate.enter(&caller, "execute-api", operation).await;
    if let Some(name) = &verdict.fail {
        return match name.as_str() {
            "GoneException" => error(StatusCode::GONE, name),
            "LimitExceededException" => error(StatusCode::TOO_MANY_REQUESTS, name),
            "ForbiddenException" => error(StatusCode::FORBIDDEN, name),
            "UnauthorizedException" => error(StatusCode::UNAUTHORIZED, name),
            "PayloadTooLargeException" => error(StatusCode::PAYLOAD_TOO_LARGE, name),
            _ => gate::refusal(name),
        };
    }
    let done = connections.tell(stage, id, order).await;
    gate.leave(&caller, &verdict).await;
    match (verdict.lose, done) {
        (true, _) => gate::lost(),
        (false, true) => StatusCode::OK.into_response(),
        (false, false) => error(StatusCode::GONE, "GoneException"),
    }
}

async fn describe(State(connections): State<Connections>, Path((stage, id)): Path<(String, String)>) -> Response {
    let Some(connection) = connections.get(&stage, &id) else {
        return error(StatusCode::GONE, "GoneException");
    };
    axum::Json(json!({
        "connectedAt": Civil::from_unix(connection.connected_at).iso(),
        "lastActiveAt": Civil::from_unix(connection.last_active_at).iso(),
        "identity": {"sourceIp": connection.source_ip, "userAgent": connection.user_agent},
    }))
    .into_response()
}

/// An error as the SDK reads it: the name in a header, and nothing to say about it.
fn error(status: StatusCode, name: &str) -> Response {
    let mut response = (status, axum::Json(json!({"message": null}))).into_response();
    if let Ok(name) = HeaderValue::from_str(name) {
        let header = HeaderName::from_static("x-amzn-errortype");
        response.headers_mut().insert(header, name);
    }
    response
}

#[cfg(test)]
mod tests {
    use aws_config::{Region, SdkConfig};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use fanfare::channel::ws::{Client, Sockets};
    use fanfare::domain::ConnectionId;
    use fanfare::runtime;
    use tokio::net::TcpListener;

    use super::*;
    use crate::lambda::SECRET_KEY;
    use crate::net;
    use crate::template::REGION;

    /// Calls with the key of an environment, and a secret.
    fn sockets(endpoint: &str, secret: &str) -> Sockets {
        let credentials = Credentials::new("deliver-ws.1", secret, None, None, "test");
        let config = SdkConfig::builder()
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let client = Client::new(&config, &|_: &str| Some(endpoint.to_owned()), runtime::Clock::system());
        Sockets::At(client.unwrap())
    }

    #[tokio::test]
    async fn what_functions_sign_arrives_and_what_others_sign_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let connections = Connections::new("live", Clock::new(directory.path()).unwrap(), Gate::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/live", listener.local_addr().unwrap());
        let _serving = net::serve(listener, connections.router());
        let id = Connections::new_id();
        assert!(id.ends_with('='), "an id that has to be escaped: {id}");
        let mut orders = connections.open(&id, String::new(), String::new());
        let id = ConnectionId::try_from(id).unwrap();

        let others = sockets(&endpoint, "another secret");
        let refused = others.post(&id, "theirs".to_owned()).await.unwrap_err();
        assert!(runtime::telemetry::chain(&refused).contains("403"), "{refused}");
        assert!(others.close(&id).await.is_err());
        let ours = sockets(&endpoint, SECRET_KEY);
        ours.post(&id, "ours".to_owned()).await.unwrap();
        ours.close(&id).await.unwrap();
        assert!(matches!(orders.recv().await, Some(Order::Send(frame)) if frame == "ours"));
        assert!(matches!(orders.recv().await, Some(Order::Close)));
        assert!(orders.try_recv().is_err());
    }
}
