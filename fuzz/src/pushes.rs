//! What holds of every push that was read: whom it is for, what vendors are to show, and that it comes out of the store
//! as it went in.

use fanfare::dialect::tencent::{Call, Error, PushRequest, Recipients, push, task_id};
use fanfare::domain::{
    Audience, Channel, Message, Notification, Ordinal, Push, PushId, Seq, Timestamp, Wording, limits,
};
use serde_json::{Value, json};

use crate::{ADMIN, Answer, SDK_APP_ID, app, every_second, has_fraction, is_each_once, names};

/// Of the 23rd of June 2025.
pub(crate) const ID: u128 = 0x0197_9a5f_4c00_7000_8000_0000_0000_0001;

/// What `push-intake` does with a call, but for the store.
pub(crate) fn asked(call: Call, body: &[u8]) -> Result<Answer, Error> {
    let wanted = PushRequest::parse(call, body, &app())?;
    check_content(call, &wanted);
    let (audience, refused) = match &wanted.recipients {
        Recipients::Everyone => (Audience::Everyone, Vec::new()),
        Recipients::Matching(criteria) => (criteria.audience(&names())?, Vec::new()),
        Recipients::Named(accounts) => {
            assert!(accounts.ids.len() <= limits::TARGETS_PER_REQUEST && is_each_once(&accounts.ids));
            let users = every_second(&accounts.ids);
            let named = (0..).take(users.len()).map(Ordinal).collect();
            (Audience::Users(named), accounts.refusals(&users))
        }
    };
    assert_eq!(matches!(audience, Audience::Users(_)), call == Call::Batch);
    if let Audience::Matching(condition) = &audience {
        // Three lists of ten tags, or two of ten attributes of one value each.
        let most = if call == Call::Push { 30 } else { 20 };
        assert!((1..=most).contains(&condition.terms().len()), "{condition:?}");
    }
    if audience == Audience::Users(Vec::new()) {
        return Ok(Answer::new((&wanted, audience), push::for_no_one(&refused)));
    }
    let id = PushId::from_u128(ID);
    let task_id = task_id::task_id(call, SDK_APP_ID, id, wanted.random);
    assert_eq!(task_id::push_id_of(&task_id), Some((SDK_APP_ID, id)), "{task_id}");
    check_stored(&wanted, id, audience.clone(), &task_id);
    Ok(Answer::new((&wanted, audience), push::accepted(&task_id, &refused)))
}

fn check_content(call: Call, wanted: &PushRequest) {
    let content = &wanted.content;
    assert!(content.lifetime_secs <= limits::LIFETIME_SECS);
    assert!(wanted.data_id.as_ref().is_none_or(|word| (1..=limits::DATA_ID_BYTES).contains(&word.len())));
    // There is a body, or else something that is shown without one.
    assert_eq!(content.body == json!([]), content.shown.is_some());
    assert!(!(content.kept && (content.shown.is_some() || content.lifetime_secs == 0)), "{content:?}");
    match (call, &content.shown) {
        (Call::ImPush, shown) => {
            assert!(shown.is_none() && wanted.data_id.is_none());
            assert!(content.notification.is_none() || content.lifetime_secs > 0, "shown to who is not online");
        }
        (Call::Batch, shown) => assert!(shown.is_some()),
        _ => {}
    }
    if let (Some(shown), Some(notification)) = (&content.shown, &content.notification) {
        assert_eq!(shown, notification);
    }
    for notification in content.shown.iter().chain(&content.notification) {
        check_notification(notification);
    }
}

/// It is for someone, and on every platform and in every language it is as short as vendors want it.
pub(crate) fn check_notification(notification: &Notification) {
    let wordings = 0..=u8::try_from(notification.translations.len()).expect("few languages");
    let ways =
        || wordings.clone().flat_map(|number| Channel::ALL.iter().map(move |channel| (*channel, Wording(number))));
    assert!(ways().any(|(channel, wording)| notification.is_for(channel, wording)), "for no one: {notification:?}");
    let json = serde_json::to_value(notification).expect("a notification is JSON");
    for (channel, wording) in ways() {
        let Some(shown) = notification.shown(channel, wording) else { continue };
        let words = written(shown.title.unwrap_or_default()) + written(shown.text);
        let bytes = words + notification.ext.as_deref().map_or(0, written) + settings(channel, &json);
        assert!(bytes <= limits::NOTIFICATION_BYTES, "{bytes} bytes for {channel} {wording:?}: {notification:?}");
    }
    assert_eq!(notification.clone().fitting().as_ref(), Ok(notification), "it is shortened again");
}

/// Bytes of what goes to a vendor beside title, text and data: addresses and names.
fn settings(channel: Channel, notification: &Value) -> usize {
    let all = |part: &Value, names: &[&str]| -> usize {
        names.iter().filter_map(|name| part[name].as_str()).map(written).sum()
    };
    let android = &notification["android"];
    let vendor = match channel {
        Channel::Apns => return all(&notification["ios"], &["subtitle", "sound", "image"]),
        Channel::Harmony => {
            let harmony = &notification["harmony"];
            return all(harmony, &["category", "image"]) + all(&harmony["sound"], &["file"]);
        }
        Channel::Ws | Channel::Webpush => return 0,
        Channel::Fcm => all(&android["fcm"], &["notification_channel", "image"]),
        Channel::Huawei => all(&android["huawei"], &["notification_channel", "category", "image"]),
        Channel::Honor => all(&android["honor"], &["image"]),
        Channel::Xiaomi => all(&android["xiaomi"], &["notification_channel"]),
        Channel::Oppo => all(&android["oppo"], &["notification_channel", "category"]),
        Channel::Vivo => all(&android["vivo"], &["category"]),
        Channel::Meizu => 0,
    };
    all(android, &["sound"]) + vendor
}

/// Bytes of a text in JSON, between its quotes.
fn written(text: &str) -> usize {
    serde_json::to_string(text).expect("a text is JSON").len() - 2
}

/// What is stored is read again, and the same. With fractions it need not be: see [`has_fraction`].
fn check_stored(wanted: &PushRequest, id: PushId, audience: Audience, task_id: &str) {
    let content = wanted.content.clone();
    let sender = wanted.sender.as_ref().map_or(ADMIN, |sender| sender.as_str()).to_owned();
    let message =
        Message { sender, body: content.body, notification: content.shown, kept: content.kept, recallable: false };
    let push = Push {
        id,
        app: app().id,
        seq: Some(Seq(1)),
        accepted_at: Timestamp::from_secs(1_600_000_000),
        audience,
        devices: fanfare::domain::DeviceFilter::default(),
        population: 100,
        message: Some(message),
        notification: content.notification,
        lifetime_secs: content.lifetime_secs,
        task_id: task_id.to_owned(),
        revokes: None,
        data_id: wanted.data_id.clone(),
    };
    let json = serde_json::to_value(&push).expect("a push is JSON");
    let read: Push = serde_json::from_str(&json.to_string()).expect("stored, and not read again");
    assert!(has_fraction(&json) || read == push, "stored otherwise than asked: {push:?}");
}
