//! The beginning and the end of a socket.

use std::net::IpAddr;

use fanfare::domain::{ConnectionId, DeviceId, SocketChange, StateChange};
use fanfare::gate::{Denial, Proven, Refused};
use fanfare::store::{Admission, Barred, Connection};
use tracing::{info, warn};

use crate::{ConnectionFunction, Error};

/// How often a device's activity is noted, in milliseconds: a day, of the thirty that it counts as active.
const TOUCH_MILLIS: i64 = 86_400_000;

impl ConnectionFunction {
    /// Lets a client in who proves to be a user: 200, or the status with which the handshake is refused.
    pub(crate) async fn connect(
        &self,
        id: ConnectionId,
        credential: Option<&str>,
        device: Option<&str>,
        ip: Option<IpAddr>,
    ) -> Result<i64, Error> {
        let proven = match self.gate.client(credential.unwrap_or_default(), ip).await {
            Ok(proven) => proven,
            Err(Refused::Told(denied)) => return Ok(status(denied.kind)),
            Err(Refused::Store(failure)) => return Err(failure.into()),
        };
        let Proven { app, user, issued_at, .. } = proven;
        let Ok(device) = DeviceId::try_from(device.unwrap_or_default()) else { return Ok(400) };
        let now = self.clock.now();
        let admission = Admission::after_days(app.reimport_after_days(), now).by_proof_of(issued_at);
        let user = match self.users.ensure(&app.id, &user, &admission).await? {
            Ok(user) => user,
            Err(Barred::Void) => return Ok(status(Denial::Unproven)),
            Err(Barred::Deleted) => return Ok(status(Denial::Barred)),
        };
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
        let Some(devices) = self.contacts.connect(&app.id, &user, &id, &device).await? else {
            // Deleted since it was looked up.
            self.connections.delete(&id).await?;
            return Ok(status(Denial::Unproven));
        };
        // Only now: who is kicked is made void first, and then has those sockets closed that the contact has. Whatever
        // the interleaving, one of the two sees the other.
        if self.standing.get(&app.id, &user.id).await?.voids(issued_at) {
            self.forget(&connection).await?;
            return Ok(status(Denial::Unproven));
        }
        let known = devices.iter().find(|known| known.id == device);
        if known.is_some_and(|known| now.millis_since(known.active_at) > TOUCH_MILLIS) {
            // Not worth the handshake: the next one notes it too.
            if let Err(error) = self.contacts.touch(&app.id, user.ordinal, &device, now).await {
                warn!(app.id = %app.id, connection.id = %id, %error, "A device's activity was not noted");
            }
        }
        let platform = known.map(|known| known.platform);
        let arrival = StateChange { user: user.id, change: SocketChange::Connected, at: now, platform, ip };
        self.tell_arrival(&app, arrival).await;
        info!(app.id = %app.id, connection.id = %id, "A device connected");
        Ok(200)
    }

    /// Forgets a socket. One that is not known is gone already.
    pub(crate) async fn disconnect(
        &self,
        id: ConnectionId,
        change: SocketChange,
        ip: Option<IpAddr>,
    ) -> Result<i64, Error> {
        if let Some(connection) = self.connections.get(&id).await? {
            self.forget(&connection).await?;
            let departure = StateChange { user: connection.user, change, at: self.clock.now(), platform: None, ip };
            self.tell_departure(&connection.app, departure).await;
            info!(app.id = %connection.app, connection.id = %id, "A device disconnected");
        }
        Ok(200)
    }

    async fn forget(&self, connection: &Connection) -> Result<(), Error> {
        let Connection { app, ordinal, id, device, .. } = connection;
        self.contacts.disconnect(app, *ordinal, id, device).await?;
        Ok(self.connections.delete(id).await?)
    }
}

/// The status with which a handshake is refused.
fn status(denial: Denial) -> i64 {
    match denial {
        Denial::Unproven => 401,
        Denial::Barred | Denial::NotAllowed => 403,
        Denial::LockedOut | Denial::TooOften => 429,
    }
}
