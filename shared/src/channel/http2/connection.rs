//! One connection, and the streams on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::domain::Timestamp;
use crate::runtime::Clock;

use super::connect::connect;
use super::{Answer, Failure, Settings, Site};

/// Longest answer that is read. Real ones have a few hundred bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// A connection unused for longer is not trusted any more: NAT gateways forget theirs after 350 s.
const MAX_REST_MS: i64 = 240_000;

/// After a pause this long, the peer may have closed it without our having read that.
const REST_MS: i64 = 1_000;

/// A connection younger than this is not given up for an answer: an unhappy vendor is not to be stormed with
/// handshakes.
const NEW: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    /// A permit is a stream that may be opened. Closed: nothing more is to be sent here.
    streams: Semaphore,
    max_streams: usize,
    opened_up: AtomicBool,
    born: Instant,
    /// Unix milliseconds. The wall clock goes on while the environment is frozen.
    used_at: AtomicI64,
    /// Counts answers, so that silence can be told from one slow answer.
    answers: AtomicI64,
}

impl Connection {
    /// Connects. With [`Settings::proves`] it has one stream until [`open_up`](Self::open_up).
    pub(super) async fn open(
        site: Site,
        tls: Arc<ClientConfig>,
        settings: Settings,
        clock: Clock,
    ) -> Result<Arc<Self>, Failure> {
        let handshake = async {
            let stream = connect(&site, tls).await.map_err(|error| Failure::Connect(Arc::new(error)))?;
            Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|error| Failure::Connect(Arc::new(error)))
        };
        let (requests, driver) =
            timeout(settings.connect_timeout, handshake).await.map_err(|_| Failure::ConnectTimeout)??;
        let max_streams = settings.streams.max(1);
        let streams = if settings.proves.is_some() { 1 } else { max_streams };
        let connection = Arc::new(Self {
            requests,
            streams: Semaphore::new(streams),
            max_streams,
            opened_up: AtomicBool::new(settings.proves.is_none()),
            born: Instant::now(),
            used_at: AtomicI64::new(clock.now().millis()),
            answers: AtomicI64::new(0),
        });
        let driven = Arc::downgrade(&connection);
        tokio::spawn(async move {
            // How it ended, the requests on it are told.
            let _ = driver.await;
            if let Some(connection) = driven.upgrade() {
                connection.retire();
            }
        });
        Ok(connection)
    }

    /// Whether something more may be sent on it.
    pub(super) fn is_usable(&self, now: Timestamp) -> bool {
        !self.requests.is_closed() && !self.streams.is_closed() && self.rest_ms(now) <= MAX_REST_MS
    }

    /// Whether it has not been used for a while.
    pub(super) fn is_rested(&self, now: Timestamp) -> bool {
        self.rest_ms(now) > REST_MS
    }

    fn rest_ms(&self, now: Timestamp) -> i64 {
        now.millis().saturating_sub(self.used_at.load(Ordering::Relaxed))
    }

    /// Opens all its streams, now that the peer has accepted a credential on it.
    pub(super) fn open_up(&self) {
        if !self.opened_up.swap(true, Ordering::Relaxed) {
            self.streams.add_permits(self.max_streams - 1);
        }
    }

    /// Sends nothing more on it; those who wait for a stream are told.
    fn retire(&self) {
        self.streams.close();
    }

    pub(super) fn retire_unless_new(&self) {
        if self.born.elapsed() >= NEW {
            self.retire();
        }
    }

    /// Waits for a free stream.
    pub(super) async fn stream(self: Arc<Self>) -> Result<Stream, Failure> {
        match self.streams.acquire().await {
            Ok(permit) => permit.forget(),
            Err(_) => return Err(Failure::Retired),
        }
        Ok(Stream { connection: self })
    }
}

/// The right to open one stream.
pub(super) struct Stream {
    connection: Arc<Connection>,
}

impl Stream {
    /// Sends the request and reads the whole answer. Dropped or timed out, the stream is reset and free again.
    pub(super) async fn send(
        self,
        request: Request<Full<Bytes>>,
        limit: Duration,
        clock: &Clock,
    ) -> Result<Answer, Failure> {
        let connection = &self.connection;
        if connection.streams.is_closed() {
            // It was given up while this one waited for its turn.
            return Err(Failure::Retired);
        }
        connection.used_at.store(clock.now().millis(), Ordering::Relaxed);
        let answers = connection.answers.load(Ordering::Relaxed);
        match timeout(limit, self.exchange(request, clock)).await {
            Ok(result) => result,
            Err(_) => {
                if connection.answers.load(Ordering::Relaxed) == answers {
                    // It has said nothing to anybody in all this time: it is dead without knowing.
                    connection.retire();
                }
                Err(Failure::Timeout)
            }
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, clock: &Clock) -> Result<Answer, Failure> {
        let response = self.connection.requests.clone().try_send_request(request).await;
        let (head, body) = match response {
            Ok(response) => response.into_parts(),
            // The request comes back when it was never written.
            Err(error) if error.message().is_some() => return Err(Failure::Refused(Arc::new(error.into_error()))),
            Err(error) => return Err(Failure::of_written(error.into_error())),
        };
        let body = match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Failure::TooLong),
            Err(error) => match error.downcast::<hyper::Error>() {
                // The status had come: it was processed.
                Ok(error) => return Err(Failure::Broken(Arc::new(*error))),
                Err(_) => return Err(Failure::TooLong),
            },
        };
        let now = clock.now();
        self.connection.used_at.store(now.millis(), Ordering::Relaxed);
        self.connection.answers.fetch_add(1, Ordering::Relaxed);
        Ok(Answer::new(head.status, &head.headers, body, self.connection.clone(), now))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.streams.add_permits(1);
    }
}
