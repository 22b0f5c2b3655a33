//! When a proof of identity was made, by what it says of itself.

use crate::domain::Timestamp;

/// How fast a signer's clock may be, in seconds.
pub(in crate::dialect) const FAST_CLOCK_SECS: i64 = 300;

/// The moment that a proof names, in seconds since the epoch. There are signers whose clock is fast; but a time that cannot
/// have been yet says nothing of when it was: the proof is taken for one of old, so that a verdict on its user voids it.
pub(in crate::dialect) fn issued_at(secs: i64, now: Timestamp) -> Timestamp {
    Timestamp::from_secs(if secs > now.secs().saturating_add(FAST_CLOCK_SECS) { 0 } else { secs })
}
