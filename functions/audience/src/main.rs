//! The `audience` function's executable.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    fanfare_audience::run().await
}
