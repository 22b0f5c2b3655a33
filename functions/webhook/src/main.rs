//! The `webhook` function's executable.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    fanfare_webhook::run().await
}
