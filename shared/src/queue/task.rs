//! What queue messages say. Each is tagged with its kind and version: messages outlive deployments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{
    AppId, Channel, DeviceToken, OutcomeClass, PushId, Shard, Slot, StateChange, Timestamp, UserId, Wording,
};

/// Work of `fan-out`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task")]
pub enum FanOutTask {
    /// Turn a push into tasks for its shards.
    #[serde(rename = "spread.v1")]
    Spread {
        /// The push.
        push: PushId,
    },
    /// Turn one shard of a push into batches.
    #[serde(rename = "shard.v1")]
    Shard {
        /// The push.
        push: PushId,
        /// The shard.
        shard: Shard,
        /// Where to go on, if part of it was done before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<Resume>,
    },
    /// Address users again whose connections were found gone.
    #[serde(rename = "readdress.v1")]
    Readdress {
        /// The push.
        push: PushId,
        /// The shard.
        shard: Shard,
        /// The slice they were in.
        slice: String,
        /// The try at which the connections were found gone.
        attempt: u8,
        /// Their places in the shard.
        places: Vec<u16>,
    },
}

/// Where a shard task goes on that could not send everything within the longest delay of a queue, or within its
/// invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The channel that is not done.
    pub channel: Channel,
    /// Its first slice that is not done.
    pub slice: usize,
    /// What is planned for the slices from there on, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Planned>,
}

/// When batches are to come out of their queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// From when until when.
    pub window: Slot,
    /// How many slices.
    pub slices: usize,
}

/// Work of `deliver`: one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename = "deliver.v1")]
pub struct DeliverTask {
    /// The push.
    pub push: PushId,
    /// The shard.
    pub shard: Shard,
    /// The channel.
    pub channel: Channel,
    /// Which part of the shard.
    pub slice: String,
    /// Which part of the slice: its n-th rest that was still to be sent, from 0.
    pub attempt: u8,
    /// How often its devices were tried in vain.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u8,
    /// Whether it was sent before, and the vendor took none of it because something is wrong with the whole channel.
    #[serde(default, skip_serializing_if = "is_false")]
    pub held: bool,
    /// When it may go, if that is further off than a queue can delay it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Places of users who have it on another connection already, from an attempt before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<u16>,
    /// The packages that its devices name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Where to send.
    pub to: Vec<Destination>,
}

