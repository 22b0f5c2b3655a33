//! A batch is sent in one or more rounds: whoever came too late for a turn gets another, and a socket that is gone a second
//! look.

use std::sync::Arc;
use std::time::Duration;

use fanfare::channel::{self, Target, Turns, ws};
use fanfare::domain::{App, Channel, Outcome, Push, Timestamp};
use fanfare::queue::{DeliverTask, Destination};
use futures::join;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::warn;

use crate::Deliver;
use crate::admit::NotNow;
use crate::health::is_unwell;

/// What must be left of an invocation for a round to be begun.
const ROUND_MILLIS: i64 = 20_000;

/// How far off the first turn is that is taken: what the store takes to give it; twice as far after each round that missed
/// some. Where the store, or this machine, needs longer to answer than a turn may be late, the next one would be missed like
/// the last, and all that comes of it is more work for both.
const LEAD: Duration = Duration::from_millis(25);
/// The furthest.
const LONGEST_LEAD: Duration = Duration::from_millis(1_600);

/// For how long the store is waited for when a vendor has asked for time: what came of the batch is to be written.
const PUSH_BACK: Duration = Duration::from_secs(2);

/// What came of a batch.
pub(crate) struct Sent {
    /// One for each device, in their order.
    pub(crate) outcomes: Vec<Outcome>,
    /// What went wrong first that was not about one device.
    pub(crate) complaint: Option<String>,
}

impl Deliver {
    /// Sends a batch at its turns, and again as long as there is time those who missed theirs. The turns are taken when the
    /// batch is ready to leave.
    ///
    /// # Errors
    ///
    /// Why nothing of it was sent. What has been sent is not lost to a failure that comes after.
    pub(crate) async fn send_at(
        &self,
        push: &Arc<Push>,
        app: &Arc<App>,
        task: &DeliverTask,
        deadline: Timestamp,
    ) -> Result<Sent, NotNow> {
        self.unless_full(app, task.channel)?;
        // Before it is made ready, and takes of the channel's rate; and once more when it has.
        self.unless_recalled(push).await?;
        let all = to_targets(task);
        let mut sent = Sent { outcomes: vec![Outcome::Unsent; all.len()], complaint: None };
        let (mut places, mut is_first, mut lead): (Vec<usize>, _, _) = ((0..all.len()).collect(), true, LEAD);
        while deadline.millis_since(self.clock.now()) >= ROUND_MILLIS {
            let targets: Vec<Target> = places.iter().map(|place| all[*place].clone()).collect();
            let (turns, mut why_not) = self.turns(push, app, task, &places, (is_first, lead), deadline);
            let mut asked = turns.asked_for_time();
            let slow_down = async {
                let mut was_asked = false;
                // At once, and not when the batch has ended: others take turns meanwhile.
                while asked.changed().await.is_ok() {
                    let wait = asked.borrow_and_update().unwrap_or_default();
                    was_asked = true;
                    let slowed = timeout(PUSH_BACK, self.slow_down(app, task.channel, wait)).await;
                    if slowed.is_err() {
                        warn!(app.id = %app.id, channel = %task.channel, "The channel could not be slowed down in time");
                    }
                }
                was_asked
            };
            let (round, was_asked) = join!(self.senders.send(task.channel, app, push, &targets, turns), slow_down);
            places.iter().zip(round.outcomes).for_each(|(place, outcome)| sent.outcomes[*place] = outcome);
            sent.complaint = sent.complaint.or(round.complaint);
            match why_not.try_recv() {
                Ok(why) if is_first => return Err(why),
                // They go by the queue, and will find out there how long it is.
                Ok(why) => {
                    if let NotNow::Failed(error) = why {
                        warn!(app.id = %app.id, channel = %task.channel, %error, "No turns for the rest of a batch");
                    }
                    return Ok(sent);
                }
                Err(_) => {}
            }
            let is_newborn = is_first && disbelieve_newborn(task.channel, &mut sent.outcomes);
            places = unsent(&sent.outcomes);
            if places.is_empty()
                || was_asked
                || is_unwell(&sent.outcomes)
                || !push.is_alive_on(task.channel, self.clock.now())
            {
                return Ok(sent);
            }
            if is_newborn {
                tokio::time::sleep(ws::NEWBORN).await;
            }
            (is_first, lead) = (false, (lead * 2).min(LONGEST_LEAD));
        }
        if is_first { Err(NotNow::Late) } else { Ok(sent) }
    }

    /// Turns for some of a batch, which are taken when the first is asked for; and why they could not be.
    fn turns(
        &self,
        push: &Arc<Push>,
        app: &Arc<App>,
        task: &DeliverTask,
        places: &[usize],
        (is_first, lead): (bool, Duration),
        deadline: Timestamp,
    ) -> (Turns, oneshot::Receiver<NotNow>) {
        let (tell, why_not) = oneshot::channel();
        let (this, push, app, channel) = (self.clone(), push.clone(), app.clone(), task.channel);
        let kinds: Vec<_> = task.kinds().collect();
        let units = channel::units(channel, places.iter().map(|place| kinds[*place]));
        let (unit, most) = (channel::traits(channel).rate_unit, self.rates.largest_request(&app, channel));
        let reserve = async move {
            let window = this.admit(&app, channel, units, lead, deadline).await;
            let window = match window {
                Ok(window) if is_first => this.unless_recalled(&push).await.map(|()| window),
                other => other,
            };
            // Nobody listens where the batch was given up.
            window.map_err(|why| drop(tell.send(why))).ok()
        };
        (Turns::new(reserve, unit, most), why_not)
    }
}

/// A connection that is gone in the first round may be a newborn one: what becomes of it is not known yet. Says whether there
/// is one.
fn disbelieve_newborn(channel: Channel, outcomes: &mut [Outcome]) -> bool {
    let is_gone = |outcome: &&mut Outcome| channel == Channel::Ws && matches!(outcome, Outcome::InvalidToken { .. });
    let gone = outcomes.iter_mut().filter(is_gone);
    gone.map(|outcome| *outcome = Outcome::Unsent).count() > 0
}

/// The places of those who go into another round.
fn unsent(outcomes: &[Outcome]) -> Vec<usize> {
    let unsent = outcomes.iter().enumerate().filter(|(_, outcome)| **outcome == Outcome::Unsent);
    unsent.map(|(place, _)| place).collect()
}

fn to_targets(task: &DeliverTask) -> Vec<Target> {
    let package = |number: Option<u8>| task.packages.get(usize::from(number?)).cloned();
    let target = |to: &Destination| Target { token: to.1.clone(), package: package(to.2), wording: to.3 };
    task.to.iter().map(target).collect()
}
