//! Whether vendors take what a push looks like to them, asked before anything is accepted or sent.

use std::fmt;

use crate::domain::{App, Channel, Channels, Push, Wording};

use super::{apns, fcm, harmony, honor, huawei, oppo, vivo, webpush, xiaomi};

/// Why a push is nothing that a vendor could be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the push has no notification")]
    NoNotification,
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// A push that a vendor does not take, with words cut as short as they may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too long for {channel}: {size} {measured}, and {limit} are the most")]
pub struct TooLarge {
    /// The way to that vendor.
    pub channel: Channel,
    /// What is too long.
    pub measured: Measured,
    /// How long that is.
    pub size: usize,
    /// How long it may be.
    pub limit: usize,
}

/// What a vendor's limit is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// The bytes of a message, without its receivers.
    Message,
    /// The bytes of what the app gets beside the words, as JSON.
    Data,
    /// The characters of that.
    DataCharacters,
}

impl Measured {
    /// [`TooLarge`] if it is more than a vendor takes.
    pub(super) fn fits(self, channel: Channel, size: usize, limit: usize) -> Result<(), TooLarge> {
        if size <= limit { Ok(()) } else { Err(TooLarge { channel, measured: self, size, limit }) }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message => "bytes, with all that surrounds it",
            Self::Data => "bytes of data, with the push_id",
            Self::DataCharacters => "characters of data, with the push_id",
        })
    }
}

/// Whether every vendor takes the push that the app has credentials with, and that reaches a device which the push may be
/// for: in each of its languages, however short its words have to be cut for that. Nothing is sent, and nobody asked.
///
/// A push to a socket is not looked at: how long a message may be is said by the contract that it comes by. Meizu publishes
/// no limit. Any device may be registered with any package, so none rules a channel out.
///
/// # Errors
///
/// [`TooLarge`] for the first of the channels for which it is.
pub fn check(app: &App, push: &Push) -> Result<(), TooLarge> {
    let Some(notification) = &push.notification else { return Ok(()) };
    let wordings = || (0..=u8::MAX).take(notification.translations.len() + 1).map(Wording);
    for &channel in Channel::ALL.iter().filter(|channel| push.devices.may_have(**channel)) {
        for wording in wordings() {
            if let Some(Err(Unfit::TooLarge(fault))) = by_vendor(channel, &app.channels, push, wording) {
                return Err(fault);
            }
        }
    }
    Ok(())
}

