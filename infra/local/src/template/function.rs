//! Functions, and what wakes them besides the APIs.

use std::time::Duration;

use super::fields::Fields;
use super::scope::{Scope, api_id};
use super::yaml::{Node, Value};
use super::{Environment, Error, REGION, seconds};
use crate::schedule::Expression;

/// A Lambda function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Logical id in the template.
    pub id: String,
    /// What the function is called here: the logical id in kebab case, without `Function`.
    pub name: String,
    /// Logical id of its role, if the template has one for it.
    pub role: Option<String>,
    /// Which program it runs; one program may be deployed several times.
    pub executable: String,
    /// The handler's name, which native programs ignore.
    pub handler: String,
    /// Configured memory in MiB.
    pub memory_mib: u64,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// How many invocations may run at once, if the template reserves or limits them.
    pub reserved_concurrency: Option<usize>,
    /// `JSON` or `Text`.
    pub log_format: String,
    /// The level from which the function logs.
    pub log_level: String,
    /// How often an invocation that nobody waits for is tried again when it fails.
    pub retries: u32,
    /// Its variables.
    pub environment: Environment,
    /// The queues that wake it.
    pub mappings: Vec<QueueMapping>,
    /// The clocks that wake it.
    pub schedules: Vec<Schedule>,
}

/// An SQS event source mapping.
#[derive(Clone, Debug)]
pub struct QueueMapping {
    /// Line of the template.
    pub(super) line: usize,
    /// The queue's name.
    pub queue: String,
    /// The most messages in one event.
    pub batch_size: usize,
    /// How long to wait for a full batch once there is one message.
    pub window: Duration,
    /// How many batches may be at work at once.
    pub maximum_concurrency: Option<usize>,
    /// Whether the function may name the messages that failed.
    pub reports_failures: bool,
}

/// Something that wakes a function by the clock.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The event's name in the template.
    pub name: String,
    /// When.
    pub expression: Expression,
    /// What the function is sent instead of the scheduler's own event.
    pub input: Option<String>,
    /// Whether EventBridge Scheduler sends it, and not an EventBridge rule.
    pub scheduler: bool,
}

pub(super) fn read(
    scope: &Scope<'_>,
    id: &str,
    node: &Node,
    globals: Option<&Node>,
    metadata: Option<&Node>,
) -> Result<Function, Error> {
    let node = &merged(globals, node);
    let function = Fields::new(
        scope,
        node,
        "a function",
        &[
            "CodeUri",
            "Environment",
            "EventInvokeConfig",
            "Events",
            "FunctionName",
            "Handler",
            "LoggingConfig",
            "MemorySize",
            "PackageType",
            "ReservedConcurrentExecutions",
            "Role",
            "Runtime",
            "Timeout",
        ],
        &["Architectures", "Description", "Policies", "Tags", "Tracing"],
    )?;
    let runtime = function.required("Runtime")?;
    if !scope.text(runtime)?.starts_with("provided.") {
        return Err(Error::new(runtime.line, "only `provided` runtimes run here"));
    }
    let logging =
        function.nested("LoggingConfig", &["LogFormat", "ApplicationLogLevel"], &["LogGroup", "SystemLogLevel"])?;
    let asynchronous =
        function.nested("EventInvokeConfig", &["MaximumRetryAttempts"], &["MaximumEventAgeInSeconds"])?;
    let mut result = Function {
        id: id.to_owned(),
        name: scope.resources[id].name.clone(),
        // `arn:…:name`, from `!GetAtt Name.Arn`.
        role: function.text("Role")?.and_then(|arn| Some(arn.rsplit(':').next()?.to_owned())),
        executable: executable(scope, &function, metadata)?,
        handler: function.text("Handler")?.unwrap_or_default(),
        memory_mib: function.parsed("MemorySize")?.unwrap_or(128),
        timeout: seconds(function.parsed("Timeout")?, 3),
        reserved_concurrency: function.parsed("ReservedConcurrentExecutions")?,
        log_format: logging.text("LogFormat")?.unwrap_or("Text".to_owned()),
        log_level: logging.text("ApplicationLogLevel")?.unwrap_or("INFO".to_owned()),
        retries: asynchronous.parsed("MaximumRetryAttempts")?.unwrap_or(2),
        environment: environment(scope, &function)?,
        mappings: Vec::new(),
        schedules: Vec::new(),
    };
    if let Some(events) = function.get("Events")? {
        for (name, event) in events.entries("Events")? {
            read_event(scope, &name.text, event, &mut result)?;
        }
    }
    Ok(result)
}

