//! The template's tables, made with the API that everybody uses.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
};

use super::Error;
use crate::template::{REGION, Table};

/// Creates what is not there yet: data in a file has its tables already.
pub(super) async fn create(client: &Client, tables: &[Table]) -> Result<(), Error> {
    let existing =
        client.list_tables().send().await.map_err(|error| Error::Open(DisplayErrorContext(error).to_string()))?;
    for table in tables {
        if !existing.table_names().contains(&table.name) {
            create_one(client, table).await.map_err(|reason| Error::Table { table: table.name.clone(), reason })?;
        }
    }
    Ok(())
}

/// A client that speaks for the stack itself.
pub(super) fn client(url: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(Credentials::new("stack", "local", None, None, "local stack"))
        .endpoint_url(url)
        // The default one wants root certificates, which not every machine has and nobody here needs.
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

async fn create_one(client: &Client, table: &Table) -> Result<(), String> {
    let mut request = client.create_table().table_name(&table.name).billing_mode(BillingMode::PayPerRequest);
    let keys = [(Some(&table.hash), KeyType::Hash), (table.range.as_ref(), KeyType::Range)];
    for (attribute, role) in keys {
        let Some(attribute) = attribute else { continue };
        let definition = AttributeDefinition::builder()
            .attribute_name(&attribute.name)
            .attribute_type(ScalarAttributeType::from(attribute.kind.as_str()))
            .build()
            .map_err(|error| error.to_string())?;
        let element = KeySchemaElement::builder()
            .attribute_name(&attribute.name)
            .key_type(role)
            .build()
            .map_err(|error| error.to_string())?;
        request = request.attribute_definitions(definition).key_schema(element);
    }
    request.send().await.map_err(|error| DisplayErrorContext(error).to_string())?;
    let Some(attribute) = &table.ttl else {
        return Ok(());
    };
    let ttl = TimeToLiveSpecification::builder()
        .attribute_name(attribute)
        .enabled(true)
        .build()
        .map_err(|error| error.to_string())?;
    client
        .update_time_to_live()
        .table_name(&table.name)
        .time_to_live_specification(ttl)
        .send()
        .await
        .map_err(|error| DisplayErrorContext(error).to_string())?;
    Ok(())
}
