//! How often commands are called: one counter for each command of an app and each second.

use aws_sdk_dynamodb::Client;

use crate::domain::{AppId, Timestamp};

use super::error::unless_refused;
use super::item::n;
use super::{StoreError, keys};

/// How long a counter stays after its second: any time, for nobody looks at it again. A minute suits clocks that differ.
const KEPT_SECS: i64 = 60;

/// Counts calls.
#[derive(Clone)]
pub struct CallStore {
    client: Client,
    table: String,
}

impl CallStore {
    /// Over the table of the audience.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Counts a call of `command` within the present second, if that makes no more than `limit`. Says whether it did:
    /// however many come at once, exactly `limit` of a second pass. (If an answer is lost on the way, its call may count
    /// twice. More than `limit` never pass.)
    pub async fn count(&self, app: &AppId, command: &str, limit: u32, now: Timestamp) -> Result<bool, StoreError> {
        if limit == 0 {
            return Ok(false);
        }
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::calls(app, command, now).item()))
            .update_expression("SET expires_at = :end ADD n :one")
            .condition_expression("attribute_not_exists(n) OR n < :limit")
            .expression_attribute_values(":end", n(now.secs() + KEPT_SECS))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":limit", n(limit));
        Ok(unless_refused(update.send().await)?.is_some())
    }
}
