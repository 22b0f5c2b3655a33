//! Who is online.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fanfare::domain::{App, ConnectionId, DeviceId, Ordinal, Presence, UserId};
use fanfare::store::{Contact, StoreError};

use crate::Audience;

impl Audience {
    /// Whether users are there. Those who do not exist are absent.
    ///
    /// Three rounds of `BatchGetItem`: users, their contacts, the connections that those name. A connection counts if
    /// both the contact and its own item know it.
    pub(crate) async fn presences(&self, app: &App, ids: &[UserId]) -> Result<HashMap<UserId, Presence>, StoreError> {
        let now = self.clock.now();
        let users = self.users.get(&app.id, ids).await?;
        let ordinals: Vec<Ordinal> = users.values().map(|user| user.ordinal).collect();
        let contacts = self.contacts.of_users(&app.id, &ordinals).await?;
        let contacts: HashMap<Ordinal, Contact> =
            contacts.into_iter().map(|contact| (contact.ordinal, contact)).collect();
        let connections: BTreeSet<&ConnectionId> =
            contacts.values().flat_map(|contact| contact.connections.keys()).collect();
        let connections: Vec<ConnectionId> = connections.into_iter().cloned().collect();
        let nowhere = BTreeSet::new();
        let mut connected: BTreeMap<Ordinal, BTreeSet<DeviceId>> = BTreeMap::new();
        for connection in self.connections.live(&connections, now).await? {
            connected.entry(connection.ordinal).or_default().insert(connection.device);
        }
        let presence = |ordinal: Ordinal| {
            let devices = contacts.get(&ordinal).map_or(&[][..], |contact| &contact.devices);
            let connected = connected.get(&ordinal).unwrap_or(&nowhere);
            Presence::of(devices, connected, |channel| app.channels.has(channel), now)
        };
        Ok(users.into_iter().map(|(id, user)| (id, presence(user.ordinal))).collect())
    }
}
