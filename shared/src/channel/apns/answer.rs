//! What Apple's answers mean.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::domain::{Outcome, Timestamp};

use super::Error;
use crate::channel::http2::Failure;

/// Why a notification was not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The app is gone from the device, since then.
    Unregistered { since: Option<Timestamp> },
    /// Not a token of this environment or topic: the device's fault, or ours for all devices.
    Mismatch,
    /// Never to pass.
    Malformed,
    /// Our provider token is too old.
    StaleProviderToken,
    /// Our provider tokens changed too often. The right one, on another connection, passes.
    TooManyProviderTokens,
    /// Our provider token is not accepted.
    Forbidden,
    /// Too many notifications to this device.
    TooManyToDevice(Option<Duration>),
    /// The server is leaving.
    Shutdown(Option<Duration>),
    /// The server, or somebody on the way, is unwell.
    Unavailable(Option<Duration>),
    /// The push ended its life before this notification's turn.
    Late,
    /// It was not sent.
    Unsent(Error),
    /// There was no answer.
    Failed(Failure),
}

impl Refusal {
    /// What it means for the target.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Unregistered { since } => Outcome::InvalidToken { since: *since, doubtful: false },
            Self::Mismatch => Outcome::InvalidToken { since: None, doubtful: true },
            Self::Malformed => Outcome::Permanent,
            Self::StaleProviderToken | Self::TooManyProviderTokens => Outcome::Auth,
            Self::Forbidden => Outcome::Config,
            Self::TooManyToDevice(after) => Outcome::Throttled(*after),
            Self::Shutdown(after) | Self::Unavailable(after) => Outcome::Transient(*after),
            Self::Late => Outcome::Transient(None),
            Self::Unsent(error) => error.outcome(),
            Self::Failed(failure) => failure.outcome(),
        }
    }

    /// Whether nothing better is to be had on the same connection.
    pub(super) fn spoils_the_connection(&self) -> bool {
        match self {
            Self::TooManyProviderTokens | Self::Forbidden | Self::Shutdown(_) => true,
            Self::Unregistered { .. }
            | Self::Mismatch
            | Self::Malformed
            | Self::StaleProviderToken
            | Self::TooManyToDevice(_)
            | Self::Unavailable(_)
            | Self::Late
            | Self::Unsent(_)
            | Self::Failed(_) => false,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Unsent(error)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    reason: String,
    /// Milliseconds; with 410 only.
    timestamp: Option<i64>,
}

/// Reads an answer: `None` when the notification was taken.
pub(super) fn refusal(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Option<Refusal> {
    if status == StatusCode::OK {
        return None;
    }
    let Body { reason, timestamp } = read(body);
    let refusal = match (status.as_u16(), reason.as_str()) {
        // What is not Apple's own word comes from somebody on the way: nothing is concluded from it.
        (400 | 410, "") => Refusal::Unavailable(retry_after),
        (410, _) => Refusal::Unregistered { since: timestamp.map(Timestamp::from_millis) },
        (400, "BadDeviceToken" | "DeviceTokenNotForTopic") => Refusal::Mismatch,
        (403, "ExpiredProviderToken") => Refusal::StaleProviderToken,
        (403, _) => Refusal::Forbidden,
        (429, "TooManyProviderTokenUpdates") => Refusal::TooManyProviderTokens,
        (429, _) => Refusal::TooManyToDevice(retry_after),
        (400 | 404 | 405 | 413, _) => Refusal::Malformed,
        (503, "Shutdown") => Refusal::Shutdown(retry_after),
        _ => Refusal::Unavailable(retry_after),
    };
    Some(refusal)
}

/// Apple's word for what went wrong; empty if it said none.
pub(super) fn reason(body: &[u8]) -> String {
    read(body).reason
}

fn read(body: &[u8]) -> Body {
    serde_json::from_slice(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channel::testkit::any_answer;

    fn outcome(status: u16, body: &str, retry_after: Option<u64>) -> Outcome {
        let status = StatusCode::from_u16(status).unwrap();
        refusal(status, body.as_bytes(), retry_after.map(Duration::from_secs))
            .map_or(Outcome::Delivered, |refusal| refusal.outcome())
    }

    fn reason(status: u16, reason: &str) -> Outcome {
        outcome(status, &format!(r#"{{"reason":"{reason}"}}"#), None)
    }

    const DOUBTFUL: Outcome = Outcome::InvalidToken { since: None, doubtful: true };

    #[test]
    fn an_empty_200_is_a_delivery() {
        assert_eq!(outcome(200, "", None), Outcome::Delivered);
    }

    #[test]
    fn an_unregistered_device_is_invalid_since_the_moment_named() {
        for reason in ["Unregistered", "ExpiredToken"] {
            let body = format!(r#"{{"reason":"{reason}","timestamp":1700000000123}}"#);
            let since = Some(Timestamp::from_millis(1_700_000_000_123));
            assert_eq!(outcome(410, &body, None), Outcome::InvalidToken { since, doubtful: false });
        }
    }

    #[test]
    fn a_token_of_another_environment_or_topic_is_doubtful() {
        assert_eq!(reason(400, "BadDeviceToken"), DOUBTFUL);
        assert_eq!(reason(400, "DeviceTokenNotForTopic"), DOUBTFUL);
    }

    #[test]
    fn what_is_malformed_never_passes() {
        for reason_400 in ["BadTopic", "PayloadEmpty", "BadExpirationDate", "BadPriority", "BadCollapseId"] {
            assert_eq!(reason(400, reason_400), Outcome::Permanent, "{reason_400}");
        }
        assert_eq!(reason(404, "BadPath"), Outcome::Permanent);
        assert_eq!(reason(405, "MethodNotAllowed"), Outcome::Permanent);
        assert_eq!(reason(413, "PayloadTooLarge"), Outcome::Permanent);
    }

    #[test]
    fn a_provider_token_is_stale_or_it_is_for_a_person_to_mend() {
        assert_eq!(reason(403, "ExpiredProviderToken"), Outcome::Auth);
        assert_eq!(reason(429, "TooManyProviderTokenUpdates"), Outcome::Auth);
        for reason_403 in [
            "InvalidProviderToken",
            "MissingProviderToken",
            "UnrelatedKeyIdInToken",
            "BadEnvironmentKeyIdInToken",
            "Forbidden",
        ] {
            assert_eq!(reason(403, reason_403), Outcome::Config, "{reason_403}");
        }
    }

    #[test]
    fn a_device_that_had_too_much_is_throttled() {
        assert_eq!(reason(429, "TooManyRequests"), Outcome::Throttled(None));
        let body = r#"{"reason":"TooManyRequests"}"#;
        assert_eq!(outcome(429, body, Some(7)), Outcome::Throttled(Some(Duration::from_secs(7))));
    }

    #[test]
    fn an_unwell_server_is_tried_again() {
        assert_eq!(reason(500, "InternalServerError"), Outcome::Transient(None));
        assert_eq!(reason(503, "Shutdown"), Outcome::Transient(None));
        let body = r#"{"reason":"ServiceUnavailable"}"#;
        assert_eq!(outcome(503, body, Some(9)), Outcome::Transient(Some(Duration::from_secs(9))));
    }

    #[test]
    fn nothing_is_concluded_from_garbage() {
        for status in [400, 410, 418, 502, 301] {
            assert_eq!(outcome(status, "<html>", None), Outcome::Transient(None), "{status}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_a_device_is_dead_only_by_the_vendors_word(
            (status, body) in any_answer(vec![
                json!({"reason": "BadDeviceToken"}), json!({"reason": "Unregistered", "timestamp": 1_700_000_000_123_i64}),
                json!({"reason": "ExpiredProviderToken"}),
            ])
        ) {
            let outcome = refusal(status, &body, None).map_or(Outcome::Delivered, |refusal| refusal.outcome());
            if matches!(outcome, Outcome::InvalidToken { doubtful: false, .. }) {
                assert!(status == 410 && !super::reason(&body).is_empty());
            }
            if outcome == Outcome::Delivered {
                assert_eq!(status, StatusCode::OK);
            }
        }
    }
}
