//! What OPPO answers (OPPO, "Addresses, public parameters and return codes"). Numbers from 10000 on are those of its calls:
//! two of them are known.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::channel::Target;
use crate::domain::Outcome;

/// The code of a token that is none, or no more.
const INVALID: i64 = 10_000;
/// The code of one whose user has no pushes, for now or for good.
const UNSUBSCRIBED: i64 = 10_001;

/// What an answer says of a request's devices.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same of all.
    All(Outcome),
    /// A code for each token that is named; 0 is success.
    Each(HashMap<String, i64>),
    /// The access token is not accepted.
    Unauthenticated,
}

#[derive(Deserialize)]
struct Body {
    code: i64,
    #[serde(default)]
    data: Value,
}

/// What became of one message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    registration_id: String,
    #[serde(default)]
    error_code: i64,
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

    /// One outcome for each target. One that is not named may not have been sent to: sent to again, it gets it once, for
    /// OPPO drops repetitions.
    pub(super) fn outcomes(&self, targets: &[&Target], forget_unsubscribed: bool) -> Vec<Outcome> {
        let codes = match self {
            Self::All(outcome) => return vec![outcome.clone(); targets.len()],
            Self::Unauthenticated => return vec![Outcome::Auth; targets.len()],
            Self::Each(codes) => codes,
        };
        // The key of another app is answered like this for every token of this one, and then for all of a request.
        let doubtful = !codes.values().any(|code| *code == 0);
        let outcome = |target: &&Target| match codes.get(target.token.expose()) {
            Some(&INVALID) => Outcome::InvalidToken { doubtful, since: None },
            Some(&UNSUBSCRIBED) if forget_unsubscribed => Outcome::InvalidToken { doubtful, since: None },
            Some(code) => outcome(*code, None),
            None => Outcome::Transient(None),
        };
        targets.iter().map(outcome).collect()
    }
}

