//! Metrics of the channels, as lines of the log in CloudWatch's Embedded Metric Format: CloudWatch counts them as they
//! arrive. No call is made, and nothing is lost with an environment that is frozen.

use std::collections::BTreeMap;
use std::io::{self, Write};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::Serialize;

use crate::domain::{AppId, Channel, Tally, Timestamp};

use super::config::{ConfigError, Lookup, optional, required};

/// What is counted, in devices unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum MetricName {
    /// Taken by the vendor, or written to the socket.
    Delivered,
    /// Given up: refused for good, or tried too often.
    Failed,
    /// The vendor called the token dead, or the connection was gone.
    Invalid,
    /// Kept back: the user or the vendor does not want pushes there.
    Suppressed,
    /// The lifetime ended first, or the push was withdrawn.
    Expired,
    /// To be tried again.
    Retried,
    /// Of which the vendor said: too fast.
    Throttled,
    /// Not sent, because the batch missed its turn.
    Unsent,
    /// Forgotten, because their vendor's word was believed.
    Forgotten,
    /// Called dead and kept, because the word was not believed.
    Doubted,
    /// Batches after which a channel of an app was stopped.
    Stopped,
}

impl MetricName {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::Delivered,
        Self::Failed,
        Self::Invalid,
        Self::Suppressed,
        Self::Expired,
        Self::Retried,
        Self::Throttled,
        Self::Unsent,
        Self::Forgotten,
        Self::Doubted,
        Self::Stopped,
    ];
}

/// What is counted of one attempt at a batch. CloudWatch adds it up by channel; the app is only in the line, where Logs
/// Insights finds it, for every value of a dimension is a metric that is paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchMetrics {
    channel: Channel,
    app: AppId,
    counts: BTreeMap<MetricName, usize>,
}

impl BatchMetrics {
    /// Nothing yet, of an app's channel.
    pub fn of(channel: Channel, app: &AppId) -> Self {
        Self { channel, app: app.clone(), counts: BTreeMap::new() }
    }

    /// Adds to a count. Nothing is left out of the line, and not written as zero.
    #[must_use]
    pub fn count(mut self, name: MetricName, count: usize) -> Self {
        if count > 0 {
            *self.counts.entry(name).or_default() += count;
        }
        self
    }

    /// Adds the devices that ended in this attempt.
    #[must_use]
    pub fn tally(self, tally: &Tally) -> Self {
        let Tally { delivered, failed, invalid, suppressed, expired } = *tally;
        self.count(MetricName::Delivered, delivered as usize)
            .count(MetricName::Failed, failed as usize)
            .count(MetricName::Invalid, invalid as usize)
            .count(MetricName::Suppressed, suppressed as usize)
            .count(MetricName::Expired, expired as usize)
    }
}

/// Writes metrics. Clones write the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    namespace: String,
    level: String,
}

impl Metrics {
    /// From `FANFARE_METRICS_NAMESPACE`, under which CloudWatch keeps this installation's metrics apart from another's,
    /// and the level that Lambda is set to keep.
    pub fn from_lookup(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        Ok(Self { namespace: required(lookup, "FANFARE_METRICS_NAMESPACE")?, level: level(lookup) })
    }

    /// Writes one line, in one piece, so that those of invocations side by side do not mix. None if there is nothing to
    /// count. Output that is gone takes nothing down: what was sent was sent.
    pub fn emit(&self, metrics: &BatchMetrics, now: Timestamp) {
        if let Some(line) = self.line(metrics, now) {
            drop(io::stdout().lock().write_all(line.as_bytes()));
        }
    }

    fn line(&self, metrics: &BatchMetrics, now: Timestamp) -> Option<String> {
        if metrics.counts.is_empty() {
            return None;
        }
        let defined = metrics.counts.keys().map(|name| Definition { name: *name, unit: "Count" }).collect();
        let directive = Directive { namespace: &self.namespace, dimensions: [["Channel"]], metrics: defined };
        let line = Line {
            aws: Metadata { timestamp: now.millis(), directives: [directive] },
            level: &self.level,
            // Every moment of a clock can be written so; a line without one is a metric all the same.
            timestamp: DateTime::from_millis(now.millis()).fmt(Format::DateTime).unwrap_or_default(),
            channel: metrics.channel,
            app: &metrics.app,
            counts: &metrics.counts,
        };
        serde_json::to_string(&line).ok().map(|line| line + "\n")
    }
}

