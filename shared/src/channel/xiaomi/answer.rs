//! What Xiaomi answers (Xiaomi, "Server error codes").

use std::collections::HashSet;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::channel::Target;
use crate::domain::Outcome;

/// The number of a message that was not sent, for whatever reason.
const NOT_SENT: i64 = 20301;

/// What an answer says of a request's devices.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same of all.
    All(Outcome),
    /// These tokens are dead, all others were taken.
    Dead(HashSet<String>),
}

#[derive(Deserialize)]
struct Body {
    code: i64,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    /// The dead among the tokens, parted by commas.
    #[serde(default)]
    bad_regids: Option<String>,
}

impl Verdict {
    /// One outcome for each target.
    pub(super) fn outcomes(&self, targets: &[&Target]) -> Vec<Outcome> {
        match self {
            Self::All(outcome) => vec![outcome.clone(); targets.len()],
            Self::Dead(dead) => targets
                .iter()
                .map(|target| match dead.contains(target.token.expose()) {
                    // Others were taken with the same secret and package, so it is the token.
                    true => Outcome::InvalidToken { doubtful: false, since: None },
                    false => Outcome::Delivered,
                })
                .collect(),
        }
    }
}

/// What an answer means, with Xiaomi's number for it.
pub(super) fn verdict(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> (Option<i64>, Verdict) {
    let body: Option<Body> = serde_json::from_slice(body).ok();
    let code = body.as_ref().map(|body| body.code);
    let verdict = match (status.as_u16(), body) {
        // The secret is all that proves who we are, and there is no other to be had.
        (401 | 403, _) => Verdict::All(Outcome::Config),
        (429, _) => Verdict::All(Outcome::Throttled(retry_after)),
        (500.., _) | (_, None) => Verdict::All(Outcome::Transient(retry_after)),
        (_, Some(Body { code: 0, data, .. })) => taken(data.and_then(|data| data.bad_regids)),
        // Not sent, and not because of the receivers.
        (_, Some(Body { code: NOT_SENT, reason, .. })) if !names_targets(reason.as_deref()) => {
            Verdict::All(Outcome::Transient(retry_after))
        }
        (_, Some(Body { code, .. })) => Verdict::All(refusal(code, retry_after)),
    };
    (code, verdict)
}

/// Whether the reason is that no token is valid: `No valid targets!`. It stands in Xiaomi's answers, and in no document.
fn names_targets(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| reason.to_ascii_lowercase().contains("valid target"))
}

fn taken(bad: Option<String>) -> Verdict {
    let bad = bad.unwrap_or_default();
    let dead: HashSet<String> = bad.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect();
    if dead.is_empty() { Verdict::All(Outcome::Delivered) } else { Verdict::Dead(dead) }
}

