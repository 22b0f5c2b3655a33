//! The one clock of the stack: the machine's, moved forward on request.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the stack's time. Functions tell the same, from a file that holds the seconds to add.
#[derive(Clone, Debug)]
pub struct Clock {
    offset_seconds: Arc<AtomicU64>,
    offset_file: PathBuf,
}

impl Clock {
    /// A clock that agrees with the machine's, and says so in a file in `directory`.
    ///
    /// # Errors
    ///
    /// When the file for the functions cannot be written.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let clock = Self { offset_seconds: Arc::default(), offset_file: directory.join("clock-offset") };
        clock.publish(0)?;
        Ok(clock)
    }

    /// Moves the clock forward, for the functions too.
    ///
    /// # Errors
    ///
    /// When the file for the functions cannot be written; the clock has not moved then.
    pub fn advance(&self, seconds: u64) -> io::Result<()> {
        let offset = self.offset_seconds.load(Ordering::SeqCst).saturating_add(seconds);
        self.publish(offset)?;
        self.offset_seconds.store(offset, Ordering::SeqCst);
        Ok(())
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let machine = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let offset = self.offset_seconds.load(Ordering::SeqCst).saturating_mul(1000);
        machine.saturating_add(offset)
    }

    /// Whole seconds since 1970.
    pub fn now(&self) -> u64 {
        self.now_ms() / 1000
    }

    /// The file that holds the seconds to add to the machine's clock.
    pub fn offset_file(&self) -> &Path {
        &self.offset_file
    }

    /// A function may read at any moment, so the file is replaced in one step.
    fn publish(&self, offset: u64) -> io::Result<()> {
        let next = self.offset_file.with_extension("next");
        std::fs::write(&next, offset.to_string())?;
        std::fs::rename(next, &self.offset_file)
    }
}

/// The database expires items by the stack's clock.
impl dynoxide::storage_backend::Clock for Clock {
    fn now_unix_secs(&self) -> u64 {
        self.now()
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit in 53 bits")]
    fn now_unix_secs_f64(&self) -> f64 {
        self.now_ms() as f64 / 1000.0
    }
}

/// A moment of UTC, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year of our era.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// 1 is Sunday, as cron expressions of AWS count.
    pub weekday: u32,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Civil {
    /// Takes apart seconds since 1970.
    pub fn from_unix(seconds: u64) -> Self {
        let days = seconds / 86_400;
        let of_day = u32::try_from(seconds % 86_400).unwrap_or(0);
        let (year, month, day) = civil_from_days(i64::try_from(days).unwrap_or(0));
        Self {
            year,
            month,
            day,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            // 1970 began on a Thursday.
            weekday: u32::try_from((days + 4) % 7).unwrap_or(0) + 1,
        }
    }

    /// As EventBridge writes time: `2026-03-12T19:03:58Z`.
    pub fn iso(&self) -> String {
        let Self { year, month, day, hour, minute, second, .. } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// As API Gateway writes time: `12/Mar/2026:19:03:58 +0000`.
    pub fn common_log(&self) -> String {
        let Self { year, day, hour, minute, second, .. } = self;
        let month = MONTHS[self.month as usize - 1];
        format!("{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000")
    }
}

/// Days since 1970 as a date, by counting 400-year cycles that begin in March.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let cycle = shifted.div_euclid(146_097);
    let day_of_cycle = shifted.rem_euclid(146_097);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_cycle + cycle * 400 + i64::from(month <= 2);
    let small = |number: i64| u32::try_from(number).unwrap_or(0);
    (year, small(month), small(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advance_shows_in_the_time_and_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::new(directory.path()).unwrap();
        let before = clock.now();
        clock.advance(3600).unwrap();
        clock.advance(60).unwrap();
        assert!((before + 3660..before + 3665).contains(&clock.now()));
        assert_eq!(std::fs::read_to_string(clock.offset_file()).unwrap(), "3660");
    }

    #[test]
    fn a_leap_day_is_a_day() {
        let leap = Civil::from_unix(1_709_164_800);
        assert_eq!(leap.iso(), "2024-02-29T00:00:00Z");
        assert_eq!(leap.weekday, 5, "a Thursday");
    }

    #[test]
    fn time_is_written_as_api_gateway_does() {
        let moment = Civil::from_unix(1_583_348_638);
        assert_eq!(moment.common_log(), "04/Mar/2020:19:03:58 +0000");
    }
}
