//! Frames to one connection: what a client that asks is answered.

use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::error::SdkError;
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

/// Writes single frames to connections. Tries again what may pass, as the SDK does.
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
}

impl From<SdkError<PostToConnectionError>> for PostError {
    fn from(error: SdkError<PostToConnectionError>) -> Self {
        match error.as_service_error() {
            Some(PostToConnectionError::GoneException(_)) => Self::Gone,
            _ => Self::Failed(Box::new(error.into())),
        }
    }
}
