//! What a push looks like to Apple.

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::{DeviceToken, Push};

use super::Error;

/// Largest body (Apple, "Generating a remote notification").
const MAX_BYTES: usize = 4_096;

#[derive(Serialize)]
struct Payload<'a> {
    aps: Aps<'a>,
    /// The caller's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    ext: Option<&'a str>,
    /// With it an app drops what it already had from the socket.
    push_id: String,
}

#[derive(Serialize)]
struct Aps<'a> {
    alert: Alert<'a>,
    sound: &'static str,
}

#[derive(Serialize)]
struct Alert<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    body: &'a str,
}

/// The body: the same for every device.
pub(super) fn body(push: &Push) -> Result<Bytes, Error> {
    let notification = push.notification.as_ref().ok_or(Error::NoNotification)?;
    let payload = Payload {
        aps: Aps { alert: Alert { title: notification.title.as_deref(), body: &notification.text }, sound: "default" },
        ext: notification.ext.as_deref(),
        push_id: push.id.to_string(),
    };
    let body = serde_json::to_vec(&payload).map_err(|_| Error::NoNotification)?;
    if body.len() > MAX_BYTES { Err(Error::TooLarge(body.len())) } else { Ok(body.into()) }
}

/// `apns-expiration`: until when Apple keeps it for a device that is away, in Unix seconds. 0, try once and keep
/// nothing, for a push that is for now or never.
pub(super) fn expiration(push: &Push) -> i64 {
    push.expires_at().map_or(0, |at| at.secs().max(0))
}

/// `apns-id`: the same for every try of a push on a device. Apple does not drop what it has seen, but repeats the id in
/// its answer and its console, and so a doubled notification can be told from two.
pub(super) fn apns_id(push: &Push, token: &DeviceToken) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(push.id.as_u128().to_be_bytes());
    hash.update(token.expose().as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::testkit::{a_push, json};
    use crate::domain::PushId;

    #[test]
    fn a_notification_is_an_alert_with_the_callers_data_beside_it() {
        insta::assert_json_snapshot!(json(&body(&a_push()).unwrap()), @r#"
        {
          "aps": {
            "alert": {
              "body": "You are invited",
              "title": "Hello"
            },
            "sound": "default"
          },
          "ext": "{\"room\":7}",
          "push_id": "0000000000000000000017"
        }
        "#);
    }

    #[test]
    fn what_the_caller_left_out_is_left_out() {
        let mut push = a_push();
        let notification = push.notification.as_mut().unwrap();
        (notification.title, notification.ext) = (None, None);
        insta::assert_json_snapshot!(json(&body(&push).unwrap()), @r#"
        {
          "aps": {
            "alert": {
              "body": "You are invited"
            },
            "sound": "default"
          },
          "push_id": "0000000000000000000017"
        }
        "#);
    }

    #[test]
    fn four_kibibytes_pass_and_one_more_does_not() {
        let mut push = a_push();
        let room = MAX_BYTES - body(&push).unwrap().len();
        push.notification.as_mut().unwrap().text.push_str(&"x".repeat(room));
        assert_eq!(body(&push).unwrap().len(), MAX_BYTES);
        push.notification.as_mut().unwrap().text.push('x');
        assert!(matches!(body(&push), Err(Error::TooLarge(4_097))));
    }

    #[test]
    fn it_expires_with_the_push_and_is_not_kept_when_it_is_for_now_or_never() {
        let mut push = a_push();
        assert_eq!(expiration(&push), push.deadline().secs());
        push.lifetime_secs = 0;
        assert_eq!(expiration(&push), 0);
    }

    #[test]
    fn its_id_is_its_own_for_each_push_and_device() {
        let (push, token) = (a_push(), DeviceToken::new("00aa"));
        let id = apns_id(&push, &token);
        assert_eq!(apns_id(&push, &token), id);
        assert_ne!(apns_id(&push, &DeviceToken::new("00ab")), id);
        assert_ne!(apns_id(&Push { id: PushId::from_u128(2), ..a_push() }, &token), id);
    }
}