impl DeliverTask {
    /// Of each device what vendors want to be the same throughout a request: its package, and its wording.
    pub fn kinds(&self) -> impl Iterator<Item = (Option<u8>, Wording)> {
        self.to.iter().map(|Destination(_, _, package, wording)| (*package, *wording))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(tries: &u8) -> bool {
    *tries == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(held: &bool) -> bool {
    !*held
}

/// One device or connection: the user's place in the shard, the token, which of the packages, and in which of the
/// notification's wordings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination(pub u16, pub DeviceToken, pub Option<u8>, pub Wording);

/// Work of `webhook`: one call to an app's own server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename = "webhook.v1")]
pub struct WebhookTask {
    /// Whose server is called.
    pub app: AppId,
    /// What it hears.
    pub news: News,
    /// How many calls have failed.
    #[serde(default)]
    pub attempt: u8,
    /// When it may go; `None` if that is still to be reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Slot>,
}

/// What an app's own server hears of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// Devices of one shard were sent a push, or refused it for good.
    Sent {
        /// The push.
        push: PushId,
        /// The shard.
        shard: Shard,
        /// The channel.
        channel: Channel,
        /// When.
        at: Timestamp,
        /// What came of them: the places of their users in the shard, a place once a device.
        ended: BTreeMap<OutcomeClass, Vec<u16>>,
    },
    /// A user's device has acknowledged pushes.
    Reached {
        /// The user.
        user: UserId,
        /// Which pushes.
        pushes: Vec<PushId>,
        /// When.
        at: Timestamp,
    },
    /// A user came online, or went.
    State(StateChange),
}

impl News {
    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Sent { at, .. } | Self::Reached { at, .. } => *at,
            Self::State(change) => change.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{Platform, SocketChange};

    use super::*;

    /// Messages of the version before are in the queues when the next one is deployed.
    #[test]
    fn the_wire_format_stays() {
        let push = PushId::from_u128(62);
        let spread = FanOutTask::Spread { push };
        assert_eq!(serde_json::to_string(&spread).unwrap(), r#"{"task":"spread.v1","push":"0000000000000000000010"}"#);

        let window = Slot { start: Timestamp::from_millis(1), end: Timestamp::from_millis(2) };
        for (planned, text) in [
            (
                Some(Planned { window, slices: 10 }),
                r#"{"channel":"apns","slice":3,"planned":{"window":{"start":1,"end":2},"slices":10}}"#,
            ),
            (None, r#"{"channel":"apns","slice":3}"#),
        ] {
            let resume = Some(Resume { channel: Channel::Apns, slice: 3, planned });
            let shard = FanOutTask::Shard { push, shard: Shard(1), resume };
            let expected =
                format!(r#"{{"task":"shard.v1","push":"0000000000000000000010","shard":1,"resume":{text}}}"#);
            assert_eq!(serde_json::to_string(&shard).unwrap(), expected);
            assert_eq!(serde_json::from_str::<FanOutTask>(&expected).unwrap(), shard);
        }

        let deliver = DeliverTask {
            push,
            shard: Shard(1),
            channel: Channel::Fcm,
            slice: "7".to_owned(),
            attempt: 0,
            tries: 0,
            held: false,
            not_before: None,
            reached: vec![],
            packages: vec!["com.example".to_owned()],
            to: vec![
                Destination(9, DeviceToken::new("t"), Some(0), Wording(2)),
                Destination(10, DeviceToken::new("u"), None, Wording::default()),
            ],
        };
        let text = serde_json::to_string(&deliver).unwrap();
        assert_eq!(
            text,
            r#"{"task":"deliver.v1","push":"0000000000000000000010","shard":1,"channel":"fcm","slice":"7","attempt":0,"packages":["com.example"],"to":[[9,"t",0,2],[10,"u",null,0]]}"#
        );
        assert_eq!(serde_json::from_str::<DeliverTask>(&text).unwrap(), deliver);
        let text = serde_json::to_string(&DeliverTask {
            tries: 2,
            held: true,
            not_before: Some(Timestamp::from_millis(7)),
            to: vec![],
            ..deliver
        })
        .unwrap();
        assert_eq!(
            text,
            r#"{"task":"deliver.v1","push":"0000000000000000000010","shard":1,"channel":"fcm","slice":"7","attempt":0,"tries":2,"held":true,"not_before":7,"packages":["com.example"],"to":[]}"#
        );
    }

    #[test]
    fn the_wire_format_of_webhooks_stays() {
        let (push, at) = (PushId::from_u128(62), Timestamp::from_millis(7));
        let user = UserId::try_from("anne").unwrap();
        let ended = BTreeMap::from([(OutcomeClass::Delivered, vec![1, 1, 4]), (OutcomeClass::Permanent, vec![9])]);
        let came = StateChange {
            user: user.clone(),
            change: SocketChange::Connected,
            at,
            platform: Some(Platform::Ios),
            ip: Some([192, 0, 2, 1].into()),
        };
        let gone = StateChange { change: SocketChange::TimedOut, platform: None, ip: None, ..came.clone() };
        for (news, text) in [
            (
                News::Sent { push, shard: Shard(1), channel: Channel::Apns, at, ended },
                r#"{"sent":{"push":"0000000000000000000010","shard":1,"channel":"apns","at":7,"ended":{"delivered":[1,1,4],"permanent":[9]}}}"#,
            ),
            (
                News::Reached { user, pushes: vec![push], at },
                r#"{"reached":{"user":"anne","pushes":["0000000000000000000010"],"at":7}}"#,
            ),
            (
                News::State(came),
                r#"{"state":{"user":"anne","change":"connected","at":7,"platform":"ios","ip":"192.0.2.1"}}"#,
            ),
            (News::State(gone), r#"{"state":{"user":"anne","change":"timed_out","at":7}}"#),
        ] {
            let task = WebhookTask { app: AppId::try_from("app").unwrap(), news, attempt: 0, window: None };
            let expected = format!(r#"{{"task":"webhook.v1","app":"app","news":{text},"attempt":0}}"#);
            assert_eq!(serde_json::to_string(&task).unwrap(), expected);
            assert_eq!(serde_json::from_str::<WebhookTask>(&expected).unwrap(), task);
            assert_eq!(task.news.at(), at);
        }
    }
}
