//! The account of a push: how many devices it was for, and what came of each, by channel.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;

use futures::{StreamExt, TryStreamExt, stream};

use crate::domain::{AppId, Channel, Push, PushId, Shard, Tally, Timestamp};

use super::{BatchKey, Cuts, LedgerStore, Readdressed, Record, RestStore, SnapshotStore, StoreError};

/// Complaints of a channel that an account repeats at most: they are few different ones, or of little use.
const COMPLAINTS: usize = 10;

/// Shards that are read side by side.
const SHARDS_AT_ONCE: usize = 8;

/// What came of a push, so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushAccount {
    /// By channel.
    pub channels: BTreeMap<Channel, Account>,
    /// How far it is.
    pub progress: Progress,
}

/// How far a push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nobody is addressed yet.
    Accepted,
    /// Some are not addressed yet, or pending.
    Sending,
    /// It is known of everyone what came of it.
    Done,
}

/// What came of a push on one channel, so far. `targeted = settled.total() + pending`, at every moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Devices and connections it was addressed to.
    pub targeted: u32,
    /// Those of which it is known what came of them.
    pub settled: Tally,
    /// The others.
    pub pending: u32,
    /// What went wrong with batches of it that was not about one device: each once, and the first few of them.
    pub complaints: BTreeSet<String>,
    /// Set while the app sends nothing on this channel.
    pub stopped: Option<Stopped>,
}

/// A channel of an app that is stopped: what is pending waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Why, in a few words.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// When it is tried again.
    pub until: Timestamp,
}

/// Adds up the ledger.
#[derive(Clone)]
pub struct AccountStore {
    ledger: LedgerStore,
    rests: RestStore,
    snapshots: SnapshotStore,
}

impl AccountStore {
    /// Over the ledger, the cuts and the rests of channels.
    pub fn new(ledger: LedgerStore, snapshots: SnapshotStore, rests: RestStore) -> Self {
        Self { ledger, rests, snapshots }
    }

    /// The account of a push, by channel. Two Queries and a read a shard, and a read a channel.
    ///
    /// Shards that are not cut yet are not in it. Once a push is [`Done`](Progress::Done) it stays so, but where a process
    /// died while it addressed users, and those who have left their sockets since are addressed again.
    pub async fn of(&self, push: &Push, now: Timestamp) -> Result<PushAccount, StoreError> {
        let all = push.shards();
        let count = all.len();
        let Sums { mut channels, cut, readdresses } = sum_up(all, |shard| self.shard(push.id, shard)).await?;
        let is_under_way = channels.values().any(|account| account.pending > 0)
            // Who has left a socket meanwhile is addressed again as long as the push lives, and then no more.
            || push.is_alive(now) && readdresses;
        let progress = match cut {
            cut if cut == count && !is_under_way => Progress::Done,
            0 => Progress::Accepted,
            _ => Progress::Sending,
        };
        for (channel, account) in &mut channels {
            let stopped = self.stopped(&push.app, *channel).await?;
            // What was stopped once, and was not needed since, is no news.
            account.stopped = stopped.filter(|stopped| account.pending > 0 || stopped.until > now);
        }
        Ok(PushAccount { channels, progress })
    }

    async fn shard(&self, push: PushId, shard: Shard) -> Result<Option<ShardRecord>, StoreError> {
        // What a batch was for is read before what came of it: a batch that ends in between is pending still.
        let Some(cuts) = self.snapshots.cuts(push, shard).await? else { return Ok(None) };
        let readdressed = self.ledger.readdressed(push, shard).await?.into_iter().collect();
        let batches = self.ledger.batches(push, shard).await?.into_iter().collect();
        Ok(Some(ShardRecord { push, shard, cuts, readdressed, batches }))
    }

    async fn stopped(&self, app: &AppId, channel: Channel) -> Result<Option<Stopped>, StoreError> {
        let rest = self.rests.get(Some(app), channel).await?;
        Ok(match (rest.why, rest.since, rest.until) {
            (Some(why), Some(since), Some(until)) => Some(Stopped { why, since, until }),
            _ => None,
        })
    }
}

/// Adds up shards, of which as many are held at once as are read side by side: an app of a hundred million users has
/// fifteen hundred.
async fn sum_up<R: Borrow<ShardRecord>, Reading>(
    shards: Vec<Shard>,
    read: impl Fn(Shard) -> Reading,
) -> Result<Sums, StoreError>
where
    Reading: Future<Output = Result<Option<R>, StoreError>>,
{
    stream::iter(shards)
        .map(|shard| {
            let reading = read(shard);
            // Added up here and not behind `buffered`: one that is read before its turn waits as sums.
            async move { Ok(reading.await?.map(|record| record.borrow().sums()).unwrap_or_default()) }
        })
        .buffered(SHARDS_AT_ONCE)
        .try_fold(Sums::default(), |sums, shard| ready(Ok(sums.and(shard))))
        .await
}

