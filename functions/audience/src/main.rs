//! The `audience` function's executable.

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    fanfare_audience::run().await
}
