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
    /// How long it is kept for those who are offline, in seconds. 0: it is for online users only.
    pub lifetime_secs: u32,
}

/// One accepted request: what is said, to whom, and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// Its id.
    pub id: PushId,
    /// Whose it is.
    pub app: AppId,
    /// Its number in the app.
    pub seq: Seq,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Whom it is for.
    pub audience: Audience,
    /// How many users the app had when it was accepted: later ones are not meant.
    pub population: u32,
    /// What connected apps are sent.
    pub message: Message,
    /// What goes to the vendors for those who are not connected; `None` when the caller wants nothing sent there.
    pub notification: Option<Notification>,
    /// The id under which the caller knows it.
    pub task_id: String,
}

impl Push {
    /// When its lifetime ends, or `None` if it is for online users only.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let lifetime = self.message.lifetime_secs;
        (lifetime > 0).then(|| self.accepted_at.plus_secs(i64::from(lifetime)))
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
