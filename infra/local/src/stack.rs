//! The whole stack, put together.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use fanfare::domain::App;
use http::StatusCode;
use http::request::Parts;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::control::Control;
use crate::demo;
use crate::dynamodb::{self, DynamoDb};
use crate::gate::Gate;
use crate::gateway::connections::Connections;
use crate::gateway::{http_api, websocket};
use crate::lambda::{Lambda, Program, Settings};
use crate::logs::Logs;
use crate::mapping::Mapping;
use crate::net;
use crate::rights::Rights;
use crate::scheduler::Scheduler;
use crate::sqs::{self, Sqs};
use crate::template::{self, Environment, Function, Queue, SocketApi, Surroundings, Template};
use crate::usage::Usage;
use crate::vendors::Vendors;
use crate::webhook::Receivers;

/// How often expired items are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// The table that holds apps, if the template has it.
const APPS_TABLE: &str = "AppsTable";

/// How to run the stack.
pub struct Options {
    /// The port of the APIs on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Where tables are kept; in memory if nowhere.
    pub data: Option<PathBuf>,
    /// A JSON array of apps, instead of the demo app.
    pub apps: Option<PathBuf>,
    /// Whether the demo app has a webhook: the sandbox's.
    pub webhook: bool,
    /// The template's text.
    pub template: String,
    /// What its parameters are set to, where that is not their default.
    pub parameters: BTreeMap<String, String>,
    /// What an environment runs.
    pub program: Program,
    /// The most environments of one function.
    pub most_environments: usize,
    /// Where functions' lines go.
    pub logs: Logs,
}

