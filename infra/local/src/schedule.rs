//! Schedules: when a function is woken by the clock, and with what.

use std::fmt;
use std::str::FromStr;

use serde_json::json;

use crate::clock::Civil;
use crate::template::{ACCOUNT, REGION, Schedule};

/// When a schedule ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Every so many seconds.
    Rate(u64),
    /// At the minutes that match.
    Cron(Box<Cron>),
}

/// The six fields of a cron expression, each as the numbers that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: Vec<u32>,
    hours: Vec<u32>,
    days: Option<Vec<u32>>,
    months: Vec<u32>,
    weekdays: Option<Vec<u32>>,
    years: Vec<u32>,
}

/// An expression that is none.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a rate or cron expression that the local stack understands")]
pub struct NotAnExpression(String);

/// No cron expression waits longer than from one leap day to the next, across 2100.
const MINUTES_AHEAD: u64 = 9 * 366 * 24 * 60;

impl Expression {
    /// The first tick after `now` (seconds since 1970), if there is one. A rate counts from `last`.
    pub fn next(&self, last: u64, now: u64) -> Option<u64> {
        match self {
            Expression::Rate(seconds) => Some(last + seconds),
            Expression::Cron(cron) => {
                let minute = now / 60 + 1;
                (minute..minute + MINUTES_AHEAD)
                    .map(|minute| minute * 60)
                    .find(|second| cron.matches(Civil::from_unix(*second)))
            }
        }
    }
}

impl Cron {
    fn matches(&self, moment: Civil) -> bool {
        let within = |field: &Option<Vec<u32>>, value| field.as_ref().is_none_or(|values| values.contains(&value));
        self.minutes.contains(&moment.minute)
            && self.hours.contains(&moment.hour)
            && within(&self.days, moment.day)
            && self.months.contains(&moment.month)
            && within(&self.weekdays, moment.weekday)
            && u32::try_from(moment.year).is_ok_and(|year| self.years.contains(&year))
    }
}

impl FromStr for Expression {
    type Err = NotAnExpression;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || NotAnExpression(text.to_owned());
        let inside = |name: &str| text.trim().strip_prefix(name).and_then(|rest| rest.strip_suffix(')'));
        if let Some(rate) = inside("rate(") {
            return rate_seconds(rate).map(Expression::Rate).ok_or_else(error);
        }
        let cron = inside("cron(").and_then(read_cron).ok_or_else(error)?;
        Ok(Expression::Cron(Box::new(cron)))
    }
}

/// AWS insists on "1 minute" and "2 minutes".
fn rate_seconds(text: &str) -> Option<u64> {
    let (count, unit) = text.trim().split_once(' ')?;
    let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
    let unit = match (count, unit) {
        (1, "minute") | (2.., "minutes") => 60,
        (1, "hour") | (2.., "hours") => 3600,
        (1, "day") | (2.., "days") => 86_400,
        _ => return None,
    };
    Some(count * unit)
}

fn read_cron(text: &str) -> Option<Cron> {
    const DAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday, year] = fields.as_slice() else {
        return None;
    };
    let optional = |field: &str, low, high, names| match field {
        "?" => Some(None),
        _ => numbers(field, low, high, names).map(Some),
    };
    Some(Cron {
        minutes: numbers(minute, 0, 59, &[])?,
        hours: numbers(hour, 0, 23, &[])?,
        days: optional(day, 1, 31, &[])?,
        months: numbers(month, 1, 12, MONTHS)?,
        weekdays: optional(weekday, 1, 7, DAYS)?,
        years: numbers(year, 1970, 2199, &[])?,
    })
}

/// `*`, `5`, `1-5`, `*/10`, `0/15`, `MON-FRI`, and lists of these. `L`, `W` and `#` are not known.
fn numbers(field: &str, low: u32, high: u32, names: &[&str]) -> Option<Vec<u32>> {
    let number = |text: &str| -> Option<u32> {
        let named = names.iter().position(|name| *name == text);
        let number = match named {
            Some(index) => low + u32::try_from(index).ok()?,
            None => text.parse().ok()?,
        };
        (low..=high).contains(&number).then_some(number)
    };
    let mut values = Vec::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        values.extend((from..=to).step_by(step));
    }
    Some(values)
}

/// What the function is sent at a tick: what the template says, or the scheduler's own event.
pub fn event(schedule: &Schedule, function_id: &str, now: u64) -> String {
    if let Some(input) = &schedule.input {
        return input.clone();
    }
    let name = format!("{function_id}{}", schedule.name);
    let (source, resource, detail) = if schedule.scheduler {
        let arn = format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{name}");
        ("aws.scheduler", arn, json!("{}"))
    } else {
        let arn = format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}");
        ("aws.events", arn, json!({}))
    };
    json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": "Scheduled Event",
        "source": source,
        "account": ACCOUNT,
        "time": Civil::from_unix(now).iso(),
        "region": REGION,
        "resources": [resource],
        "detail": detail,
    })
    .to_string()
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Rate(seconds) => write!(f, "every {seconds} s"),
            Expression::Cron(_) => f.write_str("by cron"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, now: &str) -> Option<String> {
        let expression: Expression = expression.parse().unwrap();
        let now = (0..).map(|day| day * 86_400).find(|second| Civil::from_unix(*second).iso() == now).unwrap();
        let next = expression.next(now, now)?;
        Some(Civil::from_unix(next).iso())
    }

    #[test]
    fn a_rate_counts_from_the_last_tick() {
        assert_eq!("rate(5 minutes)".parse::<Expression>().unwrap().next(1000, 1299), Some(1300));
    }

    #[test]
    fn units_agree_in_number_as_aws_insists() {
        assert!("rate(1 minute)".parse::<Expression>().is_ok());
        assert!("rate(1 minutes)".parse::<Expression>().is_err());
        assert!("rate(2 minute)".parse::<Expression>().is_err());
        assert!("rate(0 minutes)".parse::<Expression>().is_err());
    }

    #[test]
    fn cron_finds_the_next_minute_that_matches() {
        assert_eq!(
            next("cron(30 9 ? * MON-FRI *)", "2026-11-21T00:00:00Z").as_deref(),
            Some("2026-11-23T09:30:00Z"),
            "the 21st is a Saturday"
        );
        assert_eq!(next("cron(0/15 * * * ? *)", "2026-11-21T00:00:00Z").as_deref(), Some("2026-11-21T00:15:00Z"));
        assert_eq!(next("cron(0 0 29 2 ? *)", "2026-11-21T00:00:00Z").as_deref(), Some("2028-02-29T00:00:00Z"));
        assert_eq!(next("cron(0 0 1 1 ? 2020)", "2026-11-21T00:00:00Z"), None);
    }

    #[test]
    fn five_fields_are_not_a_cron_expression_of_aws() {
        assert!("cron(0 0 * * *)".parse::<Expression>().is_err());
        assert!("0 0 * * *".parse::<Expression>().is_err());
    }
}
