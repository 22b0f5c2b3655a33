//! What API Gateway's answers mean.

use http::StatusCode;

use super::client::NoAnswer;
use super::signature::Unsigned;
use crate::channel::http2::Failure;
use crate::channel::turns::Missed;
use crate::domain::Outcome;

/// Why a frame was not written, or a connection not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Gone => Outcome::InvalidToken { since: None, doubtful: false },
            Self::Throttled => Outcome::Throttled(None),
            Self::Malformed => Outcome::Permanent,
            Self::Forbidden => Outcome::Config,
            Self::Unavailable | Self::Late => Outcome::Transient(None),
            Self::Missed => Outcome::Unsent,
        }
    }

    /// Whether the same call may succeed a moment later.
    pub(super) fn may_pass(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable)
    }
}

impl From<&NoAnswer> for Refusal {
    fn from(failure: &NoAnswer) -> Self {
        match failure {
            NoAnswer::Failed(Failure::Missed(Missed)) => Self::Missed,
            NoAnswer::Unsigned(Unsigned::Unmade | Unsigned::Request(_)) => Self::Malformed,
            NoAnswer::Failed(_) | NoAnswer::Unsigned(Unsigned::Credentials(_)) => Self::Unavailable,
        }
    }
}

/// Sorts an answer by its status.
pub(super) fn verdict(status: StatusCode) -> Result<(), Refusal> {
    match status.as_u16() {
        200..=299 => Ok(()),
        410 => Err(Refusal::Gone),
        429 => Err(Refusal::Throttled),
        401 | 403 => Err(Refusal::Forbidden),
        400..=499 => Err(Refusal::Malformed),
        _ => Err(Refusal::Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_credential_types::provider::error::CredentialsError;

    use super::*;

    #[test]
    fn what_cannot_be_asked_for_never_passes_and_what_lacks_credentials_does() {
        let missing = Unsigned::Credentials(Arc::new(CredentialsError::not_loaded_no_source()));
        for (unsigned, outcome, may_pass) in
            [(Unsigned::Unmade, Outcome::Permanent, false), (missing, Outcome::Transient(None), true)]
        {
            let refusal = Refusal::from(&NoAnswer::Unsigned(unsigned));
            assert_eq!((refusal.outcome(), refusal.may_pass()), (outcome, may_pass));
        }
    }
}
