//! A peer on the loopback who speaks HTTP/1.1 without TLS, and keeps connections or does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the peer does with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plain {
    /// Answers with a status after so many milliseconds, and waits for the next.
    Answer(u16, u64),
    /// Closes without an answer.
    Vanish,
    /// Says nothing.
    Silence,
}

/// A peer.
pub(crate) struct PlainPeer {
    /// Its address.
    pub(crate) endpoint: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    open: AtomicUsize,
    heads: Mutex<Vec<String>>,
    /// Counted up to close all connections that wait for a request.
    hang_up: watch::Sender<usize>,
}

impl PlainPeer {
    /// A peer who does with each request what a script says of the number of the connection it came on, and of its own.
    pub(crate) async fn start(script: impl Fn(usize, usize) -> Plain + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (seen, script) = (Arc::<Seen>::default(), Arc::new(script));
        let all = seen.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (all, script) = (all.clone(), script.clone());
                let connection = all.connections.fetch_add(1, Ordering::SeqCst);
                all.open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let _ = converse(tcp, &all, |number| script(connection, number)).await;
                    all.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { endpoint, seen }
    }

    /// How many connections it has had.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until it has had so many connections, and for those that it should not have.
    pub(crate) async fn until_connections(&self, count: usize) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while self.connections() < count && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(self.connections(), count);
    }

    /// The first lines of each request, in the order of arrival.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().unwrap().clone()
    }

    /// Closes every connection, without having said that it would, and waits until they are closed.
    pub(crate) async fn hang_up(&self) {
        self.seen.hang_up.send_modify(|count| *count += 1);
        while self.seen.open.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn converse(tcp: TcpStream, seen: &Seen, script: impl Fn(usize) -> Plain) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut tcp = BufReader::new(tcp);
    let mut hang_up = seen.hang_up.subscribe();
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            let read = tokio::select! {
                read = tcp.read_line(&mut line) => read?,
                _ = hang_up.changed() => 0,
            };
            if read == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        tcp.read_exact(&mut vec![0; length]).await?;
        let number = {
            let mut heads = seen.heads.lock().unwrap();
            heads.push(head);
            heads.len() - 1
        };
        let (status, after) = match script(number) {
            Plain::Answer(status, after) => (status, Duration::from_millis(after)),
            Plain::Vanish => return Ok(()),
            Plain::Silence => std::future::pending().await,
        };
        tokio::time::sleep(after).await;
        tcp.write_all(format!("HTTP/1.1 {status} Said\r\ncontent-length: 2\r\n\r\n{{}}").as_bytes()).await?;
    }
}
