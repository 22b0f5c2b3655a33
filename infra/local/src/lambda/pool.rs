//! The environments of one function: as few as will do, as many as the template allows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::environment::Environment;
use super::{EnvironmentStatus, Failure, Settings, Status};
use crate::template::Function;

/// How many invocations run at once when the template does not say.
const UNSAID_CONCURRENCY: usize = 10;

/// How long an answer is held back for its environment to be free again.
const RETURN_WITHIN: Duration = Duration::from_millis(100);

pub(super) struct Pool {
    function: Function,
    settings: Settings,
    concurrency: usize,
    /// How long one invocation may take.
    time_limit: Mutex<Duration>,
    permits: Arc<Semaphore>,
    environments: Mutex<Fleet>,
    invocations: AtomicU64,
    errors: AtomicU64,
    cold_starts: AtomicU64,
}

#[derive(Default)]
struct Fleet {
    /// Every environment that may be alive.
    all: Vec<Arc<Environment>>,
    /// Those that wait for work; the last one was used last, and is used next.
    idle: Vec<Arc<Environment>>,
    /// Nothing starts any more.
    stopped: bool,
}

impl Pool {
    pub fn new(function: Function, settings: Settings) -> Self {
        let mapped: Option<usize> = function.mappings.iter().map(|mapping| mapping.maximum_concurrency).sum();
        let wanted = function.reserved_concurrency.or(mapped.filter(|sum| *sum > 0)).unwrap_or(UNSAID_CONCURRENCY);
        let concurrency = wanted.min(settings.most_environments);
        Self {
            permits: Arc::new(Semaphore::new(concurrency)),
            concurrency,
            time_limit: Mutex::new(function.timeout),
            function,
            settings,
            environments: Mutex::default(),
            invocations: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            cold_starts: AtomicU64::new(0),
        }
    }

    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Gives invocations that begin from now on so much time, or what the template says.
    pub fn limit_time(&self, limit: Option<Duration>) {
        *self.time_limit.lock().unwrap_or_else(PoisonError::into_inner) = limit.unwrap_or(self.function.timeout);
    }

    pub fn retries(&self) -> u32 {
        self.function.retries
    }

    pub async fn invoke(self: &Arc<Self>, event: Bytes) -> Result<Bytes, Failure> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Failure::Crashed("the stack stops".to_owned()))?;
        self.invocations.fetch_add(1, Ordering::Relaxed);

        let result = self.run(event, permit).await;
        if let Err(failure) = &result {
            self.errors.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(function = self.function.name, error = %failure, "An invocation of `{}` failed", self.function.name);
        }
        result
    }

    async fn run(self: &Arc<Self>, event: Bytes, permit: OwnedSemaphorePermit) -> Result<Bytes, Failure> {
        loop {
            let environment = self.environment().await?;
            let time_limit = *self.time_limit.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(result) = environment.invoke(event.clone(), time_limit).await else {
                self.forget(&environment);
                continue;
            };
            // That takes it a fraction of a millisecond. Without the wait, whether the next request is a
            // cold start would be a race, and no count of environments could be relied on.
            drop(timeout(RETURN_WITHIN, self.give_back(environment, permit)).await);
            return result;
        }
    }

    /// The environment is free when it asks for more, not when it has answered.
    fn give_back(self: &Arc<Self>, environment: Arc<Environment>, permit: OwnedSemaphorePermit) -> JoinHandle<()> {
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            if environment.asks_for_more().await {
                pool.fleet().idle.push(environment);
            } else {
                pool.forget(&environment);
            }
            drop(permit);
        })
    }

    /// A warm environment, or a new one.
    async fn environment(&self) -> Result<Arc<Environment>, Failure> {
        while let Some(environment) = self.pop_idle() {
            if environment.is_alive() {
                return Ok(environment);
            }
            self.forget(&environment);
        }
        let number = self.cold_starts.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{}.{number}", self.function.name);
        let environment = Environment::start(name, &self.function, &self.settings).await?;
        let environment = Arc::new(environment);
        let stopped = {
            let mut fleet = self.fleet();
            fleet.all.push(Arc::clone(&environment));
            fleet.stopped
        };
        if stopped {
            environment.kill().await;
            return Err(Failure::Crashed("the stack stops".to_owned()));
        }
        if let Err(failure) = environment.started().await {
            self.forget(&environment);
            return Err(failure);
        }
        Ok(environment)
    }

    pub fn status(&self) -> Status {
        let environments: Vec<EnvironmentStatus> = self
            .fleet()
            .all
            .iter()
            .filter(|environment| environment.is_alive())
            .map(|environment| environment.status())
            .collect();
        let memory = environments.iter().map(|environment| environment.memory_bytes);
        Status {
            name: self.function.name.clone(),
            memory_bytes: memory.sum(),
            environments,
            invocations: self.invocations.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            cold_starts: self.cold_starts.load(Ordering::Relaxed),
        }
    }

    pub async fn stop(&self) {
        let all = {
            let mut fleet = self.fleet();
            fleet.stopped = true;
            fleet.all.clone()
        };
        futures::future::join_all(all.iter().map(|environment| environment.kill())).await;
    }

    fn pop_idle(&self) -> Option<Arc<Environment>> {
        self.fleet().idle.pop()
    }

    fn forget(&self, environment: &Arc<Environment>) {
        self.fleet().all.retain(|other| !Arc::ptr_eq(other, environment));
    }

    fn fleet(&self) -> std::sync::MutexGuard<'_, Fleet> {
        self.environments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
