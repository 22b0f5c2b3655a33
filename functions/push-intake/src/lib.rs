//! The `push-intake` function: accepts pushes.
//!
//! Authenticates, validates, spends quota and records the push in one transaction, and only then answers 200. The
//! queue message that starts the fan-out comes after it; should it never come, `campaign` finds the push due.

mod push;

use ::http::{Method, Response};
use fanfare::dialect::tencent::{Code, Command, Error, Reply, push as tencent_push};
use fanfare::gate::{Gate, Refused};
use fanfare::queue::{self, Queues, Urls};
use fanfare::runtime::config::{ConfigError, Environment, Lookup, Tables};
use fanfare::runtime::http::{self, Request};
use fanfare::runtime::telemetry::{self, chain};
use fanfare::runtime::{Clock, aws};
use fanfare::store::{self, AppStore, IntakeStore, StoreError, UserStore};
use tracing::error;

#[derive(Clone)]
struct PushIntake {
    clock: Clock,
    gate: Gate,
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
        let clock = Clock::from_lookup(lookup);
        let apps = AppStore::new(client.clone(), tables.apps);
        Ok(Self {
            gate: Gate::new(apps, client.clone(), &tables.audience, clock.clone()),
            clock,
            intake: IntakeStore::new(client.clone(), &tables.pushes),
            queues: Queues::new(queue::Client::new(&config), urls),
            users: UserStore::new(client, &tables.audience),
        })
    }

    async fn handle(&self, request: &Request) -> Response<String> {
        let command =
            Command::of(&request.path).filter(|command| request.method == Method::POST && command.call.is_push());
        let reply: Reply = match command {
            Some(command) => tencent_push::answer(command.call, Box::pin(self.reply(command, request)).await),
            None => unknown().into(),
        };
        reply.into_http()
    }

    async fn reply(&self, command: &Command, request: &Request) -> Result<Reply, Error> {
        let (app, caller) = self.gate.server(command, request).await.map_err(refused)?;
        self.push(command, &app, &caller, &request.body).await
    }
}

fn unknown() -> Error {
    Error::new(Code::UnknownResource, "there is no such call, or not with this method: check the URL")
}

fn refused(refused: Refused<Error>) -> Error {
    match refused {
        Refused::Told(error) => error,
        Refused::Store(failure) => internal(failure),
    }
}

fn internal(failure: StoreError) -> Error {
    error!(error = chain(&failure), "A push could not be accepted");
    Error::new(Code::Internal, "internal error: try again")
}
