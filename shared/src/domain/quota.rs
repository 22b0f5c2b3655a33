//! What an app has spent of its quota of pushes.

use super::{Quotas, Seq, Timestamp};

/// What an app has spent, and the number of its last push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// The app's day, counted from the epoch in its own time zone.
    pub day: i64,
    /// Pushes accepted on that day.
    pub today: u32,
    /// When the last one was accepted.
    pub last: Option<Timestamp>,
    /// The number of the last one.
    pub seq: Seq,
}

/// Why a push cannot be paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    /// Too soon after the one before it.
    #[error("the interval between two pushes must be greater than {0} ms")]
    TooSoon(u32),
    /// The day's pushes are used up.
    #[error("the app has used up its {0} pushes of the day")]
    UsedUp(u32),
}

impl Spent {
    /// The same with the next push's number taken, and nothing spent.
    pub fn take_number(self) -> Self {
        Self { seq: self.seq.next(), ..self }
    }

    /// What is spent once one more push is accepted now.
    pub fn spend(self, quotas: &Quotas, now: Timestamp) -> Result<Self, QuotaError> {
        let interval = i64::from(quotas.push_interval_ms);
        if self.last.is_some_and(|last| now.millis_since(last) <= interval) {
            return Err(QuotaError::TooSoon(quotas.push_interval_ms));
        }
        let day = now.plus_secs(i64::from(quotas.utc_offset_minutes) * 60).secs().div_euclid(86_400);
        let today = if day == self.day { self.today } else { 0 };
        if today >= quotas.pushes_per_day {
            return Err(QuotaError::UsedUp(quotas.pushes_per_day));
        }
        Ok(Self { day, today: today + 1, last: Some(now), ..self.take_number() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn a_push_passes_only_more_than_a_second_after_the_last() {
        let spent = Spent::default().spend(&Quotas::default(), NOON).unwrap();
        assert_eq!(spent.spend(&Quotas::default(), NOON.plus_millis(1_000)), Err(QuotaError::TooSoon(1_000)));
        assert_eq!(spent.spend(&Quotas::default(), NOON.plus_millis(1_001)).unwrap().seq, Seq(2));
    }

    #[test]
    fn a_number_that_is_taken_for_nothing_leaves_the_quota_as_it_was() {
        let spent = Spent::default().spend(&Quotas::default(), NOON).unwrap();
        assert_eq!(spent.take_number(), Spent { seq: Seq(2), ..spent });
        assert_eq!(Spent::default().take_number().spend(&Quotas::default(), NOON).unwrap().seq, Seq(2));
    }

    #[test]
    fn the_hundred_and_first_push_waits_for_the_next_day() {
        let quotas = Quotas::default();
        let mut spent = Spent::default();
        let mut now = NOON;
        for _ in 0..100 {
            spent = spent.spend(&quotas, now).unwrap();
            now = now.plus_secs(2);
        }
        assert_eq!(spent.spend(&quotas, now), Err(QuotaError::UsedUp(100)));
        // 2023-11-15 00:00 at UTC+8 is 16:00 UTC of the day before.
        let midnight = Timestamp::from_secs(1_700_064_000);
        assert_eq!(spent.spend(&quotas, midnight.plus_millis(-1)), Err(QuotaError::UsedUp(100)));
        let next = spent.spend(&quotas, midnight).unwrap();
        assert_eq!((next.today, next.seq), (1, Seq(101)));
    }
}
