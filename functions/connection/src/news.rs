//! What an app's own server is told of its users' sockets.
//!
//! None of it holds up a socket for long, or fails it: news that cannot be read or told are logged and lost.

use std::collections::BTreeSet;

use fanfare::channel::ws;
use fanfare::domain::{App, AppId, PushId, Seq, SocketChange, StateChange, Timestamp, WebhookEvent, limits};
use fanfare::queue::News;
use fanfare::store::{Connection, Offline};
use tracing::error;

use crate::sync::is_open;
use crate::{ConnectionFunction, Error};

/// API Gateway's code and reason for a socket that was silent for ten minutes, or open for two hours. A browser whose
/// page is left gives the same code and another reason.
const TIMED_OUT: (i64, &str) = (1001, "Going away");

/// How a socket ended, by what API Gateway says of it.
pub(crate) fn departure(code: Option<i64>, reason: Option<&str>) -> SocketChange {
    match code.zip(reason) {
        Some(TIMED_OUT) => SocketChange::TimedOut,
        _ => SocketChange::Closed,
    }
}

impl ConnectionFunction {
    /// Tells that a user came or went.
    pub(crate) async fn tell_change(&self, app: &App, change: StateChange) {
        if app.wants(WebhookEvent::State) {
            self.webhooks.tell(&app.id, vec![News::State(change)]).await;
        }
    }

    /// Tells that a user came. What is told during a handshake must not take longer than pushes wait for its end.
    pub(crate) async fn tell_arrival(&self, app: &App, change: StateChange) {
        if tokio::time::timeout(ws::NEWBORN / 2, self.tell_change(app, change)).await.is_err() {
            error!(app.id = %app.id, "The webhook of `{}` misses that a user came: the queue is slow", app.id);
        }
    }

    /// Tells that a user went, of an app that is still to be read.
    pub(crate) async fn tell_departure(&self, app: &AppId, change: StateChange) {
        match self.apps.get(app).await {
            Ok(Some(app)) => self.tell_change(&app, change).await,
            Ok(None) => {}
            Err(error) => error!(app.id = %app, error = %error, "The webhook of `{app}` misses that a user went"),
        }
    }

    /// Tells which pushes a device has, by what it acknowledges. Before the acknowledgement is written: afterwards it
    /// would be none that was not there before. If this process dies in between, the device acknowledges again.
    pub(crate) async fn tell_reached(&self, connection: &Connection, seqs: &BTreeSet<Seq>, now: Timestamp) {
        let app = &connection.app;
        match self.reached(connection, seqs, now).await {
            Ok(pushes) => {
                let news = pushes.chunks(limits::EVENTS_PER_CALL).map(|pushes| News::Reached {
                    user: connection.user.clone(),
                    pushes: pushes.to_vec(),
                    at: now,
                });
                self.webhooks.tell(app, news.collect()).await;
            }
            Err(error) => error!(app.id = %app, error = %error, "The webhook of `{app}` misses who was reached"),
        }
    }

    /// The pushes among those acknowledged that the app wants to hear of: kept ones that are for the user and for the
    /// device, and that it had not acknowledged. One that withdraws another is none: the app's server knows no task of
    /// its id.
    async fn reached(
        &self,
        connection: &Connection,
        seqs: &BTreeSet<Seq>,
        now: Timestamp,
    ) -> Result<Vec<PushId>, Error> {
        let (app, ordinal) = (&connection.app, connection.ordinal);
        if !self.apps.get(app).await?.is_some_and(|app| app.wants(WebhookEvent::Push)) {
            return Ok(Vec::new());
        }
        let before = self.acks.get(app, &connection.user, &connection.device).await?;
        let new: BTreeSet<Seq> = seqs.iter().copied().filter(|seq| !before.covers(*seq)).collect();
        let mut kept: Vec<Offline> = self.offline.among(app, &new).await?;
        kept.retain(|push| !push.revokes && is_open(push, ordinal, &before, now));
        let registered = self.registered(connection, kept.iter()).await?;
        kept.retain(|push| push.devices.matches_socket(registered.as_ref()));
        kept.sort_unstable_by_key(|push| push.seq);
        let asked: Vec<PushId> = kept.iter().filter(|push| !push.everyone).map(|push| push.push).collect();
        let snapshots = self.snapshots.get_all(&asked, ordinal.shard()).await?;
        let is_meant = |push: &Offline| {
            push.everyone || snapshots.get(&push.push).is_some_and(|members| members.contains(ordinal.low()))
        };
        Ok(kept.iter().filter(|push| is_meant(push)).map(|push| push.push).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_api_gateway_ends_has_timed_out() {
        assert_eq!(departure(Some(1001), Some("Going away")), SocketChange::TimedOut);
        for (code, reason) in [
            (Some(1001), Some("Client-side close frame")),
            (Some(1001), None),
            (Some(1000), Some("Going away")),
            (Some(1005), Some("Client-side close frame status not set")),
            (Some(1006), Some("Connection Closed Abnormally")),
            (None, None),
        ] {
            assert_eq!(departure(code, reason), SocketChange::Closed, "{code:?} {reason:?}");
        }
    }
}
