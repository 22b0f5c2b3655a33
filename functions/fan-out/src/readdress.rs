//! Users whose connections were found gone are offline after all.

use fanfare::domain::{Channel, PushId, Shard, ShardSet};
use fanfare::queue::Failure;
use fanfare::store::{BatchKey, Readdressed};
use tracing::{info, warn};

use crate::FanOut;
use crate::address::{Addressed, Addressing};
use crate::cut::{cuts, slices};
use crate::shard::devices_within;

/// How often in a row a user is addressed again. One who comes and goes faster than that finds the push by itself.
const DEPTH: usize = 3;

impl FanOut {
    /// Addresses users again. Their dead connections are no longer among their contacts: those who have others by now
    /// get the push there, the rest on their devices.
    pub(crate) async fn readdress(
        &self,
        id: PushId,
        shard: Shard,
        slice: String,
        attempt: u8,
        places: Vec<u16>,
    ) -> Result<(), Failure> {
        let Some(push) = self.pushes.get(id).await.map_err(Failure::of)? else { return Ok(()) };
        let Some(app) = self.apps.get(&push.app).await.map_err(Failure::of)? else { return Ok(()) };
        let now = self.clock.now();
        if !push.is_alive(now) {
            return Ok(());
        }
        if BatchKey::times_readdressed(&slice) >= DEPTH {
            warn!(push.id = %id, shard = shard.0, "Users of push `{id}` come and go too fast to be addressed again");
            return Ok(());
        }
        let from = BatchKey { push: id, shard, channel: Channel::Ws, slice, attempt };
        let members: ShardSet = places.into_iter().collect();
        let contacts = self.contacts.of_members(&push.app, shard, &members).await.map_err(Failure::of)?;
        let address = |at| {
            let utc_offset_minutes = app.quotas.utc_offset_minutes;
            let serves = |channel| self.serves(&app, channel);
            let addressing = Addressing { push: &push, utc_offset_minutes, at, serves, before: None };
            addressing.address(&contacts)
        };
        let cut = |addressed: &Addressed, at| {
            cuts(addressed, at, |channel, secs| devices_within(self.rates, &app, channel, secs))
        };
        let mut addressed = address(now);
        let proposed = Readdressed { cuts: cut(&addressed, now) };
        let mut cuts = self.ledger.put_readdressed(&from, proposed, now).await.map_err(Failure::of)?.cuts;
        // A repeat judges by the moment of the first time, and cuts as it did. Those whom it finds on another channel
        // than before are sent to there as well: twice is better than never.
        if cuts.at != now {
            addressed = address(cuts.at);
        }
        for (channel, slices) in cut(&addressed, cuts.at).slices {
            cuts.slices.entry(channel).or_insert(slices);
        }
        if self.pushes.is_recalled(&push).await.map_err(Failure::of)? {
            let from = &from;
            let unsent = cuts.slices.iter().flat_map(|(channel, slices)| {
                slices.iter().enumerate().map(move |(number, (_, devices))| {
                    let slice = from.readdressed_slice(number);
                    (BatchKey { push: id, shard, channel: *channel, slice, attempt: 0 }, *devices)
                })
            });
            return self.settle_unsent(unsent.collect()).await;
        }
        for (channel, mut slices) in slices(&push, shard, addressed, &cuts) {
            for slice in &mut slices {
                slice.task.slice = from.readdressed_slice(slice.number);
            }
            self.send_all(&app, channel, &slices).await?;
        }
        info!(push.id = %id, shard = shard.0, users = members.len(), "Addressed {} users again", members.len());
        Ok(())
    }
}
