//! Access tokens that last a day, several at a time, as OPPO and vivo give them out for a signature.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use uuid::Uuid;

const LIFE_MS: i64 = 86_400_000;
/// How far a request's time may be from the vendor's.
const DRIFT_MS: i64 = 600_000;

/// Tokens with the time, in UNIX milliseconds, at which each expires.
#[derive(Default)]
pub(super) struct DayTokens(Mutex<HashMap<String, i64>>);

impl DayTokens {
    pub(super) fn issue(&self, now_ms: i64) -> String {
        let token = Uuid::new_v4().to_string();
        let mut live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|_, expires_ms| now_ms < *expires_ms);
        live.insert(token.clone(), now_ms + LIFE_MS);
        token
    }

    pub(super) fn is_valid(&self, token: &str, now_ms: i64) -> bool {
        let live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(token).is_some_and(|expires_ms| now_ms < *expires_ms)
    }
}

/// Whether a request for a token was made just now.
pub(super) fn is_timely(timestamp_ms: i64, now_ms: i64) -> bool {
    timestamp_ms.abs_diff(now_ms) <= DRIFT_MS.unsigned_abs()
}
