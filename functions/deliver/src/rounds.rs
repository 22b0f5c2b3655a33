//! A batch is sent in one or more rounds: whoever came too late for a turn gets another, and a socket that is gone a second
//! look.

use std::time::Duration;

use fanfare::channel::{self, Target, Turns, ws};
use fanfare::domain::{App, Channel, Outcome, Push, Timestamp};
use fanfare::queue::{DeliverTask, Destination};
use fanfare::runtime::telemetry::chain;
use tracing::warn;

use crate::Deliver;
use crate::admit::Admission;
use crate::health::pause;

/// What must be left of an invocation for one more round to be begun.
const ROUND_MILLIS: i64 = 20_000;

/// How far off the first turn is that is taken instead of a missed one; twice as far after each that is missed too. Where
/// the store, or this machine, needs longer to answer than a turn may be late, the next one would be missed like the last,
/// and all that comes of it is more work for both.
const LEAD: Duration = Duration::from_millis(25);
/// The furthest.
const LONGEST_LEAD: Duration = Duration::from_millis(1_600);

/// What came of a batch.
pub(crate) struct Sent {
    /// One for each device, in their order.
    pub(crate) outcomes: Vec<Outcome>,
    /// What went wrong first that was not about one device.
    pub(crate) complaint: Option<String>,
}

impl Deliver {
    /// Sends a batch at its turns, and again as long as there is time those who missed theirs.
    pub(crate) async fn send_at(
        &self,
        push: &Push,
        app: &App,
        task: &DeliverTask,
        turns: Turns,
        deadline: Timestamp,
    ) -> Sent {
        let all = to_targets(task);
        let mut sent = Sent { outcomes: vec![Outcome::Unsent; all.len()], complaint: None };
        let (mut places, mut turns, mut is_first): (Vec<usize>, _, _) = ((0..all.len()).collect(), turns, true);
        let mut lead = LEAD;
        loop {
            let targets: Vec<Target> = places.iter().map(|place| all[*place].clone()).collect();
            let round = self.senders.send(task.channel, app, push, &targets, turns).await;
            places.iter().zip(round.outcomes).for_each(|(place, outcome)| sent.outcomes[*place] = outcome);
            sent.complaint = sent.complaint.or(round.complaint);
            places = again(task.channel, &mut sent.outcomes, is_first);
            let is_to_wait = pause(task.channel, &sent.outcomes).is_some();
            if places.is_empty() || is_to_wait || !push.is_alive_on(task.channel, self.clock.now()) {
                return sent;
            }
            if is_first && task.channel == Channel::Ws {
                tokio::time::sleep(ws::NEWBORN).await;
            }
            match self.next_turns(app, task, &places, lead, deadline).await {
                Some(Admission::Now(next)) => turns = next,
                // They go by the queue, and will find out there how long it is.
                Some(Admission::Later(_)) | None => return sent,
            }
            (is_first, lead) = (false, (lead * 2).min(LONGEST_LEAD));
        }
    }

    /// Turns for some of a batch, if there is time for them. Nothing of what was sent may be lost to a failure here.
    async fn next_turns(
        &self,
        app: &App,
        task: &DeliverTask,
        places: &[usize],
        lead: Duration,
        deadline: Timestamp,
    ) -> Option<Admission> {
        if deadline.millis_since(self.clock.now()) < ROUND_MILLIS {
            return None;
        }
        let kinds: Vec<_> = task.kinds().collect();
        let units = channel::units(task.channel, places.iter().map(|place| kinds[*place]));
        match self.admit(app, task.channel, units, lead, deadline).await {
            Ok(admission) => Some(admission),
            Err(error) => {
                warn!(app.id = %app.id, channel = %task.channel, error = chain(&error), "No turns for the rest of a batch");
                None
            }
        }
    }
}

/// The places of those who go into another round. A connection that is gone in the first may be a newborn one: what becomes
/// of it is not known yet.
fn again(channel: Channel, outcomes: &mut [Outcome], is_first: bool) -> Vec<usize> {
    let newborn =
        |outcome: &Outcome| channel == Channel::Ws && is_first && matches!(outcome, Outcome::InvalidToken { .. });
    outcomes.iter_mut().filter(|outcome| newborn(outcome)).for_each(|outcome| *outcome = Outcome::Unsent);
    let unsent = outcomes.iter().enumerate().filter(|(_, outcome)| **outcome == Outcome::Unsent);
    unsent.map(|(place, _)| place).collect()
}

fn to_targets(task: &DeliverTask) -> Vec<Target> {
    let package = |number: Option<u8>| task.packages.get(usize::from(number?)).cloned();
    let target = |to: &Destination| Target { token: to.1.clone(), package: package(to.2), wording: to.3 };
    task.to.iter().map(target).collect()
}
