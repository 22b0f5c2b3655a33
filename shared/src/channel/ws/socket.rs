//! One connection: what a client that asks is answered, and the end of it.

use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::error::SdkError;
use aws_sdk_apigatewaymanagement::operation::delete_connection::DeleteConnectionError;
use aws_sdk_apigatewaymanagement::operation::post_to_connection::PostToConnectionError;
use aws_sdk_apigatewaymanagement::primitives::Blob;

use crate::domain::ConnectionId;

/// A frame that did not reach its connection.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The connection is closed.
    #[error("the connection is gone")]
    Gone,
    /// It may be there, and the frame was not taken.
    #[error("the frame was not taken")]
    Failed(#[source] Box<aws_sdk_apigatewaymanagement::Error>),
}

/// A connection that may still be open although it was to be closed.
#[derive(Debug, thiserror::Error)]
#[error("the connection was not closed")]
pub struct CloseError(#[source] Box<aws_sdk_apigatewaymanagement::Error>);

/// What became of a connection that was to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was open, and its end will be told.
    Closed,
    /// There was none. It ended before, or its handshake is not over yet.
    Gone,
}

/// Writes single frames to connections, and closes them. Tries again what may pass, as the SDK does.
#[derive(Clone)]
pub struct Sockets {
    client: Client,
}

impl Sockets {
    /// Over the `@connections` of an API.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Sends one text frame.
    pub async fn post(&self, connection: &ConnectionId, frame: String) -> Result<(), PostError> {
        let frame = Blob::new(frame.into_bytes());
        let post = self.client.post_to_connection().connection_id(connection.as_str()).data(frame);
        post.send().await.map(drop).map_err(PostError::from)
    }

    /// Closes a connection.
    pub async fn close(&self, connection: &ConnectionId) -> Result<Ended, CloseError> {
        match self.client.delete_connection().connection_id(connection.as_str()).send().await {
            Ok(_) => Ok(Ended::Closed),
            Err(error) => match error.as_service_error() {
                Some(DeleteConnectionError::GoneException(_)) => Ok(Ended::Gone),
                _ => Err(CloseError(Box::new(error.into()))),
            },
        }
    }
}

impl From<SdkError<PostToConnectionError>> for PostError {
    fn from(error: SdkError<PostToConnectionError>) -> Self {
        match error.as_service_error() {
            Some(PostToConnectionError::GoneException(_)) => Self::Gone,
            _ => Self::Failed(Box::new(error.into())),
        }
    }
}
