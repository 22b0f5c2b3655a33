//! Refusals of webhooks: told of each app once in a while, not for each of its news.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fanfare::domain::{AppId, Timestamp};

/// For how long a refusal is not told again, in milliseconds: a minute.
const QUIET_MILLIS: i64 = 60_000;
/// Apps whose refusals one environment remembers.
const REMEMBERED: usize = 1_000;

/// When the refusals of apps were last told by this environment.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    told: Mutex<HashMap<AppId, Timestamp>>,
}

impl Refusals {
    /// Whether an app's refusal is to be told now. If so, it is not for the next minute.
    pub(crate) fn is_to_be_told(&self, app: &AppId, now: Timestamp) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(app).is_some_and(|last| now.millis_since(*last) < QUIET_MILLIS) {
            return false;
        }
        if told.len() >= REMEMBERED {
            told.retain(|_, last| now.millis_since(*last) < QUIET_MILLIS);
        }
        // With so many within a minute, which a person must see to, one more line for each is no harm.
        if told.len() < REMEMBERED {
            told.insert(app.clone(), now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn app(name: impl Into<String>) -> AppId {
        AppId::try_from(name.into()).unwrap()
    }

    #[test]
    fn a_refusal_is_told_once_a_minute_and_app() {
        let refusals = Refusals::default();
        assert!(refusals.is_to_be_told(&app("one"), NOW));
        assert!(!refusals.is_to_be_told(&app("one"), NOW.plus_millis(59_999)));
        assert!(refusals.is_to_be_told(&app("two"), NOW.plus_millis(59_999)));
        assert!(refusals.is_to_be_told(&app("one"), NOW.plus_secs(60)));
        assert!(!refusals.is_to_be_told(&app("one"), NOW.plus_secs(61)));
    }

    #[test]
    fn no_more_apps_are_remembered_than_there_is_room_for() {
        let refusals = Refusals::default();
        let all = |now| (0..REMEMBERED + 5).all(|n| refusals.is_to_be_told(&app(format!("app{n}")), now));
        assert!(all(NOW) && all(NOW.plus_secs(60)));
        assert_eq!(refusals.told.lock().unwrap().len(), REMEMBERED);
    }
}
