//! What Meizu answers (Meizu, "Push API": return codes, and those of single push ids).

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use crate::channel::Target;
use crate::domain::Outcome;

/// A token that is none of this app's.
const DEAD: Outcome = Outcome::InvalidToken { doubtful: false, since: None };

/// What an answer says of a request's devices.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same of all.
    All(Outcome),
    /// These have outcomes of their own, all others were taken.
    Each(HashMap<String, Outcome>),
}

impl Verdict {
    /// One outcome for each target.
    pub(super) fn outcomes(&self, targets: &[&Target]) -> Vec<Outcome> {
        let failed = match self {
            Self::All(outcome) => return vec![outcome.clone(); targets.len()],
            Self::Each(failed) => failed,
        };
        let own = |target: &&Target| failed.get(target.token.expose()).cloned().unwrap_or(Outcome::Delivered);
        let mut outcomes: Vec<Outcome> = targets.iter().map(own).collect();
        // Where no token is known to be ours, it may be the app's id that is another app's.
        let is_ours = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Delivered | Outcome::Suspended));
        for outcome in outcomes.iter_mut().filter(|outcome| **outcome == DEAD) {
            *outcome = Outcome::InvalidToken { doubtful: !is_ours, since: None };
        }
        outcomes
    }
}

/// What an answer means, with Meizu's number for it.
pub(super) fn verdict(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> (String, Verdict) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = match &body["code"] {
        Value::String(code) => code.clone(),
        Value::Number(code) => code.to_string(),
        _ => String::new(),
    };
    let verdict = match (status.as_u16(), code.as_str()) {
        // The signature is all that proves who we are, and no other secret is to be had.
        (401 | 403, _) => Verdict::All(Outcome::Config),
        (429, _) => Verdict::All(Outcome::Throttled(retry_after)),
        (500.., _) => Verdict::All(Outcome::Transient(retry_after)),
        (_, "200") => taken(&body["value"]),
        (_, code) => Verdict::All(refusal(code, retry_after)),
    };
    (code, verdict)
}

/// Failed tokens by the number of what they failed for; nothing, or an empty text, if none did.
fn taken(value: &Value) -> Verdict {
    let all = value.as_object().into_iter().flatten();
    let failed = all.flat_map(|(code, tokens)| {
        let tokens = tokens.as_array().into_iter().flatten().filter_map(Value::as_str);
        tokens.map(|token| (token.to_owned(), of_token(code)))
    });
    Verdict::Each(failed.collect())
}

/// What a number means that stands beside tokens. Some mean something else where they stand for the whole request.
fn of_token(code: &str) -> Outcome {
    match code {
        // Not subscribed; not a push id.
        "110002" | "110003" => DEAD,
        // Switched off.
        "110010" => Outcome::Suspended,
        // The public messages that a device has of an app in a day: three, or five of news.
        "110011" => Outcome::DeviceQuotaUntilTomorrow,
        // Refused by right; folded with others of the app, of which the device had five in the same minute.
        "201" | "520" => Outcome::Permanent,
        // Faster than the app may. In older documents only.
        "518" => Outcome::Throttled(None),
        // 501, 513 and 519 are failures of Meizu's. Of other numbers we know only that these were not sent to.
        _ => Outcome::Transient(None),
    }
}

