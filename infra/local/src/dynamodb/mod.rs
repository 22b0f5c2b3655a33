//! DynamoDB: an emulator in this process, behind a proxy that counts.

mod capacity;
mod tables;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use dynoxide::Database;
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

use crate::caller::Caller;
use crate::clock::Clock;
use crate::gate::{self, Gate};
use crate::net;
use crate::rights;
use crate::template::Table;
use crate::threads::Threads;
use crate::usage::Usage;
use capacity::Meter;

/// The largest request that DynamoDB takes.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// Why DynamoDB could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No port, or no thread.
    #[error("DynamoDB cannot listen")]
    Io(#[from] io::Error),
    /// The database, in memory or in its file, cannot be opened.
    #[error("DynamoDB cannot open its data: {0}")]
    Open(String),
    /// A table of the template is refused.
    #[error("DynamoDB refuses the table `{table}`: {reason}")]
    Table {
        /// Its name.
        table: String,
        /// What DynamoDB says.
        reason: String,
    },
}

/// A running DynamoDB.
#[derive(Clone)]
pub struct DynamoDb {
    database: Database,
    url: String,
    /// The engine stops when the last clone of this is gone.
    _engine: Arc<Engine>,
}

impl DynamoDb {
    /// Starts behind `listener`, with the template's tables; in memory, or in a file in `data`.
    ///
    /// # Errors
    ///
    /// When the data cannot be opened, or a table is refused.
    pub async fn start(
        listener: TcpListener,
        tables: &[Table],
        data: Option<&Path>,
        clock: &Clock,
        usage: Usage,
        gate: Gate,
    ) -> Result<Self, Error> {
        let database = open(data, clock)?;
        let url = net::url(&listener)?;
        let engine = Engine::start(database.clone()).await?;
        let proxy = Proxy {
            engine: engine.url.clone(),
            client: client(),
            meter: Meter::new(database.clone(), tables),
            ids: tables.iter().map(|table| (table.name.clone(), table.id.clone())).collect(),
            usage,
            gate,
        };
        net::serve(listener, axum::Router::new().fallback(handle).with_state(Arc::new(proxy)));
        let dynamodb = Self { database, url, _engine: Arc::new(engine) };
        tables::create(&dynamodb.client(), tables).await?;
        Ok(dynamodb)
    }

    /// Where functions reach it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client that speaks for the stack itself.
    pub fn client(&self) -> aws_sdk_dynamodb::Client {
        tables::client(&self.url)
    }

    /// Deletes the items that have expired by the clock, and says how many there were. Data in a file
    /// expires by the machine's clock.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn sweep(&self) -> Result<usize, Error> {
        let database = self.database.clone();
        tokio::task::spawn_blocking(move || database.sweep_ttl())
            .await
            .map_err(io::Error::other)?
            .map_err(|error| Error::Open(error.to_string()))
    }
}

fn open(data: Option<&Path>, clock: &Clock) -> Result<Database, Error> {
    let Some(directory) = data else {
        return Database::memory_with_clock(Arc::new(clock.clone())).map_err(|error| Error::Open(error.to_string()));
    };
    std::fs::create_dir_all(directory)?;
    let file = directory.join("dynamodb.sqlite");
    Database::new(&file.to_string_lossy()).map_err(|error| Error::Open(error.to_string()))
}

/// The emulator behind its own listener. It works on the thread that reads the request, so it has threads of
/// its own: the stack's timers and pipes must not wait for a query.
struct Engine {
    url: String,
    /// Dropped with the engine, which ends it.
    _threads: Threads,
}

impl Engine {
    async fn start(database: Database) -> io::Result<Self> {
        let threads = Threads::start("dynamodb")?;
        let listener = threads.run(net::loopback()).await?;
        let url = net::url(&listener)?;
        threads.spawn(async move {
            // It is never told to stop: it goes with its threads.
            let served = dynoxide::server::serve_with_shutdown(listener, database, std::future::pending());
            if let Err(error) = served.await {
                tracing::error!(error, "The engine of DynamoDB failed");
            }
        });
        Ok(Self { url, _threads: threads })
    }
}

type HttpClient = Client<HttpConnector, Full<Bytes>>;

fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

struct Proxy {
    engine: String,
    client: HttpClient,
    meter: Meter,
    /// Logical ids of tables by name.
    ids: HashMap<String, String>,
    usage: Usage,
    gate: Gate,
}

async fn handle(State(proxy): State<Arc<Proxy>>, headers: HeaderMap, body: Body) -> Response {
    let Ok(body) = to_bytes(body, MAX_REQUEST_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let operation = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.split_once('.'))
        .map(|(_, operation)| operation.to_owned())
        .unwrap_or_default();
    let caller = Caller::of(&headers);

    let verdict = proxy.gate.enter(&caller, "dynamodb", &operation).await;
    if let Some(error) = &verdict.fail {
        return gate::refusal(error);
    }
    if let Some(missing) = proxy.gate.rights.missing(&caller, &operation, &body) {
        tracing::error!("{missing}");
        return rights::denied(&missing);
    }
    let answer = match proxy.forward(&caller, &operation, &headers, &body).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::error!(%error, "DynamoDB does not answer");
            return StatusCode::BAD_GATEWAY.into_response();
        }
    };
    proxy.gate.leave(&caller, &verdict).await;
    if verdict.lose {
        return gate::lost();
    }
    answer.map(Body::from)
}

impl Proxy {
    async fn forward(
        &self,
        caller: &Caller,
        operation: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<http::Response<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
        let uri: Uri = self.engine.parse()?;
        let mut request = http::Request::post(uri).body(Full::new(capacity::asked(operation, body)))?;
        for name in ["authorization", "content-type", "x-amz-date", "x-amz-target"] {
            if let Some(value) = headers.get(name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        let response = self.client.request(request).await?;
        let (mut parts, answer) = response.into_parts();
        let answer = answer.collect().await?.to_bytes();
        // The server that answers says these itself.
        for name in ["connection", "content-length", "date", "transfer-encoding"] {
            parts.headers.remove(name);
        }
        self.count(caller, operation, body, parts.status, &answer).await;
        Ok(http::Response::from_parts(parts, answer))
    }

    async fn count(&self, caller: &Caller, operation: &str, request: &Bytes, status: StatusCode, answer: &Bytes) {
        let used = if status.is_success() {
            capacity::used(operation, answer)
        } else {
            self.meter.used_by_refused(operation, request, answer).await
        };
        let tables: Vec<_> =
            used.into_iter().map(|(table, units)| (self.ids.get(&table).cloned().unwrap_or(table), units)).collect();
        self.usage.count_dynamodb(caller, operation, &tables);
    }
}

#[cfg(test)]
mod tests;
