//! The keys of every item. A key is a function of typed inputs, written once.
//!
//! An app id holds no `#`, and numbers are padded, so no two different inputs make the same key,
//! and the order of sort keys is the order of the numbers.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};

use crate::domain::{
    AppId, AppName, Block, Channel, ConnectionId, DeviceId, DeviceToken, Ordinal, Per, PushId, Seq, Shard, Term,
    Timestamp, UserId,
};

use super::Paced;
use super::item::Item;

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The partition key, attribute `pk`.
    pub pk: String,
    /// The sort key, attribute `sk`.
    pub sk: String,
}

impl Key {
    fn new(pk: String, sk: impl Into<String>) -> Self {
        Self { pk, sk: sk.into() }
    }

    /// The key as the item's attributes.
    pub fn item(&self) -> Item {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(self.pk.clone())),
            ("sk".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }

    /// The key of an item that was read.
    pub fn of(item: &Item) -> Option<Self> {
        let text = |name| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        Some(Self { pk: text("pk")?, sk: text("sk")? })
    }
}

// The table of apps.

pub(super) fn app(app: &AppId) -> Key {
    Key::new(format!("app#{app}"), "app")
}

pub(super) fn app_name(name: &AppName) -> Key {
    match name {
        AppName::Id(id) => app(id),
        AppName::SdkAppId(number) => Key::new(format!("sdkappid#{number}"), "app"),
        AppName::AppKey(key) => Key::new(format!("appkey#{key}"), "app"),
    }
}

pub(super) fn access_token(name: &str) -> Key {
    Key::new(format!("token#{name}"), "token")
}

// The table of the audience.

pub(super) fn user(app: &AppId, user: &UserId) -> Key {
    Key::new(format!("{app}#u#{user}"), "u")
}

pub(super) fn standing(app: &AppId, user: &UserId) -> Key {
    Key::new(format!("{app}#s#{user}"), "s")
}

pub(super) fn attempts(app: &AppId, claimed: &str, origin: &str) -> Key {
    // Whoever failed may have claimed any text of any length. An address holds no `#`, so the two are told apart.
    let digest = Sha256::new().chain_update(origin).chain_update(b"#").chain_update(claimed).finalize();
    Key::new(format!("{app}#f#{}", base16ct::lower::encode_string(&digest)), "f")
}

pub(super) fn calls(app: &AppId, command: &str, per: Per, start_secs: i64) -> Key {
    // The time is part of the partition key, so that neither commands nor seconds share a partition. An hour and its
    // first second begin at once: a letter tells them apart.
    let letter = match per {
        Per::Second => 's',
        Per::Minute => 'm',
        Per::Hour => 'h',
        Per::Day => 'd',
    };
    Key::new(format!("{app}#r#{command}#{letter}{:012}", start_secs.max(0)), "r")
}

pub(super) fn contacts(app: &AppId, shard: Shard) -> String {
    format!("{app}#c#{:05}", shard.0)
}

pub(super) fn contact_place(low: u16) -> String {
    format!("{low:05}")
}

pub(super) fn contact(app: &AppId, ordinal: Ordinal) -> Key {
    Key::new(contacts(app, ordinal.shard()), contact_place(ordinal.low()))
}

pub(super) fn members(app: &AppId, term: &Term, shard: Shard) -> String {
    format!("{app}#t#{term}#{:05}", shard.0)
}

pub(super) fn block(app: &AppId, term: &Term, shard: Shard, block: Block) -> Key {
    Key::new(members(app, term, shard), format!("{:03}", block.0))
}

pub(super) fn ordinals(app: &AppId) -> Key {
    Key::new(format!("{app}#n"), "n")
}

pub(super) fn attribute_names(app: &AppId) -> Key {
    Key::new(format!("{app}#a"), "a")
}

pub(super) fn device_token(app: &AppId, channel: Channel, token: &DeviceToken) -> Key {
    // The token can be as long as a browser's subscription, and has no business in a key.
    let digest = Sha256::new().chain_update(channel.name()).chain_update(b"#").chain_update(token.expose()).finalize();
    Key::new(format!("{app}#d#{}", base16ct::lower::encode_string(&digest)), "d")
}

pub(super) fn acks_of(app: &AppId, user: &UserId) -> String {
    format!("{app}#k#{user}")
}

pub(super) fn acks(app: &AppId, user: &UserId, device: &DeviceId) -> Key {
    Key::new(acks_of(app, user), device.as_str())
}

pub(super) fn connection(connection: &ConnectionId) -> Key {
    // `$disconnect` knows the connection and nothing else, not even the app.
    Key::new(format!("x#{connection}"), "x")
}

// The table of pushes.

pub(super) fn push(push: PushId) -> Key {
    Key::new(format!("push#{push}"), "push")
}

pub(super) fn recalled(push: PushId) -> Key {
    Key::new(format!("push#{push}"), "recalled")
}

pub(super) fn snapshot(push: PushId, shard: Shard) -> Key {
    Key::new(format!("push#{push}"), format!("shard#{:05}", shard.0))
}

pub(super) fn cuts(push: PushId, shard: Shard) -> Key {
    Key::new(format!("push#{push}"), format!("cuts#{:05}", shard.0))
}

pub(super) fn ledger(push: PushId, shard: Shard) -> String {
    format!("push#{push}#{:05}", shard.0)
}

pub(super) fn batch(push: PushId, shard: Shard, batch: &str) -> Key {
    Key::new(ledger(push, shard), format!("batch#{batch}"))
}

pub(super) fn readdressed(push: PushId, shard: Shard, batch: &str) -> Key {
    Key::new(ledger(push, shard), format!("readdressed#{batch}"))
}

pub(super) fn offline(app: &AppId) -> String {
    format!("{app}#offline")
}

pub(super) fn offline_place(seq: Seq) -> String {
    format!("{:020}", seq.0)
}

pub(super) fn offline_push(app: &AppId, seq: Seq) -> Key {
    Key::new(offline(app), offline_place(seq))
}

pub(super) fn quota(app: &AppId) -> Key {
    Key::new(format!("{app}#quota"), "quota")
}

pub(super) fn dedup(app: &AppId, key: &str, fingerprint: &str) -> Key {
    // The fingerprint too, so that another request under the same name does not make the first forgotten.
    Key::new(format!("{app}#dedup"), format!("{key}#{fingerprint}"))
}

pub(super) fn pace(scope: Option<&AppId>, paced: Paced) -> Key {
    // `*` is no app id: what all apps share.
    let scope = scope.map_or("*", AppId::as_str);
    Key::new(format!("{scope}#pace"), paced.name())
}

pub(super) fn rest(scope: Option<&AppId>, paced: Paced) -> Key {
    let scope = scope.map_or("*", AppId::as_str);
    Key::new(format!("{scope}#rest"), paced.name())
}

/// Over how many partitions due items are spread.
pub(super) const DUE_PARTITIONS: u8 = 4;

pub(super) fn due(partition: u8) -> String {
    format!("due#{partition}")
}

pub(super) fn due_place(at: Timestamp) -> String {
    format!("{:015}", at.millis().max(0))
}

pub(super) fn due_push(push: PushId, at: Timestamp) -> Key {
    let partition = (push.as_u128() % u128::from(DUE_PARTITIONS)) as u8;
    Key::new(due(partition), format!("{}#{push}", due_place(at)))
}
