//! Whether a channel of an app is well: what outcomes say of it, and what is done about it for everyone.

use std::time::Duration;

use fanfare::channel;
use fanfare::domain::{App, Channel, Outcome, Timestamp};
use fanfare::runtime::metrics::{BatchMetrics, MetricName};
use fanfare::runtime::telemetry::chain;
use fanfare::store::{Rest, StoreError};
use tracing::{error, info, warn};

use crate::Deliver;
use crate::settle::LONGEST_WAIT;

/// For how long a channel is let alone whose vendor says that it is too fast, and not for how long.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The day of quotas is taken to be China's, where every vendor is that has one: how far it is ahead of UTC.
const QUOTA_DAY_OFFSET_SECS: i64 = 8 * 3_600;
/// How long after midnight it is tried again: clocks differ.
const AFTER_MIDNIGHT_SECS: i64 = 60;
const DAY_SECS: i64 = 86_400;

/// What is wrong with a whole channel of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// What the vendor must know the app by is wrong, or not accepted.
    Refused,
    /// Every token is called invalid.
    TokensDoubted,
    /// The day's quota is used up.
    QuotaSpent,
}

impl Trouble {
    /// For the account of a push, and for whoever is to mend it.
    pub(crate) fn describe(self, complaint: Option<&str>) -> String {
        match (self, complaint) {
            (Self::Refused, Some(complaint)) => format!("the app is refused: {complaint}"),
            (Self::Refused, None) => "the app is refused".to_owned(),
            (Self::TokensDoubted, _) => "every token is called invalid".to_owned(),
            (Self::QuotaSpent, _) => "the quota of the day is used up".to_owned(),
        }
    }

    /// When it can be over, where that is known.
    fn until(self, rest: &Rest, now: Timestamp) -> Option<Timestamp> {
        // No vendor's page says when its day begins: if it is later than thought, not a whole one more is lost.
        let next = if rest.failures == 0 { tomorrow(now) } else { now.plus_secs(3_600) };
        (self == Self::QuotaSpent).then_some(next)
    }
}

/// What outcomes say of the channel, and not of single devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// Something was taken, or nothing can be told.
    Well {
        /// Whether something was taken.
        known: bool,
    },
    /// It is of no use to go on.
    Unwell {
        /// What is wrong.
        trouble: Trouble,
        /// Whether nothing at all came of the batch: it can be sent again as if it had not been.
        in_vain: bool,
    },
}

/// What a batch's outcomes say of its channel. `doubted` says whether verdicts of invalidity are believed of nobody.
pub(crate) fn health(channel: Channel, outcomes: &[Outcome], doubted: bool) -> Health {
    if channel == Channel::Ws {
        return Health::Well { known: false };
    }
    let refused = |outcome: &Outcome| matches!(outcome, Outcome::Config | Outcome::Auth);
    let disbelieved = |outcome: &Outcome| doubted && matches!(outcome, Outcome::InvalidToken { .. });
    let spent = |outcome: &Outcome| *outcome == Outcome::QuotaUntilTomorrow;
    let known = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Delivered | Outcome::Suspended));
    let trouble = if outcomes.iter().any(spent) {
        Trouble::QuotaSpent
    } else if known {
        return Health::Well { known };
    } else if outcomes.iter().any(refused) {
        Trouble::Refused
    } else if outcomes.iter().any(disbelieved) {
        Trouble::TokensDoubted
    } else {
        return Health::Well { known };
    };
    // Whether something came of a request without an answer is not known, so it counts as a try.
    let is_nothing = |outcome: &Outcome| {
        refused(outcome)
            || disbelieved(outcome)
            || spent(outcome)
            || matches!(outcome, Outcome::Unsent | Outcome::Throttled(_))
    };
    Health::Unwell { trouble, in_vain: outcomes.iter().all(is_nothing) }
}

impl Deliver {
    /// Lets a channel rest of which something is wrong. Returns for how long those wait that are to be sent on it.
    pub(crate) async fn stop(
        &self,
        app: &App,
        channel: Channel,
        trouble: Trouble,
        rest: &Rest,
        complaint: Option<&str>,
    ) -> Result<Duration, StoreError> {
        let (scope, now) = (channel::scope(app, channel), self.clock.now());
        let why = trouble.describe(complaint);
        let begun = self.rests.begin(scope, channel, rest, (&why, trouble.until(rest, now)), now).await?;
        let Some(wait) = begun else {
            // Another has seen the same before.
            let rest = self.rests.get(scope, channel).await?;
            return Ok(rest.left(now).unwrap_or(SHORTEST_PAUSE));
        };
        match trouble {
            Trouble::QuotaSpent => {
                warn!(app.id = %app.id, %channel, why, "Channel `{channel}` of app `{}` waits for tomorrow", app.id);
            }
            // An error, for the alarm that counts them: a person has to mend it.
            Trouble::Refused | Trouble::TokensDoubted if rest.failures == 0 || rest.is_dated => {
                self.metrics.emit(&BatchMetrics::of(channel, &app.id).count(MetricName::Stopped, 1), now);
                error!(app.id = %app.id, %channel, why, "Channel `{channel}` of app `{}` is stopped", app.id);
            }
            Trouble::Refused | Trouble::TokensDoubted => {
                warn!(app.id = %app.id, %channel, why, "Channel `{channel}` of app `{}` is still stopped", app.id);
            }
        }
        Ok(wait)
    }

