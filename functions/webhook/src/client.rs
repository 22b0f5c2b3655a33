//! One HTTP call to an app's own server.
//!
//! No redirect is followed and no proxy of the environment used: both would lead past the check of the address. The
//! address that was checked is the one that is connected to, for the resolver itself leaves the others out.

use std::error::Error as _;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fanfare::runtime::tls::{self, TlsError};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use crate::address::is_public;
use crate::receiver::Receiver;

/// For how long a call may take, from resolving the name to the end of the answer (Tencent, "Webhook overview").
const TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer that is read, in bytes: some twenty times what one says.
const ANSWER_BYTES: usize = 4 * 1024;
/// For how long a connection is kept. Short, because an environment may be frozen meanwhile, and the peer then closes
/// it unseen.
const KEPT: Duration = Duration::from_secs(5);

/// Why a call was in vain.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// It must not be made. Trying again would not help.
    #[error("the address of the webhook is not public")]
    NotPublic,
    /// There was no connection, or it broke.
    #[error("the webhook cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// The answer did not come in time.
    #[error("the webhook did not answer in time")]
    Timeout,
    /// The answer broke off, or is too long.
    #[error("the answer of the webhook cannot be read")]
    Unreadable,
    /// It answered with another status than 200.
    #[error("the webhook answered {0}")]
    Status(StatusCode),
    /// It answered that it could not hear, or not what the contract says.
    #[error("the webhook did not answer `ErrorCode` 0")]
    NotHeard,
    /// The URL with its parameters is none.
    #[error("the URL of the webhook cannot be called")]
    Url(#[source] http::Error),
}

type Http = HttpClient<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// Calls receivers. Clones share connections.
#[derive(Clone)]
pub(crate) struct Client {
    public_only: Http,
    anywhere: Http,
}

impl Client {
    /// A client that trusts the certificates of the machine, or of `SSL_CERT_FILE`.
    pub(crate) fn new() -> Result<Self, TlsError> {
        Self::trusting(tls::native_roots()?)
    }

    fn trusting(roots: RootCertStore) -> Result<Self, TlsError> {
        let tls = tls::client_config(roots)?;
        // Two, because connections are kept by host: one that was made to a private address for an app that may have it
        // must not serve an app that may not.
        Ok(Self {
            public_only: http_client(Resolver { allow_private: false }, tls.clone()),
            anywhere: http_client(Resolver { allow_private: true }, tls),
        })
    }

    /// Posts a body of JSON. `is_heard` judges the answer of status 200.
    pub(crate) async fn call(
        &self,
        receiver: &Receiver,
        parameters: &[(&'static str, String)],
        body: String,
        is_heard: fn(&[u8]) -> bool,
    ) -> Result<(), CallError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(receiver.with(parameters))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(USER_AGENT, HeaderValue::from_static("fanfare"))
            .body(Full::new(Bytes::from(body)))
            .map_err(CallError::Url)?;
        let client = if receiver.allow_private { &self.anywhere } else { &self.public_only };
        let call = async {
            let answer = client.request(request).await.map_err(failed)?;
            if answer.status() != StatusCode::OK {
                return Err(CallError::Status(answer.status()));
            }
            let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
            let body = body.map_err(|_| CallError::Unreadable)?.to_bytes();
            if is_heard(&body) { Ok(()) } else { Err(CallError::NotHeard) }
        };
        tokio::time::timeout(TIMEOUT, call).await.unwrap_or(Err(CallError::Timeout))
    }
}

fn http_client(resolver: Resolver, tls: ClientConfig) -> Http {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
    HttpClient::builder(TokioExecutor::new()).pool_idle_timeout(KEPT).pool_timer(TokioTimer::new()).build(connector)
}

/// A call that failed because of the address, or for any other reason.
fn failed(error: hyper_util::client::legacy::Error) -> CallError {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let not_public = causes.any(|cause| matches!(cause.downcast_ref(), Some(ResolveError::NotPublic)));
    if not_public { CallError::NotPublic } else { CallError::Unreachable(error) }
}

/// Resolves names as the machine does, and leaves out the addresses that may not be connected to.
#[derive(Debug, Clone, Copy)]
struct Resolver {
    allow_private: bool,
}

#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error("none of its addresses is public")]
    NotPublic,
    #[error("the name cannot be resolved")]
    Failed(#[from] std::io::Error),
}

impl Resolver {
    fn admit(self, found: impl Iterator<Item = SocketAddr>) -> Result<std::vec::IntoIter<SocketAddr>, ResolveError> {
        let admitted: Vec<_> = found.filter(|address| self.allow_private || is_public(address.ip())).collect();
        if admitted.is_empty() { Err(ResolveError::NotPublic) } else { Ok(admitted.into_iter()) }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = *self;
        // The port is not the name's: the connector puts in the URL's.
        Box::pin(async move { resolver.admit(tokio::net::lookup_host((name.as_str(), 0)).await?) })
    }
}

#[cfg(test)]
mod tests;
