//! Whether a vendor may be believed that tokens are dead.
//!
//! A wrong environment, topic, project or package makes every token look invalid, and so does a vendor's bad day. What
//! is deleted on such a word is lost, while a dead token that is kept costs one request a push; so in doubt nothing is
//! believed.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use crate::domain::{AppId, Channel, DeviceToken, Ordinal, Outcome};

/// Tokens of an app's channel of which the last verdict is remembered.
const WINDOW: usize = 500;
/// With fewer, a small share means nothing.
const CERTAIN: usize = 100;
/// More than one invalid token in this many is too many.
const ONE_IN: usize = 5;
/// With fewer, not even a large share means anything.
const TELLING: usize = 20;
/// Of so few, more than one in this many is too many.
const ONE_IN_FEW: usize = 2;
/// This many invalid tokens with not one good among them are too many, however small the app.
const BARREN: usize = 5;

/// As many in a batch without a good one are too many, too.
const BARREN_BATCH: usize = 3;

/// Channels of apps that are remembered, besides those of which nothing is believed. Each takes 12 KB at most.
const MOST_WINDOWS: usize = 1_000;

/// Remembers the last verdicts of each app's channels, and says whether the next is to be acted on.
///
/// A verdict is an [`Outcome::Delivered`] or [`Outcome::Suspended`] (good: the token lives) or an
/// [`Outcome::InvalidToken`] (invalid). Other outcomes say nothing of the token and are not counted. Of each token the last
/// verdict counts: a vendor that says the same of it again has said nothing new.
///
/// **Open**, believing nothing, is the breaker of an app's channel
/// - when its window holds at least 100 verdicts, and more than 20 % of them are invalid; or
/// - when it holds at least 20, and more than half of them are invalid, on tokens of more than one user; or
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
    hasher: RandomState,
}

