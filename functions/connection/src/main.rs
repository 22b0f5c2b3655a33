//! The `connection` function's executable.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    fanfare_connection::run().await
}
