//! Rests: for how long a vendor, or an app's own server, is let alone that does not answer as it should.
//!
//! All workers look at one item. The first that fails begins a rest, a longer one each time it happens in a row. When it
//! is over, one of them [tries](RestStore::probe); the first that is answered well ends it. Meanwhile nobody waits for a
//! server that is down, and nobody sends on a channel that is set up wrongly.

use std::time::Duration;

use aws_sdk_dynamodb::Client;

use crate::domain::{AppId, Timestamp};

use super::error::unless_refused;
use super::item::{self, n, number, s, text};
use super::pace::Paced;
use super::{StoreError, keys};

/// How long the first failure's rest is; each one after it doubles that, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(2);
/// The longest rest: what a server that has recovered waits for at most, before it is called by anyone.
const LONGEST: Duration = Duration::from_secs(300);
/// How long whoever tries keeps the others from it: longer than an answer takes.
const PROBE: Duration = Duration::from_secs(20);
/// How long a rest is remembered that nobody came to since, in seconds: a day.
const KEPT_SECS: i64 = 86_400;

/// A rest, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rest {
    /// Until when nobody is called; `None` if nothing has failed.
    pub until: Option<Timestamp>,
    /// How many rests in a row ended with a failure.
    pub failures: u32,
    /// When the first of them began.
    pub since: Option<Timestamp>,
    /// What went wrong, in a few words.
    pub why: Option<String>,
    /// Whether its end was known from the start.
    pub is_dated: bool,
}

impl Rest {
    /// How much of it is left, if it is not over.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.until?.left(now)
    }

    /// How long the next failure's is.
    fn next(&self) -> Duration {
        SHORTEST.saturating_mul(1 << self.failures.min(16)).min(LONGEST)
    }
}

/// Reads, begins and ends rests. `scope` is the app whose rest it is, or `None` for what all apps share.
#[derive(Clone)]
pub struct RestStore {
    client: Client,
    table: String,
}

impl RestStore {
    /// Over the table of pushes.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The rest of an app's server, or of its channel.
    pub async fn get(&self, scope: Option<&AppId>, paced: impl Into<Paced>) -> Result<Rest, StoreError> {
        let key = keys::rest(scope, paced.into());
        let item = item::get(&self.client, &self.table, &key).await?.unwrap_or_default();
        Ok(Rest {
            until: number(&item, "t").map(Timestamp::from_millis),
            failures: number(&item, "f").unwrap_or(0),
            since: number(&item, "b").map(Timestamp::from_millis),
            why: text(&item, "w").map(str::to_owned),
            is_dated: number(&item, "d") == Some(1),
        })
    }

    /// Begins one after a failure, until a moment or, without one, for longer each time. Workers that failed side by side
    /// have seen the same, and count once: says whether this was counted, and if so, how long it is.
    pub async fn begin(
        &self,
        scope: Option<&AppId>,
        paced: impl Into<Paced>,
        seen: &Rest,
        (why, until): (&str, Option<Timestamp>),
        now: Timestamp,
    ) -> Result<Option<Duration>, StoreError> {
        let is_dated = until.is_some();
        let until = until.unwrap_or_else(|| now.plus(seen.next()));
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::rest(scope, paced.into()).item()))
            .update_expression(
                "SET t = :until, f = :failures, w = :why, d = :dated, b = if_not_exists(b, :now), expires_at = :end",
            )
            .expression_attribute_values(":until", n(until.millis()))
            .expression_attribute_values(":failures", n(seen.failures.saturating_add(1)))
            .expression_attribute_values(":why", s(why))
            .expression_attribute_values(":dated", n(i32::from(is_dated)))
            .expression_attribute_values(":now", n(now.millis()))
            .expression_attribute_values(":end", n(until.secs() + KEPT_SECS));
        let update = match seen.failures {
            0 => update.condition_expression("attribute_not_exists(f)"),
            failures => update.condition_expression("f = :seen").expression_attribute_values(":seen", n(failures)),
        };
        let begun = unless_refused(update.send().await)?;
        Ok(begun.map(|_| until.left(now).unwrap_or_default()))
    }

    /// Asks to be the one who tries, after a rest of failures is over. Says whether the caller is.
    pub async fn probe(
        &self,
        scope: Option<&AppId>,
        paced: impl Into<Paced>,
        seen: &Rest,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let until = now.plus(PROBE);
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::rest(scope, paced.into()).item()))
            .update_expression("SET t = :until")
            .condition_expression("f = :failures AND t = :seen")
            .expression_attribute_values(":until", n(until.millis()))
            .expression_attribute_values(":failures", n(seen.failures))
            .expression_attribute_values(":seen", n(seen.until.unwrap_or(now).millis()));
        Ok(unless_refused(update.send().await)?.is_some())
    }

    /// Ends it after an answer as it should be, unless someone has failed since it was seen. Says whether this ended
    /// one: of workers that are answered side by side, one is told so.
    pub async fn end(&self, scope: Option<&AppId>, paced: impl Into<Paced>, seen: &Rest) -> Result<bool, StoreError> {
        if seen.failures == 0 {
            return Ok(false);
        }
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::rest(scope, paced.into()).item()))
            .condition_expression("f = :seen")
            .expression_attribute_values(":seen", n(seen.failures));
        Ok(unless_refused(delete.send().await)?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn a_rest_is_twice_as_long_each_time_up_to_five_minutes() {
        let waits = [0, 1, 2, 7, 8, 60].map(|failures| Rest { failures, ..Rest::default() }.next().as_secs());
        assert_eq!(waits, [2, 4, 8, 256, 300, 300]);
    }

    #[test]
    fn of_a_rest_that_never_began_or_is_over_nothing_is_left() {
        let rest = |until: Timestamp| Rest { until: Some(until), failures: 1, ..Rest::default() };
        assert_eq!(Rest::default().left(NOW), None);
        assert_eq!(rest(NOW).left(NOW), None);
        assert_eq!(rest(NOW.plus_millis(-1)).left(NOW), None);
        assert_eq!(rest(NOW.plus_millis(1_500)).left(NOW), Some(Duration::from_millis(1_500)));
    }
}
