//! What functions count: the lines in CloudWatch's Embedded Metric Format, added up for `/_local/metrics`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Map, Value};

/// Sums by metric, and in it by the values of its dimensions.
pub type Sums = BTreeMap<String, BTreeMap<String, u64>>;

/// The sums of all lines; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    sums: Arc<Mutex<Sums>>,
}

impl Metrics {
    /// Adds what a line counts, if it counts anything. One that CloudWatch would not count is not counted here either,
    /// and said to be wrong, of which CloudWatch only says that there was one.
    pub fn take(&self, line: &str) {
        match samples(line) {
            Ok(samples) => {
                let mut sums = self.lock();
                for (name, dimensions, count) in samples {
                    *sums.entry(name).or_default().entry(dimensions).or_default() += count;
                }
            }
            Err(error) => tracing::error!(%error, "A line is no metric, though it says so: {line}"),
        }
    }

    /// All that was counted.
    pub fn sums(&self) -> Sums {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a line says that it is for CloudWatch to count. Most are not, and none is parsed in vain.
pub fn is_metric(line: &str) -> bool {
    line.starts_with('{') && line.contains("\"_aws\"")
}

/// Why CloudWatch would not count a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Error {
    #[error("it is not as the format specifies: {0}")]
    Format(String),
    #[error("its `Namespace` is not of 1 to 1024 characters")]
    Namespace,
    #[error("a dimension set has more than 30 dimensions")]
    Dimensions,
    #[error("it has no text `{0}`, which is a dimension")]
    Dimension(String),
    #[error("it has no whole number `{0}`, which is a metric")]
    Metric(String),
    #[error("`{0}` is no unit that is known here")]
    Unit(String),
    #[error("it has more than 100 metrics")]
    Metrics,
}

/// A document of the format, as its specification has it. Its other members are what one searches for.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "_aws")]
    aws: Metadata,
    #[serde(flatten)]
    members: Map<String, Value>,
}

#[derive(Deserialize)]
struct Metadata {
    /// Milliseconds since 1970.
    #[serde(rename = "Timestamp")]
    _timestamp: u64,
    #[serde(rename = "CloudWatchMetrics")]
    directives: Vec<Directive>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Directive {
    namespace: String,
    dimensions: Vec<Vec<String>>,
    metrics: Vec<Definition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Definition {
    name: String,
    unit: Option<String>,
}

/// What a line counts: names, the values of the dimensions, counts.
fn samples(line: &str) -> Result<Vec<(String, String, u64)>, Error> {
    if !is_metric(line) {
        return Ok(Vec::new());
    }
    let document: Document = serde_json::from_str(line).map_err(|error| Error::Format(error.to_string()))?;
    let mut samples = Vec::new();
    for directive in &document.aws.directives {
        directive.check()?;
        for set in &directive.dimensions {
            let dimensions = dimensions(&document.members, set)?;
            for metric in &directive.metrics {
                let value = document.members.get(&metric.name).and_then(Value::as_u64);
                let count = value.ok_or_else(|| Error::Metric(metric.name.clone()))?;
                samples.push((metric.name.clone(), dimensions.clone(), count));
            }
        }
    }
    Ok(samples)
}

impl Directive {
    fn check(&self) -> Result<(), Error> {
        if !(1..=1024).contains(&self.namespace.len()) {
            return Err(Error::Namespace);
        }
        if self.dimensions.iter().any(|set| set.len() > 30) {
            return Err(Error::Dimensions);
        }
        if self.metrics.len() > 100 {
            return Err(Error::Metrics);
        }
        match self.metrics.iter().filter_map(|metric| metric.unit.as_ref()).find(|unit| *unit != "Count") {
            Some(unit) => Err(Error::Unit(unit.clone())),
            None => Ok(()),
        }
    }
}

fn dimensions(members: &Map<String, Value>, set: &[String]) -> Result<String, Error> {
    let value = |name: &String| match members.get(name) {
        Some(Value::String(value)) if !value.is_empty() => Ok(value.as_str()),
        _ => Err(Error::Dimension(name.clone())),
    };
    Ok(set.iter().map(value).collect::<Result<Vec<_>, _>>()?.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line() -> Value {
        json!({
            "_aws": {
                "Timestamp": 1_700_000_000_000_u64,
                "CloudWatchMetrics": [{
                    "Namespace": "fanfare",
                    "Dimensions": [["Channel"]],
                    "Metrics": [{"Name": "Delivered", "Unit": "Count"}, {"Name": "Failed"}],
                }],
            },
            "Channel": "fcm",
            "App": "app",
            "Delivered": 3,
            "Failed": 1,
        })
    }

    #[test]
    fn lines_are_added_up_by_name_and_dimension() {
        let metrics = Metrics::default();
        metrics.take(&line().to_string());
        metrics.take(&line().to_string());
        let mut other = line();
        other["Channel"] = json!("apns");
        metrics.take(&other.to_string());
        metrics.take(r#"{"level":"INFO","fields":{"message":"hello"}}"#);
        metrics.take("worked on one");
        let sums = json!({"Delivered": {"apns": 3, "fcm": 6}, "Failed": {"apns": 1, "fcm": 2}});
        assert_eq!(json!(metrics.sums()), sums);
    }

    #[test]
    fn what_cloudwatch_would_not_count_is_not_counted() {
        let directive = "/_aws/CloudWatchMetrics/0";
        let cases = [
            ("/_aws/Timestamp".to_owned(), json!("now"), "it is not as the format specifies"),
            (format!("{directive}/Metrics"), json!({}), "it is not as the format specifies"),
            (format!("{directive}/Namespace"), json!(""), "its `Namespace`"),
            (format!("{directive}/Dimensions"), json!([vec!["Channel"; 31]]), "a dimension set has more"),
            (format!("{directive}/Dimensions"), json!([["Vendor"]]), "it has no text `Vendor`"),
            (format!("{directive}/Metrics"), json!(vec![json!({"Name": "Failed"}); 101]), "it has more than 100"),
            (format!("{directive}/Metrics/0/Unit"), json!("Pieces"), "`Pieces` is no unit"),
            ("/Channel".to_owned(), json!(7), "it has no text `Channel`"),
            ("/Channel".to_owned(), json!(""), "it has no text `Channel`"),
            ("/Delivered".to_owned(), json!("3"), "it has no whole number `Delivered`"),
            ("/Delivered".to_owned(), json!(-3), "it has no whole number `Delivered`"),
        ];
        for (place, value, reason) in cases {
            let mut line = line();
            *line.pointer_mut(&place).unwrap() = value;
            let error = samples(&line.to_string()).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{place}: {error}");
            let metrics = Metrics::default();
            metrics.take(&line.to_string());
            assert_eq!(metrics.sums(), Sums::new(), "{place}");
        }
    }
}
