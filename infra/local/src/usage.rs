//! What the functions have used: DynamoDB units and SQS requests, as AWS would bill them.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::caller::Caller;

/// The counters; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    figures: Arc<Mutex<Figures>>,
}

/// All figures since the start, or since the last reset.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// DynamoDB.
    pub dynamodb: DynamoDb,
    /// SQS.
    pub sqs: Sqs,
}

/// DynamoDB figures; tables go by their logical id.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DynamoDb {
    /// Everything together.
    #[serde(flatten)]
    pub total: Units,
    /// By table and operation. A request on two tables counts for both.
    pub tables: BTreeMap<String, BTreeMap<String, Units>>,
    /// By function.
    pub functions: BTreeMap<String, Units>,
}

/// What DynamoDB requests cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Units {
    /// API requests.
    pub requests: u64,
    /// Read request units.
    pub read_units: f64,
    /// Write request units.
    pub write_units: f64,
}

/// SQS figures; queues go by their logical id.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sqs {
    /// Everything together, without `empty_receives`.
    #[serde(flatten)]
    pub total: Traffic,
    /// Long polls of 20 seconds, on behalf of event source mappings, that brought nothing. They depend
    /// on how long the stack runs and not on what it does.
    pub empty_receives: u64,
    /// By queue and operation.
    pub queues: BTreeMap<String, BTreeMap<String, Traffic>>,
    /// By function; polling is done for a function, and counts for it.
    pub functions: BTreeMap<String, Traffic>,
}

/// What SQS requests cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Requests as billed: one for each 64 KB.
    pub requests: u64,
    /// Messages sent, received or deleted.
    pub messages: u64,
}

impl Usage {
    /// Counts one DynamoDB request, with what it used of each table.
    pub fn count_dynamodb(&self, caller: &Caller, operation: &str, tables: &[(String, Units)]) {
        let mut all = Units { requests: 1, ..Units::default() };
        let mut figures = self.lock();
        for (table, units) in tables {
            all.read_units += units.read_units;
            all.write_units += units.write_units;
            let operations = figures.dynamodb.tables.entry(table.clone()).or_default();
            *operations.entry(operation.to_owned()).or_default() += Units { requests: 1, ..*units };
        }
        figures.dynamodb.total += all;
        let function = figures.dynamodb.functions.entry(caller.function.clone());
        *function.or_default() += all;
    }

    /// Counts one SQS request.
    pub fn count_sqs(&self, caller: &Caller, operation: &str, queue: &str, traffic: Traffic) {
        let mut figures = self.lock();
        figures.sqs.total += traffic;
        let operations = figures.sqs.queues.entry(queue.to_owned()).or_default();
        *operations.entry(operation.to_owned()).or_default() += traffic;
        let function = figures.sqs.functions.entry(caller.function.clone());
        *function.or_default() += traffic;
    }

    /// Counts one long poll that brought nothing.
    pub fn count_empty_receive(&self) {
        self.lock().sqs.empty_receives += 1;
    }

    /// All figures so far.
    pub fn figures(&self) -> Figures {
        self.lock().clone()
    }

    /// Starts anew.
    pub fn reset(&self) {
        *self.lock() = Figures::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AddAssign for Units {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.read_units += other.read_units;
        self.write_units += other.write_units;
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.messages += other.messages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_on_two_tables_is_one_request_and_both_tables_units() {
        let usage = Usage::default();
        let unit = |write_units| Units { write_units, ..Units::default() };
        usage.count_dynamodb(
            &Caller::named("audience.1"),
            "TransactWriteItems",
            &[("A".to_owned(), unit(2.0)), ("B".to_owned(), unit(4.0))],
        );
        let figures = usage.figures().dynamodb;
        assert_eq!(figures.total.requests, 1);
        assert!((figures.total.write_units - 6.0).abs() < f64::EPSILON);
        assert_eq!(figures.tables["A"]["TransactWriteItems"].requests, 1);
        assert_eq!(figures.functions["audience"].requests, 1);
    }

    #[test]
    fn a_reset_starts_anew() {
        let usage = Usage::default();
        usage.count_empty_receive();
        usage.reset();
        assert_eq!(usage.figures().sqs.empty_receives, 0);
    }
}
