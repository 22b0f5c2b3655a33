//! The AWS configuration that every client is made from.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

/// Region, credentials and endpoints from the environment; timeouts shorter than any function's own.
///
/// The behaviour version is pinned, so that an update of the SDK cannot change retries and timeouts by itself.
/// It sets no call timeouts, so they are set here: an attempt that hangs must leave time for another.
pub async fn config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(8))
        .build();
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(4))
        .load()
        .await
}
