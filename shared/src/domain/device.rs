//! Devices, and the ways to them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DeviceId, Timestamp, limits};

/// A name that is none of those expected. It is not repeated: it may be anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no known {what}")]
pub struct UnknownName {
    what: &'static str,
}

macro_rules! named {
    ($(#[$meta:meta])* $name:ident, $what:literal, { $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// All of them, in a fixed order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name, as clients, keys and settings say it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|known| known.name() == name)
                    .ok_or_else(|| UnknownName { what: $what })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named!(
    /// A way out to devices. Android's notification channels are `NotificationChannel`, never this.
    Channel, "channel", {
        /// A live socket, by API Gateway's `@connections`.
        Ws = "ws",
        /// Apple Push Notification service.
        Apns = "apns",
        /// Firebase Cloud Messaging.
        Fcm = "fcm",
        /// Huawei Push Kit.
        Huawei = "huawei",
        /// Honor Push.
        Honor = "honor",
        /// HarmonyOS Push Kit.
        Harmony = "harmony",
        /// Xiaomi MiPush.
        Xiaomi = "xiaomi",
        /// OPPO Push.
        Oppo = "oppo",
        /// vivo Push.
        Vivo = "vivo",
        /// Meizu Flyme Push.
        Meizu = "meizu",
        /// Web Push.
        Webpush = "webpush",
    }
);

named!(
    /// What a device runs.
    Platform, "platform", {
        /// iOS and iPadOS.
        Ios = "ios",
        /// Android, of any maker.
        Android = "android",
        /// HarmonyOS.
        Harmony = "harmony",
        /// A browser.
        Web = "web",
    }
);

impl Channel {
    /// Whether devices of a platform can be registered with it. Sockets are not registered: they connect.
    pub fn reaches(self, platform: Platform) -> bool {
        match self {
            Self::Ws => false,
            Self::Apns => platform == Platform::Ios,
            Self::Fcm => platform != Platform::Harmony,
            Self::Huawei | Self::Honor | Self::Xiaomi | Self::Oppo | Self::Vivo | Self::Meizu => {
                platform == Platform::Android
            }
            Self::Harmony => platform == Platform::Harmony,
            Self::Webpush => platform == Platform::Web,
        }
    }
}

/// A vendor's address of one installation. Whoever has it can push to the device, so it is never logged.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceToken(String);

impl DeviceToken {
    /// A token as a vendor's SDK gave it to the app. Its shape is the channel's to check.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The token, to be sent to its vendor.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its last four characters, for people who compare.
    pub fn masked(&self) -> String {
        let shown: Vec<char> = self.0.chars().rev().take(4).collect();
        let hidden = self.0.chars().count() > 8;
        format!("…{}", if hidden { shown.into_iter().rev().collect() } else { String::new() })
    }
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceToken({})", self.masked())
    }
}

/// One installation of the app, reachable through a vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The app's own name for the installation.
    pub id: DeviceId,
    /// What it runs.
    pub platform: Platform,
    /// The vendor that reaches it.
    pub channel: Channel,
    /// The vendor's address of it.
    pub token: DeviceToken,
    /// The app package: a bundle id or an Android package.
    pub package: Option<String>,
    /// Whether its user wants notifications.
    pub push_enabled: bool,
    /// Its language, as a BCP 47 tag.
    pub language: Option<String>,
    /// When this token was registered: a vendor's older verdict on it does not count.
    pub registered_at: Timestamp,
    /// When it was last registered, refreshed or connected.
    pub active_at: Timestamp,
}

impl Device {
    /// Whether vendor pushes go to it: its user wants them, and it was seen in the last 30 days.
    pub fn is_reachable(&self, now: Timestamp) -> bool {
        self.push_enabled && now.millis_since(self.active_at) <= limits::ACTIVE_DAYS * 86_400_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for channel in Channel::ALL {
            assert_eq!(channel.name().parse(), Ok(*channel));
        }
        assert_eq!("pigeon".parse::<Channel>().unwrap_err().to_string(), "no known channel");
    }

    #[test]
    fn channels_go_with_their_platforms() {
        let allowed = |channel: Channel| -> Vec<&str> {
            Platform::ALL
                .iter()
                .filter(|platform| channel.reaches(**platform))
                .map(|platform| platform.name())
                .collect()
        };
        assert!(allowed(Channel::Ws).is_empty());
        assert_eq!(allowed(Channel::Apns), ["ios"]);
        assert_eq!(allowed(Channel::Fcm), ["ios", "android", "web"]);
        assert_eq!(allowed(Channel::Xiaomi), ["android"]);
        assert_eq!(allowed(Channel::Harmony), ["harmony"]);
        assert_eq!(allowed(Channel::Webpush), ["web"]);
    }

    #[test]
    fn a_token_hides_itself() {
        let token = DeviceToken::new("0123456789abcdef");
        assert_eq!(format!("{token:?}"), "DeviceToken(…cdef)");
        assert_eq!(DeviceToken::new("short").masked(), "…");
    }

    #[test]
    fn a_device_unseen_for_more_than_thirty_days_is_not_pushed_to() {
        let seen = Timestamp::from_secs(1_700_000_000);
        let mut device = Device {
            id: DeviceId::try_from("d").unwrap(),
            platform: Platform::Ios,
            channel: Channel::Apns,
            token: DeviceToken::new("t"),
            package: None,
            push_enabled: true,
            language: None,
            registered_at: seen,
            active_at: seen,
        };
        assert!(device.is_reachable(seen.plus_secs(30 * 86_400)));
        assert!(!device.is_reachable(seen.plus_secs(30 * 86_400 + 1)));
        device.push_enabled = false;
        assert!(!device.is_reachable(seen));
    }
}
