//! Which of its users' devices a push is for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Channel, Device, Platform};

/// Which of its users' devices a push is for. Without a word, all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeviceFilter {
    /// Those that run one of these; all, if there is none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub platforms: BTreeSet<Platform>,
    /// Those on which the app is installed under this name (bundle id, Android package).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

impl DeviceFilter {
    /// Whether it lets all devices pass.
    pub fn is_open(&self) -> bool {
        self.platforms.is_empty() && self.package.is_none()
    }

    /// Whether a device is meant.
    pub fn matches(&self, device: &Device) -> bool {
        self.lets_pass(device.platform, device.package.as_deref())
    }

    /// Whether a device may be meant that a vendor's channel reaches. Any may be registered with the package.
    pub fn may_have(&self, channel: Channel) -> bool {
        self.platforms.is_empty() || self.platforms.iter().any(|platform| channel.reaches(*platform))
    }

    /// Whether an installation is meant that has a socket: by what it is registered as. One that is not registered
    /// counts as a browser, without a package.
    pub fn matches_socket(&self, registered: Option<&Device>) -> bool {
        registered.map_or_else(|| self.lets_pass(Platform::Web, None), |device| self.matches(device))
    }

    fn lets_pass(&self, platform: Platform, package: Option<&str>) -> bool {
        let is_platform = self.platforms.is_empty() || self.platforms.contains(&platform);
        is_platform && self.package.as_deref().is_none_or(|wanted| package == Some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{DeviceId, DeviceToken, Timestamp};

    fn device(platform: Platform, package: Option<&str>) -> Device {
        Device {
            id: DeviceId::try_from("d").unwrap(),
            platform,
            channel: Channel::Fcm,
            token: DeviceToken::new("t"),
            package: package.map(str::to_owned),
            push_enabled: true,
            language: None,
            registered_at: Timestamp::from_secs(0),
            active_at: Timestamp::from_secs(0),
        }
    }

    #[test]
    fn platform_and_package_must_both_be_right() {
        let filter = |platforms: &[Platform], package: Option<&str>| DeviceFilter {
            platforms: platforms.iter().copied().collect(),
            package: package.map(str::to_owned),
        };
        let (ios, android) = (device(Platform::Ios, Some("a")), device(Platform::Android, None));
        for (filter, matches) in [
            (filter(&[], None), [true, true]),
            (filter(&[Platform::Ios], None), [true, false]),
            (filter(&[Platform::Ios, Platform::Android], None), [true, true]),
            (filter(&[], Some("a")), [true, false]),
            (filter(&[Platform::Android], Some("a")), [false, false]),
            (filter(&[], Some("A")), [false, false]),
        ] {
            assert_eq!([filter.matches(&ios), filter.matches(&android)], matches, "{filter:?}");
        }
        // Who has not registered is a browser.
        for (filter, matches) in [
            (filter(&[], None), true),
            (filter(&[Platform::Ios, Platform::Web], None), true),
            (filter(&[Platform::Ios], None), false),
            (filter(&[Platform::Web], Some("a")), false),
            (filter(&[], Some("a")), false),
        ] {
            assert_eq!(filter.matches_socket(None), matches, "{filter:?}");
            assert_eq!(filter.matches_socket(Some(&ios)), filter.matches(&ios), "{filter:?}");
        }
        assert!(DeviceFilter::default().is_open() && !filter(&[], Some("a")).is_open());
    }

    #[test]
    fn a_channel_may_have_who_is_meant_if_it_reaches_one_of_the_platforms() {
        let may_have = |platforms: &[Platform]| -> Vec<Channel> {
            let filter = DeviceFilter { platforms: platforms.iter().copied().collect(), package: Some("a".to_owned()) };
            Channel::ALL.iter().copied().filter(|channel| filter.may_have(*channel)).collect()
        };
        assert_eq!(may_have(&[]), Channel::ALL);
        assert_eq!(may_have(&[Platform::Ios]), [Channel::Apns, Channel::Fcm]);
        assert_eq!(may_have(&[Platform::Harmony, Platform::Web]), [Channel::Fcm, Channel::Harmony, Channel::Webpush]);
    }
}
