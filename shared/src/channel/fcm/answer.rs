//! What FCM's answers mean.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::channel::access::GrantError;
use crate::channel::http2::Failure;
use crate::domain::Outcome;

/// How long a project that has spent its quota waits when FCM names no time.
const QUOTA_PAUSE: Duration = Duration::from_secs(60);

/// Why a message was not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The app is gone from the device.
    Unregistered,
    /// Not a token of this project: the device's fault, or ours for all devices.
    Mismatch,
    /// Never to pass.
    Malformed,
    /// The project has spent its quota for now.
    QuotaExceeded(Option<Duration>),
    /// The access token is not accepted.
    Unauthenticated,
    /// The project, its rights or its keys are wrong.
    Forbidden,
    /// FCM, or somebody on the way, is unwell, or says what cannot be read.
    Unavailable(Option<Duration>),
    /// The push ended its life before this message's turn.
    Late,
    /// There is no access token.
    Ungranted(GrantError),
    /// There was no answer.
    Failed(Failure),
}

impl Refusal {
    /// What it means for the target.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Unregistered => Outcome::InvalidToken { since: None, doubtful: false },
            Self::Mismatch => Outcome::InvalidToken { since: None, doubtful: true },
            Self::Malformed => Outcome::Permanent,
            Self::QuotaExceeded(after) => Outcome::Throttled(Some(after.unwrap_or(QUOTA_PAUSE))),
            Self::Unauthenticated => Outcome::Auth,
            Self::Forbidden => Outcome::Config,
            Self::Unavailable(after) => Outcome::Transient(*after),
            Self::Ungranted(error) => error.outcome(),
            Self::Late => Outcome::Transient(None),
            Self::Failed(failure) => failure.outcome(),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<GrantError> for Refusal {
    fn from(error: GrantError) -> Self {
        Self::Ungranted(error)
    }
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Status,
}

/// Google's `Status`, as far as it is used.
#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

/// An `FcmError` has a code, a `BadRequest` has violations; others have neither.
#[derive(Deserialize)]
struct Detail {
    #[serde(default, rename = "errorCode")]
    error_code: Option<String>,
    #[serde(default, rename = "fieldViolations")]
    field_violations: Vec<FieldViolation>,
}

#[derive(Deserialize)]
struct FieldViolation {
    #[serde(default)]
    field: String,
}

/// Reads an answer: `None` when the message was taken.
pub(super) fn refusal(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Option<Refusal> {
    if status == StatusCode::OK {
        // Whatever stands in it: what a vendor says it took is not sent again.
        return None;
    }
    let error = read(body);
    let refusal = match (status.as_u16(), error.code()) {
        (_, "UNREGISTERED") => Refusal::Unregistered,
        (_, "SENDER_ID_MISMATCH") => Refusal::Mismatch,
        (_, "THIRD_PARTY_AUTH_ERROR") => Refusal::Forbidden,
        (_, "QUOTA_EXCEEDED") | (429, _) => Refusal::QuotaExceeded(retry_after),
        (400, "INVALID_ARGUMENT") if error.is_about_the_token() => Refusal::Mismatch,
        (400, "INVALID_ARGUMENT") => Refusal::Malformed,
        (401, _) => Refusal::Unauthenticated,
        (403, "") => Refusal::Unavailable(retry_after),
        (403, _) => Refusal::Forbidden,
        // An unknown project, or an address that is none of FCM's: says nothing of the token.
        (404, _) => Refusal::Forbidden,
        _ => Refusal::Unavailable(retry_after),
    };
    Some(refusal)
}

/// FCM's word for what went wrong; empty if it said none.
pub(super) fn reason(body: &[u8]) -> String {
    read(body).code().to_owned()
}

fn read(body: &[u8]) -> Status {
    serde_json::from_slice::<Body>(body).unwrap_or_default().error
}

impl Status {
    /// FCM's own code, or else Google's general one.
    fn code(&self) -> &str {
        self.details.iter().find_map(|detail| detail.error_code.as_deref()).unwrap_or(&self.status)
    }

    /// `INVALID_ARGUMENT` stands for a malformed message as well as for a malformed token: named fields tell which, and
    /// without them the text does.
    fn is_about_the_token(&self) -> bool {
        let mut fields = self.details.iter().flat_map(|detail| &detail.field_violations).peekable();
        if fields.peek().is_some() {
            return fields.all(|violation| violation.field == "message.token");
        }
        self.message.to_ascii_lowercase().contains("registration token")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::channel::testkit::any_answer;

    fn outcome_after(status: u16, body: &Value, retry_after: Option<u64>) -> Outcome {
        raw_outcome(status, &body.to_string(), retry_after)
    }

    fn raw_outcome(status: u16, body: &str, retry_after: Option<u64>) -> Outcome {
        let status = StatusCode::from_u16(status).unwrap();
        refusal(status, body.as_bytes(), retry_after.map(Duration::from_secs))
            .map_or(Outcome::Delivered, |refusal| refusal.outcome())
    }

    fn error(status: &str, message: &str, code: &str, violated: &[&str]) -> Value {
        let mut details = Vec::new();
        if !code.is_empty() {
            details.push(json!({
                "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
                "errorCode": code,
            }));
        }
        if !violated.is_empty() {
            let violations: Vec<Value> =
                violated.iter().map(|field| json!({ "field": field, "description": "Invalid" })).collect();
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": violations,
            }));
        }
        json!({ "error": { "code": 0, "message": message, "status": status, "details": details } })
    }

