//! What Huawei answers (Huawei, "Sending messages": result codes).

use std::collections::HashSet;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::channel::Target;
use crate::domain::Outcome;

/// What an answer says of a request's devices.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same of all.
    All(Outcome),
    /// These tokens are dead, all others were taken.
    Dead(HashSet<String>),
    /// The access token is not accepted.
    Unauthenticated,
}

#[derive(Deserialize)]
struct Body {
    code: Value,
    #[serde(default)]
    msg: Value,
}

/// What `msg` is where some tokens failed: JSON, as text.
#[derive(Deserialize)]
struct Partial {
    illegal_tokens: HashSet<String>,
}

impl Verdict {
    /// The outcome, if it is the same for all.
    pub(super) fn of_all(&self) -> Option<&Outcome> {
        match self {
            Self::All(outcome) => Some(outcome),
            Self::Unauthenticated => Some(&Outcome::Auth),
            Self::Dead(_) => None,
        }
    }

    /// One outcome for each target; `None` if the access token is not accepted.
    pub(super) fn outcomes(&self, targets: &[&Target]) -> Option<Vec<Outcome>> {
        match self {
            Self::All(outcome) => Some(vec![outcome.clone(); targets.len()]),
            Self::Dead(dead) => {
                let is_dead = |target: &&Target| dead.contains(target.token.expose());
                // Where not one of them lives, a wrong setting may be to blame.
                let doubtful = targets.iter().all(is_dead);
                let outcome = |target| match is_dead(target) {
                    true => Outcome::InvalidToken { doubtful, since: None },
                    false => Outcome::Delivered,
                };
                Some(targets.iter().map(outcome).collect())
            }
            Self::Unauthenticated => None,
        }
    }
}

