//! Tenants.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use serde_json::Value;
use tracing::warn;

use crate::domain::{App, AppId, AppName, Channel, Channels};

use super::StoreError;
use super::item::{self, Item, s, text};
use super::keys::{self, Key};

/// How long a read app is used before it is read again: what a changed credential or quota takes to be seen.
const FRESH: Duration = Duration::from_secs(10);
/// Apps that one environment remembers. More are read as they are needed.
const REMEMBERED: usize = 1_000;
/// Longest partition key, in bytes (DynamoDB service quotas).
const KEY_BYTES: usize = 2_048;

/// When an app was read, and what it was.
type Remembered = (Instant, Arc<App>);

/// Reads apps, and remembers them for seconds.
#[derive(Clone)]
pub struct AppStore {
    client: Client,
    table: String,
    remembered: Arc<RwLock<HashMap<String, Remembered>>>,
}

impl AppStore {
    /// Over the table of apps.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into(), remembered: Arc::default() }
    }

    /// The app of an id.
    pub async fn get(&self, app: &AppId) -> Result<Option<Arc<App>>, StoreError> {
        self.read(keys::app(app)).await
    }

    /// The app of a name. Callers choose what they ask for: a name that is longer than a key can be is no app's.
    pub async fn by_name(&self, name: &AppName) -> Result<Option<Arc<App>>, StoreError> {
        let key = keys::app_name(name);
        if key.pk.len() > KEY_BYTES {
            return Ok(None);
        }
        self.read(key).await
    }

    /// Writes an app under each of its names. Only administration does.
    pub async fn put(&self, app: &App) -> Result<(), StoreError> {
        let document = serde_json::to_string(app).map_err(|error| StoreError::corrupt("app", error))?;
        for name in app.names() {
            let mut item = keys::app_name(&name).item();
            item.insert("app".to_owned(), s(document.clone()));
            self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        }
        Ok(())
    }

    async fn read(&self, key: Key) -> Result<Option<Arc<App>>, StoreError> {
        if let Some(app) = self.recall(&key.pk) {
            return Ok(Some(app));
        }
        let app = item::get(&self.client, &self.table, &key).await?.as_ref().map(parse).transpose()?.map(Arc::new);
        // Only what exists is remembered, so an app that was just written is found at once.
        if let Some(app) = &app {
            self.remember(key.pk, app);
        }
        Ok(app)
    }

    fn recall(&self, pk: &str) -> Option<Arc<App>> {
        let remembered = self.remembered.read().ok()?;
        let (read_at, app) = remembered.get(pk)?;
        (read_at.elapsed() < FRESH).then(|| app.clone())
    }

    fn remember(&self, pk: String, app: &Arc<App>) {
        let Ok(mut remembered) = self.remembered.write() else { return };
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(pk, (Instant::now(), app.clone()));
    }
}

/// An app, of which a vendor's settings may be [unreadable](Channels::unreadable): what a person gets wrong of one vendor does
/// not keep the others from being sent to, nor anyone from calling.
fn parse(item: &Item) -> Result<App, StoreError> {
    let document = text(item, "app").ok_or_else(|| StoreError::corrupt("app", "no document"))?;
    // The parser's message could quote a secret: its place is enough.
    let mut document: Value = serde_json::from_str(document)
        .map_err(|error| StoreError::corrupt("app", format!("line {}, column {}", error.line(), error.column())))?;
    let mut unreadable = BTreeMap::new();
    if let Some(vendors) = document.get_mut("channels").and_then(Value::as_object_mut) {
        for channel in Channel::ALL {
            let Some((name, settings)) = vendors.remove_entry(channel.name()) else { continue };
            let alone = Value::Object([(name.clone(), settings.clone())].into_iter().collect());
            match serde_path_to_error::deserialize::<_, Channels>(&alone) {
                Ok(_) => drop(vendors.insert(name, settings)),
                Err(error) => drop(unreadable.insert(*channel, format!("channels.{}", error.path()))),
            }
        }
    }
    let id = document.get("id").and_then(Value::as_str).unwrap_or("?").to_owned();
    for (channel, path) in &unreadable {
        warn!(app.id = id, %channel, "Nothing can be sent by `{channel}`: `{path}` of app `{id}` cannot be read");
    }
    let mut app: App = serde_path_to_error::deserialize(&document)
        .map_err(|error| StoreError::corrupt("app", format!("app `{id}`, at `{}`", error.path())))?;
    app.channels.unreadable = unreadable;
    Ok(app)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(app: &Value) -> Result<App, StoreError> {
        parse(&[("app".to_owned(), s(app.to_string()))].into_iter().collect())
    }

    fn an_app(apns: &Value, webhook: &Value) -> Value {
        json!({"id": "app", "channels": {"meizu": {"app_id": "1", "app_secret": "s"}, "apns": apns}, "webhook": webhook})
    }

    fn apns(more: &Value) -> Value {
        let mut all = json!({"team_id": "t", "key_id": "k", "private_key": "secret", "topic": "com.example.app"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    }

    #[test]
    fn settings_of_a_vendor_that_cannot_be_read_leave_the_others_alone() {
        for (settings, path) in [
            (apns(&json!({"rate": -1})), "channels.apns.rate"),
            (apns(&json!({"rte": 1})), "channels.apns.rte"),
            (apns(&json!({"private_key": ["secret"]})), "channels.apns.private_key"),
            (json!({}), "channels.apns"),
            (json!("secret"), "channels.apns"),
        ] {
            let app = read(&an_app(&settings, &Value::Null)).unwrap();
            assert!(app.channels.apns.is_none() && app.channels.meizu.is_some(), "{path}");
            assert!(app.channels.has(Channel::Apns), "{path}: it is not as if it had none");
            assert_eq!(app.channels.unreadable, [(Channel::Apns, path.to_owned())].into());
        }
        let app = read(&an_app(&apns(&json!({"rate": 1})), &Value::Null)).unwrap();
        assert!(app.channels.apns.is_some() && app.channels.unreadable.is_empty());
    }

    #[test]
    fn what_else_cannot_be_read_is_named_and_not_quoted() {
        let mut unknown = an_app(&apns(&json!({})), &Value::Null);
        unknown["channels"]["pigeon"] = json!({"key": "secret"});
        for (app, place) in [
            (an_app(&apns(&json!({})), &json!({"url": 7, "token": "secret"})), "app `app`, at `webhook.url`"),
            (unknown, "app `app`, at `channels.pigeon`"),
            (json!({"id": "app", "channels": "secret"}), "app `app`, at `channels`"),
            (json!({"id": 7}), "app `?`, at `id`"),
        ] {
            let error = read(&app).unwrap_err().to_string();
            assert_eq!(error, format!("an item of kind `app` cannot be read: {place}"));
        }
    }
}
