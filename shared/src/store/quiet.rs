//! Quiet hours: an attribute of a user's contact, because whoever addresses a push reads that anyway.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::{QuietHours, QuietLevel};

use super::item::{Item, n, number};

/// The attribute of a contact that holds them.
const NAME: &str = "q";

/// Those of a contact, if it has any. What cannot be read is none: better a notification too many than a push that stops.
pub(super) fn read(contact: &Item) -> Option<QuietHours> {
    let item = contact.get(NAME)?.as_m().ok()?;
    let level = match number(item, "l")? {
        1 => QuietLevel::AllButMentions,
        5 => QuietLevel::All,
        _ => return None,
    };
    Some(QuietHours { start_secs: number(item, "s")?, minutes: number(item, "m")?, level })
}

/// As the attribute holds them.
pub(super) fn write(hours: QuietHours) -> AttributeValue {
    let level = match hours.level {
        QuietLevel::AllButMentions => 1,
        QuietLevel::All => 5,
    };
    let parts = [("s", n(hours.start_secs)), ("m", n(hours.minutes)), ("l", n(level))];
    AttributeValue::M(HashMap::from(parts.map(|(name, value)| (name.to_owned(), value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for level in [QuietLevel::AllButMentions, QuietLevel::All] {
            let hours = QuietHours { start_secs: 82_800, minutes: 540, level };
            assert_eq!(read(&Item::from([(NAME.to_owned(), write(hours))])), Some(hours));
        }
        assert_eq!(read(&Item::new()), None);
    }
}