/// `DeliverWsFunction` is called `deliver-ws`.
pub(super) fn short_name(id: &str) -> String {
    let stem = id.strip_suffix("Function").unwrap_or(id);
    let mut name = String::new();
    for letter in stem.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// The last part of `CodeUri` names the package, and so the program.
fn executable(scope: &Scope<'_>, function: &Fields<'_, '_>, metadata: Option<&Node>) -> Result<String, Error> {
    if let Some(binary) =
        metadata.and_then(|metadata| metadata.get("BuildProperties")).and_then(|properties| properties.get("Binary"))
    {
        return scope.text(binary);
    }
    let uri = function.required_text("CodeUri")?;
    let name = uri.trim_end_matches('/').rsplit('/').next();
    Ok(name.unwrap_or(&uri).to_owned())
}

fn environment(scope: &Scope<'_>, function: &Fields<'_, '_>) -> Result<Environment, Error> {
    let environment = function.nested("Environment", &["Variables"], &[])?;
    let mut result = Environment::new();
    let Some(variables) = environment.get("Variables")? else {
        return Ok(result);
    };
    for (name, value) in variables.entries("Variables")? {
        if scope.choose(value)?.is_some() {
            let value = localized(scope, scope.text(value)?);
            result.insert(name.text.clone(), value);
        }
    }
    Ok(result)
}

/// The `@connections` endpoint has no override of its own in the template: its value is one.
fn localized(scope: &Scope<'_>, value: String) -> String {
    for (id, resource) in &scope.resources {
        if resource.kind == "AWS::ApiGatewayV2::Api" {
            let remote = format!("https://{}.execute-api.{REGION}.amazonaws.com", api_id(id));
            if let Some(rest) = value.strip_prefix(&remote) {
                return format!("{}{rest}", scope.around.connections_url);
            }
        }
    }
    value
}

fn read_event(scope: &Scope<'_>, name: &str, node: &Node, function: &mut Function) -> Result<(), Error> {
    let event = Fields::new(scope, node, "an event", &["Type", "Properties"], &[])?;
    let kind = event.required("Type")?;
    let properties = event.required("Properties")?;
    match scope.text(kind)?.as_str() {
        "SQS" => {
            if let Some(mapping) = queue_mapping(scope, properties)? {
                function.mappings.push(mapping);
            }
        }
        "Schedule" => function.schedules.extend(schedule(scope, name, properties, false)?),
        "ScheduleV2" => function.schedules.extend(schedule(scope, name, properties, true)?),
        other => {
            return Err(Error::new(kind.line, format!("the local stack does not know events of type {other}")));
        }
    }
    Ok(())
}

fn queue_mapping(scope: &Scope<'_>, node: &Node) -> Result<Option<QueueMapping>, Error> {
    let mapping = Fields::new(
        scope,
        node,
        "an SQS event",
        &["BatchSize", "Enabled", "FunctionResponseTypes", "MaximumBatchingWindowInSeconds", "Queue", "ScalingConfig"],
        &["MetricsConfig"],
    )?;
    if mapping.parsed("Enabled")? == Some(false) {
        return Ok(None);
    }
    let arn = mapping.required_text("Queue")?;
    let batch_size = mapping.parsed("BatchSize")?.unwrap_or(10);
    let window = seconds(mapping.parsed("MaximumBatchingWindowInSeconds")?, 0);
    if batch_size > 10 && window.is_zero() {
        return Err(Error::new(node.line, "a batch of more than 10 needs MaximumBatchingWindowInSeconds"));
    }
    let scaling = mapping.nested("ScalingConfig", &["MaximumConcurrency"], &[])?;
    let maximum_concurrency = scaling.parsed::<usize>("MaximumConcurrency")?;
    if maximum_concurrency.is_some_and(|maximum| !(2..=1000).contains(&maximum)) {
        return Err(Error::new(scaling.line(), "MaximumConcurrency is 2 to 1000"));
    }
    let mut reports_failures = false;
    for kind in mapping.texts("FunctionResponseTypes")? {
        if kind != "ReportBatchItemFailures" {
            return Err(Error::new(node.line, format!("{kind} is no response type")));
        }
        reports_failures = true;
    }
    Ok(Some(QueueMapping {
        line: node.line,
        queue: arn.rsplit(':').next().unwrap_or(&arn).to_owned(),
        batch_size,
        window,
        maximum_concurrency,
        reports_failures,
    }))
}

fn schedule(scope: &Scope<'_>, name: &str, node: &Node, scheduler: bool) -> Result<Option<Schedule>, Error> {
    let key = if scheduler { "ScheduleExpression" } else { "Schedule" };
    let schedule = Fields::new(
        scope,
        node,
        "a schedule",
        &[key, "Enabled", "Input", "Name", "State"],
        &["DeadLetterConfig", "Description", "FlexibleTimeWindow", "PermissionsBoundary", "RetryPolicy", "RoleArn"],
    )?;
    let disabled = schedule.parsed("Enabled")? == Some(false) || schedule.text("State")?.as_deref() == Some("DISABLED");
    if disabled {
        return Ok(None);
    }
    let line = schedule.required(key)?.line;
    let expression = schedule.required_text(key)?.parse().map_err(|error| Error::new(line, format!("{error}")))?;
    Ok(Some(Schedule { name: name.to_owned(), expression, input: schedule.text("Input")?, scheduler }))
}

/// What SAM does with `Globals`: maps are merged, lists joined, and the function has the last word.
fn merged(globals: Option<&Node>, own: &Node) -> Node {
    let Some(globals) = globals else {
        return own.clone();
    };
    let value = match (&globals.value, &own.value) {
        (Value::Map(globals), Value::Map(own)) => {
            let mut entries = Vec::new();
            for (key, global) in globals {
                let own = own.iter().find(|(name, _)| name.text == key.text);
                entries.push(match own {
                    Some((key, own)) => (key.clone(), merged(Some(global), own)),
                    None => (key.clone(), global.clone()),
                });
            }
            for (key, own) in own {
                if !globals.iter().any(|(name, _)| name.text == key.text) {
                    entries.push((key.clone(), own.clone()));
                }
            }
            Value::Map(entries)
        }
        (Value::List(globals), Value::List(own)) => Value::List(globals.iter().chain(own).cloned().collect()),
        _ => return own.clone(),
    };
    Node { line: own.line, value }
}
