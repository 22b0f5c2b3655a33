//! Quiet hours: an attribute of a user's contact, because whoever addresses a push reads that anyway.
//!
//! It is written blindly, beside whatever else happens to the contact. A user who has none yet gets one that says no
//! more than whose it is.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::{AppId, Ordinal, QuietHours, QuietLevel, User};

use super::error::unless_refused;
use super::item::{self, Item, n, number, s};
use super::{StoreError, keys};

/// The attribute of a contact that holds them.
const NAME: &str = "q";

/// Reads and changes the quiet hours of users.
#[derive(Clone)]
pub struct QuietStore {
    client: Client,
    table: String,
}

impl QuietStore {
    /// Over the table of the audience.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Those of a user, if it has any, strongly consistent.
    pub async fn get(&self, app: &AppId, ordinal: Ordinal) -> Result<Option<QuietHours>, StoreError> {
        let contact = item::get(&self.client, &self.table, &keys::contact(app, ordinal)).await?;
        Ok(contact.as_ref().and_then(read))
    }

    /// Gives a user these, in place of those it has. A user who is deleted meanwhile has none: the deletion came second.
    pub async fn set(&self, app: &AppId, user: &User, hours: QuietHours) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::contact(app, user.ordinal).item()))
            .update_expression("SET u = :u, #q = :q")
            // No mark of a deletion stands there.
            .condition_expression("attribute_not_exists(x)")
            .expression_attribute_names("#q", NAME)
            .expression_attribute_values(":u", s(user.id.as_str()))
            .expression_attribute_values(":q", write(hours));
        unless_refused(update.send().await).map(drop)
    }

    /// Leaves a user without any.
    pub async fn delete(&self, app: &AppId, ordinal: Ordinal) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::contact(app, ordinal).item()))
            .update_expression("REMOVE #q")
            // Where there is nothing to remove, an update would make a contact of nobody.
            .condition_expression("attribute_exists(#q)")
            .expression_attribute_names("#q", NAME);
        unless_refused(update.send().await).map(drop)
    }
}

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
fn write(hours: QuietHours) -> AttributeValue {
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
