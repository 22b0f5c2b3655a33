//! An app's credentials with the vendors.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::Channel;

/// An app's credentials, by vendor. A vendor without one is not sent to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Channels {
    /// Apple's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apns: Option<ApnsCredentials>,
    /// Google's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fcm: Option<FcmCredentials>,
    /// Huawei's, for Android.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub huawei: Option<HuaweiCredentials>,
    /// Huawei's, for HarmonyOS 5 and later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harmony: Option<HarmonyCredentials>,
    /// Honor's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub honor: Option<HonorCredentials>,
    /// Xiaomi's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xiaomi: Option<XiaomiCredentials>,
    /// OPPO's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oppo: Option<OppoCredentials>,
    /// vivo's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vivo: Option<VivoCredentials>,
    /// Meizu's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meizu: Option<MeizuCredentials>,
    /// The app's own, towards the push services of browsers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webpush: Option<WebpushCredentials>,
    /// Vendors whose settings stand in the app's item and cannot be read: the path of what is wrong. There is nothing to be
    /// sent with, and all the same it is not as if there were no such vendor.
    #[serde(skip)]
    pub unreadable: BTreeMap<Channel, String>,
}

impl Channels {
    /// Whether there are credentials for a channel that takes some, be they of use or not.
    pub fn has(&self, channel: Channel) -> bool {
        self.own_rate(channel).is_some() || self.unreadable.contains_key(&channel)
    }

    /// Units a second that the app has been granted on a channel, over all workers, where that is known.
    pub fn rate(&self, channel: Channel) -> Option<u32> {
        self.own_rate(channel).flatten()
    }

    fn own_rate(&self, channel: Channel) -> Option<Option<u32>> {
        match channel {
            // A socket takes no credentials.
            Channel::Ws => None,
            Channel::Apns => self.apns.as_ref().map(|credentials| credentials.rate),
            Channel::Fcm => self.fcm.as_ref().map(|credentials| credentials.rate),
            Channel::Huawei => self.huawei.as_ref().map(|credentials| credentials.rate),
            Channel::Harmony => self.harmony.as_ref().map(|credentials| credentials.rate),
            Channel::Honor => self.honor.as_ref().map(|credentials| credentials.rate),
            Channel::Xiaomi => self.xiaomi.as_ref().map(|credentials| credentials.rate),
            Channel::Oppo => self.oppo.as_ref().map(|credentials| credentials.rate),
            Channel::Vivo => self.vivo.as_ref().map(|credentials| credentials.rate),
            Channel::Meizu => self.meizu.as_ref().map(|credentials| credentials.rate),
            Channel::Webpush => self.webpush.as_ref().map(|credentials| credentials.rate),
        }
    }
}

/// A token-signing key of Apple's developer account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApnsCredentials {
    /// Where to send: `https://api.push.apple.com` unless said otherwise.
    #[serde(default = "apns_endpoint")]
    pub endpoint: String,
    /// The team.
    pub team_id: String,
    /// The key's id.
    pub key_id: String,
    /// The key: P-256, PKCS #8, PEM.
    #[serde(serialize_with = "expose")]
    pub private_key: SecretString,
    /// The bundle id, for devices that registered without one.
    pub topic: String,
    /// Notifications a second, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// A service account of a Firebase project.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FcmCredentials {
    /// Where to send: `https://fcm.googleapis.com` unless said otherwise.
    #[serde(default = "fcm_endpoint")]
    pub endpoint: String,
    /// The account, as Google's JSON has it.
    pub service_account: ServiceAccount,
    /// Messages a second, over all workers (FCM grants 600,000 a minute).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// What is used of Google's service account file; its other members are let pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// The Firebase project.
    pub project_id: String,
    /// Who signs.
    pub client_email: String,
    /// The key: RSA, PKCS #8, PEM.
    #[serde(serialize_with = "expose")]
    pub private_key: SecretString,
    /// Where access tokens are to be had.
    #[serde(default = "google_token_uri")]
    pub token_uri: String,
}

