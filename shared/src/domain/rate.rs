//! How often something may be done: so many times in a whole second, minute, hour or day by the clock.

use std::fmt;

use super::Timestamp;

/// So many times in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many. 0: never.
    pub times: u32,
    /// In which time.
    pub per: Per,
}

/// The time over which is counted: a whole one by the app's clock. Not any sixty minutes, but those from one full hour to
/// the next: a single number is all that there is to remember of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

/// One second, minute, hour or day: from `start`, up to but without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first second, counted from the epoch.
    pub start_secs: i64,
    /// The first second of the one after it.
    pub end_secs: i64,
}

impl Per {
    /// The window in which a moment lies, on a clock that is so many minutes ahead of UTC.
    pub fn window(self, now: Timestamp, utc_offset_minutes: i32) -> Window {
        let (length, offset) = (self.secs(), i64::from(utc_offset_minutes) * 60);
        let start_secs = (now.secs() + offset).div_euclid(length) * length - offset;
        Window { start_secs, end_secs: start_secs + length }
    }

    const fn secs(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows_are_whole_ones_by_the_apps_clock() {
        // 2023-11-14 22:13:20 UTC, the 15th 06:13:20 at UTC+8, the 15th 03:43:20 at UTC+5:30.
        let now = Timestamp::from_secs(1_700_000_000);
        for (per, offset, start_secs, end_secs) in [
            (Per::Second, 480, 1_700_000_000, 1_700_000_001),
            (Per::Minute, 480, 1_699_999_980, 1_700_000_040),
            (Per::Hour, 480, 1_699_999_200, 1_700_002_800),
            (Per::Hour, 330, 1_699_997_400, 1_700_001_000),
            (Per::Day, 0, 1_699_920_000, 1_700_006_400),
            (Per::Day, 480, 1_699_977_600, 1_700_064_000),
            (Per::Day, -480, 1_699_948_800, 1_700_035_200),
        ] {
            assert_eq!(per.window(now, offset), Window { start_secs, end_secs }, "{per} at {offset}");
        }
        let before = Timestamp::from_millis(-1);
        assert_eq!(Per::Minute.window(before, 0), Window { start_secs: -60, end_secs: 0 });
    }

    proptest! {
        #[test]
        fn every_moment_lies_in_one_window_and_the_next_begins_where_it_ends(
            secs in -10_000_000_000_i64..10_000_000_000,
            offset in -840_i32..=840,
            per in prop::sample::select(vec![Per::Second, Per::Minute, Per::Hour, Per::Day]),
        ) {
            let window = per.window(Timestamp::from_secs(secs), offset);
            prop_assert!((window.start_secs..window.end_secs).contains(&secs));
            let of = |secs| per.window(Timestamp::from_secs(secs), offset);
            prop_assert_eq!((of(window.start_secs), of(window.end_secs - 1)), (window, window));
            prop_assert_eq!(of(window.end_secs).start_secs, window.end_secs);
        }
    }
}
