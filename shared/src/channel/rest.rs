//! Requests to the vendors that take many tokens in each: a few a second, for which an ordinary client does.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use reqwest::redirect::Policy;
use reqwest::{Body, Method, RequestBuilder};
use rustls::{ClientConfig, RootCertStore};

use super::http2::retry_after;
use super::turns::{Missed, Turn};
use crate::domain::Outcome;
use crate::runtime::{Clock, tls};

/// Limit for TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(3);
/// Limit for a request, to the end of its answer.
const REQUEST: Duration = Duration::from_secs(8);
/// Connections are given up after so much idleness: vendors close theirs unseen while an environment is frozen.
const IDLE: Duration = Duration::from_secs(30);
/// Longest answer that is read: one that names a thousand tokens has some 200 KB.
const ANSWER_BYTES: usize = 1024 * 1024;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// Without TLS no vendor can be reached.
    #[error("TLS cannot be set up")]
    Tls(#[from] tls::TlsError),
    /// The client refuses its settings.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// Why there is no answer. It may have been processed all the same.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NoAnswer {
    /// It was not sent.
    #[error("it was not sent")]
    Missed(#[from] Missed),
    /// The request cannot be made: its address is none.
    #[error("the request cannot be made")]
    Unmade,
    /// The vendor did not answer, or not in time.
    #[error("there was no answer: {0}")]
    Silent(String),
    /// The answer is longer than any of this vendor's.
    #[error("the answer is too long")]
    TooLong,
}

impl NoAnswer {
    /// What it means for those whom the request was for.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Missed(_) => Outcome::Unsent,
            Self::Unmade => Outcome::Config,
            Self::Silent(_) | Self::TooLong => Outcome::Transient(None),
        }
    }
}

/// A whole answer. Its body may repeat tokens, so it is not shown.
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// How long the vendor asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// Its body.
    pub(super) body: Bytes,
}

/// Keeps connections to any number of vendors. Clones share them.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    clock: Clock,
}

impl Client {
    pub(super) fn new(roots: RootCertStore, clock: Clock) -> Result<Self, RestError> {
        let mut tls: ClientConfig = tls::client_config(roots)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            // A vendor does not send us elsewhere, least of all with our credentials.
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(REQUEST)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(RestError::Client)?;
        Ok(Self { http, clock })
    }

    /// A POST, to be given headers and then to [`send`](Self::send).
    pub(super) fn post(&self, url: &str, content_type: &str, body: impl Into<Body>) -> RequestBuilder {
        self.http.request(Method::POST, url).header(http::header::CONTENT_TYPE, content_type).body(body)
    }

    /// Waits for a turn, and sends.
    pub(super) async fn send(&self, turn: &Turn, request: RequestBuilder) -> Result<Answer, NoAnswer> {
        let request = request.build().map_err(|_| NoAnswer::Unmade)?;
        turn.take().await?;
        let silent = |error: reqwest::Error| match error.is_builder() {
            // An address that is not https.
            true => NoAnswer::Unmade,
            false => NoAnswer::Silent(cause(&error.without_url())),
        };
        let mut response = self.http.execute(request).await.map_err(silent)?;
        let (status, retry_after) = (response.status(), retry_after(response.headers(), self.clock.now()));
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if body.len() + chunk.len() > ANSWER_BYTES {
                return Err(NoAnswer::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after, body: body.freeze() })
    }
}

/// The innermost cause: the outer ones only say that a request failed.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
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
        let long = "x".repeat(ANSWER_BYTES);
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
        let header = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(ANSWER_BYTES));
        assert!(matches!(asked(header).await.0, Err(NoAnswer::Silent(_))));
        let body = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(ANSWER_BYTES + 1));
        assert!(matches!(asked(body).await.0, Err(NoAnswer::TooLong)));
    }
}
