//! What is spoken on a connection: HTTP/2, or HTTP/1.1 with a peer that knows no other.

use std::future::{Future, poll_fn};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::connect::Link;

/// An HTTP/2 connection unused for longer is not trusted any more: NAT gateways forget theirs after 350 s.
const HTTP2_REST: Duration = Duration::from_secs(240);

/// One of HTTP/1.1 is closed by its peer without a word, and what is written at that moment may or may not have been
/// processed. So it is given up before any peer would: AWS does not say when API Gateway does; the shortest time known of a
/// service like it is a minute (Application Load Balancer).
const HTTP1_REST: Duration = Duration::from_secs(30);

/// What a peer is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2 and nothing else.
    Http2,
    /// HTTP/2, or HTTP/1.1.
    Either,
}

/// Sends requests on a connection.
pub(super) enum Requests {
    Http2(http2::SendRequest<Full<Bytes>>),
    /// One after the other.
    Http1(Mutex<http1::SendRequest<Full<Bytes>>>),
}

impl Requests {
    /// Begins to speak on a link. What is returned beside it drives the connection to its end.
    pub(super) async fn begin(link: Link) -> hyper::Result<(Self, BoxFuture<'static, ()>)> {
        // How it ended, the requests on it are told.
        if link.is_http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            let (requests, driver) = builder.timer(TokioTimer::new()).handshake(TokioIo::new(link.io)).await?;
            return Ok((Self::Http2(requests), driver.map(drop).boxed()));
        }
        let (requests, driver) = http1::handshake(TokioIo::new(link.io)).await?;
        Ok((Self::Http1(Mutex::new(requests)), driver.map(drop).boxed()))
    }

    /// Whether one request has to end before the next.
    pub(super) fn is_http1(&self) -> bool {
        matches!(self, Self::Http1(_))
    }

    /// For how long it may be unused and is still trusted.
    pub(super) fn longest_rest(&self) -> Duration {
        if self.is_http1() { HTTP1_REST } else { HTTP2_REST }
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Http2(requests) => requests.is_closed(),
            Self::Http1(requests) => requests.lock().unwrap_or_else(PoisonError::into_inner).is_closed(),
        }
    }

    /// Waits until the request before has ended in every respect.
    pub(super) async fn ready(&self) -> hyper::Result<()> {
        match self {
            Self::Http2(_) => Ok(()),
            Self::Http1(requests) => {
                poll_fn(|context| requests.lock().unwrap_or_else(PoisonError::into_inner).poll_ready(context)).await
            }
        }
    }

    /// Sends a request, whose address is a whole one.
    pub(super) fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>>> + Send + 'static {
        match self {
            Self::Http2(requests) => requests.clone().try_send_request(request).left_future(),
            Self::Http1(requests) => {
                let request = in_origin_form(request);
                requests.lock().unwrap_or_else(PoisonError::into_inner).try_send_request(request).right_future()
            }
        }
    }
}

/// In HTTP/1.1 the host is a header, and the address only what follows it.
fn in_origin_form(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    request
}
