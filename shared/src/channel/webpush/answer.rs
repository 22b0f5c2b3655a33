//! What push services answer (RFC 8030, sections 5 and 7.3; RFC 8292, section 4). Their status says it; their words are each
//! service's own.

use std::time::Duration;

use http::StatusCode;

use crate::domain::Outcome;

/// What an answer says of the browser that it is about.
pub(super) fn outcome(status: StatusCode, retry_after: Option<Duration>) -> Outcome {
    match status.as_u16() {
        // 201 by the RFC.
        200..=299 => Outcome::Delivered,
        // The subscription has ended, or never was.
        404 | 410 => Outcome::InvalidToken { since: None, doubtful: false },
        401 => Outcome::Auth,
        // Another key than the one that the browser subscribed with, or a subject that the service does not like.
        403 => Outcome::NotEntitled,
        429 => Outcome::Throttled(retry_after),
        408 => Outcome::Transient(retry_after),
        // Something in the request; 413, that it is too long.
        400..=499 => Outcome::Permanent,
        // Also what is none of a push service's answers: nothing is concluded from it.
        _ => Outcome::Transient(retry_after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_meaning() {
        let some = Some(Duration::from_secs(9));
        for (status, expected) in [
            (200, Outcome::Delivered),
            (201, Outcome::Delivered),
            (202, Outcome::Delivered),
            (204, Outcome::Delivered),
            (404, Outcome::InvalidToken { since: None, doubtful: false }),
            (410, Outcome::InvalidToken { since: None, doubtful: false }),
            (400, Outcome::Permanent),
            (405, Outcome::Permanent),
            (413, Outcome::Permanent),
            (418, Outcome::Permanent),
            (401, Outcome::Auth),
            (403, Outcome::NotEntitled),
            (429, Outcome::Throttled(some)),
            (408, Outcome::Transient(some)),
            (500, Outcome::Transient(some)),
            (502, Outcome::Transient(some)),
            (503, Outcome::Transient(some)),
            (301, Outcome::Transient(some)),
        ] {
            assert_eq!(outcome(StatusCode::from_u16(status).unwrap(), some), expected, "{status}");
        }
        assert_eq!(outcome(StatusCode::TOO_MANY_REQUESTS, None), Outcome::Throttled(None));
    }
}
