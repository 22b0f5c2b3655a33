//! How fast a channel may be used, and by whom.

use std::collections::BTreeMap;

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

/// What a batch takes of a channel's rate, as its vendor counts. Of each device it is given what those of one request must
/// have in common: where a vendor counts requests, twenty devices in ten languages are ten.
pub fn units<K: Ord>(channel: Channel, devices: impl IntoIterator<Item = K>) -> u32 {
    let units = match traits(channel).rate_unit {
        RateUnit::Devices => devices.into_iter().count(),
        RateUnit::Requests => requests(channel, devices),
    };
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// How many requests a batch is, of devices given in the same way.
pub fn requests<K: Ord>(channel: Channel, devices: impl IntoIterator<Item = K>) -> usize {
    let mut groups: BTreeMap<K, usize> = BTreeMap::new();
    for device in devices {
        *groups.entry(device).or_default() += 1;
    }
    groups.into_values().map(|size| size.div_ceil(traits(channel).max_batch)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_counted_as_the_vendor_does() {
        let alike = |count| std::iter::repeat_n((), count);
        assert_eq!(units(Channel::Apns, alike(450)), 450);
        assert_eq!(units(Channel::Huawei, alike(450)), 450);
        assert_eq!(units(Channel::Xiaomi, alike(1_001)), 2);
        assert_eq!(units(Channel::Xiaomi, alike(0)), 0);
    }

    #[test]
    fn devices_that_need_requests_of_their_own_count_as_such() {
        let languages = (0..450).map(|n| n % 20);
        assert_eq!(units(Channel::Xiaomi, languages.clone()), 20);
        assert_eq!(units(Channel::Huawei, languages.clone()), 450);
        assert_eq!(requests(Channel::Huawei, languages), 20);
        // Two of 150 take two hundreds each.
        assert_eq!(units(Channel::Meizu, (0..300).map(|n| n % 2)), 4);
    }
}
