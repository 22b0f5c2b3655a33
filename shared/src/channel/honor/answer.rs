//! What Honor answers. Its table of codes was not to be had: what is known is what two client libraries read, and HTTP's own
//! statuses. A code that nobody knows is tried again, and deletes nothing.

use std::collections::HashSet;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::channel::Target;
use crate::domain::Outcome;

/// What an answer says of a request's devices.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same of all.
    All(Outcome),
    /// Not the same of all.
    Each(Sent),
    /// The access token is not accepted.
    Unauthenticated,
}

/// What became of a message.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Sent {
    /// Whether it was sent at all.
    send_result: Option<bool>,
    /// It may reach these another time.
    fail_tokens: Option<HashSet<String>>,
    /// These are dead.
    expire_tokens: Option<HashSet<String>>,
}

#[derive(Deserialize)]
struct Body {
    code: i64,
    #[serde(default)]
    data: Option<Sent>,
}

impl Sent {
    fn is_dead(&self, target: &Target) -> bool {
        contains(&self.expire_tokens, target)
    }

    fn is_taken(&self, target: &Target) -> bool {
        self.send_result != Some(false) && !self.is_dead(target) && !contains(&self.fail_tokens, target)
    }
}

impl Verdict {
    /// The outcome, if it is the same for all.
    pub(super) fn of_all(&self) -> Option<&Outcome> {
        match self {
            Self::All(outcome) => Some(outcome),
            Self::Unauthenticated => Some(&Outcome::Auth),
            Self::Each(_) => None,
        }
    }

    /// One outcome for each target; `None` if the access token is not accepted.
    pub(super) fn outcomes(&self, targets: &[&Target]) -> Option<Vec<Outcome>> {
        match self {
            Self::All(outcome) => Some(vec![outcome.clone(); targets.len()]),
            Self::Each(sent) => {
                // Where it was sent to no one, a wrong setting may be to blame.
                let doubtful = !targets.iter().any(|target| sent.is_taken(target));
                let outcome = |target: &&Target| match (sent.is_dead(target), sent.is_taken(target)) {
                    (true, _) => Outcome::InvalidToken { doubtful, since: None },
                    (false, true) => Outcome::Delivered,
                    (false, false) => Outcome::Transient(None),
                };
                Some(targets.iter().map(outcome).collect())
            }
            Self::Unauthenticated => None,
        }
    }
}