/// What is kept of shards.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    channels: BTreeMap<Channel, Account>,
    /// How many are cut.
    cut: usize,
    /// Whether there are users who are yet to be addressed again.
    readdresses: bool,
}

impl Sums {
    fn and(mut self, other: Self) -> Self {
        for (channel, account) in other.channels {
            self.channels.entry(channel).or_default().add(account);
        }
        Self { channels: self.channels, cut: self.cut + other.cut, readdresses: self.readdresses || other.readdresses }
    }
}

impl Account {
    fn add(&mut self, other: Self) {
        self.targeted += other.targeted;
        self.settled += other.settled;
        self.pending += other.pending;
        other.complaints.into_iter().for_each(|complaint| self.complain(complaint));
    }

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < COMPLAINTS {
            self.complaints.insert(complaint);
        }
    }
}

/// What is written of a shard that is cut.
struct ShardRecord {
    push: PushId,
    shard: Shard,
    cuts: Cuts,
    readdressed: BTreeMap<BatchKey, Readdressed>,
    batches: BTreeMap<BatchKey, Record>,
}

impl ShardRecord {
    fn sums(&self) -> Sums {
        let mut channels: BTreeMap<Channel, Account> = BTreeMap::new();
        for (channel, slice, count) in self.slices() {
            channels.entry(channel).or_default().add(self.account(channel, slice, count));
        }
        let again = self.readdressed.values().map(|again| &again.cuts.suppressed);
        for (channel, count) in std::iter::once(&self.cuts.suppressed).chain(again).flatten() {
            let account = channels.entry(*channel).or_default();
            account.targeted += count;
            account.settled.suppressed += count;
        }
        Sums { channels, cut: 1, readdresses: self.readdresses() }
    }

    /// All slices, with their devices when they were cut.
    fn slices(&self) -> impl Iterator<Item = (Channel, String, u32)> {
        let first = self.cuts.slices.iter().flat_map(|(channel, slices)| {
            slices.iter().enumerate().map(|(number, (_, count))| (*channel, number.to_string(), *count))
        });
        let again = self.readdressed.iter().flat_map(|(from, readdressed)| {
            readdressed.cuts.slices.iter().flat_map(move |(channel, slices)| {
                slices
                    .iter()
                    .enumerate()
                    .map(move |(number, (_, count))| (*channel, from.readdressed_slice(number), *count))
            })
        });
        first.chain(again)
    }

    /// What came of one slice, over all its attempts.
    fn account(&self, channel: Channel, slice: String, count: u32) -> Account {
        let mut key = BatchKey { push: self.push, shard: self.shard, channel, slice, attempt: 0 };
        // A batch that was leased says for how many it really was.
        let targeted = self.batches.get(&key).map_or(count, |record| record.targets);
        let mut account = Account { targeted, ..Account::default() };
        while let Some(record) = self.batches.get(&key) {
            if let Some(done) = &record.done {
                account.settled += done.tally;
                done.complaint.iter().for_each(|complaint| account.complain(complaint.clone()));
            }
            let Some(next) = key.next_attempt() else { break };
            key = next;
        }
        account.pending = targeted.saturating_sub(account.settled.total());
        account
    }

