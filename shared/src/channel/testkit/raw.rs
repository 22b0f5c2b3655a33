//! A vendor on the loopback who speaks HTTP/1.1 as badly as a test says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::RootCertStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::vendor::certificates;

/// A vendor who answers every request with the same bytes.
pub(crate) struct RawVendor {
    /// Its address.
    pub(crate) endpoint: String,
    /// The authority that signed its certificate.
    pub(crate) roots: RootCertStore,
    asked: Arc<Asked>,
}

#[derive(Default)]
struct Asked {
    times: AtomicUsize,
    head: Mutex<String>,
}

impl RawVendor {
    /// Answers so, and closes the connection.
    pub(crate) async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let (server, _, roots) = certificates(b"http/1.1");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (asked, answer) = (Arc::<Asked>::default(), Arc::new(answer.into()));
        let (acceptor, all) = (TlsAcceptor::from(server), asked.clone());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(converse(acceptor.clone(), tcp, answer.clone(), all.clone()));
            }
        });
        Self { endpoint, roots, asked }
    }

    /// How many requests came.
    pub(crate) fn times_asked(&self) -> usize {
        self.asked.times.load(Ordering::SeqCst)
    }

    /// The last one's first lines, in small letters.
    pub(crate) fn head(&self) -> String {
        self.asked.head.lock().unwrap().clone()
    }
}

/// Reads a request without a body, and answers.
async fn converse(acceptor: TlsAcceptor, tcp: TcpStream, answer: Arc<Vec<u8>>, asked: Arc<Asked>) {
    let Ok(mut tls) = acceptor.accept(tcp).await else { return };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match tls.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    *asked.head.lock().unwrap() = String::from_utf8_lossy(&head).to_lowercase();
    asked.times.fetch_add(1, Ordering::SeqCst);
    let _ = tls.write_all(&answer).await;
    let _ = tls.shutdown().await;
}
