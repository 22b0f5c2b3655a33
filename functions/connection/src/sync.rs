//! What a device missed.

use std::collections::{BTreeMap, BTreeSet};

use fanfare::channel::ws;
use fanfare::domain::{ConnectionId, Device, Ordinal, PushId, Seq, ShardSet, Timestamp};
use fanfare::store::{Acknowledged, Connection, Offline, StoreError};
use serde_json::json;
use tracing::info;

use crate::{ConnectionFunction, Error};

/// Pushes of one sync at most; after acknowledging them the device asks again.
const PUSHES_PER_SYNC: usize = 50;

impl ConnectionFunction {
    /// Sends a device what is kept for its user and not acknowledged by it, oldest first.
    ///
    /// The contact was written when the device connected, and snapshots are read only now; the fan-out writes a
    /// snapshot and only then reads contacts. At least one of the two sees the other: a push whose snapshot is not
    /// there yet will find the connection.
    pub(crate) async fn sync(&self, id: &ConnectionId) -> Result<(), Error> {
        let Some(connection) = self.connections.get(id).await? else { return self.say_unknown(id).await };
        let (app, user, device) = (&connection.app, &connection.user, &connection.device);
        let now = self.clock.now();
        let acknowledged = self.acks.get(app, user, device).await?;
        let kept = self.offline.after(app, acknowledged.floor).await?;
        let open = || kept.iter().filter(|push| is_open(push, connection.ordinal, &acknowledged, now));
        let registered = self.registered(&connection, open()).await?;
        let asked: Vec<PushId> = open()
            .filter(|push| !push.everyone && push.devices.matches_socket(registered.as_ref()))
            .map(|push| push.push)
            .collect();
        let snapshots = self.snapshots.get_all(&asked, connection.ordinal.shard()).await?;
        let asker = Asker { ordinal: connection.ordinal, acknowledged: &acknowledged, registered: registered.as_ref() };
        let sorted = sort(&kept, &asker, &snapshots, now);

        let (send, more) = sorted.wanted.split_at(sorted.wanted.len().min(PUSHES_PER_SYNC));
        let pushes = self.pushes.get_all(send).await?;
        let mut delivered = 0;
        for push in send.iter().filter_map(|push| pushes.get(push)) {
            self.sockets.post(id, ws::frame(push)).await?;
            delivered += 1;
        }
        self.say(id, json!({"type": "synced", "delivered": delivered, "more": !more.is_empty()})).await?;
        if sorted.floor > acknowledged.floor {
            let covered: BTreeSet<Seq> = acknowledged.seqs.range(..=sorted.floor).copied().collect();
            self.acks.settle(app, user, device, sorted.floor, &covered, now).await?;
        }
        info!(app.id = %app, connection.id = %id, delivered, "A device synced {delivered} pushes");
        Ok(())
    }

    /// What the device of a connection is registered as, if it is. Not read unless one of the pushes asks for it.
    pub(crate) async fn registered<'a>(
        &self,
        connection: &Connection,
        mut pushes: impl Iterator<Item = &'a Offline>,
    ) -> Result<Option<Device>, StoreError> {
        if pushes.all(|push| push.devices.is_open()) {
            return Ok(None);
        }
        let devices = self.contacts.devices(&connection.app, connection.ordinal).await?;
        Ok(devices.into_iter().find(|device| device.id == connection.device))
    }
}

/// The device that asks.
struct Asker<'a> {
    /// Its user's place.
    ordinal: Ordinal,
    /// What it has acknowledged.
    acknowledged: &'a Acknowledged,
    /// What it is registered as, if it is, and if that matters.
    registered: Option<&'a Device>,
}

/// What is kept, sorted for one device.
#[derive(Debug, PartialEq, Eq)]
struct Sorted {
    /// What it is to be sent, oldest first.
    wanted: Vec<PushId>,
    /// Up to where everything is settled for it.
    floor: Seq,
}

fn sort(kept: &[Offline], asker: &Asker<'_>, snapshots: &BTreeMap<PushId, ShardSet>, now: Timestamp) -> Sorted {
    let mut sorted = Sorted { wanted: Vec::new(), floor: asker.acknowledged.floor };
    let mut all_settled = true;
    for push in kept {
        let settled = if !is_open(push, asker.ordinal, asker.acknowledged, now) {
            true
        } else if !push.devices.matches_socket(asker.registered) {
            // Whoever has not registered yet is asked again: it is a browser for now, and may turn out to be a phone.
            asker.registered.is_some()
        } else if push.everyone {
            sorted.wanted.push(push.push);
            false
        } else {
            match snapshots.get(&push.push).map(|members| members.contains(asker.ordinal.low())) {
                Some(true) => {
                    sorted.wanted.push(push.push);
                    false
                }
                Some(false) => true,
                // Not resolved yet: the fan-out will find the connection. Asked again at the next sync.
                None => false,
            }
        };
        all_settled &= settled;
        if all_settled {
            sorted.floor = push.seq;
        }
    }
    sorted
}

