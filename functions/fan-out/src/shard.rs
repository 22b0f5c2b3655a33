//! A shard of a push becomes batches.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfare::channel::{self, RateUnit, Rates};
use fanfare::domain::{App, Audience, Channel, Push, PushId, Shard, ShardSet, Timestamp, limits};
use fanfare::queue::{Failure, FanOutTask, Planned, Resume};
use fanfare::store::{BatchKey, Cuts};
use futures::{StreamExt, TryStreamExt, stream};
use tracing::{info, warn};

use crate::address::Addressing;
use crate::cut::{Slice, cuts, slices};
use crate::pace::is_far;
use crate::steps::{SLICES_AT_ONCE, Step, handed_over, steps};
use crate::{FanOut, is_short};

/// Users of one task to address them again: their places fit a message many times over.
const USERS_PER_READDRESS: usize = 2_000;

/// Batches that are settled side by side.
const WRITES_AT_ONCE: usize = 8;

/// What a task does on each of its channels.
struct Work<'a> {
    app: &'a App,
    push: &'a Push,
    shard: Shard,
    cuts: &'a Cuts,
    resume: Option<&'a Resume>,
    deadline: Timestamp,
    unsent: Unsent,
}

/// Why slices are not sent.
#[derive(Clone, Copy)]
enum Unsent {
    /// All are.
    None,
    /// A repeat finds no one in them any more.
    Empty,
    /// The push was withdrawn.
    Withdrawn,
}

impl Unsent {
    /// How many devices it settles of a slice that had so many; `None` if it is not for this task to settle it.
    fn settles(self, devices: u32) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Empty => Some(0),
            Self::Withdrawn => Some(devices),
        }
    }
}

impl FanOut {
    /// Resolves who of one shard is meant, addresses them, and enqueues the batches at their channels' pace.
    /// What there is no time for until `deadline` goes on in tasks of its own.
    pub(crate) async fn shard(
        &self,
        id: PushId,
        shard: Shard,
        resume: Option<Resume>,
        deadline: Timestamp,
    ) -> Result<(), Failure> {
        let Some(push) = self.pushes.get(id).await.map_err(Failure::of)? else {
            warn!(push.id = %id, shard = shard.0, "Nothing to address: push `{id}` is not there any more");
            return Ok(());
        };
        let app = self.apps.get(&push.app).await.map_err(Failure::of)?;
        let Some(app) = app else {
            warn!(push.id = %id, app.id = %push.app, "Nothing to address: app `{}` is not there any more", push.app);
            return Ok(());
        };
        // The snapshot is written before the contacts are read, and a client that connects writes its contact before
        // it reads snapshots: whatever the interleaving, at least one of the two sees the other.
        let members = self.members(&push, shard).await?;
        let cut_before = self.snapshots.cuts(id, shard).await.map_err(Failure::of)?;
        let wanted = match (&resume, &cut_before) {
            (Some(resume), Some(cuts)) => from_slice(&members, cuts, resume),
            _ => members,
        };
        let now = self.clock.now();
        let contacts = self.contacts.of_members(&push.app, shard, &wanted).await.map_err(Failure::of)?;
        let address = |before: Option<&Cuts>| {
            let addressing = Addressing {
                push: &push,
                utc_offset_minutes: app.quotas.utc_offset_minutes,
                at: before.map_or(now, |cuts| cuts.at),
                serves: |channel| self.serves(&app, channel),
                before: before.map(|cuts| &cuts.sockets),
            };
            addressing.address(&contacts)
        };
        let mut addressed = address(cut_before.as_ref());
        let is_repeat = cut_before.is_some();
        let cuts = match cut_before {
            Some(cuts) => cuts,
            None => {
                let proposed = cuts(&addressed, now, |channel, secs| devices_within(self.rates, &app, channel, secs));
                let held = self.snapshots.put_cuts(&push, shard, proposed.clone()).await.map_err(Failure::of)?;
                if held != proposed {
                    addressed = address(Some(&held));
                }
                held
            }
        };
        drop(contacts);
        let left = std::mem::take(&mut addressed.left);
        let mut by_channel: BTreeMap<Channel, Vec<_>> = slices(&push, shard, addressed, &cuts);
        let is_recalled = self.pushes.is_recalled(&push).await.map_err(Failure::of)?;
        if is_recalled {
            // Cut as ever, so that the account knows for whom it was; but nothing of it takes of a channel's rate.
            info!(push.id = %id, shard = shard.0, "Push `{id}` was withdrawn: what of it is not sent is not sent");
            by_channel.clear();
        }
        let work = Work {
            app: &app,
            push: &push,
            shard,
            cuts: &cuts,
            resume: resume.as_ref(),
            deadline,
            unsent: match (is_recalled, is_repeat) {
                (true, _) => Unsent::Withdrawn,
                (false, true) => Unsent::Empty,
                (false, false) => Unsent::None,
            },
        };
        let is_meant = |channel: &Channel| resume.as_ref().is_none_or(|resume| resume.channel == *channel);
        let channels: Vec<Channel> = cuts.slices.keys().copied().filter(is_meant).collect();
        let mut batches = 0;
        for (number, channel) in channels.iter().copied().enumerate() {
            let slices = by_channel.remove(&channel).unwrap_or_default();
            let left = if channel == Channel::Ws && !is_recalled { &left[..] } else { &[] };
            let (sent, stopped) = self.channel(&work, channel, &slices, left).await?;
            batches += sent;
            // A channel that is done is not begun again by whoever goes on, so there is an end to it.
            let not_begun = &channels[number + 1..];
            if stopped.is_some() || (!not_begun.is_empty() && is_short(deadline, self.clock.now())) {
                let stopped = stopped.map(|slice| (channel, slice));
                let rest = handed_over(id, shard, stopped, not_begun);
                self.queues.fan_out(&rest, Duration::ZERO).await.map_err(Failure::of)?;
                let tasks = rest.len();
                info!(push.id = %id, shard = shard.0, batches, tasks, "No time for all: {tasks} tasks go on with it");
                return Ok(());
            }
        }
        info!(push.id = %id, app.id = %push.app, shard = shard.0, batches, "Sent {batches} batches of push `{id}`");
        Ok(())
    }

