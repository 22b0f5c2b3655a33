//! The `audience` function: accounts, tags, attributes and devices.
//!
//! Who exists, what is true of them, and how to reach them. Servers call it through Tencent's contract or RongCloud's,
//! client apps through ours; the path tells which.

mod account;
mod devices;
mod form;
mod online;
mod rongcloud;
mod route;
mod tencent;
mod trouble;

use ::http::{Response, StatusCode};
use fanfare::channel::ws::{self, Sockets};
use fanfare::dialect;
use fanfare::gate::Gate;
use fanfare::runtime::config::{ConfigError, Environment, Lookup, Tables};
use fanfare::runtime::http::{self, Request};
use fanfare::runtime::{Clock, aws, telemetry};
use fanfare::store::{
    self, AppStore, ConnectionStore, ContactStore, DeletionStore, QuietStore, StandingStore, UserStore,
};

use route::Route;
use serde_json::json;
pub use trouble::{Trouble, json_response};

/// Answers calls.
#[derive(Clone)]
pub struct Audience {
    clock: Clock,
    connections: ConnectionStore,
    contacts: ContactStore,
    deletions: DeletionStore,
    gate: Gate,
    quiet: QuietStore,
    sockets: Sockets,
    standing: StandingStore,
    users: UserStore,
}

/// Runs the function until the platform ends it.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let audience = Audience::new(&Environment).await?;
    let handler = move |request: Request| {
        let audience = audience.clone();
        async move { audience.handle(&request).await }
    };
    http::run(handler, troubled).await
}

impl Audience {
    /// With the settings that the function needs.
    ///
    /// # Errors
    ///
    /// When one of them is missing.
    pub async fn new(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        let config = aws::config().await;
        let sockets = Sockets::At(ws::Client::new(&config, lookup, Clock::from_lookup(lookup))?);
        Self::closing(sockets, store::Client::new(&config), lookup)
    }

    /// For a function that answers only calls after which no socket is to be closed.
    ///
    /// # Errors
    ///
    /// When a setting is missing.
    pub async fn without_sockets(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        Self::closing(Sockets::Nowhere, store::Client::new(&aws::config().await), lookup)
    }

    fn closing(sockets: Sockets, client: store::Client, lookup: &impl Lookup) -> Result<Self, ConfigError> {
        let tables = Tables::from_lookup(lookup)?;
        let clock = Clock::from_lookup(lookup);
        let apps = AppStore::new(client.clone(), tables.apps);
        Ok(Self {
            gate: Gate::new(apps, client.clone(), &tables.audience, clock.clone()),
            clock,
            connections: ConnectionStore::new(client.clone(), &tables.audience),
            contacts: ContactStore::new(client.clone(), &tables.audience),
            deletions: DeletionStore::new(client.clone(), &tables.audience),
            quiet: QuietStore::new(client.clone(), &tables.audience),
            sockets,
            standing: StandingStore::new(client.clone(), &tables.audience),
            users: UserStore::new(client, &tables.audience),
        })
    }

    /// The answer to a call.
    pub async fn handle(&self, request: &Request) -> Response<String> {
        match Route::of(&request.method, &request.path) {
            Route::Tencent(command) => Box::pin(self.tencent(command, request)).await.into_http(),
            Route::Rongcloud(command) => Box::pin(self.rongcloud(command, request)).await.into_http(),
            Route::Devices(call) => Box::pin(self.devices(call, request)).await,
            Route::Unknown => dialect::unknown(&request.method, &request.path),
        }
    }
}

/// The answer to a call that was not done.
pub fn troubled(trouble: http::Trouble, path: &str) -> Response<String> {
    if path.starts_with("/v1/") {
        let told = json!({"error": {"code": "internal", "message": "internal error: try again"}});
        return json_response(StatusCode::SERVICE_UNAVAILABLE, &told);
    }
    match trouble {
        http::Trouble::TooSlow => dialect::too_slow(path),
        http::Trouble::Panicked => dialect::failed(path),
    }
}
