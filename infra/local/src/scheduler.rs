//! Wakes functions by the clock.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::lambda::Lambda;
use crate::schedule::{self, Expression};
use crate::template::{Function, Schedule};

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The schedules of all functions.
pub struct Scheduler {
    work: Arc<Work>,
    task: JoinHandle<()>,
}

struct Work {
    entries: Mutex<Vec<Entry>>,
    lambda: Lambda,
    clock: Clock,
}

struct Entry {
    function: Function,
    schedule: Schedule,
    /// When the tick before was due; the start for the first.
    last: u64,
    next: Option<u64>,
}

impl Scheduler {
    /// Starts to look at the clock. A rate counts from now.
    pub fn start(functions: &[Function], lambda: Lambda, clock: Clock) -> Self {
        let now = clock.now();
        let entries = functions.iter().flat_map(|function| {
            function.schedules.iter().map(|schedule| Entry {
                function: function.clone(),
                schedule: schedule.clone(),
                last: now,
                next: schedule.expression.next(now, now),
            })
        });
        let work = Arc::new(Work { entries: Mutex::new(entries.collect()), lambda, clock });
        let ticking = Arc::clone(&work);
        let task = tokio::spawn(async move {
            loop {
                sleep(LOOK_EVERY).await;
                let due = ticking.due().await;
                tokio::spawn(async move {
                    join_all(due).await;
                });
            }
        });
        Self { work, task }
    }

    /// Fires what is due, once however far the clock has jumped, and returns when that has finished.
    pub async fn catch_up(&self) {
        join_all(self.work.due().await).await;
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Work {
    /// The invocations that are due, counted as under way from here on.
    async fn due(&self) -> Vec<impl Future<Output = ()> + use<>> {
        let now = self.clock.now();
        let mut entries = self.entries.lock().await;
        let due = entries.iter_mut().filter(|entry| entry.next.is_some_and(|next| next <= now));
        due.map(|entry| {
            entry.ticked(now);
            let event = schedule::event(&entry.schedule, &entry.function.id, now);
            let (lambda, function) = (self.lambda.clone(), entry.function.name.clone());
            let busy = lambda.busy();
            async move {
                lambda.invoke_async(&function, Bytes::from(event)).await;
                drop(busy);
            }
        })
        .collect()
    }
}

impl Entry {
    /// A rate stays on its grid.
    fn ticked(&mut self, now: u64) {
        self.last = match &self.schedule.expression {
            Expression::Rate(seconds) => now - (now - self.last) % seconds,
            Expression::Cron(_) => now,
        };
        self.next = self.schedule.expression.next(self.last, now);
    }
}
