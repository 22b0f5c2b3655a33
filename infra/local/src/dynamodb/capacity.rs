//! What a request cost, from the answer; and where the answer says nothing, from AWS's rules.
//!
//! dynoxide reports what AWS documents for requests that succeed (the tests beside this file hold it
//! to that): items are rounded up one by one, except in a Query or Scan, whose sum is rounded once;
//! reads that may be stale cost half; transactions cost double. What neither it nor AWS reports is
//! the cost of a request that a condition refused, and that is not nothing.

use std::collections::HashMap;

use bytes::Bytes;
use dynoxide::Database;
use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::types::item_size;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::template::Table;
use crate::usage::Units;

/// Operations that answer with the capacity they consumed, if asked.
const METERED: &[&str] = &[
    "BatchExecuteStatement",
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "ExecuteStatement",
    "ExecuteTransaction",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
];

/// What each table spent.
pub(super) type Spent = Vec<(String, Units)>;

/// The request, asking for its consumed capacity in any case.
pub(super) fn asked(operation: &str, body: &Bytes) -> Bytes {
    #[derive(Deserialize)]
    struct Request {
        #[serde(rename = "ReturnConsumedCapacity")]
        mode: Option<String>,
    }
    if !METERED.contains(&operation) {
        return body.clone();
    }
    let Ok(request) = serde_json::from_slice::<Request>(body) else {
        return body.clone();
    };
    match request.mode.as_deref() {
        None => inserted(body),
        Some("NONE") => replaced(body),
        Some(_) => body.clone(),
    }
}

/// Puts the question first in the object; the rest stays byte for byte.
fn inserted(body: &Bytes) -> Bytes {
    let Some(open) = body.iter().position(|byte| *byte == b'{') else {
        return body.clone();
    };
    let rest = &body[open + 1..];
    let empty = rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    let question: &[u8] =
        if empty { br#"{"ReturnConsumedCapacity":"TOTAL""# } else { br#"{"ReturnConsumedCapacity":"TOTAL","# };
    Bytes::from([question, rest].concat())
}

fn replaced(body: &Bytes) -> Bytes {
    let Ok(mut request) = serde_json::from_slice::<Map<String, Value>>(body) else {
        return body.clone();
    };
    request.insert("ReturnConsumedCapacity".to_owned(), Value::from("TOTAL"));
    serde_json::to_vec(&request).map_or_else(|_| body.clone(), Bytes::from)
}

/// What a request that succeeded used, from its answer.
pub(super) fn used(operation: &str, answer: &Bytes) -> Spent {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "ConsumedCapacity")]
        consumed: Option<OneOrMany>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<Consumed>),
        One(Consumed),
        Other(IgnoredAny),
    }
    let consumed = match serde_json::from_slice::<Answer>(answer) {
        Ok(Answer { consumed }) => consumed,
        Err(_) => None,
    };
    let consumed = match consumed {
        Some(OneOrMany::Many(many)) => many,
        Some(OneOrMany::One(one)) => vec![one],
        Some(OneOrMany::Other(_)) | None => Vec::new(),
    };
    consumed.into_iter().map(|consumed| (consumed.table.clone(), consumed.units(operation))).collect()
}

#[derive(Deserialize)]
struct Consumed {
    #[serde(rename = "TableName")]
    table: String,
    #[serde(rename = "CapacityUnits", default)]
    total: f64,
    #[serde(rename = "ReadCapacityUnits")]
    read: Option<f64>,
    #[serde(rename = "WriteCapacityUnits")]
    write: Option<f64>,
}

impl Consumed {
    /// Only transactions say which units they used. For the others the operation does.
    fn units(&self, operation: &str) -> Units {
        let (read_units, write_units) = match (self.read, self.write) {
            (None, None) if writes(operation) => (0.0, self.total),
            (None, None) => (self.total, 0.0),
            (read, write) => (read.unwrap_or(0.0), write.unwrap_or(0.0)),
        };
        Units { requests: 0, read_units, write_units }
    }
}

fn writes(operation: &str) -> bool {
    matches!(operation, "BatchWriteItem" | "DeleteItem" | "PutItem" | "TransactWriteItems" | "UpdateItem")
}

/// Prices what the emulator does not.
pub(super) struct Meter {
    database: Database,
    keys: HashMap<String, Vec<String>>,
}

impl Meter {
    pub fn new(database: Database, tables: &[Table]) -> Self {
        let keys = tables.iter().map(|table| {
            let attributes = [Some(&table.hash), table.range.as_ref()];
            let names = attributes.into_iter().flatten();
            let names = names.map(|attribute| attribute.name.clone()).collect();
            (table.name.clone(), names)
        });
        Self { database, keys: keys.collect() }
    }

    /// What a refused request used.
    ///
    /// The rules, from the developer guide: a write whose condition is false consumes write units for
    /// the item that is there, and one when there is none. A transaction prepares every item and then
    /// commits it, a write each; a transaction that a condition cancels was prepared, so it has used
    /// the first half: for each action the larger of the item that is there and the one to put. Other
    /// errors (validation, throttling, conflicts, outages) use nothing.
    pub async fn used_by_refused(&self, operation: &str, request: &Bytes, answer: &Bytes) -> Spent {
        let Some(writes) = refused_writes(operation, request, answer) else {
            return Vec::new();
        };
        let mut spent: Spent = Vec::new();
        for write in writes {
            let existing = self.size_of(&write).await;
            let bytes = existing.max(write.new_bytes);
            let units = Units { requests: 0, read_units: 0.0, write_units: write_units(bytes) };
            match spent.iter_mut().find(|(table, _)| *table == write.table) {
                Some((_, total)) => *total += units,
                None => spent.push((write.table, units)),
            }
        }
        spent
    }

