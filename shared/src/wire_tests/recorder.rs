//! Vendors who take everything and write it down, and an app that has credentials with all of them.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use p256::SecretKey;
use p256::pkcs8::EncodePrivateKey;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::requests::ACCEPTED_AT;
use crate::channel::testkit::{self, Api, Asked, Reply, Vendor, form};
use crate::channel::{Senders, Target, Turns, traits};
use crate::domain::{App, Channel, DeviceToken, Outcome, Push, Wording};
use crate::runtime::Clock;

/// How long after a push was accepted it is sent, in seconds.
const AGE_SECS: i64 = 100;

static RSA: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());

/// One request, as it came.
pub(super) struct Sent {
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    /// The body; of one that is encrypted what its receiver reads.
    pub(super) body: String,
}

impl Sent {
    /// What stands at a path of the body, or under `/headers`; every further path leads on in the JSON found there.
    pub(super) fn at(&self, path: &[&str]) -> Option<Value> {
        let headers: Value = self.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let mut at: Value = match serde_json::from_str(&self.body) {
            Ok(body) => body,
            Err(_) => form(self.body.as_bytes()).into_iter().collect(),
        };
        at["headers"] = headers;
        for (step, path) in path.iter().enumerate() {
            if step > 0 {
                at = serde_json::from_str(at.as_str()?).ok()?;
            }
            at = at.pointer(path)?.clone();
        }
        Some(at)
    }
}

fn text(value: &http::HeaderValue) -> String {
    value.to_str().unwrap().to_owned()
}

/// All vendors in one, with the senders that know them.
pub(super) struct Recorder {
    vendor: Vendor,
    api: Api,
    senders: Senders,
}

impl Recorder {
    pub(super) async fn start() -> Self {
        let vendor = Vendor::start(taken).await;
        let api = Api::start(|_, _| 200).await;
        let senders = testkit::senders(&vendor, &api, &Clock::standing_at(ACCEPTED_AT.plus_secs(AGE_SECS)));
        Self { vendor, api, senders }
    }

