//! The `fan-out` function: turns a push into tasks for its shards, and a shard into batches for each channel.
//!
//! Every step can be repeated. A snapshot and its cuts are written once and read from then on, so a task that comes
//! twice makes the same batches, and the ledger knows those that were sent.

mod address;
mod cut;
mod pace;
mod readdress;
mod shard;
mod spread;
mod steps;

use aws_lambda_events::event::sqs::SqsEvent;
use fanfare::channel::Rates;
use fanfare::domain::{App, Channel, Timestamp};
use fanfare::queue::{self, Failure, FanOutTask, Queues, Urls, consume};
use fanfare::runtime::config::{ConfigError, Environment, Lookup, Tables};
use fanfare::runtime::{Clock, aws, telemetry};
use fanfare::store::{
    self, AppStore, ContactStore, DueStore, IndexStore, LedgerStore, PaceStore, PushStore, SnapshotStore,
};
use lambda_runtime::{LambdaEvent, service_fn};

/// What must be left of an invocation for more to be begun: what one call of ours takes at most (8 s, `runtime::aws`), and
/// handing over the rest.
const MARGIN_MILLIS: i64 = 10_000;

/// What the function works with. Clones share connections and what is remembered.
#[derive(Clone)]
struct FanOut {
    apps: AppStore,
    clock: Clock,
    contacts: ContactStore,
    due: DueStore,
    index: IndexStore,
    ledger: LedgerStore,
    pace: PaceStore,
    pushes: PushStore,
    queues: Queues,
    rates: Rates,
    snapshots: SnapshotStore,
}

/// Runs the function until the platform ends it.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let fan_out = FanOut::new(&Environment).await?;
    lambda_runtime::run_concurrent(service_fn(move |event: LambdaEvent<SqsEvent>| {
        let fan_out = fan_out.clone();
        async move {
            let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
            let deadline = Timestamp::from_millis(deadline);
            let handle = |task: FanOutTask| {
                let fan_out = fan_out.clone();
                async move { fan_out.handle(task, deadline).await }
            };
            Ok::<_, lambda_runtime::Error>(consume(event.payload, handle).await)
        }
    }))
    .await
}

impl FanOut {
    async fn new(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        let tables = Tables::from_lookup(lookup)?;
        let urls = Urls::from_lookup(lookup)?;
        let rates = Rates::from_lookup(lookup)?;
        let config = aws::config().await;
        let client = store::Client::new(&config);
        Ok(Self {
            apps: AppStore::new(client.clone(), tables.apps),
            clock: Clock::from_lookup(lookup),
            contacts: ContactStore::new(client.clone(), &tables.audience),
            due: DueStore::new(client.clone(), &tables.pushes),
            index: IndexStore::new(client.clone(), &tables.audience),
            ledger: LedgerStore::new(client.clone(), &tables.pushes),
            pace: PaceStore::new(client.clone(), &tables.pushes),
            pushes: PushStore::new(client.clone(), &tables.pushes),
            queues: Queues::new(queue::Client::new(&config), urls),
            rates,
            snapshots: SnapshotStore::new(client, &tables.pushes),
        })
    }

    async fn handle(&self, task: FanOutTask, deadline: Timestamp) -> Result<(), Failure> {
        if is_short(deadline, self.clock.now()) {
            // It comes again, with the time of a whole invocation.
            return Err(Failure::Held);
        }
        match task {
            FanOutTask::Spread { push } => self.spread(push).await,
            FanOutTask::Shard { push, shard, resume } => self.shard(push, shard, resume, deadline).await,
            FanOutTask::Readdress { push, shard, slice, attempt, places } => {
                self.readdress(push, shard, slice, attempt, places).await
            }
        }
    }

    /// Whether an app's devices can be reached so: there is a queue, and, but for sockets, the vendor's credentials. Without
    /// them every batch would be tried in vain until it is given up.
    fn serves(&self, app: &App, channel: Channel) -> bool {
        self.queues.serves(channel) && (channel == Channel::Ws || app.channels.has(channel))
    }
}

/// Whether too little is left of an invocation that ends at `deadline` for more to be begun.
fn is_short(deadline: Timestamp, now: Timestamp) -> bool {
    deadline.millis_since(now) < MARGIN_MILLIS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_begun_that_the_invocation_may_not_see_the_end_of() {
        let deadline = Timestamp::from_secs(1_700_000_030);
        for (left_millis, short) in [(30_000, false), (10_000, false), (9_999, true), (0, true), (-1, true)] {
            assert_eq!(is_short(deadline, deadline.plus_millis(-left_millis)), short, "{left_millis} ms");
        }
    }
}
