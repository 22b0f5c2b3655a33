//! The `connection` function: sockets of client apps. Who connects, what they missed, and what they have.

mod connect;
mod frames;
mod news;
mod sync;

use aws_lambda_events::event::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use fanfare::channel::ws::{self, Sockets};
use fanfare::domain::{ConnectionId, InvalidId};
use fanfare::gate::Gate;
use fanfare::queue::{self, Webhooks};
use fanfare::runtime::config::{ConfigError, Environment, Lookup, Tables};
use fanfare::runtime::telemetry::chain;
use fanfare::runtime::{Clock, aws, telemetry};
use fanfare::store::{
    self, AckStore, AppStore, ConnectionStore, ContactStore, OfflineStore, PushStore, SnapshotStore, StandingStore,
    StoreError, UserStore,
};
use lambda_runtime::{LambdaEvent, service_fn};
use tracing::error;

use news::departure;

#[derive(Clone)]
struct ConnectionFunction {
    acks: AckStore,
    apps: AppStore,
    clock: Clock,
    connections: ConnectionStore,
    contacts: ContactStore,
    gate: Gate,
    offline: OfflineStore,
    pushes: PushStore,
    snapshots: SnapshotStore,
    sockets: Sockets,
    standing: StandingStore,
    users: UserStore,
    webhooks: Webhooks,
}

/// Why an event could not be handled. The client is told no more than that.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Socket(#[from] ws::PostError),
    #[error("the event has no connection id: {0}")]
    Event(#[from] InvalidId),
}

/// Runs the function until the platform ends it.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::init();
    let function = ConnectionFunction::new(&Environment).await?;
    lambda_runtime::run_concurrent(service_fn(move |event: LambdaEvent<ApiGatewayWebsocketProxyRequest>| {
        let function = function.clone();
        async move { Ok::<_, lambda_runtime::Error>(Box::pin(function.handle(event.payload)).await) }
    }))
    .await
}

impl ConnectionFunction {
    async fn new(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        let tables = Tables::from_lookup(lookup)?;
        let config = aws::config().await;
        let client = store::Client::new(&config);
        let clock = Clock::from_lookup(lookup);
        let apps = AppStore::new(client.clone(), tables.apps);
        Ok(Self {
            acks: AckStore::new(client.clone(), &tables.audience),
            gate: Gate::new(apps.clone(), client.clone(), &tables.audience, clock.clone()),
            apps,
            connections: ConnectionStore::new(client.clone(), &tables.audience),
            contacts: ContactStore::new(client.clone(), &tables.audience),
            offline: OfflineStore::new(client.clone(), &tables.pushes),
            pushes: PushStore::new(client.clone(), &tables.pushes),
            snapshots: SnapshotStore::new(client.clone(), &tables.pushes),
            sockets: Sockets::At(ws::Client::new(&config, lookup, clock.clone())?),
            standing: StandingStore::new(client.clone(), &tables.audience),
            users: UserStore::new(client, &tables.audience),
            webhooks: Webhooks::from_lookup(queue::Client::new(&config), lookup)?,
            clock,
        })
    }

    async fn handle(&self, event: ApiGatewayWebsocketProxyRequest) -> ApiGatewayProxyResponse {
        let status = match self.route(&event).await {
            Ok(status) => status,
            Err(error) => {
                let route = event.request_context.route_key.as_deref().unwrap_or_default();
                error!(error = chain(&error), route, "A socket event failed");
                500
            }
        };
        let mut response = ApiGatewayProxyResponse::default();
        response.status_code = status;
        response
    }

    async fn route(&self, event: &ApiGatewayWebsocketProxyRequest) -> Result<i64, Error> {
        let id = event.request_context.connection_id.as_deref().unwrap_or_default();
        let id = ConnectionId::try_from(id)?;
        let ip = event.request_context.identity.source_ip.as_deref().and_then(|ip| ip.parse().ok());
        match event.request_context.route_key.as_deref() {
            Some("$connect") => {
                let query = |name: &str| event.query_string_parameters.first(name).filter(|text| !text.is_empty());
                // Either may have either name: a client need not know which of the two it was given.
                self.connect(id, query("usersig").or_else(|| query("token")), query("device_id"), ip).await
            }
            Some("$disconnect") => {
                let context = &event.request_context;
                let change = departure(context.disconnect_status_code, context.disconnect_reason.as_deref());
                self.disconnect(id, change, ip).await
            }
            _ => self.frame(id, event.body.as_deref().unwrap_or_default()).await,
        }
    }
}