/// What an answer means.
pub(super) fn verdict(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Verdict {
    let all = Verdict::All;
    match status.as_u16() {
        401 => return Verdict::Unauthenticated,
        413 => return all(Outcome::Permanent),
        429 => return all(Outcome::Throttled(retry_after)),
        500.. => return all(Outcome::Transient(retry_after)),
        _ => {}
    }
    match serde_json::from_slice(body) {
        Ok(Body { code: 0, data }) => Verdict::Each(codes(data)),
        Ok(Body { code: 11 | 29, .. }) => Verdict::Unauthenticated,
        Ok(Body { code, .. }) => all(outcome(code, retry_after)),
        Err(_) if status.is_client_error() => all(Outcome::Config),
        Err(_) => all(Outcome::Transient(None)),
    }
}

/// The vendor's own number, for the log.
pub(super) fn code(body: &[u8]) -> String {
    serde_json::from_slice::<Body>(body).map_or_else(|_| String::new(), |body| body.code.to_string())
}

/// The codes of the messages. OPPO's documents call them a text that is JSON, and show them as JSON.
fn codes(data: Value) -> HashMap<String, i64> {
    let messages = match data {
        Value::String(text) => serde_json::from_str(&text).unwrap_or_default(),
        data => data,
    };
    let Value::Array(messages) = messages else { return HashMap::new() };
    let message = |message| serde_json::from_value::<Message>(message).ok();
    messages.into_iter().filter_map(message).map(|message| (message.registration_id, message.error_code)).collect()
}

fn outcome(code: i64, retry_after: Option<Duration>) -> Outcome {
    match code {
        0 => Outcome::Delivered,
        // Of a whole request: it is doubted.
        INVALID => Outcome::InvalidToken { doubtful: true, since: None },
        UNSUBSCRIBED => Outcome::Suspended,
        11 | 29 => Outcome::Auth,
        // Flow control of OPPO's; called too often, by two numbers.
        -2 | 13 | 55 => Outcome::Throttled(retry_after),
        // More messages than a day may have.
        33 => Outcome::QuotaUntilTomorrow,
        // The key, the signature and its time; a black list, and rights that the app does not have, or is not to have.
        14..=19 | 26..=28 | 30 | 59 => Outcome::Config,
        // Not the call that it should be: method, version, encoding. Parameters that are missing or wrong, pictures,
        // categories and levels.
        12 | 20..=25 | 40 | 41 | 51 | 67 => Outcome::Permanent,
        // -1 is a service that is not there for now; and what nobody knows may pass.
        _ => Outcome::Transient(retry_after),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channel::testkit::{any_answer, assert_sound, odd_targets, targets};

    const DEAD: Outcome = Outcome::InvalidToken { doubtful: false, since: None };
    const DOUBTED: Outcome = Outcome::InvalidToken { doubtful: true, since: None };

    fn read(status: u16, body: &str) -> Verdict {
        verdict(StatusCode::from_u16(status).unwrap(), body.as_bytes(), Some(Duration::from_secs(7)))
    }

    fn outcomes(body: Value, forget_unsubscribed: bool) -> Vec<Outcome> {
        let targets = targets(3);
        read(200, &body.to_string()).outcomes(&targets.iter().collect::<Vec<_>>(), forget_unsubscribed)
    }

    #[test]
    fn every_code_of_a_request_has_its_outcome() {
        let after = Some(Duration::from_secs(7));
        let cases: &[(&[i64], Outcome)] = &[
            (&[10_000], DOUBTED),
            (&[10_001], Outcome::Suspended),
            (&[11, 29], Outcome::Auth),
            (&[-2, 13, 55], Outcome::Throttled(after)),
            (&[-1, 1, 4_711, 10_002], Outcome::Transient(after)),
            (&[33], Outcome::QuotaUntilTomorrow),
            (&[14, 15, 16, 17, 18, 19, 26, 27, 28, 30, 59], Outcome::Config),
            (&[12, 20, 21, 22, 23, 24, 25, 40, 41, 51, 67], Outcome::Permanent),
        ];
        for (codes, expected) in cases {
            for code in *codes {
                let verdict = read(200, &json!({"code": code, "message": ""}).to_string());
                assert_eq!(verdict.of_all(), Some(expected), "{code}");
            }
        }
        assert_eq!(read(200, r#"{"code":11}"#), Verdict::Unauthenticated);
        assert_eq!(read(200, r#"{"code":29}"#), Verdict::Unauthenticated);
    }

    #[test]
    fn every_status_has_its_outcome() {
        let after = Some(Duration::from_secs(7));
        for (status, body, expected) in [
            (401, "", Outcome::Auth),
            (403, "<html>", Outcome::Config),
            (404, "", Outcome::Config),
            (400, r#"{"code":41}"#, Outcome::Permanent),
            (413, "", Outcome::Permanent),
            (429, "", Outcome::Throttled(after)),
            (500, r#"{"code":0}"#, Outcome::Transient(after)),
            (503, "", Outcome::Transient(after)),
            (200, "", Outcome::Transient(None)),
            (200, r#"{"code":"0""#, Outcome::Transient(None)),
        ] {
            assert_eq!(read(status, body).of_all(), Some(&expected), "{status} {body}");
        }
    }

    #[test]
    fn each_device_has_the_code_that_stands_beside_it() {
        let data = json!([
            {"messageId": "m-2", "registrationId": "2", "errorCode": 10_000, "errorMessage": "Invalid Registration_id"},
            {"messageId": "m-0", "registrationId": "0"},
            {"messageId": "m-1", "registrationId": "1", "errorCode": 10_001},
        ]);
        for data in [data.clone(), data.to_string().into()] {
            let body = json!({"code": 0, "message": "Success", "data": data});
            assert_eq!(outcomes(body.clone(), false), [Outcome::Delivered, Outcome::Suspended, DEAD]);
            assert_eq!(outcomes(body, true), [Outcome::Delivered, DEAD, DEAD]);
        }
    }

    #[test]
    fn tokens_that_are_all_bad_are_doubted() {
        let bad = |n: usize| json!({"registrationId": n.to_string(), "errorCode": 10_000});
        let body = json!({"code": 0, "data": [bad(0), bad(1), bad(2)]});
        assert_eq!(outcomes(body, false), [DOUBTED, DOUBTED, DOUBTED]);
    }

    #[test]
    fn a_device_that_is_not_named_is_sent_to_again() {
        for data in [json!(null), json!({"messageId": "m"}), json!("{"), json!([{"registrationId": 0}])] {
            assert_eq!(outcomes(json!({"code": 0, "data": data}), false), vec![Outcome::Transient(None); 3]);
        }
        let one = json!({"code": 0, "data": [{"registrationId": "1", "errorCode": 41}, {"registrationId": "9"}]});
        assert_eq!(outcomes(one, false), [Outcome::Transient(None), Outcome::Permanent, Outcome::Transient(None)]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_every_device_has_one_outcome_and_none_dies_unnamed(
            (status, body) in any_answer(vec![
                json!({"code": 0, "message": "Success", "data": [
                    {"messageId": "1", "registrationId": "TOKEN"}, {"registrationId": "TOKEN", "errorCode": 10000}]}),
                json!({"code": 0, "data": "[{\"registrationId\":\"TOKEN\",\"errorCode\":10000}]"}),
                json!({"code": 10000, "message": "Invalid RegistrationId"}),
            ])
        ) {
            let targets = odd_targets();
            let targets: Vec<_> = targets.iter().collect();
            let outcomes = verdict(status, &body, None).outcomes(&targets, true);
            code(&body);
            assert_sound(&body, &outcomes);
        }
    }
}
