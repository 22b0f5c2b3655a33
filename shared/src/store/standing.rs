//! The standing of users: what outlives an account, and what is asked of whoever comes in a user's name.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, TransactWriteItem, Update};

use crate::domain::{AppId, ConnectionId, Timestamp, UserId};

use super::error::unless_refused;
use super::item::{self, Item, n, number, s, text};
use super::{StoreError, keys};

/// What is held against a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Proofs of identity made at this moment or before prove nothing any more.
    pub void_until: Option<Timestamp>,
    /// When the account was deleted, the last time that it was.
    pub deleted_at: Option<Timestamp>,
}

impl Standing {
    /// Whether a proof of identity that was made at a moment is void.
    pub fn voids(&self, issued_at: Timestamp) -> bool {
        // Whole seconds, as proofs have them: one made in the same second as the verdict cannot be told from one before.
        self.void_until.is_some_and(|until| issued_at.secs() <= until.secs())
    }

    /// The first moment from `now` on whose proofs are not void: `now`, but in the second of a verdict the next second.
    pub fn first_valid(&self, now: Timestamp) -> Timestamp {
        self.void_until.map_or(now, |until| now.max(Timestamp::from_secs(until.secs() + 1)))
    }
}

/// What is asked of a user's standing before an account of its name is made. By default nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Admission {
    /// An account that was deleted after this moment may not come back yet.
    deleted_until: Option<Timestamp>,
    /// When the proof was made by which someone logs in.
    issued_at: Option<Timestamp>,
}

/// Why no account was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// The proof of identity is void.
    Void,
    /// The account was deleted, and may not come back yet.
    Deleted,
}

impl Admission {
    /// A deleted account may come back after so many days. With 0 it may at once, and its deletion is not looked at.
    pub fn after_days(days: u32, now: Timestamp) -> Self {
        let deleted_until = (days > 0).then(|| now.plus_secs(-i64::from(days) * 86_400));
        Self { deleted_until, issued_at: None }
    }

    /// The same for someone who logs in, with a proof of identity that was made at `issued_at`.
    pub fn by_proof_of(self, issued_at: Timestamp) -> Self {
        Self { issued_at: Some(issued_at), ..self }
    }

    pub(super) fn asks_anything(&self) -> bool {
        *self != Self::default()
    }

    pub(super) fn verdict(&self, standing: &Standing) -> Option<Barred> {
        if self.issued_at.is_some_and(|issued_at| standing.voids(issued_at)) {
            return Some(Barred::Void);
        }
        let is_barred = self.deleted_until.zip(standing.deleted_at).is_some_and(|(until, deleted)| deleted > until);
        is_barred.then_some(Barred::Deleted)
    }

    /// The same as part of the transaction that makes the account, so that no deletion comes in between.
    pub(super) fn check(
        &self,
        table: &str,
        app: &AppId,
        user: &UserId,
    ) -> Result<Option<TransactWriteItem>, StoreError> {
        if !self.asks_anything() {
            return Ok(None);
        }
        let mut rules = Vec::new();
        let mut check = ConditionCheck::builder().table_name(table).set_key(Some(keys::standing(app, user).item()));
        if let Some(until) = self.deleted_until {
            rules.push("(attribute_not_exists(x) OR x <= :until)");
            check = check.expression_attribute_values(":until", n(until.millis()));
        }
        if let Some(issued_at) = self.issued_at {
            rules.push("(attribute_not_exists(k) OR k < :issued) AND (attribute_not_exists(x) OR x < :issued)");
            check = check.expression_attribute_values(":issued", n(Timestamp::from_secs(issued_at.secs()).millis()));
        }
        let check = check.condition_expression(rules.join(" AND ")).build()?;
        Ok(Some(TransactWriteItem::builder().condition_check(check).build()))
    }
}