/// Why the stack does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The APIs' port cannot be had.
    #[error(
        "cannot listen on 127.0.0.1:{port}: is another stack running? `--port` takes another port, and `--port 0` a free one"
    )]
    Port {
        /// Which port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// Some other port or file.
    #[error("this machine does not let the stack run")]
    Io(#[from] io::Error),
    /// The template is not understood.
    #[error(transparent)]
    Template(#[from] template::Error),
    /// DynamoDB does not start.
    #[error(transparent)]
    DynamoDb(#[from] dynamodb::Error),
    /// SQS does not start.
    #[error(transparent)]
    Sqs(#[from] sqs::Error),
    /// There are no apps.
    #[error(transparent)]
    Apps(#[from] demo::Error),
}

/// A running stack. [`Stack::stop`] ends it in order; dropping it is as good as pulling the plug.
pub struct Stack {
    address: SocketAddr,
    lambda: Lambda,
    clock: Clock,
    mappings: Arc<Vec<Mapping>>,
    scheduler: Arc<Scheduler>,
    tasks: Vec<JoinHandle<()>>,
    /// The files that functions read go away with it.
    _directory: TempDir,
    /// The ports of the vendors close with it.
    _vendors: Vendors,
}

impl Stack {
    /// Starts everything, and returns when it can be called.
    ///
    /// # Errors
    ///
    /// The first thing that does not work.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let port = options.port;
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(|source| Error::Port { port, source })?;
        let address = listener.local_addr()?;
        let (dynamodb_listener, sqs_listener) = (net::loopback().await?, net::loopback().await?);
        let connections_listener = net::loopback().await?;
        let around =
            Surroundings { sqs_url: net::url(&sqs_listener)?, connections_url: net::url(&connections_listener)? };
        let template = Template::parse(&options.template, &around, &options.parameters)?;

        let directory = tempfile::Builder::new().prefix("fanfare-local-").tempdir()?;
        let clock = Clock::new(directory.path())?;
        let usage = Usage::default();
        let gate = Gate { rights: Rights::of(&template), ..Gate::default() };
        let data = options.data.as_deref();
        let dynamodb =
            DynamoDb::start(dynamodb_listener, &template.tables, data, &clock, usage.clone(), gate.clone()).await?;
        let sqs = Sqs::start(sqs_listener, &template.queues, usage.clone(), gate.clone()).await?;
        let vendors = start_vendors(&clock).await?;
        let apps = seed(&options, &template, &dynamodb, &vendors, address).await?;
        usage.reset();

        let settings = Settings {
            program: options.program,
            variables: variables(directory.path(), &dynamodb, &sqs, &clock, &vendors)?,
            clock: clock.clone(),
            logs: options.logs.clone(),
            gate: gate.clone(),
            most_environments: options.most_environments,
        };
        let lambda = Lambda::new(&template.functions, &settings);
        let mappings = Arc::new(mappings(&template, &sqs, &lambda, &clock));
        let scheduler = Arc::new(Scheduler::start(&template.functions, lambda.clone(), clock.clone()));
        let mut tasks = vec![tokio::spawn(sweep(dynamodb.clone()))];

        let connections = |api: &SocketApi| Connections::new(&api.stage, clock.clone(), gate.clone());
        let connections = template.socket.as_ref().map(connections);
        let control = Control {
            usage,
            connections: connections.clone(),
            faults: gate.faults.clone(),
            logs: options.logs,
            lambda: lambda.clone(),
            clock: clock.clone(),
            scheduler: Arc::clone(&scheduler),
            mappings: Arc::clone(&mappings),
            dynamodb,
            sqs,
            queues: template.queues.clone(),
            tables: template.tables.clone(),
            apps,
        };
        let mut router = Router::new().nest("/_local", control.router(vendors.routes(), Receivers::default().router()));
        if let (Some(api), Some(connections)) = (template.socket, connections) {
            tasks.push(net::serve(connections_listener, connections.router()));
            let gateway = websocket::Gateway::new(api, connections, lambda.clone(), clock.clone());
            router = router.route("/ws", get(move |upgrade, request| handshake(gateway.clone(), upgrade, request)));
        }
        if let Some(api) = template.http {
            let gateway = http_api::Gateway::new(api, lambda.clone(), clock.clone());
            router = router.fallback(move |request| answer(gateway.clone(), request));
        }
        tasks.push(net::serve(listener, router));
        Ok(Self { address, lambda, clock, mappings, scheduler, tasks, _directory: directory, _vendors: vendors })
    }

    /// Where the HTTP API is; the socket is at `/ws`, and `/_local/` beside them.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Seconds since 1970, by the stack's clock.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Ends everything: no process is left when it returns.
    pub async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        drop((self.mappings, self.scheduler));
        self.lambda.stop().await;
    }
}

async fn start_vendors(clock: &Clock) -> io::Result<Vendors> {
    let clock = clock.clone();
    Vendors::start(Arc::new(move || i64::try_from(clock.now_ms()).unwrap_or(i64::MAX))).await
}

async fn seed(
    options: &Options,
    template: &Template,
    dynamodb: &DynamoDb,
    vendors: &Vendors,
    address: SocketAddr,
) -> Result<Vec<App>, Error> {
    let Some(table) = template.tables.iter().find(|table| table.id == APPS_TABLE) else {
        return Ok(Vec::new());
    };
    let webhook = options.webhook.then(|| format!("http://{address}/_local/webhook"));
    let apps = demo::apps(options.apps.as_deref(), &vendors.credentials(), webhook.as_deref())?;
    demo::store(dynamodb.client(), &table.name, &apps).await?;
    Ok(apps)
}

/// What every environment is told about this machine.
fn variables(
    directory: &Path,
    dynamodb: &DynamoDb,
    sqs: &Sqs,
    clock: &Clock,
    vendors: &Vendors,
) -> io::Result<Environment> {
    let certificates = directory.join("vendors.pem");
    std::fs::write(&certificates, vendors.ca_pem())?;
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let variables = [
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.url().to_owned()),
        ("AWS_ENDPOINT_URL_SQS", sqs.url().to_owned()),
        ("FANFARE_CLOCK_OFFSET_FILE", path(clock.offset_file())),
        ("SSL_CERT_FILE", path(&certificates)),
    ];
    Ok(variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn mappings(template: &Template, sqs: &Sqs, lambda: &Lambda, clock: &Clock) -> Vec<Mapping> {
    let start = |function: &Function| {
        let each = function.mappings.iter().map(|mapping| {
            let same = |queue: &&Queue| queue.name == mapping.queue;
            let visibility = template.queues.iter().find(same).map_or(Duration::ZERO, |queue| queue.visibility);
            Mapping::start(function, mapping, visibility, sqs.clone(), lambda.clone(), clock.clone())
        });
        each.collect::<Vec<_>>()
    };
    template.functions.iter().flat_map(start).collect()
}

async fn sweep(dynamodb: DynamoDb) {
    loop {
        sleep(SWEEP_EVERY).await;
        if let Err(error) = dynamodb.sweep().await {
            tracing::error!(%error, "Deleting expired items failed");
        }
    }
}

async fn handshake(gateway: websocket::Gateway, upgrade: WebSocketUpgrade, parts: Parts) -> Response {
    gateway.handle(upgrade, parts).await
}

async fn answer(gateway: http_api::Gateway, request: Request) -> Result<Response, StatusCode> {
    Ok(gateway.handle(request).await)
}
