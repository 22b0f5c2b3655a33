//! What names mean in a template: parameters, conditions, resources, pseudo parameters.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::yaml::{Node, Value};
use super::{ACCOUNT, Error, REGION, STACK, Surroundings};

/// A resource as other resources see it.
pub(super) struct Resource {
    pub kind: String,
    /// What the resource is called in its service; the logical id unless the template says more.
    pub name: String,
}

pub(super) struct Scope<'a> {
    pub around: &'a Surroundings,
    pub parameters: HashMap<String, String>,
    pub conditions: HashMap<String, &'a Node>,
    pub resources: HashMap<String, Resource>,
}

impl<'a> Scope<'a> {
    /// The node that counts: follows `!If`, and is nothing for `AWS::NoValue`.
    pub fn choose<'n>(&self, node: &'n Node) -> Result<Option<&'n Node>, Error> {
        let Value::Call { function, argument } = &node.value else {
            return Ok(Some(node));
        };
        match function.as_str() {
            "If" => {
                let [condition, yes, no] = list(argument)? else {
                    return Err(Error::new(node.line, "!If takes three values"));
                };
                let holds = self.condition(&word(condition)?, condition.line)?;
                self.choose(if holds { yes } else { no })
            }
            "Ref" if word(argument)? == "AWS::NoValue" => Ok(None),
            _ => Ok(Some(node)),
        }
    }

    /// The value as text, with every function called.
    pub fn text(&self, node: &Node) -> Result<String, Error> {
        let Some(node) = self.choose(node)? else {
            return Err(Error::new(node.line, "a value is needed here"));
        };
        match &node.value {
            Value::Scalar { text, .. } => Ok(text.clone()),
            Value::Call { function, argument } => self.call(function, argument, node.line),
            _ => Err(Error::new(node.line, "one value is needed here")),
        }
    }

    /// The value as JSON, with every function called.
    pub fn json(&self, node: &Node) -> Result<Json, Error> {
        let Some(node) = self.choose(node)? else {
            return Ok(Json::Null);
        };
        Ok(match &node.value {
            Value::Scalar { text, plain: true } => plain(text),
            Value::Scalar { text, .. } => Json::String(text.clone()),
            Value::Call { function, argument } => Json::String(self.call(function, argument, node.line)?),
            Value::List(items) => items.iter().map(|item| self.json(item)).collect::<Result<_, _>>()?,
            Value::Map(entries) => {
                let mut object = serde_json::Map::new();
                for (key, value) in entries {
                    if self.choose(value)?.is_some() {
                        object.insert(key.text.clone(), self.json(value)?);
                    }
                }
                Json::Object(object)
            }
        })
    }

    /// Whether the condition `name` holds.
    pub fn condition(&self, name: &str, line: usize) -> Result<bool, Error> {
        let node =
            self.conditions.get(name).ok_or_else(|| Error::new(line, format!("there is no condition `{name}`")))?;
        self.holds(node)
    }

    fn holds(&self, node: &Node) -> Result<bool, Error> {
        let Value::Call { function, argument } = &node.value else {
            return match node.get("Condition") {
                Some(name) => self.condition(&word(name)?, name.line),
                None => Err(Error::new(node.line, "this is not a condition")),
            };
        };
        match function.as_str() {
            "Condition" => self.condition(&word(argument)?, argument.line),
            "Equals" => match list(argument)? {
                [left, right] => Ok(self.text(left)? == self.text(right)?),
                _ => Err(Error::new(node.line, "!Equals takes two values")),
            },
            "Not" => match list(argument)? {
                [condition] => Ok(!self.holds(condition)?),
                _ => Err(Error::new(node.line, "!Not takes one condition")),
            },
            "And" => {
                let all: Result<Vec<_>, _> = list(argument)?.iter().map(|item| self.holds(item)).collect();
                Ok(all?.into_iter().all(|holds| holds))
            }
            "Or" => {
                let all: Result<Vec<_>, _> = list(argument)?.iter().map(|item| self.holds(item)).collect();
                Ok(all?.into_iter().any(|holds| holds))
            }
            other => Err(Error::new(node.line, format!("!{other} is not understood in a condition"))),
        }
    }

    fn call(&self, function: &str, argument: &Node, line: usize) -> Result<String, Error> {
        match function {
            "Ref" => self.reference(&word(argument)?, line),
            "GetAtt" => {
                let path = match &argument.value {
                    Value::List(_) => {
                        let parts: Result<Vec<_>, _> = list(argument)?.iter().map(word).collect();
                        parts?.join(".")
                    }
                    _ => word(argument)?,
                };
                self.attribute(&path, line)
            }
            "Sub" => self.substitute(argument),
            "Join" => {
                let [separator, parts] = list(argument)? else {
                    return Err(Error::new(line, "!Join takes a separator and a list"));
                };
                let parts: Result<Vec<_>, _> = list(parts)?.iter().map(|part| self.text(part)).collect();
                Ok(parts?.join(&word(separator)?))
            }
            other => Err(Error::new(line, format!("the local stack does not understand !{other}"))),
        }
    }

    fn reference(&self, name: &str, line: usize) -> Result<String, Error> {
        let pseudo = match name {
            "AWS::Region" => Some(REGION),
            "AWS::AccountId" => Some(ACCOUNT),
            "AWS::StackName" => Some(STACK),
            "AWS::Partition" => Some("aws"),
            "AWS::URLSuffix" => Some("amazonaws.com"),
            _ => None,
        };
        if let Some(value) = pseudo {
            return Ok(value.to_owned());
        }
        if let Some(value) = self.parameters.get(name) {
            return Ok(value.clone());
        }
        let resource =
            self.resources.get(name).ok_or_else(|| Error::new(line, format!("there is no `{name}` to refer to")))?;
        Ok(match resource.kind.as_str() {
            "AWS::SQS::Queue" => self.around.queue_url(&resource.name),
            "AWS::ApiGatewayV2::Api" => api_id(name),
            _ => resource.name.clone(),
        })
    }

    fn attribute(&self, path: &str, line: usize) -> Result<String, Error> {
        let (id, attribute) =
            path.split_once('.').ok_or_else(|| Error::new(line, "!GetAtt takes a resource and an attribute"))?;
        let resource =
            self.resources.get(id).ok_or_else(|| Error::new(line, format!("there is no resource `{id}`")))?;
        let name = &resource.name;
        match (resource.kind.as_str(), attribute) {
            ("AWS::SQS::Queue", "Arn") => Ok(format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")),
            ("AWS::SQS::Queue", "QueueName") => Ok(name.clone()),
            ("AWS::SQS::Queue", "QueueUrl") => Ok(self.around.queue_url(name)),
            ("AWS::DynamoDB::Table", "Arn") => Ok(table_arn(name)),
            ("AWS::Serverless::Function", "Arn") => Ok(function_arn(name)),
            ("AWS::ApiGatewayV2::Api", "ApiEndpoint") => {
                Ok(format!("https://{}.execute-api.{REGION}.amazonaws.com", api_id(id)))
            }
            // A service that is not simulated: the value only has to be there.
            (_, "Arn") => Ok(format!("arn:aws:local:{REGION}:{ACCOUNT}:{name}")),
            _ => Err(Error::new(line, format!("the local stack does not know {path}"))),
        }
    }

    fn substitute(&self, argument: &Node) -> Result<String, Error> {
        let (pattern, extra) = match &argument.value {
            Value::List(items) => match items.as_slice() {
                [pattern, extra] => (word(pattern)?, Some(extra)),
                _ => return Err(Error::new(argument.line, "!Sub takes a text and a map")),
            },
            _ => (word(argument)?, None),
        };
        let mut result = String::new();
        let mut rest = pattern.as_str();
        while let Some(start) = rest.find("${") {
            result.push_str(&rest[..start]);
            let after = &rest[start + 2..];
            let end = after.find('}').ok_or_else(|| Error::new(argument.line, "a `${` is not closed"))?;
            let name = &after[..end];
            result.push_str(&self.named(name, extra, argument.line)?);
            rest = &after[end + 1..];
        }
        result.push_str(rest);
        Ok(result)
    }

    fn named(&self, name: &str, extra: Option<&Node>, line: usize) -> Result<String, Error> {
        if let Some(literal) = name.strip_prefix('!') {
            return Ok(format!("${{{literal}}}"));
        }
        if let Some(node) = extra.and_then(|extra| extra.get(name)) {
            return self.text(node);
        }
        if name.contains('.') {
            return self.attribute(name, line);
        }
        self.reference(name, line)
    }
}

/// What API Gateway would call the API with this logical id.
pub(super) fn api_id(logical: &str) -> String {
    logical.to_ascii_lowercase()
}

/// The ARN of the table called `name`.
pub fn table_arn(name: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}")
}

/// The ARN of the function called `name`.
pub(super) fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

fn list(node: &Node) -> Result<&[Node], Error> {
    match &node.value {
        Value::List(items) => Ok(items),
        _ => Err(Error::new(node.line, "a list is needed here")),
    }
}

fn word(node: &Node) -> Result<String, Error> {
    match &node.value {
        Value::Scalar { text, .. } => Ok(text.clone()),
        _ => Err(Error::new(node.line, "a word is needed here")),
    }
}

/// The core schema, as far as templates use it.
fn plain(text: &str) -> Json {
    match text {
        "" | "~" | "null" => Json::Null,
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        _ => text.parse::<i64>().map_or_else(|_| Json::String(text.to_owned()), Json::from),
    }
}
