//! A shard of a push becomes batches.

use std::collections::BTreeMap;

use fanfare::channel::{self, RateUnit};
use fanfare::domain::{App, Audience, Channel, Push, PushId, Shard, ShardSet};
use fanfare::queue::{Failure, Resume};
use fanfare::store::Cuts;
use tracing::{info, warn};

use crate::FanOut;
use crate::address::address;
use crate::cut::{cuts, slices};

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
        let wanted = match (&resume, self.snapshots.cuts(id, shard).await.map_err(Failure::of)?) {
            (Some(resume), Some(cuts)) => from_slice(&members, &cuts, resume),
            _ => members,
        };
        let now = self.clock.now();
        let contacts = self.contacts.of_members(&push.app, shard, &wanted).await.map_err(Failure::of)?;
        let addressed = address(&push, &contacts, now, |channel| self.serves(channel));
        drop(contacts);
        let proposed = cuts(&addressed, |channel| devices_per_second(&app, channel));
        let cuts = self.snapshots.put_cuts(&push, shard, proposed).await.map_err(Failure::of)?;
        let mut by_channel: BTreeMap<Channel, Vec<_>> = slices(&push, shard, addressed, &cuts);
        if let Some(resume) = &resume {
            by_channel.retain(|channel, _| *channel == resume.channel);
        }
        let mut batches = 0;
        for (channel, slices) in by_channel {
            let resume = resume.as_ref().filter(|resume| resume.channel == channel);
            batches += self.send_paced(&app, &push, shard, channel, slices, resume).await?;
        }
        info!(push.id = %id, app.id = %push.app, shard = shard.0, batches, "Sent {batches} batches of push `{id}`");
        Ok(())
    }

    /// Whom the push is for in one shard: as resolved before, or resolved now, once and for all.
    async fn members(&self, push: &Push, shard: Shard) -> Result<ShardSet, Failure> {
        let everyone = ShardSet::below(push.population.saturating_sub(u32::from(shard.0) * Shard::SIZE));
        match &push.audience {
            // Needs no index and no snapshot: the population says it.
            Audience::Everyone => Ok(everyone),
            Audience::Matching(condition) => {
                if let Some(members) = self.snapshots.get(push.id, shard).await.map_err(Failure::of)? {
                    return Ok(members);
                }
                let members = self.index.resolve(&push.app, condition, shard, &everyone).await.map_err(Failure::of)?;
                self.snapshots.put(push, shard, members).await.map_err(Failure::of)
            }
        }
    }
}

/// How many devices a channel takes in a second, in full requests.
pub(crate) fn devices_per_second(app: &App, channel: Channel) -> u32 {
    let (_, units) = channel::rate(app, channel);
    match channel::traits(channel).rate_unit {
        RateUnit::Devices => units,
        RateUnit::Requests => units.saturating_mul(channel::traits(channel).max_batch as u32),
    }
}

/// The members from the slice on where a task goes on.
fn from_slice(members: &ShardSet, cuts: &Cuts, resume: &Resume) -> ShardSet {
    let first = cuts.slices.get(&resume.channel).and_then(|slices| slices.get(resume.slice));
    let (first, _) = first.copied().unwrap_or((0, 0));
    members.iter().filter(|low| *low >= first).collect()
}
