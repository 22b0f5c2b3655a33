//! Faults on request: a call of a function is the moment when something goes wrong.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::caller::Caller;

/// The services whose calls can go wrong.
const SERVICES: [&str; 4] = ["dynamodb", "sqs", "execute-api", "lambda"];

/// What shall go wrong, as `PUT /_local/faults` says it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Kill the calling environment (SIGKILL).
    pub kill: Vec<Kill>,
    /// Answer with an error instead of doing it.
    pub fail: Vec<Fail>,
    /// Do it, and break the connection instead of answering.
    pub lose: Vec<Rule>,
    /// Do it twice, and answer once: what is sent to a queue arrives twice.
    pub duplicate: Vec<Rule>,
    /// Do it late.
    pub slow: Vec<Slow>,
}

/// Why a plan is refused: a fault that never strikes would let every test pass.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It is no plan.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It names what there is not.
    #[error("unknown {what} `{name}`, expected one of `{}`", .known.join("`, `"))]
    Unknown {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
}

/// Which calls are meant. What is left out matches everything.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Rule {
    /// The calling function, such as `push-intake`.
    #[serde(default)]
    pub function: Option<String>,
    /// `dynamodb`, `sqs`, `execute-api` (`PostToConnection`, `DeleteConnection`) or `lambda` (`Response`: the answer to an invocation).
    #[serde(default)]
    pub service: Option<String>,
    /// The API operation, such as `SendMessage`.
    #[serde(default)]
    pub operation: Option<String>,
    /// From which matching call on, counted from 1 over all environments.
    #[serde(default = "one")]
    pub nth: u64,
    /// For how many matching calls.
    #[serde(default = "one")]
    pub times: u64,
    /// How many calls have matched so far.
    #[serde(default)]
    pub calls: u64,
}

/// Kills the caller.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Kill {
    /// At which calls.
    #[serde(flatten)]
    pub rule: Rule,
    /// Before or after the call takes effect.
    #[serde(default)]
    pub when: When,
}

/// Refuses the call.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Fail {
    /// Which calls.
    #[serde(flatten)]
    pub rule: Rule,
    /// The error's name, such as `ProvisionedThroughputExceededException`.
    pub error: String,
}

/// Keeps the call waiting.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Slow {
    /// Which calls.
    #[serde(flatten)]
    pub rule: Rule,
    /// For how long, before it takes effect.
    pub millis: u64,
}

/// When the caller dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// The call never takes effect.
    #[default]
    Before,
    /// The call takes effect, and the answer finds nobody.
    After,
}

/// What goes wrong with one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The caller dies.
    pub kill: Option<When>,
    /// The call is refused with this error.
    pub fail: Option<String>,
    /// The answer is lost.
    pub lose: bool,
    /// The call is done twice.
    pub duplicate: bool,
    /// The call waits for so long before it is done.
    pub wait: Duration,
}

impl Plan {
    /// Reads a plan, in which everything must be known: members, services, and functions, which are those given.
    ///
    /// # Errors
    ///
    /// When it is none, or names what is not known.
    pub fn read(json: &[u8], functions: &[&str]) -> Result<Self, PlanError> {
        let plan: Self = serde_json::from_slice(json)?;
        for rule in plan.rules() {
            if let Some(function) = &rule.function {
                known("function", function, functions)?;
            }
            if let Some(service) = &rule.service {
                known("service", service, &SERVICES)?;
            }
        }
        // What stands in a rule and not in what was read of it was passed over.
        let (given, read): (Value, Value) = (serde_json::from_slice(json)?, serde_json::to_value(&plan)?);
        for fault in ["kill", "fail", "lose", "duplicate", "slow"] {
            for (given, read) in objects(&given[fault]).zip(objects(&read[fault])) {
                let members: Vec<&str> = read.keys().map(String::as_str).collect();
                given.keys().try_for_each(|member| known("member", member, &members))?;
            }
        }
        Ok(plan)
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        let kill = self.kill.iter().map(|kill| &kill.rule);
        let fail = self.fail.iter().map(|fail| &fail.rule);
        let slow = self.slow.iter().map(|slow| &slow.rule);
        kill.chain(fail).chain(&self.lose).chain(&self.duplicate).chain(slow)
    }
}

fn objects(array: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    array.as_array().into_iter().flatten().filter_map(Value::as_object)
}

fn known(what: &'static str, name: &str, known: &[&str]) -> Result<(), PlanError> {
    if known.contains(&name) {
        return Ok(());
    }
    let known = known.iter().map(|name| (*name).to_owned()).collect();
    Err(PlanError::Unknown { what, name: name.to_owned(), known })
}

/// The plan in force; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

impl Faults {
    /// Replaces the plan.
    pub fn set(&self, plan: Plan) {
        *self.lock() = plan;
    }

    /// The plan with its counts.
    pub fn plan(&self) -> Plan {
        self.lock().clone()
    }

