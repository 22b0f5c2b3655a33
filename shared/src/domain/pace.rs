//! How fast something may be done, evenly.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// So many units in so much time, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How many units; at least one.
    pub units: u32,
    /// In which time, in milliseconds.
    pub millis: u32,
    /// After a longer rest than this, the pace begins at nothing and is reached after as long. Zero: at once.
    pub ramp_secs: u32,
}

impl Pace {
    /// So many a second.
    pub fn per_second(units: u32) -> Self {
        Self { units: units.max(1), millis: 1_000, ramp_secs: 0 }
    }

    /// How long so many units take at full pace. Rounded up, so that many of them do not add up to more than the pace.
    pub fn time_of(self, units: u32) -> Duration {
        let micros = (u64::from(units) * u64::from(self.millis) * 1_000).div_ceil(u64::from(self.units.max(1)));
        Duration::from_micros(micros)
    }
}

/// A stretch of time reserved at a pace, in which a number of units may go, evenly spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// When the first may go.
    pub start: Timestamp,
    /// When the first of whoever comes next may go.
    pub end: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_take_their_share_of_the_time_and_never_less() {
        assert_eq!(Pace::per_second(7).time_of(7), Duration::from_secs(1));
        assert_eq!(Pace::per_second(3).time_of(1), Duration::from_micros(333_334));
        assert_eq!(Pace { units: 1_000, millis: 1_050, ramp_secs: 0 }.time_of(2_000), Duration::from_millis(2_100));
        assert_eq!(Pace::per_second(0).time_of(1), Duration::from_secs(1));
    }
}
