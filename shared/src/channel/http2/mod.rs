//! Kept HTTP/2 connections, several to a host; to peers that need not know it, HTTP/1.1 ones.
//!
//! A vendor that takes one token a request is limited by streams over latency, so a batch needs several connections
//! with many streams each, kept open from batch to batch. Between batches the environment may be frozen, and the
//! connections die unseen; so a request that certainly was not processed is sent once more on a new one.

mod answer;
mod connect;
mod connection;
mod failure;
mod site;
mod speech;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::join_all;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio_rustls::rustls::ClientConfig;

use super::flight::Flight;
use super::pulse::Pulse;
use super::turns::Turn;
use crate::runtime::Clock;

pub(super) use answer::{Answer, shown};
pub(super) use connect::{client_config, either_config};
use connection::{Connection, Stream};
pub(super) use failure::Failure;
pub(super) use site::Site;
use speech::Offer;

/// Connections are kept to no more sites than this, besides those in use. An app may be a site of its own, and a function
/// has but so many sockets.
const MAX_SITES: usize = 200;

/// How a vendor wants to be spoken to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Most connections to a site.
    pub(super) connections: usize,
    /// Most requests under way on a connection; the peer may allow fewer, and is obeyed. With HTTP/1.1 it is one.
    pub(super) streams: usize,
    /// Limit for TCP and TLS together.
    pub(super) connect_timeout: Duration,
    /// Limit for a request, from its leaving to the end of its answer; and, before that, for having a free stream.
    pub(super) request_timeout: Duration,
    /// Longest answer that is read.
    pub(super) answer_bytes: usize,
    /// For vendors that allow one stream until they have accepted a credential on it: the answers that say they have.
    pub(super) proves: Option<fn(StatusCode) -> bool>,
}

impl Settings {
    /// How many requests can be under way to a site.
    pub(super) fn concurrency(&self) -> usize {
        self.connections * self.streams
    }
}

/// Connections to any number of sites.
pub(super) struct Pool {
    tls: Arc<ClientConfig>,
    offer: Offer,
    settings: Settings,
    clock: Clock,
    sites: Mutex<HashMap<Site, Arc<Lines>>>,
}

/// The places for connections to one site.
struct Lines {
    all: Box<[Line]>,
    /// How many requests can be under way on a connection, as far as is known.
    streams: AtomicUsize,
    pulse: Pulse,
}

/// A place for one connection.
struct Line {
    connection: Flight<Arc<Connection>, Failure>,
    load: AtomicUsize,
}

impl Pool {
    pub(super) fn new(tls: Arc<ClientConfig>, settings: Settings, clock: Clock) -> Self {
        Self { tls, offer: Offer::Http2, settings, clock, sites: Mutex::new(HashMap::new()) }
    }

    /// Connections that speak HTTP/1.1, with one request under way on each, to who does not choose HTTP/2.
    pub(super) fn of_either(tls: Arc<ClientConfig>, settings: Settings, clock: Clock) -> Self {
        Self { offer: Offer::Either, ..Self::new(tls, settings, clock) }
    }

    /// How many requests can be under way to a site.
    pub(super) fn concurrency(&self) -> usize {
        self.settings.concurrency()
    }

