//! One batch: leased, sent, accounted for.

use std::time::Duration;

use fanfare::channel::Target;
use fanfare::domain::{App, Outcome, Push, Tally, Timestamp, WebhookEvent};
use fanfare::queue::{DeliverTask, Destination, Failure, FanOutTask};
use fanfare::store::{BatchKey, Done, Lease};
use tracing::{info, warn};

use crate::Deliver;
use crate::admit::Admission;
use crate::news::sent;
use crate::settle::settle;

/// What must be left of an invocation for a batch to be begun: its own time at the channel's pace, which is five seconds
/// at most, that of requests to a vendor that does not answer, and that of telling what came of it. An invocation that is cut off in the middle of a
/// batch has sent what no one will know of.
const MARGIN_MILLIS: i64 = 24_000;

/// How much of it waiting for the batch's window may take.
const MOST_WAIT_MILLIS: i64 = 4_000;
/// What must be left for one more try at the ledger.
const LAST_WRITE_MILLIS: i64 = 1_000;

impl Deliver {
    /// Sends a batch, unless it was sent. Whatever has been sent is in the ledger before the message leaves its queue,
    /// and what follows from it is enqueued before, too: a message that comes again finds the ledger and only does
    /// the latter.
    pub(crate) async fn batch(&self, task: DeliverTask, deadline: Timestamp) -> Result<(), Failure> {
        if task.channel != self.channel {
            return Err(Failure::Misrouted);
        }
        let Some(push) = self.pushes.get(task.push).await.map_err(Failure::of)? else {
            warn!(push.id = %task.push, "Nothing to send: push `{}` is not there any more", task.push);
            return Ok(());
        };
        let key = batch_key(&task);
        let now = self.clock.now();
        if deadline.millis_since(now) < MARGIN_MILLIS {
            return Err(Failure::Held);
        }
        let targets = task.to.len() as u32;
        let done = match self.ledger.lease(&key, targets, now, deadline).await.map_err(Failure::of)? {
            Lease::Held => return Err(Failure::Held),
            Lease::Done(done) => done,
            Lease::Granted => match self.send(&push, &task, &key, deadline).await? {
                Some(done) => done,
                // It goes later: the queue has it again.
                None => return Ok(()),
            },
        };
        self.follow_up(&task, &key, &done).await
    }

    /// Sends a leased batch and writes how it ended. `None` if its time has not come, and it was enqueued anew.
    async fn send(
        &self,
        push: &Push,
        task: &DeliverTask,
        key: &BatchKey,
        deadline: Timestamp,
    ) -> Result<Option<Done>, Failure> {
        let targets = task.to.len() as u32;
        // Before it takes of the channel's rate, or waits for its turn, and once more when it has: see below.
        let is_over = !push.is_alive_on(task.channel, self.clock.now());
        if is_over || self.is_recalled(push, key, deadline).await? {
            let tally = Tally { expired: targets, ..Tally::default() };
            return self.finish(deadline, key, targets, Done { tally, ..Done::default() }).await.map(Some);
        }
        let Some(app) = self.apps.get(&push.app).await.map_err(Failure::of)? else {
            let tally = Tally { failed: targets, ..Tally::default() };
            return self.finish(deadline, key, targets, Done { tally, ..Done::default() }).await.map(Some);
        };
        let rate = match self.admit(&app, task, deadline).await? {
            Admission::Now { rate } => rate,
            Admission::Later { window, delay } => {
                let later = DeliverTask { window: Some(window), ..task.clone() };
                self.queues.deliver(task.channel, &[(later, delay)]).await.map_err(Failure::of)?;
                self.ledger.release(key, deadline).await.map_err(Failure::of)?;
                return Ok(None);
            }
        };
        // What came before may have taken long, on a bad day of the database.
        if deadline.millis_since(self.clock.now()) < MARGIN_MILLIS - MOST_WAIT_MILLIS {
            self.ledger.release(key, deadline).await.map_err(Failure::of)?;
            return Err(Failure::Held);
        }
        // As late as can be: whatever waited before, in a queue or for its window, is not sent once it is withdrawn.
        if self.is_recalled(push, key, deadline).await? {
            let tally = Tally { expired: targets, ..Tally::default() };
            return self.finish(deadline, key, targets, Done { tally, ..Done::default() }).await.map(Some);
        }
        let sent_at = self.clock.now();
        let outcomes = self.senders.send(task.channel, &app, push, &to_targets(task), rate).await;
        let settled = settle(task, push, &outcomes, self.clock.now());
        // Before the ledger says "done", for a batch that is done never comes again: if this process dies here, the batch
        // is sent again as it would have been anyway, and what came of it is told then. If the queue does not take the
        // news they are lost, because a push that came twice would be worse.
        if app.wants(WebhookEvent::Push) && push.revokes.is_none() {
            self.webhooks.tell(&app.id, sent(task, &outcomes, &settled, self.clock.now())).await;
        }
        // What was sent was sent: nothing may come between it and the ledger that could make it be sent again.
        self.push_back(&app, task, &outcomes).await;
        self.clean_up(&app, task, &outcomes, sent_at).await;
        info!(
            push.id = %push.id, app.id = %push.app, channel = %task.channel, attempt = task.attempt,
            delivered = settled.tally.delivered, retrying = settled.retry.len(), devices = targets,
            "Sent a batch of push `{}`", push.id
        );
        self.finish(deadline, key, targets, settled).await.map(Some)
    }