    /// Takes note that a channel works. One that could not be noted is tried again by the next.
    pub(crate) async fn go_on(&self, app: &App, channel: Channel, rest: &Rest) {
        if rest.failures == 0 {
            return;
        }
        match self.rests.end(channel::scope(app, channel), channel, rest).await {
            Ok(true) => info!(app.id = %app.id, %channel, "Channel `{channel}` of app `{}` goes on", app.id),
            Ok(false) => {}
            Err(error) => {
                warn!(app.id = %app.id, %channel, error = chain(&error), "A channel that works could not be noted as such");
            }
        }
    }

    /// A vendor that asks for time gets it from everyone.
    pub(crate) async fn slow_down(&self, app: &App, channel: Channel, wait: Duration) {
        let (scope, now) = (channel::scope(app, channel), self.clock.now());
        if let Err(error) = self.pace.push_back(scope, channel, pause(wait), now).await {
            warn!(app.id = %app.id, %channel, error = chain(&error), "The channel could not be slowed down");
        }
    }
}

/// For how long a whole channel is let alone whose vendor asked for so much time, or for none in particular.
fn pause(asked: Duration) -> Duration {
    asked.clamp(SHORTEST_PAUSE, LONGEST_WAIT)
}

/// Whether most of what was sent came to nothing for a while: whoever was not sent to would fare no better now.
pub(crate) fn is_unwell(outcomes: &[Outcome]) -> bool {
    let count = |meant: fn(&&Outcome) -> bool| outcomes.iter().filter(meant).count();
    let tried = count(|outcome| **outcome != Outcome::Unsent);
    2 * count(|outcome| matches!(outcome, Outcome::Transient(_))) > tried
}

/// The beginning of the next day of quotas.
pub(crate) fn tomorrow(now: Timestamp) -> Timestamp {
    let local = now.secs() + QUOTA_DAY_OFFSET_SECS;
    Timestamp::from_secs((local.div_euclid(DAY_SECS) + 1) * DAY_SECS - QUOTA_DAY_OFFSET_SECS + AFTER_MIDNIGHT_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Outcome = Outcome::InvalidToken { since: None, doubtful: false };

    #[test]
    fn a_channel_is_unwell_when_nothing_is_taken_and_it_is_not_for_the_devices() {
        let unwell = |trouble, in_vain| Health::Unwell { trouble, in_vain };
        for (outcomes, doubted, expected) in [
            (&[Outcome::Delivered, Outcome::Config][..], false, Health::Well { known: true }),
            (&[Outcome::Suspended, DEAD], true, Health::Well { known: true }),
            (&[DEAD, DEAD], false, Health::Well { known: false }),
            (&[DEAD, DEAD], true, unwell(Trouble::TokensDoubted, true)),
            (&[Outcome::Config, Outcome::Unsent], false, unwell(Trouble::Refused, true)),
            (&[Outcome::Auth, DEAD], true, unwell(Trouble::Refused, true)),
            (&[Outcome::Config, Outcome::Transient(None)], false, unwell(Trouble::Refused, false)),
            (&[Outcome::Config, Outcome::Permanent], false, unwell(Trouble::Refused, false)),
            (&[Outcome::NotEntitled, Outcome::DeviceQuotaUntilTomorrow], false, Health::Well { known: false }),
            (&[Outcome::Delivered, Outcome::QuotaUntilTomorrow], false, unwell(Trouble::QuotaSpent, false)),
            (&[Outcome::QuotaUntilTomorrow, Outcome::Throttled(None)], false, unwell(Trouble::QuotaSpent, true)),
            (&[Outcome::Transient(None), Outcome::Permanent, Outcome::Unsent], true, Health::Well { known: false }),
        ] {
            assert_eq!(health(Channel::Fcm, outcomes, doubted), expected, "{outcomes:?} {doubted}");
        }
        assert_eq!(health(Channel::Ws, &[DEAD; 9], true), Health::Well { known: false });
    }

    #[test]
    fn a_vendor_that_asks_for_time_gets_a_second_and_no_more_than_an_hour() {
        for (asked, expected) in [(0, 1), (1, 1), (9, 9), (3_600, 3_600), (999_999, 3_600)] {
            assert_eq!(pause(Duration::from_secs(asked)).as_secs(), expected, "{asked}");
        }
    }

    #[test]
    fn a_vendor_is_unwell_to_whom_most_of_what_was_sent_came_to_nothing() {
        let failed = Outcome::Transient(None);
        for (outcomes, expected) in [
            (vec![], false),
            (vec![Outcome::Unsent], false),
            (vec![failed.clone(), Outcome::Unsent, Outcome::Unsent], true),
            (vec![failed.clone(), Outcome::Delivered, Outcome::Unsent], false),
            (vec![failed.clone(), failed, Outcome::Delivered], true),
        ] {
            assert_eq!(is_unwell(&outcomes), expected, "{outcomes:?}");
        }
    }

    #[test]
    fn tomorrow_begins_at_midnight_in_china() {
        // 2023-11-14, 22:13:20 UTC, is 06:13:20 of the 15th.
        let begins = tomorrow(Timestamp::from_secs(1_700_000_000));
        assert_eq!(begins, Timestamp::from_secs(1_700_064_000 + 60));
        assert_eq!(tomorrow(Timestamp::from_secs(1_700_064_000)), Timestamp::from_secs(1_700_150_400 + 60));
    }
}
