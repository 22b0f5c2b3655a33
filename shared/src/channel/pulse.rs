//! Whether a peer answers as it usually does.
//!
//! What leaves evenly arrives evenly only as long as nothing is held up on its way. Where everything is (a peer that pauses,
//! a network that loses), what has left meanwhile arrives at once when it goes on, together with what leaves then: a pause of
//! a tenth of a second makes a second that has a tenth too many, however well its turns are kept. So when answers stay away
//! for longer than they usually do, nothing more leaves until one comes, but for one request a second that asks for it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How much later than usual an answer may come: what a pace leaves [spare](super::rate::SPARE_MILLIS) for the way to the
/// vendor.
pub(super) const PATIENCE: Duration = Duration::from_millis(45);

/// How often a silent peer is tried. It is also the patience with one that nothing is known of.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// What has been sent to a peer and heard of it.
#[derive(Default)]
pub(super) struct Pulse {
    heart: Mutex<Heart>,
    beat: Notify,
}

#[derive(Default)]
struct Heart {
    /// When requests left that are under way, and none that left after them was heard of; oldest first.
    unheard: VecDeque<Instant>,
    /// When the peer is tried next, if it is silent. It is until it is heard, and not only as long as somebody waits.
    silent: Option<Instant>,
    /// Nothing is usual before the first answer.
    usual: Option<Usual>,
}

/// How long answers take: the average of the last seconds, and not of the last answers. A thousand that are all late have
/// been held up together, and are not what is usual.
#[derive(Debug, Clone, Copy)]
struct Usual {
    /// In seconds.
    mean: f64,
    answers: u32,
    at: Instant,
}

/// Of how many seconds the average is, about.
const MEMORY_SECS: f64 = 2.0;

/// How many answers count alike, before it is their time that counts.
const FEW: u32 = 16;

impl Usual {
    fn first(took: f64, at: Instant) -> Self {
        Self { mean: took, answers: 1, at }
    }

    fn next(self, took: f64, at: Instant) -> Self {
        let answers = self.answers.saturating_add(1);
        let weight = match answers {
            ..FEW => 1.0 / f64::from(answers),
            _ => ((at - self.at).as_secs_f64() / MEMORY_SECS).min(1.0 / 8.0),
        };
        Self { mean: self.mean + (took - self.mean) * weight, answers, at }
    }

    /// After this an answer is overdue.
    fn longest(self) -> Duration {
        Duration::from_secs_f64(self.mean) + PATIENCE
    }
}

impl Pulse {
    /// A request leaves.
    pub(super) fn leave(&self) -> UnderWay<'_> {
        let left = Instant::now();
        self.heart().unheard.push_back(left);
        UnderWay { pulse: self, left }
    }

    /// Waits until something may leave, and says whether that was so before a moment.
    pub(super) async fn is_steady_before(&self, moment: Instant) -> bool {
        loop {
            // Begins to listen here, so that no answer comes between looking and listening.
            let beat = self.beat.notified();
            let Some(next) = self.heart().silent_until(Instant::now()) else { return true };
            if timeout_at(moment.min(next), beat).await.is_err() && moment <= next {
                return false;
            }
        }
    }

    fn heart(&self) -> MutexGuard<'_, Heart> {
        // Nothing can panic while it is held.
        self.heart.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heart {
    /// When a silent peer may be tried. `None`: now; of a silent one that is the only one who may.
    fn silent_until(&mut self, now: Instant) -> Option<Instant> {
        let next = match self.silent {
            Some(next) => next,
            None => {
                let overdue = *self.unheard.front()? + self.usual.map_or(TRY_EVERY, Usual::longest);
                if now < overdue {
                    return None;
                }
                overdue + TRY_EVERY
            }
        };
        let is_try = next <= now;
        self.silent = Some(if is_try { now + TRY_EVERY } else { next });
        (!is_try).then_some(next)
    }

    fn hear(&mut self, left: Instant, now: Instant) {
        let took = (now - left).as_secs_f64();
        self.usual = Some(self.usual.map_or_else(|| Usual::first(took, now), |usual| usual.next(took, now)));
        self.silent = None;
        // Those that left before may be slow, or lost, but nothing is held up.
        while self.unheard.front().is_some_and(|before| *before <= left) {
            self.unheard.pop_front();
        }
    }
}

/// A request that has left. Dropped, it is waited for no longer.
pub(super) struct UnderWay<'a> {
    pulse: &'a Pulse,
    left: Instant,
}

