//! The `webhook` function: tells apps' own servers what came of their pushes, and who comes and goes.
//!
//! Every call can be made twice: a queue delivers at least once, and an answer can be lost. Its receivers are strangers'
//! servers, slow or dead when they like; what keeps one app's from slowing down another's is a [`Rest`] for those that
//! fail, a pace for all, and that nothing of Fanfare ever waits for an answer but this function.
//!
//! [`Rest`]: fanfare::store::Rest

mod address;
mod client;
mod compose;
mod pace;
mod receiver;
mod refusals;
mod tell;

use std::sync::Arc;

use aws_lambda_events::event::sqs::SqsEvent;
use fanfare::queue::{self, WebhookTask, Webhooks, consume};
use fanfare::runtime::config::{Environment, Lookup, Tables};
use fanfare::runtime::{Clock, aws, telemetry};
use fanfare::store::{self, AppStore, ContactStore, PaceStore, PushStore, RestStore};
use lambda_runtime::{LambdaEvent, service_fn};

use client::Client;
use pace::Slowness;
use refusals::Refusals;

/// What the function works with. Clones share connections and what is remembered.
#[derive(Clone)]
struct WebhookFunction {
    apps: AppStore,
    client: Client,
    clock: Clock,
    contacts: ContactStore,
    pace: PaceStore,
    pushes: PushStore,
    refusals: Arc<Refusals>,
    rests: RestStore,
    slowness: Arc<Slowness>,
    webhooks: Webhooks,
}

/// Runs the function until the platform ends it.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let function = WebhookFunction::new(&Environment).await?;
    lambda_runtime::run_concurrent(service_fn(move |event: LambdaEvent<SqsEvent>| {
        let function = function.clone();
        async move {
            let handle = |task: WebhookTask| {
                let function = function.clone();
                async move { function.tell(task).await }
            };
            Ok::<_, lambda_runtime::Error>(consume(event.payload, handle).await)
        }
    }))
    .await
}

impl WebhookFunction {
    async fn new(lookup: &impl Lookup) -> Result<Self, lambda_runtime::Error> {
        let tables = Tables::from_lookup(lookup)?;
        let config = aws::config().await;
        let client = store::Client::new(&config);
        Ok(Self {
            apps: AppStore::new(client.clone(), tables.apps),
            client: Client::new()?,
            clock: Clock::from_lookup(lookup),
            contacts: ContactStore::new(client.clone(), &tables.audience),
            pace: PaceStore::new(client.clone(), &tables.pushes),
            pushes: PushStore::new(client.clone(), &tables.pushes),
            refusals: Arc::default(),
            rests: RestStore::new(client, &tables.pushes),
            slowness: Arc::default(),
            webhooks: Webhooks::from_lookup(queue::Client::new(&config), lookup)?,
        })
    }
}
