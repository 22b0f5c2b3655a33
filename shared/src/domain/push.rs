//! One accepted request.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{AppId, Audience, Channel, DeviceFilter, Notification, PushId, Seq, Shard, Timestamp, limits};

/// What an app shows in a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Whom the receivers see as its sender.
    pub sender: String,
    /// The elements, as the caller's dialect has them. Clients of that dialect know how to show them.
    pub body: serde_json::Value,
    /// What the app shows by itself, where the body is empty: the same as its vendor would, whether or not anything goes to
    /// vendors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<Notification>,
    /// Whether it is kept, until its lifetime ends, for those who are offline.
    pub kept: bool,
    /// Whether its sender may withdraw it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recallable: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// One accepted request: what is said, to whom, and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// Its id.
    pub id: PushId,
    /// Whose it is.
    pub app: AppId,
    /// Its number in the app. A push that is not kept needs none: nobody asks for it later.
    pub seq: Option<Seq>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Whom it is for.
    pub audience: Audience,
    /// Which of their devices it is for.
    #[serde(default, skip_serializing_if = "DeviceFilter::is_open")]
    pub devices: DeviceFilter,
    /// How many users the app had when it was accepted: later ones are not meant.
    pub population: u32,
    /// What connected apps are sent. `None`: it is a notification and nothing else, shown on every device, connected
    /// or not.
    pub message: Option<Message>,
    /// What goes to the vendors for those who are not connected; `None` when the caller wants nothing sent there.
    pub notification: Option<Notification>,
    /// How long any of it may be sent, in seconds. 0: it is for those who are online now.
    pub lifetime_secs: u32,
    /// The id under which the caller knows it.
    pub task_id: String,
    /// The push that it withdraws, if that is what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revokes: Option<PushId>,
    /// The caller's own word for it, which comes back with what is reported of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_id: Option<String>,
}

impl Push {
    /// The shards in which it may be for someone, in order.
    pub fn shards(&self) -> Vec<Shard> {
        match &self.audience {
            // Of what is kept every shard is resolved, also to no one: a device that asks later is told so at once.
            Audience::Users(named) if self.kept().is_none() => {
                named.iter().map(|user| user.shard()).collect::<BTreeSet<_>>().into_iter().collect()
            }
            _ => Shard::of_population(self.population).collect(),
        }
    }

    /// When its lifetime ends, or `None` if it is for online users only.
    pub fn expires_at(&self) -> Option<Timestamp> {
        (self.lifetime_secs > 0).then(|| self.accepted_at.plus_secs(i64::from(self.lifetime_secs)))
    }

    /// The number and the end of a push that is kept for those who are offline.
    pub fn kept(&self) -> Option<(Seq, Timestamp)> {
        self.message.as_ref().filter(|message| message.kept)?;
        Some((self.seq?, self.expires_at()?))
    }

    /// The moment after which nothing of it goes to a vendor any more.
    pub fn deadline(&self) -> Timestamp {
        self.expires_at().unwrap_or_else(|| self.under_way_until())
    }

    /// Whether any of it may still be sent.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.is_alive_on(Channel::Ws, now)
    }

    /// Whether it may still be sent through a channel.
    ///
    /// A lifetime says how long a push waits for those who are offline. Who is online is not to fare worse for it, be it
    /// shorter than the queues are long, or than it takes to start again what a dead process had begun.
    pub fn is_alive_on(&self, channel: Channel, now: Timestamp) -> bool {
        now < match channel {
            Channel::Ws => self.deadline().max(self.under_way_until()),
            _ => self.deadline(),
        }
    }

    fn under_way_until(&self) -> Timestamp {
        self.accepted_at.plus_secs(limits::ONLINE_ONLY_SECS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ordinal;
    use super::*;

    fn a_push(audience: Audience, kept: bool) -> Push {
        Push {
            id: PushId::from_u128(1),
            app: AppId::try_from("app").unwrap(),
            seq: Some(Seq(1)),
            accepted_at: Timestamp::from_secs(1_700_000_000),
            audience,
            devices: DeviceFilter::default(),
            population: 4 * Shard::SIZE,
            message: Some(Message {
                sender: "a".to_owned(),
                body: serde_json::json!([]),
                notification: None,
                kept,
                recallable: false,
            }),
            notification: None,
            lifetime_secs: 60,
            task_id: "task".to_owned(),
            revokes: None,
            data_id: None,
        }
    }

    #[test]
    fn named_users_cost_their_own_shards_and_no_other() {
        let named = || Audience::Users([3 * Shard::SIZE, 7, 9].map(Ordinal).to_vec());
        let all = [Shard(0), Shard(1), Shard(2), Shard(3)];
        assert_eq!(a_push(named(), false).shards(), [Shard(0), Shard(3)]);
        assert_eq!(a_push(named(), true).shards(), all);
        assert_eq!(a_push(Audience::Everyone, false).shards(), all);
    }

    #[test]
    fn a_short_lifetime_binds_vendors_and_not_those_who_are_online() {
        let push = |lifetime_secs| Push { lifetime_secs, ..a_push(Audience::Everyone, true) };
        for (lifetime_secs, channel, alive_secs) in [
            (0, Channel::Ws, 600),
            (0, Channel::Apns, 600),
            (60, Channel::Ws, 600),
            (60, Channel::Apns, 60),
            (3_600, Channel::Ws, 3_600),
            (3_600, Channel::Fcm, 3_600),
        ] {
            let push = push(lifetime_secs);
            let alive = |secs| push.is_alive_on(channel, push.accepted_at.plus_secs(secs));
            assert!(alive(alive_secs - 1) && !alive(alive_secs), "{lifetime_secs} {channel}");
        }
        assert!(push(60).is_alive(push(60).accepted_at.plus_secs(599)));
    }

    #[test]
    fn only_a_numbered_message_that_has_a_lifetime_is_kept() {
        let push = a_push(Audience::Everyone, true);
        assert_eq!(push.kept(), Some((Seq(1), push.accepted_at.plus_secs(60))));
        assert_eq!(Push { seq: None, ..push.clone() }.kept(), None);
        assert_eq!(Push { lifetime_secs: 0, ..push.clone() }.kept(), None);
        assert_eq!(Push { message: None, ..push }.kept(), None);
        assert_eq!(a_push(Audience::Everyone, false).kept(), None);
    }
}
