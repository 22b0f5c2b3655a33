//! The beginning and the end of a socket.

use fanfare::dialect::tencent::{caller, usersig};
use fanfare::domain::{App, ConnectionId, DeviceId, Timestamp, UserId};
use fanfare::store::Connection;
use std::sync::Arc;
use tracing::{info, warn};

use crate::{ConnectionFunction, Error};

/// How often a device's activity is noted, in milliseconds: a day, of the thirty that it counts as active.
const TOUCH_MILLIS: i64 = 86_400_000;

impl ConnectionFunction {
    /// Lets a client in who proves to be a user: 200, or the status with which the handshake is refused.
    pub(crate) async fn connect(
        &self,
        id: ConnectionId,
        user_sig: Option<&str>,
        device: Option<&str>,
    ) -> Result<i64, Error> {
        let Some((app, user)) = self.authenticate(user_sig.unwrap_or_default()).await? else { return Ok(401) };
        let Ok(device) = DeviceId::try_from(device.unwrap_or_default()) else { return Ok(400) };
        let now = self.clock.now();
        let user = self.users.ensure(&app.id, &user).await?;
        let connection = Connection {
            id: id.clone(),
            app: app.id.clone(),
            user: user.id.clone(),
            ordinal: user.ordinal,
            device: device.clone(),
        };
        // First who it is, then that pushes go there: the other way round a socket could be pushed to and not be
        // understood when it asks.
        self.connections.put(&connection, now).await?;
        let devices = self.contacts.connect(&app.id, &user, &id).await?;
        let known = devices.iter().find(|known| known.id == device);
        if known.is_some_and(|known| now.millis_since(known.active_at) > TOUCH_MILLIS) {
            // Not worth the handshake: the next one notes it too.
            if let Err(error) = self.contacts.touch(&app.id, user.ordinal, &device, now).await {
                warn!(app.id = %app.id, connection.id = %id, %error, "A device's activity was not noted");
            }
        }
        info!(app.id = %app.id, connection.id = %id, "A device connected");
        Ok(200)
    }

    /// Forgets a socket. One that is not known is gone already.
    pub(crate) async fn disconnect(&self, id: ConnectionId) -> Result<i64, Error> {
        if let Some(connection) = self.connections.get(&id).await? {
            self.contacts.disconnect(&connection.app, connection.ordinal, &id).await?;
            self.connections.delete(&id).await?;
            info!(app.id = %connection.app, connection.id = %id, "A device disconnected");
        }
        Ok(200)
    }

    /// The app and the user that a UserSig proves.
    async fn authenticate(&self, user_sig: &str) -> Result<Option<(Arc<App>, UserId)>, Error> {
        let Ok((sdk_app_id, _)) = usersig::peek(user_sig) else { return Ok(None) };
        let Some(app) = self.apps.by_sdk_app_id(sdk_app_id).await? else { return Ok(None) };
        let now: Timestamp = self.clock.now();
        let proven = caller::user(&app, sdk_app_id, user_sig, now).ok();
        let user = proven.and_then(|user_sig| UserId::try_from(user_sig.identifier).ok());
        Ok(user.map(|user| (app, user)))
    }
}
