//! What Huawei answers (Huawei, "Scenario-based message sending": result codes).

use std::collections::{HashMap, HashSet};
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
    /// These tokens were not taken, each for its reason.
    Some {
        /// The tokens, and what is to become of each.
        refused: HashMap<String, Outcome>,
        /// What became of the others.
        others: Outcome,
    },
    /// The provider token is not accepted.
    Unauthenticated,
}

#[derive(Deserialize)]
struct Body {
    code: String,
    #[serde(default)]
    msg: String,
}

/// What `msg` is where some tokens failed: JSON, as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Partial {
    illegal_tokens: HashMap<String, HashSet<String>>,
}

impl Verdict {
    /// The outcome, if it is the same for all.
    pub(super) fn of_all(&self) -> Option<&Outcome> {
        match self {
            Self::All(outcome) => Some(outcome),
            Self::Unauthenticated => Some(&Outcome::Auth),
            Self::Some { .. } => None,
        }
    }

    /// One outcome for each target.
    pub(super) fn outcomes(&self, targets: &[&Target]) -> Vec<Outcome> {
        let of = |target: &&Target| match self {
            Self::All(outcome) => outcome.clone(),
            Self::Unauthenticated => Outcome::Auth,
            Self::Some { refused, others } => refused.get(target.token.expose()).unwrap_or(others).clone(),
        };
        targets.iter().map(of).collect()
    }
}

