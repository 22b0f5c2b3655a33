//! Users become devices and connections.

use std::collections::BTreeMap;

use fanfare::domain::notification::Languages;
use fanfare::domain::{Channel, Device, DeviceToken, Notification, Push, ShardSet, Timestamp, Wording};
use fanfare::store::Contact;

/// Where a push goes, by channel, in the order of its users.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Addressed {
    pub targets: BTreeMap<Channel, Vec<Target>>,
    /// Devices kept back, by channel.
    pub suppressed: BTreeMap<Channel, u32>,
    /// Those addressed by socket.
    pub sockets: ShardSet,
    /// Those who were addressed by socket before, and have none now.
    pub left: Vec<u16>,
}

/// One device or connection of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The user's place in the shard.
    pub low: u16,
    pub token: DeviceToken,
    pub package: Option<String>,
    /// Its notification's words, in its own language if there are any.
    pub wording: Wording,
}

/// Chooses the ways to each user: the live connections of those who are connected; of the others the devices, by
/// their vendors, if the push wants notifications at all and has one for the device. A push that is a notification only
/// goes to everyone's devices.
///
/// A repeat keeps to who was addressed by socket `before`: whoever has come online since has been addressed by vendor,
/// and whoever has left may have been in a batch that was never sent.
pub(crate) fn address(
    push: &Push,
    contacts: &[Contact],
    now: Timestamp,
    serves: impl Fn(Channel) -> bool,
    before: Option<&ShardSet>,
) -> Addressed {
    let mut addressed = Addressed::default();
    let notice = push.notification.as_ref().map(Notice::new);
    for contact in contacts {
        let low = contact.ordinal.low();
        // What has no message has nothing for a socket.
        let is_online = push.message.is_some() && !contact.connections.is_empty();
        let by_socket = before.map_or(is_online, |before| before.contains(low));
        if by_socket {
            addressed.sockets.insert(low);
            addressed.left.extend((!is_online).then_some(low));
        }
        for connection in contact.connections.keys().filter(|_| by_socket) {
            let token = DeviceToken::new(connection.as_str());
            let target = Target { low, token, package: None, wording: Wording::default() };
            addressed.targets.entry(Channel::Ws).or_default().push(target);
        }
        let Some(notice) = notice.as_ref().filter(|_| !by_socket) else { continue };
        for device in &contact.devices {
            let served = device.is_reachable(now) && serves(device.channel);
            match notice.wording(device).filter(|_| served) {
                Some(wording) => {
                    let (token, package) = (device.token.clone(), device.package.clone());
                    let target = Target { low, token, package, wording };
                    addressed.targets.entry(device.channel).or_default().push(target);
                }
                None => *addressed.suppressed.entry(device.channel).or_default() += 1,
            }
        }
    }
    addressed
}

/// A notification, and the languages that it has.
struct Notice<'a> {
    notification: &'a Notification,
    languages: Languages,
}

impl<'a> Notice<'a> {
    fn new(notification: &'a Notification) -> Self {
        Self { notification, languages: notification.languages() }
    }