/// Whether a push can be for the user, and is not settled.
pub(crate) fn is_open(push: &Offline, ordinal: Ordinal, acknowledged: &Acknowledged, now: Timestamp) -> bool {
    now < push.expires_at && ordinal.0 < push.population && !acknowledged.covers(push.seq)
}

#[cfg(test)]
mod tests {
    use fanfare::domain::{Channel, DeviceFilter, DeviceId, DeviceToken, Platform};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn kept(seq: u64) -> Offline {
        Offline {
            seq: Seq(seq),
            push: PushId::from_u128(seq.into()),
            population: 10,
            everyone: true,
            devices: DeviceFilter::default(),
            revokes: false,
            expires_at: NOW.plus_secs(60),
        }
    }

    fn sorted(kept: &[Offline], acknowledged: &[u64], members: &[(u64, &[u16])]) -> (Vec<u128>, u64) {
        sorted_for(None, kept, acknowledged, members)
    }

    fn sorted_for(
        registered: Option<&Device>,
        kept: &[Offline],
        acknowledged: &[u64],
        members: &[(u64, &[u16])],
    ) -> (Vec<u128>, u64) {
        let acknowledged = Acknowledged { floor: Seq(0), seqs: acknowledged.iter().copied().map(Seq).collect() };
        let snapshots = members
            .iter()
            .map(|(push, lows)| (PushId::from_u128((*push).into()), lows.iter().copied().collect()))
            .collect();
        let asker = Asker { ordinal: Ordinal(7), acknowledged: &acknowledged, registered };
        let sorted = sort(kept, &asker, &snapshots, NOW);
        (sorted.wanted.iter().map(|push| push.as_u128()).collect(), sorted.floor.0)
    }

    #[test]
    fn what_is_acknowledged_expired_or_older_than_the_user_is_settled() {
        let expired = Offline { expires_at: NOW, ..kept(2) };
        let before = Offline { population: 7, ..kept(3) };
        assert_eq!(sorted(&[kept(1), expired, before, kept(4), kept(5)], &[1, 5], &[]), (vec![4], 3));
    }

    #[test]
    fn a_snapshot_decides_and_one_that_is_missing_decides_nothing() {
        let of_some = |seq| Offline { everyone: false, ..kept(seq) };
        let kept = [of_some(1), of_some(2), of_some(3), kept(4)];
        assert_eq!(sorted(&kept, &[4], &[(1, &[6]), (2, &[7])]), (vec![2], 1));
        assert_eq!(sorted(&kept, &[2, 4], &[(1, &[6]), (2, &[7])]), (vec![], 2), "3 is not settled");
        assert_eq!(sorted(&kept, &[2, 4], &[(1, &[6]), (2, &[7]), (3, &[])]), (vec![], 4));
    }

    #[test]
    fn what_is_for_other_devices_is_settled_for_a_registered_one_and_open_for_one_that_may_register() {
        let phone = Device {
            id: DeviceId::try_from("phone").unwrap(),
            platform: Platform::Ios,
            channel: Channel::Apns,
            token: DeviceToken::new("t"),
            package: Some("a".to_owned()),
            push_enabled: true,
            language: None,
            registered_at: NOW,
            active_at: NOW,
        };
        let of = |seq, platforms: &[Platform], package: Option<&str>| {
            let platforms = platforms.iter().copied().collect();
            Offline { devices: DeviceFilter { platforms, package: package.map(str::to_owned) }, ..kept(seq) }
        };
        let android = of(1, &[Platform::Android], None);
        let ios = Offline { everyone: false, ..of(2, &[Platform::Ios], None) };
        let pushes = [android, ios, of(3, &[], Some("b")), of(4, &[], Some("a")), of(5, &[Platform::Web], None)];
        let sorted = |registered, acknowledged: &[u64]| sorted_for(registered, &pushes, acknowledged, &[(2, &[7])]);
        assert_eq!(sorted(Some(&phone), &[]), (vec![2, 4], 1));
        assert_eq!(sorted(Some(&phone), &[2, 4]), (vec![], 5));
        assert_eq!(sorted(None, &[]), (vec![5], 0));
        assert_eq!(sorted(None, &[1, 5]), (vec![], 1), "2 can still be for it");
    }
}