/// The level that keeps a line whatever level Lambda is set to keep: that one itself. Lambda reads a line that says no
/// level, or no `timestamp` in RFC 3339, as one at `INFO`, and drops it where only warnings are kept (Lambda's developer
/// guide, "Log-level filtering"). Lines at `ERROR` are counted by an alarm, so there it is the one above.
fn level(lookup: &impl Lookup) -> String {
    match optional(lookup, "AWS_LAMBDA_LOG_LEVEL") {
        Some(level) if level == "ERROR" => "FATAL".to_owned(),
        Some(level) => level,
        None => "INFO".to_owned(),
    }
}

/// A document of the format (CloudWatch's user guide, "Specification: Embedded metric format"), with what Lambda wants of
/// a line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    aws: Metadata<'a>,
    level: &'a str,
    timestamp: String,
    #[serde(rename = "Channel")]
    channel: Channel,
    #[serde(rename = "App")]
    app: &'a AppId,
    #[serde(flatten)]
    counts: &'a BTreeMap<MetricName, usize>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(rename = "Timestamp")]
    timestamp: i64,
    #[serde(rename = "CloudWatchMetrics")]
    directives: [Directive<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    dimensions: [[&'a str; 1]; 1],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: MetricName,
    unit: &'static str,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

    fn metrics(log_level: Option<&str>) -> Metrics {
        let lookup = |name: &str| match name {
            "FANFARE_METRICS_NAMESPACE" => Some("two".to_owned()),
            "AWS_LAMBDA_LOG_LEVEL" => log_level.map(str::to_owned),
            _ => None,
        };
        Metrics::from_lookup(&lookup).unwrap()
    }

    fn of(channel: Channel) -> BatchMetrics {
        BatchMetrics::of(channel, &AppId::try_from("app").unwrap())
    }

    #[test]
    fn a_line_is_what_the_format_specifies() {
        let tally = Tally { delivered: 7, invalid: 2, ..Tally::default() };
        let sent = of(Channel::Fcm).tally(&tally).count(MetricName::Forgotten, 1).count(MetricName::Forgotten, 1);
        let line = metrics(Some("INFO")).line(&sent, NOW).unwrap();
        assert_eq!(line.find('\n'), Some(line.len() - 1), "one line: {line}");
        let expected = json!({
            "_aws": {
                "Timestamp": 1_700_000_000_123_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "two",
                    "Dimensions": [["Channel"]],
                    "Metrics": [
                        {"Name": "Delivered", "Unit": "Count"},
                        {"Name": "Invalid", "Unit": "Count"},
                        {"Name": "Forgotten", "Unit": "Count"},
                    ],
                }],
            },
            "level": "INFO",
            "timestamp": "2023-11-14T22:13:20.123Z",
            "Channel": "fcm",
            "App": "app",
            "Delivered": 7,
            "Invalid": 2,
            "Forgotten": 2,
        });
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
    }

    #[test]
    fn every_metric_has_a_name_of_its_own_and_goes_into_one_line() {
        let all = MetricName::ALL.iter().fold(of(Channel::Ws), |all, name| all.count(*name, 1));
        let line: Value = serde_json::from_str(&metrics(None).line(&all, NOW).unwrap()).unwrap();
        let defined = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        assert_eq!(defined.len(), MetricName::ALL.len());
        for definition in defined {
            assert_eq!(line[definition["Name"].as_str().unwrap()], 1, "{definition}");
        }
    }

    #[test]
    fn nothing_is_no_line() {
        let nothing = of(Channel::Apns).tally(&Tally::default()).count(MetricName::Stopped, 0);
        assert_eq!(metrics(None).line(&nothing, NOW), None);
    }

    #[test]
    fn a_line_passes_at_any_level_and_is_never_an_error() {
        let levels = [
            (None, "INFO"),
            (Some(""), "INFO"),
            (Some("TRACE"), "TRACE"),
            (Some("DEBUG"), "DEBUG"),
            (Some("INFO"), "INFO"),
            (Some("WARN"), "WARN"),
            (Some("ERROR"), "FATAL"),
            (Some("FATAL"), "FATAL"),
        ];
        for (kept, said) in levels {
            assert_eq!(metrics(kept).level, said, "{kept:?}");
        }
    }

    #[test]
    fn a_namespace_is_needed() {
        let error = Metrics::from_lookup(&|_: &str| None).unwrap_err();
        assert_eq!(error.to_string(), "`FANFARE_METRICS_NAMESPACE` is not set");
    }

    #[test]
    fn every_metric_is_documented() {
        let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATIONS.md"));
        let section = page.split("\n## ").find(|section| section.starts_with("Metrics\n")).unwrap();
        let documented: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(documented, MetricName::ALL.map(|name| format!("{name:?}")));
    }
}
