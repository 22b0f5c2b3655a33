//! What a vendor is: the seam at which channels are added.

use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use super::behaviour::Behaviour;

/// One vendor's rules: how it is reached and what it answers.
pub(super) trait Vendor: Send + Sync + 'static {
    /// Its channel's name, as in an app's `channels`.
    fn channel(&self) -> &'static str;

    /// The HTTP versions and limits of its connections.
    fn protocols(&self) -> Protocols;

    /// The value of its channel in an app's `channels`.
    fn credentials(&self) -> Value;

    /// Judges one request. It must not block: it runs on the connection's task.
    fn answer(&self, call: &Call<'_>) -> Reply;

    /// What a device reads in the body of a request, for the record, where that is not the body itself.
    fn readable(&self, _request: &VendorRequest) -> Option<Bytes> {
        None
    }

    /// The subscription of a device of that name, where devices have some.
    fn subscription(&self, _name: &str) -> Option<Value> {
        None
    }
}

/// How a vendor's connections work.
#[derive(Clone, Copy)]
pub(super) struct Protocols {
    /// HTTP versions it negotiates, the preferred first.
    pub alpn: &'static [&'static [u8]],
    /// Concurrent streams of an HTTP/2 connection.
    pub streams: u32,
    /// Concurrent streams until the connection's first request with valid credentials has been
    /// answered, where that is fewer.
    pub streams_at_first: Option<u32>,
    /// What a GOAWAY says beside its code.
    pub goaway_reason: Option<&'static str>,
}

/// One request, with what surrounds it.
pub(super) struct Call<'a> {
    pub request: &'a VendorRequest,
    pub connection: &'a ConnectionState,
    pub behaviour: &'a Behaviour,
    pub now_ms: i64,
}

/// A request that has arrived whole.
pub(super) struct VendorRequest {
    pub method: Method,
    /// The path with the query, if any.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl VendorRequest {
    /// The header's text; `None` when it is absent, empty text when it is not ASCII.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        Some(value.to_str().unwrap_or_default())
    }

    /// The token of `Authorization: Bearer <token>`, whatever the case of the scheme.
    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(header::AUTHORIZATION.as_str())?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }
}

/// What a vendor remembers of a connection.
#[derive(Default)]
pub(super) struct ConnectionState {
    barred_until_ms: AtomicI64,
}

impl ConnectionState {
    /// Makes [`Self::is_barred`] true until then.
    pub(super) fn bar_until(&self, ms: i64) {
        self.barred_until_ms.store(ms, Ordering::Relaxed);
    }

    /// Whether the vendor has shut this connection's sender out for a while.
    pub(super) fn is_barred(&self, now_ms: i64) -> bool {
        now_ms < self.barred_until_ms.load(Ordering::Relaxed)
    }
}

/// A vendor's judgement of a request.
pub(super) struct Reply {
    pub answer: Answer,
    /// One entry a token that the request was for, in its order. Empty for a request that sends
    /// nothing, such as one for an access token: those are not recorded, nor bent by behaviours.
    pub outcomes: Vec<Outcome>,
    /// The request's credentials were valid.
    pub authenticated: bool,
}

/// Whether the vendor would have delivered to the token.
pub(super) struct Outcome {
    pub token: String,
    pub accepted: bool,
}

/// What goes back to the sender.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self::text(status, "application/json; charset=UTF-8", body.to_string())
    }

    pub(super) fn text(status: StatusCode, content_type: &'static str, body: String) -> Self {
        let mut answer = Self::empty(status);
        answer.body = body.into();
        answer.with(header::CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    /// Adds `Retry-After`, in seconds, if there is one.
    pub(super) fn retry_after(self, seconds: Option<u64>) -> Self {
        match seconds {
            Some(seconds) => self.with(header::RETRY_AFTER, seconds),
            None => self,
        }
    }
}
