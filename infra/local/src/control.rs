//! `/_local/`: what people and tests ask of the stack itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use fanfare::dialect::rongcloud::signature;
use fanfare::dialect::tencent::usersig;
use fanfare::domain::App;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::clock::Clock;
use crate::dynamodb::DynamoDb;
use crate::faults::{Faults, Plan};
use crate::gateway::connections::Connections;
use crate::lambda::Lambda;
use crate::logs::Logs;
use crate::mapping::Mapping;
use crate::scheduler::Scheduler;
use crate::sqs::{Depth, Sqs};
use crate::template::{Queue, Table};
use crate::usage::Usage;

const DAY_SECS: i64 = 86_400;
const NONCE_CHARS: usize = 18;
/// The longest that Lambda lets an invocation take.
const MOST_TIMEOUT_SECS: u64 = 900;
const MOST_ADVANCE_SECS: u64 = 10 * 365 * 86_400;

/// How often `idle` looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long `idle` waits when it is not told.
const IDLE_TIMEOUT_MS: u64 = 30_000;

/// The parts of the stack that can be asked.
pub struct Control {
    /// What was used.
    pub usage: Usage,
    /// What shall go wrong.
    pub faults: Faults,
    /// What functions wrote.
    pub logs: Logs,
    /// The functions.
    pub lambda: Lambda,
    /// The clock.
    pub clock: Clock,
    /// The schedules.
    pub scheduler: Arc<Scheduler>,
    /// The event source mappings.
    pub mappings: Arc<Vec<Mapping>>,
    /// The sockets, if the template has an API for them.
    pub connections: Option<Connections>,
    /// The tables.
    pub dynamodb: DynamoDb,
    /// The queues.
    pub sqs: Sqs,
    /// The template's queues.
    pub queues: Vec<Queue>,
    /// The template's tables.
    pub tables: Vec<Table>,
    /// The apps that the stack knew from the start.
    pub apps: Vec<App>,
}

impl Control {
    /// The routes, to be nested under `/_local`, beside those of the sandboxes of vendors and webhooks.
    pub fn router(self, vendors: Router, webhooks: Router) -> Router {
        Router::new()
            .route("/usage", get(usage).delete(reset_usage))
            .route("/functions", get(functions).put(limit_time))
            .route("/queues", get(queues).put(hasten))
            .route("/endpoints", get(endpoints))
            .route("/posts", get(posts))
            .route("/usersig", get(user_sig))
            .route("/signature", get(signature_headers))
            .route("/faults", get(faults).put(set_faults))
            .route("/clock", get(clock).post(advance))
            .route("/logs", get(logs))
            .route("/metrics", get(metrics))
            .route("/idle", get(idle))
            .with_state(Arc::new(self))
            .merge(vendors)
            .merge(webhooks)
            .method_not_allowed_fallback(|| async { problem(StatusCode::METHOD_NOT_ALLOWED, "not this method") })
            .fallback(|| async { problem(StatusCode::NOT_FOUND, "the local stack has no such path") })
    }
}

type Stack = State<Arc<Control>>;

async fn usage(State(stack): Stack) -> Response {
    Json(stack.usage.figures()).into_response()
}

async fn reset_usage(State(stack): Stack) -> StatusCode {
    stack.usage.reset();
    StatusCode::NO_CONTENT
}

async fn functions(State(stack): Stack) -> Response {
    Json(stack.lambda.status()).into_response()
}

/// When posts to sockets came.
async fn posts(State(stack): Stack) -> Response {
    Json(stack.connections.as_ref().map(Connections::posts).unwrap_or_default()).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    timeout_seconds: u64,
}

/// Invocations that are shorter than the template's, for work that does not fit one.
async fn limit_time(State(stack): Stack, body: Bytes) -> Response {
    let limits = match serde_json::from_slice::<BTreeMap<String, Limits>>(&body) {
        Ok(limits) => limits,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if limits.values().any(|limits| !(1..=MOST_TIMEOUT_SECS).contains(&limits.timeout_seconds)) {
        return problem(StatusCode::BAD_REQUEST, "timeout_seconds is 1 to 900");
    }
    let seconds = |(name, limits): (String, Limits)| (name, Duration::from_secs(limits.timeout_seconds));
    match stack.lambda.limit_time(&limits.into_iter().map(seconds).collect()) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(unknown) => problem(StatusCode::BAD_REQUEST, &unknown.to_string()),
    }
}