    /// How large the item is that the write would have changed.
    async fn size_of(&self, write: &Write) -> usize {
        let key: Map<String, Value> = match self.keys.get(&write.table) {
            Some(names) => write
                .attributes
                .iter()
                .filter(|(name, _)| names.contains(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            None => return 0,
        };
        let Ok(key) = serde_json::from_value(Value::Object(key)) else {
            return 0;
        };
        let request = GetItemRequest { table_name: write.table.clone(), key, ..GetItemRequest::default() };
        let database = self.database.clone();
        let answer = tokio::task::spawn_blocking(move || database.get_item(request)).await;
        match answer {
            Ok(Ok(answer)) => answer.item.as_ref().map_or(0, item_size),
            _ => 0,
        }
    }
}

/// One action that a condition kept from happening.
struct Write {
    table: String,
    /// The key, or the whole item of a put.
    attributes: Map<String, Value>,
    /// What a put in a transaction would have written.
    new_bytes: usize,
}

fn refused_writes(operation: &str, request: &Bytes, answer: &Bytes) -> Option<Vec<Write>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let error = answer["__type"].as_str()?.rsplit('#').next()?.to_owned();
    let request: Value = serde_json::from_slice(request).ok()?;
    match (operation, error.as_str()) {
        ("PutItem" | "UpdateItem" | "DeleteItem", "ConditionalCheckFailedException") => {
            let mut write = write(&request)?;
            write.new_bytes = 0;
            Some(vec![write])
        }
        ("TransactWriteItems", "TransactionCanceledException") => {
            let reasons = answer["CancellationReasons"].as_array()?;
            let by_condition = reasons.iter().any(|reason| reason["Code"] == "ConditionalCheckFailed");
            if !by_condition {
                return None;
            }
            let actions = request["TransactItems"].as_array()?;
            let actions = actions.iter().filter_map(Value::as_object);
            Some(actions.filter_map(|action| write(action.values().next()?)).collect())
        }
        _ => None,
    }
}

fn write(action: &Value) -> Option<Write> {
    let item = action["Item"].as_object();
    let attributes = item.or_else(|| action["Key"].as_object())?.clone();
    let new_bytes =
        item.map_or(0, |item| serde_json::from_value(Value::Object(item.clone())).as_ref().map_or(0, item_size));
    Some(Write { table: action["TableName"].as_str()?.to_owned(), attributes, new_bytes })
}

/// A unit for each KB, and one at least.
#[expect(clippy::cast_precision_loss, reason = "an item has at most 400 KB")]
fn write_units(bytes: usize) -> f64 {
    bytes.div_ceil(1024).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.to_owned())
    }

    #[test]
    fn a_request_that_does_not_ask_is_made_to_ask() {
        assert_eq!(
            asked("GetItem", &bytes(r#"{"TableName":"t","Key":{"pk":{"S":"a"}}}"#)),
            bytes(r#"{"ReturnConsumedCapacity":"TOTAL","TableName":"t","Key":{"pk":{"S":"a"}}}"#)
        );
        let none = asked("GetItem", &bytes(r#"{"ReturnConsumedCapacity":"NONE"}"#));
        assert_eq!(none, bytes(r#"{"ReturnConsumedCapacity":"TOTAL"}"#));
    }

    #[test]
    fn a_request_that_asks_by_itself_is_left_alone() {
        let request = bytes(r#"{"TableName":"t","ReturnConsumedCapacity":"INDEXES"}"#);
        assert_eq!(asked("Query", &request), request);
    }

    #[test]
    fn an_attribute_of_that_name_is_not_the_question() {
        let request = bytes(r#"{"Key":{"ReturnConsumedCapacity":{"S":"NONE"}}}"#);
        assert!(asked("GetItem", &request).starts_with(br#"{"ReturnConsumedCapacity":"TOTAL","#));
    }

    #[test]
    fn other_operations_are_not_asked() {
        let request = bytes(r#"{"TableName":"t"}"#);
        assert_eq!(asked("DescribeTable", &request), request);
    }

    #[test]
    fn one_table_and_several_are_read_alike() {
        let one = used("Query", &bytes(r#"{"Items":[],"ConsumedCapacity":{"TableName":"a","CapacityUnits":2.5}}"#));
        assert_eq!(one[0].0, "a");
        assert!((one[0].1.read_units - 2.5).abs() < f64::EPSILON);
        let many = used(
            "TransactWriteItems",
            &bytes(
                r#"{"ConsumedCapacity":[
                    {"TableName":"a","CapacityUnits":4.0,"WriteCapacityUnits":4.0},
                    {"TableName":"b","CapacityUnits":2.0,"ReadCapacityUnits":2.0}]}"#,
            ),
        );
        assert!((many[0].1.write_units - 4.0).abs() < f64::EPSILON);
        assert!((many[1].1.read_units - 2.0).abs() < f64::EPSILON);
    }
}
