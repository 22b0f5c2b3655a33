//! Tenants.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;

use crate::domain::{App, AppId, AppName};

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

fn parse(item: &Item) -> Result<App, StoreError> {
    let document = text(item, "app").ok_or_else(|| StoreError::corrupt("app", "no document"))?;
    // The parser's message could quote a secret: its place is enough.
    serde_json::from_str(document)
        .map_err(|error| StoreError::corrupt("app", format!("line {}, column {}", error.line(), error.column())))
}