/// An app in Huawei's AppGallery Connect, for its phones with Android.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HuaweiCredentials {
    /// Where to send: `https://push-api.cloud.huawei.com` unless said otherwise.
    #[serde(default = "huawei_endpoint")]
    pub endpoint: String,
    /// Where access tokens are to be had.
    #[serde(default = "huawei_token_uri")]
    pub token_uri: String,
    /// The app's id, which is also its OAuth client id.
    pub app_id: String,
    /// The OAuth client secret.
    #[serde(serialize_with = "expose")]
    pub client_secret: SecretString,
    /// The full name of the app's entry activity. Huawei's launcher counts by it: without it, no number is sent for the
    /// icon (Huawei, "Badges": all examples name it; whether it may be left out is not said).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub badge_class: Option<String>,
    /// Devices a second, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// A service account of a project in Huawei's AppGallery Connect, for HarmonyOS 5 and later.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HarmonyCredentials {
    /// Where to send: `https://push-api.cloud.huawei.com` unless said otherwise.
    #[serde(default = "huawei_endpoint")]
    pub endpoint: String,
    /// The project.
    pub project_id: String,
    /// The key's id.
    pub key_id: String,
    /// The service account, `sub_account` in Huawei's file.
    pub sub_account: String,
    /// The key: RSA, PKCS #8, PEM.
    #[serde(serialize_with = "expose")]
    pub private_key: SecretString,
    /// The kind of message where a push names none: Huawei demands one. `MARKETING` unless said otherwise, the one
    /// that needs no permission.
    #[serde(default = "harmony_category")]
    pub default_category: String,
    /// Devices a second, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// An app in Honor's developer console.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HonorCredentials {
    /// Where to send: `https://push-api.cloud.honor.com` unless said otherwise.
    #[serde(default = "honor_endpoint")]
    pub endpoint: String,
    /// Where access tokens are to be had.
    #[serde(default = "honor_token_uri")]
    pub token_uri: String,
    /// The app's id.
    pub app_id: String,
    /// The OAuth client id.
    pub client_id: String,
    /// The OAuth client secret.
    #[serde(serialize_with = "expose")]
    pub client_secret: SecretString,
    /// Most tokens in one request. Honor's documents say none: 100 unless said otherwise.
    #[serde(default = "honor_max_batch")]
    pub max_batch: u16,
    /// The full name of the app's entry activity. Honor's launcher counts by it: without it, no number is sent for the
    /// icon (Honor's documents do not say whether it may be left out).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub badge_class: Option<String>,
    /// Devices a second, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// An app in Xiaomi's developer console.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XiaomiCredentials {
    /// Where to send: `https://api.xmpush.xiaomi.com` unless said otherwise.
    #[serde(default = "xiaomi_endpoint")]
    pub endpoint: String,
    /// The `AppSecret`.
    #[serde(serialize_with = "expose")]
    pub app_secret: SecretString,
    /// The Android package, for devices that registered without one.
    pub package: String,
    /// The notification channel where a push names none: Xiaomi shows nothing without one on newer phones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_channel: Option<String>,
    /// The heading where a push has none, such as the app's name: Xiaomi demands one. Absent: the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_title: Option<String>,
    /// Requests a second, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// An app on OPPO's open platform.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OppoCredentials {
    /// Where to send: `https://api.push.oppomobile.com` unless said otherwise.
    #[serde(default = "oppo_endpoint")]
    pub endpoint: String,
    /// The `app_key`.
    pub app_key: String,
    /// The `master_secret`.
    #[serde(serialize_with = "expose")]
    pub master_secret: SecretString,
    /// The heading where a push has none, such as the app's name: OPPO demands one. Absent: the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_title: Option<String>,
    /// Whether a device that OPPO calls unsubscribed (10001) is forgotten. Its documents do not agree whether that is for
    /// good or a user's switch, so it is kept unless said otherwise.
    #[serde(default)]
    pub forget_unsubscribed: bool,
    /// Devices a second, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// An app on vivo's open platform.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VivoCredentials {
    /// Where to send: `https://api-push.vivo.com.cn` unless said otherwise.
    #[serde(default = "vivo_endpoint")]
    pub endpoint: String,
    /// The `appId`.
    pub app_id: String,
    /// The `appKey`.
    pub app_key: String,
    /// The `appSecret`.
    #[serde(serialize_with = "expose")]
    pub app_secret: SecretString,
    /// The heading where a push has none, such as the app's name: vivo demands one. Absent: the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_title: Option<String>,
    /// Longest time that vivo keeps a message, in seconds: a day, for which it takes whatever is longer. In older documents
    /// there are seven. A day unless said otherwise.
    #[serde(default = "vivo_max_ttl_secs")]
    pub max_ttl_secs: u32,
    /// Devices a second, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// An app on Meizu's Flyme push platform.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeizuCredentials {
    /// Where to send: `https://server-api-push.meizu.com` unless said otherwise.
    #[serde(default = "meizu_endpoint")]
    pub endpoint: String,
    /// The `appId`.
    pub app_id: String,
    /// The `appSecret`.
    #[serde(serialize_with = "expose")]
    pub app_secret: SecretString,
    /// The heading where a push has none, such as the app's name: Meizu demands one. Absent: the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_title: Option<String>,
    /// Requests a second, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// The key with which an app proves itself to the push services of browsers (RFC 8292, VAPID).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebpushCredentials {
    /// Whom a push service may write to: `mailto:…` or `https:…`.
    pub subject: String,
    /// The key, whose public half browsers subscribe with: P-256, PKCS #8, PEM.
    #[serde(serialize_with = "expose")]
    pub private_key: SecretString,
    /// The hosts of the push services that are sent to, and all below them, with `:` and a port where it is not 443. A
    /// subscription's address is what a browser says it is: without a list, whoever registers a device could have us call
    /// any address.
    #[serde(default = "push_services")]
    pub services: BTreeSet<String>,
    /// Requests a second, over all workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

