//! What vivo answers (vivo, "Push server API": result codes).

use std::collections::HashMap;
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
    /// It was taken, as a task of that name if it says, and not for these, each with the number of the reason.
    Taken {
        /// The task.
        task: Option<String>,
        /// The users whom it is not sent to.
        invalid: HashMap<String, i64>,
    },
    /// It was not taken because of these.
    Invalid(HashMap<String, i64>),
    /// The access token is not accepted.
    Unauthenticated,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    result: i64,
    #[serde(default)]
    task_id: Option<String>,
    #[serde(default)]
    invalid_users: Option<Invalid>,
}

/// Those of a list, or the one that there is.
#[derive(Deserialize)]
#[serde(untagged)]
enum Invalid {
    Many(Vec<User>),
    One(User),
}

#[derive(Deserialize)]
struct User {
    userid: String,
    status: i64,
}

impl Verdict {
    /// The outcome, if it is the same for all.
    pub(super) fn of_all(&self) -> Option<&Outcome> {
        match self {
            Self::All(outcome) => Some(outcome),
            Self::Unauthenticated => Some(&Outcome::Auth),
            Self::Taken { .. } | Self::Invalid(_) => None,
        }
    }

    /// One outcome for each target.
    pub(super) fn outcomes(&self, targets: &[&Target]) -> Vec<Outcome> {
        let each = |outcome: &dyn Fn(&str) -> Outcome| {
            targets.iter().map(|target| outcome(target.token.expose())).collect::<Vec<_>>()
        };
        match self {
            Self::All(outcome) => vec![outcome.clone(); targets.len()],
            Self::Unauthenticated => vec![Outcome::Auth; targets.len()],
            Self::Taken { invalid, .. } => {
                // The ids of another app are answered like this for every token of this one, and then for all of a list.
                let doubtful = targets.iter().all(|target| invalid.contains_key(target.token.expose()));
                each(&|token| match invalid.get(token) {
                    Some(status) => of_user(*status, doubtful),
                    None => Outcome::Delivered,
                })
            }
            Self::Invalid(invalid) => each(&|token| match invalid.get(token) {
                Some(status) => of_user(*status, true),
                None if targets.len() == 1 => Outcome::InvalidToken { doubtful: true, since: None },
                // Nobody says that it is to blame, and next time those who are will be gone.
                None => Outcome::Transient(None),
            }),
        }
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
    let Body { result, task_id, invalid_users } = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(_) if status.is_client_error() => return all(Outcome::Config),
        Err(_) => return all(Outcome::Transient(None)),
    };
    match result {
        0 => Verdict::Taken { task: task_id, invalid: users(invalid_users) },
        10_000 => Verdict::Unauthenticated,
        10_302 => Verdict::Invalid(users(invalid_users)),
        10_072 => all(Outcome::Throttled(retry_after)),
        // The day's messages of the operator's class and of the system's; saved messages, and those to all, of which this is
        // none. vivo asks not to call again that day.
        10_070 | 10_073 | 10_252 | 10_254 => all(Outcome::QuotaUntilTomorrow),
        // An app of another token (10094), a category that is none (10096) or does not fit (10097), texts of a trial (10085,
        // 10104), an hour when such messages are not sent (10071), and whatever else vivo has against the message.
        10_001..=10_999 => all(Outcome::Permanent),
        // What nobody knows may pass.
        _ => all(Outcome::Transient(retry_after)),
    }
}

/// The vendor's own number, for the log.
pub(super) fn code(body: &[u8]) -> String {
    serde_json::from_slice::<Body>(body).map_or_else(|_| String::new(), |body| body.result.to_string())
}

fn users(invalid: Option<Invalid>) -> HashMap<String, i64> {
    let users = match invalid {
        Some(Invalid::Many(users)) => users,
        Some(Invalid::One(user)) => vec![user],
        None => Vec::new(),
    };
    users.into_iter().map(|user| (user.userid, user.status)).collect()
}