/// What an answer means. Its body speaks where it can be read, else its status.
pub(super) fn verdict(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Verdict {
    let all = Verdict::All;
    match status.as_u16() {
        401 => return Verdict::Unauthenticated,
        429 | 503 => return all(Outcome::Throttled(retry_after)),
        500.. => return all(Outcome::Transient(retry_after)),
        400..=499 => return all(Outcome::Permanent),
        _ => {}
    }
    let Ok(Body { code, data }) = serde_json::from_slice(body) else { return all(Outcome::Transient(retry_after)) };
    match code {
        200 => match data {
            Some(sent) => Verdict::Each(sent),
            None => all(Outcome::Delivered),
        },
        401 => Verdict::Unauthenticated,
        429 | 503 => all(Outcome::Throttled(retry_after)),
        400..=499 => all(Outcome::Permanent),
        _ => all(Outcome::Transient(retry_after)),
    }
}

/// The vendor's own number, for the log; empty if there is none.
pub(super) fn code(body: &[u8]) -> String {
    serde_json::from_slice(body).map_or_else(|_| String::new(), |Body { code, .. }| code.to_string())
}

fn contains(tokens: &Option<HashSet<String>>, target: &Target) -> bool {
    tokens.as_ref().is_some_and(|tokens| tokens.contains(target.token.expose()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::channel::testkit::{any_answer, assert_sound, odd_targets, targets};

    const DEAD: Outcome = Outcome::InvalidToken { doubtful: false, since: None };
    const DOUBTFUL: Outcome = Outcome::InvalidToken { doubtful: true, since: None };
    const AGAIN: Outcome = Outcome::Transient(None);

    #[test]
    fn every_code_and_status_has_its_meaning() {
        let wait = Some(Duration::from_secs(7));
        let throttled = || Verdict::All(Outcome::Throttled(wait));
        let transient = || Verdict::All(Outcome::Transient(wait));
        let permanent = || Verdict::All(Outcome::Permanent);
        for (status, code, expected) in [
            (200, json!(200), Verdict::All(Outcome::Delivered)),
            (200, json!(401), Verdict::Unauthenticated),
            (200, json!(429), throttled()),
            (200, json!(503), throttled()),
            (200, json!(500), transient()),
            (200, json!(502), transient()),
            (200, json!(400), permanent()),
            (200, json!(413), permanent()),
            // Nobody knows these.
            (200, json!(0), transient()),
            (200, json!(80_300_007), transient()),
            (200, json!("200"), transient()),
            (302, json!("x"), transient()),
            (401, json!(200), Verdict::Unauthenticated),
            (401, json!("x"), Verdict::Unauthenticated),
            (429, json!(200), throttled()),
            (503, json!(200), throttled()),
            (500, json!(200), transient()),
            (504, json!("x"), transient()),
            (400, json!(80_100_003), permanent()),
            (404, json!("x"), permanent()),
        ] {
            let body = json!({ "code": code, "message": "…" }).to_string();
            let verdict = verdict(StatusCode::from_u16(status).unwrap(), body.as_bytes(), wait);
            assert_eq!(verdict, expected, "{status} {body}");
        }
        for body in ["", "<html>", r#"{"code":20"#, r#"{"code":200,"data":"#, r#"{"code":200,"data":7}"#] {
            assert_eq!(verdict(StatusCode::OK, body.as_bytes(), wait), transient(), "{body}");
        }
    }

    #[test]
    fn the_tokens_that_failed_are_told_from_those_that_are_dead() {
        let targets = targets(3);
        let targets: Vec<_> = targets.iter().collect();
        let told = |data: Value| {
            let body = json!({ "code": 200, "message": "success", "data": data }).to_string();
            verdict(StatusCode::OK, body.as_bytes(), None).outcomes(&targets).unwrap()
        };
        for (data, expected) in [
            (
                json!({ "sendResult": true, "requestId": "1" }),
                [Outcome::Delivered, Outcome::Delivered, Outcome::Delivered],
            ),
            (
                json!({ "sendResult": true, "failTokens": null, "expireTokens": [] }),
                [Outcome::Delivered, Outcome::Delivered, Outcome::Delivered],
            ),
            (
                json!({ "sendResult": true, "failTokens": ["0", "another"], "expireTokens": ["1"] }),
                [AGAIN, DEAD, Outcome::Delivered],
            ),
            // A token in both lists is dead.
            (
                json!({ "sendResult": true, "failTokens": ["0"], "expireTokens": ["0"] }),
                [DEAD, Outcome::Delivered, Outcome::Delivered],
            ),
            (json!({ "failTokens": ["1"] }), [Outcome::Delivered, AGAIN, Outcome::Delivered]),
            // Sent to no one: it may be our own fault.
            (json!({ "sendResult": true, "expireTokens": ["0", "1", "2"] }), [DOUBTFUL, DOUBTFUL, DOUBTFUL]),
            (json!({ "sendResult": true, "failTokens": ["0", "1"], "expireTokens": ["2"] }), [AGAIN, AGAIN, DOUBTFUL]),
            (json!({ "sendResult": false }), [AGAIN, AGAIN, AGAIN]),
            (json!({ "sendResult": false, "expireTokens": ["1"] }), [AGAIN, DOUBTFUL, AGAIN]),
        ] {
            assert_eq!(told(data.clone()), expected, "{data}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_every_device_has_one_outcome_and_none_dies_unnamed(
            (status, body) in any_answer(vec![
                json!({"code": 200, "message": "success", "data": {"sendResult": true, "requestId": "1"}}),
                json!({"code": 200, "data": {"sendResult": true, "failTokens": ["TOKEN"], "expireTokens": ["TOKEN", "TOKEN"]}}),
                json!({"code": 200, "data": {"sendResult": false, "expireTokens": ["TOKEN"]}}),
            ])
        ) {
            let targets = odd_targets();
            let targets: Vec<_> = targets.iter().collect();
            let verdict = verdict(status, &body, None);
            let outcomes = verdict.outcomes(&targets).unwrap_or_else(|| vec![Outcome::Auth; 3]);
            code(&body);
            assert_sound(&body, &outcomes);
        }
    }
}
