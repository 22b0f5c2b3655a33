//! The one clock.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

use super::config::{Lookup, optional};

/// Tells the time. Wherever a rule depends on time, it asks this and nothing else.
///
/// A stack that moves its clock, so that seven days pass in a test, names a file of whole seconds to add
/// in `FANFARE_CLOCK_OFFSET_FILE`.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_file: Option<Arc<PathBuf>>,
    #[cfg(test)]
    stands_at: Option<Timestamp>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// The clock that the environment asks for.
    pub fn from_lookup(lookup: &impl Lookup) -> Self {
        let offset_file = optional(lookup, "FANFARE_CLOCK_OFFSET_FILE").map(|path| Arc::new(path.into()));
        Self {
            offset_file,
            #[cfg(test)]
            stands_at: None,
        }
    }

    /// A clock that stands still, for tests of what depends on the moment to the second.
    #[cfg(test)]
    pub(crate) fn standing_at(moment: Timestamp) -> Self {
        Self { stands_at: Some(moment), ..Self::default() }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        #[cfg(test)]
        if let Some(moment) = self.stands_at {
            return moment;
        }
        // A clock set before 1970 is no clock: it reads as the epoch.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)).plus_secs(self.offset_secs())
    }

    fn offset_secs(&self) -> i64 {
        let read = |path: &Arc<PathBuf>| std::fs::read_to_string(path.as_path()).ok()?.trim().parse().ok();
        self.offset_file.as_ref().and_then(read).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_moves_the_clock() {
        let path = std::env::temp_dir().join(format!("fanfare-clock-{}", std::process::id()));
        std::fs::write(&path, "3600\n").unwrap();
        let clock = Clock::from_lookup(&|_: &str| Some(path.display().to_string()));
        let ahead = clock.now().millis_since(Clock::system().now());
        std::fs::remove_file(&path).unwrap();
        assert!((3_590_000..=3_600_000).contains(&ahead), "{ahead}");
    }
}
