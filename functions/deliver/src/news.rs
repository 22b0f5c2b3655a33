//! What an app's own server is told of a batch.

use std::collections::{BTreeMap, BTreeSet};

use fanfare::domain::{Channel, Outcome, OutcomeClass, Timestamp, limits};
use fanfare::queue::{DeliverTask, News};
use fanfare::store::Done;

/// What came of each device of an attempt, as far as it is final: once a device, over all attempts. In pieces of what one
/// call tells.
///
/// A socket that was gone is no news: its user has another, or is reached by vendor now, and that will be told.
pub(crate) fn sent(task: &DeliverTask, outcomes: &[Outcome], done: &Done, at: Timestamp) -> Vec<News> {
    let retried: BTreeSet<usize> = done.retry.iter().copied().map(usize::from).collect();
    let is_gone = |outcome: &Outcome| task.channel == Channel::Ws && matches!(outcome, Outcome::InvalidToken { .. });
    let ended: Vec<(OutcomeClass, u16)> = (task.to.iter().zip(outcomes).enumerate())
        .filter(|(place, (_, outcome))| !retried.contains(place) && !is_gone(outcome))
        .map(|(_, (to, outcome))| (outcome.class(), to.0))
        .collect();
    ended
        .chunks(limits::EVENTS_PER_CALL)
        .map(|piece| {
            let mut ended: BTreeMap<OutcomeClass, Vec<u16>> = BTreeMap::new();
            for (class, place) in piece {
                ended.entry(*class).or_default().push(*place);
            }
            News::Sent { push: task.push, shard: task.shard, channel: task.channel, at, ended }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use fanfare::domain::{DeviceToken, PushId, Shard, Wording};
    use fanfare::queue::Destination;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const DEAD: Outcome = Outcome::InvalidToken { since: None, doubtful: false };

    fn told(
        channel: Channel,
        lows: &[u16],
        outcomes: &[Outcome],
        retry: &[u16],
    ) -> Vec<BTreeMap<OutcomeClass, Vec<u16>>> {
        let task = DeliverTask {
            push: PushId::from_u128(1),
            shard: Shard(3),
            channel,
            slice: "0".to_owned(),
            attempt: 0,
            tries: 0,
            held: false,
            not_before: None,
            reached: vec![],
            packages: vec![],
            to: lows.iter().map(|low| Destination(*low, DeviceToken::new("t"), None, Wording::default())).collect(),
        };
        let done = Done { retry: retry.to_vec(), ..Done::default() };
        let told = sent(&task, outcomes, &done, NOW).into_iter().map(|news| match news {
            News::Sent { push, shard, channel: by, at, ended } => {
                assert_eq!((push, shard, by, at), (task.push, task.shard, channel, NOW));
                ended
            }
            other => panic!("{other:?}"),
        });
        told.collect()
    }

    #[test]
    fn each_device_is_told_of_once_it_is_final() {
        let outcomes = [Outcome::Delivered, DEAD, Outcome::Transient(None), Outcome::Permanent, Outcome::Delivered];
        let told = told(Channel::Apns, &[7, 8, 9, 10, 7], &outcomes, &[2]);
        let expected = BTreeMap::from([
            (OutcomeClass::Delivered, vec![7, 7]),
            (OutcomeClass::InvalidToken, vec![8]),
            (OutcomeClass::Permanent, vec![10]),
        ]);
        assert_eq!(told, [expected]);
    }

    #[test]
    fn what_was_tried_for_the_last_time_is_told_with_what_came_of_it() {
        let told = told(Channel::Fcm, &[7], &[Outcome::Transient(None)], &[]);
        assert_eq!(told, [BTreeMap::from([(OutcomeClass::Transient, vec![7])])]);
    }

    #[test]
    fn a_socket_that_was_gone_is_no_news() {
        let told = told(Channel::Ws, &[7, 8], &[DEAD, Outcome::Delivered], &[]);
        assert_eq!(told, [BTreeMap::from([(OutcomeClass::Delivered, vec![8])])]);
    }

    #[test]
    fn a_call_tells_of_a_hundred_at_most_and_none_of_nothing() {
        let lows: Vec<u16> = (0..250).collect();
        let outcomes = vec![Outcome::Delivered; 250];
        let sizes: Vec<usize> =
            told(Channel::Apns, &lows, &outcomes, &[]).iter().map(|ended| ended.values().map(Vec::len).sum()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        let all_again: Vec<u16> = lows.clone();
        assert!(told(Channel::Apns, &lows, &outcomes, &all_again).is_empty());
    }
}