impl Breaker {
    /// A breaker that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a whole batch: whose each token is, and what came of it. It is to be called before [`believes`](Self::believes) is asked of any of the
    /// batch, so that a batch of bad news is doubted from its first line.
    pub fn record<'a>(
        &self,
        app: &AppId,
        channel: Channel,
        batch: impl IntoIterator<Item = (Ordinal, &'a DeviceToken, &'a Outcome)>,
    ) {
        let verdicts = batch.into_iter().filter_map(|(user, token, outcome)| {
            Some(Verdict { user, token: self.hasher.hash_one(token), is_good: is_good(outcome)? })
        });
        let verdicts: Vec<_> = verdicts.collect();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= MOST_WINDOWS {
            // What is believed of the others has to be learned anew.
            windows.retain(|_, window| window.is_open());
        }
        windows.entry((app.clone(), channel)).or_default().record(&verdicts);
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

#[derive(Debug, Clone, Copy)]
struct Verdict {
    user: Ordinal,
    /// Its hash: tokens are long, and nobody's business.
    token: u64,
    /// Whether the token lives.
    is_good: bool,
}

#[derive(Debug, Default)]
struct Window {
    /// The last of each token, oldest first.
    verdicts: VecDeque<Verdict>,
    /// Invalid verdicts since the last batch that had a good one.
    barren: usize,
    /// The most of them that one batch had.
    most_barren: usize,
}

impl Window {
    fn record(&mut self, batch: &[Verdict]) {
        let tokens: HashSet<u64> = batch.iter().map(|verdict| verdict.token).collect();
        self.verdicts.retain(|before| !tokens.contains(&before.token));
        self.verdicts.extend(batch);
        self.verdicts.drain(..self.verdicts.len().saturating_sub(WINDOW));
        let invalid = batch.iter().filter(|verdict| !verdict.is_good).count();
        (self.barren, self.most_barren) = match batch.len() - invalid {
            0 => (self.barren.saturating_add(invalid), self.most_barren.max(invalid)),
            _ => (0, 0),
        };
    }

    fn invalid(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| !verdict.is_good)
    }

    fn is_open(&self) -> bool {
        let (all, invalid) = (self.verdicts.len(), self.invalid().count());
        let too_many = all >= CERTAIN && invalid * ONE_IN > all;
        let far_too_many = all >= TELLING && invalid * ONE_IN_FEW > all && self.is_of_several();
        too_many || far_too_many || self.barren >= BARREN || self.most_barren >= BARREN_BATCH
    }

    /// Whether it is not one user alone, who can have registered what they like.
    fn is_of_several(&self) -> bool {
        let mut users = self.invalid().map(|verdict| verdict.user);
        users.next().is_some_and(|first| users.any(|user| user != first))
    }

    fn vouches(&self) -> bool {
        let invalid = self.invalid().count();
        let good = self.verdicts.len() - invalid;
        good > 0 && good >= invalid
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

    /// A breaker that saw batches of so many good and so many of a bad outcome, each of another user.
    fn after(batches: &[(usize, usize)], bad: &Outcome) -> Breaker {
        let (breaker, mut first) = (Breaker::new(), 0);
        for &(good, invalid) in batches {
            let mut batch = vec![Outcome::Delivered; good];
            batch.extend(vec![bad.clone(); invalid]);
            record(&breaker, &app(), Channel::Apns, first, &batch);
            first += batch.len() as u32;
        }
        breaker
    }

    /// A batch to one token each of users beginning with the first.
    fn record(breaker: &Breaker, app: &AppId, channel: Channel, first: u32, batch: &[Outcome]) {
        record_of(breaker, app, channel, first, Ordinal, batch);
    }

    fn record_of(
        breaker: &Breaker,
        app: &AppId,
        channel: Channel,
        first: u32,
        whose: fn(u32) -> Ordinal,
        batch: &[Outcome],
    ) {
        let tokens: Vec<_> = (first..).take(batch.len()).map(|n| DeviceToken::new(n.to_string())).collect();
        let batch = (first..).zip(&tokens).zip(batch);
        breaker.record(app, channel, batch.map(|((n, token), outcome)| (whose(n), token, outcome)));
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
    fn of_few_a_half_is_believed_and_more_is_not() {
        for (batches, expected) in [
            (&[(10, 10)][..], true),
            (&[(9, 11)], false),
            // A vendor that has gone wrong, and one device that it knows for another reason.
            (&[(1, 89)], false),
            (&[(1, 18)], true),
            (&[(1, 18), (1, 1)], false),
            (&[(1, 9), (1, 9)], false),
            (&[(10, 0), (1, 10)], true),
        ] {
            assert_eq!(believes(&after(batches, &GONE), &GONE), expected, "{batches:?}");
        }
    }

    /// The worst that can be: each part has a good one, and is believed for it until the breaker opens.
    #[test]
    fn of_those_that_come_in_parts_fewer_than_twenty_are_lost() {
        for part in 3..=90_usize {
            let (breaker, mut lost) = (Breaker::new(), 0);
            for first in (0..90).step_by(part) {
                let mut batch = vec![GONE; part.min(90 - first)];
                batch[0] = Outcome::Delivered;
                record(&breaker, &app(), Channel::Apns, first as u32, &batch);
                lost += batch.iter().filter(|outcome| believes(&breaker, outcome)).count();
            }
            assert!(lost < 20, "{part}: {lost}");
        }
    }

    #[test]
    fn what_is_said_again_of_a_token_is_not_counted_again() {
        let mut batch = [const { Outcome::Delivered }; 8];
        batch[3..].fill(GONE);
        let breaker = Breaker::new();
        for _ in 0..30 {
            record(&breaker, &app(), Channel::Apns, 0, &batch);
        }
        assert!(believes(&breaker, &GONE), "5 of 8 devices are no more than they were");
    }

    #[test]
    fn one_user_alone_does_not_open_it() {
        let (breaker, batch) = (Breaker::new(), [vec![Outcome::Delivered; 9], vec![GONE; 11]].concat());
        record_of(&breaker, &app(), Channel::Apns, 0, |_| Ordinal(7), &batch);
        assert!(believes(&breaker, &GONE));
        record(&breaker, &app(), Channel::Apns, 20, &[Outcome::Delivered, GONE]);
        assert!(!believes(&breaker, &GONE), "two do");
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
        assert!(believes(&after(&[(1, 13)], &GONE), &GONE));
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
        record(&breaker, &app(), Channel::Apns, 120, &vec![Outcome::Delivered; 480]);
        assert!(believes(&breaker, &GONE));
    }

    #[test]
    fn it_remembers_only_the_last_verdicts() {
        let breaker = after(&[(0, WINDOW), (WINDOW, 0)], &GONE);
        let windows = breaker.windows.lock().unwrap();
        let window = &windows[&(app(), Channel::Apns)];
        assert_eq!((window.verdicts.len(), window.invalid().count()), (WINDOW, 0));
    }

    #[test]
    fn apps_and_channels_do_not_answer_for_each_other() {
        let breaker = after(&[(0, 50)], &GONE);
        let (fine, other) = ([Outcome::Delivered, GONE], AppId::try_from("other").unwrap());
        record(&breaker, &app(), Channel::Fcm, 0, &fine);
        record(&breaker, &other, Channel::Apns, 0, &fine);
        assert!(breaker.believes(&app(), Channel::Fcm, &GONE));
        assert!(breaker.believes(&other, Channel::Apns, &GONE));
        assert!(!breaker.believes(&app(), Channel::Apns, &GONE));
    }

    #[test]
    fn outcomes_that_say_nothing_of_the_token_are_not_counted() {
        let breaker = after(&[(4, 4)], &GONE);
        let silent = [Outcome::Transient(None), Outcome::Throttled(None), Outcome::Config, Outcome::Auth];
        record(&breaker, &app(), Channel::Apns, 8, &silent);
        assert!(believes(&breaker, &GONE), "and do not speak against a verdict before them");
        for outcome in silent.iter().chain([&Outcome::Delivered]) {
            assert!(!believes(&breaker, outcome));
        }
    }

    #[test]
    fn those_of_which_nothing_is_believed_are_not_forgotten_for_others() {
        let (breaker, token) = (Breaker::new(), DeviceToken::new("t"));
        let record = |app: usize, outcome: &Outcome| {
            let batch = vec![(Ordinal(1), &token, outcome); BARREN_BATCH];
            breaker.record(&AppId::try_from(app.to_string().as_str()).unwrap(), Channel::Fcm, batch);
        };
        record(0, &GONE);
        (1..2 * MOST_WINDOWS).for_each(|app| record(app, &Outcome::Delivered));
        assert!(breaker.is_open(&AppId::try_from("0").unwrap(), Channel::Fcm));
        assert!(breaker.windows.lock().unwrap().len() <= MOST_WINDOWS);
    }
}