    /// Whether a push was withdrawn. If that cannot be known now, the lease is given back: the message comes again, and
    /// need not wait for the end of a lease that nobody uses.
    async fn is_recalled(&self, push: &Push, key: &BatchKey, deadline: Timestamp) -> Result<bool, Failure> {
        match self.pushes.is_recalled(push).await {
            Ok(is_recalled) => Ok(is_recalled),
            Err(error) => {
                self.ledger.release(key, deadline).await.map_err(Failure::of)?;
                Err(Failure::of(error))
            }
        }
    }

    /// Writes how a batch ended, and tries for as long as there is time: if it is not written, the batch is sent again.
    async fn finish(&self, deadline: Timestamp, key: &BatchKey, targets: u32, done: Done) -> Result<Done, Failure> {
        loop {
            match self.ledger.finish(key, targets, &done, deadline, self.clock.now()).await {
                Ok(true) => return Ok(done),
                // The lease was over, and another has the batch: what follows from it is the other's to say.
                Ok(false) => return Err(Failure::Held),
                Err(error) if deadline.millis_since(self.clock.now()) < LAST_WRITE_MILLIS => {
                    return Err(Failure::of(error));
                }
                Err(error) => {
                    warn!(push.id = %key.push, error = %error, "The ledger is not written yet: trying again");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    /// Enqueues what follows from how a batch ended. Harmless a second time: the ledger knows those batches too.
    async fn follow_up(&self, task: &DeliverTask, key: &BatchKey, done: &Done) -> Result<(), Failure> {
        if !done.retry.is_empty() {
            let to = done.retry.iter().filter_map(|place| task.to.get(usize::from(*place)).cloned()).collect();
            let (attempt, reached) = (key.next_attempt().attempt, done.reached.clone());
            let child = DeliverTask { attempt, window: None, reached, to, ..task.clone() };
            let delay = Duration::from_secs(u64::from(done.delay_secs));
            self.queues.deliver(task.channel, &[(child, delay)]).await.map_err(Failure::of)?;
        }
        if !done.readdress.is_empty() {
            let again = FanOutTask::Readdress {
                push: task.push,
                shard: task.shard,
                slice: task.slice.clone(),
                attempt: task.attempt,
                places: done.readdress.clone(),
            };
            self.queues.fan_out(&[again], Duration::ZERO).await.map_err(Failure::of)?;
        }
        Ok(())
    }

    /// A vendor that asked for time gets it from everyone.
    async fn push_back(&self, app: &App, task: &DeliverTask, outcomes: &[Outcome]) {
        let asked = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Throttled(wait) => *wait,
            _ => None,
        });
        let Some(wait) = asked.max() else { return };
        let (scope, _) = fanfare::channel::rate(app, task.channel);
        if let Err(error) = self.pace.push_back(scope, task.channel, wait, self.clock.now()).await {
            warn!(app.id = %app.id, channel = %task.channel, error = %error, "The channel could not be slowed down");
        }
    }
}

fn batch_key(task: &DeliverTask) -> BatchKey {
    BatchKey {
        push: task.push,
        shard: task.shard,
        channel: task.channel,
        slice: task.slice.clone(),
        attempt: task.attempt,
    }
}

fn to_targets(task: &DeliverTask) -> Vec<Target> {
    let package = |number: Option<u8>| task.packages.get(usize::from(number?)).cloned();
    let target = |to: &Destination| Target { token: to.1.clone(), package: package(to.2), wording: to.3 };
    task.to.iter().map(target).collect()
}
