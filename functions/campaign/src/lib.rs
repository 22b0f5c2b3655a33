//! The `campaign` function: every minute, starts what is due.
//!
//! A push is due from a minute after its acceptance until its fan-out was seen to start. Most are never found due;
//! those whose intake died before it could enqueue them are, and nothing accepted is lost.

use std::time::Duration;

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use fanfare::queue::{self, FanOutTask, QueueError, Queues, Urls};
use fanfare::runtime::config::{ConfigError, Environment, Lookup, Tables};
use fanfare::runtime::{Clock, aws, telemetry};
use fanfare::store::{self, Due, DueStore, PushStore, StoreError};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tracing::{error, info};

/// How long a push that was started anew is let be, in seconds: longer than a fan-out queue is ever behind,
/// shorter than a person's patience.
const AGAIN_SECS: i64 = 5 * 60;

#[derive(Clone)]
struct Campaign {
    clock: Clock,
    due: DueStore,
    pushes: PushStore,
    queues: Queues,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("{0} of the pushes that are due could not be started")]
    Some(usize),
}

/// Runs the function until the platform ends it.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let campaign = Campaign::new(&Environment).await?;
    lambda_runtime::run_concurrent(service_fn(move |_: LambdaEvent<EventBridgeEvent<Value>>| {
        let campaign = campaign.clone();
        async move { campaign.tick().await.map_err(lambda_runtime::Error::from) }
    }))
    .await
}

impl Campaign {
    async fn new(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        let tables = Tables::from_lookup(lookup)?;
        let urls = Urls::from_lookup(lookup)?;
        let config = aws::config().await;
        let client = store::Client::new(&config);
        Ok(Self {
            clock: Clock::from_lookup(lookup),
            due: DueStore::new(client.clone(), &tables.pushes),
            pushes: PushStore::new(client, &tables.pushes),
            queues: Queues::new(queue::Client::new(&config), urls),
        })
    }

    /// Starts everything that is due. One that fails does not keep the others.
    async fn tick(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let mut failed = 0;
        for due in self.due.until(now).await? {
            if due.next.is_some_and(|next| next > now) {
                continue;
            }
            if let Err(error) = self.start(due).await {
                error!(push.id = %due.push, error = %error, "Push `{}` could not be started", due.push);
                failed += 1;
            }
        }
        if failed > 0 { Err(Error::Some(failed)) } else { Ok(()) }
    }

    async fn start(&self, due: Due) -> Result<(), Error> {
        let now = self.clock.now();
        let alive = self.pushes.get(due.push).await?.is_some_and(|push| push.is_alive(now));
        if !alive {
            info!(push.id = %due.push, "Push `{}` is past its lifetime and was not started", due.push);
            return Ok(self.due.delete(due.push, due.at).await?);
        }
        self.queues.fan_out(&[FanOutTask::Spread { push: due.push }], Duration::ZERO).await?;
        self.due.postpone(due, now.plus_secs(AGAIN_SECS)).await?;
        info!(push.id = %due.push, "Started push `{}`, whose fan-out was never seen to start", due.push);
        Ok(())
    }
}
