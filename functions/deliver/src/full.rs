//! What is known of channels whose turns are all taken.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fanfare::domain::{AppId, Timestamp};

/// No more channels than this are remembered, if those that are over are forgotten.
const MOST: usize = 1_000;

/// Until when there are no turns, as the store last said. It only becomes later, so as long as that holds nobody needs to make
/// a batch ready in order to hear it again: that would be encrypting, and saving lists with the vendor, for nothing.
#[derive(Default)]
pub(crate) struct Full {
    known: Mutex<HashMap<Option<AppId>, Timestamp>>,
}

impl Full {
    /// Remembers when the next turn of an app's channel is, or of the one that all share.
    pub(crate) fn note(&self, scope: Option<&AppId>, next: Timestamp, now: Timestamp) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, next| *next > now);
        }
        if known.len() < MOST {
            known.insert(scope.cloned(), next);
        }
    }

    /// When the next turn is at the earliest, if it is known to be after a moment.
    pub(crate) fn beyond(&self, scope: Option<&AppId>, moment: Timestamp) -> Option<Timestamp> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&scope.cloned()).copied().filter(|next| *next > moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_of_a_channel_holds_until_then_and_for_no_other() {
        let (full, now) = (Full::default(), Timestamp::from_secs(1_000));
        let (app, other) = (AppId::try_from("a").unwrap(), AppId::try_from("b").unwrap());
        full.note(Some(&app), now.plus_secs(5), now);
        assert_eq!(full.beyond(Some(&app), now.plus_secs(2)), Some(now.plus_secs(5)));
        assert_eq!(full.beyond(Some(&app), now.plus_secs(5)), None);
        assert_eq!((full.beyond(Some(&other), now), full.beyond(None, now)), (None, None));
    }

    #[test]
    fn those_that_are_over_make_room() {
        let (full, now) = (Full::default(), Timestamp::from_secs(1_000));
        let app = |n: usize| AppId::try_from(n.to_string().as_str()).unwrap();
        (0..MOST).for_each(|n| full.note(Some(&app(n)), now.plus_secs(1), now));
        full.note(Some(&app(MOST)), now.plus_secs(9), now);
        assert_eq!(full.beyond(Some(&app(MOST)), now), None, "there is no room");
        let later = now.plus_secs(1);
        full.note(Some(&app(MOST)), now.plus_secs(9), later);
        assert_eq!(full.beyond(Some(&app(MOST)), later), Some(now.plus_secs(9)));
        assert_eq!(full.known.lock().unwrap().len(), 1);
    }
}
