//! How long a task waits before it is tried again.

use std::time::Duration;

use crate::domain::limits;

/// Wait after the first try, in seconds; each later one is followed by four times as long.
const FIRST_RETRY_SECS: u64 = 2;

/// The wait after a try in vain, counted from 0: 2, 8, 32, 128, 512 s, and never more than a queue's longest delay.
pub fn retry_delay(attempt: u8) -> Duration {
    let secs = FIRST_RETRY_SECS.saturating_mul(1 << (2 * u32::from(attempt).min(10)));
    Duration::from_secs(secs).min(Duration::from_secs(limits::QUEUE_DELAY_SECS.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_four_times_as_long_up_to_the_longest_delay() {
        let waits: Vec<u64> = (0..8).map(|attempt| retry_delay(attempt).as_secs()).collect();
        assert_eq!(waits, [2, 8, 32, 128, 512, 900, 900, 900]);
        assert_eq!(retry_delay(u8::MAX).as_secs(), 900);
    }
}