    /// Sends what is to be sent of one channel, and settles the rest, step by step, as far as there is time and as its pace
    /// lets batches leave within the longest delay of a queue. Beyond that a task goes on there. Returns how many batches
    /// were sent, and from which slice on there was no time.
    ///
    /// `slices` are those of its slices that are to be sent; `left`, in order, those who have left their sockets.
    async fn channel(
        &self,
        work: &Work<'_>,
        channel: Channel,
        slices: &[Slice],
        mut left: &[u16],
    ) -> Result<(usize, Option<usize>), Failure> {
        let &Work { app, push, shard, cuts, resume, deadline, .. } = work;
        let cut = cuts.slices.get(&channel).map_or(&[][..], Vec::as_slice);
        let to_send: Vec<usize> = slices.iter().map(|slice| slice.number).collect();
        let from = resume.map_or(0, |resume| resume.slice);
        let mut planned = resume.and_then(|resume| resume.planned);
        let first = planned.map_or(SLICES_AT_ONCE, |planned| planned.slices);
        let mut sent = 0;
        let mut steps = steps(&to_send, from, cut.len(), first).into_iter().peekable();
        while let Some(Step { send, covers }) = steps.next() {
            let group = &slices[send];
            if !group.is_empty() {
                let window = match planned.take() {
                    Some(planned) => planned.window,
                    None => self.plan(app, channel, group).await?,
                };
                if is_far(window, self.clock.now()) {
                    let planned = Some(Planned { window, slices: group.len() });
                    let resume = Some(Resume { channel, slice: covers.start, planned });
                    let task = FanOutTask::Shard { push: push.id, shard, resume };
                    // A little early, so that the first batch still gets a delay of its own.
                    let delay = Duration::from_secs(limits::QUEUE_DELAY_SECS as u64 - 30);
                    self.queues.fan_out(&[task], delay).await.map_err(Failure::of)?;
                    info!(push.id = %push.id, channel = %channel, shard = shard.0, "The channel is busy: going on later");
                    return Ok((sent, None));
                }
                self.send_group(channel, group, window).await?;
                sent += group.len();
            }
            let unsent = covers.clone().filter(|number| !group.iter().any(|slice| slice.number == *number));
            let unsent = unsent.filter_map(|number| {
                let devices = work.unsent.settles(cut[number].1)?;
                let key = BatchKey { push: push.id, shard, channel, slice: number.to_string(), attempt: 0 };
                Some((key, devices))
            });
            self.settle_unsent(unsent.collect()).await?;
            // With the slices that they were in, so that whoever goes on from there does not address them once more.
            let (gone, later) = left_until(covers.end, left, cut);
            self.readdress_left(push, shard, gone).await?;
            left = later;
            if steps.peek().is_some() && is_short(deadline, self.clock.now()) {
                return Ok((sent, Some(covers.end)));
            }
        }
        Ok((sent, None))
    }

    /// Settles batches that will never be sent, each with how many devices that settles.
    pub(crate) async fn settle_unsent(&self, batches: Vec<(BatchKey, u32)>) -> Result<(), Failure> {
        let settle = |(key, devices): (BatchKey, u32)| async move {
            self.ledger.put_unsent(&key, devices, self.clock.now()).await.map_err(Failure::of)
        };
        stream::iter(batches).map(Ok).try_for_each_concurrent(WRITES_AT_ONCE, settle).await
    }