    /// Counts a call, and says what goes wrong with it.
    pub fn judge(&self, caller: &Caller, service: &str, operation: &str) -> Verdict {
        let mut plan = self.lock();
        let mut verdict = Verdict::default();
        let strikes = |rule: &mut Rule| rule.strikes(caller, service, operation);
        for kill in &mut plan.kill {
            if strikes(&mut kill.rule) {
                verdict.kill = Some(kill.when);
            }
        }
        for fail in &mut plan.fail {
            if strikes(&mut fail.rule) {
                verdict.fail = Some(fail.error.clone());
            }
        }
        for rule in &mut plan.lose {
            verdict.lose |= strikes(rule);
        }
        for rule in &mut plan.duplicate {
            verdict.duplicate |= strikes(rule);
        }
        for slow in &mut plan.slow {
            if strikes(&mut slow.rule) {
                verdict.wait += Duration::from_millis(slow.millis);
            }
        }
        verdict
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rule {
    fn strikes(&mut self, caller: &Caller, service: &str, operation: &str) -> bool {
        let matches = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        if !matches(&self.function, &caller.function)
            || !matches(&self.service, service)
            || !matches(&self.operation, operation)
        {
            return false;
        }
        self.calls += 1;
        (self.nth..self.nth.saturating_add(self.times)).contains(&self.calls)
    }
}

fn one() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(json: &str) -> Faults {
        let faults = Faults::default();
        faults.set(serde_json::from_str(json).unwrap());
        faults
    }

    fn judge(faults: &Faults, environment: &str, operation: &str) -> Verdict {
        faults.judge(&Caller::named(environment), "sqs", operation)
    }

    #[test]
    fn the_nth_call_strikes_once_whichever_environment_makes_it() {
        let faults = faults(
            r#"{"kill":[{"function":"push-intake","service":"sqs","operation":"SendMessage","nth":2,"when":"after"}]}"#,
        );
        assert_eq!(judge(&faults, "push-intake.1", "SendMessage").kill, None);
        assert_eq!(judge(&faults, "audience.1", "SendMessage").kill, None);
        assert_eq!(judge(&faults, "push-intake.1", "GetQueueUrl").kill, None);
        assert_eq!(judge(&faults, "push-intake.2", "SendMessage").kill, Some(When::After));
        assert_eq!(judge(&faults, "push-intake.2", "SendMessage").kill, None);
    }

    #[test]
    fn several_times_are_several_calls() {
        let faults = faults(r#"{"fail":[{"error":"ThrottlingException","times":2}]}"#);
        let failed = |operation| judge(&faults, "a.1", operation).fail.is_some();
        assert_eq!([failed("A"), failed("B"), failed("C")], [true, true, false]);
    }

    #[test]
    fn slow_calls_wait_for_each_rule_that_strikes() {
        let faults = faults(r#"{"slow":[{"times":2,"millis":300},{"operation":"B","nth":2,"millis":50}]}"#);
        let waits = ["A", "B", "B"].map(|operation| judge(&faults, "a.1", operation).wait.as_millis());
        assert_eq!(waits, [300, 300, 50]);
    }

    #[test]
    fn an_empty_plan_lets_everything_pass() {
        let faults = faults("{}");
        assert_eq!(judge(&faults, "a.1", "SendMessage"), Verdict::default());
    }

    #[test]
    fn what_is_not_known_is_named_with_what_is() {
        let functions = ["audience", "fan-out"];
        for (plan, told) in [
            (r#"{"kil":[]}"#, "unknown field `kil`, expected one of `kill`, `fail`, `lose`, `duplicate`, `slow`"),
            (
                r#"{"kill":[{"function":"fan_out"}]}"#,
                "unknown function `fan_out`, expected one of `audience`, `fan-out`",
            ),
            (r#"{"fail":[{"error":"E"},{"function":"x","error":"E"}]}"#, "unknown function `x`, "),
            (
                r#"{"lose":[{"service":"dynamo"}]}"#,
                "unknown service `dynamo`, expected one of `dynamodb`, `sqs`, `execute-api`, `lambda`",
            ),
            (r#"{"duplicate":[{"service":"SQS"}]}"#, "unknown service `SQS`, "),
            (r#"{"kill":[{"functon":"fan-out"}]}"#, "unknown member `functon`, "),
            (r#"{"fail":[{"error":"E"},{"error":"E","when":"after"}]}"#, "unknown member `when`, "),
            (r#"{"lose":[{"error":"E"}]}"#, "unknown member `error`, "),
            (r#"{"kill":[{"when":"during"}]}"#, "unknown variant `during`, expected `before` or `after`"),
            (r#"{"fail":[{}]}"#, "missing field `error`"),
            (r#"{"slow":[{"times":9}]}"#, "missing field `millis`"),
            ("[1]", "invalid type"),
            ("", "EOF"),
        ] {
            let refused = Plan::read(plan.as_bytes(), &functions).unwrap_err().to_string();
            assert!(refused.contains(told), "{plan}: {refused}");
        }
        for plan in [
            "{}",
            r#"{"kill":[{"function":"fan-out","service":"lambda","operation":"Response","nth":2,"times":3,"calls":1,"when":"after"}],
                "fail":[{"function":"audience","error":"E"}],"lose":[{}],"duplicate":[{"service":"sqs"}],
                "slow":[{"operation":"Query","times":9,"millis":700}]}"#,
        ] {
            assert!(Plan::read(plan.as_bytes(), &functions).is_ok(), "{plan}");
        }
    }
}
