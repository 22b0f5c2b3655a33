//! What API Gateway's answers mean.

use aws_sdk_apigatewaymanagement::config::http::HttpResponse;
use aws_sdk_apigatewaymanagement::error::SdkError;
use aws_sdk_apigatewaymanagement::operation::post_to_connection::PostToConnectionError;
use tracing::debug;

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
}

impl Refusal {
    /// What it means for the target.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Gone => Outcome::InvalidToken { since: None, doubtful: false },
            Self::Throttled => Outcome::Throttled(None),
            Self::Malformed => Outcome::Permanent,
            Self::Forbidden => Outcome::Config,
            Self::Unavailable | Self::Late => Outcome::Transient(None),
        }
    }
}

/// Sorts an error by the status of the answer, if there was one.
pub(super) fn refusal(error: &SdkError<PostToConnectionError, HttpResponse>) -> Refusal {
    let status = error.raw_response().map(|response| response.status().as_u16());
    let refusal = match status {
        Some(410) => Refusal::Gone,
        Some(429) => Refusal::Throttled,
        Some(401 | 403) => Refusal::Forbidden,
        Some(400..=499) => Refusal::Malformed,
        Some(_) | None => Refusal::Unavailable,
    };
    if !matches!(refusal, Refusal::Gone) {
        // Only the kind of the error: the answer's text may repeat the connection's id.
        debug!(channel = "ws", status, "A post was refused: {error}");
    }
    refusal
}
