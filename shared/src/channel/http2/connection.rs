//! One connection, and the streams on it: with HTTP/1.1 one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::domain::Timestamp;
use crate::runtime::Clock;

use super::connect::connect;
use super::speech::{Offer, Requests};
use super::{Answer, Failure, Settings, Site};

/// After a pause this long, the peer may have closed it without our having read that.
const REST_MS: i64 = 1_000;

/// A connection younger than this is not given up for an answer: an unhappy vendor is not to be stormed with
/// handshakes.
const NEW: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    requests: Requests,
    /// A permit is a stream that may be opened. Closed: nothing more is to be sent here.
    streams: Semaphore,
    max_streams: usize,
    answer_bytes: usize,
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
        (tls, offer): (Arc<ClientConfig>, Offer),
        settings: Settings,
        clock: Clock,
    ) -> Result<Arc<Self>, Failure> {
        let handshake = async {
            let link = connect(&site, tls, offer).await.map_err(|error| Failure::Connect(Arc::new(error)))?;
            Requests::begin(link).await.map_err(|error| Failure::Connect(Arc::new(error)))
        };
        let (requests, driver) =
            timeout(settings.connect_timeout, handshake).await.map_err(|_| Failure::ConnectTimeout)??;
        let max_streams = if requests.is_http1() { 1 } else { settings.streams.max(1) };
        let streams = if settings.proves.is_some() { 1 } else { max_streams };
        let connection = Arc::new(Self {
            requests,
            streams: Semaphore::new(streams),
            max_streams,
            answer_bytes: settings.answer_bytes,
            opened_up: AtomicBool::new(settings.proves.is_none()),
            born: Instant::now(),
            used_at: AtomicI64::new(clock.now().millis()),
            answers: AtomicI64::new(0),
        });
        let driven = Arc::downgrade(&connection);
        tokio::spawn(async move {
            driver.await;
            if let Some(connection) = driven.upgrade() {
                connection.retire();
            }
        });
        Ok(connection)
    }

    /// Whether something more may be sent on it.
    pub(super) fn is_usable(&self, now: Timestamp) -> bool {
        let longest = i64::try_from(self.requests.longest_rest().as_millis()).unwrap_or(i64::MAX);
        !self.requests.is_closed() && !self.streams.is_closed() && self.rest_ms(now) <= longest
    }

    /// How many requests may be under way on it.
    pub(super) fn max_streams(&self) -> usize {
        self.max_streams
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
        let stream = Stream { connection: self };
        if stream.connection.requests.ready().await.is_err() {
            stream.connection.retire();
            return Err(Failure::Retired);
        }
        Ok(stream)
    }
}

/// The right to open one stream.
pub(super) struct Stream {
    connection: Arc<Connection>,
}

impl Stream {
    /// Whether nothing more is to be sent on its connection.
    pub(super) fn is_retired(&self) -> bool {
        self.connection.streams.is_closed()
    }

    /// Sends the request and reads the whole answer. Dropped or timed out, the stream is reset and free again; HTTP/1.1 has
    /// no such thing, so there the connection ends, and is found unready.
    pub(super) async fn send(
        self,
        request: Request<Full<Bytes>>,
        limit: Duration,
        clock: &Clock,
    ) -> Result<Answer, Failure> {
        let connection = &self.connection;
        if self.is_retired() {
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
        let (head, body) = match self.connection.requests.send(request).await {
            Ok(response) => response.into_parts(),
            // The request comes back when it was never written.
            Err(error) if error.message().is_some() => return Err(Failure::Refused(Arc::new(error.into_error()))),
            Err(error) => return Err(Failure::of_written(error.into_error())),
        };
        let body = match Limited::new(body, self.connection.answer_bytes).collect().await {
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
