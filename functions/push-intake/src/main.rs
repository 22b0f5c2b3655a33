//! The `push-intake` function's executable.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    fanfare_push_intake::run().await
}
