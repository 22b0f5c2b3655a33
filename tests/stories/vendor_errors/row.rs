//! A row of a vendor's table of errors: what the vendor says, and what is to come of it.

use std::ops::RangeInclusive;

/// What a vendor answers, how, and what it means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) status: u16,
    /// The vendor's word or number; empty: no body.
    pub(super) reason: &'static str,
    /// Seconds, as `Retry-After`.
    pub(super) retry_after: Option<u64>,
    pub(super) said: Said,
    pub(super) meaning: Meaning,
}

/// Of whom an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Of one device, while another is delivered to: of its own request, or beside its token.
    OfOne,
    /// Of all devices of a request, whose tokens stand in the answer or not.
    OfAll,
    /// The vendor knows of one device that it is dead, and says so in its own way.
    Dead,
    /// The same of all devices of a request.
    AllDead,
    /// The vendor never gave out such a token.
    Malformed,
}

/// What an answer means, by what is to be seen of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// The device is forgotten.
    Gone,
    /// The device counts as dead, and is kept: the vendor is not believed.
    Doubted,
    /// The device is kept, and wants no pushes.
    Suspended,
    /// This push never passes.
    Permanent,
    /// Tried again after two seconds, or what the vendor asks for: then it passes.
    Transient,
    /// The same, and counted as too fast. So many seconds if the vendor names none.
    Throttled(u64),
    /// Accepted at once, with another access token.
    Renewed,
    /// No access token is accepted: the channel is stopped.
    Auth,
    /// The app is not accepted: the channel is stopped.
    Config,
    /// The app may not send to this device: tried again as if the vendor were unwell, and nothing is stopped.
    NotEntitled,
    /// The channel waits for tomorrow.
    Quota,
    /// The device waits for tomorrow.
    DeviceQuota,
}

/// Said of one device, beside another.
pub(super) const fn one(status: u16, reason: &'static str, meaning: Meaning) -> Row {
    Row { status, reason, retry_after: None, said: Said::OfOne, meaning }
}

/// Said of a whole request.
pub(super) const fn all(status: u16, reason: &'static str, meaning: Meaning) -> Row {
    Row { said: Said::OfAll, ..one(status, reason, meaning) }
}

/// What a vendor says of its own accord, with the reason that it gives.
pub(super) const fn own(said: Said, status: u16, reason: &'static str, meaning: Meaning) -> Row {
    Row { said, ..one(status, reason, meaning) }
}

impl Row {
    /// With `Retry-After`.
    pub(super) const fn after(self, secs: u64) -> Self {
        Self { retry_after: Some(secs), ..self }
    }

    /// Whether it is the row of a number or a word of a vendor's.
    pub(super) fn is_of(&self, code: &str) -> bool {
        self.reason == code || self.status.to_string() == code
    }

    /// Whether it is the row of one of several numbers.
    pub(super) fn is_in(&self, codes: &RangeInclusive<i64>) -> bool {
        self.reason.parse().is_ok_and(|reason| codes.contains(&reason)) || codes.contains(&i64::from(self.status))
    }
}

impl Meaning {
    /// Whether the vendor says so until it is set right.
    pub(super) fn stops(self) -> bool {
        matches!(self, Self::Auth | Self::Config | Self::Quota)
    }

    /// What the app's server is told in the end.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Gone | Self::Doubted => "invalid_token",
            Self::Suspended => "suspended",
            Self::Permanent => "permanent",
            _ => "OK",
        }
    }
}

impl Row {
    /// The waits between the requests for the device, in seconds; until tomorrow, of the vendors' day, is `None`.
    pub(super) fn waits(&self) -> Vec<Option<u64>> {
        let retry = |own: u64| vec![Some(self.retry_after.unwrap_or(own).max(2))];
        match self.meaning {
            Meaning::Gone | Meaning::Doubted | Meaning::Suspended | Meaning::Permanent => vec![],
            Meaning::Transient | Meaning::NotEntitled => retry(2),
            Meaning::Throttled(own) => retry(own),
            Meaning::Renewed => vec![Some(0)],
            Meaning::Auth | Meaning::Config => vec![Some(2)],
            Meaning::Quota | Meaning::DeviceQuota => vec![None],
        }
    }
}