async fn queues(State(stack): Stack) -> Response {
    let mut depths = BTreeMap::new();
    for queue in &stack.queues {
        depths.insert(queue.id.as_str(), stack.sqs.depth(&queue.name).await.unwrap_or_default());
    }
    Json(depths).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Haste {
    longest_delay_seconds: Option<u64>,
}

/// Delays are real time, whatever the clock says: a story that moves the clock need not wait for them.
async fn hasten(State(stack): Stack, body: Bytes) -> Response {
    match serde_json::from_slice::<Haste>(&body) {
        Ok(Haste { longest_delay_seconds }) => {
            stack.sqs.delay_at_most(longest_delay_seconds);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// Where the SDK finds what the functions work on, so that its items and messages can be looked at.
async fn endpoints(State(stack): Stack) -> Response {
    let tables: BTreeMap<&str, &str> =
        stack.tables.iter().map(|table| (table.id.as_str(), table.name.as_str())).collect();
    Json(json!({"dynamodb": stack.dynamodb.url(), "sqs": stack.sqs.url(), "tables": tables})).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserSigQuery {
    user: String,
    sdkappid: Option<u64>,
}

/// A UserSig of the first app, or of the one that is asked for, good for a day: what the app's own server would make.
async fn user_sig(State(stack): Stack, Query(query): Query<UserSigQuery>) -> Response {
    let apps = stack.apps.iter().filter_map(|app| app.tencent.as_ref());
    let app = apps.into_iter().find(|app| query.sdkappid.is_none_or(|wanted| wanted == app.sdk_app_id));
    let Some(app) = app else { return problem(StatusCode::NOT_FOUND, "there is no such app") };
    let now = i64::try_from(stack.clock.now()).unwrap_or(i64::MAX);
    usersig::sign(&app.secret_key, app.sdk_app_id, &query.user, now, DAY_SECS, None).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureQuery {
    app_key: Option<String>,
}

/// The four headers by which a call of RongCloud's contract is signed, one a line as they stand in a request
/// (`curl -H @FILE` takes them all): of the first app, or of the one that is asked for.
async fn signature_headers(State(stack): Stack, Query(query): Query<SignatureQuery>) -> Response {
    let mut apps = stack.apps.iter().filter_map(|app| app.rongcloud.as_ref());
    let Some(app) = apps.find(|app| query.app_key.as_ref().is_none_or(|wanted| *wanted == app.app_key)) else {
        return problem(StatusCode::NOT_FOUND, "there is no such app");
    };
    let (nonce, timestamp) = (Uuid::new_v4().simple().to_string(), stack.clock.now().to_string());
    // The contract's nonces have 18 characters at most.
    let nonce = &nonce[..NONCE_CHARS];
    let signature = signature::sign(&app.app_secret, nonce, &timestamp);
    let app_key = &app.app_key;
    format!("App-Key: {app_key}\nNonce: {nonce}\nTimestamp: {timestamp}\nSignature: {signature}\n").into_response()
}

async fn faults(State(stack): Stack) -> Response {
    Json(stack.faults.plan()).into_response()
}

/// Bodies are JSON, whatever the request says they are: people type these requests.
async fn set_faults(State(stack): Stack, body: Bytes) -> Response {
    match Plan::read(&body, &stack.lambda.names()) {
        Ok(plan) => {
            stack.faults.set(plan);
            Json(stack.faults.plan()).into_response()
        }
        Err(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn clock(State(stack): Stack) -> Response {
    Json(json!({"now": stack.clock.now()})).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

/// Answers when everything that fell due has happened.
async fn advance(State(stack): Stack, body: Bytes) -> Response {
    let request = match serde_json::from_slice::<Advance>(&body) {
        Ok(request) => request,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if request.advance_seconds > MOST_ADVANCE_SECS {
        return problem(StatusCode::BAD_REQUEST, "the clock moves ten years at a time at most");
    }
    if let Err(error) = stack.clock.advance(request.advance_seconds) {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
    }
    for mapping in stack.mappings.iter() {
        mapping.clock_moved().await;
    }
    stack.scheduler.catch_up().await;
    if let Err(error) = stack.dynamodb.sweep().await {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
    }
    Json(json!({"now": stack.clock.now()})).into_response()
}

#[derive(Deserialize)]
struct LogsQuery {
    function: Option<String>,
}

async fn logs(State(stack): Stack, Query(query): Query<LogsQuery>) -> Response {
    Json(stack.logs.kept(query.function.as_deref())).into_response()
}

async fn metrics(State(stack): Stack) -> Response {
    Json(stack.logs.metrics().sums()).into_response()
}

#[derive(Deserialize)]
struct IdleQuery {
    timeout_ms: Option<u64>,
    /// Whether messages that are not due yet count too.
    #[serde(default)]
    delayed: bool,
}

/// Answers when nothing is under way, or 408 when that takes too long.
async fn idle(State(stack): Stack, Query(query): Query<IdleQuery>) -> Response {
    let timeout = Duration::from_millis(query.timeout_ms.unwrap_or(IDLE_TIMEOUT_MS));
    let end = Instant::now() + timeout;
    loop {
        let (idle, state) = stack.activity(query.delayed).await;
        if idle {
            return Json(state).into_response();
        }
        if Instant::now() >= end {
            return (StatusCode::REQUEST_TIMEOUT, Json(state)).into_response();
        }
        sleep(LOOK_EVERY).await;
    }
}

impl Control {
    /// Whether nothing is under way, and what is. Dead letters wait for a person, so they do not count.
    async fn activity(&self, delayed: bool) -> (bool, Value) {
        let mut waiting = BTreeMap::new();
        // Before and after: an invocation may have sent a message and ended while the queues were read.
        let mut running = self.lambda.running();
        for mapping in self.mappings.iter() {
            let depth = self.sqs.depth(mapping.queue()).await.unwrap_or_default();
            let counted = Depth { delayed: if delayed { depth.delayed } else { 0 }, ..depth };
            if counted != Depth::default() {
                waiting.insert(mapping.queue(), depth);
            }
        }
        running += self.lambda.running();
        let idle = running == 0 && waiting.is_empty();
        (idle, json!({"idle": idle, "running": self.lambda.running(), "queues": waiting}))
    }
}

fn problem(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"error": text}))).into_response()
}
