//! What is known of each channel, as data.

use crate::domain::Channel;

/// How a vendor counts its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateUnit {
    /// Requests, however many devices each names.
    Requests,
    /// Devices (or users, or messages to one device).
    Devices,
}

/// What a channel takes, before an app's own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelFacts {
    /// Most tokens in one request.
    pub max_batch: usize,
    /// What [`default_rate`](Self::default_rate) counts.
    pub rate_unit: RateUnit,
    /// Units a second, over all workers, for an app of which nothing else is known.
    pub default_rate: u32,
    /// For how long the rate is to grow after a rest, in seconds, before all of it is used.
    pub ramp_secs: u32,
    /// Whether "too fast" is said to the app, and not to one device or one of several push services.
    pub throttles_the_app: bool,
}

/// The facts of a channel: the vendors' smallest published grants, or cautious figures where there are none.
pub const fn traits(channel: Channel) -> ChannelFacts {
    use RateUnit::{Devices, Requests};
    let (max_batch, rate_unit, default_rate) = match channel {
        // What the installation is set to unless it says otherwise (`SocketPostsPerSecond` of the template): 70 % of the 10,000
        // requests a second that an AWS account has in a region, for its other APIs live on the same quota ("Amazon API
        // Gateway quotas": "Throttle quota per account, per Region across HTTP APIs, REST APIs, WebSocket APIs, and WebSocket
        // callback APIs", which is 2,500 in thirteen newer regions, and can be raised).
        Channel::Ws => (1, Requests, 7_000),
        // Apple publishes none.
        Channel::Apns => (1, Requests, 10_000),
        // 600,000 a minute and project.
        Channel::Fcm => (1, Requests, 10_000),
        // The floor of a formula that grows with the app's audience.
        Channel::Huawei => (1_000, Devices, 6_000),
        // Shown only in the vendor's console; the least that its sibling grants.
        Channel::Harmony => (1_000, Devices, 6_000),
        // The batch size stands in no official text.
        Channel::Honor => (100, Devices, 3_000),
        // For fewer than 100,000 active devices.
        Channel::Xiaomi => (1_000, Requests, 500),
        // For fewer than ten million installations.
        Channel::Oppo => (1_000, Devices, 5_000),
        // For fewer than five million users.
        Channel::Vivo => (1_000, Devices, 3_000),
        Channel::Meizu => (100, Requests, 200),
        // Push services publish none.
        Channel::Webpush => (1, Requests, 1_000),
    };
    // Google asks senders to ramp up and to avoid steps, and does not say over which time ("Best practices when sending FCM
    // messages at scale"): a cautious minute.
    let ramp_secs = if matches!(channel, Channel::Fcm) { 60 } else { 0 };
    let throttles_the_app = !matches!(channel, Channel::Ws | Channel::Apns | Channel::Webpush);
    ChannelFacts { max_batch, rate_unit, default_rate, ramp_secs, throttles_the_app }
}
