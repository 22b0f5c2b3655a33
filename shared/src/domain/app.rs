//! Tenants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};

use super::channels::{Channels, expose};
use super::{AppId, Per, Rate, limits};

/// One tenant: who may call in its name, and how its devices are reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// The tenant.
    pub id: AppId,
    /// How its backend calls through Tencent's contract, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tencent: Option<Tencent>,
    /// How its backend calls through RongCloud's contract, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rongcloud: Option<Rongcloud>,
    /// Its credentials with the vendors.
    #[serde(default)]
    pub channels: Channels,
    /// What it may spend.
    #[serde(default)]
    pub quotas: Quotas,
    /// Where it hears of what happens, if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

impl App {
    /// Whether its server is to hear of such events.
    pub fn wants(&self, event: WebhookEvent) -> bool {
        self.webhook.as_ref().is_some_and(|webhook| webhook.events.contains(&event))
    }

    /// The names under which it is found. No two apps have one in common.
    pub fn names(&self) -> Vec<AppName> {
        let tencent = self.tencent.as_ref().map(|identity| AppName::SdkAppId(identity.sdk_app_id));
        let rongcloud = self.rongcloud.as_ref().map(|identity| AppName::AppKey(identity.app_key.clone()));
        [Some(AppName::Id(self.id.clone())), tencent, rongcloud].into_iter().flatten().collect()
    }

    /// How many days a deleted account may not come back, whoever brings it. 0: it may at once.
    pub fn reimport_after_days(&self) -> u32 {
        self.tencent.as_ref().map_or(0, |identity| identity.reimport_after_days)
    }

    /// How many proofs of identity of one caller may be wrong within a minute, before the caller is not heard for a
    /// minute: of whichever kind they are.
    pub fn wrong_proofs_per_minute(&self) -> u32 {
        self.tencent.as_ref().map_or_else(default_wrong_user_sigs, |identity| identity.wrong_user_sigs_per_minute)
    }
}

/// A name under which an app is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AppName {
    /// Its own.
    Id(AppId),
    /// The number that it has in Tencent's contract.
    SdkAppId(u64),
    /// The one that it has in RongCloud's.
    AppKey(String),
}

impl AppName {
    /// What kind of name it is, as people call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Id(_) => "id",
            Self::SdkAppId(_) => "SDKAppID",
            Self::AppKey(_) => "App-Key",
        }
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::SdkAppId(number) => number.fmt(f),
            Self::AppKey(key) => key.fmt(f),
        }
    }
}

/// The identity of an app in Tencent's contract.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tencent {
    /// The `SDKAppID`.
    pub sdk_app_id: u64,
    /// What UserSigs are signed with.
    #[serde(serialize_with = "expose")]
    pub secret_key: SecretString,
    /// The accounts that may call the server API.
    pub admins: Vec<String>,
    /// Whether pushing to all users is switched on.
    #[serde(default = "yes")]
    pub push_enabled: bool,
    /// Whether `account_delete` is switched on.
    #[serde(default = "yes")]
    pub deletion_enabled: bool,
    /// How many days a deleted account may not come back. 0: it may at once. (Tencent's newer pages say three months,
    /// the older ones nothing.)
    #[serde(default)]
    pub reimport_after_days: u32,
    /// UserSigs of one caller that may be wrong within a minute, before the caller is not heard for a minute.
    #[serde(default = "default_wrong_user_sigs")]
    pub wrong_user_sigs_per_minute: u32,
}

/// The identity of an app in RongCloud's contract.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rongcloud {
    /// The `App-Key`.
    pub app_key: String,
    /// What requests are signed with.
    #[serde(serialize_with = "expose")]
    pub app_secret: SecretString,
    /// How old a signature may be, in seconds. 0: as old as it likes, because the SDKs sign once and send it for days.
    #[serde(default)]
    pub signature_max_age_secs: u32,
    /// How often calls may come, by their path (`/push.json`), where it is not to be as the contract has it.
    #[serde(default)]
    pub rates: BTreeMap<String, CallRates>,
    /// What is switched on.
    #[serde(default = "all_services")]
    pub services: BTreeSet<Service>,
}

/// How often a call may come: at most so many within each whole second, minute, hour and day. `{}`: as often as it likes.
/// 0: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallRates {
    /// Within a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<u32>,
    /// Within a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minute: Option<u32>,
    /// Within an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour: Option<u32>,
    /// Within a day of the app's own, which begins as its quotas say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<u32>,
}

impl CallRates {
    /// One by one, the shortest time first.
    pub fn rates(&self) -> Vec<Rate> {
        let rates =
            [(self.second, Per::Second), (self.minute, Per::Minute), (self.hour, Per::Hour), (self.day, Per::Day)];
        rates.into_iter().filter_map(|(times, per)| Some(Rate { times: times?, per })).collect()
    }
}

