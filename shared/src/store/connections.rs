//! Connections: whose an open socket is.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;

use crate::domain::{AppId, ConnectionId, DeviceId, Ordinal, Timestamp, UserId};

use super::StoreError;
use super::item::{self, Item, n, number, s, text};
use super::keys::{self, Key};

/// How long a socket's item is kept: an hour longer than the socket can live.
const KEPT_SECS: i64 = LIFE_SECS + 3_600;
/// Longest life of a socket (API Gateway, WebSocket quotas: two hours).
const LIFE_SECS: i64 = 2 * 3_600;

/// Whose an open socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The socket.
    pub id: ConnectionId,
    /// The app.
    pub app: AppId,
    /// The user.
    pub user: UserId,
    /// The user's place.
    pub ordinal: Ordinal,
    /// The installation at the other end: what acknowledges.
    pub device: DeviceId,
}

/// Reads and writes connections.
#[derive(Clone)]
pub struct ConnectionStore {
    client: Client,
    table: String,
}

impl ConnectionStore {
    /// Over the table of the audience.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// Writes a new connection.
    pub async fn put(&self, connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
        let mut item = keys::connection(&connection.id).item();
        item.extend([
            ("a".to_owned(), s(connection.app.as_str())),
            ("u".to_owned(), s(connection.user.as_str())),
            ("n".to_owned(), n(connection.ordinal.0)),
            ("i".to_owned(), s(connection.device.as_str())),
            ("expires_at".to_owned(), n(now.secs() + KEPT_SECS)),
        ]);
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
    }

    /// The connection of an id, if it is known.
    pub async fn get(&self, id: &ConnectionId) -> Result<Option<Connection>, StoreError> {
        let item = item::get(&self.client, &self.table, &keys::connection(id)).await?;
        item.map(|item| read(id, &item).ok_or_else(|| StoreError::corrupt("connection", "not whole"))).transpose()
    }

    /// Those of some connections that are known and can still be open, strongly consistent. One that is older than a
    /// socket gets has ended, and nobody was told.
    pub async fn live(&self, ids: &[ConnectionId], now: Timestamp) -> Result<Vec<Connection>, StoreError> {
        let keys: HashMap<Key, &ConnectionId> = ids.iter().map(|id| (keys::connection(id), id)).collect();
        let wanted: Vec<Key> = keys.keys().cloned().collect();
        let items = item::get_all(&self.client, &self.table, &wanted).await?;
        let live = items.iter().filter(|item| is_young(item, now));
        let connection = |item: &Item| Key::of(item).and_then(|key| read(keys.get(&key)?, item));
        Ok(live.filter_map(connection).collect())
    }

    /// Deletes a connection; one that is not there is no error.
    pub async fn delete(&self, id: &ConnectionId) -> Result<(), StoreError> {
        self.client.delete_item().table_name(&self.table).set_key(Some(keys::connection(id).item())).send().await?;
        Ok(())
    }
}

fn is_young(item: &Item, now: Timestamp) -> bool {
    number::<i64>(item, "expires_at").is_some_and(|end| now.secs() < end - (KEPT_SECS - LIFE_SECS))
}

fn read(id: &ConnectionId, item: &Item) -> Option<Connection> {
    Some(Connection {
        id: id.clone(),
        app: AppId::try_from(text(item, "a")?).ok()?,
        user: UserId::try_from(text(item, "u")?).ok()?,
        ordinal: Ordinal(number(item, "n")?),
        device: DeviceId::try_from(text(item, "i")?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_can_be_open_for_two_hours() {
        let opened = Timestamp::from_secs(1_700_000_000);
        let item = Item::from([("expires_at".to_owned(), n(opened.secs() + KEPT_SECS))]);
        assert!(is_young(&item, opened.plus_secs(7_199)));
        assert!(!is_young(&item, opened.plus_secs(7_200)));
    }
}