/// What an answer means.
pub(super) fn verdict(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Verdict {
    let all = Verdict::All;
    match status.as_u16() {
        401 => return Verdict::Unauthenticated,
        // The rate that the app was granted, or flow control of the whole system.
        429 | 503 => return all(Outcome::Throttled(retry_after)),
        500.. => return all(Outcome::Transient(retry_after)),
        _ => {}
    }
    let Ok(Body { code, msg }) = serde_json::from_slice::<Body>(body) else {
        // No such service: the project's id leads nowhere.
        return all(if status == StatusCode::NOT_FOUND { Outcome::Config } else { Outcome::Transient(None) });
    };
    match code.as_str() {
        "80000000" => all(Outcome::Delivered),
        "80100000" => match refused(&msg, false) {
            Some(refused) => Verdict::Some { refused, others: Outcome::Delivered },
            // Some were taken, and it does not say which: to send to all again would be to send twice.
            None => all(Outcome::Delivered),
        },
        // All tokens, for the same reasons. Also said of the tokens of another project.
        "80300007" => {
            let others = Outcome::InvalidToken { doubtful: true, since: None };
            match refused(&msg, true) {
                Some(refused) => Verdict::Some { refused, others },
                None => all(others),
            }
        }
        // 80200003 is not in this list of Huawei's, but in the one for Android; so is 80600003.
        "80200001" | "80200003" | "80200005" => Verdict::Unauthenticated,
        "80600003" | "81000001" => all(Outcome::Transient(None)),
        // No right, a limit of test messages, a token that lives too long, a penalty.
        "80300002" | "80300011" | "80300029" | "80300030" | "80300036" | "80300037" => all(Outcome::Config),
        // What is wrong with a field, with the size or with the number of tokens.
        "80300008" | "80300010" => all(Outcome::Permanent),
        field if field.starts_with("801000") => all(Outcome::Permanent),
        // Not known, and nothing is concluded from it; but what is refused by its status is refused.
        _ if status.is_client_error() => all(Outcome::Permanent),
        _ => all(Outcome::Transient(None)),
    }
}

/// The tokens that were not taken; `None` if it does not say so.
fn refused(msg: &str, doubtful: bool) -> Option<HashMap<String, Outcome>> {
    let Partial { illegal_tokens } = serde_json::from_str(msg).ok()?;
    let mut refused = HashMap::new();
    for (reason, tokens) in illegal_tokens {
        let outcome = match reason.as_str() {
            // Both are mended by another token only.
            "tokenFormatError" | "tokenPlatformNotSupport" => Outcome::InvalidToken { doubtful, since: None },
            // Tokens of another project's app, or of a phone that had HarmonyOS 4 before.
            "noRight" => Outcome::NotEntitled,
            // The app is none of the project's; it may not send alerts, or nothing at all.
            "appinfoError" | "noPushTypeRight" | "disableSendHuaweiMsgBecauseOfPenalty" => Outcome::Config,
            // Countries that are not served, and what is said of messages that are no alerts.
            _ => Outcome::Permanent,
        };
        refused.extend(tokens.into_iter().map(|token| (token, outcome.clone())));
    }
    Some(refused)
}

/// The vendor's own number, for the log.
pub(super) fn code(body: &[u8]) -> String {
    serde_json::from_slice::<Body>(body).map_or_else(|_| String::new(), |body| body.code)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::channel::testkit::{any_answer, assert_sound, odd_targets, target};

    fn outcomes(status: u16, body: &str, retry_after: Option<u64>) -> Vec<Outcome> {
        let verdict =
            verdict(StatusCode::from_u16(status).unwrap(), body.as_bytes(), retry_after.map(Duration::from_secs));
        let targets = ["a", "b", "c", "d"].map(target);
        let outcomes = verdict.outcomes(&targets.iter().collect::<Vec<_>>());
        if let Some(outcome) = verdict.of_all() {
            assert_eq!(outcomes, vec![outcome.clone(); 4]);
        }
        outcomes
    }

    fn coded(code: &str, msg: &str) -> Vec<Outcome> {
        outcomes(200, &json!({"code": code, "msg": msg, "requestId": "1"}).to_string(), None)
    }

    fn all(outcome: Outcome) -> Vec<Outcome> {
        vec![outcome; 4]
    }

    const BAD: Outcome = Outcome::InvalidToken { doubtful: false, since: None };
    const DOUBTFUL: Outcome = Outcome::InvalidToken { doubtful: true, since: None };

    #[test]
    fn every_code_has_its_meaning() {
        for (code, outcome) in [
            ("80000000", Outcome::Delivered),
            ("80300007", DOUBTFUL),
            ("80200001", Outcome::Auth),
            ("80200003", Outcome::Auth),
            ("80200005", Outcome::Auth),
            ("81000001", Outcome::Transient(None)),
            ("80600003", Outcome::Transient(None)),
            ("80300002", Outcome::Config),
            ("80300011", Outcome::Config),
            ("80300029", Outcome::Config),
            ("80300030", Outcome::Config),
            ("80300036", Outcome::Config),
            ("80300037", Outcome::Config),
            ("80300008", Outcome::Permanent),
            ("80300010", Outcome::Permanent),
            ("80100001", Outcome::Permanent),
            ("80100003", Outcome::Permanent),
            ("80100004", Outcome::Permanent),
            ("80100013", Outcome::Permanent),
            ("80100016", Outcome::Permanent),
            ("80100022", Outcome::Permanent),
            ("89999999", Outcome::Transient(None)),
            ("0", Outcome::Transient(None)),
        ] {
            assert_eq!(coded(code, "words"), all(outcome), "{code}");
        }
    }

    #[test]
    fn every_status_has_its_meaning() {
        let some = Duration::from_secs(9);
        for (status, outcome) in [
            (401, Outcome::Auth),
            (429, Outcome::Throttled(Some(some))),
            (503, Outcome::Throttled(Some(some))),
            (500, Outcome::Transient(Some(some))),
            (502, Outcome::Transient(Some(some))),
        ] {
            assert_eq!(outcomes(status, r#"{"code":"80000000"}"#, Some(9)), all(outcome), "{status}");
        }
        assert_eq!(outcomes(503, "", None), all(Outcome::Throttled(None)));
        assert_eq!(outcomes(404, "<html>", None), all(Outcome::Config));
    }

    #[test]
    fn a_refusal_is_read_whatever_its_status() {
        assert_eq!(outcomes(400, r#"{"code":"80100001","msg":"x"}"#, None), all(Outcome::Permanent));
        assert_eq!(outcomes(400, r#"{"code":"89999999","msg":"x"}"#, None), all(Outcome::Permanent));
    }

    fn illegal(tokens: &Value) -> String {
        json!({"illegalTokens": tokens, "success": 1, "failure": 3}).to_string()
    }

    #[test]
    fn those_that_failed_have_their_reasons_and_the_rest_was_taken() {
        let reasons = json!({"tokenFormatError": ["a"], "tokenPlatformNotSupport": ["c"], "noRight": ["d"]});
        assert_eq!(coded("80100000", &illegal(&reasons)), [BAD, Outcome::Delivered, BAD, Outcome::NotEntitled]);
        let reasons = json!({"tokenFormatError": [], "aReasonOfTomorrow": ["b", "elsewhere"]});
        let expected = [Outcome::Delivered, Outcome::Permanent, Outcome::Delivered, Outcome::Delivered];
        assert_eq!(coded("80100000", &illegal(&reasons)), expected);
    }

    #[test]
    fn some_that_cannot_be_told_from_the_others_are_not_sent_to_again() {
        for msg in ["", "Partial success", "[]", "{}", r#"{"illegalTokens":["a"]}"#] {
            assert_eq!(coded("80100000", msg), all(Outcome::Delivered), "{msg}");
        }
    }

    #[test]
    fn every_reason_has_its_meaning() {
        for (reason, outcome) in [
            ("tokenFormatError", BAD),
            ("tokenPlatformNotSupport", BAD),
            ("noRight", Outcome::NotEntitled),
            ("appinfoError", Outcome::Config),
            ("noPushTypeRight", Outcome::Config),
            ("disableSendHuaweiMsgBecauseOfPenalty", Outcome::Config),
            ("countryNotSupport", Outcome::Permanent),
            ("atomicUnableSendUnsubscribedMsg", Outcome::Permanent),
            ("differentImgVerifyPolicy", Outcome::Permanent),
        ] {
            let outcomes = coded("80100000", &illegal(&json!({reason: ["b"]})));
            assert_eq!(outcomes, [Outcome::Delivered, outcome, Outcome::Delivered, Outcome::Delivered], "{reason}");
        }
    }

    #[test]
    fn where_all_failed_a_wrong_setting_of_ours_is_as_likely() {
        let reasons = json!({"tokenFormatError": ["a", "b"], "noRight": ["c"]});
        assert_eq!(coded("80300007", &illegal(&reasons)), [DOUBTFUL, DOUBTFUL, Outcome::NotEntitled, DOUBTFUL]);
        // As Huawei's own example has it: without the number of successes.
        let msg = r#"{"failure":1,"illegalTokens":{"noPushTypeRight":["a"]}}"#;
        assert_eq!(coded("80300007", msg), [Outcome::Config, DOUBTFUL, DOUBTFUL, DOUBTFUL]);
    }

    #[test]
    fn nothing_is_concluded_from_garbage() {
        for body in ["", "<html>", "{}", r#"{"code":80000000}"#, r#"{"code":"8000"#] {
            assert_eq!(outcomes(200, body, None), all(Outcome::Transient(None)), "{body}");
            assert_eq!(code(body.as_bytes()), "", "{body}");
        }
        assert_eq!(code(br#"{"code":"80100000"}"#), "80100000");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_every_device_has_one_outcome_and_none_dies_unnamed(
            (status, body) in any_answer(vec![
                json!({"code": "80000000", "msg": "Success", "requestId": "1"}),
                json!({"code": "80100000", "msg": "{\"illegalTokens\":{\"tokenFormatError\":[\"TOKEN\"],\"noRight\":[\"TOKEN\"]}}"}),
                json!({"code": "80100000", "msg": {"illegalTokens": {"tokenFormatError": ["TOKEN"]}}}),
                json!({"code": "80300007", "msg": "{\"illegalTokens\":{\"tokenFormatError\":[\"TOKEN\"]}}"}),
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
