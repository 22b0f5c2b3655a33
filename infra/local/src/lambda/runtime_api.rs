//! The Runtime API of one environment, as the functions' real runtime speaks it.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use tokio::sync::{mpsc, oneshot, watch};

use super::environment::Phase;
use super::{Failure, MAX_PAYLOAD_BYTES, reported};
use crate::caller::Caller;
use crate::gate::Gate;

/// Where the invoker waits.
type Answer = oneshot::Sender<Result<Bytes, Failure>>;

/// The id of the event that the function works on, and who waits for the answer.
type Current = (String, Answer);

/// One event on its way to a function.
pub(super) struct Invocation {
    pub request_id: String,
    /// When the process is killed, in milliseconds since 1970 by the stack's clock.
    pub deadline_ms: u64,
    pub arn: String,
    pub event: Bytes,
    pub answer: Answer,
    /// Whether the process asked for it in time.
    pub taken: Arc<AtomicBool>,
}

struct Api {
    caller: Caller,
    invocations: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    current: Mutex<Option<Current>>,
    phase: Arc<watch::Sender<Phase>>,
    gate: Gate,
}

pub(super) fn router(
    name: &str,
    invocations: mpsc::Receiver<Invocation>,
    phase: Arc<watch::Sender<Phase>>,
    gate: Gate,
) -> Router {
    let api = Api {
        caller: Caller::named(name),
        invocations: tokio::sync::Mutex::new(invocations),
        current: Mutex::default(),
        phase,
        gate,
    };
    let runtime = Router::new()
        .route("/invocation/next", get(next))
        .route("/invocation/{id}/response", post(response))
        .route("/invocation/{id}/error", post(error))
        .route("/init/error", post(init_error));
    Router::new().nest("/2018-06-01/runtime", runtime).with_state(Arc::new(api))
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    api.enter(Phase::Ready);
    let Some(invocation) = api.invocations.lock().await.recv().await else {
        return pending().await;
    };
    api.enter(Phase::Busy);
    invocation.taken.store(true, Ordering::SeqCst);
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", &invocation.request_id)
        .header("lambda-runtime-deadline-ms", invocation.deadline_ms)
        .header("lambda-runtime-invoked-function-arn", &invocation.arn)
        .header("lambda-runtime-trace-id", trace_id(invocation.deadline_ms))
        .body(Body::from(invocation.event));
    *api.current() = Some((invocation.request_id, invocation.answer));
    response.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn response(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Body) -> Response {
    let verdict = api.gate.enter(&api.caller, "lambda", "Response").await;
    let Ok(body) = to_bytes(body, MAX_PAYLOAD_BYTES).await else {
        api.answer(
            &id,
            Err(Failure::Handled {
                kind: "Function.ResponseSizeTooLarge".to_owned(),
                message: format!("more than {MAX_PAYLOAD_BYTES} bytes"),
            }),
        );
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let response = api.answer(&id, Ok(body));
    api.gate.leave(&api.caller, &verdict).await;
    response
}

async fn error(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Bytes) -> Response {
    api.answer(&id, Err(reported(&body)))
}

async fn init_error(State(api): State<Arc<Api>>, body: Bytes) -> Response {
    api.enter(Phase::Dead(reported(&body).to_string()));
    accepted()
}

impl Api {
    fn enter(&self, phase: Phase) {
        self.phase.send_modify(|current| {
            if !matches!(current, Phase::Dead(_)) {
                *current = phase;
            }
        });
    }

    fn answer(&self, id: &str, result: Result<Bytes, Failure>) -> Response {
        let current = self.current().take_if(|(current, _)| current == id);
        let Some((_, answer)) = current else {
            let problem = json!({
                "errorType": "InvalidRequestID",
                "errorMessage": "Invalid request ID",
            });
            return (StatusCode::BAD_REQUEST, axum::Json(problem)).into_response();
        };
        // The invoker has given up when it does not listen.
        drop(answer.send(result));
        accepted()
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, axum::Json(json!({"status": "OK"}))).into_response()
}

/// As X-Ray writes it, not sampled.
fn trace_id(deadline_ms: u64) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("Root=1-{:08x}-{};Parent={};Sampled=0", deadline_ms / 1000, &random[..24], &random[16..])
}
