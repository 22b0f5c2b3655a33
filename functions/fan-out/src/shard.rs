//! A shard of a push becomes batches.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfare::channel::{self, RateUnit, Rates};
use fanfare::domain::{App, Audience, Channel, Push, PushId, Shard, ShardSet};
use fanfare::queue::{Failure, FanOutTask, Resume};
use fanfare::store::{BatchKey, Cuts};
use tracing::{info, warn};

use crate::FanOut;
use crate::address::Addressing;
use crate::cut::{cuts, slices};
use crate::pace::Overflow;

/// Users of one task to address them again: their places fit a message many times over.
const USERS_PER_READDRESS: usize = 2_000;

impl FanOut {
    /// Resolves who of one shard is meant, addresses them, and enqueues the batches at their channels' pace.
    pub(crate) async fn shard(&self, id: PushId, shard: Shard, resume: Option<Resume>) -> Result<(), Failure> {
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
        by_channel.retain(|channel, _| resume.as_ref().is_none_or(|resume| *channel == resume.channel));
        // Cut as ever, so that the account knows for whom it was; but nothing of it takes of a channel's rate.
        if self.pushes.is_recalled(&push).await.map_err(Failure::of)? {
            info!(push.id = %id, shard = shard.0, "Push `{id}` was withdrawn: what of it is not sent is not sent");
            return self.settle_unsent(&push, shard, &cuts, resume.as_ref(), |_, _, devices| Some(devices)).await;
        }
        if is_repeat {
            // A slice in which it finds no one any more is never sent.
            let empty = |channel: Channel, number: usize, _| {
                let found = by_channel.get(&channel).map_or(&[][..], Vec::as_slice);
                (!found.iter().any(|slice| slice.number == number)).then_some(0)
            };
            self.settle_unsent(&push, shard, &cuts, resume.as_ref(), empty).await?;
        }
        if resume.as_ref().is_none_or(|resume| resume.channel == Channel::Ws) {
            self.readdress_left(&push, shard, &left).await?;
        }
        let mut batches = 0;
        for (channel, slices) in by_channel {
            let overflow = Overflow::GoesOn(resume.as_ref().filter(|resume| resume.channel == channel));
            batches += self.send_paced(&app, &push, shard, channel, slices, overflow).await?;
        }
        info!(push.id = %id, app.id = %push.app, shard = shard.0, batches, "Sent {batches} batches of push `{id}`");
        Ok(())
    }

    /// Settles slices of which no batch will ever be sent, from where a task goes on. `unsent` tells, of a slice and the
    /// devices that it had, whether it is one, and how many devices that settles.
    async fn settle_unsent(
        &self,
        push: &Push,
        shard: Shard,
        cuts: &Cuts,
        resume: Option<&Resume>,
        unsent: impl Fn(Channel, usize, u32) -> Option<u32>,
    ) -> Result<(), Failure> {
        let channels =
            cuts.slices.iter().filter(|(channel, _)| resume.is_none_or(|resume| resume.channel == **channel));
        for (channel, slices) in channels {
            let first = resume.map_or(0, |resume| resume.slice);
            for (number, (_, devices)) in slices.iter().enumerate().skip(first) {
                if let Some(devices) = unsent(*channel, number, *devices) {
                    let slice = number.to_string();
                    let key = BatchKey { push: push.id, shard, channel: *channel, slice, attempt: 0 };
                    self.ledger.put_unsent(&key, devices, self.clock.now()).await.map_err(Failure::of)?;
                }
            }
        }
        Ok(())
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
