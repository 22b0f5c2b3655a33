//! Gates: for how long an app's server is let alone that does not answer as it should.
//!
//! All workers look at one item. The first that fails shuts the gate, for longer each time it happens in a row; the first
//! that is answered well opens it. While it is shut nobody waits for a server that is down.

use std::time::Duration;

use aws_sdk_dynamodb::Client;

use crate::domain::{AppId, Timestamp};

use super::error::condition_failed;
use super::item::{self, n, number};
use super::{StoreError, keys};

/// For how long a gate is shut by the first failure; each one after it doubles that, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(2);
/// The longest time for which a gate is shut: what a server that has recovered waits for at most.
const LONGEST: Duration = Duration::from_secs(300);
/// How long a gate is remembered that nobody came to since, in seconds: a day.
const KEPT_SECS: i64 = 86_400;

/// The gate before an app's server, as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gate {
    /// Until when nobody goes through; `None` if nothing has failed.
    pub shut_until: Option<Timestamp>,
    /// How many openings in a row have failed.
    pub failures: u32,
}

impl Gate {
    /// How long it stays shut from now on, if it is shut.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let millis = self.shut_until?.millis_since(now);
        u64::try_from(millis).ok().filter(|millis| *millis > 0).map(Duration::from_millis)
    }

    /// For how long the next failure shuts it.
    fn next(&self) -> Duration {
        SHORTEST.saturating_mul(1 << self.failures.min(16)).min(LONGEST)
    }
}

/// Reads, shuts and opens gates.
#[derive(Clone)]
pub struct GateStore {
    client: Client,
    table: String,
}

impl GateStore {
    /// Over the table of pushes.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The gate before an app's server.
    pub async fn look(&self, app: &AppId) -> Result<Gate, StoreError> {
        let item = item::get(&self.client, &self.table, &keys::gate(app)).await?.unwrap_or_default();
        Ok(Gate {
            shut_until: number(&item, "t").map(Timestamp::from_millis),
            failures: number(&item, "f").unwrap_or(0),
        })
    }

    /// Shuts it after a failure. Workers that failed side by side have seen the same gate, and count once.
    pub async fn shut(&self, app: &AppId, seen: &Gate, now: Timestamp) -> Result<(), StoreError> {
        let until = now.plus_millis(i64::try_from(seen.next().as_millis()).unwrap_or(i64::MAX));
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::gate(app).item()))
            .update_expression("SET t = :until, f = :failures, expires_at = :end")
            .expression_attribute_values(":until", n(until.millis()))
            .expression_attribute_values(":failures", n(seen.failures.saturating_add(1)))
            .expression_attribute_values(":end", n(now.secs() + KEPT_SECS));
        let update = match seen.failures {
            0 => update.condition_expression("attribute_not_exists(f)"),
            failures => update.condition_expression("f = :seen").expression_attribute_values(":seen", n(failures)),
        };
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) if condition_failed(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens it after an answer as it should be, unless someone has failed since it was seen.
    pub async fn open(&self, app: &AppId, seen: &Gate) -> Result<(), StoreError> {
        if seen.failures == 0 {
            return Ok(());
        }
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::gate(app).item()))
            .condition_expression("f = :seen")
            .expression_attribute_values(":seen", n(seen.failures));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) if condition_failed(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn a_gate_is_shut_for_twice_as_long_each_time_up_to_five_minutes() {
        let waits = [0, 1, 2, 7, 8, 60].map(|failures| Gate { shut_until: None, failures }.next().as_secs());
        assert_eq!(waits, [2, 4, 8, 256, 300, 300]);
    }

    #[test]
    fn a_gate_that_was_never_shut_or_whose_time_is_over_is_open() {
        let gate = |until: Timestamp| Gate { shut_until: Some(until), failures: 1 };
        assert_eq!(Gate::default().wait(NOW), None);
        assert_eq!(gate(NOW).wait(NOW), None);
        assert_eq!(gate(NOW.plus_millis(-1)).wait(NOW), None);
        assert_eq!(gate(NOW.plus_millis(1_500)).wait(NOW), Some(Duration::from_millis(1_500)));
    }
}
