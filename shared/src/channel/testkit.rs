//! What the tests of the channels share: a push, its targets, credentials, a clock that moves, and a vendor who does as
//! told.

mod connections;
mod odd;
mod plain;
mod raw;
mod vendor;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use p256::ecdsa::SigningKey;
use p256::pkcs8::EncodePrivateKey;
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::domain::notification::{Badge, InterruptionLevel, Translation, Wake};
use crate::domain::{
    ApnsCredentials, App, AppId, Audience, DeviceToken, Message, Notification, Push, PushId, Seq, Timestamp, Wording,
};
use crate::runtime::Clock;

use super::access::{AccessTokens, tests::Memory};
use super::{RateUnit, Senders, Shared, Target, Turns, rest};
pub(crate) use connections::{Api, client_for};
pub(crate) use odd::{any_answer, assert_sound, odd_targets};
pub(crate) use plain::{Plain, PlainPeer};
pub(crate) use raw::RawVendor;
pub(crate) use vendor::{Asked, Reply, Vendor};

/// A push with everything in it, accepted in 2023.
pub(super) fn a_push() -> Push {
    Push {
        id: PushId::from_u128(69),
        app: AppId::try_from("1400000000").unwrap(),
        seq: Some(Seq(12)),
        accepted_at: Timestamp::from_secs(1_700_000_000),
        audience: Audience::Everyone,
        devices: crate::domain::DeviceFilter::default(),
        population: 1,
        message: Some(Message {
            sender: "admin".to_owned(),
            body: json!([{ "MsgType": "TIMTextElem", "MsgContent": { "Text": "hi" } }]),
            notification: None,
            kept: true,
            recallable: false,
        }),
        notification: Some(Notification {
            title: Some("Hello".to_owned()),
            text: "You are invited".to_owned(),
            ext: Some(r#"{"room":7}"#.to_owned()),
            ..Notification::default()
        }),
        lifetime_secs: 120,
        task_id: "task-1".to_owned(),
        revokes: None,
        data_id: None,
    }
}

/// The same with all that a notification can have for Apple and Google, and two languages.
pub(super) fn a_rich_push() -> Push {
    let notification = json!({
        "title": "Hello", "text": "You are invited", "ext": r#"{"room":7}"#,
        "translations": [{"language": "zh", "title": "你好", "text": "你被邀请了"}, {"language": "de", "text": "Eingeladen"}],
        "ios": {"title": "Apple's", "subtitle": "Tonight", "sound": "bell.caf", "badge": {"set": 3},
            "image": "https://example.com/1.png", "wake": "and_show", "interruption_level": "time-sensitive",
            "thread_id": "thread", "category": "INVITATION", "collapse_id": "invitation", "extras": {"n": [1], "aps": 1}},
        "android": {"title": "Google's", "sound": "bell.mp3", "badge": {"add": 2}, "extras": {"n": [1], "s": "x"},
            "fcm": {"notification_channel": "events", "image": "https://example.com/2.png", "priority": "normal",
                "collapse_key": "invitation"},
            "xiaomi": {"notification_channel": "mi", "large_icon": "https://example.com/3.png"},
            "meizu": {"kind": "private"}},
    });
    Push { notification: Some(serde_json::from_value(notification).unwrap()), ..a_push() }
}

/// Notifications of any length in every member that Apple or Google is sent, in two languages.
pub(super) fn any_notification() -> impl Strategy<Value = Notification> {
    let text = || {
        let long = (".{0,20}", 0_usize..120).prop_map(|(text, times)| text.repeat(times));
        prop_oneof![Just(None), "[a-z\"\\\\\u{1}é]{0,200}".prop_map(Some), long.prop_map(Some)]
    };
    prop::collection::vec(text(), 22).prop_map(|texts| {
        let mut texts = texts.into_iter();
        let mut next = || texts.next().flatten();
        let mut notification =
            Notification { title: next(), text: next().unwrap_or_default(), ext: next(), ..Notification::default() };
        for language in ["de", "fr"] {
            notification.translations.push(Translation { language: language.to_owned(), title: next(), text: next() });
        }
        let ios = &mut notification.ios;
        (ios.title, ios.subtitle, ios.text, ios.sound) = (next(), next(), next(), next());
        (ios.image, ios.thread_id, ios.category) = (next(), next(), next());
        (ios.badge, ios.wake) = (Some(Badge::Add(99)), Some(Wake::AndShow));
        ios.interruption_level = Some(InterruptionLevel::TimeSensitive);
        ios.extras.extend(next().map(|text| (text, json!({ "a": 1 }))));
        let android = &mut notification.android;
        (android.title, android.text, android.sound) = (next(), next(), next());
        android.badge = Some(Badge::Set(9_999));
        android.extras.extend(next().map(|text| (text.clone(), json!([text]))));
        (android.fcm.notification_channel, android.fcm.image, android.fcm.collapse_key) = (next(), next(), next());
        notification
    })
}

/// The plain push, accepted just now and kept for a week.
pub(super) fn a_live_push(clock: &Clock) -> Push {
    let mut push = a_push();
    push.accepted_at = clock.now();
    push.lifetime_secs = 604_800;
    push
}

/// So many targets, whose tokens are their numbers.
pub(super) fn targets(count: usize) -> Vec<Target> {
    (0..count).map(|n| target(&n.to_string())).collect()
}

/// One target with a token.
pub(crate) fn target(token: &str) -> Target {
    Target { token: DeviceToken::new(token), package: None, wording: Wording::default() }
}

/// Turns of which nobody gets any. The first who asks for one waits until what is then received is dropped.
pub(super) fn no_turns() -> (Turns, oneshot::Receiver<oneshot::Sender<()>>) {
    let (tell, asked) = oneshot::channel();
    let refuse = async {
        let (waits, dropped) = oneshot::channel();
        let _ = tell.send(waits);
        let _ = dropped.await;
        None
    };
    (Turns::new(refuse, RateUnit::Requests, 1_000), asked)
}

/// An app that can reach nobody yet.
pub(super) fn an_app() -> App {
    serde_json::from_value(json!({ "id": "1400000000" })).unwrap()
}

/// Bytes as JSON.
pub(crate) fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// What senders to vendors of many tokens a request have in common, trusting one vendor.
pub(super) fn shared(vendor: &Vendor, clock: &Clock) -> Shared {
    Shared {
        http: rest::Client::new(vendor.roots(), clock.clone()).unwrap(),
        tokens: AccessTokens::new(Arc::new(Memory::default()), clock.clone()),
    }
}

/// Senders to every channel, who trust one vendor and post to the connections of one API.
pub(crate) fn senders(vendor: &Vendor, api: &Api, clock: &Clock) -> Senders {
    let vault = Arc::new(Memory::default());
    Senders::trusting(vendor.roots(), clock.clone(), Some(api.client.clone()), vault).unwrap()
}

/// The fields of a form, in their order.
pub(crate) fn form(body: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// A key and ids like Apple's, for an endpoint.
pub(super) fn apns_credentials(endpoint: &str) -> ApnsCredentials {
    let key = SigningKey::from_slice(&[7; 32]).unwrap().to_pkcs8_pem(Default::default()).unwrap();
    ApnsCredentials {
        endpoint: endpoint.to_owned(),
        team_id: "FANFARE001".to_owned(),
        key_id: "LOCALKEY01".to_owned(),
        private_key: SecretString::from(key.to_string()),
        topic: "com.example.app".to_owned(),
        rate: None,
    }
}

/// A clock that a test moves.
pub(super) struct MovedClock {
    file: PathBuf,
}

impl MovedClock {
    /// A clock that is right.
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { file: std::env::temp_dir().join(format!("fanfare-channel-clock-{}-{n}", std::process::id())) }
    }

    /// What the code under test looks at.
    pub(super) fn clock(&self) -> Clock {
        Clock::from_lookup(&|_: &str| Some(self.file.display().to_string()))
    }

    /// Sets it so many seconds ahead.
    pub(super) fn set_ahead(&self, secs: i64) {
        std::fs::write(&self.file, secs.to_string()).unwrap();
    }
}

impl Drop for MovedClock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}
