//! Whether a vendor may be believed that tokens are dead.
//!
//! A wrong environment, topic, project or package makes every token look invalid, and so does a vendor's bad day. What
//! is deleted on such a word is lost, while a dead token that is kept costs one request a push; so in doubt nothing is
//! believed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::domain::{AppId, Channel, Outcome};

/// Verdicts that are remembered of an app's channel.
const WINDOW: usize = 500;
/// With fewer, a share means nothing.
const CERTAIN: usize = 100;
/// More than one invalid token in this many is too many.
const ONE_IN: usize = 5;
/// This many invalid tokens with not one good among them are too many, however small the app.
const BARREN: usize = 5;

/// As many in a batch without a good one are too many, too.
const BARREN_BATCH: usize = 3;

/// Remembers the last verdicts of each app's channels, and says whether the next is to be acted on.
///
/// A verdict is an [`Outcome::Delivered`] or [`Outcome::Suspended`] (good: the token lives) or an
/// [`Outcome::InvalidToken`] (invalid). Other outcomes say nothing of the token and are not counted.
///
/// **Open**, believing nothing, is the breaker of an app's channel
/// - when its window holds at least 100 verdicts, and more than 20 % of them are invalid; or
/// - when at least 5 invalid verdicts came in a row of batches (as [`record`](Self::record) was given them) with no
///   good one, or 3 in one batch: the next batch with a good one ends this.
///
/// While it is **closed**, a verdict is believed if the batch it came with had a good one, too, and a doubtful one only if
/// the window also holds no fewer good than invalid ones.
///
/// So a vendor that has gone wrong deletes nothing from its first answer on. The price is that a dead token which is always
/// sent to alone is kept until a push goes to others beside it: a request a push.
#[derive(Debug, Default)]
pub struct Breaker {
    windows: Mutex<HashMap<(AppId, Channel), Window>>,
}

impl Breaker {
    /// A breaker that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a whole batch. It is to be called before [`believes`](Self::believes) is asked of any of the
    /// batch, so that a batch of bad news is doubted from its first line.
    pub fn record(&self, app: &AppId, channel: Channel, outcomes: &[Outcome]) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.entry((app.clone(), channel)).or_default().record(outcomes);
    }

    /// Whether the outcome is a verdict of invalidity that may be acted on.
    pub fn believes(&self, app: &AppId, channel: Channel, outcome: &Outcome) -> bool {
        let Outcome::InvalidToken { doubtful, .. } = outcome else { return false };
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        match windows.get(&(app.clone(), channel)) {
            Some(window) => window.barren == 0 && !window.is_open() && (!doubtful || window.vouches()),
            None => false,
        }
    }

    /// Whether nothing is believed of the app's channel: something a person should look at.
    pub fn is_open(&self, app: &AppId, channel: Channel) -> bool {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.get(&(app.clone(), channel)).is_some_and(Window::is_open)
    }
}

#[derive(Debug, Default)]
struct Window {
    /// Whether the token was good, oldest first.
    verdicts: VecDeque<bool>,
    invalid: usize,
    /// Invalid verdicts since the last batch that had a good one.
    barren: usize,
    /// The most of them that one batch had.
    most_barren: usize,
}

impl Window {
    fn record(&mut self, outcomes: &[Outcome]) {
        let (mut good, mut invalid) = (0, 0);
        for is_good in outcomes.iter().filter_map(is_good) {
            self.push(is_good);
            *(if is_good { &mut good } else { &mut invalid }) += 1;
        }
        (self.barren, self.most_barren) = match good {
            0 => (self.barren.saturating_add(invalid), self.most_barren.max(invalid)),
            _ => (0, 0),
        };
    }

    fn push(&mut self, is_good: bool) {
        self.verdicts.push_back(is_good);
        self.invalid += usize::from(!is_good);
        if self.verdicts.len() > WINDOW && self.verdicts.pop_front() == Some(false) {
            self.invalid -= 1;
        }
    }

    fn is_open(&self) -> bool {
        let too_many = self.verdicts.len() >= CERTAIN && self.invalid * ONE_IN > self.verdicts.len();
        too_many || self.barren >= BARREN || self.most_barren >= BARREN_BATCH
    }

    fn vouches(&self) -> bool {
        let good = self.verdicts.len() - self.invalid;
        good > 0 && good >= self.invalid
    }
}

