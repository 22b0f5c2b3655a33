//! One connection: what a client that asks is answered, and the end of it.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::time::{sleep, timeout};

use super::answer::{Refusal, verdict};
use super::client::{Client, NoAnswer};
use crate::channel::turns::Turn;
use crate::domain::ConnectionId;

/// How often a call is made at most.
const TRIES: u32 = 4;
/// The longest pause after the first try; after each it is twice as long. Pauses are of any length up to that, so that those
/// who failed together do not come together.
const PAUSE: Duration = Duration::from_millis(500);
/// Limit for all tries: whoever waits for the answer waits no longer than that.
const LIMIT: Duration = Duration::from_secs(8);

/// A frame that did not reach its connection.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The connection is closed.
    #[error("the connection is gone")]
    Gone,
    /// It may be there, and the frame was not taken.
    #[error("the frame was not taken")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// A connection that may still be open although it was to be closed.
#[derive(Debug, thiserror::Error)]
#[error("the connection was not closed")]
pub struct CloseError(#[source] Box<dyn Error + Send + Sync>);

/// What became of a connection that was to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was open, and its end will be told.
    Closed,
    /// There was none. It ended before, or its handshake is not over yet.
    Gone,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("API Gateway answered {0}")]
    Refused(StatusCode),
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("there was no answer in time")]
    TooSlow,
    #[error("the function has no API to call")]
    Nowhere,
}

impl CallError {
    fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(status) => verdict(*status).err().unwrap_or(Refusal::Unavailable),
            Self::NoAnswer(failure) => Refusal::from(failure),
            Self::TooSlow => Refusal::Unavailable,
            Self::Nowhere => Refusal::Forbidden,
        }
    }
}

/// Writes single frames to connections, and closes them. Tries again what may pass: a frame may come twice, as clients
/// know.
#[derive(Clone)]
pub enum Sockets {
    /// Over the `@connections` of an API.
    At(Client),
    /// Of a function that has none to write to or to close: should it try, it fails.
    Nowhere,
}

impl Sockets {
    /// Sends one text frame.
    ///
    /// # Errors
    ///
    /// [`PostError`] says whether there is still someone to send to.
    pub async fn post(&self, connection: &ConnectionId, frame: String) -> Result<(), PostError> {
        match self.call(Method::POST, connection, frame.into()).await {
            Ok(()) => Ok(()),
            Err(error) if error.refusal() == Refusal::Gone => Err(PostError::Gone),
            Err(error) => Err(PostError::Failed(error.into())),
        }
    }

    /// Closes a connection.
    ///
    /// # Errors
    ///
    /// Whatever keeps that from being known.
    pub async fn close(&self, connection: &ConnectionId) -> Result<Ended, CloseError> {
        match self.call(Method::DELETE, connection, Bytes::new()).await {
            Ok(()) => Ok(Ended::Closed),
            Err(error) if error.refusal() == Refusal::Gone => Ok(Ended::Gone),
            Err(error) => Err(CloseError(error.into())),
        }
    }

    async fn call(&self, method: Method, connection: &ConnectionId, body: Bytes) -> Result<(), CallError> {
        let Self::At(client) = self else { return Err(CallError::Nowhere) };
        let tries = async {
            let mut tried = 1;
            loop {
                match call_once(client, method.clone(), connection, body.clone()).await {
                    Err(error) if error.refusal().may_pass() && tried < TRIES => {
                        sleep(PAUSE.mul_f64(fastrand::f64()) * 2_u32.pow(tried - 1)).await;
                        tried += 1;
                    }
                    result => return result,
                }
            }
        };
        timeout(LIMIT, tries).await.unwrap_or(Err(CallError::TooSlow))
    }
}

async fn call_once(client: &Client, method: Method, connection: &ConnectionId, body: Bytes) -> Result<(), CallError> {
    let status = client.call(method, connection.as_str(), body, &Turn::free()).await?;
    verdict(status).map_err(|_| CallError::Refused(status))
}
