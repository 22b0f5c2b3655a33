//! The `push-intake` function: accepts pushes, and tells what came of them.
//!
//! Authenticates, validates, spends quota and records the push in one transaction, and only then answers 200. The
//! queue message that starts the fan-out comes after it; should it never come, `campaign` finds the push due.
//!
//! Every path that no route takes leads here too. Among them are those of RongCloud's contract with a slash too many, which
//! its SDKs call when their host ends in one: what they ask about users, the other function's code answers here.

mod accept;
mod account;
mod rongcloud;
mod tencent;

use ::http::{Method, Response};
use fanfare::dialect::{self, rongcloud as rong, tencent as tx};
use fanfare::gate::{Gate, Refused};
use fanfare::queue::{self, Queues, Urls};
use fanfare::runtime::config::{ConfigError, Environment, Lookup, Tables};
use fanfare::runtime::http::{self, Request};
use fanfare::runtime::telemetry::{self, chain};
use fanfare::runtime::{Clock, aws};
use fanfare::store::{
    self, AccountStore, AppStore, IntakeStore, LedgerStore, PushStore, RestStore, SnapshotStore, UserStore,
};
use fanfare_audience::Audience;
use tracing::error;

#[derive(Clone)]
struct PushIntake {
    accounts: AccountStore,
    audience: Audience,
    clock: Clock,
    gate: Gate,
    intake: IntakeStore,
    pushes: PushStore,
    queues: Queues,
    users: UserStore,
}

/// Runs the function until the platform ends it.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let intake = PushIntake::new(&Environment).await?;
    let handler = move |request: Request| {
        let intake = intake.clone();
        async move { intake.handle(&request).await }
    };
    http::run(handler, fanfare_audience::troubled).await
}

impl PushIntake {
    async fn new(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        let tables = Tables::from_lookup(lookup)?;
        let urls = Urls::from_lookup(lookup)?;
        let config = aws::config().await;
        let client = store::Client::new(&config);
        let clock = Clock::from_lookup(lookup);
        let apps = AppStore::new(client.clone(), tables.apps);
        let ledger = LedgerStore::new(client.clone(), &tables.pushes);
        let snapshots = SnapshotStore::new(client.clone(), &tables.pushes);
        Ok(Self {
            accounts: AccountStore::new(ledger, snapshots, RestStore::new(client.clone(), &tables.pushes)),
            audience: Audience::without_sockets(lookup).await?,
            gate: Gate::new(apps, client.clone(), &tables.audience, clock.clone()),
            clock,
            intake: IntakeStore::new(client.clone(), &tables.pushes),
            pushes: PushStore::new(client.clone(), &tables.pushes),
            queues: Queues::new(queue::Client::new(&config), urls),
            users: UserStore::new(client, &tables.audience),
        })
    }

    async fn handle(&self, request: &Request) -> Response<String> {
        match Route::of(&request.method, &request.path) {
            Route::Tencent(command) => Box::pin(self.tencent(command, request)).await.into_http(),
            Route::Rongcloud(command) => Box::pin(self.rongcloud(command, request)).await.into_http(),
            Route::Account(id) => Box::pin(self.account(id, request)).await,
            Route::Users => Box::pin(self.audience.handle(request)).await,
            Route::Unknown => dialect::unknown(&request.method, &request.path),
        }
    }
}

/// A call of this function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    /// One of Tencent's contract.
    Tencent(&'static tx::Command),
    /// One of RongCloud's contract.
    Rongcloud(&'static rong::Command),
    /// Ours, about what came of a push, with its id as the path has it.
    Account(&'a str),
    /// One of RongCloud's contract about users, which no route took.
    Users,
    /// None of ours.
    Unknown,
}

impl<'a> Route<'a> {
    fn of(method: &Method, path: &'a str) -> Self {
        if let Some(id) = path.strip_prefix("/v1/pushes/").filter(|id| !id.contains('/')) {
            return Self::Account(id);
        }
        if method != Method::POST {
            return Self::Unknown;
        }
        if let Some(command) = tx::Command::of(path).filter(|command| command.call.is_push()) {
            return Self::Tencent(command);
        }
        match rong::Command::of(path) {
            Some(command) if command.call.is_about_users() => Self::Users,
            Some(command) => Self::Rongcloud(command),
            None => Self::Unknown,
        }
    }
}

/// What a caller is told. Of a failure of the store it is told that it was ours, and the log says the rest.
fn told<E>(refused: Refused<E>, internal: impl FnOnce() -> E) -> E {
    match refused {
        Refused::Told(error) => error,
        Refused::Store(failure) => {
            error!(error = chain(&failure), "A push could not be accepted");
            internal()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_asked_about_by_its_id() {
        for method in [Method::GET, Method::POST] {
            assert_eq!(Route::of(&method, "/v1/pushes/1_2_3_4"), Route::Account("1_2_3_4"));
        }
        for path in ["/v1/pushes", "/v1/pushes/a/b", "/v1/push/a", "/v4/v1/pushes/a"] {
            assert_eq!(Route::of(&Method::GET, path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn each_call_that_pushes_has_its_path_and_no_other_is_taken() {
        for command in tx::Command::ALL {
            let path = format!("/v4/{}", command.path);
            let expected = if command.call.is_push() { Route::Tencent(command) } else { Route::Unknown };
            assert_eq!(Route::of(&Method::POST, &path), expected, "{path}");
            assert_eq!(Route::of(&Method::GET, &path), Route::Unknown);
        }
        for command in rong::Command::ALL {
            let expected = if command.path.starts_with("/user/") { Route::Users } else { Route::Rongcloud(command) };
            assert_eq!(Route::of(&Method::POST, command.path), expected);
            assert_eq!(Route::of(&Method::POST, &format!("/{}", command.path)), expected);
            assert_eq!(Route::of(&Method::GET, command.path), Route::Unknown);
        }
    }
}
