//! The `fan-out` function's executable.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    fanfare_fan_out::run().await
}