fn refusal(code: i64, retry_after: Option<Duration>) -> Outcome {
    match code {
        // None of the tokens is valid: those of another app neither.
        NOT_SENT => Outcome::InvalidToken { doubtful: true, since: None },
        // The system is busy, a remote service failed, calls come too often, the request waited too long.
        10002 | 10003 | 10027 | 10037 => Outcome::Throttled(retry_after),
        // The app has sent as much as it may today.
        10034 | 200001 => Outcome::QuotaUntilTomorrow,
        // On a black list, forbidden, restricted, or to be approved by a person.
        10031 | 10036 | 21303 | 26006 => Outcome::Config,
        // The secret, the app and its package.
        21301 | 21302 | 22000 | 22006 | 22007 | 22022 => Outcome::Config,
        // Wrong, missing and surplus parameters.
        10008 | 10012 | 10016 | 10017 | 21305 | 65011 => Outcome::Permanent,
        // A notification channel that is not the app's; a broadcast, which this never is.
        27001 | 26004 => Outcome::Permanent,
        // Something is too long, or too much.
        65008..=65010 | 65014 | 65015 | 65017 | 65035..=65038 => Outcome::Permanent,
        // -1, 1, 10001, 26003, 65029 and the like are failures of Xiaomi's; of numbers that no table has we know only that
        // nothing was sent.
        _ => Outcome::Transient(retry_after),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::channel::testkit::{any_answer, assert_sound, odd_targets, targets};

    const OK: StatusCode = StatusCode::OK;

    fn outcomes(status: StatusCode, body: &Value) -> Vec<Outcome> {
        let targets = targets(3);
        verdict(status, body.to_string().as_bytes(), None).1.outcomes(&targets.iter().collect::<Vec<_>>())
    }

    fn error(code: i64) -> Value {
        let reason = if code == NOT_SENT { "No valid targets!" } else { "why" };
        json!({"result": "error", "code": code, "reason": reason, "description": "what", "trace_id": "t"})
    }

    #[test]
    fn a_message_that_was_not_sent_for_another_reason_may_pass() {
        for reason in [json!("Message queue is full"), json!(""), json!(null)] {
            let body = json!({"result": "error", "code": NOT_SENT, "reason": reason});
            assert_eq!(outcomes(OK, &body), vec![Outcome::Transient(None); 3], "{reason}");
        }
        let none = json!({"result": "error", "code": NOT_SENT});
        assert_eq!(outcomes(OK, &none), vec![Outcome::Transient(None); 3]);
    }

    #[test]
    fn every_number_of_the_table_is_an_outcome() {
        let doubtful = Outcome::InvalidToken { doubtful: true, since: None };
        for (codes, outcome) in [
            (&[NOT_SENT][..], doubtful),
            (&[10002, 10003, 10027, 10037], Outcome::Throttled(None)),
            (&[10001, -1, 1, 26003, 65029, 99999], Outcome::Transient(None)),
            (&[200001, 10034], Outcome::QuotaUntilTomorrow),
            (&[21301, 21302, 22000, 22006, 22007, 22022, 10031, 10036, 21303, 26006], Outcome::Config),
            (&[27001, 26004, 65008, 65009, 65010, 65014, 65015, 10008, 10016, 10017], Outcome::Permanent),
        ] {
            for code in codes {
                assert_eq!(outcomes(OK, &error(*code)), vec![outcome.clone(); 3], "{code}");
                assert_eq!(verdict(OK, error(*code).to_string().as_bytes(), None).0, Some(*code));
            }
        }
    }

    #[test]
    fn dead_tokens_are_named_among_those_taken() {
        let taken = |data: Value| outcomes(OK, &json!({"result": "ok", "code": 0, "data": data}));
        let dead = Outcome::InvalidToken { doubtful: false, since: None };
        for data in [json!({"id": "1"}), json!({"id": "1", "bad_regids": ""}), json!({"bad_regids": null}), json!(null)]
        {
            assert_eq!(taken(data), vec![Outcome::Delivered; 3]);
        }
        let some = taken(json!({"id": "1", "day_quota": "9", "day_acked": "1", "bad_regids": "2, 0,other"}));
        assert_eq!(some, [dead.clone(), Outcome::Delivered, dead]);
    }

    #[test]
    fn statuses_are_answers_too() {
        let wait = Some(Duration::from_secs(7));
        for (status, outcome) in [
            (401, Outcome::Config),
            (403, Outcome::Config),
            (429, Outcome::Throttled(wait)),
            (500, Outcome::Transient(wait)),
            (503, Outcome::Transient(wait)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(verdict(status, b"<html>", wait), (None, Verdict::All(outcome)), "{status}");
        }
        let refused = verdict(StatusCode::BAD_REQUEST, error(10017).to_string().as_bytes(), None);
        assert_eq!(refused, (Some(10017), Verdict::All(Outcome::Permanent)));
    }

    #[test]
    fn nothing_is_concluded_from_garbage() {
        for body in ["", "{", "[]", "<html>", r#"{"code":"0"}"#, r#"{"result":"ok"}"#, r#"{"code":0,"data":"x"}"#] {
            assert_eq!(verdict(OK, body.as_bytes(), None).1, Verdict::All(Outcome::Transient(None)), "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_every_device_has_one_outcome_and_none_dies_unnamed(
            (status, body) in any_answer(vec![
                json!({"result": "ok", "code": 0, "data": {"id": "1"}, "trace_id": "1"}),
                json!({"result": "ok", "code": 0, "data": {"id": "1", "bad_regids": "TOKEN,TOKEN"}}),
                json!({"result": "error", "code": 20301, "reason": "No valid targets!"}),
            ])
        ) {
            let targets = odd_targets();
            let targets: Vec<_> = targets.iter().collect();
            let outcomes = verdict(status, &body, None).1.outcomes(&targets);
            assert_sound(&body, &outcomes);
        }
    }
}
