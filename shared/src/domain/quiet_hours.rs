//! When a user wants to be left alone.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A stretch of every day in which a user is shown less, by the clock of the app. It may reach past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// When it begins, in seconds after midnight: below 86,400.
    pub start_secs: u32,
    /// How long it is, in minutes: up to 1,439 (RongCloud, "Set User Do Not Disturb Period"). 0: there is none.
    pub minutes: u16,
    /// What is not shown in it.
    pub level: QuietLevel,
}

/// What is not shown in quiet hours (RongCloud, `level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuietLevel {
    /// 1: whatever does not mention the user by name.
    AllButMentions,
    /// 5: anything.
    All,
}

const DAY_SECS: i64 = 86_400;

impl QuietHours {
    /// Whether a moment is in it, on a clock that many minutes east of UTC. Its first second is, the one after its last
    /// minute is not.
    pub fn covers(&self, now: Timestamp, utc_offset_minutes: i32) -> bool {
        let clock = now.secs().rem_euclid(DAY_SECS) + i64::from(utc_offset_minutes) * 60;
        let since = (clock - i64::from(self.start_secs)).rem_euclid(DAY_SECS);
        since < i64::from(self.minutes) * 60
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIDNIGHT: i64 = 1_700_006_400;
    const BEIJING: i32 = 8 * 60;

    fn quiet(hours: u32, minutes: u32, length: u16) -> QuietHours {
        QuietHours { start_secs: hours * 3_600 + minutes * 60, minutes: length, level: QuietLevel::All }
    }

    #[test]
    fn a_moment_is_in_it_or_not_also_past_midnight_and_on_other_clocks() {
        assert_eq!(MIDNIGHT % DAY_SECS, 0);
        let night = quiet(22, 0, 9 * 60);
        for (quiet, secs, offset, is_covered) in [
            (night, 22 * 3_600 - 1, 0, false),
            (night, 22 * 3_600, 0, true),
            (night, 24 * 3_600, 0, true),
            (night, 0, 0, true),
            (night, 7 * 3_600 - 1, 0, true),
            (night, 7 * 3_600, 0, false),
            (night, 14 * 3_600, BEIJING, true),
            (night, 22 * 3_600, BEIJING, true),
            (night, 23 * 3_600, BEIJING, false),
            (night, 2 * 3_600, -4 * 60, true),
            (night, 22 * 3_600, -4 * 60, false),
            (quiet(9, 30, 60), 10 * 3_600, 0, true),
            (quiet(9, 30, 60), 10 * 3_600 + 1_800, 0, false),
            (quiet(0, 0, 0), 0, 0, false),
            (quiet(0, 0, 1_439), DAY_SECS - 61, 0, true),
            (quiet(0, 0, 1_439), DAY_SECS - 60, 0, false),
        ] {
            let now = Timestamp::from_secs(MIDNIGHT + secs);
            assert_eq!(quiet.covers(now, offset), is_covered, "{quiet:?} {secs} {offset}");
        }
        assert!(night.covers(Timestamp::from_secs(-3_600), 0));
    }

    proptest! {
        #[test]
        fn it_comes_every_day_and_is_as_long_as_it_says(
            start_secs in 0_u32..86_400, minutes in 0_u16..1_440, offset in -720_i32..=840, day in -9_i64..20_000,
        ) {
            let quiet = QuietHours { start_secs, minutes, level: QuietLevel::AllButMentions };
            let covered = (0..1_440).filter(|minute| quiet.covers(Timestamp::from_secs(day * DAY_SECS + minute * 60), offset));
            prop_assert_eq!(covered.count(), usize::from(minutes));
        }
    }
}
