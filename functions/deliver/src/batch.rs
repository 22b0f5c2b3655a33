//! One batch: leased, sent, accounted for.

use std::sync::Arc;
use std::time::Duration;

use fanfare::channel;
use fanfare::domain::{App, Outcome, Push, Tally, Timestamp, WebhookEvent, limits};
use fanfare::queue::{DeliverTask, Failure, FanOutTask};
use fanfare::runtime::metrics::{BatchMetrics, MetricName};
use fanfare::runtime::telemetry::chain;
use fanfare::store::{BatchKey, Done, Lease, Rest};
use tracing::{info, warn};

use crate::Deliver;
use crate::admit::NotNow;
use crate::health::{Health, Trouble, health};
use crate::news::sent;
use crate::rounds::Sent;
use crate::settle::settle;

/// What must be left of an invocation for a batch to be begun: what it takes to make it ready, its own time at the channel's
/// pace, which is five seconds if the rate is what it was when it was cut, that of requests to a vendor that does not answer,
/// and that of telling what came of it. An invocation that is cut off in the middle of a batch has sent what no one will know of.
const MARGIN_MILLIS: i64 = 24_000;

/// How much longer than the others a batch waits that found its channel unwell: should it be the batch, and not the channel,
/// one of the others is to find out.
const OTHERS_FIRST: Duration = Duration::from_secs(3);
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
        let app = self.apps.get(&push.app).await.map_err(Failure::of)?;
        let (rest, wait) = match (&app, task.not_before.and_then(|time| time.left(now))) {
            (Some(_), Some(wait)) => (Rest::default(), Some(wait)),
            (Some(app), None) => self.rest(app, task.channel, push.is_alive_on(task.channel, now)).await?,
            (None, _) => Default::default(),
        };
        // When it could go at the earliest.
        let soonest = now.plus(wait.unwrap_or_default());
        // A quota may be of one kind of message only: what does not live until tomorrow is sent all the same, and told so.
        let wait = wait.filter(|_| !rest.is_dated || push.is_alive_on(task.channel, soonest));
        let soonest = if wait.is_some() { soonest } else { now };
        let is_over = !push.is_alive_on(task.channel, soonest);
        if let Some(wait) = wait.filter(|_| !is_over) {
            return self.put_back(task, wait).await;
        }
        let targets = task.to.len() as u32;
        let done = match self.ledger.lease(&key, targets, now, deadline).await.map_err(Failure::of)? {
            Lease::Held => return Err(Failure::Held),
            Lease::Done(done) => done,
            Lease::Granted => match app.filter(|_| !is_over) {
                Some(app) => match self.send(&push, &app, &task, &key, &rest, deadline).await? {
                    Some(done) => done,
                    // It goes later: the queue has it again.
                    None => return Ok(()),
                },
                None => {
                    let mut tally = Tally::default();
                    *(if is_over { &mut tally.expired } else { &mut tally.failed }) = targets;
                    let metrics = BatchMetrics::of(task.channel, &push.app);
                    let done = Done { tally, complaint: rest.why, ..Done::default() };
                    self.finish(deadline, &key, targets, done, metrics).await?
                }
            },
        };
        self.follow_up(&task, &key, &done).await
    }

    /// Sends a leased batch and writes how it ended. `None` if its time has not come, or nothing came of it, and it was
    /// enqueued anew.
    async fn send(
        &self,
        push: &Arc<Push>,
        app: &Arc<App>,
        task: &DeliverTask,
        key: &BatchKey,
        rest: &Rest,
        deadline: Timestamp,
    ) -> Result<Option<Done>, Failure> {
        let targets = task.to.len() as u32;
        let metrics = || BatchMetrics::of(task.channel, &push.app);
        let sent_at = self.clock.now();
        let Sent { outcomes, complaint } = match self.send_at(push, app, task, deadline).await {
            Ok(sent) => sent,
            Err(NotNow::Recalled) => {
                return self.finish(deadline, key, targets, expired(task), metrics()).await.map(Some);
            }
            Err(NotNow::Later(next)) => {
                let units = channel::units(task.channel, task.kinds());
                let delay = self.plan(app, task.channel, units, next).await?;
                self.put_back(task.clone(), delay).await?;
                self.ledger.release(key, deadline).await.map_err(Failure::of)?;
                return Ok(None);
            }
            // The message comes again, and need not wait for the end of a lease that nobody uses.
            Err(why @ (NotNow::Late | NotNow::Failed(_))) => {
                self.ledger.release(key, deadline).await.map_err(Failure::of)?;
                return Err(if let NotNow::Failed(failure) = why { failure } else { Failure::Held });
            }
        };
        let now = self.clock.now();
        let of_whom = task.to.iter().map(|to| (task.shard.ordinal(to.0), &to.1));
        self.breaker.record(&app.id, task.channel, of_whom.zip(&outcomes).map(|((user, token), it)| (user, token, it)));
        let is_doubted = rest.failures > 0 || self.breaker.is_open(&app.id, task.channel);
        let doubted = is_doubted && is_of_several(task, &outcomes);
        let health = health(task.channel, &outcomes, doubted);
        // Why nothing came of it, if it has no time to be sent again.
        let mut in_vain_for_good = None;
        if let Health::Unwell { trouble, in_vain } = health
            // Since it was held others were taken: then it is not the channel.
            && (!task.held || rest.failures > 0 || trouble == Trouble::QuotaSpent)
        {
            match self.stop(app, task.channel, trouble, rest, complaint.as_deref()).await {
                Ok(wait) if in_vain && push.is_alive_on(task.channel, now.plus(wait)) => {
                    let doubted = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::InvalidToken { .. }));
                    self.metrics.emit(&metrics().count(MetricName::Doubted, doubted.count()), now);
                    let held = DeliverTask { held: true, ..task.clone() };
                    self.put_back(held, wait + OTHERS_FIRST).await?;
                    self.ledger.release(key, deadline).await.map_err(Failure::of)?;
                    return Ok(None);
                }
                Ok(_) if in_vain => in_vain_for_good = Some(trouble.describe(complaint.as_deref())),
                Ok(_) => {}
                // Nobody is told; the next batch will see the same.
                Err(error) => {
                    warn!(app.id = %app.id, channel = %task.channel, error = chain(&error), "A channel could not be stopped")
                }
            }
        }
        if health == (Health::Well { known: true }) {
            self.go_on(app, task.channel, rest).await;
        }
        // What was said of a token while every token was called invalid is asked once more.
        let outcomes = if rest.failures > 0 { asked_again(outcomes) } else { outcomes };
        let settled = match &in_vain_for_good {
            Some(why) => Done { complaint: Some(why.clone()), ..expired(task) },
            None => Done { complaint, ..settle(task, push, &outcomes, now) },
        };
        // Before the ledger says "done", for a batch that is done never comes again: if this process dies here, the batch
        // is sent again as it would have been anyway, and what came of it is told then. If the queue does not take the
        // news they are lost, because a push that came twice would be worse.
        if app.wants(WebhookEvent::Push) && push.revokes.is_none() {
            // What was in vain is no verdict on a device.
            let in_vain = in_vain_for_good.is_some().then(|| vec![Outcome::Config; outcomes.len()]);
            let told = in_vain.as_ref().unwrap_or(&outcomes);
            self.webhooks.tell(&app.id, sent(task, told, &settled, self.clock.now())).await;
        }
        info!(
            push.id = %push.id, app.id = %push.app, channel = %task.channel, attempt = task.attempt,
            delivered = settled.tally.delivered, retrying = settled.retry.len(), devices = targets,
            "Sent a batch of push `{}`", push.id
        );
        // What was sent was sent: nothing may come between it and the ledger that could make it be sent again, or take the
        // time that is left for writing it. If this process dies after, the next push finds dead what is dead.
        let settled = self.finish(deadline, key, targets, settled, metrics()).await?;
        let metrics = self.clean_up(app, task, &outcomes, sent_at).await;
        self.metrics.emit(&metrics, self.clock.now());
        Ok(Some(settled))
    }

    /// Puts a batch, or what is left of it, into its queue. A lease is to be given up after.
    async fn put_back(&self, task: DeliverTask, delay: Duration) -> Result<(), Failure> {
        // Whole seconds, and rather late: to come early would be one more way through the queue.
        let secs = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        let delay = Duration::from_secs(secs.min(limits::QUEUE_DELAY_SECS.unsigned_abs()));
        self.queues.deliver(task.channel, &[(task, delay)]).await.map_err(Failure::of)
    }

    /// Writes how a batch ended, and tries for as long as there is time: if it is not written, the batch is sent again.
    async fn finish(
        &self,
        deadline: Timestamp,
        key: &BatchKey,
        targets: u32,
        done: Done,
        metrics: BatchMetrics,
    ) -> Result<Done, Failure> {
        loop {
            match self.ledger.finish(key, targets, &done, deadline, self.clock.now()).await {
                Ok(true) => {
                    let metrics = metrics.tally(&done.tally).count(MetricName::Retried, done.retry.len());
                    self.metrics.emit(&metrics, self.clock.now());
                    return Ok(done);
                }
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
        if let Some(BatchKey { attempt, .. }) = key.next_attempt().filter(|_| !done.retry.is_empty()) {
            let to = done.retry.iter().filter_map(|place| task.to.get(usize::from(*place)).cloned()).collect();
            let (tries, reached) = (task.tries + u8::from(done.is_try), done.reached.clone());
            let not_before = done.not_before;
            let child = DeliverTask { attempt, tries, held: false, not_before, reached, to, ..task.clone() };
            let wait = not_before.and_then(|time| time.left(self.clock.now()));
            self.put_back(child, wait.unwrap_or_default()).await?;
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
}

/// The end of a batch that is not sent any more.
fn expired(task: &DeliverTask) -> Done {
    Done { tally: Tally { expired: task.to.len() as u32, ..Tally::default() }, ..Done::default() }
}

/// Outcomes without verdicts of invalidity, in whose place is another try.
fn asked_again(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let again = |outcome| match outcome {
        Outcome::InvalidToken { .. } => Outcome::Transient(None),
        other => other,
    };
    outcomes.into_iter().map(again).collect()
}

/// Whether devices of more than one user are called invalid.
fn is_of_several(task: &DeliverTask, outcomes: &[Outcome]) -> bool {
    let invalid = task.to.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::InvalidToken { .. }));
    let mut users = invalid.map(|(to, _)| to.0);
    users.next().is_some_and(|first| users.any(|user| user != first))
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
