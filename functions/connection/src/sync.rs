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
/// Items of what is kept that are read at once: some 120 KB, or 30 units.
const ITEMS_PER_READ: i32 = 1_000;
/// Pushes up to the floor that may be open: each costs a unit at each sync.
const MOST_OPEN: usize = 100;

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
        let (sorted, is_cut_off) = self.missed(&connection, &acknowledged, now).await?;

        let (send, rest) = sorted.wanted.split_at(sorted.wanted.len().min(PUSHES_PER_SYNC));
        let pushes = self.pushes.get_all(send).await?;
        let mut delivered = 0;
        for push in send.iter().filter_map(|push| pushes.get(push)) {
            self.sockets.post(id, ws::frame(push)).await?;
            delivered += 1;
        }
        // Before the device may ask for more, so that it goes on from there.
        if sorted.settled != acknowledged {
            self.acks.settle(app, user, device, &acknowledged, &sorted.settled, now).await?;
        }
        let more = is_cut_off || !rest.is_empty();
        self.say(id, json!({"type": "synced", "delivered": delivered, "more": more})).await?;
        info!(app.id = %app, connection.id = %id, delivered, "A device synced {delivered} pushes");
        Ok(())
    }

    /// What is kept, sorted for a device, and whether there may be more. What is past its lifetime stays with the rest for
    /// days, so this reads so far that something comes of it, and no further: there is something to send, or the floor
    /// rises, and the device asks again. Only where the floor is held by what is open can it be more than one request.
    async fn missed(
        &self,
        connection: &Connection,
        acknowledged: &Acknowledged,
        now: Timestamp,
    ) -> Result<(Sorted, bool), Error> {
        let app = &connection.app;
        let mut kept = self.offline.among(app, &acknowledged.open).await?;
        kept.sort_unstable_by_key(|push| push.seq);
        let mut reached = acknowledged.floor;
        loop {
            let (next, is_cut_off) = self.offline.after(app, reached, ITEMS_PER_READ).await?;
            reached = next.last().map_or(reached, |push| push.seq);
            kept.extend(next);
            let open = || kept.iter().filter(|push| is_open(push, connection.ordinal, acknowledged, now));
            let registered = self.registered(connection, open()).await?;
            let asked: Vec<PushId> = open()
                .filter(|push| !push.everyone && push.devices.matches_socket(registered.as_ref()))
                .map(|push| push.push)
                .collect();
            let snapshots = self.snapshots.get_all(&asked, connection.ordinal.shard()).await?;
            let asker = Asker { ordinal: connection.ordinal, acknowledged, registered: registered.as_ref() };
            let sorted = sort(&kept, reached, &asker, &snapshots, now);
            if !is_cut_off || !sorted.wanted.is_empty() || sorted.settled.floor > acknowledged.floor {
                return Ok((sorted, is_cut_off));
            }
        }
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
    /// What is settled for it by now.
    settled: Acknowledged,
}

/// What a push is to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Settled,
    Wanted,
    /// Not known yet: it is asked again at each sync.
    Open,
}

/// Sorts what is kept: what was open before, and then what comes after the floor, as far as it was read.
///
/// What is not known yet does not hold the floor, or each sync would read, and keep the acknowledgements of, all that came
/// since, for days: an installation that never registers need only be sent one push for phones. It is remembered by its
/// number instead, as long as there is little of it.
fn sort(
    kept: &[Offline],
    reached: Seq,
    asker: &Asker<'_>,
    snapshots: &BTreeMap<PushId, ShardSet>,
    now: Timestamp,
) -> Sorted {
    let before = asker.acknowledged;
    let (mut wanted, mut floor, mut open) = (Vec::new(), before.floor, BTreeSet::new());
    let mut is_held = false;
    for push in kept {
        let verdict = judge(push, asker, snapshots, now);
        if verdict == Verdict::Wanted {
            wanted.push(push.push);
        }
        if push.seq <= before.floor {
            if verdict != Verdict::Settled {
                open.insert(push.seq);
            }
            continue;
        }
        is_held |= match verdict {
            Verdict::Settled => false,
            Verdict::Wanted => true,
            Verdict::Open => open.len() >= MOST_OPEN,
        };
        if !is_held {
            floor = push.seq;
            if verdict == Verdict::Open {
                open.insert(push.seq);
            }
        }
    }
    let alive: BTreeSet<Seq> = kept.iter().filter(|push| now < push.expires_at).map(|push| push.seq).collect();
    let says_more = |seq: &Seq| *seq > reached || (*seq > floor && alive.contains(seq));
    let seqs = before.seqs.iter().copied().filter(says_more).collect();
    Sorted { wanted, settled: Acknowledged { floor, open, seqs } }
}

