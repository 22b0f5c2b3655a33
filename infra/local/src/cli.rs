//! The command line.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::lambda::Program;
use crate::logs::{Level, Logs};
use crate::stack::{self, Options, Stack};
use crate::{demo, functions, listen};

/// The template that this executable was built with.
const TEMPLATE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml"));

/// All of Fanfare on this machine: the template interpreted, its functions run, the vendors played.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// Port of the APIs on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Keep the tables in this directory, instead of in memory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A JSON array of apps, instead of the demo app
    #[arg(long, value_name = "FILE")]
    apps: Option<PathBuf>,
    /// Give the demo app a webhook: the sandbox at `/_local/webhook`
    #[arg(long, conflicts_with = "apps")]
    webhook: bool,
    /// Another template than the one built in
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Set a parameter of the template, instead of its default; any number of times
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = assignment)]
    parameters: Vec<(String, String)>,
    /// From which level on the functions' log lines are shown on standard error
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Warn)]
    log: Level,
    /// Write all log lines of the functions to this file instead
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// The most environments of one function at once
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Listen as this user to the stack that runs on the port: print what comes, and acknowledge it
    #[arg(long, value_name = "USER")]
    listen: Option<String>,
    /// Run this function as an environment of a stack
    #[arg(long, hide = true, value_name = "NAME")]
    function: Option<String>,
}

/// Why the stack does not run.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read {path}")]
    Template { path: PathBuf, source: io::Error },
    #[error("cannot write the log")]
    Log(#[source] io::Error),
    #[error("this machine does not let the stack run")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Stack(#[from] stack::Error),
    #[error(transparent)]
    Listen(#[from] listen::Error),
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    run(Arguments::parse())
}

/// Runs the stack until Ctrl-C or SIGTERM, or one function of it.
pub fn run(arguments: Arguments) -> ExitCode {
    if let Some(function) = &arguments.function {
        return functions::run(function);
    }
    log_own_lines(arguments.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let result = match &arguments.listen {
        Some(user) => runtime.block_on(listen::listen(arguments.port, user)).map_err(Error::from),
        None => runtime.block_on(serve(arguments)),
    };
    // Connections may still be open, and nobody waits for them.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn serve(arguments: Arguments) -> Result<(), Error> {
    // Listened for from the start, so that no process is left behind by an early Ctrl-C.
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let has_demo = arguments.apps.is_none();
    let options = options(arguments)?;
    let stack = tokio::select! {
        stack = Stack::start(options) => stack?,
        _ = terminated.recv() => return Ok(()),
        _ = interrupted.recv() => return Ok(()),
    };
    greet(&stack, has_demo)?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    stack.stop().await;
    Ok(())
}

fn options(arguments: Arguments) -> Result<Options, Error> {
    let template = match arguments.template {
        Some(path) => std::fs::read_to_string(&path).map_err(|source| Error::Template { path, source })?,
        None => TEMPLATE.to_owned(),
    };
    Ok(Options {
        port: arguments.port,
        data: arguments.data,
        apps: arguments.apps,
        webhook: arguments.webhook,
        template,
        parameters: arguments.parameters.into_iter().collect(),
        program: Program::this()?,
        most_environments: arguments.concurrency.into(),
        logs: Logs::new(arguments.log, arguments.log_file.as_deref()).map_err(Error::Log)?,
    })
}

/// `NAME=VALUE`.
fn assignment(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("a parameter is set by NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Says where everything is. The last line begins with `ready`, for those who wait for it.
fn greet(stack: &Stack, has_demo: bool) -> io::Result<()> {
    let address = stack.address().to_string();
    let mut text = format!(
        "HTTP API    http://{address}\n\
         Socket      ws://{address}/ws\n\
         Vendors     http://{address}/_local/deliveries shows what the sandbox was sent\n\
         Usage       http://{address}/_local/usage\n"
    );
    if has_demo {
        text.push_str(&demo::greeting(&address, stack.now()));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{text}ready on http://{address}")?;
    out.flush()
}

/// The stack's own lines; those of the crates in it are no concern of its user.
fn log_own_lines(level: Level) {
    use lambda_runtime::tracing::subscriber::{EnvFilter, fmt};
    let level = match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
        Level::Off => "off",
    };
    fmt()
        .with_writer(io::stderr)
        .with_env_filter(EnvFilter::new(format!("off,fanfare_local={level}")))
        .without_time()
        .with_target(false)
        .init();
}

fn failed(error: &Error) -> ExitCode {
    let mut text = format!("fanfare-local: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    eprintln!("{text}");
    ExitCode::FAILURE
}
