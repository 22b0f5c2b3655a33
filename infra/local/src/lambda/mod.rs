//! Lambda: functions, their environments, and invocations.

mod environment;
mod pool;
mod runtime_api;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::clock::Clock;
use crate::gate::Gate;
use crate::logs::Logs;
use crate::template::{Environment as Variables, Function};
use pool::Pool;

pub use environment::Environments;

/// The largest event and the largest answer of a synchronous invocation.
pub const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024 + 100;

/// What every environment's access key goes with: what tells them apart is its id.
pub const SECRET_KEY: &str = "local";

/// How long Lambda waits before it tries an asynchronous invocation again. On AWS it is minutes; here somebody is watching.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why an invocation brought no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The function answered that it failed.
    #[error("the function failed: {kind}: {message}")]
    Handled {
        /// The error's type.
        kind: String,
        /// What it says.
        message: String,
    },
    /// The process ended, or was killed.
    #[error("the environment ended: {0}")]
    Crashed(String),
    /// It took too long, and was killed.
    #[error("the function timed out after {0:?}")]
    TimedOut(Duration),
    /// The process never asked for work.
    #[error("the environment did not start: {0}")]
    Init(String),
    /// The event is too large.
    #[error("the event has {0} bytes")]
    TooLarge(usize),
    /// The template has no such function.
    #[error("there is no function `{0}`")]
    Unknown(String),
}

/// What an environment runs.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments; `{function}` stands for the function's program.
    pub arguments: Vec<String>,
}

impl Program {
    /// This executable, which runs a function when it is started with `--function NAME`.
    ///
    /// # Errors
    ///
    /// When the system does not say which one it is.
    pub fn this() -> io::Result<Self> {
        Ok(Self { path: std::env::current_exe()?, arguments: vec!["--function".to_owned(), "{function}".to_owned()] })
    }
}

/// What all environments have in common.
#[derive(Clone)]
pub struct Settings {
    /// What an environment runs.
    pub program: Program,
    /// Variables that every environment gets: endpoints, the clock's file, certificates.
    pub variables: Variables,
    /// The stack's clock.
    pub clock: Clock,
    /// What functions write.
    pub logs: Logs,
    /// Where faults strike.
    pub gate: Gate,
    /// The most environments of one function, whatever the template allows.
    pub most_environments: usize,
}

/// A running Lambda; clones are the same.
#[derive(Clone)]
pub struct Lambda {
    shared: Arc<Shared>,
}

struct Shared {
    pools: BTreeMap<String, Arc<Pool>>,
    running: AtomicUsize,
}

/// One function, as `GET /_local/functions` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Its live environments.
    pub environments: Vec<EnvironmentStatus>,
    /// Invocations so far.
    pub invocations: u64,
    /// Invocations that brought no answer.
    pub errors: u64,
    /// Environments that were started.
    pub cold_starts: u64,
    /// Resident memory of all environments together, in bytes.
    pub memory_bytes: u64,
}

/// One environment, as `GET /_local/functions` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct EnvironmentStatus {
    /// Its name, which is its access key id too.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Whether it works on an invocation.
    pub busy: bool,
    /// Resident memory in bytes, 0 where there is no `/proc`.
    pub memory_bytes: u64,
    /// The most resident memory so far in bytes, 0 where there is no `/proc`.
    pub peak_memory_bytes: u64,
}

impl Lambda {
    /// Knows the functions; environments start with the first invocations.
    pub fn new(functions: &[Function], settings: &Settings) -> Self {
        let pools = functions.iter().map(|function| {
            let pool = Pool::new(function.clone(), settings.clone());
            (function.name.clone(), Arc::new(pool))
        });
        Self { shared: Arc::new(Shared { pools: pools.collect(), running: AtomicUsize::new(0) }) }
    }

    /// Invokes a function and waits for its answer. The invocation goes on when the caller does not wait.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn invoke(&self, function: &str, event: Bytes) -> Result<Bytes, Failure> {
        let Some(pool) = self.shared.pools.get(function).cloned() else {
            return Err(Failure::Unknown(function.to_owned()));
        };
        if event.len() > MAX_PAYLOAD_BYTES {
            return Err(Failure::TooLarge(event.len()));
        }
        let running = Running::begin(&self.shared);
        let invocation = tokio::spawn(async move {
            let result = pool.invoke(event).await;
            drop(running);
            result
        });
        invocation.await.unwrap_or_else(|error| Err(Failure::Crashed(error.to_string())))
    }

    /// Invokes a function as Lambda does when nobody waits for the answer: a failure is tried again, twice
    /// if the template does not say otherwise.
    pub async fn invoke_async(&self, function: &str, event: Bytes) {
        let running = Running::begin(&self.shared);
        let retries = self.shared.pools.get(function).map_or(0, |pool| pool.retries());
        for attempt in 0..=retries {
            if self.invoke(function, event.clone()).await.is_ok() {
                break;
            }
            if attempt < retries {
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
        drop(running);
    }

    /// How many invocations are at work or wait for an environment.
    pub fn running(&self) -> usize {
        self.shared.running.load(Ordering::SeqCst)
    }

    /// Counts as a running invocation until it is dropped.
    pub fn busy(&self) -> Running {
        Running::begin(&self.shared)
    }

    /// How many invocations of the function may run at once.
    pub fn concurrency(&self, function: &str) -> usize {
        let pool = self.shared.pools.get(function);
        pool.map_or(0, |pool| pool.concurrency())
    }

    /// Gives functions so much time for an invocation that begins from now on; those that are not named have what the
    /// template gives them.
    ///
    /// # Errors
    ///
    /// When one is named that there is not; then nothing changes.
    pub fn limit_time(&self, limits: &BTreeMap<String, Duration>) -> Result<(), Failure> {
        if let Some(unknown) = limits.keys().find(|name| !self.shared.pools.contains_key(*name)) {
            return Err(Failure::Unknown(unknown.clone()));
        }
        for (name, pool) in &self.shared.pools {
            pool.limit_time(limits.get(name).copied());
        }
        Ok(())
    }

    /// What the functions are called.
    pub fn names(&self) -> Vec<&str> {
        self.shared.pools.keys().map(String::as_str).collect()
    }

    /// All functions as they are.
    pub fn status(&self) -> Vec<Status> {
        self.shared.pools.values().map(|pool| pool.status()).collect()
    }

    /// Ends every environment, and returns when none is left.
    pub async fn stop(&self) {
        let pools = self.shared.pools.values();
        futures::future::join_all(pools.map(|pool| pool.stop())).await;
    }
}

/// An invocation that is under way.
pub struct Running {
    shared: Arc<Shared>,
}

impl Running {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.running.fetch_add(1, Ordering::SeqCst);
        Self { shared: Arc::clone(shared) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a runtime reports about an error.
fn reported(body: &[u8]) -> Failure {
    let report: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |field: &str| report[field].as_str().unwrap_or("unknown").to_owned();
    Failure::Handled { kind: text("errorType"), message: text("errorMessage") }
}
