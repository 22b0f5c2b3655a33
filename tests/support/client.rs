//! The socket of a client app.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PATIENCE: Duration = Duration::from_secs(60);

/// An open socket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Opens a socket that must be let in.
    pub async fn open(url: &str) -> Self {
        Self::try_open(url).await.unwrap_or_else(|status| panic!("the handshake was refused with {status}"))
    }

    /// Opens a socket, or says with which status it was refused.
    pub async fn try_open(url: &str) -> Result<Self, u16> {
        match connect_async(url).await {
            Ok((stream, _)) => Ok(Self { stream }),
            Err(tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("the socket does not open: {error}"),
        }
    }

    /// Sends one frame.
    pub async fn say(&mut self, frame: Value) {
        self.stream.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame.
    pub async fn hear(&mut self) -> Value {
        self.hear_within(PATIENCE).await.expect("a frame comes in time")
    }

    /// The next frame, if one comes in time.
    pub async fn hear_within(&mut self, patience: Duration) -> Option<Value> {
        loop {
            match tokio::time::timeout(patience, self.stream.next()).await.ok()?? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Waits until the other side closes the socket, and says with which code. Frames that come before are dropped.
    pub async fn closed(&mut self) -> Option<u16> {
        let closing = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, closing).await.expect("the socket is closed in time")
    }

    /// Asks for what was missed; returns the pushes, in order, up to the end of the sync.
    pub async fn sync(&mut self) -> Vec<Value> {
        self.sync_once().await.0
    }

    /// The same, with the frame that ends it.
    pub async fn sync_once(&mut self) -> (Vec<Value>, Value) {
        self.say(json!({"type": "sync"})).await;
        let mut pushes = Vec::new();
        loop {
            let frame = self.hear().await;
            match frame["type"].as_str() {
                Some("push" | "revoke") => pushes.push(frame),
                Some("synced") => {
                    assert_eq!(frame["delivered"], pushes.len());
                    return (pushes, frame);
                }
                _ => panic!("not expected during a sync: {frame}"),
            }
        }
    }

    /// Acknowledges pushes, and waits until that is done: frames of one socket are handled in no fixed order.
    pub async fn ack(&mut self, pushes: &[Value]) {
        let seqs: Vec<&Value> = pushes.iter().map(|push| &push["seq"]).collect();
        self.say(json!({"type": "ack", "seqs": seqs})).await;
    }

    /// Closes the socket.
    pub async fn close(mut self) {
        // The other side may have closed it first.
        let _ = self.stream.close(None).await;
    }
}