    /// The words for a device; `None` if there is nothing for it.
    fn wording(&self, device: &Device) -> Option<Wording> {
        let wording = self.languages.wording(device.language.as_deref());
        self.notification.is_for(device.channel, wording).then_some(wording)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fanfare::domain::notification::Translation;
    use fanfare::domain::{
        AppId, Audience, ConnectionId, DeviceFilter, DeviceId, Message, Ordinal, Platform, PushId, Seq, UserId,
    };

    use super::*;

    pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    pub(crate) fn a_push() -> Push {
        Push {
            id: PushId::from_u128(1),
            app: AppId::try_from("app").unwrap(),
            seq: Some(Seq(1)),
            accepted_at: NOW,
            audience: Audience::Everyone,
            devices: DeviceFilter::default(),
            population: 10,
            message: Some(Message {
                sender: "admin".to_owned(),
                body: serde_json::json!([]),
                notification: None,
                kept: true,
                recallable: false,
            }),
            lifetime_secs: 60,
            notification: Some(Notification { text: "hi".to_owned(), ..Notification::default() }),
            task_id: "task".to_owned(),
            revokes: None,
            data_id: None,
        }
    }

    fn contact(low: u32, connections: &[&str], devices: Vec<Device>) -> Contact {
        Contact {
            ordinal: Ordinal(low),
            user: UserId::try_from("u").unwrap(),
            devices,
            connections: connections.iter().map(|id| (ConnectionId::try_from(*id).unwrap(), on("desk"))).collect(),
            quiet: None,
        }
    }

    fn on(device: &str) -> DeviceId {
        DeviceId::try_from(device).unwrap()
    }

    fn device(channel: Channel, token: &str) -> Device {
        Device {
            id: DeviceId::try_from("d").unwrap(),
            platform: Platform::Android,
            channel,
            token: DeviceToken::new(token),
            package: None,
            push_enabled: true,
            language: None,
            registered_at: NOW,
            active_at: NOW,
        }
    }

    fn tokens(addressed: &Addressed, channel: Channel) -> Vec<&str> {
        addressed.targets.get(&channel).into_iter().flatten().map(|target| target.token.expose()).collect()
    }

    #[test]
    fn the_connected_are_reached_by_socket_and_the_others_by_vendor() {
        let contacts = [
            contact(0, &["c1", "c2"], vec![device(Channel::Apns, "a0")]),
            contact(1, &[], vec![device(Channel::Apns, "a1"), device(Channel::Fcm, "f1")]),
            contact(2, &[], vec![]),
        ];
        let addressed = address(&a_push(), &contacts, NOW, |_| true, None);
        assert_eq!(tokens(&addressed, Channel::Ws), ["c1", "c2"]);
        assert_eq!(tokens(&addressed, Channel::Apns), ["a1"]);
        assert_eq!(tokens(&addressed, Channel::Fcm), ["f1"]);
    }

    #[test]
    fn a_repeat_keeps_to_who_was_addressed_by_socket_and_tells_who_has_left() {
        let contacts = [
            contact(0, &[], vec![device(Channel::Apns, "left")]),
            contact(1, &["came"], vec![device(Channel::Apns, "a1")]),
            contact(2, &["stayed"], vec![device(Channel::Apns, "a2")]),
        ];
        let before = [0, 2].into_iter().collect();
        let addressed = address(&a_push(), &contacts, NOW, |_| true, Some(&before));
        assert_eq!(tokens(&addressed, Channel::Ws), ["stayed"]);
        assert_eq!(tokens(&addressed, Channel::Apns), ["a1"]);
        assert_eq!(addressed.left, [0]);
    }

    #[test]
    fn what_is_a_notification_only_goes_to_devices_and_never_to_sockets() {
        let push = Push { message: None, ..a_push() };
        let contacts =
            [contact(1, &["c"], vec![device(Channel::Apns, "a1")]), contact(2, &[], vec![device(Channel::Fcm, "f2")])];
        let addressed = address(&push, &contacts, NOW, |_| true, None);
        assert_eq!(tokens(&addressed, Channel::Ws), [""; 0]);
        assert_eq!((tokens(&addressed, Channel::Apns), tokens(&addressed, Channel::Fcm)), (vec!["a1"], vec!["f2"]));
    }

    #[test]
    fn without_a_notification_no_vendor_is_used() {
        let push = Push { notification: None, ..a_push() };
        let contacts = [contact(1, &[], vec![device(Channel::Apns, "a1")]), contact(2, &["c"], vec![])];
        let addressed = address(&push, &contacts, NOW, |_| true, None);
        assert_eq!(addressed.targets.keys().collect::<Vec<_>>(), [&Channel::Ws]);
        assert!(addressed.suppressed.is_empty());
    }

    #[test]
    fn devices_that_want_no_pushes_or_have_no_sender_are_kept_back_and_counted() {
        let off = Device { push_enabled: false, ..device(Channel::Apns, "a1") };
        let contacts = [contact(1, &[], vec![off, device(Channel::Huawei, "h1"), device(Channel::Fcm, "f1")])];
        let addressed = address(&a_push(), &contacts, NOW, |channel| channel != Channel::Huawei, None);
        assert_eq!(tokens(&addressed, Channel::Fcm), ["f1"]);
        assert_eq!(addressed.suppressed, BTreeMap::from([(Channel::Apns, 1), (Channel::Huawei, 1)]));
    }

    #[test]
    fn a_device_is_addressed_in_its_language() {
        let mut push = a_push();
        let translation = |language: &str| Translation {
            language: language.to_owned(),
            title: None,
            text: Some(language.to_owned()),
        };
        push.notification.as_mut().unwrap().translations = vec![translation("en"), translation("zh-Hans")];
        let speaking = |language: Option<&str>, token| Device {
            language: language.map(str::to_owned),
            ..device(Channel::Fcm, token)
        };
        let devices = vec![
            speaking(Some("zh_hans_CN"), "zh"),
            speaking(Some("de"), "de"),
            speaking(Some("EN"), "en"),
            speaking(None, ""),
        ];
        let addressed = address(&push, &[contact(1, &[], devices)], NOW, |_| true, None);
        let wordings: Vec<u8> = addressed.targets[&Channel::Fcm].iter().map(|target| target.wording.0).collect();
        assert_eq!(wordings, [2, 0, 1, 0]);
    }

    #[test]
    fn a_device_for_which_there_is_nothing_is_kept_back_and_counted() {
        let mut push = a_push();
        let notification = push.notification.as_mut().unwrap();
        notification.android.text = Some(std::mem::take(&mut notification.text));
        let contacts = [contact(1, &[], vec![device(Channel::Apns, "a1"), device(Channel::Fcm, "f1")])];
        let addressed = address(&push, &contacts, NOW, |_| true, None);
        assert_eq!((tokens(&addressed, Channel::Fcm), tokens(&addressed, Channel::Apns)), (vec!["f1"], vec![]));
        assert_eq!(addressed.suppressed, BTreeMap::from([(Channel::Apns, 1)]));
    }
}
