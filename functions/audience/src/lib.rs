//! The `audience` function: accounts, tags, attributes and devices.
//!
//! Who exists, what is true of them, and how to reach them. Servers call it through Tencent's contract, client apps
//! through ours; the path tells which.

mod devices;
mod form;
mod route;
mod tencent;
mod trouble;

use ::http::Response;
use fanfare::dialect::tencent::{Code, Error, Reply};
use fanfare::gate::Gate;
use fanfare::runtime::config::{ConfigError, Environment, Lookup, Tables};
use fanfare::runtime::http::{self, Request};
use fanfare::runtime::{Clock, aws, telemetry};
use fanfare::store::{self, AppStore, ContactStore, UserStore};

use route::Route;

/// Answers calls.
#[derive(Clone)]
struct Audience {
    clock: Clock,
    contacts: ContactStore,
    gate: Gate,
    users: UserStore,
}

/// Runs the function until the platform ends it.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let audience = Audience::new(&Environment).await?;
    http::run(move |request| {
        let audience = audience.clone();
        async move { audience.handle(&request).await }
    })
    .await
}

impl Audience {
    async fn new(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        let tables = Tables::from_lookup(lookup)?;
        let client = store::Client::new(&aws::config().await);
        let clock = Clock::from_lookup(lookup);
        let apps = AppStore::new(client.clone(), tables.apps);
        Ok(Self {
            gate: Gate::new(apps, client.clone(), &tables.audience, clock.clone()),
            clock,
            contacts: ContactStore::new(client.clone(), &tables.audience),
            users: UserStore::new(client, &tables.audience),
        })
    }

    async fn handle(&self, request: &Request) -> Response<String> {
        match Route::of(&request.method, &request.path) {
            Route::Tencent(command) => Box::pin(self.tencent(command, request)).await.into_http(),
            Route::Devices(call) => Box::pin(self.devices(call, request)).await,
            Route::Unknown => unknown().into_http(),
        }
    }
}

fn unknown() -> Reply {
    Error::new(Code::UnknownResource, "there is no such call, or not with this method: check the URL").into()
}