    fn readdresses(&self) -> bool {
        self.batches.iter().any(|(key, record)| {
            let done = record.done.as_ref();
            done.is_some_and(|done| !done.readdress.is_empty()) && !self.readdressed.contains_key(key)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use crate::domain::ShardSet;
    use crate::store::Done;

    use super::*;

    fn push() -> PushId {
        PushId::from_u128(1)
    }

    fn key(channel: Channel, slice: &str, attempt: u8) -> BatchKey {
        BatchKey { push: push(), shard: Shard(0), channel, slice: slice.to_owned(), attempt }
    }

    fn done(delivered: u32, invalid: u32, retry: Vec<u16>) -> Record {
        let tally = Tally { delivered, invalid, ..Tally::default() };
        let targets = tally.total() + retry.len() as u32;
        Record { targets, done: Some(Done { tally, retry, ..Done::default() }) }
    }

    fn nothing() -> Cuts {
        Cuts {
            at: Timestamp::from_secs(0),
            slices: BTreeMap::new(),
            suppressed: BTreeMap::new(),
            sockets: ShardSet::default(),
        }
    }

    #[test]
    fn every_device_is_settled_or_pending() {
        let cuts = Cuts {
            slices: BTreeMap::from([(Channel::Apns, vec![(0, 5), (9, 4)]), (Channel::Ws, vec![(0, 3)])]),
            suppressed: BTreeMap::from([(Channel::Fcm, 2)]),
            ..nothing()
        };
        let again = BTreeMap::from([(Channel::Apns, vec![(0, 2)])]);
        let gone = Readdressed { cuts: Cuts { slices: again, ..nothing() } };
        let batches = BTreeMap::from([
            (key(Channel::Apns, "0", 0), done(2, 1, vec![3, 4])),
            (key(Channel::Apns, "0", 1), done(1, 0, vec![1])),
            (key(Channel::Ws, "0", 0), done(1, 2, vec![])),
            // Leased, and found to be for one more than was cut.
            (key(Channel::Apns, "1", 0), Record { targets: 5, done: None }),
            (key(Channel::Apns, "r0.0.0", 0), done(2, 0, vec![])),
        ]);
        let readdressed = BTreeMap::from([(key(Channel::Ws, "0", 0), gone)]);
        let record = ShardRecord { push: push(), shard: Shard(0), cuts, readdressed, batches };
        let tally = |delivered, invalid, suppressed| Tally { delivered, invalid, suppressed, ..Tally::default() };
        assert_eq!(
            record.sums().channels,
            BTreeMap::from([
                (Channel::Ws, Account { targeted: 3, settled: tally(1, 2, 0), pending: 0, ..Account::default() }),
                (Channel::Apns, Account { targeted: 12, settled: tally(5, 1, 0), pending: 6, ..Account::default() }),
                (Channel::Fcm, Account { targeted: 2, settled: tally(0, 0, 2), pending: 0, ..Account::default() }),
            ])
        );
    }

    /// A shard of one batch for three devices, of which one is pending, and a complaint that only it has.
    fn a_shard(shard: Shard) -> ShardRecord {
        let cuts = Cuts { slices: BTreeMap::from([(Channel::Fcm, vec![(0, 3)])]), ..nothing() };
        let mut record = done(2, 0, vec![0]);
        if let Some(done) = &mut record.done {
            done.complaint = Some(format!("{:05}", shard.0));
        }
        let batches = BTreeMap::from([(BatchKey { shard, ..key(Channel::Fcm, "0", 0) }, record)]);
        ShardRecord { push: push(), shard, cuts, readdressed: BTreeMap::new(), batches }
    }

    #[tokio::test]
    async fn shards_add_up_and_their_first_complaints_are_kept() {
        // The first are the last to be read; one is not cut, and one is to address users again.
        let read = |shard: Shard| async move {
            for _ in shard.0..SHARDS_AT_ONCE as u16 {
                tokio::task::yield_now().await;
            }
            let mut record = a_shard(shard);
            if shard.0 == 20 {
                record.batches.values_mut().flat_map(|record| &mut record.done).for_each(|done| done.readdress.push(1));
            }
            Ok((shard.0 != 2).then_some(record))
        };
        let shards = |count| (0..count).map(Shard).collect();
        let sums = sum_up(shards(20), read).await.unwrap();
        let settled = Tally { delivered: 38, ..Tally::default() };
        let complaints = [0, 1, 3, 4, 5, 6, 7, 8, 9, 10].map(|shard| format!("{shard:05}")).into();
        let account = Account { targeted: 57, settled, pending: 19, complaints, stopped: None };
        assert_eq!(sums, Sums { channels: [(Channel::Fcm, account)].into(), cut: 19, readdresses: false });
        assert!(sum_up(shards(21), read).await.unwrap().readdresses);
    }

    #[tokio::test]
    async fn no_more_shards_are_held_than_are_read_side_by_side() {
        #[derive(Default)]
        struct Count {
            now: AtomicUsize,
            most: AtomicUsize,
        }
        struct Held<'a>(ShardRecord, &'a Count);
        impl Borrow<ShardRecord> for Held<'_> {
            fn borrow(&self) -> &ShardRecord {
                &self.0
            }
        }
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.1.now.fetch_sub(1, Relaxed);
            }
        }
        let count = &Count::default();
        let read = |shard: Shard| async move {
            let held = Held(a_shard(shard), count);
            count.most.fetch_max(count.now.fetch_add(1, Relaxed) + 1, Relaxed);
            tokio::task::yield_now().await;
            Ok(Some(held))
        };
        let sums = sum_up((0..1_000).map(Shard).collect(), read).await.unwrap();
        assert_eq!((sums.cut, sums.channels[&Channel::Fcm].targeted), (1_000, 3_000));
        let most = count.most.load(Relaxed);
        assert!((2..=SHARDS_AT_ONCE).contains(&most), "{most}");
    }
}
