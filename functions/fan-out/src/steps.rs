//! What a task does on a channel, in steps. Between two of them it can be handed over: what a step covers is done, and what
//! it does not is as if it had never been begun.

use std::ops::Range;

use fanfare::domain::{Channel, PushId, Shard};
use fanfare::queue::{FanOutTask, Resume};

/// Slices that are planned and sent together.
pub(crate) const SLICES_AT_ONCE: usize = 10;
/// Slices that are settled together where none is sent: ten rounds of writes, side by side.
const UNSENT_AT_ONCE: usize = 80;

/// A part of a channel's slices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Which of the slices that are to be sent it sends.
    pub send: Range<usize>,
    /// The numbers of all slices that are done after it: in those that it does not send is no one to send to.
    pub covers: Range<usize>,
}

/// The steps that cover a channel's slices from number `from` on, of `count`. `to_send` are the numbers of those that are to
/// be sent, in order, of which the first step takes `first`.
pub(crate) fn steps(to_send: &[usize], from: usize, count: usize, first: usize) -> Vec<Step> {
    let mut sent = to_send.partition_point(|number| *number < from);
    if sent == to_send.len() {
        let part = |start| Step { send: sent..sent, covers: start..(start + UNSENT_AT_ONCE).min(count) };
        return (from..count).step_by(UNSENT_AT_ONCE).map(part).collect();
    }
    let (mut steps, mut covered, mut size) = (Vec::new(), from, first.max(1));
    while sent < to_send.len() {
        let end = (sent + size).min(to_send.len());
        let next = to_send.get(end).copied().unwrap_or(count);
        steps.push(Step { send: sent..end, covers: covered..next });
        (sent, covered, size) = (end, next, SLICES_AT_ONCE);
    }
    steps
}

/// The tasks to which one hands over what it has no time for: a channel from a slice on, if it has stopped within one, and the
/// channels that it has not begun.
pub(crate) fn handed_over(
    push: PushId,
    shard: Shard,
    stopped: Option<(Channel, usize)>,
    not_begun: &[Channel],
) -> Vec<FanOutTask> {
    let rest = stopped.into_iter().chain(not_begun.iter().map(|channel| (*channel, 0)));
    let task = |(channel, slice)| {
        let resume = Some(Resume { channel, slice, planned: None });
        FanOutTask::Shard { push, shard, resume }
    };
    rest.map(task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_sent_in_tens_and_empty_ones_go_with_those_before() {
        let step = |send, covers| Step { send, covers };
        let all: Vec<usize> = (0..25).collect();
        for (to_send, from, count, first, expected) in [
            (&all[..], 0, 25, 10, vec![step(0..10, 0..10), step(10..20, 10..20), step(20..25, 20..25)]),
            // What was planned is used first.
            (&all, 20, 25, 3, vec![step(20..23, 20..23), step(23..25, 23..25)]),
            (&all, 24, 25, 10, vec![step(24..25, 24..25)]),
            (&all, 25, 25, 10, vec![]),
            (&[2, 5], 0, 9, 10, vec![step(0..2, 0..9)]),
            (&[2, 5], 1, 9, 1, vec![step(0..1, 1..5), step(1..2, 5..9)]),
            (&[2, 5], 3, 9, 0, vec![step(1..2, 3..9)]),
            // No one is left to send to.
            (&[2, 5], 6, 9, 10, vec![step(2..2, 6..9)]),
            (&[], 0, 170, 10, vec![step(0..0, 0..80), step(0..0, 80..160), step(0..0, 160..170)]),
            (&[], 0, 0, 10, vec![]),
        ] {
            assert_eq!(steps(to_send, from, count, first), expected, "{to_send:?} from {from} of {count}");
        }
    }

    #[test]
    fn wherever_a_task_is_handed_over_each_slice_is_done_once() {
        let (count, to_send) = (64, (0..64).filter(|number| number % 7 > 1).collect::<Vec<usize>>());
        for steps_a_task in 1..8 {
            let (mut from, mut sent, mut covered) = (0, Vec::<usize>::new(), Vec::<usize>::new());
            // Each task does at least one step, so that there is an end to it.
            while from < count {
                for step in steps(&to_send, from, count, SLICES_AT_ONCE).into_iter().take(steps_a_task) {
                    sent.extend(&to_send[step.send]);
                    from = step.covers.end;
                    covered.extend(step.covers);
                }
            }
            assert_eq!(sent, to_send, "{steps_a_task} steps a task");
            assert_eq!(covered, (0..count).collect::<Vec<_>>(), "{steps_a_task} steps a task");
        }
    }

    #[test]
    fn the_rest_of_a_channel_and_the_channels_not_begun_are_handed_over() {
        let (push, shard) = (PushId::from_u128(1), Shard(3));
        let task = |channel, slice| {
            let resume = Some(Resume { channel, slice, planned: None });
            FanOutTask::Shard { push, shard, resume }
        };
        let rest = |stopped, not_begun: &[Channel]| handed_over(push, shard, stopped, not_begun);
        let within = Some((Channel::Apns, 20));
        assert_eq!(rest(within, &[]), [task(Channel::Apns, 20)]);
        assert_eq!(
            rest(within, &[Channel::Fcm, Channel::Vivo]),
            [task(Channel::Apns, 20), task(Channel::Fcm, 0), task(Channel::Vivo, 0)]
        );
        assert_eq!(rest(None, &[Channel::Vivo]), [task(Channel::Vivo, 0)]);
    }
}