    /// Users who were addressed by socket, and have left before their batch was sent, are offline after all.
    async fn readdress_left(&self, push: &Push, shard: Shard, left: &[u16]) -> Result<(), Failure> {
        let tasks: Vec<FanOutTask> = left
            .chunks(USERS_PER_READDRESS)
            .map(|places| {
                // Named by who they are: the same users again are known by it, and others are not taken for them.
                let name = places.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, place| {
                    (hash ^ u64::from(*place)).wrapping_mul(0x0100_0000_01b3)
                });
                let slice = format!("left{name:016x}");
                FanOutTask::Readdress { push: push.id, shard, slice, attempt: 0, places: places.to_vec() }
            })
            .collect();
        self.queues.fan_out(&tasks, Duration::ZERO).await.map_err(Failure::of)
    }

    /// Whom the push is for in one shard: as resolved before, or resolved now, once and for all.
    async fn members(&self, push: &Push, shard: Shard) -> Result<ShardSet, Failure> {
        let everyone = ShardSet::below(push.population.saturating_sub(u32::from(shard.0) * Shard::SIZE));
        match &push.audience {
            // Needs no index and no snapshot: the population says it.
            Audience::Everyone => Ok(everyone),
            Audience::Users(named) => {
                let members = named.iter().filter(|user| user.shard() == shard).map(|user| user.low()).collect();
                // The push itself says it. Only who asks for a kept one later looks for a snapshot.
                match push.kept() {
                    Some(_) => self.snapshots.put(push, shard, members).await.map_err(Failure::of),
                    None => Ok(members),
                }
            }
            Audience::Matching(condition) => {
                if let Some(members) = self.snapshots.get(push.id, shard).await.map_err(Failure::of)? {
                    return Ok(members);
                }
                // Whoever has what is withdrawn is to be told so, though the index may know better by now who is meant.
                let had = match push.revokes {
                    Some(withdrawn) => self.snapshots.get(withdrawn, shard).await.map_err(Failure::of)?,
                    None => None,
                };
                let members = match had {
                    Some(members) => members,
                    None => self.index.resolve(&push.app, condition, shard, &everyone).await.map_err(Failure::of)?,
                };
                self.snapshots.put(push, shard, members).await.map_err(Failure::of)
            }
        }
    }
}

/// How many devices a channel takes in so many seconds, in full requests; if its rate is to grow after a rest, in the
/// first ones.
pub(crate) fn devices_within(rates: Rates, app: &App, channel: Channel, secs: u32) -> u32 {
    let facts = channel::traits(channel);
    let units = rates.granted(app, channel).saturating_mul(secs);
    // On its way from nothing to all of it, a rate is half of what it has become.
    let units = if facts.ramp_secs > secs { (units / (2 * facts.ramp_secs)).saturating_mul(secs) } else { units };
    match facts.rate_unit {
        RateUnit::Devices => units.max(1),
        RateUnit::Requests => units.max(1).saturating_mul(facts.max_batch as u32),
    }
}

/// The members from the slice on where a task goes on.
fn from_slice(members: &ShardSet, cuts: &Cuts, resume: &Resume) -> ShardSet {
    let first = cuts.slices.get(&resume.channel).and_then(|slices| slices.get(resume.slice));
    let (first, _) = first.copied().unwrap_or((0, 0));
    members.iter().filter(|low| *low >= first).collect()
}

/// Who of those that have `left`, in order, was in a slice before the one of a number, and the others.
fn left_until<'a>(number: usize, left: &'a [u16], cut: &[(u16, u32)]) -> (&'a [u16], &'a [u16]) {
    let until = cut.get(number).map_or(left.len(), |(first, _)| left.partition_point(|place| place < first));
    left.split_at(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_left_goes_with_the_slice_that_had_them() {
        let (cut, left) = ([(10, 3), (20, 3), (30, 3)], [10_u16, 19, 20, 35]);
        for (number, gone) in [(0, 0), (1, 2), (2, 3), (3, 4)] {
            assert_eq!(left_until(number, &left, &cut), left.split_at(gone), "slice {number}");
        }
        assert_eq!(left_until(3, &[], &cut), (&[][..], &[][..]));
    }

    #[test]
    fn whoever_goes_on_reads_from_the_slice_on_where_they_do() {
        let cuts = Cuts {
            at: Timestamp::from_secs(1),
            slices: BTreeMap::from([(Channel::Apns, vec![(3, 2), (7, 2)]), (Channel::Fcm, vec![(5, 1)])]),
            suppressed: BTreeMap::new(),
            sockets: ShardSet::default(),
        };
        let from = |channel, slice| {
            let resume = Resume { channel, slice, planned: None };
            from_slice(&ShardSet::below(10), &cuts, &resume).iter().next()
        };
        assert_eq!(
            [from(Channel::Apns, 0), from(Channel::Apns, 1), from(Channel::Fcm, 0)],
            [Some(3), Some(7), Some(5)]
        );
    }

    #[test]
    fn slices_that_are_not_sent_are_settled_once_it_is_known_why() {
        assert_eq!(
            [Unsent::None, Unsent::Empty, Unsent::Withdrawn].map(|unsent| unsent.settles(7)),
            [None, Some(0), Some(7)]
        );
    }
}
