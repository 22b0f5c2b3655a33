//! What came of a push.

use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What came of sending to one device. The nine classes into which every vendor's answers fall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The vendor took it.
    Delivered,
    /// The token is dead, as the vendor knew at the given moment (if it says): the device is to be forgotten.
    InvalidToken {
        /// When the vendor last saw the token alive or learnt of its death.
        since: Option<Timestamp>,
        /// Whether a wrong setting of ours would give the same answer for every token.
        /// Then it is believed only while others succeed.
        doubtful: bool,
    },
    /// The user switched pushes off: the token is kept.
    Suspended,
    /// Too fast: try again, not before the given time if the vendor named one.
    Throttled(Option<Duration>),
    /// It may pass on another try.
    Transient(Option<Duration>),
    /// The credential is stale: renew it, and try again.
    Auth,
    /// This notification can never pass.
    Permanent,
    /// The vendor takes no more from this app today.
    QuotaUntilTomorrow,
    /// The vendor takes no more for this device today.
    DeviceQuotaUntilTomorrow,
    /// The credential or the package is wrong: a person must mend it, and no token is to blame.
    Config,
    /// The same of this device alone: the vendor lets the app send to others.
    NotEntitled,
    /// It was not sent: its turn was over before it could be.
    Unsent,
}

impl Outcome {
    /// Whether another try can help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Throttled(_)
            | Self::Transient(_)
            | Self::Auth
            | Self::QuotaUntilTomorrow
            | Self::DeviceQuotaUntilTomorrow
            | Self::Config
            | Self::NotEntitled
            | Self::Unsent => true,
            Self::Delivered | Self::InvalidToken { .. } | Self::Suspended | Self::Permanent => false,
        }
    }

    /// Its class, without what the vendor added.
    pub fn class(&self) -> OutcomeClass {
        match self {
            Self::Delivered => OutcomeClass::Delivered,
            Self::InvalidToken { .. } => OutcomeClass::InvalidToken,
            Self::Suspended => OutcomeClass::Suspended,
            Self::Throttled(_) => OutcomeClass::Throttled,
            Self::Transient(_) | Self::Unsent => OutcomeClass::Transient,
            Self::Auth => OutcomeClass::Auth,
            Self::Permanent => OutcomeClass::Permanent,
            Self::QuotaUntilTomorrow | Self::DeviceQuotaUntilTomorrow => OutcomeClass::QuotaUntilTomorrow,
            Self::Config | Self::NotEntitled => OutcomeClass::Config,
        }
    }

    /// A short name, for metrics and logs.
    pub fn name(&self) -> &'static str {
        self.class().name()
    }
}

/// The class of an [`Outcome`], as queues carry it and an app's server is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeClass {
    /// [`Outcome::Delivered`].
    Delivered,
    /// [`Outcome::InvalidToken`].
    InvalidToken,
    /// [`Outcome::Suspended`].
    Suspended,
    /// [`Outcome::Throttled`].
    Throttled,
    /// [`Outcome::Transient`].
    Transient,
    /// [`Outcome::Auth`].
    Auth,
    /// [`Outcome::Permanent`].
    Permanent,
    /// [`Outcome::QuotaUntilTomorrow`].
    QuotaUntilTomorrow,
    /// [`Outcome::Config`].
    Config,
}

impl OutcomeClass {
    /// All of them, in a fixed order.
    pub const ALL: [Self; 9] = [
        Self::Delivered,
        Self::InvalidToken,
        Self::Suspended,
        Self::Throttled,
        Self::Transient,
        Self::Auth,
        Self::Permanent,
        Self::QuotaUntilTomorrow,
        Self::Config,
    ];

    /// A short name, as queues, metrics and logs say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::InvalidToken => "invalid_token",
            Self::Suspended => "suspended",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Auth => "auth",
            Self::Permanent => "permanent",
            Self::QuotaUntilTomorrow => "quota_until_tomorrow",
            Self::Config => "config",
        }
    }
}

/// How many devices ended how: the five final states of the account of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Taken by the vendor, or written to the socket.
    #[serde(rename = "d")]
    pub delivered: u32,
    /// Given up: refused for good, or tried too often.
    #[serde(rename = "f")]
    pub failed: u32,
    /// The token or the connection was dead.
    #[serde(rename = "i")]
    pub invalid: u32,
    /// Kept back: the user or the vendor does not want pushes there.
    #[serde(rename = "s")]
    pub suppressed: u32,
    /// The lifetime ended first.
    #[serde(rename = "x")]
    pub expired: u32,
}

impl Tally {
    /// All of them together.
    pub fn total(&self) -> u32 {
        self.delivered + self.failed + self.invalid + self.suppressed + self.expired
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.invalid += other.invalid;
        self.suppressed += other.suppressed;
        self.expired += other.expired;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_one_name_everywhere() {
        for class in OutcomeClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
