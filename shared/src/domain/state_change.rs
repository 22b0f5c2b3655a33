//! Users who come online, and go.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Platform, Timestamp, UserId};

/// A user's device came online or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateChange {
    /// The user.
    pub user: UserId,
    /// What happened.
    pub change: SocketChange,
    /// When.
    pub at: Timestamp,
    /// What the device runs, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// From where it is connected, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
}

/// What happened to a user's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketChange {
    /// It was opened.
    Connected,
    /// It was closed, by the client or by the network.
    Closed,
    /// It said nothing for too long, or had been open for too long.
    TimedOut,
}