    /// Sends a push to so many devices, who all get it, and says with which requests.
    pub(super) async fn send(&self, channel: Channel, push: &Push, wording: Wording, devices: usize) -> Vec<Sent> {
        let app = app(&self.vendor.endpoint);
        let token = |n| DeviceToken::new(token(channel, n, &self.vendor.endpoint));
        let targets: Vec<Target> = (1..=devices).map(|n| Target { token: token(n), package: None, wording }).collect();
        let before = (self.vendor.asked().len(), self.api.asked.lock().unwrap().len());
        let outcomes = self.senders.send(channel, &app, push, &targets, Turns::freely()).await.outcomes;
        assert_eq!(outcomes, vec![Outcome::Delivered; devices], "{channel}");
        let to_vendor = self.vendor.asked().split_off(before.0);
        let to_sockets = self.api.asked.lock().unwrap().split_off(before.1);
        let to_sockets = to_sockets.into_iter().map(|(path, body)| Sent {
            line: format!("POST {path}"),
            headers: HeaderMap::new(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        to_vendor.into_iter().map(Sent::from).chain(to_sockets).collect()
    }
}

impl From<Asked> for Sent {
    fn from(asked: Asked) -> Self {
        let body = match asked.path.strip_prefix(BROWSER) {
            Some(n) => decrypted(&asked, n.parse().unwrap()),
            None => asked.body.to_vec(),
        };
        let body = String::from_utf8(body).unwrap();
        Self { line: format!("{} {}", asked.method, asked.path), headers: asked.headers, body }
    }
}

/// One device, or two where a channel takes several in one request.
pub(super) fn at_most_two(channel: Channel) -> usize {
    traits(channel).max_batch.min(2)
}

/// The address of the n-th device with a vendor.
fn token(channel: Channel, n: usize, endpoint: &str) -> String {
    match channel {
        Channel::Apns => format!("{n:064x}"),
        Channel::Webpush => {
            let key = SecretKey::from_slice(&[n as u8; 32]).unwrap().public_key().to_sec1_bytes();
            let (key, auth) = (URL_SAFE_NO_PAD.encode(key), URL_SAFE_NO_PAD.encode([n as u8; 16]));
            json!({"endpoint": format!("{endpoint}{BROWSER}{n}"), "keys": {"auth": auth, "p256dh": key}}).to_string()
        }
        _ => format!("{channel}-token-{n}"),
    }
}

/// What the path of a subscription begins with.
const BROWSER: &str = "/browser/";

/// What the n-th browser reads, by another implementation.
fn decrypted(asked: &Asked, n: u8) -> Vec<u8> {
    let key = web_push_native::p256::SecretKey::from_slice(&[n; 32]).unwrap();
    web_push_native::decrypt(asked.body.to_vec(), &key, &web_push_native::Auth::from([n; 16])).unwrap()
}

/// An app that pushes by both contracts, with credentials for all vendors at an endpoint.
pub(super) fn app(endpoint: &str) -> App {
    let ec = SecretKey::from_slice(&[7; 32]).unwrap().to_pkcs8_pem(Default::default()).unwrap().to_string();
    let (rsa, token_uri) = (RSA.serialize_pem(), format!("{endpoint}/token"));
    let host = endpoint.trim_start_matches("https://");
    let app = json!({
        "id": "1400000000",
        "tencent": {"sdk_app_id": 1_400_000_000, "secret_key": "s", "admins": ["administrator"]},
        "quotas": {"lifetime_secs": 10_000},
        "channels": {
            "apns": {"endpoint": endpoint, "team_id": "TEAM", "key_id": "KEY", "private_key": ec, "topic": "com.example.app"},
            "fcm": {"endpoint": endpoint, "service_account": {"project_id": "project", "client_email": "push@project.example",
                "private_key": rsa, "token_uri": token_uri}},
            "huawei": {"endpoint": endpoint, "token_uri": token_uri, "app_id": "10001", "client_secret": "secret",
                "badge_class": "com.example.app.MainActivity"},
            "honor": {"endpoint": endpoint, "token_uri": token_uri, "app_id": "10002", "client_id": "client",
                "client_secret": "secret", "badge_class": "com.example.app.MainActivity"},
            "harmony": {"endpoint": endpoint, "project_id": "10003", "key_id": "key", "sub_account": "account", "private_key": rsa},
            "xiaomi": {"endpoint": endpoint, "app_secret": "secret", "package": "com.example.app"},
            "oppo": {"endpoint": endpoint, "app_key": "key", "master_secret": "secret"},
            "vivo": {"endpoint": endpoint, "app_id": "10004", "app_key": "key", "app_secret": "secret"},
            "meizu": {"endpoint": endpoint, "app_id": "10005", "app_secret": "secret"},
            "webpush": {"subject": "mailto:push@example.com", "private_key": ec, "services": [host]}
        }
    });
    serde_json::from_value(app).unwrap()
}

/// What each vendor answers to what it takes, and to whoever asks for an access token.
fn taken(asked: &Asked) -> Reply {
    let answer = match asked.path.as_str() {
        "/token" => json!({"access_token": "granted", "expires_in": 3_600, "token_type": "Bearer"}),
        "/v1/projects/project/messages:send" => json!({"name": "projects/project/messages/1"}),
        "/v1/10001/messages:send" | "/v3/10003/messages:send" => {
            json!({"code": "80000000", "msg": "Success", "requestId": "1"})
        }
        "/api/v1/10002/sendMessage" => {
            json!({"code": 200, "message": "", "data": {"sendResult": true, "requestId": "1"}})
        }
        "/v3/message/regid" => json!({"result": "ok", "code": 0, "data": {"id": "1"}, "trace_id": "1"}),
        "/server/v1/auth" => json!({"code": 0, "message": "", "data": {"auth_token": "granted"}}),
        "/server/v1/message/notification/unicast_batch" => {
            let taken = |n| json!({"messageId": "1", "registrationId": token(Channel::Oppo, n, "")});
            json!({"code": 0, "message": "", "data": [taken(1), taken(2)]})
        }
        "/message/auth" => json!({"result": 0, "desc": "", "authToken": "granted"}),
        "/message/saveListPayload" => json!({"result": 0, "desc": "", "taskId": "task-1"}),
        "/message/send" | "/message/pushToList" => json!({"result": 0, "desc": "", "requestId": "1"}),
        "/garcia/api/server/push/varnished/pushByPushId" => json!({"code": "200", "message": "", "value": {}}),
        path if path.starts_with(BROWSER) => return Reply::Answer(201, String::new()),
        path if path.starts_with("/3/device/") => return Reply::ok(),
        _ => return Reply::Answer(404, String::new()),
    };
    Reply::Answer(200, answer.to_string())
}
