//! What one rich push of each contract is on the wire of each channel, byte for byte.
//!
//! The request is read by its dialect and sent by its sender, to vendors who write down what comes. Whatever changes there
//! shows in `snapshots/`: one file for each contract and channel, named after both. Each was read against the vendor's
//! documents. `INSTA_UPDATE=always cargo test -p fanfare wire_tests` writes them anew.

mod recorder;
mod requests;
mod transcript;

use std::collections::BTreeMap;

use crate::domain::{Channel, Push, PushId, Wording};
use recorder::{Recorder, Sent};
use requests::{broadcast, im_push, push_json};

const PLAIN: Wording = Wording(0);
/// The first of the translations.
const TRANSLATED: Wording = Wording(1);

/// The devices of each batch: two in one, where the channel takes several at a time, and one in the other language.
async fn sent_in_both_languages(recorder: &Recorder, channel: Channel, push: &Push) -> String {
    let mut sent = recorder.send(channel, push, PLAIN, recorder::at_most_two(channel)).await;
    // A socket carries the message, which is in no language.
    if channel != Channel::Ws {
        sent.extend(recorder.send(channel, push, TRANSLATED, 1).await);
    }
    transcript::of(&sent)
}

#[tokio::test]
async fn an_im_push_is_the_same_on_every_wire() {
    let recorder = Recorder::start().await;
    for &channel in Channel::ALL {
        let sent = sent_in_both_languages(&recorder, channel, &im_push(&[])).await;
        insta::assert_snapshot!(format!("im_push.{channel}"), sent);
    }
}

#[tokio::test]
async fn a_silent_im_push_wakes_apples_devices_and_no_more() {
    let silent = im_push(&[("ApnsInfo", "ContentAvailable", 1)]);
    let sent = Recorder::start().await.send(Channel::Apns, &silent, PLAIN, 1).await;
    insta::assert_snapshot!("im_push.silent_apns", transcript::of(&sent));
}

#[tokio::test]
async fn a_push_json_is_the_same_on_every_wire() {
    let recorder = Recorder::start().await;
    for &channel in Channel::ALL {
        // A notification goes to no socket: what does is a message.
        let (name, push) = match channel {
            Channel::Ws => ("broadcast", broadcast()),
            _ => ("push_json", push_json()),
        };
        let sent = recorder.send(channel, &push, PLAIN, recorder::at_most_two(channel)).await;
        insta::assert_snapshot!(format!("{name}.{channel}"), transcript::of(&sent));
    }
}

/// Where a request says what it repeats, or what it takes the place of: its last request, as JSON, and the path to it.
/// Headers are under `headers`, forms are objects of their fields.
const IDENTIFIED_BY: [(Channel, &[&str]); 14] = [
    (Channel::Ws, &["/id"]),
    (Channel::Apns, &["/headers/apns-collapse-id"]),
    (Channel::Fcm, &["/message/android/notification/tag"]),
    (Channel::Huawei, &["/message/android/notification/notify_id"]),
    (Channel::Honor, &["/android/notification/notifyId"]),
    (Channel::Harmony, &["/payload/notification/notifyId"]),
    (Channel::Harmony, &["/payload/notification/appMessageId"]),
    (Channel::Xiaomi, &["/notify_id"]),
    (Channel::Xiaomi, &["/extra.jobkey"]),
    (Channel::Oppo, &["/messages", "/0/notification/app_message_id"]),
    (Channel::Vivo, &["/requestId"]),
    (Channel::Meizu, &["/messageJson", "/advanceInfo/notifyKey"]),
    (Channel::Webpush, &["/headers/topic"]),
    (Channel::Webpush, &["/push_id"]),
];

#[tokio::test]
async fn what_identifies_a_push_is_its_own_on_every_channel() {
    let recorder = Recorder::start().await;
    let push = Push { notification: without_ids(push_json()), ..im_push(&[]) };
    let other = Push { id: PushId::from_u128(push.id.as_u128() + 1), ..push.clone() };
    let mut channels = BTreeMap::new();
    for (channel, path) in IDENTIFIED_BY {
        let mut ids = Vec::new();
        for push in [&push, &push, &other] {
            let sent = recorder.send(channel, push, PLAIN, recorder::at_most_two(channel)).await;
            let id = sent.last().and_then(|last| last.at(path)).unwrap_or_else(|| panic!("{channel} has no {path:?}"));
            ids.push(id);
        }
        assert_eq!(ids[0], ids[1], "{channel} {path:?}: a repetition has the same");
        assert_ne!(ids[0], ids[2], "{channel} {path:?}: another push has another");
        channels.insert(channel, ids);
    }
    assert_eq!(channels.len(), Channel::ALL.len());
}

#[tokio::test]
async fn the_callers_ids_go_before_the_pushs_own() {
    let (recorder, push) = (Recorder::start().await, push_json());
    for (channel, path, id) in [
        (Channel::Apns, "/headers/apns-collapse-id", "collapse-apple"),
        (Channel::Fcm, "/message/android/collapse_key", "collapse-google"),
        (Channel::Webpush, "/headers/topic", "collapse-google"),
    ] {
        let sent: Vec<Sent> = recorder.send(channel, &push, PLAIN, 1).await;
        assert_eq!(sent.last().and_then(|last| last.at(&[path])), Some(id.into()), "{channel}");
    }
}

/// The notification of a push, with no id that its caller gave it.
fn without_ids(push: Push) -> Option<crate::domain::Notification> {
    let mut notification = push.notification?;
    notification.ios.collapse_id = None;
    notification.android.fcm.collapse_key = None;
    Some(notification)
}
