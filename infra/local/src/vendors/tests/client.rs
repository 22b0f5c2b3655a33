//! Clients that trust the sandbox's CA, close enough to the wire to see what is on it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// An HTTP/2 connection.
pub(super) struct Client {
    pub(super) send: SendRequest<Bytes>,
    /// Ends when the connection does.
    pub(super) connection: JoinHandle<Result<(), h2::Error>>,
}

/// An answer, its body read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body as JSON; `null` if there is none or it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub(super) async fn connect(ca_pem: &str, port: u16) -> Self {
        let tls = handshake(ca_pem, port, &[b"h2"]).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (send, connection) = h2::client::handshake(tls).await.unwrap();
        Self { send, connection: tokio::spawn(connection) }
    }

    pub(super) fn start(&self, request: Request<Bytes>) -> Result<ResponseFuture, h2::Error> {
        start(self.send.clone(), request)
    }

    /// Sends once the vendor allows a stream, and waits for the answer.
    pub(super) async fn call(&self, request: Request<Bytes>) -> Result<Answer, h2::Error> {
        let send = self.send.clone().ready().await?;
        receive(start(send, request)?).await
    }

    /// Waits until the vendor allows so many streams.
    pub(super) async fn allowed_streams(&self, streams: usize) {
        let allowed = async {
            while self.send.current_max_send_streams() != streams {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), allowed).await.unwrap();
    }
}

/// Sends without waiting for anything.
pub(super) fn start(mut send: SendRequest<Bytes>, request: Request<Bytes>) -> Result<ResponseFuture, h2::Error> {
    let (head, body) = request.into_parts();
    let (response, mut stream) = send.send_request(Request::from_parts(head, ()), body.is_empty())?;
    if !body.is_empty() {
        stream.send_data(body, true)?;
    }
    Ok(response)
}

pub(super) async fn receive(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut stream) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        body.extend_from_slice(&data?);
    }
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.into() })
}

/// An HTTP/1.1 connection.
pub(super) struct Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>);

impl Http1 {
    pub(super) async fn connect(ca_pem: &str, port: u16) -> Self {
        let tls = handshake(ca_pem, port, &[b"http/1.1"]).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(tls);
        let (send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Self(send)
    }

    pub(super) async fn call(&mut self, mut request: Request<Bytes>) -> hyper::Result<Answer> {
        *request.uri_mut() = request.uri().path().parse().unwrap();
        request.headers_mut().insert(http::header::HOST, "localhost".parse().unwrap());
        self.0.ready().await?;
        let response: Response<_> = self.0.send_request(request.map(Full::new)).await?;
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.collect().await?.to_bytes() })
    }
}

pub(super) async fn handshake(ca_pem: &str, port: u16, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.set_nodelay(true).unwrap();
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), socket).await
}
