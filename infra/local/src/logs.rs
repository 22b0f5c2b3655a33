//! What functions write, line by line: kept for `/_local/logs`, and shown from a level on.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::metrics::{Metrics, is_metric};

/// How many lines are kept.
const KEPT: usize = 5000;

/// From how bad on a line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// Everything.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What happens.
    Info,
    /// What should not happen, and a panic.
    Warn,
    /// What failed.
    Error,
    /// Nothing.
    Off,
}

/// Where the lines go; clones share it.
#[derive(Clone, Debug)]
pub struct Logs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    level: Level,
    file: Option<Mutex<File>>,
    lines: Mutex<VecDeque<Line>>,
    metrics: Metrics,
}

/// One line of one environment.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Milliseconds since 1970, by the stack's clock.
    pub at: u64,
    /// The environment, such as `audience.2`.
    pub environment: String,
    /// What it wrote.
    pub line: String,
}

impl Logs {
    /// Lines from `level` on are shown on standard error; with a file, all of them go there instead.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn new(level: Level, file: Option<&Path>) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                level,
                file: file.map(File::create).transpose()?.map(Mutex::new),
                lines: Mutex::default(),
                metrics: Metrics::default(),
            }),
        })
    }

    /// The level from which lines are shown.
    pub fn level(&self) -> Level {
        self.shared.level
    }

    /// Takes a line that a function wrote.
    pub fn take(&self, line: Line, is_error: bool) {
        let shown = format!("{} | {}\n", line.environment, line.line);
        // A terminal or a file that is gone takes nothing down.
        if let Some(file) = &self.shared.file {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            drop(file.write_all(shown.as_bytes()));
        } else if level_of(&line.line, is_error) >= self.shared.level {
            drop(io::stderr().write_all(shown.as_bytes()));
        }
        self.shared.metrics.take(&line.line);
        let mut lines = self.lines();
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The lines that were kept, oldest first, of one function or of all.
    pub fn kept(&self, function: Option<&str>) -> Vec<Line> {
        let wanted = |line: &&Line| {
            function.is_none_or(|function| {
                let number = line.environment.strip_prefix(function);
                number.is_some_and(|number| number.starts_with('.'))
            })
        };
        self.lines().iter().filter(wanted).cloned().collect()
    }

    /// What the lines have counted.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, VecDeque<Line>> {
        self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line that does not say its level is bad news on standard error, and news on standard output. What a metric says is
/// only that Lambda shall keep it.
fn level_of(line: &str, is_error: bool) -> Level {
    if is_metric(line) {
        return Level::Info;
    }
    let unsaid = if is_error { Level::Warn } else { Level::Info };
    if line.starts_with('{')
        && let Ok(Value::Object(fields)) = serde_json::from_str(line)
    {
        let level = fields.get("level").and_then(Value::as_str);
        return level.and_then(named).unwrap_or(unsaid);
    }
    let mut words = line.split([' ', '\u{1b}', 'm']).take(8);
    words.find_map(named).unwrap_or(unsaid)
}

fn named(word: &str) -> Option<Level> {
    match word {
        "TRACE" => Some(Level::Trace),
        "DEBUG" => Some(Level::Debug),
        "INFO" => Some(Level::Info),
        "WARN" => Some(Level::Warn),
        "ERROR" => Some(Level::Error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_read_from_both_log_formats() {
        let json = r#"{"timestamp":"2026-11-21T00:00:00Z","level":"ERROR","message":"no"}"#;
        assert_eq!(level_of(json, false), Level::Error);
        assert_eq!(level_of("2026-11-21T00:00:00Z  INFO audience: yes", true), Level::Info);
        assert_eq!(level_of("\u{1b}[33m WARN\u{1b}[0m audience: hm", false), Level::Warn);
    }

    #[test]
    fn a_panic_is_shown_and_a_metric_is_not() {
        assert_eq!(level_of("thread 'main' panicked at src/lib.rs:1:1:", true), Level::Warn);
        assert_eq!(level_of(r#"{"_aws":{"Timestamp":0},"level":"WARN"}"#, false), Level::Info);
    }

    #[test]
    fn lines_are_kept_by_function() {
        let logs = Logs::new(Level::Off, None).unwrap();
        for environment in ["deliver-ws.1", "deliver-ws.2", "deliver.1"] {
            let line = Line { at: 0, environment: environment.to_owned(), line: String::new() };
            logs.take(line, false);
        }
        assert_eq!(logs.kept(Some("deliver")).len(), 1);
        assert_eq!(logs.kept(Some("deliver-ws")).len(), 2);
        assert_eq!(logs.kept(None).len(), 3);
    }
}