fn refusal(code: &str, retry_after: Option<Duration>) -> Outcome {
    match code {
        // The app sends too fast. Beside a token it means something else.
        "110010" => Outcome::Throttled(retry_after),
        // The app's share of today. In the newest list only.
        "110019" | "110051" => Outcome::QuotaUntilTomorrow,
        // The signature, the app's id or key; on a black list.
        "1006" | "110000" | "110001" | "110009" => Outcome::Config,
        // Wrong or missing parameters. What 110033 means is not documented; it is listed with these.
        "1005" | "110004" | "110033" => Outcome::Permanent,
        // 500, 1001 and 1003 are failures of Meizu's; of others, and of none at all, we know only that nothing was taken.
        _ => Outcome::Transient(retry_after),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channel::testkit::{any_answer, assert_sound, odd_targets, targets};

    fn outcomes(body: &Value) -> Vec<Outcome> {
        let targets = targets(3);
        let verdict = verdict(StatusCode::OK, body.to_string().as_bytes(), None).1;
        verdict.outcomes(&targets.iter().collect::<Vec<_>>())
    }

    #[test]
    fn every_number_for_a_request_is_an_outcome() {
        for (codes, outcome) in [
            (&["110010"][..], Outcome::Throttled(None)),
            (&["500", "1001", "1003", "999999", ""], Outcome::Transient(None)),
            (&["110019", "110051"], Outcome::QuotaUntilTomorrow),
            (&["1006", "110000", "110001", "110009"], Outcome::Config),
            (&["1005", "110004", "110033"], Outcome::Permanent),
        ] {
            for code in codes {
                let body = json!({"code": code, "message": "why", "value": "", "redirect": ""});
                assert_eq!(outcomes(&body), vec![outcome.clone(); 3], "{code}");
            }
        }
    }

    #[test]
    fn every_number_for_a_token_is_an_outcome_of_that_token_only() {
        for (code, outcome) in [
            ("110002", DEAD),
            ("110003", DEAD),
            ("110010", Outcome::Suspended),
            ("110011", Outcome::DeviceQuotaUntilTomorrow),
            ("501", Outcome::Transient(None)),
            ("513", Outcome::Transient(None)),
            ("518", Outcome::Throttled(None)),
            ("519", Outcome::Transient(None)),
            ("201", Outcome::Permanent),
            ("520", Outcome::Permanent),
            ("999999", Outcome::Transient(None)),
        ] {
            let body = json!({"code": "200", "message": "", "value": {code: ["1", "other"]}, "msgId": "m"});
            assert_eq!(outcomes(&body), [Outcome::Delivered, outcome, Outcome::Delivered], "{code}");
        }
    }

    #[test]
    fn whatever_shape_no_failure_has_all_were_taken() {
        for value in [json!({}), json!(""), json!(null), json!({"110002": []}), json!({"110002": null})] {
            assert_eq!(outcomes(&json!({"code": "200", "value": value})), vec![Outcome::Delivered; 3], "{value}");
        }
        assert_eq!(outcomes(&json!({"code": 200})), vec![Outcome::Delivered; 3]);
    }

    #[test]
    fn dead_tokens_are_doubted_where_none_was_taken() {
        let doubtful = Outcome::InvalidToken { doubtful: true, since: None };
        let all = outcomes(&json!({"code": "200", "value": {"110002": ["0", "1"], "110003": ["2"]}}));
        assert_eq!(all, vec![doubtful.clone(); 3]);
        let others = outcomes(&json!({"code": "200", "value": {"110002": ["0", "1"], "513": ["2"]}}));
        assert_eq!(others, [doubtful.clone(), doubtful, Outcome::Transient(None)]);
        let vouched = outcomes(&json!({"code": "200", "value": {"110002": ["0", "1"], "110010": ["2"]}}));
        assert_eq!(vouched, [DEAD, DEAD, Outcome::Suspended]);
    }

    #[test]
    fn statuses_are_answers_too_and_garbage_is_none() {
        let wait = Some(Duration::from_secs(7));
        for (status, body, outcome) in [
            (401, "", Outcome::Config),
            (403, "", Outcome::Config),
            (429, "", Outcome::Throttled(wait)),
            (500, "<html>", Outcome::Transient(wait)),
            (503, r#"{"code":"200"}"#, Outcome::Transient(wait)),
            (200, "", Outcome::Transient(wait)),
            (200, "{", Outcome::Transient(wait)),
            (200, "[]", Outcome::Transient(wait)),
            (200, r#"{"value":{}}"#, Outcome::Transient(wait)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(verdict(status, body.as_bytes(), wait).1, Verdict::All(outcome), "{status} {body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_every_device_has_one_outcome_and_none_dies_unnamed(
            (status, body) in any_answer(vec![
                json!({"code": "200", "message": "", "value": {}, "msgId": "1"}),
                json!({"code": "200", "value": {"110002": ["TOKEN"], "110003": ["TOKEN", "TOKEN"], "518": ["TOKEN"]}}),
                json!({"code": "110010", "value": ""}),
            ])
        ) {
            let targets = odd_targets();
            let targets: Vec<_> = targets.iter().collect();
            let outcomes = verdict(status, &body, None).1.outcomes(&targets);
            assert_sound(&body, &outcomes);
        }
    }
}
