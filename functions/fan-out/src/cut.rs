//! Devices become batches: slices of a shard that each fit one queue message.

use std::collections::BTreeMap;

use fanfare::domain::{Channel, Push, Shard, Timestamp, limits};
use fanfare::queue::{DeliverTask, Destination};
use fanfare::store::Cuts;

use crate::address::{Addressed, Target};

/// How full a message is made when it is cut. A repeat may find more devices for the same users; with this room they
/// fit the same message.
const FILL_BYTES: usize = limits::BATCH_BYTES * 9 / 10;
/// How many seconds of its channel's rate a batch takes at most. `deliver` spreads a batch over its window, within one
/// invocation.
const SECONDS_PER_BATCH: u32 = 5;
/// What surrounds the destinations of a batch.
const ENVELOPE_BYTES: usize = 1_024;

/// One batch to be: the number of its slice, and its task.
pub(crate) struct Slice {
    pub number: usize,
    pub task: DeliverTask,
}

/// Cuts what was addressed at a moment. A user's devices on one channel stay together. `within` says how many devices
/// a channel takes in so many seconds.
pub(crate) fn cuts(addressed: &Addressed, at: Timestamp, within: impl Fn(Channel, u32) -> u32) -> Cuts {
    let slices = addressed.targets.iter().map(|(channel, targets)| {
        let most = within(*channel, SECONDS_PER_BATCH);
        let mut slices: Vec<(u16, u32)> = Vec::new();
        let mut bytes = 0;
        for user in targets.chunk_by(|a, b| a.low == b.low) {
            let size: usize = user.iter().map(size).sum();
            match slices.last_mut() {
                Some((_, count))
                    if bytes + size <= FILL_BYTES - ENVELOPE_BYTES && *count + user.len() as u32 <= most =>
                {
                    *count += user.len() as u32;
                    bytes += size;
                }
                _ => {
                    slices.push((user[0].low, user.len() as u32));
                    bytes = size;
                }
            }
        }
        (*channel, slices)
    });
    let (suppressed, sockets) = (addressed.suppressed.clone(), addressed.sockets.clone());
    Cuts { at, slices: slices.collect(), suppressed, sockets }
}

/// The batches that the cuts make of what was addressed, by channel. On a channel that the cuts do not know,
/// everything addressed has come since, and finds the push by itself.
pub(crate) fn slices(push: &Push, shard: Shard, addressed: Addressed, cuts: &Cuts) -> BTreeMap<Channel, Vec<Slice>> {
    let mut batches: BTreeMap<Channel, Vec<Slice>> = BTreeMap::new();
    for (channel, targets) in addressed.targets {
        let Some(cuts) = cuts.slices.get(&channel) else { continue };
        let number_of = |target: &Target| cuts.partition_point(|(first, _)| *first <= target.low).saturating_sub(1);
        let batches = batches.entry(channel).or_default();
        for group in targets.chunk_by(|a, b| number_of(a) == number_of(b)) {
            let number = number_of(&group[0]);
            batches.push(Slice { number, task: task(push, shard, channel, number.to_string(), group) });
        }
    }
    batches
}

/// The task of one batch.
pub(crate) fn task(push: &Push, shard: Shard, channel: Channel, slice: String, targets: &[Target]) -> DeliverTask {
    let mut packages: Vec<String> = Vec::new();
    let to = targets
        .iter()
        .map(|target| {
            let package = target.package.as_ref().and_then(|package| {
                let known = packages.iter().position(|known| known == package).unwrap_or_else(|| {
                    packages.push(package.clone());
                    packages.len() - 1
                });
                // Beyond 256 packages in one batch the app's own is meant.
                u8::try_from(known).ok()
            });
            Destination(target.low, target.token.clone(), package, target.wording)
        })
        .collect();
    DeliverTask {
        push: push.id,
        shard,
        channel,
        slice,
        attempt: 0,
        tries: 0,
        held: false,
        not_before: None,
        reached: Vec::new(),
        packages,
        to,
    }
}

/// Bytes that a target takes in a message: at most `[65535,"…",null,255],`, and its package, were it the only one to name
/// it.
fn size(target: &Target) -> usize {
    let wording = target.wording.0.checked_ilog10().unwrap_or(0) as usize + 1;
    let package = target.package.as_ref().map_or(0, |package| package.len().min(8));
    target.token.expose().len() + 17 + wording + package
}

#[cfg(test)]
mod tests {
    use fanfare::domain::{DeviceToken, Wording};

    use super::*;
    use crate::address::tests::{NOW, a_push};

    fn addressed(count: u16, devices: usize, token_length: usize) -> Addressed {
        let target = |low| Target {
            low,
            token: DeviceToken::new("t".repeat(token_length)),
            package: Some("com.example.app".to_owned()),
            wording: Wording(100),
        };
        let targets = (0..count).flat_map(|low| std::iter::repeat_n(target(low), devices)).collect();
        Addressed { targets: BTreeMap::from([(Channel::Fcm, targets)]), ..Addressed::default() }
    }

    const FAST: fn(Channel, u32) -> u32 = |_, secs| 10_000 * secs;

    #[test]
    fn a_batch_is_no_longer_than_five_seconds_of_its_channel() {
        let cuts = cuts(&addressed(100, 2, 160), NOW, |_, secs| 5 * secs);
        assert!(cuts.slices[&Channel::Fcm].iter().all(|(_, count)| *count <= 25));
    }

    #[test]
    fn every_device_is_in_one_batch_and_every_batch_fits_a_message() {
        let all = addressed(3_000, 3, 160);
        let cuts = cuts(&all, NOW, FAST);
        let slices = &slices(&a_push(), Shard(2), all, &cuts)[&Channel::Fcm];
        assert_eq!(slices.iter().map(|slice| slice.task.to.len()).sum::<usize>(), 9_000);
        for (number, slice) in slices.iter().enumerate() {
            assert_eq!(slice.number, number);
            assert_eq!(slice.task.to.len() as u32, cuts.slices[&Channel::Fcm][number].1);
            let bytes = serde_json::to_string(&slice.task).unwrap().len();
            assert!(bytes <= limits::BATCH_BYTES, "{bytes}");
        }
        assert!(slices[0].task.to.len() > 250, "messages are filled");
    }

    #[test]
    fn a_repeat_that_finds_other_devices_keeps_the_users_of_each_slice() {
        let cuts = cuts(&addressed(2_000, 1, 160), NOW, FAST);
        let again = slices(&a_push(), Shard(0), addressed(2_000, 2, 80), &cuts);
        for slice in &again[&Channel::Fcm] {
            let (first, count) = cuts.slices[&Channel::Fcm][slice.number];
            let lows: Vec<u16> = slice.task.to.iter().map(|to| to.0).collect();
            assert_eq!((lows[0], lows[lows.len() - 1]), (first, first + count as u16 - 1));
        }
    }

    #[test]
    fn a_users_devices_are_not_parted() {
        let cuts = cuts(&addressed(2_000, 7, 160), NOW, FAST);
        let counts: Vec<u32> = cuts.slices[&Channel::Fcm].iter().map(|(_, count)| *count).collect();
        assert!(counts.len() > 1 && counts.iter().all(|count| count % 7 == 0), "{counts:?}");
    }
}
