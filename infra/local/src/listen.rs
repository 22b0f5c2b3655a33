//! A client app for the terminal: opens a socket as a user of the demo app, prints what comes, and acknowledges it.

use std::io::{self, Write};

use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{self, Message};

/// Why nothing more is heard.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No stack answers.
    #[error("no stack answers on 127.0.0.1:{port}: start one with `cargo run`")]
    NoStack {
        /// Where it was looked for.
        port: u16,
        /// What happened instead.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The socket was refused, or broke.
    #[error("the socket failed")]
    Socket(#[from] Box<tungstenite::Error>),
    /// The terminal is gone.
    #[error("cannot write")]
    Io(#[from] io::Error),
}

/// Listens as `user` to the stack on `port`, until the socket closes.
///
/// # Errors
///
/// When there is no stack, or the socket breaks.
pub async fn listen(port: u16, user: &str) -> Result<(), Error> {
    let signature = user_sig(port, user).await.map_err(|source| Error::NoStack { port, source })?;
    let url = format!("ws://127.0.0.1:{port}/ws?usersig={signature}&device_id=terminal");
    let (mut socket, _) = connect_async(url).await.map_err(Box::new)?;
    say(&mut socket, json!({"type": "sync"})).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message.map_err(Box::new)? else { continue };
        writeln!(io::stdout(), "{text}")?;
        let frame: Value = serde_json::from_str(&text).unwrap_or_default();
        if frame["type"] == "push" {
            say(&mut socket, json!({"type": "ack", "seqs": [frame["seq"]]})).await?;
        }
    }
    Ok(())
}

async fn say(
    socket: &mut (impl futures::Sink<Message, Error = tungstenite::Error> + Unpin),
    frame: Value,
) -> Result<(), Error> {
    Ok(socket.send(Message::text(frame.to_string())).await.map_err(Box::new)?)
}

async fn user_sig(port: u16, user: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let user: String = form_urlencoded::byte_serialize(user.as_bytes()).collect();
    let url = format!("http://127.0.0.1:{port}/_local/usersig?user={user}").parse()?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let answer = client.get(url).await?.into_body().collect().await?;
    Ok(String::from_utf8(answer.to_bytes().to_vec())?)
}
