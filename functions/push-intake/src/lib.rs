//! The `push-intake` function.

/// Runs the function until the platform ends it.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    std::future::ready(Ok(())).await
}
