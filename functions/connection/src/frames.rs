//! What clients say: one JSON object a text frame, with a `type`.

use std::collections::BTreeSet;

use fanfare::channel::ws::PostError;
use fanfare::domain::{ConnectionId, Seq, SocketChange};
use serde::Deserialize;
use serde_json::json;

use crate::{ConnectionFunction, Error};

/// Most pushes that one frame acknowledges.
const SEQS_PER_ACK: usize = 500;
/// Most characters of what is told about a frame that was not understood: it can quote the frame, and is not to grow
/// with it.
const FAULT_CHARS: usize = 200;

/// A frame of a client.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Frame {
    Sync,
    Ack { seqs: BTreeSet<Seq> },
    Ping,
}

impl ConnectionFunction {
    /// Handles one frame of a connected client. A frame that is not understood is answered so, and the connection
    /// stays.
    pub(crate) async fn frame(&self, id: ConnectionId, text: &str) -> Result<i64, Error> {
        let handled = match parse(text) {
            Err((code, message)) => self.say(&id, json!({"type": "error", "code": code, "message": message})).await,
            Ok(Frame::Ping) => self.say(&id, json!({"type": "pong"})).await,
            Ok(Frame::Ack { seqs }) => self.ack(&id, &seqs).await,
            Ok(Frame::Sync) => self.sync(&id).await,
        };
        match handled {
            // Whoever asked has left: there is no one to answer.
            Err(Error::Socket(PostError::Gone)) => self.disconnect(id, SocketChange::Closed, None).await,
            Err(error) => {
                let sorry = json!({"type": "error", "code": "internal", "message": "try again"});
                // If even that fails, the first error is the one to tell.
                let _ = self.say(&id, sorry).await;
                Err(error)
            }
            Ok(()) => Ok(200),
        }
    }

    /// Sends one frame.
    pub(crate) async fn say(&self, id: &ConnectionId, frame: serde_json::Value) -> Result<(), Error> {
        Ok(self.sockets.post(id, frame.to_string()).await?)
    }

    /// Says to a socket that outlived what is known of it that it has to be opened anew.
    pub(crate) async fn say_unknown(&self, id: &ConnectionId) -> Result<(), Error> {
        self.say(id, json!({"type": "error", "code": "unknown_connection", "message": "connect again"})).await
    }

    async fn ack(&self, id: &ConnectionId, seqs: &BTreeSet<Seq>) -> Result<(), Error> {
        let Some(connection) = self.connections.get(id).await? else { return self.say_unknown(id).await };
        let now = self.clock.now();
        self.tell_reached(&connection, seqs, now).await;
        Ok(self.acks.add(&connection.app, &connection.user, &connection.device, seqs, now).await?)
    }
}

fn parse(text: &str) -> Result<Frame, (&'static str, String)> {
    let frame: Frame = serde_json::from_str(text).map_err(|error| {
        let fault: String = error.to_string().chars().take(FAULT_CHARS).collect();
        ("bad_frame", format!("not understood: {fault}"))
    })?;
    match &frame {
        Frame::Ack { seqs } if seqs.len() > SEQS_PER_ACK => {
            Err(("too_many", format!("one ack takes up to {SEQS_PER_ACK} seqs")))
        }
        _ => Ok(frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_by_their_type() {
        assert_eq!(parse(r#"{"type":"sync"}"#), Ok(Frame::Sync));
        assert_eq!(parse(r#"{"type":"ping","extra":1}"#), Ok(Frame::Ping));
        let seqs = BTreeSet::from([Seq(12), Seq(13)]);
        assert_eq!(parse(r#"{"type":"ack","seqs":[13,12,12]}"#), Ok(Frame::Ack { seqs }));
    }

    #[test]
    fn what_is_no_frame_is_told_so() {
        for text in
            ["", "null", "[]", "{}", r#"{"type":"dance"}"#, r#"{"type":"ack"}"#, r#"{"type":"ack","seqs":[-1]}"#]
        {
            assert_eq!(parse(text).unwrap_err().0, "bad_frame", "{text}");
        }
        let long = serde_json::json!({"type": "é".repeat(30_000)}).to_string();
        assert!(parse(&long).unwrap_err().1.chars().count() < 250);
        let many = serde_json::json!({"type": "ack", "seqs": (0..501).collect::<Vec<_>>()});
        assert_eq!(parse(&many.to_string()).unwrap_err().0, "too_many");
    }
}