/// What the number beside a user means.
fn of_user(status: i64, doubtful: bool) -> Outcome {
    match status {
        // The app has none such; it is uninstalled, unsubscribed, or its data were cleared, which unsubscribes.
        1 | 2 => Outcome::InvalidToken { doubtful, since: None },
        // In older documents: not online for 90 days.
        3 => Outcome::Suspended,
        // No test user: the app may not send to others yet.
        4 => Outcome::NotEntitled,
        _ => Outcome::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::channel::testkit::{any_answer, assert_sound, odd_targets, targets};

    const DEAD: Outcome = Outcome::InvalidToken { doubtful: false, since: None };
    const DOUBTED: Outcome = Outcome::InvalidToken { doubtful: true, since: None };

    fn read(status: u16, body: &str) -> Verdict {
        verdict(StatusCode::from_u16(status).unwrap(), body.as_bytes(), Some(Duration::from_secs(7)))
    }

    fn outcomes(count: usize, body: &Value) -> Vec<Outcome> {
        let targets = targets(count);
        read(200, &body.to_string()).outcomes(&targets.iter().collect::<Vec<_>>())
    }

    #[test]
    fn every_result_has_its_outcome() {
        let cases: &[(&[i64], Outcome)] = &[
            (&[10_000], Outcome::Auth),
            (&[10_072], Outcome::Throttled(Some(Duration::from_secs(7)))),
            (&[10_070, 10_073, 10_252, 10_254], Outcome::QuotaUntilTomorrow),
            (&[10_071, 10_085, 10_094, 10_096, 10_097, 10_104, 10_999], Outcome::Permanent),
            (&[-1, 1, 20_000], Outcome::Transient(Some(Duration::from_secs(7)))),
        ];
        for (results, expected) in cases {
            for result in *results {
                let verdict = read(200, &json!({"result": result, "desc": ""}).to_string());
                assert_eq!(verdict.of_all(), Some(expected), "{result}");
            }
        }
        assert_eq!(read(200, r#"{"result":10000}"#), Verdict::Unauthenticated);
    }

    #[test]
    fn every_status_has_its_outcome() {
        let after = Some(Duration::from_secs(7));
        for (status, body, expected) in [
            (401, "", Outcome::Auth),
            (403, "<html>", Outcome::Config),
            (404, "", Outcome::Config),
            (400, r#"{"result":10094}"#, Outcome::Permanent),
            (413, "", Outcome::Permanent),
            (429, "", Outcome::Throttled(after)),
            (500, r#"{"result":0}"#, Outcome::Transient(after)),
            (503, "", Outcome::Transient(after)),
            (200, "", Outcome::Transient(None)),
            (200, r#"{"result":"zero"}"#, Outcome::Transient(None)),
        ] {
            assert_eq!(read(status, body).of_all(), Some(&expected), "{status} {body}");
        }
    }

    #[test]
    fn those_who_are_named_are_not_sent_to() {
        let body = json!({"result": 0, "invalidUsers": [
            {"userid": "1", "status": 1}, {"userid": "2", "status": 2}, {"userid": "3", "status": 4},
            {"userid": "4", "status": 9}, {"userid": "5", "status": 3}, {"userid": "elsewhere", "status": 1},
        ]});
        let expected = [Outcome::Delivered, DEAD, DEAD, Outcome::NotEntitled, Outcome::Permanent, Outcome::Suspended];
        assert_eq!(outcomes(6, &body), expected);
        for none in [json!({"result": 0, "taskId": "t"}), json!({"result": 0, "invalidUsers": null})] {
            assert_eq!(outcomes(2, &none), vec![Outcome::Delivered; 2]);
        }
    }

    #[test]
    fn tokens_that_are_all_bad_are_doubted() {
        let users = json!([{"userid": "0", "status": 1}, {"userid": "1", "status": 2}]);
        assert_eq!(outcomes(2, &json!({"result": 0, "invalidUsers": users})), [DOUBTED, DOUBTED]);
        assert_eq!(
            outcomes(3, &json!({"result": 10_302, "invalidUsers": users})),
            [DOUBTED, DOUBTED, Outcome::Transient(None)]
        );
    }

    #[test]
    fn a_single_token_may_be_refused_in_any_shape() {
        for body in [
            json!({"result": 10_302, "desc": "regId"}),
            json!({"result": 10_302, "invalidUsers": []}),
            json!({"result": 0, "invalidUsers": {"userid": "0", "status": 1}}),
            json!({"result": 0, "invalidUsers": [{"userid": "0", "status": 2}]}),
        ] {
            assert_eq!(outcomes(1, &body), [DOUBTED], "{body}");
        }
        assert_eq!(outcomes(2, &json!({"result": 10_302})), vec![Outcome::Transient(None); 2]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_every_device_has_one_outcome_and_none_dies_unnamed(
            (status, body) in any_answer(vec![
                json!({"result": 0, "desc": "done", "taskId": "1", "requestId": "1"}),
                json!({"result": 0, "invalidUsers": [{"userid": "TOKEN", "status": 1}, {"userid": "TOKEN", "status": 3}]}),
                json!({"result": 10302, "invalidUsers": {"userid": "TOKEN", "status": 1}}),
            ])
        ) {
            let targets = odd_targets();
            let targets: Vec<_> = targets.iter().collect();
            let outcomes = verdict(status, &body, None).outcomes(&targets);
            code(&body);
            assert_sound(&body, &outcomes);
        }
    }
}
