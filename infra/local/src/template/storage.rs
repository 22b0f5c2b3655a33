//! Tables and queues.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fields::Fields;
use super::scope::Scope;
use super::yaml::Node;
use super::{Error, seconds};

/// A DynamoDB table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Logical id in the template.
    pub id: String,
    /// What requests call it.
    pub name: String,
    /// Partition key.
    pub hash: KeyAttribute,
    /// Sort key.
    pub range: Option<KeyAttribute>,
    /// The attribute that holds an item's end in seconds since 1970.
    pub ttl: Option<String>,
}

/// One attribute of a table's key.
#[derive(Clone, Debug)]
pub struct KeyAttribute {
    /// The attribute's name.
    pub name: String,
    /// `S`, `N` or `B`.
    pub kind: String,
}

/// An SQS queue.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Logical id in the template.
    pub id: String,
    /// What requests call it.
    pub name: String,
    /// How long a received message stays hidden.
    pub visibility: Duration,
    /// As `CreateQueue` takes them.
    pub attributes: BTreeMap<String, String>,
}

pub(super) fn table(scope: &Scope<'_>, id: &str, node: &Node) -> Result<Table, Error> {
    let table = Fields::new(
        scope,
        node,
        "a table",
        &["TableName", "AttributeDefinitions", "KeySchema", "TimeToLiveSpecification", "BillingMode"],
        &[
            "PointInTimeRecoverySpecification",
            "SSESpecification",
            "DeletionProtectionEnabled",
            "OnDemandThroughput",
            "TableClass",
            "Tags",
            "WarmThroughput",
        ],
    )?;
    let kinds = attribute_kinds(scope, &table)?;
    let mut hash = None;
    let mut range = None;
    for key in table.list("KeySchema")? {
        let key = Fields::new(scope, key, "a key", &["AttributeName", "KeyType"], &[])?;
        let name = key.required_text("AttributeName")?;
        let Some(kind) = kinds.get(&name).cloned() else {
            return Err(Error::new(key.line(), format!("`{name}` has no attribute definition")));
        };
        let attribute = KeyAttribute { name, kind };
        match key.required_text("KeyType")?.as_str() {
            "HASH" => hash = Some(attribute),
            "RANGE" => range = Some(attribute),
            other => return Err(Error::new(key.line(), format!("{other} is no key type"))),
        }
    }
    let ttl = table.nested("TimeToLiveSpecification", &["AttributeName", "Enabled"], &[])?;
    let ttl = match ttl.parsed("Enabled")? {
        Some(true) => Some(ttl.required_text("AttributeName")?),
        _ => None,
    };
    Ok(Table {
        id: id.to_owned(),
        name: scope.resources[id].name.clone(),
        hash: hash.ok_or_else(|| Error::new(table.line(), "the table has no HASH key"))?,
        range,
        ttl,
    })
}

fn attribute_kinds(scope: &Scope<'_>, table: &Fields<'_, '_>) -> Result<BTreeMap<String, String>, Error> {
    let mut kinds = BTreeMap::new();
    for definition in table.list("AttributeDefinitions")? {
        let definition =
            Fields::new(scope, definition, "an attribute definition", &["AttributeName", "AttributeType"], &[])?;
        kinds.insert(definition.required_text("AttributeName")?, definition.required_text("AttributeType")?);
    }
    Ok(kinds)
}

pub(super) fn queue(scope: &Scope<'_>, id: &str, node: &Node) -> Result<Queue, Error> {
    const NUMBERS: &[&str] = &[
        "VisibilityTimeout",
        "DelaySeconds",
        "MessageRetentionPeriod",
        "MaximumMessageSize",
        "ReceiveMessageWaitTimeSeconds",
    ];
    if node.get("Type").is_some() {
        // A queue needs no properties, and then the node is the resource itself.
        return Ok(plain_queue(scope, id));
    }
    let known = [NUMBERS, &["QueueName", "RedrivePolicy"]].concat();
    let queue = Fields::new(
        scope,
        node,
        "a queue",
        &known,
        &["KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "RedriveAllowPolicy", "SqsManagedSseEnabled", "Tags"],
    )?;
    let mut result = plain_queue(scope, id);
    for name in NUMBERS {
        if let Some(number) = queue.parsed::<u64>(name)? {
            result.attributes.insert((*name).to_owned(), number.to_string());
        }
    }
    result.visibility = seconds(queue.parsed("VisibilityTimeout")?, 30);
    if let Some(policy) = queue.get("RedrivePolicy")? {
        Fields::new(scope, policy, "a redrive policy", &["deadLetterTargetArn", "maxReceiveCount"], &[])?;
        result.attributes.insert("RedrivePolicy".to_owned(), scope.json(policy)?.to_string());
    }
    Ok(result)
}

fn plain_queue(scope: &Scope<'_>, id: &str) -> Queue {
    Queue {
        id: id.to_owned(),
        name: scope.resources[id].name.clone(),
        visibility: Duration::from_secs(30),
        attributes: BTreeMap::new(),
    }
}
