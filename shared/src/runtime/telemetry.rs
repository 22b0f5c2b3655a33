//! The log.

/// Starts logging as Lambda asks for it (`AWS_LAMBDA_LOG_FORMAT`, `AWS_LAMBDA_LOG_LEVEL`).
pub fn init() {
    lambda_runtime::tracing::init_default_subscriber();
}
