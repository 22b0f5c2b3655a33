//! What a vendor answered.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_types::date_time::{DateTime, Format};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use crate::domain::Timestamp;

use super::connection::Connection;

/// The longest pause that a vendor can talk us into.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// A whole answer.
pub(in crate::channel) struct Answer {
    /// Its status.
    pub(in crate::channel) status: StatusCode,
    /// How long the vendor asks to be left alone.
    pub(in crate::channel) retry_after: Option<Duration>,
    /// Its body. It may repeat a token, so it is not shown.
    pub(in crate::channel) body: Bytes,
    connection: Arc<Connection>,
}

impl Answer {
    pub(super) fn new(
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
        connection: Arc<Connection>,
        now: Timestamp,
    ) -> Self {
        Self { status, retry_after: retry_after(headers, now), body, connection }
    }

    /// The connection it came on.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Gives its connection up: what is under way on it ends there, what follows goes elsewhere.
    pub(in crate::channel) fn retire_connection(&self) {
        self.connection.retire_unless_new();
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// `Retry-After`, in seconds or as a date.
pub(in crate::channel) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let after = match value.parse() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => {
            let at = DateTime::from_str(value, Format::HttpDate).ok()?.to_millis().ok()?;
            Duration::from_millis(at.saturating_sub(now.millis()).try_into().unwrap_or(0))
        }
    };
    Some(after.min(MAX_RETRY_AFTER))
}

/// A vendor's own word or number for what went wrong, if it can be shown: an answer may hold anything, a token too.
pub(in crate::channel) fn shown(word: &str) -> &str {
    let is_word = (1..=40).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    let is_number = (1..=10).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if is_word || is_number { word } else { "?" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let now = Timestamp::from_secs(1_700_000_000);
        let read = |value: &'static str| {
            retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]), now)
        };
        assert_eq!(read("30"), Some(Duration::from_secs(30)));
        assert_eq!(read("Tue, 14 Nov 2023 22:13:50 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(read("Tue, 14 Nov 2023 22:13:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn only_plain_words_and_numbers_are_shown() {
        for plain in ["InvalidProviderToken", "80100000", "-1"] {
            assert_eq!(shown(plain), plain);
        }
        assert_eq!(shown("12345678901"), "?");
        assert_eq!(shown("00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"), "?");
        assert_eq!(shown("the token abc is bad"), "?");
    }
}
