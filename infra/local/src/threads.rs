//! Threads of their own, for parts of the stack that others must not wait for, or that must not wait for others.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// How many threads such a part has.
const THREADS: usize = 2;

/// A runtime beside the stack's. What runs on it ends when this is dropped, wherever that is.
pub struct Threads(Option<Runtime>);

impl Threads {
    /// Threads of that name.
    ///
    /// # Errors
    ///
    /// When the machine has no more.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name(name).enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs something on them, and hands out what came of it. What it opens belongs to them, too.
    ///
    /// # Errors
    ///
    /// Its own; or that it did not come to an end.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        self.spawn(work).await.map_err(io::Error::other)?
    }

    /// Begins something on them.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle().spawn(work)
    }

    fn handle(&self) -> &Handle {
        self.0.as_ref().map(Runtime::handle).expect("it is there until it is dropped")
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Not by its own drop, which waits, and so may not happen on a thread that works for another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
