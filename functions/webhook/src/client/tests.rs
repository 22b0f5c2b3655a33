//! Calls over real connections, in the clear and over TLS.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fanfare::domain::{Webhook, WebhookEvent};
use fanfare::runtime::telemetry::chain;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const HEARD: &str = r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#;

/// A server that answers every request with the same text, and counts connections.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answer: String, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                match tls.clone() {
                    None => drop(tokio::spawn(serve(stream, answer.clone()))),
                    Some(tls) => {
                        let answer = answer.clone();
                        tokio::spawn(async move {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, answer).await;
                            }
                        });
                    }
                }
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Answers the first request of a connection, and holds it open. Without an answer it only listens.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: String) {
    let mut request = Vec::new();
    while !request.ends_with(b"{}") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8(request).unwrap().to_lowercase();
    assert!(
        head.starts_with("post /hook?")
            && head.contains("a=b http/1.1\r\n")
            && head.contains("content-type: application/json"),
        "{head}"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    std::future::pending::<()>().await;
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn receiver(url: &str, allow_private: bool) -> Receiver {
    let events = [WebhookEvent::Push].into();
    Receiver::of(&Webhook { url: url.to_owned(), token: None, events, rate: 1, allow_private }).unwrap()
}

async fn call(client: &Client, url: &str, allow_private: bool) -> Result<(), CallError> {
    let is_heard = |answer: &[u8]| answer == HEARD.as_bytes();
    client.call(&receiver(url, allow_private), &[("a", "b".to_owned())], "{}".to_owned(), is_heard).await
}

async fn answered(text: String) -> Result<(), CallError> {
    let server = Server::start(text, None).await;
    let client = Client::trusting(RootCertStore::empty()).unwrap();
    call(&client, &format!("http://127.0.0.1:{}/hook", server.port), true).await
}

#[tokio::test]
async fn an_answer_as_it_should_be_is_one() {
    answered(answer("200 OK", "", HEARD)).await.unwrap();
}

#[tokio::test]
async fn any_other_answer_is_none() {
    let elsewhere = Server::start(answer("200 OK", "", HEARD), None).await;
    let moved = format!("Location: http://127.0.0.1:{}/hook?a=b\r\n", elsewhere.port);
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let result = answered(answer(status, &moved, "")).await;
        assert!(matches!(result, Err(CallError::Status(_))), "{result:?}");
    }
    assert_eq!(elsewhere.connections(), 0, "no redirect is followed");
    let result = answered(answer("201 Created", "", HEARD)).await;
    assert!(matches!(result, Err(CallError::Status(StatusCode::CREATED))), "{result:?}");
    let result = answered(answer("200 OK", "", r#"{"ErrorCode":1}"#)).await;
    assert!(matches!(result, Err(CallError::NotHeard)), "{result:?}");
    let result = answered(answer("200 OK", "", &" ".repeat(ANSWER_BYTES + 1))).await;
    assert!(matches!(result, Err(CallError::Unreadable)), "{result:?}");
    let result = answered("nonsense\r\n\r\n".to_owned()).await;
    assert!(matches!(result, Err(CallError::Unreachable(_))), "{result:?}");
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let client = Client::trusting(RootCertStore::empty()).unwrap();
    let result = call(&client, &format!("http://127.0.0.1:{gone}/hook"), true).await;
    assert!(matches!(result, Err(CallError::Unreachable(_))), "{result:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_or_does_not_end_is_not_waited_for() {
    let begun = tokio::time::Instant::now();
    let endless = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_owned();
    let (silent, endless) = tokio::join!(answered(String::new()), answered(endless));
    assert!(matches!(silent, Err(CallError::Timeout)), "{silent:?}");
    assert!(matches!(endless, Err(CallError::Timeout)), "{endless:?}");
    assert!(begun.elapsed() >= TIMEOUT);
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_connected_to() {
    let server = Server::start(answer("200 OK", "", HEARD), None).await;
    let client = Client::trusting(RootCertStore::empty()).unwrap();
    let url = format!("http://localhost:{}/hook", server.port);
    // Even when a connection to it is kept, of an app that may have it.
    call(&client, &url, true).await.unwrap();
    let before = server.connections();
    let result = call(&client, &url, false).await;
    assert!(matches!(result, Err(CallError::NotPublic)), "{result:?}");
    assert_eq!(server.connections(), before);
}

#[test]
fn of_a_names_addresses_only_the_public_ones_are_connected_to() {
    let found = |addresses: &[&str]| -> Vec<SocketAddr> {
        addresses.iter().map(|address| (address.parse::<IpAddr>().unwrap(), 0).into()).collect()
    };
    let resolver = Resolver { allow_private: false };
    let mixed = found(&["10.0.0.1", "1.1.1.1", "::1", "2606:4700::1111"]);
    let admitted: Vec<_> = resolver.admit(mixed.clone().into_iter()).unwrap().collect();
    assert_eq!(admitted, found(&["1.1.1.1", "2606:4700::1111"]));
    assert!(matches!(resolver.admit(found(&["10.0.0.1", "::1"]).into_iter()), Err(ResolveError::NotPublic)));
    let all: Vec<_> = Resolver { allow_private: true }.admit(mixed.clone().into_iter()).unwrap().collect();
    assert_eq!(all, mixed);
}

#[tokio::test]
async fn https_is_spoken_to_servers_with_a_certificate_that_is_trusted() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .unwrap();
    let server = Server::start(answer("200 OK", "", HEARD), Some(TlsAcceptor::from(Arc::new(config)))).await;
    let url = format!("https://localhost:{}/hook", server.port);
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    call(&Client::trusting(roots).unwrap(), &url, true).await.unwrap();
    let result = call(&Client::trusting(RootCertStore::empty()).unwrap(), &url, true).await;
    assert!(matches!(result, Err(CallError::Unreachable(_))), "{result:?}");
}

/// What is told of a failed call: why, and of the URL at most the host.
#[tokio::test]
async fn a_failure_is_told_with_its_cause_and_without_the_url() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let tls = Server::start(String::new(), Some(TlsAcceptor::from(Arc::new(config)))).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let nonsense = Server::start("nonsense\r\n\r\n".to_owned(), None).await;
    let client = Client::trusting(RootCertStore::empty()).unwrap();
    for (server, why) in [
        (format!("http://127.0.0.1:{gone}"), "refused"),
        ("http://hidden.invalid".to_owned(), "the name cannot be resolved"),
        (format!("https://localhost:{}", tls.port), "certificate"),
        (format!("http://127.0.0.1:{}", nonsense.port), "invalid HTTP"),
    ] {
        let error = call(&client, &format!("{server}/hook?a=b&key=secret"), true).await.unwrap_err();
        let told = chain(&error);
        assert!(told.starts_with("the webhook cannot be reached: ") && told.contains(why), "{told}");
        for part in ["secret", "hook", "key", "a=b", "://"] {
            assert!(!told.replace("webhook", "").contains(part), "{told}");
        }
    }
}
