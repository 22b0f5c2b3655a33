//! A vendor on the loopback: HTTP/2 over TLS, answering as a test says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request, Response};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::channel::http2::client_config;

/// One request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// How many came before it.
    pub(crate) number: usize,
    /// The connection it came on, counted from 0.
    pub(crate) connection: usize,
    /// How many others were under way on that connection when it came.
    pub(crate) beside: usize,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    /// A header's text, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What the vendor does with a request.
pub(crate) enum Reply {
    /// Answers with a status and a body.
    Answer(u16, String),
    /// Answers with a header too.
    AnswerWith(u16, (&'static str, &'static str), String),
    /// Does so only once this many are under way on the connection.
    Together(usize, Box<Reply>),
    /// Does so after a while.
    Late(Duration, Box<Reply>),
    /// Answers so, after an interim answer with a status.
    After(u16, Box<Reply>),
    /// Resets the stream.
    Reset(Reason),
    /// Sends GOAWAY, and closes the connection with what is under way.
    GoAway(Reason),
    /// Says nothing.
    Silence,
}

impl Reply {
    /// 200 and nothing.
    pub(crate) fn ok() -> Self {
        Self::Answer(200, String::new())
    }

    /// A status with Apple's word for it.
    pub(crate) fn reason(status: u16, reason: &str) -> Self {
        Self::Answer(status, format!(r#"{{"reason":"{reason}"}}"#))
    }
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

/// A vendor.
pub(crate) struct Vendor {
    /// Its address.
    pub(crate) endpoint: String,
    tls: Arc<ClientConfig>,
    roots: RootCertStore,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    max_streams: u32,
    /// How many of the first connections only ever say GOAWAY, leaving out every stream.
    leaving: usize,
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
    /// Counted up to close all connections.
    hang_up: watch::Sender<usize>,
}

impl Vendor {
    /// A vendor who answers by a script.
    pub(crate) async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(1_000, 0, script).await
    }

    /// A vendor who allows so many streams, and whose first so many connections refuse every one of them by GOAWAY.
    pub(crate) async fn start_with(
        max_streams: u32,
        leaving: usize,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (server, tls, roots) = certificates(b"h2");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let shared = Arc::new(Shared {
            script: Box::new(script),
            max_streams,
            leaving,
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            hang_up: watch::Sender::new(0),
        });
        tokio::spawn(listen(listener, TlsAcceptor::from(server), shared.clone()));
        Self { endpoint, tls, roots, shared }
    }

    /// A configuration that trusts it.
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        self.tls.clone()
    }

    /// The authority that signed its certificate.
    pub(crate) fn roots(&self) -> RootCertStore {
        self.roots.clone()
    }

    /// What it was asked, in the order of arrival.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// How often each path was asked for.
    pub(crate) fn asked_by_path(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        self.asked().into_iter().for_each(|asked| *counts.entry(asked.path).or_default() += 1);
        counts
    }

    /// How many connections it has had.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The most requests that were ever under way on one connection.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// Closes every connection, and waits until they are closed.
    pub(crate) async fn hang_up(&self) {
        self.shared.hang_up.send_modify(|count| *count += 1);
        while self.shared.open.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn listen(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    while let Ok((tcp, _)) = listener.accept().await {
        tcp.set_nodelay(true).unwrap();
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        tokio::spawn(async move {
            if let Ok(tls) = acceptor.accept(tcp).await {
                let connection = shared.connections.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                if connection < shared.leaving {
                    leave(tls).await;
                } else {
                    serve(tls, connection, &shared).await;
                }
                shared.open.fetch_sub(1, Ordering::SeqCst);
            }
        });
    }
}

/// Sends GOAWAY with last stream 0 when the first request is there, and stays until the client goes.
async fn leave(mut tls: TlsStream<TcpStream>) {
    const PREFACE: usize = 24;
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const HEADERS: u8 = 1;
    let _ = tls.read_exact(&mut [0; PREFACE]).await;
    let _ = tls.write_all(&SETTINGS).await;
    let mut head = [0; 9];
    while tls.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let _ = tls.read_exact(&mut vec![0; length]).await;
        if head[3] == HEADERS {
            let _ = tls.write_all(&GOAWAY).await;
            let _ = tls.flush().await;
        }
    }
}

async fn serve(tls: TlsStream<TcpStream>, connection: usize, shared: &Arc<Shared>) {
    let mut builder = h2::server::Builder::new();
    let Ok(mut h2) = builder.max_concurrent_streams(shared.max_streams).handshake::<_, Bytes>(tls).await else {
        return;
    };
    let (under_way, mut hang_up) = (watch::Sender::new(0_usize), shared.hang_up.subscribe());
    let go_away = watch::Sender::new(None);
    let mut going = go_away.subscribe();
    loop {
        tokio::select! {
            accepted = h2.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let visit = Visit { connection, shared: shared.clone(), under_way: under_way.clone(), go_away: go_away.clone() };
                    tokio::spawn(visit.answer(request, respond));
                }
                Some(Err(_)) | None => return,
            },
            Ok(()) = going.changed() => {
                let reason = *going.borrow_and_update();
                h2.abrupt_shutdown(reason.unwrap_or(Reason::NO_ERROR));
            }
            Ok(()) = hang_up.changed() => return,
        }
    }
}