fn judge(push: &Offline, asker: &Asker<'_>, snapshots: &BTreeMap<PushId, ShardSet>, now: Timestamp) -> Verdict {
    if !is_open(push, asker.ordinal, asker.acknowledged, now) {
        return Verdict::Settled;
    }
    if !push.devices.matches_socket(asker.registered) {
        // Whoever has not registered is a browser for now, and may turn out to be a phone.
        return if asker.registered.is_some() { Verdict::Settled } else { Verdict::Open };
    }
    if push.everyone {
        return Verdict::Wanted;
    }
    match snapshots.get(&push.push).map(|members| members.contains(asker.ordinal.low())) {
        Some(true) => Verdict::Wanted,
        Some(false) => Verdict::Settled,
        // Not resolved yet: the fan-out will find the connection.
        None => Verdict::Open,
    }
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

    /// What is sent, the floor, and what is open up to it.
    type Told = (Vec<u128>, u64, Vec<u64>);

    fn sorted(kept: &[Offline], acknowledged: &[u64], members: &[(u64, &[u16])]) -> Told {
        told(&sorted_for(None, kept, &acked(0, &[], acknowledged), members))
    }

    fn acked(floor: u64, open: &[u64], seqs: &[u64]) -> Acknowledged {
        let set = |seqs: &[u64]| seqs.iter().copied().map(Seq).collect();
        Acknowledged { floor: Seq(floor), open: set(open), seqs: set(seqs) }
    }

    fn sorted_for(
        registered: Option<&Device>,
        kept: &[Offline],
        acknowledged: &Acknowledged,
        members: &[(u64, &[u16])],
    ) -> Sorted {
        let snapshots = members
            .iter()
            .map(|(push, lows)| (PushId::from_u128((*push).into()), lows.iter().copied().collect()))
            .collect();
        let reached = kept.last().map_or(acknowledged.floor, |push| push.seq);
        let asker = Asker { ordinal: Ordinal(7), acknowledged, registered };
        sort(kept, reached, &asker, &snapshots, NOW)
    }

    fn told(sorted: &Sorted) -> Told {
        let open = sorted.settled.open.iter().map(|seq| seq.0).collect();
        (sorted.wanted.iter().map(|push| push.as_u128()).collect(), sorted.settled.floor.0, open)
    }

    #[test]
    fn what_is_acknowledged_expired_or_older_than_the_user_is_settled() {
        let expired = Offline { expires_at: NOW, ..kept(2) };
        let before = Offline { population: 7, ..kept(3) };
        assert_eq!(sorted(&[kept(1), expired, before, kept(4), kept(5)], &[1, 5], &[]), (vec![4], 3, vec![]));
    }

    #[test]
    fn a_snapshot_decides_and_one_that_is_missing_leaves_the_push_open() {
        let of_some = |seq| Offline { everyone: false, ..kept(seq) };
        let kept = [of_some(1), of_some(2), of_some(3), kept(4)];
        assert_eq!(sorted(&kept, &[4], &[(1, &[6]), (2, &[7])]), (vec![2], 1, vec![]));
        assert_eq!(sorted(&kept, &[2, 4], &[(1, &[6]), (2, &[7])]), (vec![], 4, vec![3]));
        assert_eq!(sorted(&kept, &[2, 4], &[(1, &[6]), (2, &[7]), (3, &[])]), (vec![], 4, vec![]));
    }

    #[test]
    fn what_is_open_is_remembered_until_it_is_known_acknowledged_or_over() {
        let of_some = |seq| Offline { everyone: false, ..kept(seq) };
        let before = acked(4, &[1, 2, 3], &[2]);
        let kept = [of_some(1), of_some(2), Offline { expires_at: NOW, ..of_some(3) }, kept(5)];
        let told = |members: &[(u64, &[u16])]| told(&sorted_for(None, &kept, &before, members));
        assert_eq!(told(&[]), (vec![5], 4, vec![1]));
        assert_eq!(told(&[(1, &[7])]), (vec![1, 5], 4, vec![1]), "sent, and not yet acknowledged");
        assert_eq!(told(&[(1, &[6])]), (vec![5], 4, vec![]));
    }

    #[test]
    fn only_a_few_are_open_and_what_does_not_fit_holds_the_floor() {
        let of_some = |seq| Offline { everyone: false, ..kept(seq) };
        let kept: Vec<Offline> = (1..=120).map(of_some).chain([kept(121)]).collect();
        let (wanted, floor, open) = sorted(&kept, &[], &[]);
        assert_eq!((wanted, floor), (vec![121], 100));
        assert_eq!(open, (1..=100).collect::<Vec<_>>());
        let open: Vec<u64> = (1..=100).collect();
        let sorted = sorted_for(None, &kept, &acked(100, &open, &[121]), &[(101, &[])]);
        assert_eq!(told(&sorted).1, 101, "what is known passes");
    }

    #[test]
    fn acknowledgements_that_say_nothing_more_are_dropped() {
        let expired = |seq| Offline { expires_at: NOW, ..kept(seq) };
        // 3 holds the floor; 5 is over; 6 was never kept, or is no longer; what is beyond 7 was not read.
        let kept = [kept(2), kept(3), kept(4), expired(5), kept(7)];
        let sorted = sorted_for(None, &kept, &acked(1, &[], &[1, 2, 4, 5, 6, 7, 8]), &[]);
        assert_eq!(sorted.settled, acked(2, &[], &[4, 7, 8]));
        assert_eq!(sorted.wanted, [PushId::from_u128(3)]);
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
        let sorted = |registered, acknowledged: &[u64]| {
            told(&sorted_for(registered, &pushes, &acked(0, &[], acknowledged), &[(2, &[7])]))
        };
        assert_eq!(sorted(Some(&phone), &[]), (vec![2, 4], 1, vec![]));
        assert_eq!(sorted(Some(&phone), &[2, 4]), (vec![], 5, vec![]));
        assert_eq!(sorted(None, &[]), (vec![5], 4, vec![1, 2, 3, 4]));
        assert_eq!(sorted(None, &[1, 5]), (vec![], 5, vec![2, 3, 4]), "they can still be for it");
        // Once it has registered, what was open is asked again.
        let later = |acknowledged| told(&sorted_for(Some(&phone), &pushes[..4], &acknowledged, &[(2, &[7])]));
        assert_eq!(later(acked(5, &[1, 2, 3, 4], &[])), (vec![2, 4], 5, vec![2, 4]));
        assert_eq!(later(acked(5, &[2, 4], &[2, 4])), (vec![], 5, vec![]));
    }
}
