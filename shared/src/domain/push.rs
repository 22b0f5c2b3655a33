//! One accepted request.

use serde::{Deserialize, Serialize};

use super::{AppId, Audience, Notification, PushId, Seq, Timestamp, limits};

/// What an app shows in a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Whom the receivers see as its sender.
    pub sender: String,
    /// The elements, as the caller's dialect has them. Clients of that dialect know how to show them.
    pub body: serde_json::Value,
    /// Whether it is kept, until its lifetime ends, for those who are offline.
    pub kept: bool,
}

/// One accepted request: what is said, to whom, and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// Its id.
    pub id: PushId,
    /// Whose it is.
    pub app: AppId,
    /// Its number in the app. A push that is not kept needs none: nobody asks for it later.
    pub seq: Option<Seq>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Whom it is for.
    pub audience: Audience,
    /// How many users the app had when it was accepted: later ones are not meant.
    pub population: u32,
    /// What connected apps are sent. `None`: it is a notification and nothing else, shown on every device, connected
    /// or not.
    pub message: Option<Message>,
    /// What goes to the vendors for those who are not connected; `None` when the caller wants nothing sent there.
    pub notification: Option<Notification>,
    /// How long any of it may be sent, in seconds. 0: it is for those who are online now.
    pub lifetime_secs: u32,
    /// The id under which the caller knows it.
    pub task_id: String,
}

impl Push {
    /// When its lifetime ends, or `None` if it is for online users only.
    pub fn expires_at(&self) -> Option<Timestamp> {
        (self.lifetime_secs > 0).then(|| self.accepted_at.plus_secs(i64::from(self.lifetime_secs)))
    }

    /// The number and the end of a push that is kept for those who are offline.
    pub fn kept(&self) -> Option<(Seq, Timestamp)> {
        self.message.as_ref().filter(|message| message.kept)?;
        Some((self.seq?, self.expires_at()?))
    }

    /// The moment after which nothing of it is sent any more.
    pub fn deadline(&self) -> Timestamp {
        self.expires_at().unwrap_or_else(|| self.accepted_at.plus_secs(limits::ONLINE_ONLY_SECS))
    }

    /// Whether it may still be sent.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now < self.deadline()
    }
}