/// What a vendor's own rules say of it; `None` if there are no rules, or no credentials.
fn by_vendor(channel: Channel, vendors: &Channels, push: &Push, wording: Wording) -> Option<Result<(), Unfit>> {
    match channel {
        Channel::Ws | Channel::Meizu => None,
        Channel::Apns => vendors.apns.as_ref().map(|_| apns::check(push, wording)),
        Channel::Fcm => vendors.fcm.as_ref().map(|_| fcm::check(push, wording)),
        Channel::Huawei => vendors.huawei.as_ref().map(|own| huawei::check(push, wording, own)),
        Channel::Honor => vendors.honor.as_ref().map(|own| honor::check(push, wording, own)),
        Channel::Harmony => vendors.harmony.as_ref().map(|own| harmony::check(push, wording, own)),
        Channel::Xiaomi => vendors.xiaomi.as_ref().map(|own| xiaomi::check(push, wording, own)),
        Channel::Oppo => vendors.oppo.as_ref().map(|own| oppo::check(push, wording, own)),
        Channel::Vivo => vendors.vivo.as_ref().map(|own| vivo::check(push, wording, own)),
        Channel::Webpush => vendors.webpush.as_ref().map(|_| webpush::check(push, wording)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::channel::testkit::{a_push, any_notification};
    use crate::domain::notification::Translation;
    use crate::domain::{DeviceFilter, Notification, Platform};

    /// An app with credentials of these vendors.
    fn an_app(channels: &[Channel]) -> App {
        let all = json!({
            "apns": {"team_id": "t", "key_id": "k", "private_key": "p", "topic": "com.example.app"},
            "fcm": {"service_account": {"project_id": "p", "client_email": "c", "private_key": "p"}},
            "huawei": {"app_id": "1", "client_secret": "s", "badge_class": "com.example.app.MainActivity"},
            "honor": {"app_id": "1", "client_id": "c", "client_secret": "s", "badge_class": "com.example.app.MainActivity"},
            "harmony": {"project_id": "1", "key_id": "k", "sub_account": "a", "private_key": "p"},
            "xiaomi": {"app_secret": "s", "package": "com.example.app"},
            "oppo": {"app_key": "k", "master_secret": "s"},
            "vivo": {"app_id": "1", "app_key": "k", "app_secret": "s"},
            "meizu": {"app_id": "1", "app_secret": "s"},
            "webpush": {"subject": "mailto:a@example.com", "private_key": "p"},
        });
        let chosen = channels.iter().map(|channel| (channel.name().to_owned(), all[channel.name()].clone()));
        serde_json::from_value(json!({"id": "1400000000", "channels": Value::Object(chosen.collect())})).unwrap()
    }

    fn vendors() -> Vec<Channel> {
        Channel::ALL.iter().copied().filter(|channel| *channel != Channel::Ws).collect()
    }

    /// A push with so many letters of data.
    fn with_data(letters: usize) -> Push {
        let mut push = a_push();
        push.notification.as_mut().unwrap().ext = Some("x".repeat(letters));
        push
    }

    #[test]
    fn each_vendor_takes_what_is_at_its_limit_and_not_one_more() {
        for (channel, measured, limit) in [
            (Channel::Apns, Measured::Message, 4_096),
            (Channel::Fcm, Measured::Message, 4_096),
            (Channel::Huawei, Measured::Message, 4_096),
            (Channel::Honor, Measured::Message, 4_096),
            (Channel::Harmony, Measured::Message, 4_096),
            (Channel::Xiaomi, Measured::Data, 4_095),
            (Channel::Oppo, Measured::DataCharacters, 4_000),
            (Channel::Vivo, Measured::DataCharacters, 1_024),
            (Channel::Webpush, Measured::Message, 4_096),
        ] {
            let app = an_app(&[channel]);
            let far = check(&app, &with_data(5_000)).unwrap_err();
            let room = 5_000 - (far.size - limit);
            assert_eq!(check(&app, &with_data(room)), Ok(()), "{channel}");
            let fault = TooLarge { channel, measured, size: limit + 1, limit };
            assert_eq!(check(&app, &with_data(room + 1)), Err(fault));
        }
    }

    #[test]
    fn who_is_not_sent_to_or_has_no_limit_does_not_mind() {
        let push = with_data(50_000);
        assert_eq!(check(&an_app(&[]), &push), Ok(()));
        assert_eq!(check(&an_app(&[Channel::Meizu]), &push), Ok(()));
        for channel in vendors().into_iter().filter(|channel| *channel != Channel::Meizu) {
            assert!(check(&an_app(&[channel]), &push).is_err(), "{channel}");
        }
        let silent = Push { notification: None, ..push };
        assert_eq!(check(&an_app(&vendors()), &silent), Ok(()));
    }

    #[test]
    fn only_the_vendors_of_the_platforms_that_are_meant_are_looked_at() {
        let app = an_app(&vendors());
        let first = |platforms: &[Platform], package: Option<&str>| {
            let devices =
                DeviceFilter { platforms: platforms.iter().copied().collect(), package: package.map(str::to_owned) };
            check(&app, &Push { devices, ..with_data(2_500) }).map_err(|fault| fault.channel)
        };
        assert_eq!(first(&[], None), Err(Channel::Vivo));
        assert_eq!(first(&[Platform::Android, Platform::Ios], Some("com.example.another")), Err(Channel::Vivo));
        assert_eq!(first(&[Platform::Ios, Platform::Harmony, Platform::Web], None), Ok(()));
    }

    #[test]
    fn each_language_is_looked_at() {
        let app = an_app(&[Channel::Apns]);
        let mut push = a_push();
        let translations = &mut push.notification.as_mut().unwrap().translations;
        translations.extend(["de", "fr"].map(|language| Translation {
            language: language.to_owned(),
            title: None,
            text: Some("x".to_owned()),
        }));
        assert_eq!(check(&app, &push), Ok(()));
        push.notification.as_mut().unwrap().translations[1].text = Some("x".repeat(4_000));
        assert_eq!(check(&app, &push).unwrap_err().channel, Channel::Apns);
    }

    #[test]
    fn what_can_be_cut_is_measured_as_short_as_it_can_be() {
        let mut push = a_push();
        let notification = push.notification.as_mut().unwrap();
        (notification.text, notification.ext) = ("x".repeat(3_000), Some("\"".repeat(1_000)));
        let fault = check(&an_app(&[Channel::Huawei]), &push).unwrap_err();
        let notification = push.notification.as_mut().unwrap();
        notification.text = "x".repeat(64);
        assert_eq!(check(&an_app(&[Channel::Huawei]), &push), Err(fault));
        assert_eq!(
            fault.to_string(),
            format!("too long for huawei: {} bytes, with all that surrounds it, and 4096 are the most", fault.size)
        );
    }

    /// Notifications that mostly can be made fitting: of any member that can be long, most have none.
    fn any_fitting() -> impl Strategy<Value = Notification> {
        let is_kept = proptest::collection::vec(proptest::bool::weighted(0.15), 20);
        let sparse = (any_notification(), is_kept).prop_map(|(mut it, is_kept)| {
            let members = [
                &mut it.title,
                &mut it.ext,
                &mut it.ios.title,
                &mut it.ios.subtitle,
                &mut it.ios.text,
                &mut it.ios.sound,
                &mut it.ios.image,
                &mut it.ios.thread_id,
                &mut it.ios.category,
                &mut it.android.title,
                &mut it.android.text,
                &mut it.android.sound,
                &mut it.android.fcm.notification_channel,
                &mut it.android.fcm.image,
                &mut it.android.fcm.collapse_key,
                &mut it.harmony.title,
                &mut it.harmony.text,
                &mut it.harmony.category,
            ];
            for (member, _) in members.into_iter().zip(&is_kept).filter(|(_, is_kept)| !**is_kept) {
                *member = None;
            }
            if !is_kept[18] {
                it.ios.extras.clear();
            }
            if !is_kept[19] {
                it.android.extras.clear();
            }
            it
        });
        sparse.prop_filter_map("too long", |notification| notification.fitting().ok())
    }

    proptest! {
        /// What a dialect has made fitting can only be too much where a vendor has a smaller limit of its own, or wants data
        /// as a text of JSON in JSON.
        #[test]
        fn what_fits_is_taken_by_most_vendors(notification in any_fitting()) {
            let push = Push { notification: Some(notification), ..a_push() };
            let others = [Channel::Huawei, Channel::Honor, Channel::Vivo];
            let most: Vec<Channel> = vendors().into_iter().filter(|channel| !others.contains(channel)).collect();
            prop_assert_eq!(check(&an_app(&most), &push), Ok(()));
        }
    }
}
