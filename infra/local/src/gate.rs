//! Where calls of functions enter the stack's services, and faults strike.

use std::future::pending;

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};

use crate::caller::Caller;
use crate::faults::{Faults, Verdict, When};
use crate::lambda::Environments;
use crate::rights::Rights;

/// Applies the plan of faults to calls.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// The plan.
    pub faults: Faults,
    /// Who can be killed.
    pub environments: Environments,
    /// Who may do what.
    pub rights: Rights,
}

impl Gate {
    /// Before a call takes effect. Does not return when the caller dies of it.
    pub async fn enter(&self, caller: &Caller, service: &str, operation: &str) -> Verdict {
        let verdict = self.faults.judge(caller, service, operation);
        tokio::time::sleep(verdict.wait).await;
        if verdict.kill == Some(When::Before) {
            self.kill(caller).await;
        }
        verdict
    }

    /// After the call took effect. Does not return when the caller dies of it.
    pub async fn leave(&self, caller: &Caller, verdict: &Verdict) {
        if verdict.kill == Some(When::After) {
            self.kill(caller).await;
        }
    }

    /// There is nobody left to answer, so this waits until the connection is found closed.
    async fn kill(&self, caller: &Caller) {
        if self.environments.kill(&caller.environment).await {
            pending::<()>().await;
        }
    }
}

/// The error that a fault asked for, as services of the AWS JSON protocol answer it.
pub fn refusal(error: &str) -> Response<Body> {
    let status = match error {
        "InternalServerError" | "InternalFailure" => StatusCode::INTERNAL_SERVER_ERROR,
        "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let body = serde_json::json!({"__type": error, "message": "a fault on request"});
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}

/// An answer whose connection breaks before its body.
pub fn lost() -> Response<Body> {
    let broken =
        futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("the answer is lost on request")) });
    Response::new(Body::from_stream(broken))
}
