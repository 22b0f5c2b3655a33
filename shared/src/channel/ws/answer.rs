//! What API Gateway's answers mean.

use aws_sdk_apigatewaymanagement::config::http::HttpResponse;
use aws_sdk_apigatewaymanagement::error::SdkError;
use aws_sdk_apigatewaymanagement::operation::post_to_connection::PostToConnectionError;
use http::StatusCode;

use crate::channel::turns::Missed;
use crate::domain::Outcome;

/// Why a frame was not written.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The connection is closed, or not yet open.
    Gone,
    /// Too many posts, or a client that reads too slowly.
    Throttled,
    /// The frame is too large, or the id is none.
    Malformed,
    /// Our role may not.
    Forbidden,
    /// No answer, or one of a server that is unwell.
    Unavailable,
    /// The push ended its life before this post's turn.
    Late,
    /// Its turn was over.
    Missed,
}

impl Refusal {
    /// What it means for the target.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Gone => Outcome::InvalidToken { since: None, doubtful: false },
            Self::Throttled => Outcome::Throttled(None),
            Self::Malformed => Outcome::Permanent,
            Self::Forbidden => Outcome::Config,
            Self::Unavailable | Self::Late => Outcome::Transient(None),
            Self::Missed => Outcome::Unsent,
        }
    }
}

impl From<Missed> for Refusal {
    fn from(Missed: Missed) -> Self {
        Self::Missed
    }
}

/// Sorts an error by the status of the answer, if there was one.
pub(super) fn refusal(error: &SdkError<PostToConnectionError, HttpResponse>) -> (Refusal, Option<StatusCode>) {
    let status = error.raw_response().and_then(|response| StatusCode::from_u16(response.status().as_u16()).ok());
    let refusal = match status.map(|status| status.as_u16()) {
        Some(410) => Refusal::Gone,
        Some(429) => Refusal::Throttled,
        Some(401 | 403) => Refusal::Forbidden,
        Some(400..=499) => Refusal::Malformed,
        Some(_) | None => Refusal::Unavailable,
    };
    (refusal, status)
}
