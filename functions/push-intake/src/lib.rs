//! The `push-intake` function: accepts pushes.
//!
//! Authenticates, validates, spends quota and records the push in one transaction, and only then answers 200. The
//! queue message that starts the fan-out comes after it; should it never come, `campaign` finds the push due.

mod im_push;

use ::http::Response;
use fanfare::dialect::tencent::{Code, Error, Reply};
use fanfare::queue::{self, Queues, Urls};
use fanfare::runtime::config::{ConfigError, Environment, Lookup, Tables};
use fanfare::runtime::http::{self, Request};
use fanfare::runtime::{Clock, aws, telemetry};
use fanfare::store::{self, AppStore, IntakeStore, UserStore};

#[derive(Clone)]
struct PushIntake {
    apps: AppStore,
    clock: Clock,
    intake: IntakeStore,
    queues: Queues,
    users: UserStore,
}

/// Runs the function until the platform ends it.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let intake = PushIntake::new(&Environment).await?;
    http::run(move |request| {
        let intake = intake.clone();
        async move { intake.handle(&request).await }
    })
    .await
}

impl PushIntake {
    async fn new(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        let tables = Tables::from_lookup(lookup)?;
        let urls = Urls::from_lookup(lookup)?;
        let config = aws::config().await;
        let client = store::Client::new(&config);
        Ok(Self {
            apps: AppStore::new(client.clone(), tables.apps),
            clock: Clock::from_lookup(lookup),
            intake: IntakeStore::new(client.clone(), &tables.pushes),
            queues: Queues::new(queue::Client::new(&config), urls),
            users: UserStore::new(client, &tables.audience),
        })
    }

    async fn handle(&self, request: &Request) -> Response<String> {
        let reply = match request.path.rsplit('/').next() {
            Some("im_push") => self.im_push(request).await,
            _ => Err(Error::new(Code::UnknownResource, "there is no such call: check the URL")),
        };
        Reply::from(reply).into_http()
    }
}
