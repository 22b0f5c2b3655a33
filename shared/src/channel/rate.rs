//! How fast a channel may be used, and by whom.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::domain::{App, AppId, Channel, Pace};
use crate::runtime::config::{ConfigError, Lookup, parsed};

use super::{RateUnit, traits};

/// A pace is slower than the rate by so much of each second: the time by which a request may be [late](super::turns::LATE) for
/// its turn here, and [held up](super::pulse::PATIENCE) on its way to the vendor, without there being a second that has more
/// than the rate.
pub(super) const SPARE_MILLIS: u32 = 65;

/// Where devices are counted, a request goes with all of its devices at once. It names no more than this part of what a
/// second may have, which is what a second can have too many, and is left free.
const LARGEST_PART: u32 = 64;

/// The rates of all channels: of vendors as each app has them, of sockets as the AWS account has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    socket_posts: NonZeroU32,
}

impl Rates {
    /// From `FANFARE_SOCKET_POSTS_PER_SECOND`: how many posts to sockets a second all apps may have together. API Gateway
    /// counts every request of the account in its region, so it is less than what that is granted.
    ///
    /// # Errors
    ///
    /// When it is not set, or no whole number from 1 on.
    pub fn from_lookup(lookup: &impl Lookup) -> Result<Self, ConfigError> {
        Ok(Self { socket_posts: parsed(lookup, "FANFARE_SOCKET_POSTS_PER_SECOND")? })
    }

    /// How many units a second the vendor allows the app.
    pub fn granted(self, app: &App, channel: Channel) -> u32 {
        match channel {
            Channel::Ws => self.socket_posts.get(),
            _ => app.channels.rate(channel).unwrap_or(traits(channel).default_rate).max(1),
        }
    }

    /// Whose the pace of a channel is, and what it is, such that no second of it has more than is
    /// [`granted`](Self::granted).
    pub fn pace(self, app: &App, channel: Channel) -> (Option<&AppId>, Pace) {
        let (facts, granted) = (traits(channel), self.granted(app, channel));
        let most = match facts.rate_unit {
            RateUnit::Requests => 0,
            // With requests of one device each, they are as even as where requests are counted.
            RateUnit::Devices if granted < 2 * LARGEST_PART => 0,
            RateUnit::Devices => granted / LARGEST_PART,
        };
        let pace = Pace { units: granted - most, millis: 1_000 + SPARE_MILLIS, ramp_secs: facts.ramp_secs };
        (scope(app, channel), pace)
    }

    /// How many devices a request may name at the app's rate, and at most.
    pub fn largest_request(self, app: &App, channel: Channel) -> usize {
        let facts = traits(channel);
        match facts.rate_unit {
            RateUnit::Requests => facts.max_batch,
            RateUnit::Devices => facts.max_batch.min((self.granted(app, channel) / LARGEST_PART).max(1) as usize),
        }
    }
}

/// Whose the pace of a channel is, and its rests. `None`: all apps share it.
pub fn scope(app: &App, channel: Channel) -> Option<&AppId> {
    match channel {
        // The rate of `@connections` is the AWS account's.
        Channel::Ws => None,
        _ => Some(&app.id),
    }
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
fn requests<K: Ord>(channel: Channel, devices: impl IntoIterator<Item = K>) -> usize {
    let mut groups: BTreeMap<K, usize> = BTreeMap::new();
    for device in devices {
        *groups.entry(device).or_default() += 1;
    }
    groups.into_values().map(|size| size.div_ceil(traits(channel).max_batch)).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        assert_eq!(units(Channel::Huawei, languages), 450);
        // Two of 150 take two hundreds each.
        assert_eq!(units(Channel::Meizu, (0..300).map(|n| n % 2)), 4);
    }

    fn rates(socket_posts: u32) -> Rates {
        Rates::from_lookup(&|_: &str| Some(socket_posts.to_string())).unwrap()
    }

    #[test]
    fn sockets_of_all_apps_share_what_the_installation_is_set_to_and_vendors_do_not_mind_it() {
        let (app, few) = (an_app(100), rates(7));
        assert_eq!((few.granted(&app, Channel::Ws), few.pace(&app, Channel::Ws).0), (7, None));
        assert_eq!(few.pace(&app, Channel::Ws).1, Pace { units: 7, millis: 1_065, ramp_secs: 0 });
        assert_eq!((few.granted(&app, Channel::Huawei), few.granted(&app, Channel::Apns)), (100, 10_000));
        assert_eq!(few.pace(&app, Channel::Huawei).0, Some(&app.id));
        assert_eq!((few.largest_request(&app, Channel::Ws), few.largest_request(&app, Channel::Huawei)), (1, 1));
    }

    #[test]
    fn a_rate_that_is_none_is_told_at_the_start() {
        for (value, error) in [
            ("", "`FANFARE_SOCKET_POSTS_PER_SECOND` is not set"),
            ("0", "`FANFARE_SOCKET_POSTS_PER_SECOND` cannot be read: number would be zero for non-zero type"),
            ("-1", "`FANFARE_SOCKET_POSTS_PER_SECOND` cannot be read: invalid digit found in string"),
            ("7000.5", "`FANFARE_SOCKET_POSTS_PER_SECOND` cannot be read: invalid digit found in string"),
            ("99999999999", "`FANFARE_SOCKET_POSTS_PER_SECOND` cannot be read: number too large to fit in target type"),
        ] {
            let read = Rates::from_lookup(&|_: &str| Some(value.to_owned()));
            assert_eq!(read.unwrap_err().to_string(), error, "{value}");
        }
    }

    fn an_app(rate: u32) -> App {
        let huawei = json!({"app_id": "1", "client_secret": "s", "rate": rate});
        let xiaomi = json!({"app_secret": "s", "package": "p", "rate": rate});
        serde_json::from_value(json!({"id": "app", "channels": {"huawei": huawei, "xiaomi": xiaomi}})).unwrap()
    }

    /// Requests that leave as early and as late as they may, and are late on their way by the rest of what is spare.
    #[test]
    fn no_second_has_more_than_the_rate_and_nine_tenths_of_it_are_used() {
        for channel in [Channel::Huawei, Channel::Xiaomi, Channel::Ws] {
            for rate in [1, 2, 7, 63, 64, 127, 128, 200, 999, 3_000, 6_000] {
                let (app, rates) = (an_app(rate), rates(rate));
                let (_, pace) = rates.pace(&app, channel);
                let largest = match traits(channel).rate_unit {
                    RateUnit::Devices => rates.largest_request(&app, channel) as u32,
                    RateUnit::Requests => 1,
                };
                // The most that fits into a second and what is late: whole requests but for the first, which is there
                // already when the second begins.
                let time = f64::from(1_000 + SPARE_MILLIS) / f64::from(pace.millis) * f64::from(pace.units);
                let before = (time / f64::from(largest)).ceil() * f64::from(largest);
                assert!(before <= f64::from(rate.max(largest)), "{channel} at {rate}: {before}");
                let used = f64::from(pace.units) * 1_000.0 / f64::from(pace.millis);
                assert!(used >= 0.9 * f64::from(rate), "{channel} at {rate}: {used}");
            }
        }
    }
}