/// What can be switched on for an app in RongCloud's contract ("Broadcast and push service configuration").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Notifications and messages to everyone, by tag, by package or to named users.
    Push,
    /// Notifications by an expression over tags ("Push Plus").
    PushPlus,
    /// Messages to everyone.
    Broadcast,
    /// Messages to everyone who is online.
    OnlineBroadcast,
}

/// What an app may spend. The defaults are those of Tencent's contract.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Pushes a day.
    pub pushes_per_day: u32,
    /// A push is refused unless more than this many milliseconds have passed since the one before it.
    pub push_interval_ms: u32,
    /// Where its day begins: minutes east of UTC.
    pub utc_offset_minutes: i32,
    /// How long a repeated request is answered as the first was, in seconds.
    pub dedup_secs: u32,
    /// Longest message, in bytes.
    pub message_bytes: usize,
    /// How long a message is kept for those who are offline where the call does not say, in seconds.
    pub lifetime_secs: u32,
    /// Calls a second, by what follows `/v4/` in their path, where it is not to be as the contract has it.
    pub calls_per_second: BTreeMap<String, u32>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            pushes_per_day: 100,
            push_interval_ms: 1_000,
            utc_offset_minutes: 8 * 60,
            dedup_secs: 300,
            message_bytes: limits::MESSAGE_BYTES,
            lifetime_secs: limits::LIFETIME_SECS,
            calls_per_second: BTreeMap::new(),
        }
    }
}

/// Where an app hears of what happens: its own HTTP server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to: `https://…` or `http://…`.
    pub url: String,
    /// What calls are signed with, so that the server knows them from a stranger's. Without it they are not signed.
    #[serde(default, serialize_with = "expose_some", skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretString>,
    /// What the app wants to hear of.
    #[serde(default = "all_events")]
    pub events: BTreeSet<WebhookEvent>,
    /// Calls a second, over all workers (Tencent, "Callback of all-member push": 1,000).
    #[serde(default = "default_webhook_rate")]
    pub rate: u32,
    /// Whether the server may be in a private network. If not, an address that is not public is not called, because
    /// whoever writes the URL could otherwise reach what only we can.
    #[serde(default)]
    pub allow_private: bool,
}

/// What an app can hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEvent {
    /// A device was sent a push, or its user has it.
    Push,
    /// A user came online, or went.
    State,
}

fn expose_some<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => expose(secret, serializer),
        None => serializer.serialize_none(),
    }
}

fn all_events() -> BTreeSet<WebhookEvent> {
    BTreeSet::from([WebhookEvent::Push, WebhookEvent::State])
}

fn default_webhook_rate() -> u32 {
    1_000
}

fn all_services() -> BTreeSet<Service> {
    BTreeSet::from([Service::Push, Service::PushPlus, Service::Broadcast, Service::OnlineBroadcast])
}

fn default_wrong_user_sigs() -> u32 {
    20
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(document: serde_json::Value) -> App {
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn an_app_is_found_under_its_own_name_and_under_that_of_each_contract() {
        let names = |document| -> Vec<String> {
            app(document).names().iter().map(|name| format!("{} {name}", name.kind())).collect()
        };
        assert_eq!(names(json!({"id": "a"})), ["id a"]);
        let tencent = json!({"sdk_app_id": 7, "secret_key": "k", "admins": []});
        let rongcloud = json!({"app_key": "key", "app_secret": "s"});
        assert_eq!(names(json!({"id": "a", "rongcloud": rongcloud})), ["id a", "App-Key key"]);
        let both = json!({"id": "a", "tencent": tencent, "rongcloud": rongcloud});
        assert_eq!(names(both), ["id a", "SDKAppID 7", "App-Key key"]);
    }

    #[test]
    fn an_app_without_a_contracts_settings_has_their_defaults() {
        let plain = app(json!({"id": "a"}));
        assert_eq!((plain.reimport_after_days(), plain.wrong_proofs_per_minute()), (0, 20));
        let own = json!({"sdk_app_id": 7, "secret_key": "k", "admins": [], "reimport_after_days": 90,
            "wrong_user_sigs_per_minute": 3});
        let own = app(json!({"id": "a", "tencent": own}));
        assert_eq!((own.reimport_after_days(), own.wrong_proofs_per_minute()), (90, 3));
    }

    #[test]
    fn rates_are_read_one_by_one() {
        let rates = |document| -> Vec<(u32, Per)> {
            let rates: CallRates = serde_json::from_value(document).unwrap();
            rates.rates().into_iter().map(|rate| (rate.times, rate.per)).collect()
        };
        assert_eq!(rates(json!({})), []);
        assert_eq!(rates(json!({"day": 3, "hour": 0})), [(0, Per::Hour), (3, Per::Day)]);
        assert_eq!(rates(json!({"second": 1, "minute": 2})), [(1, Per::Second), (2, Per::Minute)]);
    }
}
