//! Why a request has no answer.

use std::error::Error;
use std::sync::Arc;

use crate::channel::turns::Missed;
use crate::domain::Outcome;

/// Why a request has no answer. It can be shared, since a crowd waits for one connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// It was not sent.
    #[error("it was not sent")]
    Missed(#[from] Missed),
    /// There is no connection.
    #[error("cannot connect")]
    Connect(#[source] Arc<dyn Error + Send + Sync>),
    /// There is no connection yet.
    #[error("cannot connect in time")]
    ConnectTimeout,
    /// No stream became free in time.
    #[error("no stream was free in time")]
    Busy,
    /// The connection was given up before the request was on it.
    #[error("the connection was given up before the request left")]
    Retired,
    /// The peer or the connection refused the request before anything was done with it.
    #[error("the request was refused unprocessed")]
    Refused(#[source] Arc<hyper::Error>),
    /// The connection or the stream broke, and what became of the request is not known.
    #[error("the connection broke")]
    Broken(#[source] Arc<hyper::Error>),
    /// The answer did not come in time.
    #[error("no answer in time")]
    Timeout,
    /// The answer was longer than any real one.
    #[error("the answer is too long")]
    TooLong,
}

impl Failure {
    /// Whether the request certainly was not processed, and another connection may do better right now.
    pub(super) fn is_unprocessed(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Retired | Self::Refused(_) => true,
            // Also not processed, but time has been spent that a second try would spend again.
            Self::ConnectTimeout | Self::Busy | Self::Missed(_) => false,
            Self::Broken(_) | Self::Timeout | Self::TooLong => false,
        }
    }

    /// What it means for the target: no fault of its own.
    pub(in crate::channel) fn outcome(&self) -> Outcome {
        match self {
            Self::Missed(_) => Outcome::Unsent,
            Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Busy
            | Self::Retired
            | Self::Refused(_)
            | Self::Broken(_)
            | Self::Timeout
            | Self::TooLong => Outcome::Transient(None),
        }
    }

    /// Sorts what hyper says of a request that may have been written.
    pub(super) fn of_written(error: hyper::Error) -> Self {
        let refused = h2_error(&error).is_some_and(|error| {
            // A stream that the peer's GOAWAY left out is told so at once; one that it covered and that is lost with
            // the connection is told of the lost connection instead.
            let left_out = error.is_go_away() && error.is_remote();
            let refused = error.is_reset() && error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            left_out || refused
        });
        let error = Arc::new(error);
        if refused { Self::Refused(error) } else { Self::Broken(error) }
    }
}

fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}