/// What a deleted account has left behind: its sockets may be open, and what its devices acknowledged is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// The user.
    pub user: UserId,
    /// Its sockets, to be closed.
    pub connections: BTreeSet<ConnectionId>,
    pub(super) deleted_at: Timestamp,
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

    /// Makes void what was issued at `at` or before. What is void already stays so.
    pub async fn void(&self, app: &AppId, user: &UserId, at: Timestamp) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::standing(app, user).item()))
            .update_expression("SET k = :at, i = :user")
            .condition_expression("attribute_not_exists(k) OR k < :at")
            .expression_attribute_values(":at", n(at.millis()))
            .expression_attribute_values(":user", s(user.as_str()));
        unless_refused(update.send().await).map(drop)
    }

    /// The standings of users, strongly consistent. Those against whom nothing is held are absent.
    pub(super) async fn get_all(
        &self,
        app: &AppId,
        users: impl Iterator<Item = &UserId>,
    ) -> Result<HashMap<UserId, Standing>, StoreError> {
        let items = self.items(app, users).await?;
        Ok(items.iter().map(|(user, item)| (user.clone(), read(item))).collect())
    }

    /// What deleted accounts have left behind. Those who left nothing are absent.
    pub(super) async fn remains(
        &self,
        app: &AppId,
        users: impl Iterator<Item = &UserId>,
    ) -> Result<Vec<Remains>, StoreError> {
        let items = self.items(app, users).await?;
        Ok(items.into_iter().filter_map(|(user, item)| read_remains(user, &item)).collect())
    }

    /// Notes that what an account left behind is gone, unless it was deleted once more meanwhile.
    pub(super) async fn cleared(&self, app: &AppId, remains: &Remains) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::standing(app, &remains.user).item()))
            .update_expression("REMOVE l")
            .condition_expression("x = :at")
            .expression_attribute_values(":at", n(remains.deleted_at.millis()));
        unless_refused(update.send().await).map(drop)
    }

    /// The write that notes a deletion, and the sockets that it leaves open.
    pub(super) fn deleted<'a>(
        &self,
        app: &AppId,
        user: &UserId,
        connections: impl Iterator<Item = &'a ConnectionId>,
        at: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let left = connections.map(|connection| s(connection.as_str())).collect();
        // Added to what a deletion before this one may have left: both are to be cleared.
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(keys::standing(app, user).item()))
            .update_expression("SET x = :at, i = :user, l = list_append(if_not_exists(l, :none), :left)")
            .expression_attribute_values(":at", n(at.millis()))
            .expression_attribute_values(":user", s(user.as_str()))
            .expression_attribute_values(":none", AttributeValue::L(Vec::new()))
            .expression_attribute_values(":left", AttributeValue::L(left));
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    async fn items(
        &self,
        app: &AppId,
        users: impl Iterator<Item = &UserId>,
    ) -> Result<Vec<(UserId, Item)>, StoreError> {
        let users: BTreeSet<&UserId> = users.collect();
        let keys: Vec<_> = users.into_iter().map(|user| keys::standing(app, user)).collect();
        let items = item::get_all(&self.client, &self.table, &keys).await?;
        let with_user = |item: Item| {
            let user = text(&item, "i").and_then(|user| UserId::try_from(user).ok());
            Ok((user.ok_or_else(|| StoreError::corrupt("standing", "no user"))?, item))
        };
        items.into_iter().map(with_user).collect()
    }
}

fn read(item: &Item) -> Standing {
    let moment = |name| number(item, name).map(Timestamp::from_millis);
    // A deletion voids as a kick does.
    Standing { void_until: moment("k").max(moment("x")), deleted_at: moment("x") }
}

fn read_remains(user: UserId, item: &Item) -> Option<Remains> {
    let left = item.get("l")?.as_l().ok()?;
    let connections = left.iter().filter_map(|id| ConnectionId::try_from(id.as_s().ok()?.as_str()).ok()).collect();
    Some(Remains { user, connections, deleted_at: number(item, "x").map(Timestamp::from_millis)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn what_was_issued_in_the_second_of_the_verdict_or_before_is_void() {
        let standing = Standing { void_until: Some(at(100).plus_millis(500)), deleted_at: None };
        assert!(standing.voids(at(99)) && standing.voids(at(100)));
        assert!(!standing.voids(at(101)));
        assert!(!Standing::default().voids(at(0)));
        for (now, first) in
            [(at(99), at(101)), (at(100).plus_millis(999), at(101)), (at(101).plus_millis(5), at(101).plus_millis(5))]
        {
            assert_eq!(standing.first_valid(now), first);
            assert!(!standing.voids(first));
        }
        assert_eq!(Standing::default().first_valid(at(7)), at(7));
    }

    #[test]
    fn a_deletion_voids_as_a_kick_does_and_the_later_one_counts() {
        let standing = |kicked: Option<i64>, deleted: Option<i64>| {
            let moments = [("k", kicked), ("x", deleted)];
            let item = moments.into_iter().filter_map(|(name, at)| Some((name.to_owned(), n(at?)))).collect();
            read(&item).void_until.map(Timestamp::millis)
        };
        assert_eq!(standing(None, None), None);
        assert_eq!(standing(Some(5), None), Some(5));
        assert_eq!(standing(None, Some(5)), Some(5));
        assert_eq!(standing(Some(7), Some(5)), Some(7));
        assert_eq!(standing(Some(5), Some(7)), Some(7));
    }

    #[test]
    fn a_deleted_account_comes_back_when_its_days_are_over_and_only_by_a_proof_made_since() {
        const DAY: i64 = 86_400;
        let standing = Standing { void_until: Some(at(10 * DAY)), deleted_at: Some(at(10 * DAY)) };
        for (days, now, issued_at, verdict) in [
            (0, at(10 * DAY), None, None),
            (0, at(10 * DAY), Some(at(10 * DAY)), Some(Barred::Void)),
            (0, at(10 * DAY + 1), Some(at(10 * DAY + 1)), None),
            (2, at(10 * DAY), None, Some(Barred::Deleted)),
            (2, at(12 * DAY).plus_millis(-1), None, Some(Barred::Deleted)),
            (2, at(12 * DAY), None, None),
            (2, at(11 * DAY), Some(at(11 * DAY)), Some(Barred::Deleted)),
            (2, at(11 * DAY), Some(at(9 * DAY)), Some(Barred::Void)),
            (2, at(13 * DAY), Some(at(11 * DAY)), None),
        ] {
            let admission = Admission::after_days(days, now);
            let admission = issued_at.map_or(admission, |issued_at| admission.by_proof_of(issued_at));
            assert_eq!(admission.verdict(&standing), verdict, "{days} {now} {issued_at:?}");
            assert_eq!(admission.verdict(&Standing::default()), None);
        }
        assert!(!Admission::after_days(0, at(0)).asks_anything());
    }
}
