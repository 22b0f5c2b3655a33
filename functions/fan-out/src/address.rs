//! Users become devices and connections.

use std::collections::BTreeMap;

use fanfare::domain::notification::Languages;
use fanfare::domain::{
    Channel, ConnectionId, Device, DeviceId, DeviceToken, Notification, Push, ShardSet, Timestamp, Wording,
};
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

/// What decides, with the users' contacts, how a push is addressed.
pub(crate) struct Addressing<'a, Serves> {
    pub push: &'a Push,
    /// Where the app's clock stands, in minutes east of UTC: quiet hours are told by it.
    pub utc_offset_minutes: i32,
    /// The moment by which it is judged who has been away for too long, and who has quiet hours.
    pub at: Timestamp,
    /// Whether there is a way out of a kind.
    pub serves: Serves,
    /// Who was addressed by socket before. A repeat keeps to it: whoever has come online since has been addressed by
    /// vendor, and whoever has left may have been in a batch that was never sent.
    pub before: Option<&'a ShardSet>,
}

impl<Serves: Fn(Channel) -> bool> Addressing<'_, Serves> {
    /// Chooses the ways to each user: the live connections of those who are connected; of the others the devices, by
    /// their vendors, if the push wants notifications at all and has one for the device. A push that is a notification
    /// only goes to everyone's devices.
    ///
    /// Of connections and devices only those that the push is for: the others might as well not be there.
    pub(crate) fn address(&self, contacts: &[Contact]) -> Addressed {
        let mut addressed = Addressed::default();
        let notice = self.push.notification.as_ref().map(Notice::new);
        for contact in contacts {
            let low = contact.ordinal.low();
            let connections = self.connections(contact);
            let is_online = !connections.is_empty();
            let by_socket = self.before.map_or(is_online, |before| before.contains(low));
            if by_socket {
                addressed.sockets.insert(low);
                addressed.left.extend((!is_online).then_some(low));
                for connection in connections {
                    let token = DeviceToken::new(connection.as_str());
                    let target = Target { low, token, package: None, wording: Wording::default() };
                    addressed.targets.entry(Channel::Ws).or_default().push(target);
                }
                continue;
            }
            let Some(notice) = &notice else { continue };
            let is_quiet = self.is_quiet(contact);
            for device in contact.devices.iter().filter(|device| self.push.devices.matches(device)) {
                let served = !is_quiet && device.is_reachable(self.at) && (self.serves)(device.channel);
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

    /// The connections that the push is for.
    fn connections<'c>(&self, contact: &'c Contact) -> Vec<&'c ConnectionId> {
        // What has no message has nothing for a socket.
        let open = contact.connections.iter().filter(|_| self.push.message.is_some());
        let registered = |id: &DeviceId| contact.devices.iter().find(|device| device.id == *id);
        open.filter(|(_, device)| self.push.devices.matches_socket(registered(device))).map(|(id, _)| id).collect()
    }

    /// Whether the user wants to be left alone. Quiet hours hold back notifications of messages, on both levels, for
    /// no push mentions anyone by name; not pushes that are a notification and nothing else, which are shown whatever
    /// the user does (RongCloud, `/push.json`).
    fn is_quiet(&self, contact: &Contact) -> bool {
        let quiet = contact.quiet.filter(|_| self.push.message.is_some());
        quiet.is_some_and(|hours| hours.covers(self.at, self.utc_offset_minutes))
    }
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
        AppId, Audience, DeviceFilter, Message, Ordinal, Platform, PushId, QuietHours, QuietLevel, Seq, UserId,
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

    fn address(
        push: &Push,
        contacts: &[Contact],
        serves: impl Fn(Channel) -> bool,
        before: Option<&ShardSet>,
    ) -> Addressed {
        Addressing { push, utc_offset_minutes: 8 * 60, at: NOW, serves, before }.address(contacts)
    }

    fn device(channel: Channel, token: &str) -> Device {
        Device {
            id: on("d"),
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
        let addressed = address(&a_push(), &contacts, |_| true, None);
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
        let addressed = address(&a_push(), &contacts, |_| true, Some(&before));
        assert_eq!(tokens(&addressed, Channel::Ws), ["stayed"]);
        assert_eq!(tokens(&addressed, Channel::Apns), ["a1"]);
        assert_eq!(addressed.left, [0]);
    }

    #[test]
    fn what_is_a_notification_only_goes_to_devices_and_never_to_sockets() {
        let push = Push { message: None, ..a_push() };
        let contacts =
            [contact(1, &["c"], vec![device(Channel::Apns, "a1")]), contact(2, &[], vec![device(Channel::Fcm, "f2")])];
        let addressed = address(&push, &contacts, |_| true, None);
        assert_eq!(tokens(&addressed, Channel::Ws), [""; 0]);
        assert_eq!((tokens(&addressed, Channel::Apns), tokens(&addressed, Channel::Fcm)), (vec!["a1"], vec!["f2"]));
    }

    #[test]
    fn without_a_notification_no_vendor_is_used() {
        let push = Push { notification: None, ..a_push() };
        let contacts = [contact(1, &[], vec![device(Channel::Apns, "a1")]), contact(2, &["c"], vec![])];
        let addressed = address(&push, &contacts, |_| true, None);
        assert_eq!(addressed.targets.keys().collect::<Vec<_>>(), [&Channel::Ws]);
        assert!(addressed.suppressed.is_empty());
    }

    #[test]
    fn devices_that_want_no_pushes_or_have_no_sender_are_kept_back_and_counted() {
        let off = Device { push_enabled: false, ..device(Channel::Apns, "a1") };
        let contacts = [contact(1, &[], vec![off, device(Channel::Huawei, "h1"), device(Channel::Fcm, "f1")])];
        let addressed = address(&a_push(), &contacts, |channel| channel != Channel::Huawei, None);
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
        let addressed = address(&push, &[contact(1, &[], devices)], |_| true, None);
        let wordings: Vec<u8> = addressed.targets[&Channel::Fcm].iter().map(|target| target.wording.0).collect();
        assert_eq!(wordings, [2, 0, 1, 0]);
    }

    #[test]
    fn a_device_for_which_there_is_nothing_is_kept_back_and_counted() {
        let mut push = a_push();
        let notification = push.notification.as_mut().unwrap();
        notification.android.text = Some(std::mem::take(&mut notification.text));
        let contacts = [contact(1, &[], vec![device(Channel::Apns, "a1"), device(Channel::Fcm, "f1")])];
        let addressed = address(&push, &contacts, |_| true, None);
        assert_eq!((tokens(&addressed, Channel::Fcm), tokens(&addressed, Channel::Apns)), (vec!["f1"], vec![]));
        assert_eq!(addressed.suppressed, BTreeMap::from([(Channel::Apns, 1)]));
    }

    fn filter(platforms: &[Platform], package: Option<&str>) -> DeviceFilter {
        DeviceFilter { platforms: platforms.iter().copied().collect(), package: package.map(str::to_owned) }
    }

    /// A user of a registered phone (iOS, of a package), a registered tablet (Android, of none) and a desk that is not
    /// registered, of which some are connected.
    fn a_user(connected: &[&str]) -> Contact {
        let phone = Device {
            id: on("phone"),
            platform: Platform::Ios,
            package: Some("com.example".to_owned()),
            ..device(Channel::Apns, "phone")
        };
        let tablet = Device { id: on("tablet"), ..device(Channel::Fcm, "tablet") };
        let connection = |id: &&str| (ConnectionId::try_from(format!("c-{id}")).unwrap(), on(id));
        Contact { connections: connected.iter().map(connection).collect(), ..contact(1, &[], vec![phone, tablet]) }
    }

    #[test]
    fn only_the_connections_and_devices_that_are_meant_are_addressed_or_counted() {
        use Platform::{Android, Ios, Web};
        const ALL: [&str; 3] = ["phone", "tablet", "desk"];
        let (ios, android) = ([Ios], [Android]);
        for (filter, connected, sockets, vendors) in [
            (filter(&[], None), &ALL[..], &["c-desk", "c-phone", "c-tablet"][..], &[][..]),
            (filter(&ios, None), &ALL, &["c-phone"], &[]),
            (filter(&[Ios, Web], None), &ALL, &["c-desk", "c-phone"], &[]),
            (filter(&[Web], None), &ALL, &["c-desk"], &[]),
            (filter(&[], Some("com.example")), &ALL, &["c-phone"], &[]),
            (filter(&android, Some("com.example")), &ALL, &[], &[]),
            // Connected, and not with what is meant: as if offline.
            (filter(&ios, None), &["tablet", "desk"], &[], &["phone"]),
            (filter(&android, None), &["phone", "desk"], &[], &["tablet"]),
            (filter(&[], Some("com.example")), &["desk"], &[], &["phone"]),
            (filter(&[Web], None), &["phone"], &[], &[]),
            (filter(&[Ios, Android], None), &[], &[], &["phone", "tablet"]),
        ] {
            let push = Push { devices: filter, ..a_push() };
            let addressed = address(&push, &[a_user(connected)], |_| true, None);
            let by_vendor = [tokens(&addressed, Channel::Apns), tokens(&addressed, Channel::Fcm)].concat();
            assert_eq!((tokens(&addressed, Channel::Ws), by_vendor), (sockets.to_vec(), vendors.to_vec()), "{push:?}");
            assert_eq!((addressed.suppressed.len(), addressed.sockets.len()), (0, u32::from(!sockets.is_empty())));
        }
        // Who is not meant is not kept back either.
        let push = Push { devices: filter(&ios, None), ..a_push() };
        let addressed = address(&push, &[a_user(&[])], |_| false, None);
        assert_eq!(addressed.suppressed, BTreeMap::from([(Channel::Apns, 1)]));
    }

    #[test]
    fn who_has_left_with_all_that_was_meant_has_left() {
        let push = Push { devices: filter(&[Platform::Ios], None), ..a_push() };
        let before = [1].into_iter().collect();
        for (connected, left) in [(&["phone", "desk"][..], &[][..]), (&["desk"], &[1]), (&[], &[1])] {
            let addressed = address(&push, &[a_user(connected)], |_| true, Some(&before));
            assert_eq!(addressed.left, left, "{connected:?}");
            assert_eq!(tokens(&addressed, Channel::Apns), [""; 0]);
        }
    }

    #[test]
    fn quiet_hours_hold_back_vendors_and_nothing_else() {
        // 22:13:20 UTC, which is 06:13:20 by the app's clock.
        assert_eq!(NOW.secs() % 86_400, 80_000);
        let quiet = |start_secs, minutes, level| Some(QuietHours { start_secs, minutes, level });
        let with = |quiet, connected: &[&str]| Contact { quiet, ..a_user(connected) };
        let night = quiet(6 * 3_600, 60, QuietLevel::All);
        for (contact, is_held_back) in [
            (with(None, &[]), false),
            (with(night, &[]), true),
            (with(quiet(6 * 3_600, 60, QuietLevel::AllButMentions), &[]), true),
            (with(quiet(22 * 3_600, 60, QuietLevel::All), &[]), false),
        ] {
            let addressed = address(&a_push(), &[contact], |_| true, None);
            let expected =
                if is_held_back { BTreeMap::from([(Channel::Apns, 1), (Channel::Fcm, 1)]) } else { BTreeMap::new() };
            assert_eq!((addressed.suppressed, addressed.targets.is_empty()), (expected, is_held_back));
        }
        let online = address(&a_push(), &[with(night, &["phone"])], |_| true, None);
        assert_eq!((tokens(&online, Channel::Ws), online.suppressed.len()), (vec!["c-phone"], 0));
        let notification = Push { message: None, ..a_push() };
        let shown = address(&notification, &[with(night, &["phone"])], |_| true, None);
        assert_eq!((tokens(&shown, Channel::Apns), shown.suppressed.len()), (vec!["phone"], 0));
    }
}
