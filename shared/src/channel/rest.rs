//! Requests to the vendors that take many tokens in each, to the browsers' push services, and for access tokens.
//!
//! Over the connections of [`Pool`], and not by an ordinary client: that opens its connections when a request is sent, which
//! is at its turn. Those of a new environment arrived late by a handshake, amid the next ones; a second had fourteen where ten
//! were allowed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Uri, request};
use http_body_util::Full;
use rustls::RootCertStore;

use super::http2::{Answer, Failure, Pool, Settings, Site, either_config};
use super::turns::Turn;
use crate::domain::Outcome;
use crate::runtime::Clock;
use crate::runtime::tls::TlsError;

/// Where HTTP/2 is spoken, one connection does for all of a batch; where it is not, each request has its own.
const SETTINGS: Settings = Settings {
    connections: 100,
    streams: 100,
    connect_timeout: Duration::from_secs(3),
    request_timeout: Duration::from_secs(8),
    // One that names a thousand tokens has some 200 KB.
    answer_bytes: 1024 * 1024,
    proves: None,
};

/// Why there is no answer. It may have been processed all the same.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NoAnswer {
    /// The request cannot be made: its address is none, or not https.
    #[error("the request cannot be made")]
    Unmade,
    /// It did not leave, or the vendor did not answer.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl NoAnswer {
    /// What it means for those whom the request was for.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Unmade => Outcome::Config,
            Self::Failed(failure) => failure.outcome(),
        }
    }
}

/// A POST.
pub(super) struct Request {
    head: request::Builder,
    body: Bytes,
}

impl Request {
    /// With a header.
    pub(super) fn header<K, V>(self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K, Error: Into<http::Error>>,
        HeaderValue: TryFrom<V, Error: Into<http::Error>>,
    {
        Self { head: self.head.header(name, value), ..self }
    }

    /// With an access token (RFC 6750).
    pub(super) fn bearer_auth(self, token: &str) -> Self {
        self.header(AUTHORIZATION, format!("Bearer {token}"))
    }
}

/// Keeps connections to any number of vendors. Clones share them.
#[derive(Clone)]
pub(super) struct Client {
    pool: Arc<Pool>,
}

impl Client {
    pub(super) fn new(roots: RootCertStore, clock: Clock) -> Result<Self, TlsError> {
        Ok(Self { pool: Arc::new(Pool::of_either(either_config(roots)?, SETTINGS, clock)) })
    }

    /// A POST, to be given headers and then to [`send`](Self::send).
    pub(super) fn post(&self, url: &str, content_type: &'static str, body: impl Into<Bytes>) -> Request {
        let content_type = HeaderValue::from_static(content_type);
        Request { head: http::Request::post(url).header(CONTENT_TYPE, content_type), body: body.into() }
    }

    /// Connects, waits for a turn, and sends. A vendor does not send us elsewhere, least of all with our credentials: what it
    /// answers is the answer.
    pub(super) async fn send(&self, turn: &Turn, request: Request) -> Result<Answer, NoAnswer> {
        let request = request.head.body(Full::new(request.body)).map_err(|_| NoAnswer::Unmade)?;
        let site = Site::new(request.uri(), "").map_err(|_| NoAnswer::Unmade)?;
        Ok(self.pool.send(&site, turn, request).await?)
    }

    /// Opens what connections so many requests will need that go there.
    ///
    /// # Errors
    ///
    /// When the address is none, or no connection stands.
    pub(super) async fn connect(&self, url: &str, requests: usize) -> Result<(), NoAnswer> {
        let uri: Uri = url.parse().map_err(|_| NoAnswer::Unmade)?;
        let site = Site::new(&uri, "").map_err(|_| NoAnswer::Unmade)?;
        Ok(self.pool.connect(&site, requests).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::testkit::RawVendor;

    /// What the client makes of an answer, and how often it asked for it.
    async fn asked(answer: impl Into<Vec<u8>>) -> (Result<Answer, NoAnswer>, RawVendor) {
        let vendor = RawVendor::start(answer).await;
        let client = Client::new(vendor.roots.clone(), Clock::system()).unwrap();
        let request = client.post(&format!("{}/send", vendor.endpoint), "application/json", "");
        let answer = client.send(&Turn::free(), request).await;
        assert_eq!(vendor.times_asked(), 1, "what may have been processed is not sent again");
        (answer, vendor)
    }

    #[tokio::test]
    async fn an_answer_is_read_in_whatever_way_it_is_framed() {
        let long = "x".repeat(SETTINGS.answer_bytes);
        for (framed, status, body) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(), 200, "{}"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1;a=b\r\n}\r\n0\r\nx: y\r\n\r\n".to_owned(), 200, "{}"),
            // To the end of the connection.
            ("HTTP/1.0 500 No\r\n\r\n{}".to_owned(), 500, "{}"),
            ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), 204, ""),
            // What comes before it is not it.
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(), 200, "{}"),
            // We go nowhere else, least of all with our credentials.
            ("HTTP/1.1 307 Elsewhere\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned(), 307, ""),
            ("HTTP/1.1 302 Elsewhere\r\nlocation: http://example.com/\r\ncontent-length: 0\r\n\r\n".to_owned(), 302, ""),
            // Unasked: to us it is bytes.
            ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\u{1f}{".to_owned(), 200, "\u{1f}{"),
            (format!("HTTP/1.1 999 What\r\n\r\n{long}"), 999, &long),
        ] {
            let (answer, vendor) = asked(framed.as_bytes()).await;
            let answer = answer.unwrap_or_else(|error| panic!("{framed:.200}: {error}"));
            assert_eq!((answer.status.as_u16(), &*answer.body), (status, body.as_bytes()), "{framed:.200}");
            assert!(!vendor.head().contains("accept-encoding"), "{}", vendor.head());
        }
    }

    #[tokio::test]
    async fn what_is_no_whole_answer_is_none() {
        for broken in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/9.9 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "SSH-2.0-OpenSSH_9.6\r\n",
            "\0\0\0\u{4}\0\0\0\0\0",
        ] {
            let (answer, _) = asked(broken).await;
            let failure = answer.err().unwrap_or_else(|| panic!("{broken:?} is an answer"));
            assert_eq!(failure.outcome(), Outcome::Transient(None), "{broken:?}");
        }
        let header = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(SETTINGS.answer_bytes));
        assert!(matches!(asked(header).await.0, Err(NoAnswer::Failed(Failure::Broken(_)))));
        let body = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(SETTINGS.answer_bytes + 1));
        assert!(matches!(asked(body).await.0, Err(NoAnswer::Failed(Failure::TooLong))));
    }
}