    const DOUBTFUL: Outcome = Outcome::InvalidToken { since: None, doubtful: true };

    #[test]
    fn a_named_message_is_a_delivery() {
        assert_eq!(outcome_after(200, &json!({ "name": "projects/p/messages/1" }), None), Outcome::Delivered);
    }

    #[test]
    fn an_unregistered_token_is_invalid_but_an_unknown_project_says_nothing_of_it() {
        let unregistered = error("NOT_FOUND", "Requested entity was not found.", "UNREGISTERED", &[]);
        assert_eq!(outcome_after(404, &unregistered, None), Outcome::InvalidToken { since: None, doubtful: false });
        let unknown = error("NOT_FOUND", "Requested entity was not found.", "", &[]);
        assert_eq!(outcome_after(404, &unknown, None), Outcome::Config);
        assert_eq!(raw_outcome(404, "<html>", None), Outcome::Config);
    }

    #[test]
    fn an_invalid_argument_is_the_messages_or_the_tokens() {
        let invalid = |message: &str, violated: &[&str]| {
            outcome_after(400, &error("INVALID_ARGUMENT", message, "INVALID_ARGUMENT", violated), None)
        };
        let token = "The registration token is not a valid FCM registration token";
        assert_eq!(invalid(token, &[]), DOUBTFUL);
        assert_eq!(invalid("Invalid value at 'message.token'", &["message.token"]), DOUBTFUL);
        assert_eq!(invalid("Invalid value", &["message.data[0].value"]), Outcome::Permanent);
        assert_eq!(invalid(token, &["message.android.ttl"]), Outcome::Permanent);
        assert_eq!(invalid("Message is too big", &[]), Outcome::Permanent);
    }

    #[test]
    fn a_token_of_another_project_is_doubtful() {
        let mismatch = error("PERMISSION_DENIED", "SenderId mismatch", "SENDER_ID_MISMATCH", &[]);
        assert_eq!(outcome_after(403, &mismatch, None), DOUBTFUL);
    }

    #[test]
    fn a_spent_quota_waits_as_long_as_told_or_a_minute() {
        let spent = error("RESOURCE_EXHAUSTED", "Quota exceeded", "QUOTA_EXCEEDED", &[]);
        assert_eq!(outcome_after(429, &spent, Some(17)), Outcome::Throttled(Some(Duration::from_secs(17))));
        assert_eq!(outcome_after(429, &spent, None), Outcome::Throttled(Some(Duration::from_secs(60))));
        // What a project's rate is told as: no code of FCM's, and no time.
        let rate = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"reason":"RATE_LIMIT_EXCEEDED",
            "domain":"googleapis.com","metadata":{"quota_limit":"SendsPerMinutePerProject"}}]}}"#;
        for body in [rate, ""] {
            assert_eq!(raw_outcome(429, body, None), Outcome::Throttled(Some(Duration::from_secs(60))), "{body}");
        }
    }

    #[test]
    fn rights_are_for_a_person_to_mend_and_a_stale_token_is_not() {
        let third_party = error("UNAUTHENTICATED", "Auth error from APNS", "THIRD_PARTY_AUTH_ERROR", &[]);
        assert_eq!(outcome_after(401, &third_party, None), Outcome::Config);
        assert_eq!(outcome_after(403, &error("PERMISSION_DENIED", "", "", &[]), None), Outcome::Config);
        assert_eq!(outcome_after(401, &error("UNAUTHENTICATED", "", "", &[]), None), Outcome::Auth);
    }

    #[test]
    fn an_unwell_fcm_is_tried_again() {
        let unavailable = error("UNAVAILABLE", "", "UNAVAILABLE", &[]);
        assert_eq!(outcome_after(503, &unavailable, Some(5)), Outcome::Transient(Some(Duration::from_secs(5))));
        assert_eq!(outcome_after(500, &error("INTERNAL", "", "INTERNAL", &[]), None), Outcome::Transient(None));
    }

    #[test]
    fn what_was_taken_is_not_sent_again_whatever_the_answer_says() {
        assert_eq!(raw_outcome(200, "<html>", None), Outcome::Delivered);
    }

    #[test]
    fn nothing_is_concluded_from_garbage() {
        for (status, body) in [(400, "{"), (400, "{}"), (403, "<html>"), (302, ""), (502, "")] {
            assert_eq!(raw_outcome(status, body, None), Outcome::Transient(None), "{status} {body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_a_device_is_dead_only_by_the_vendors_word(
            (status, body) in any_answer(vec![
                json!({"name": "projects/p/messages/1"}),
                error("NOT_FOUND", "Requested entity was not found.", "UNREGISTERED", &[]),
                error("INVALID_ARGUMENT", "Invalid registration token", "INVALID_ARGUMENT", &["message.token"]),
            ])
        ) {
            let outcome = refusal(status, &body, None).map_or(Outcome::Delivered, |refusal| refusal.outcome());
            if matches!(outcome, Outcome::InvalidToken { doubtful: false, .. }) {
                assert_eq!(reason(&body), "UNREGISTERED");
            }
            if outcome == Outcome::Delivered {
                assert_eq!(status, StatusCode::OK);
            }
        }
    }
}
