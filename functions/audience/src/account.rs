//! Accounts that end, and UserSigs that are void.

use std::collections::HashSet;

use fanfare::channel::ws::{CloseError, Ended};
use fanfare::dialect::tencent::accounts;
use fanfare::domain::{App, ConnectionId, UserId};
use fanfare::store::Remains;
use futures::{StreamExt, TryStreamExt, stream};
use tracing::info;

use crate::Audience;
use crate::tencent::Problem;

/// Accounts of one call whose remains are cleared side by side.
const ACCOUNTS_AT_ONCE: usize = 8;
/// Sockets of one account that are closed side by side.
const SOCKETS_AT_ONCE: usize = 8;

impl Audience {
    /// Deletes accounts. Returns those that were there: a repeat completes a deletion that died half-way, and counts it.
    pub(crate) async fn delete_accounts(&self, app: &App, ids: &[UserId]) -> Result<HashSet<UserId>, Problem> {
        let remains = self.deletions.delete(&app.id, ids, self.clock.now()).await?;
        let clearing: Vec<_> = remains.iter().map(|remains| self.clear(app, remains)).collect();
        stream::iter(clearing).buffer_unordered(ACCOUNTS_AT_ONCE).try_for_each(|()| async { Ok(()) }).await?;
        info!(app.id = %app.id, accounts = remains.len(), "Deleted {} accounts", remains.len());
        Ok(remains.into_iter().map(|remains| remains.user).collect())
    }

    async fn clear(&self, app: &App, remains: &Remains) -> Result<(), Problem> {
        // Those that are gone are forgotten with the rest.
        self.close(remains.connections.iter()).await?;
        Ok(self.deletions.complete(&app.id, remains).await?)
    }

    /// Makes void the UserSigs that an account has, and closes its sockets.
    pub(crate) async fn kick(&self, app: &App, id: &UserId) -> Result<(), Problem> {
        let users = self.users.get(&app.id, std::slice::from_ref(id)).await?;
        let user = users.get(id).ok_or_else(accounts::unknown)?;
        // First void, then read: whoever connects writes the contact, then looks at the standing. One of the two sees
        // the other.
        self.standing.void(&app.id, id, self.clock.now()).await?;
        let contacts = self.contacts.of_users(&app.id, &[user.ordinal]).await?;
        for contact in &contacts {
            for connection in self.close(contact.connections.keys()).await? {
                // Its handshake may not be over. Forgotten, it gets no push, and is told to connect again at its first
                // word, which its UserSig does not let it.
                if let Some(device) = contact.connections.get(&connection) {
                    self.contacts.disconnect(&app.id, contact.ordinal, &connection, device).await?;
                }
                self.connections.delete(&connection).await?;
            }
        }
        info!(app.id = %app.id, "Kicked an account");
        Ok(())
    }

    /// Closes sockets: as many as can be, whatever becomes of one. What is to be forgotten of those that were open is
    /// forgotten when their end is told. Returns those that were not.
    async fn close<'a>(
        &self,
        connections: impl Iterator<Item = &'a ConnectionId>,
    ) -> Result<Vec<ConnectionId>, Problem> {
        let closing: Vec<_> = connections
            .map(|connection| async move { Ok((connection.clone(), self.sockets.close(connection).await?)) })
            .collect();
        let ended: Vec<Result<_, CloseError>> = stream::iter(closing).buffer_unordered(SOCKETS_AT_ONCE).collect().await;
        let ended: Vec<_> = ended.into_iter().collect::<Result<_, _>>()?;
        Ok(ended.into_iter().filter(|(_, ended)| *ended == Ended::Gone).map(|(connection, _)| connection).collect())
    }
}