    /// Sends a request as soon as it is its turn, and reads the whole answer, whatever its status.
    ///
    /// # Errors
    ///
    /// Whatever kept an answer from coming. What certainly was not processed was sent twice before, if its turn allowed it.
    pub(super) async fn send(
        &self,
        site: &Site,
        turn: &Turn,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Failure> {
        let lines = self.lines(site);
        let mut had_turn = false;
        let first = match self.try_send(site, &lines, turn, request.clone(), &mut had_turn).await {
            Err(failure) if failure.is_unprocessed() => failure,
            result => return result,
        };
        match self.try_send(site, &lines, turn, request, &mut had_turn).await {
            // The turn went with the first try, and what became of that counts: of a vendor that refuses everything
            // unprocessed it would otherwise be said that nothing was sent to it, and it would be tried without end.
            Err(Failure::Missed(_)) if had_turn => Err(first),
            result => result,
        }
    }

    /// Opens what is missing for so many requests to be under way to a site, so that none of them has to wait for a
    /// connection behind its turn: with HTTP/2 few connections are enough, with HTTP/1.1 it is one a request. Nobody waits
    /// for streams.
    ///
    /// # Errors
    ///
    /// Whatever kept the first from standing, if none stands.
    pub(super) async fn connect(&self, site: &Site, count: usize) -> Result<(), Failure> {
        let lines = self.lines(site);
        let Some((first, more)) = lines.all.split_first() else { return Ok(()) };
        let connection = match self.connection(site, first).await {
            Ok(connection) => connection,
            Err(failure) => return if self.any_stands(more) { Ok(()) } else { Err(failure) },
        };
        let streams = connection.max_streams();
        lines.streams.store(streams, Ordering::Relaxed);
        let missing = more.iter().take(count.div_ceil(streams).saturating_sub(1));
        // Whether these stand is for who needs them to say.
        join_all(missing.map(|line| self.connection(site, line))).await;
        Ok(())
    }

    fn any_stands(&self, lines: &[Line]) -> bool {
        let now = self.clock.now();
        lines.iter().any(|line| line.connection.has(|connection| connection.is_usable(now)))
    }

    async fn try_send(
        &self,
        site: &Site,
        lines: &Lines,
        turn: &Turn,
        request: Request<Full<Bytes>>,
        had_turn: &mut bool,
    ) -> Result<Answer, Failure> {
        let (_loaded, stream) = self.stream(site, lines).await?;
        turn.near().await;
        if stream.is_retired() {
            // The turn is not to be spent on a connection that was given up meanwhile.
            return Err(Failure::Retired);
        }
        // While it waits for its turn no limit runs: when that is, the caller says.
        let under_way = turn.take(&lines.pulse).await?;
        *had_turn = true;
        let answer = stream.send(request, self.settings.request_timeout, &self.clock).await?;
        if let Some(under_way) = under_way {
            under_way.heard();
        }
        if self.settings.proves.is_some_and(|proves| proves(answer.status)) {
            answer.connection().open_up();
        }
        Ok(answer)
    }

    /// A free stream, on a connection that stands, if there is one in time.
    async fn stream<'a>(&self, site: &Site, lines: &'a Lines) -> Result<(Loaded<'a>, Stream), Failure> {
        let stream = tokio::time::timeout(self.settings.request_timeout, self.free_stream(site, lines));
        stream.await.map_err(|_| Failure::Busy)?
    }

    async fn free_stream<'a>(&self, site: &Site, lines: &'a Lines) -> Result<(Loaded<'a>, Stream), Failure> {
        loop {
            let streams = lines.streams.load(Ordering::Relaxed);
            let loaded = Loaded::onto(&lines.all, streams);
            let connection = self.connection(site, loaded.0).await?;
            lines.streams.store(connection.max_streams(), Ordering::Relaxed);
            if connection.max_streams() >= streams {
                return Ok((loaded, connection.stream().await?));
            }
            // It takes fewer at a time than was thought of who had not been met yet, and a crowd has come for this one.
        }
    }

    /// The line's connection, or a new one.
    async fn connection(&self, site: &Site, line: &Line) -> Result<Arc<Connection>, Failure> {
        let connection = self.kept_or_new(site, line).await?;
        if !connection.is_rested(self.clock.now()) {
            return Ok(connection);
        }
        // After a pause, whatever the peer did meanwhile lies unread in the socket: let the connection read it first.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.kept_or_new(site, line).await
    }

    async fn kept_or_new(&self, site: &Site, line: &Line) -> Result<Arc<Connection>, Failure> {
        let now = self.clock.now();
        let connect = || {
            let tls = (self.tls.clone(), self.offer);
            Connection::open(site.clone(), tls, self.settings, self.clock.clone()).boxed()
        };
        line.connection.get(|connection| connection.is_usable(now), connect).await
    }

    fn lines(&self, site: &Site) -> Arc<Lines> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lines) = sites.get(site) {
            return lines.clone();
        }
        let line = |_| Line { connection: Flight::new(), load: AtomicUsize::new(0) };
        let all = (0..self.settings.connections.max(1)).map(line).collect();
        let streams = AtomicUsize::new(self.settings.streams.max(1));
        let lines = Arc::new(Lines { all, streams, pulse: Pulse::default() });
        if sites.len() >= MAX_SITES {
            // Whoever has one in use would find its connections missing at its turn.
            let idle = sites.iter().find(|(_, lines)| Arc::strong_count(lines) == 1).map(|(site, _)| site.clone());
            idle.and_then(|site| sites.remove(&site));
        }
        sites.insert(site.clone(), lines.clone());
        lines
    }
}

/// Counts a request on a line for as long as it lives.
struct Loaded<'a>(&'a Line);

impl<'a> Loaded<'a> {
    /// On the first line with room, so that a small batch opens one connection; when all are full, the least loaded.
    fn onto(lines: &'a [Line], streams: usize) -> Self {
        let with_room = lines.iter().find(|line| line.has_taken_one(streams));
        Self(with_room.unwrap_or_else(|| {
            let least = lines.iter().min_by_key(|line| line.load.load(Ordering::Relaxed)).unwrap_or(&lines[0]);
            least.load.fetch_add(1, Ordering::Relaxed);
            least
        }))
    }
}

impl Line {
    /// Takes one more request, if fewer than so many are under way.
    fn has_taken_one(&self, streams: usize) -> bool {
        let more = |load: usize| (load < streams).then_some(load + 1);
        self.load.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod http1_tests;
#[cfg(test)]
mod tests;
