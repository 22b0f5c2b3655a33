//! The `deliver` function: sends batches through one channel, and records what came of each device. Deployed once a
//! channel.

mod admit;
mod batch;
mod full;
mod health;
mod news;
mod rounds;
mod settle;
mod vault;

use std::sync::Arc;

use aws_lambda_events::event::sqs::SqsEvent;
use fanfare::channel::{Breaker, Rates, Senders, ws};
use fanfare::domain::{Channel, Timestamp};
use fanfare::queue::{self, DeliverTask, Queues, Urls, Webhooks, consume};
use fanfare::runtime::config::{Environment, Lookup, Tables, parsed};
use fanfare::runtime::metrics::Metrics;
use fanfare::runtime::{Clock, aws, telemetry};
use fanfare::store::{
    self, AppStore, ConnectionStore, ContactStore, LedgerStore, PaceStore, PushStore, RestStore, TokenStore,
};
use lambda_runtime::{LambdaEvent, service_fn};

use full::Full;

/// What the function works with. Clones share connections and what is remembered.
#[derive(Clone)]
struct Deliver {
    apps: AppStore,
    breaker: Arc<Breaker>,
    channel: Channel,
    clock: Clock,
    connections: ConnectionStore,
    contacts: ContactStore,
    full: Arc<Full>,
    ledger: LedgerStore,
    metrics: Metrics,
    pace: PaceStore,
    pushes: PushStore,
    queues: Queues,
    rates: Rates,
    rests: RestStore,
    senders: Senders,
    webhooks: Webhooks,
}

/// Runs the function until the platform ends it.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let deliver = Deliver::new(&Environment).await?;
    lambda_runtime::run_concurrent(service_fn(move |event: LambdaEvent<SqsEvent>| {
        let deliver = deliver.clone();
        async move {
            let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
            let deadline = Timestamp::from_millis(deadline);
            let handle = |task: DeliverTask| {
                let deliver = deliver.clone();
                async move { deliver.batch(task, deadline).await }
            };
            Ok::<_, lambda_runtime::Error>(consume(event.payload, handle).await)
        }
    }))
    .await
}

impl Deliver {
    async fn new(lookup: &impl Lookup) -> Result<Self, lambda_runtime::Error> {
        let tables = Tables::from_lookup(lookup)?;
        let urls = Urls::from_lookup(lookup)?;
        let channel: Channel = parsed(lookup, "FANFARE_CHANNEL")?;
        let rates = Rates::from_lookup(lookup)?;
        let config = aws::config().await;
        let client = store::Client::new(&config);
        let clock = Clock::from_lookup(lookup);
        let vault = Arc::new(vault::StoreVault(TokenStore::new(client.clone(), &tables.apps)));
        let sockets = match channel {
            Channel::Ws => {
                let client = ws::Client::new(&config, lookup, clock.clone())?;
                // Now, and not when the turn of the first post has come.
                drop(client.warm_up(1).await);
                Some(client)
            }
            _ => None,
        };
        Ok(Self {
            apps: AppStore::new(client.clone(), tables.apps),
            breaker: Arc::default(),
            channel,
            connections: ConnectionStore::new(client.clone(), &tables.audience),
            contacts: ContactStore::new(client.clone(), &tables.audience),
            full: Arc::default(),
            ledger: LedgerStore::new(client.clone(), &tables.pushes),
            metrics: Metrics::from_lookup(lookup)?,
            pace: PaceStore::new(client.clone(), &tables.pushes),
            pushes: PushStore::new(client.clone(), &tables.pushes),
            rates,
            rests: RestStore::new(client, &tables.pushes),
            queues: Queues::new(queue::Client::new(&config), urls),
            senders: Senders::new(clock.clone(), sockets, vault)?,
            webhooks: Webhooks::from_lookup(queue::Client::new(&config), lookup)?,
            clock,
        })
    }
}
