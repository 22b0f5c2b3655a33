//! The standing of users: what outlives an account, and what is asked of whoever comes in a user's name.

use aws_sdk_dynamodb::Client;

use crate::domain::{AppId, Timestamp, UserId};

use super::item::{self, Item, n, number};
use super::{StoreError, keys};

/// What is held against a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Proofs of identity made at this moment or before prove nothing any more.
    pub void_until: Option<Timestamp>,
}

impl Standing {
    /// Whether a proof of identity that was made at a moment is void.
    pub fn voids(&self, issued_at: Timestamp) -> bool {
        // Whole seconds, as proofs have them: one made in the same second as the verdict cannot be told from one before.
        self.void_until.is_some_and(|until| issued_at.secs() <= until.secs())
    }
}

/// Reads and writes the standing of users.
#[derive(Clone)]
pub struct StandingStore {
    client: Client,
    table: String,
}

impl StandingStore {
    /// Over the table of the audience.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The standing of a user, known or not, strongly consistent.
    pub async fn get(&self, app: &AppId, user: &UserId) -> Result<Standing, StoreError> {
        let item = item::get(&self.client, &self.table, &keys::standing(app, user)).await?;
        Ok(item.as_ref().map_or_else(Standing::default, read))
    }

    /// Makes void what was issued at `at` or before.
    pub async fn void(&self, app: &AppId, user: &UserId, at: Timestamp) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::standing(app, user).item()))
            .update_expression("SET k = :at")
            .expression_attribute_values(":at", n(at.millis()))
            .send()
            .await?;
        Ok(())
    }
}

fn read(item: &Item) -> Standing {
    Standing { void_until: number(item, "k").map(Timestamp::from_millis) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_issued_in_the_second_of_the_verdict_or_before_is_void() {
        let at = |secs| Timestamp::from_secs(secs);
        let standing = Standing { void_until: Some(at(100).plus_millis(500)) };
        assert!(standing.voids(at(99)) && standing.voids(at(100)));
        assert!(!standing.voids(at(101)));
        assert!(!Standing::default().voids(at(0)));
    }
}
