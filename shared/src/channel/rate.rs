//! How fast a channel may be used, and by whom.

use crate::domain::{App, AppId, Channel};

use super::{RateUnit, traits};

/// Whose the rate of a channel is (`None`: all apps share it), and how many units a second it allows.
pub fn rate(app: &App, channel: Channel) -> (Option<&AppId>, u32) {
    let scope = match channel {
        // The rate of `@connections` is the AWS account's.
        Channel::Ws => None,
        _ => Some(&app.id),
    };
    (scope, app.channels.rate(channel).unwrap_or(traits(channel).default_rate).max(1))
}

/// What so many devices take of a channel's rate, as its vendor counts.
pub fn units(channel: Channel, devices: usize) -> u32 {
    let facts = traits(channel);
    let units = match facts.rate_unit {
        RateUnit::Devices => devices,
        RateUnit::Requests => devices.div_ceil(facts.max_batch),
    };
    u32::try_from(units).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_counted_as_the_vendor_does() {
        assert_eq!(units(Channel::Apns, 450), 450);
        assert_eq!(units(Channel::Huawei, 450), 450);
        assert_eq!(units(Channel::Xiaomi, 1_001), 2);
    }
}
