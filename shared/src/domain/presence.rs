//! Whether users are there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Channel, Device, DeviceId, Platform, Timestamp, limits};

/// How a push would find someone, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Reach {
    /// Not at all, for now.
    #[default]
    Offline,
    /// Through a phone's vendor.
    ByVendor,
    /// On a live connection.
    Online,
}

/// Whether a user is there, on each kind of device. An installation that is connected and not registered has not said
/// what it runs: it stands under `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presence(BTreeMap<Option<Platform>, Reach>);

impl Presence {
    /// From a user's devices, and those of its installations that have a live connection. `serves` says whether the app
    /// has the credentials of a channel.
    pub fn of(
        devices: &[Device],
        connected: &BTreeSet<DeviceId>,
        serves: impl Fn(Channel) -> bool,
        now: Timestamp,
    ) -> Self {
        let mut presence = Self::default();
        for id in connected {
            let device = devices.iter().find(|device| device.id == *id);
            presence.note(device.map(|device| device.platform), Reach::Online);
        }
        for device in devices.iter().filter(|device| is_within_reach(device, now) && serves(device.channel)) {
            presence.note(Some(device.platform), Reach::ByVendor);
        }
        presence
    }

    /// How a push would find the user: by the best of the ways.
    pub fn reach(&self) -> Reach {
        self.0.values().max().copied().unwrap_or_default()
    }

    /// The kinds of devices on which the user is there, and how.
    pub fn platforms(&self) -> impl Iterator<Item = (Option<Platform>, Reach)> {
        self.0.iter().map(|(platform, reach)| (*platform, *reach))
    }

    fn note(&mut self, platform: Option<Platform>, reach: Reach) {
        let known = self.0.entry(platform).or_default();
        *known = reach.max(*known);
    }
}

/// Whether a device that has no connection keeps its user within reach. A browser does not: that is for phones (Tencent,
/// "Querying the online status of users").
fn is_within_reach(device: &Device, now: Timestamp) -> bool {
    let since_seen = now.millis_since(device.active_at);
    device.platform != Platform::Web && device.is_reachable(now) && since_seen <= limits::PUSH_ONLINE_DAYS * 86_400_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DeviceToken;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const DAY: i64 = 86_400;

    fn device(id: &str, platform: Platform, seen_secs_ago: i64) -> Device {
        Device {
            id: DeviceId::try_from(id).unwrap(),
            platform,
            channel: Channel::Fcm,
            token: DeviceToken::new(id),
            package: None,
            push_enabled: true,
            language: None,
            registered_at: NOW.plus_secs(-seen_secs_ago),
            active_at: NOW.plus_secs(-seen_secs_ago),
        }
    }

    fn presence(devices: &[Device], connected: &[&str]) -> Presence {
        let connected = connected.iter().map(|id| DeviceId::try_from(*id).unwrap()).collect();
        Presence::of(devices, &connected, |channel| channel == Channel::Fcm, NOW)
    }

    #[test]
    fn a_connection_is_more_than_a_vendor_and_a_vendor_more_than_nothing() {
        let phone = device("phone", Platform::Android, 0);
        assert_eq!(presence(&[], &[]).reach(), Reach::Offline);
        assert_eq!(presence(std::slice::from_ref(&phone), &[]).reach(), Reach::ByVendor);
        assert_eq!(presence(std::slice::from_ref(&phone), &["phone"]).reach(), Reach::Online);
        assert_eq!(presence(&[], &["desk"]).reach(), Reach::Online);
    }

    #[test]
    fn a_phone_keeps_its_user_within_reach_for_seven_days_and_only_if_a_push_would_come_through() {
        let reach = |device: Device| presence(&[device], &[]).reach();
        assert_eq!(reach(device("phone", Platform::Ios, 7 * DAY)), Reach::ByVendor);
        assert_eq!(reach(device("phone", Platform::Ios, 7 * DAY + 1)), Reach::Offline);
        assert_eq!(reach(device("tab", Platform::Web, 0)), Reach::Offline);
        assert_eq!(reach(Device { push_enabled: false, ..device("phone", Platform::Ios, 0) }), Reach::Offline);
        assert_eq!(reach(Device { channel: Channel::Apns, ..device("phone", Platform::Ios, 0) }), Reach::Offline);
    }

    #[test]
    fn each_kind_of_device_is_told_once_by_its_best() {
        let devices =
            [device("a", Platform::Android, 0), device("b", Platform::Android, 0), device("c", Platform::Ios, 0)];
        let presence = presence(&devices, &["b", "desk"]);
        let expected =
            [(None, Reach::Online), (Some(Platform::Ios), Reach::ByVendor), (Some(Platform::Android), Reach::Online)];
        assert_eq!(presence.platforms().collect::<Vec<_>>(), expected);
    }
}