struct Visit {
    connection: usize,
    shared: Arc<Shared>,
    under_way: watch::Sender<usize>,
    go_away: watch::Sender<Option<Reason>>,
}

impl Visit {
    async fn answer(self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let mut now = 0;
        self.under_way.send_modify(|count| {
            *count += 1;
            now = *count;
        });
        self.shared.most.fetch_max(now, Ordering::SeqCst);
        let (head, mut incoming) = request.into_parts();
        let mut body = Vec::new();
        while let Some(Ok(data)) = incoming.data().await {
            let _ = incoming.flow_control().release_capacity(data.len());
            body.extend_from_slice(&data);
        }
        let asked = {
            let mut all = self.shared.asked.lock().unwrap();
            let asked = Asked {
                number: all.len(),
                connection: self.connection,
                beside: now - 1,
                method: head.method,
                path: head.uri.path().to_owned(),
                headers: head.headers,
                body: body.into(),
            };
            all.push(asked.clone());
            asked
        };
        let mut reply = (self.shared.script)(&asked);
        loop {
            reply = match reply {
                Reply::Together(count, next) => {
                    let _ = self.under_way.subscribe().wait_for(|now| *now >= count).await;
                    *next
                }
                Reply::Late(after, next) => {
                    tokio::time::sleep(after).await;
                    *next
                }
                Reply::After(status, next) => {
                    let _ = respond.send_informational(Response::builder().status(status).body(()).unwrap());
                    *next
                }
                Reply::Answer(status, body) => break send(&mut respond, Response::builder().status(status), body),
                Reply::AnswerWith(status, (name, value), body) => {
                    break send(&mut respond, Response::builder().status(status).header(name, value), body);
                }
                Reply::Reset(reason) => break respond.send_reset(reason),
                Reply::GoAway(reason) => {
                    self.go_away.send_replace(Some(reason));
                    break std::future::pending().await;
                }
                Reply::Silence => break std::future::pending().await,
            }
        }
        // Those who came together leave together: nobody who waits for company misses it.
        tokio::task::yield_now().await;
        self.under_way.send_modify(|count| *count -= 1);
    }
}

fn send(respond: &mut SendResponse<Bytes>, response: http::response::Builder, body: String) {
    let sent = respond.send_response(response.body(()).unwrap(), body.is_empty());
    if let (Ok(mut stream), false) = (sent, body.is_empty()) {
        let _ = stream.send_data(body.into(), true);
    }
}

/// The configuration of a server of one protocol, a client's that trusts its authority, and that authority.
pub(super) fn certificates(protocol: &[u8]) -> (Arc<ServerConfig>, Arc<ClientConfig>, RootCertStore) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let mut server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    server.alpn_protocols = vec![protocol.to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    (Arc::new(server), client_config(roots.clone()).unwrap(), roots)
}
