//! Functions may do what their roles say, and nothing else: what is forgotten in the template is missed here as well.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::Value;

use crate::caller::Caller;
use crate::template::{Template, table_arn};

/// What each function may do. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    functions: Arc<HashMap<String, BTreeSet<(String, String)>>>,
}

impl Rights {
    /// What the roles of a template say. A function without one may do everything, like whoever is no function.
    pub fn of(template: &Template) -> Self {
        let rights = template.functions.iter().filter_map(|function| {
            let role = template.roles.iter().find(|role| Some(&role.id) == function.role.as_ref())?;
            Some((function.name.clone(), role.rights.clone()))
        });
        Self { functions: Arc::new(rights.collect()) }
    }

    /// What a request to DynamoDB needs and its caller has not, as a sentence.
    pub fn missing(&self, caller: &Caller, operation: &str, request: &[u8]) -> Option<String> {
        let rights = self.functions.get(&caller.function)?;
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let missing = needed(operation, &request).into_iter().find(|needed| !rights.contains(needed));
        missing.map(|(action, resource)| {
            format!("{} is not authorized to perform {action} on {resource}", caller.function)
        })
    }
}

/// The actions that DynamoDB asks for, each with its table: a transaction needs what each of its parts is.
fn needed(operation: &str, request: &Value) -> Vec<(String, String)> {
    let on = |action: &str, table: &str| (format!("dynamodb:{action}"), table_arn(table));
    let table_of = |part: &Value| part["TableName"].as_str().unwrap_or_default().to_owned();
    match operation {
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = request["RequestItems"].as_object().into_iter().flatten();
            tables.map(|(table, _)| on(operation, table)).collect()
        }
        "TransactWriteItems" | "TransactGetItems" => {
            let action = |part: &str| match part {
                "ConditionCheck" => "ConditionCheckItem".to_owned(),
                part => format!("{part}Item"),
            };
            let parts =
                request["TransactItems"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten();
            parts.map(|(part, of)| on(&action(part), &table_of(of))).collect()
        }
        _ => vec![on(operation, &table_of(request))],
    }
}

/// The answer of a service of the AWS JSON protocol to who may not.
pub fn denied(message: &str) -> Response<Body> {
    let body = serde_json::json!({"__type": "com.amazon.coral.service#AccessDeniedException", "Message": message});
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let json = http::HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rights(granted: &[(&str, &str)]) -> Rights {
        let granted = granted.iter().map(|(action, table)| (format!("dynamodb:{action}"), table_arn(table))).collect();
        Rights { functions: Arc::new(HashMap::from([("deliver-ws".to_owned(), granted)])) }
    }

    #[test]
    fn each_table_and_each_part_of_a_transaction_needs_its_own_right() {
        let rights = rights(&[("GetItem", "A"), ("BatchGetItem", "A"), ("UpdateItem", "A"), ("PutItem", "B")]);
        let part = |part: &str, table: &str| json!({part: {"TableName": table}});
        for (operation, request, missing) in [
            ("GetItem", json!({"TableName": "A"}), None),
            ("GetItem", json!({"TableName": "B"}), Some("dynamodb:GetItem on arn:aws:dynamodb:")),
            ("Query", json!({"TableName": "A"}), Some("dynamodb:Query")),
            ("BatchGetItem", json!({"RequestItems": {"A": {}}}), None),
            ("BatchGetItem", json!({"RequestItems": {"A": {}, "B": {}}}), Some("dynamodb:BatchGetItem")),
            ("TransactWriteItems", json!({"TransactItems": [part("Update", "A"), part("Put", "B")]}), None),
            ("TransactWriteItems", json!({"TransactItems": [part("Put", "A")]}), Some("dynamodb:PutItem")),
            (
                "TransactWriteItems",
                json!({"TransactItems": [part("ConditionCheck", "A")]}),
                Some("dynamodb:ConditionCheckItem"),
            ),
        ] {
            let body = request.to_string();
            let told = rights.missing(&Caller::named("deliver-ws.1"), operation, body.as_bytes());
            match missing {
                None => assert_eq!(told, None, "{operation} {request}"),
                Some(missing) => assert!(told.as_ref().is_some_and(|told| told.contains(missing)), "{told:?}"),
            }
            assert_eq!(rights.missing(&Caller::named("story"), operation, body.as_bytes()), None);
        }
    }
}
