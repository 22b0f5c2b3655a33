//! Accepted pushes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use crate::domain::{Push, PushId, limits};

use super::item::{self, Item, n, s, text};
use super::{StoreError, keys};

/// Pushes that one environment remembers: their batches come in runs.
const REMEMBERED: usize = 64;

/// Reads pushes. An accepted push never changes, so what was read once is remembered.
#[derive(Clone)]
pub struct PushStore {
    client: Client,
    table: String,
    remembered: Arc<Mutex<HashMap<PushId, Arc<Push>>>>,
}

impl PushStore {
    /// Over the table of pushes.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into(), remembered: Arc::default() }
    }

    /// A push, or `None` if it is not there or no longer.
    pub async fn get(&self, id: PushId) -> Result<Option<Arc<Push>>, StoreError> {
        if let Some(push) = self.remembered.lock().ok().and_then(|remembered| remembered.get(&id).cloned()) {
            return Ok(Some(push));
        }
        let item = item::get(&self.client, &self.table, &keys::push(id)).await?;
        let push = item.as_ref().map(read).transpose()?.map(Arc::new);
        if let Some(push) = &push {
            self.remember(push);
        }
        Ok(push)
    }

    /// Pushes by id, strongly consistent. Those that are not there are absent.
    pub async fn get_all(&self, ids: &[PushId]) -> Result<HashMap<PushId, Arc<Push>>, StoreError> {
        let mut pushes: HashMap<PushId, Arc<Push>> = match self.remembered.lock() {
            Ok(remembered) => ids.iter().filter_map(|id| Some((*id, remembered.get(id)?.clone()))).collect(),
            Err(_) => HashMap::new(),
        };
        let missing: Vec<_> = ids.iter().filter(|id| !pushes.contains_key(id)).map(|id| keys::push(*id)).collect();
        for item in item::get_all(&self.client, &self.table, &missing).await? {
            let push = Arc::new(read(&item)?);
            self.remember(&push);
            pushes.insert(push.id, push);
        }
        Ok(pushes)
    }

    /// Whether a push was withdrawn: what of it is not sent yet is not to be sent. Strongly consistent, so it
    /// costs a unit; of what cannot be withdrawn nothing is read.
    pub async fn is_recalled(&self, push: &Push) -> Result<bool, StoreError> {
        if !push.message.as_ref().is_some_and(|message| message.recallable) {
            return Ok(false);
        }
        Ok(item::get(&self.client, &self.table, &keys::recalled(push.id)).await?.is_some())
    }

    fn remember(&self, push: &Arc<Push>) {
        let Ok(mut remembered) = self.remembered.lock() else { return };
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(push.id, push.clone());
    }
}

/// The write of a newly accepted push.
pub(super) fn write(table: &str, push: &Push) -> Result<TransactWriteItem, StoreError> {
    let document = serde_json::to_string(push).map_err(|error| StoreError::corrupt("push", error))?;
    let mut item = keys::push(push.id).item();
    item.extend([
        ("p".to_owned(), s(document)),
        ("expires_at".to_owned(), n(push.accepted_at.secs() + limits::PUSH_RETENTION_SECS)),
    ]);
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .condition_expression("attribute_not_exists(pk)")
        .build()?;
    Ok(TransactWriteItem::builder().put(put).build())
}

fn read(item: &Item) -> Result<Push, StoreError> {
    let document = text(item, "p").ok_or_else(|| StoreError::corrupt("push", "no document"))?;
    // The parser's message could quote the body: its place is enough.
    serde_json::from_str(document)
        .map_err(|error| StoreError::corrupt("push", format!("line {}, column {}", error.line(), error.column())))
}
