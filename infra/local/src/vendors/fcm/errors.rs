//! Errors as Google's APIs put them.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::super::vendor::Answer;

/// What an error says beside its status.
pub(super) enum Detail<'a> {
    /// FCM's own code.
    Fcm(&'a str),
    /// Fields of the request, and what is wrong with each.
    BadRequest(&'a [Violation]),
}

/// One field, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Violation {
    /// Its path from the top, such as `message.android.ttl`.
    pub field: String,
    pub description: String,
}

pub(super) fn error(code: StatusCode, status: &str, message: &str, details: &[Detail<'_>]) -> Answer {
    let mut error = json!({ "code": code.as_u16(), "message": message, "status": status });
    if !details.is_empty() {
        error["details"] = details.iter().map(Detail::as_json).collect();
    }
    Answer::json(code, &json!({ "error": error }))
}

/// The error for one of FCM's codes; those that are not FCM's own but the platform's have no
/// detail that names them.
pub(super) fn fcm_error(code: StatusCode, error_code: &str) -> Answer {
    let status = match error_code {
        "UNREGISTERED" => "NOT_FOUND",
        "SENDER_ID_MISMATCH" => "PERMISSION_DENIED",
        "QUOTA_EXCEEDED" => "RESOURCE_EXHAUSTED",
        "THIRD_PARTY_AUTH_ERROR" => "UNAUTHENTICATED",
        other => other,
    };
    let message = format!("The vendor answers {error_code}.");
    match error_code {
        "UNAUTHENTICATED" | "NOT_FOUND" | "PERMISSION_DENIED" | "RESOURCE_EXHAUSTED" => {
            error(code, status, &message, &[])
        }
        _ => error(code, status, &message, &[Detail::Fcm(error_code)]),
    }
}

pub(super) fn unauthenticated() -> Answer {
    error(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "The request has no access token that is valid.", &[]).with(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(r#"Bearer realm="https://accounts.google.com/", error="invalid_token""#),
    )
}

impl Detail<'_> {
    fn as_json(&self) -> Value {
        match self {
            Self::Fcm(code) => json!({
                "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
                "errorCode": code,
            }),
            Self::BadRequest(violations) => json!({
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": violations
                    .iter()
                    .map(|violation| json!({
                        "field": violation.field,
                        "description": violation.description,
                    }))
                    .collect::<Vec<_>>(),
            }),
        }
    }
}
