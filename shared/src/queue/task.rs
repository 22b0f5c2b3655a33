//! What queue messages say. Each is tagged with its kind and version: messages outlive deployments.

use serde::{Deserialize, Serialize};

use crate::domain::{Channel, DeviceToken, PushId, Shard, Timestamp, Wording};

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

/// Where a shard task goes on that could not send everything within the longest delay of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The channel that is not done.
    pub channel: Channel,
    /// Its first slice that is not sent.
    pub slice: usize,
    /// What is reserved for the slices from there on.
    pub window: Window,
    /// For how many slices it is reserved.
    pub slices: usize,
}

/// A stretch of time reserved on a channel, in which a batch's requests go evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When the first may go.
    pub start: Timestamp,
    /// When the first of the next batch may go.
    pub end: Timestamp,
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
    /// Which try it is, from 0.
    pub attempt: u8,
    /// When it may go; `None` if that is still to be reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Places of users who have it on another connection already, from an attempt before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<u16>,
    /// The packages that its devices name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Where to send.
    pub to: Vec<Destination>,
}

/// One device or connection: the user's place in the shard, the token, which of the packages, and in which of the
/// notification's wordings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination(pub u16, pub DeviceToken, pub Option<u8>, pub Wording);

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of the version before are in the queues when the next one is deployed.
    #[test]
    fn the_wire_format_stays() {
        let push = PushId::from_u128(62);
        let spread = FanOutTask::Spread { push };
        assert_eq!(serde_json::to_string(&spread).unwrap(), r#"{"task":"spread.v1","push":"0000000000000000000010"}"#);

        let window = Window { start: Timestamp::from_millis(1), end: Timestamp::from_millis(2) };
        let resume = Some(Resume { channel: Channel::Apns, slice: 3, window, slices: 10 });
        let shard = FanOutTask::Shard { push, shard: Shard(1), resume };
        assert_eq!(
            serde_json::to_string(&shard).unwrap(),
            r#"{"task":"shard.v1","push":"0000000000000000000010","shard":1,"resume":{"channel":"apns","slice":3,"window":{"start":1,"end":2},"slices":10}}"#
        );

        let deliver = DeliverTask {
            push,
            shard: Shard(1),
            channel: Channel::Fcm,
            slice: "7".to_owned(),
            attempt: 0,
            window: Some(window),
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
            r#"{"task":"deliver.v1","push":"0000000000000000000010","shard":1,"channel":"fcm","slice":"7","attempt":0,"window":{"start":1,"end":2},"packages":["com.example"],"to":[[9,"t",0,2],[10,"u",null,0]]}"#
        );
        assert_eq!(serde_json::from_str::<DeliverTask>(&text).unwrap(), deliver);
    }
}
