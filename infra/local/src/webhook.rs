//! The sandbox of webhooks: apps' own servers, which can be looked at and made to misbehave.
//!
//! Each name is a server of its own, with its calls and its behaviour; without a name it is one more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;

/// What the demo app's calls are signed with.
pub const TOKEN: &str = "fanfare-local-webhook-token";

/// Calls that are kept of each server: the latest.
const MOST_CALLS: usize = 10_000;
/// The longest delay of an answer, in milliseconds.
const MOST_DELAY_MS: u64 = 60_000;

/// The servers; clones share them.
#[derive(Clone, Default)]
pub struct Receivers {
    servers: Arc<Mutex<Servers>>,
}

#[derive(Default)]
struct Servers {
    by_name: HashMap<String, Server>,
    /// How many calls have come to all of them.
    calls: u64,
}

#[derive(Default)]
struct Server {
    behaviour: Behaviour,
    calls: VecDeque<Call>,
}

/// How a server answers.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Behaviour {
    status: u16,
    error_code: i64,
    /// After how long it answers, in milliseconds.
    delay_ms: u64,
    /// For how many calls; for all if not said. Afterwards it behaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { status: 200, error_code: 0, delay_ms: 0, times: None }
    }
}

/// One call that came.
#[derive(Debug, Clone, Serialize)]
struct Call {
    /// Its number, over all servers, from 1.
    number: u64,
    /// What stood behind the question mark, in order.
    query: Vec<(String, String)>,
    body: Value,
    /// What it was answered.
    status: u16,
    error_code: i64,
}

impl Receivers {
    /// The routes, to be nested under `/_local`.
    pub fn router(&self) -> Router {
        let server = || get(list).post(take).put(behave).delete(forget);
        Router::new().route("/webhook", server()).route("/webhook/{server}", server()).with_state(self.clone())
    }

    fn with<T>(&self, name: Option<Path<String>>, act: impl FnOnce(&mut Server, &mut u64) -> T) -> T {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let Servers { by_name, calls } = &mut *servers;
        act(by_name.entry(name.map(|Path(name)| name).unwrap_or_default()).or_default(), calls)
    }
}

async fn take(
    State(receivers): State<Receivers>,
    name: Option<Path<String>>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return problem(StatusCode::BAD_REQUEST, "the body is no JSON");
    };
    let query = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let behaviour = receivers.with(name, |server, calls| {
        *calls += 1;
        let behaviour = server.next_behaviour();
        let Behaviour { status, error_code, .. } = behaviour;
        if server.calls.len() >= MOST_CALLS {
            server.calls.pop_front();
        }
        server.calls.push_back(Call { number: *calls, query, body, status, error_code });
        behaviour
    });
    sleep(Duration::from_millis(behaviour.delay_ms)).await;
    let status = StatusCode::from_u16(behaviour.status).unwrap_or(StatusCode::OK);
    let word = if behaviour.error_code == 0 { "OK" } else { "FAIL" };
    (status, Json(json!({"ActionStatus": word, "ErrorInfo": "", "ErrorCode": behaviour.error_code}))).into_response()
}

async fn list(State(receivers): State<Receivers>, name: Option<Path<String>>) -> Response {
    Json(receivers.with(name, |server, _| server.calls.clone())).into_response()
}

async fn forget(State(receivers): State<Receivers>, name: Option<Path<String>>) -> StatusCode {
    receivers.with(name, |server, _| server.calls.clear());
    StatusCode::NO_CONTENT
}

async fn behave(State(receivers): State<Receivers>, name: Option<Path<String>>, body: Bytes) -> Response {
    let behaviour: Behaviour = match serde_json::from_slice(&body) {
        Ok(behaviour) => behaviour,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if !(200..=599).contains(&behaviour.status) || behaviour.delay_ms > MOST_DELAY_MS {
        return problem(StatusCode::BAD_REQUEST, "`status` is 200 to 599, `delay_ms` up to 60,000");
    }
    receivers.with(name, |server, _| server.behaviour = behaviour.clone());
    Json(behaviour).into_response()
}

impl Server {
    /// How it behaves to the next call, which counts.
    fn next_behaviour(&mut self) -> Behaviour {
        match &mut self.behaviour.times {
            None => self.behaviour.clone(),
            Some(0) => {
                self.behaviour = Behaviour::default();
                self.behaviour.clone()
            }
            Some(times) => {
                *times -= 1;
                self.behaviour.clone()
            }
        }
    }
}

fn problem(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"error": text}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_misbehaves_as_often_as_it_is_told() {
        let behaviour = Behaviour { status: 503, times: Some(2), ..Behaviour::default() };
        let mut server = Server { behaviour, ..Server::default() };
        let statuses: Vec<u16> = (0..4).map(|_| server.next_behaviour().status).collect();
        assert_eq!(statuses, [503, 503, 200, 200]);
    }

    #[test]
    fn what_is_not_said_of_a_behaviour_is_good() {
        let behaviour: Behaviour = serde_json::from_str(r#"{"delay_ms": 5}"#).unwrap();
        assert_eq!((behaviour.status, behaviour.error_code, behaviour.delay_ms, behaviour.times), (200, 0, 5, None));
        assert!(serde_json::from_str::<Behaviour>(r#"{"delay": 5}"#).is_err());
    }
}
