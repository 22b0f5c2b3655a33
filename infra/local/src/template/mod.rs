//! The template, as the local stack understands it.
//!
//! It is read strictly: a resource, a property or a function that means something on AWS and
//! nothing here stops the stack with the line, so that what runs here is what will be deployed.

mod api;
mod fields;
mod function;
mod role;
mod scope;
mod storage;
mod yaml;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use fields::Fields;
use regex_lite::Regex;
use scope::{Resource, Scope};
use yaml::Node;

pub use api::{Cors, HttpApi, HttpRoute, SocketApi};
pub use function::{Function, QueueMapping, Schedule};
pub use role::Role;
pub use scope::table_arn;
pub use storage::{KeyAttribute, Queue, Table};

/// The region that everything local is in.
pub const REGION: &str = "us-east-1";
/// The account that everything local belongs to.
pub const ACCOUNT: &str = "000000000000";
/// The name that the template's stack has here.
pub const STACK: &str = "fanfare";

/// Resources that mean nothing on one machine: nobody is charged or woken up.
const IGNORED: &[&str] = &[
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::KMS::Alias",
    "AWS::KMS::Key",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SQS::QueuePolicy",
];

/// Where the parts of AWS are on this machine.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The SQS endpoint, without a slash at the end.
    pub sqs_url: String,
    /// The endpoint under which `/{stage}/@connections` is, without a slash at the end.
    pub connections_url: String,
}

impl Surroundings {
    /// The URL of the queue called `name`.
    pub fn queue_url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.sqs_url)
    }
}

/// Everything in the template that the local stack brings to life.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// DynamoDB tables.
    pub tables: Vec<Table>,
    /// SQS queues.
    pub queues: Vec<Queue>,
    /// Lambda functions with what wakes them.
    pub functions: Vec<Function>,
    /// What they may do.
    pub roles: Vec<Role>,
    /// The HTTP API, if there is one.
    pub http: Option<HttpApi>,
    /// The WebSocket API, if there is one.
    pub socket: Option<SocketApi>,
}

/// What is wrong with a template, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the template: {message}")]
pub struct Error {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl Error {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl Template {
    /// Reads a template. Names of resources become what they are on this machine; parameters have the values that are given,
    /// and else their defaults.
    ///
    /// # Errors
    ///
    /// The first line that the local stack does not understand, or whose parameter cannot have its value.
    pub fn parse(source: &str, around: &Surroundings, parameters: &BTreeMap<String, String>) -> Result<Self, Error> {
        let root = Node::parse(source)?;
        let scope = scope(&root, around, parameters)?;
        let globals = globals(&root)?;
        let mut template = Template::default();
        let mut apis = api::Apis::default();

        for (id, node) in section(&root, "Resources")? {
            let resource = Fields::new(
                &scope,
                node,
                &format!("resource {}", id.text),
                &["Type", "Properties", "Condition", "Metadata"],
                &["DeletionPolicy", "UpdateReplacePolicy", "DependsOn"],
            )?;
            if let Some(condition) = resource.get("Condition")?
                && !scope.condition(&scope.text(condition)?, condition.line)?
            {
                continue;
            }
            let id = id.text.as_str();
            let kind = resource.required("Type")?;
            let properties = node.get("Properties").unwrap_or(node);
            match scope.text(kind)?.as_str() {
                "AWS::DynamoDB::Table" => {
                    template.tables.push(storage::table(&scope, id, properties)?);
                }
                "AWS::SQS::Queue" => {
                    template.queues.push(storage::queue(&scope, id, properties)?);
                }
                "AWS::Serverless::Function" => {
                    let metadata = resource.get("Metadata")?;
                    let function = function::read(&scope, id, properties, globals, metadata)?;
                    template.functions.push(function);
                }
                "AWS::IAM::Role" => template.roles.push(role::read(&scope, id, properties)?),
                "AWS::ApiGatewayV2::Api" => apis.api(&scope, id, properties)?,
                "AWS::ApiGatewayV2::Integration" => apis.integration(&scope, id, properties)?,
                "AWS::ApiGatewayV2::Route" => apis.route(&scope, properties)?,
                "AWS::ApiGatewayV2::Stage" => apis.stage(&scope, properties)?,
                ignored if IGNORED.contains(&ignored) => {}
                other => {
                    return Err(Error::new(kind.line, format!("the local stack does not know {other}")));
                }
            }
        }
        (template.http, template.socket) = apis.finish(&template.functions)?;
        template.check_mappings()?;
        Ok(template)
    }

