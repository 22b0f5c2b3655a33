//! What the tests of the channels share: a push, its targets, credentials, and a vendor who does as told.

use secrecy::SecretString;
use serde_json::{Value, json};

use crate::domain::{
    ApnsCredentials, AppId, Audience, DeviceToken, Message, Notification, Push, PushId, Seq, Timestamp,
};

use super::Target;

/// A P-256 key made for these tests.
const EC_KEY: &str = "EC";

pub(super) fn a_push() -> Push {
    Push {
        id: PushId::from_u128(69),
        app: AppId::try_from("1400000000").unwrap(),
        seq: Seq(12),
        accepted_at: Timestamp::from_secs(1_700_000_000),
        audience: Audience::Everyone,
        population: 1,
        message: Message {
            sender: "admin".to_owned(),
            body: json!([{ "MsgType": "TIMTextElem", "MsgContent": { "Text": "hi" } }]),
            lifetime_secs: 120,
        },
        notification: Some(Notification {
            title: Some("Hello".to_owned()),
            text: "You are invited".to_owned(),
            ext: Some(r#"{"room":7}"#.to_owned()),
        }),
        task_id: "task-1".to_owned(),
    }
}

/// So many targets, whose tokens are their numbers.
pub(super) fn targets(count: usize) -> Vec<Target> {
    (0..count).map(|n| Target { token: DeviceToken::new(n.to_string()), package: None }).collect()
}

pub(super) fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

pub(super) fn apns_credentials(endpoint: &str) -> ApnsCredentials {
    ApnsCredentials {
        endpoint: endpoint.to_owned(),
        team_id: "FANFARE001".to_owned(),
        key_id: "LOCALKEY01".to_owned(),
        private_key: SecretString::from(EC_KEY),
        topic: "com.example.app".to_owned(),
        rate: 10_000,
    }
}
