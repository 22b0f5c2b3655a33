//! What a process does that the stack starts as an execution environment.

use std::io::Read;
use std::process::ExitCode;

/// Runs the function called `name` until the stack ends it.
pub fn run(name: &str) -> ExitCode {
    end_with_the_stack();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(name, &error.into()),
    };
    match runtime.block_on(function(name)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(name, &error),
    }
}

/// Ends this process when its standard input does: the stack holds the other end, so it closes
/// however the stack goes, a SIGKILL included.
///
/// # Panics
///
/// When the system gives no thread.
pub fn end_with_the_stack() {
    std::thread::spawn(|| {
        let mut nothing = [0; 1];
        while matches!(std::io::stdin().read(&mut nothing), Ok(1)) {}
        std::process::exit(0);
    });
}

async fn function(name: &str) -> Result<(), lambda_runtime::Error> {
    match name {
        "push-intake" => fanfare_push_intake::run().await,
        "audience" => fanfare_audience::run().await,
        "fan-out" => fanfare_fan_out::run().await,
        "deliver" => fanfare_deliver::run().await,
        "connection" => fanfare_connection::run().await,
        "campaign" => fanfare_campaign::run().await,
        "webhook" => fanfare_webhook::run().await,
        _ => Err("the local stack has no such function".into()),
    }
}

fn failed(name: &str, error: &lambda_runtime::Error) -> ExitCode {
    eprintln!("ERROR function `{name}` ended: {error}");
    ExitCode::FAILURE
}