fn is_good(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::Delivered | Outcome::Suspended => Some(true),
        Outcome::InvalidToken { .. } => Some(false),
        Outcome::Throttled(_)
        | Outcome::Transient(_)
        | Outcome::Auth
        | Outcome::Permanent
        | Outcome::QuotaUntilTomorrow
        | Outcome::DeviceQuotaUntilTomorrow
        | Outcome::Config
        | Outcome::NotEntitled
        | Outcome::Unsent => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: Outcome = Outcome::InvalidToken { since: None, doubtful: false };
    const DOUBTFUL: Outcome = Outcome::InvalidToken { since: None, doubtful: true };

    fn app() -> AppId {
        AppId::try_from("app").unwrap()
    }

    /// A breaker that saw batches of so many good and so many of a bad outcome.
    fn after(batches: &[(usize, usize)], bad: &Outcome) -> Breaker {
        let breaker = Breaker::new();
        for &(good, invalid) in batches {
            let mut batch = vec![Outcome::Delivered; good];
            batch.extend(vec![bad.clone(); invalid]);
            breaker.record(&app(), Channel::Apns, &batch);
        }
        breaker
    }

    fn believes(breaker: &Breaker, outcome: &Outcome) -> bool {
        breaker.believes(&app(), Channel::Apns, outcome)
    }

    #[test]
    fn a_vendor_that_calls_everything_invalid_is_not_believed_once() {
        for bad in [GONE, DOUBTFUL] {
            for size in [5, 20, 99, 100, 1_000] {
                assert!(!believes(&after(&[(0, size)], &bad), &bad), "{size} {bad:?}");
            }
            // Also not when all was well before, nor by ones.
            assert!(!believes(&after(&[(400, 0), (0, 5)], &bad), &bad));
            assert!(!believes(&after(&[(0, 1); 5], &bad), &bad));
        }
    }

    #[test]
    fn one_in_five_is_believed_and_more_is_not() {
        assert!(believes(&after(&[(80, 20)], &GONE), &GONE));
        assert!(!believes(&after(&[(79, 21)], &GONE), &GONE));
        assert!(after(&[(79, 21)], &GONE).is_open(&app(), Channel::Apns));
    }

    #[test]
    fn a_row_of_invalid_ones_without_a_good_one_opens_it_and_a_shorter_one_in_one_batch() {
        for (batches, expected) in [
            (&[(0, 1); 4][..], false),
            (&[(0, 1); 5], true),
            (&[(0, 2), (0, 2)], false),
            (&[(0, 3)], true),
            (&[(0, 3), (0, 1)], true),
            (&[(0, 3), (1, 3)], false),
            (&[(9, 0), (0, 2)], false),
        ] {
            assert_eq!(after(batches, &GONE).is_open(&app(), Channel::Apns), expected, "{batches:?}");
        }
    }

    #[test]
    fn a_verdict_that_comes_alone_is_not_believed() {
        for batches in [&[(0, 1)][..], &[(0, 4)], &[(400, 0), (0, 1)], &[(1, 3), (0, 1)]] {
            assert!(!believes(&after(batches, &GONE), &GONE), "{batches:?}");
        }
        assert!(believes(&after(&[(0, 1), (1, 1)], &GONE), &GONE));
        assert!(believes(&after(&[(1, 30)], &GONE), &GONE));
        assert!(!believes(&Breaker::new(), &GONE));
    }

    #[test]
    fn a_doubtful_verdict_needs_deliveries_beside_it() {
        assert!(!believes(&after(&[(0, 1)], &DOUBTFUL), &DOUBTFUL));
        assert!(!believes(&after(&[(1, 2)], &DOUBTFUL), &DOUBTFUL));
        assert!(believes(&after(&[(1, 1)], &DOUBTFUL), &DOUBTFUL));
        assert!(believes(&after(&[(95, 5)], &DOUBTFUL), &DOUBTFUL));
        assert!(!believes(&Breaker::new(), &DOUBTFUL));
    }

    #[test]
    fn it_closes_when_deliveries_succeed_again() {
        let breaker = after(&[(0, 120)], &GONE);
        assert!(!believes(&breaker, &GONE));
        breaker.record(&app(), Channel::Apns, &vec![Outcome::Delivered; 480]);
        assert!(believes(&breaker, &GONE));
    }

    #[test]
    fn it_remembers_only_the_last_verdicts() {
        let breaker = after(&[(0, WINDOW), (WINDOW, 0)], &GONE);
        let windows = breaker.windows.lock().unwrap();
        let window = &windows[&(app(), Channel::Apns)];
        assert_eq!((window.verdicts.len(), window.invalid), (WINDOW, 0));
    }

    #[test]
    fn apps_and_channels_do_not_answer_for_each_other() {
        let breaker = after(&[(0, 50)], &GONE);
        let (fine, other) = ([Outcome::Delivered, GONE], AppId::try_from("other").unwrap());
        breaker.record(&app(), Channel::Fcm, &fine);
        breaker.record(&other, Channel::Apns, &fine);
        assert!(breaker.believes(&app(), Channel::Fcm, &GONE));
        assert!(breaker.believes(&other, Channel::Apns, &GONE));
        assert!(!breaker.believes(&app(), Channel::Apns, &GONE));
    }

    #[test]
    fn outcomes_that_say_nothing_of_the_token_are_not_counted() {
        let breaker = after(&[(4, 4)], &GONE);
        let silent = [Outcome::Transient(None), Outcome::Throttled(None), Outcome::Config, Outcome::Auth];
        breaker.record(&app(), Channel::Apns, &silent);
        assert!(believes(&breaker, &GONE), "and do not speak against a verdict before them");
        for outcome in silent.iter().chain([&Outcome::Delivered]) {
            assert!(!believes(&breaker, outcome));
        }
    }
}