impl UnderWay<'_> {
    /// Its answer has come.
    pub(super) fn heard(self) {
        self.pulse.heart().hear(self.left, Instant::now());
        self.pulse.beat.notify_waiters();
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut heart = self.pulse.heart();
        // Most often it was heard, and is not there any more.
        if heart.unheard.front().is_some_and(|oldest| *oldest <= self.left)
            && let Some(place) = heart.unheard.iter().position(|left| *left == self.left)
        {
            heart.unheard.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::time::{advance, sleep};

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// A peer that has answered twenty requests after so many milliseconds.
    async fn that_takes(millis: u32) -> Pulse {
        let pulse = Pulse::default();
        for _ in 0..20 {
            let request = pulse.leave();
            sleep(MILLI * millis).await;
            request.heard();
        }
        pulse
    }

    /// For how long it is waited for, up to a minute.
    async fn waited(pulse: &Pulse) -> u128 {
        let began = Instant::now();
        pulse.is_steady_before(began + Duration::from_secs(60)).await;
        began.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_leaves_while_answers_stay_away_and_the_first_that_comes_ends_it() {
        let pulse = that_takes(5).await;
        let under_way = [pulse.leave(), pulse.leave()];
        advance(MILLI * 5 + PATIENCE - MILLI).await;
        assert_eq!(waited(&pulse).await, 0, "they may still come");
        advance(MILLI).await;
        let soon = Instant::now() + MILLI * 25;
        assert!(!pulse.is_steady_before(soon).await);
        assert_eq!(Instant::now(), soon, "who waits for its turn waits no longer than that");
        let [first, second] = under_way;
        let (waited, ()) = futures::join!(waited(&pulse), async {
            sleep(MILLI * 30).await;
            second.heard();
        });
        assert_eq!(waited, 30);
        drop(first);
    }

    #[tokio::test(start_paused = true)]
    async fn one_slow_answer_among_others_holds_nobody_up() {
        let pulse = that_takes(5).await;
        let slow = pulse.leave();
        for _ in 0..100 {
            let other = pulse.leave();
            advance(MILLI * 5).await;
            other.heard();
            assert_eq!(waited(&pulse).await, 0);
        }
        drop(slow);
        assert_eq!(pulse.heart().unheard.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_slow_is_usual_for_who_is_slow() {
        let pulse = that_takes(400).await;
        let request = pulse.leave();
        advance(MILLI * 400).await;
        assert_eq!(waited(&pulse).await, 0);
        drop(request);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_nothing_is_known_of_has_a_second() {
        let pulse = Pulse::default();
        let _request = pulse.leave();
        advance(TRY_EVERY - MILLI).await;
        assert_eq!(waited(&pulse).await, 0);
        advance(MILLI).await;
        assert_ne!(waited(&pulse).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_is_tried_once_a_second_even_if_nobody_waits_any_more() {
        let pulse = that_takes(5).await;
        let lost = (pulse.leave(), pulse.leave());
        advance(MILLI * 5 + PATIENCE).await;
        assert_eq!(waited(&pulse).await, TRY_EVERY.as_millis());
        let one_more = pulse.leave();
        assert_eq!(waited(&pulse).await, TRY_EVERY.as_millis(), "and no volley");
        drop((lost, one_more));
        advance(MILLI * 200).await;
        assert_eq!(waited(&pulse).await, TRY_EVERY.as_millis() - 200);
        pulse.leave().heard();
        let _request = pulse.leave();
        assert_eq!((waited(&pulse).await, waited(&pulse).await), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_of_late_answers_is_not_what_is_usual_and_a_peer_that_has_become_slow_is_after_a_while() {
        let pulse = that_takes(5).await;
        let crowd: Vec<_> = (0..200).map(|_| pulse.leave()).collect();
        advance(MILLI * 200).await;
        crowd.into_iter().for_each(UnderWay::heard);
        let request = pulse.leave();
        advance(MILLI * 150).await;
        assert_ne!(waited(&pulse).await, 0);
        drop(request);
        for _ in 0..20 {
            let request = pulse.leave();
            advance(MILLI * 200).await;
            request.heard();
        }
        let _request = pulse.leave();
        advance(MILLI * 200).await;
        assert_eq!(waited(&pulse).await, 0);
    }

    /// As many leave as a second may have; the peer pauses; and what arrives of it in any second is counted.
    #[tokio::test(start_paused = true)]
    async fn a_pause_makes_no_second_too_full() {
        for pause in [50, 100, 200, 700, 1_200, 3_000_u64] {
            let (pulse, began) = (that_takes(5).await, Instant::now());
            let (from, to) = (began + MILLI * 1_000, began + MILLI * 1_000 + Duration::from_millis(pause));
            let mut arrived: Vec<Instant> = Vec::new();
            let mut under_way: VecDeque<(Instant, UnderWay<'_>)> = VecDeque::new();
            for _ in 0..7_000 {
                advance(MILLI).await;
                let now = Instant::now();
                // A request arrives in two, or when the pause is over, and is answered three later.
                if pulse.is_steady_before(now).now_or_never() == Some(true) {
                    let arrives = now + MILLI * 2;
                    let arrives = if (from..to).contains(&arrives) { to } else { arrives };
                    arrived.push(arrives);
                    under_way.push_back((arrives + MILLI * 3, pulse.leave()));
                }
                while under_way.front().is_some_and(|(answered, _)| *answered <= now) {
                    under_way.pop_front().into_iter().for_each(|(_, request)| request.heard());
                }
            }
            let second = |first: usize| arrived[first..].partition_point(|at| *at < arrived[first] + MILLI * 1_000);
            let most = (0..arrived.len()).map(second).max();
            // Up to five milliseconds are usual.
            assert!(
                most <= Some(1_000 + 5 + PATIENCE.as_millis() as usize + pause as usize / 1_000),
                "{pause} ms: {most:?}"
            );
            assert!(arrived.len() >= 7_000 - pause as usize, "{pause} ms: {}", arrived.len());
        }
    }
}