/// What an answer means. A code that nobody knows is tried again, and deletes nothing.
pub(super) fn verdict(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Verdict {
    let all = Verdict::All;
    match status.as_u16() {
        // Flow control of the whole system.
        429 | 503 => return all(Outcome::Throttled(retry_after)),
        500.. => return all(Outcome::Transient(retry_after)),
        _ => {}
    }
    match (code(body).as_str(), status.as_u16()) {
        ("80000000", _) => all(Outcome::Delivered),
        ("80100000", _) => match illegal_tokens(body) {
            Some(tokens) => Verdict::Dead(tokens),
            // Some were taken, and it does not say which: to send to all again would be to send twice.
            None => all(Outcome::Delivered),
        },
        // Also said of the tokens of another app.
        ("80300007", _) => all(Outcome::InvalidToken { doubtful: true, since: None }),
        // It is not accepted, or has expired.
        ("80200001" | "80200003", _) | (_, 401) => Verdict::Unauthenticated,
        // The service of access tokens did not answer Huawei (or did not like what it was asked: the credential is worth a
        // look too), or all of Huawei's failed.
        ("80600003" | "81000001", _) => all(Outcome::Transient(retry_after)),
        // No right to send, or not with this importance; the address for receipts in the app's settings is wrong.
        ("80300002" | "80300011" | "80300013", _) => all(Outcome::Config),
        // Too long; too many tokens.
        ("80300008" | "80300010", _) => all(Outcome::Permanent),
        // A member that is wrong: the message (80100001, 80100003), its TTL (80100004), its collapse key (80100013), its words
        // (80100016, 80100018).
        (code, _) if code.len() == 8 && code.starts_with("801000") => all(Outcome::Permanent),
        // Not this vendor's address, or none of an app's.
        ("", 403 | 404) => all(Outcome::Config),
        ("", 400 | 413) => all(Outcome::Permanent),
        _ => all(Outcome::Transient(retry_after)),
    }
}

/// The vendor's own number; empty if there is none.
pub(super) fn code(body: &[u8]) -> String {
    match serde_json::from_slice(body) {
        Ok(Body { code: Value::String(code), .. }) => code,
        Ok(Body { code: Value::Number(code), .. }) => code.to_string(),
        _ => String::new(),
    }
}

fn illegal_tokens(body: &[u8]) -> Option<HashSet<String>> {
    let Body { msg, .. } = serde_json::from_slice(body).ok()?;
    let partial: Partial = match msg {
        Value::String(text) => serde_json::from_str(&text).ok()?,
        object => serde_json::from_value(object).ok()?,
    };
    Some(partial.illegal_tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channel::testkit::{any_answer, assert_sound, odd_targets, targets};

    const DEAD: Outcome = Outcome::InvalidToken { doubtful: false, since: None };
    const DOUBTFUL: Outcome = Outcome::InvalidToken { doubtful: true, since: None };

    fn read(status: u16, body: &str) -> Verdict {
        verdict(StatusCode::from_u16(status).unwrap(), body.as_bytes(), None)
    }

    #[test]
    fn every_code_has_its_meaning() {
        for (code, outcome) in [
            ("80000000", Some(Outcome::Delivered)),
            ("80300007", Some(DOUBTFUL)),
            ("80200001", None),
            ("80200003", None),
            ("80600003", Some(Outcome::Transient(None))),
            ("81000001", Some(Outcome::Transient(None))),
            ("80100001", Some(Outcome::Permanent)),
            ("80100003", Some(Outcome::Permanent)),
            ("80100004", Some(Outcome::Permanent)),
            ("80100013", Some(Outcome::Permanent)),
            ("80100016", Some(Outcome::Permanent)),
            ("80300008", Some(Outcome::Permanent)),
            ("80300010", Some(Outcome::Permanent)),
            ("80300002", Some(Outcome::Config)),
            ("80300011", Some(Outcome::Config)),
            ("80300013", Some(Outcome::Config)),
            // Nobody knows these.
            ("80999999", Some(Outcome::Transient(None))),
            ("8010000", Some(Outcome::Transient(None))),
        ] {
            let expected = outcome.map_or(Verdict::Unauthenticated, Verdict::All);
            for status in [200, 400] {
                for code in [json!(code), json!(code.parse::<u32>().unwrap())] {
                    let body = json!({ "code": code, "msg": "…", "requestId": "1" }).to_string();
                    assert_eq!(read(status, &body), expected, "{status} {body}");
                }
            }
        }
    }

    #[test]
    fn a_status_speaks_where_no_code_does() {
        let wait = Some(Duration::from_secs(7));
        for (status, body, expected) in [
            (503, "", Outcome::Throttled(wait)),
            (503, r#"{"code":"80000000"}"#, Outcome::Throttled(wait)),
            (429, "", Outcome::Throttled(wait)),
            (500, "", Outcome::Transient(wait)),
            (502, r#"{"code":"80000000"}"#, Outcome::Transient(wait)),
            (404, "<html>", Outcome::Config),
            (403, "", Outcome::Config),
            (400, "", Outcome::Permanent),
            (413, "", Outcome::Permanent),
            (200, "", Outcome::Transient(wait)),
            (200, r#"{"code":"80000"#, Outcome::Transient(wait)),
            (200, r#"{"code":[]}"#, Outcome::Transient(wait)),
            (302, "", Outcome::Transient(wait)),
        ] {
            let verdict = verdict(StatusCode::from_u16(status).unwrap(), body.as_bytes(), wait);
            assert_eq!(verdict, Verdict::All(expected), "{status} {body}");
        }
        assert_eq!(read(401, ""), Verdict::Unauthenticated);
        assert_eq!(read(401, r#"{"code":"80999999"}"#), Verdict::Unauthenticated);
    }

    #[test]
    fn the_tokens_that_failed_are_in_a_text_that_is_json() {
        let targets = targets(3);
        let targets: Vec<_> = targets.iter().collect();
        let told = |msg: Value| {
            let body = json!({ "code": "80100000", "msg": msg }).to_string();
            read(200, &body).outcomes(&targets).unwrap()
        };
        let partial = |tokens: Value| json!({ "success": 1, "failure": 2, "illegal_tokens": tokens });
        let some = [Outcome::Delivered, DEAD, Outcome::Delivered];
        assert_eq!(told(json!(partial(json!(["1", "another"])).to_string())), some);
        assert_eq!(told(partial(json!(["1"]))), some);
        // If all of them failed it may be our own fault.
        assert_eq!(told(json!(partial(json!(["2", "1", "0"])).to_string())), [DOUBTFUL, DOUBTFUL, DOUBTFUL]);
        // It does not say which.
        for msg in [json!("Success"), json!({}), Value::Null, partial(json!([7])), partial(json!("1"))] {
            assert_eq!(told(msg.clone()), vec![Outcome::Delivered; 3], "{msg}");
        }
    }

    #[test]
    fn an_access_token_that_is_refused_is_no_outcome() {
        let targets = targets(2);
        let targets: Vec<_> = targets.iter().collect();
        assert_eq!(Verdict::Unauthenticated.outcomes(&targets), None);
        assert_eq!(Verdict::All(Outcome::Config).outcomes(&targets), Some(vec![Outcome::Config; 2]));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_every_device_has_one_outcome_and_none_dies_unnamed(
            (status, body) in any_answer(vec![
                json!({"code": "80000000", "msg": "Success", "requestId": "1"}),
                json!({"code": "80100000", "msg": "{\"success\":1,\"failure\":1,\"illegal_tokens\":[\"TOKEN\"]}"}),
                json!({"code": "80100000", "msg": {"illegal_tokens": ["TOKEN", "TOKEN"]}}),
                json!({"code": "80300007", "msg": "TOKEN"}),
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