impl WebpushCredentials {
    /// Whether a host, in lower case, is one of a push service that is sent to, on this port.
    pub fn serves(&self, host: &str, port: u16) -> bool {
        self.services.iter().any(|service| {
            let (name, own_port) = match service.rsplit_once(':') {
                Some((name, own_port)) => (name, own_port.parse().ok()),
                None => (service.as_str(), Some(443)),
            };
            let below = host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            below && !name.is_empty() && own_port == Some(port)
        })
    }
}

/// Secrets leave only into the encrypted table of apps.
pub(super) fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn apns_endpoint() -> String {
    "https://api.push.apple.com".to_owned()
}

fn fcm_endpoint() -> String {
    "https://fcm.googleapis.com".to_owned()
}

fn google_token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

fn huawei_endpoint() -> String {
    "https://push-api.cloud.huawei.com".to_owned()
}

fn huawei_token_uri() -> String {
    "https://oauth-login.cloud.huawei.com/oauth2/v3/token".to_owned()
}

fn harmony_category() -> String {
    "MARKETING".to_owned()
}

fn honor_endpoint() -> String {
    "https://push-api.cloud.honor.com".to_owned()
}

fn honor_token_uri() -> String {
    "https://iam.developer.honor.com/auth/token".to_owned()
}

fn honor_max_batch() -> u16 {
    100
}

fn xiaomi_endpoint() -> String {
    "https://api.xmpush.xiaomi.com".to_owned()
}

fn oppo_endpoint() -> String {
    "https://api.push.oppomobile.com".to_owned()
}

fn vivo_endpoint() -> String {
    "https://api-push.vivo.com.cn".to_owned()
}

fn vivo_max_ttl_secs() -> u32 {
    86_400
}

fn meizu_endpoint() -> String {
    "https://server-api-push.meizu.com".to_owned()
}

/// Those of Chrome and its kin, Firefox, Safari and Edge.
fn push_services() -> BTreeSet<String> {
    ["fcm.googleapis.com", "push.services.mozilla.com", "push.apple.com", "notify.windows.com"]
        .map(str::to_owned)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_services_are_those_listed_and_those_below_them() {
        let mut credentials: WebpushCredentials =
            serde_json::from_str(r#"{"subject": "mailto:a@example.com", "private_key": "k"}"#).unwrap();
        for (host, port, serves) in [
            ("fcm.googleapis.com", 443, true),
            ("updates.push.services.mozilla.com", 443, true),
            ("web.push.apple.com", 443, true),
            ("db5.notify.windows.com", 443, true),
            ("fcm.googleapis.com", 8443, false),
            ("evilfcm.googleapis.com", 443, false),
            ("fcm.googleapis.com.evil.example", 443, false),
            ("googleapis.com", 443, false),
            ("localhost", 443, false),
            ("", 443, false),
        ] {
            assert_eq!(credentials.serves(host, port), serves, "{host}:{port}");
        }
        credentials.services =
            ["localhost:8443".to_owned(), "bad:port".to_owned(), String::new(), ":443".to_owned()].into();
        assert!(credentials.serves("localhost", 8443));
        for (host, port) in [("localhost", 443), ("bad", 443), ("bad", 0), ("", 443), ("x.", 443), ("example.com", 443)]
        {
            assert!(!credentials.serves(host, port), "{host}:{port}");
        }
    }
}