    /// A mapping reads a queue of this template, or nothing ever arrives.
    fn check_mappings(&self) -> Result<(), Error> {
        for function in &self.functions {
            for mapping in &function.mappings {
                let Some(queue) = self.queues.iter().find(|queue| queue.name == mapping.queue) else {
                    return Err(Error::new(mapping.line, format!("there is no queue `{}`", mapping.queue)));
                };
                if queue.visibility < function.timeout {
                    return Err(Error::new(
                        mapping.line,
                        "the queue's visibility timeout is shorter than the function's timeout",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Checks what a template may say at its top, and gathers what its names mean.
fn scope<'a>(
    root: &'a Node,
    around: &'a Surroundings,
    parameters: &BTreeMap<String, String>,
) -> Result<Scope<'a>, Error> {
    let mut scope = Scope { around, parameters: HashMap::new(), conditions: HashMap::new(), resources: HashMap::new() };
    Fields::new(
        &scope,
        root,
        "the template",
        &["Parameters", "Conditions", "Globals", "Resources"],
        &["AWSTemplateFormatVersion", "Transform", "Description", "Metadata", "Outputs", "Rules"],
    )?;
    for (name, parameter) in section(root, "Parameters")? {
        let default = parameter.get("Default").ok_or_else(|| {
            Error::new(name.line, format!("the parameter `{}` has no default to run with", name.text))
        })?;
        let value = match parameters.get(&name.text) {
            Some(value) => value.clone(),
            None => scope.text(default)?,
        };
        check(&scope, &name.text, parameter, &value)?;
        scope.parameters.insert(name.text.clone(), value);
    }
    if let Some(unknown) = parameters.keys().find(|name| !scope.parameters.contains_key(*name)) {
        return Err(Error::new(root.line, format!("there is no parameter `{unknown}` to set")));
    }
    for (name, condition) in section(root, "Conditions")? {
        scope.conditions.insert(name.text.clone(), condition);
    }
    let mut resources = HashMap::new();
    for (id, resource) in section(root, "Resources")? {
        let kind = match resource.get("Type") {
            Some(kind) => scope.text(kind)?,
            None => return Err(Error::new(id.line, "`Type` is missing")),
        };
        let name = resource_name(&scope, &id.text, &kind, resource)?;
        resources.insert(id.text.clone(), Resource { kind, name });
    }
    scope.resources = resources;
    Ok(scope)
}

/// A number has to be one, and within its bounds, and a text has to match its pattern, all of it, as CloudFormation sees to.
fn check(scope: &Scope<'_>, name: &str, parameter: &Node, value: &str) -> Result<(), Error> {
    let text = |key: &str| parameter.get(key).map(|node| scope.text(node)).transpose();
    let refused = || Error::new(parameter.line, format!("the parameter `{name}` cannot be `{value}`"));
    if let Some(pattern) = text("AllowedPattern")? {
        let whole = Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|_| Error::new(parameter.line, format!("the pattern of the parameter `{name}` is none")))?;
        if !whole.is_match(value) {
            return Err(refused());
        }
    }
    if text("Type")?.as_deref() != Some("Number") {
        return Ok(());
    }
    let number = |text: &str| text.parse::<f64>().ok();
    let bound = |key: &str| Ok::<_, Error>(text(key)?.as_deref().and_then(number));
    let (least, most) = (bound("MinValue")?, bound("MaxValue")?);
    let fits = |value: f64| least.is_none_or(|least| least <= value) && most.is_none_or(|most| value <= most);
    match number(value) {
        Some(value) if fits(value) => Ok(()),
        _ => Err(refused()),
    }
}

fn resource_name(scope: &Scope<'_>, id: &str, kind: &str, resource: &Node) -> Result<String, Error> {
    let property = match kind {
        "AWS::DynamoDB::Table" => "TableName",
        "AWS::SQS::Queue" => "QueueName",
        "AWS::Serverless::Function" => "FunctionName",
        _ => return Ok(id.to_owned()),
    };
    match resource.get("Properties").and_then(|properties| properties.get(property)) {
        Some(name) => scope.text(name),
        None if kind == "AWS::Serverless::Function" => Ok(function::short_name(id)),
        None => Ok(id.to_owned()),
    }
}

fn globals(root: &Node) -> Result<Option<&Node>, Error> {
    let Some(globals) = root.get("Globals") else {
        return Ok(None);
    };
    for (key, _) in globals.entries("Globals")? {
        if key.text != "Function" {
            return Err(Error::new(key.line, format!("the local stack does not know `{}` of Globals", key.text)));
        }
    }
    Ok(globals.get("Function"))
}

fn section<'n>(root: &'n Node, name: &str) -> Result<&'n [(yaml::Key, Node)], Error> {
    match root.get(name) {
        Some(node) => node.entries(name),
        None => Ok(&[]),
    }
}

fn seconds(value: Option<u64>, default: u64) -> Duration {
    Duration::from_secs(value.unwrap_or(default))
}

/// The variables of one function, by name.
pub type Environment = BTreeMap<String, String>;

#[cfg(test)]
mod tests;
