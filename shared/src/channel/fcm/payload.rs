//! What a push looks like to FCM.

use bytes::Bytes;
use serde::Serialize;

use crate::domain::{DeviceToken, Push};

use super::Error;

/// Most bytes of notification and data (Google, "About FCM messages").
const MAX_BYTES: usize = 4_096;
/// Longest time that FCM keeps a message: 28 days.
const MAX_TTL_SECS: u32 = 2_419_200;

/// A message without its receiver and its time to live.
pub(super) struct Payload<'a> {
    content: Content<'a>,
    push_id: String,
}

#[derive(Serialize)]
struct Body<'a> {
    message: Message<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    token: &'a str,
    #[serde(flatten)]
    content: &'a Content<'a>,
    android: Android<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    notification: Notification<'a>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Notification<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    body: &'a str,
}

#[derive(Serialize)]
struct Data<'a> {
    /// The caller's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    ext: Option<&'a str>,
    /// With it an app drops what it already had from the socket.
    push_id: String,
}

#[derive(Serialize)]
struct Android<'a> {
    notification: OnAndroid<'a>,
    priority: &'static str,
    ttl: String,
}

#[derive(Serialize)]
struct OnAndroid<'a> {
    /// A notification replaces one with the same tag: even where a push is sent twice, one shows. (A collapse key would
    /// not do that, and FCM keeps only four of them a device.)
    tag: &'a str,
}

impl<'a> Payload<'a> {
    pub(super) fn new(push: &'a Push) -> Result<Self, Error> {
        let notification = push.notification.as_ref().ok_or(Error::NoNotification)?;
        let push_id = push.id.to_string();
        let content = Content {
            notification: Notification { title: notification.title.as_deref(), body: &notification.text },
            data: Data { ext: notification.ext.as_deref(), push_id: push_id.clone() },
        };
        let size = serde_json::to_vec(&content).map_err(|_| Error::NoNotification)?.len();
        if size > MAX_BYTES { Err(Error::TooLarge(size)) } else { Ok(Self { content, push_id }) }
    }

    /// The body for one device. Without seconds that remain, FCM delivers it now or never.
    pub(super) fn body(&self, token: &DeviceToken, remaining_secs: Option<u32>) -> Bytes {
        let ttl = remaining_secs.unwrap_or(0).min(MAX_TTL_SECS);
        let body = Body {
            message: Message {
                token: token.expose(),
                content: &self.content,
                android: Android {
                    notification: OnAndroid { tag: &self.push_id },
                    priority: "HIGH",
                    ttl: format!("{ttl}s"),
                },
            },
        };
        // Strings only: nothing here can fail to be JSON.
        serde_json::to_vec(&body).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::testkit::{a_push, json};

    #[test]
    fn a_message_has_the_callers_data_beside_the_notification() {
        let push = a_push();
        insta::assert_json_snapshot!(json(&Payload::new(&push).unwrap().body(&DeviceToken::new("t0"), Some(90))), @r#"
        {
          "message": {
            "android": {
              "notification": {
                "tag": "0000000000000000000017"
              },
              "priority": "HIGH",
              "ttl": "90s"
            },
            "data": {
              "ext": "{\"room\":7}",
              "push_id": "0000000000000000000017"
            },
            "notification": {
              "body": "You are invited",
              "title": "Hello"
            },
            "token": "t0"
          }
        }
        "#);
    }

    #[test]
    fn what_the_caller_left_out_is_left_out() {
        let mut push = a_push();
        let notification = push.notification.as_mut().unwrap();
        (notification.title, notification.ext) = (None, None);
        insta::assert_json_snapshot!(json(&Payload::new(&push).unwrap().body(&DeviceToken::new("t0"), None)), @r#"
        {
          "message": {
            "android": {
              "notification": {
                "tag": "0000000000000000000017"
              },
              "priority": "HIGH",
              "ttl": "0s"
            },
            "data": {
              "push_id": "0000000000000000000017"
            },
            "notification": {
              "body": "You are invited"
            },
            "token": "t0"
          }
        }
        "#);
    }

    #[test]
    fn it_is_kept_no_longer_than_fcm_keeps_anything() {
        let push = a_push();
        let body = json(&Payload::new(&push).unwrap().body(&DeviceToken::new("t"), Some(u32::MAX)));
        assert_eq!(body["message"]["android"]["ttl"], "2419200s");
    }

    #[test]
    fn four_kibibytes_pass_and_one_more_does_not() {
        let mut push = a_push();
        let size = serde_json::to_vec(&Payload::new(&push).unwrap().content).unwrap().len();
        push.notification.as_mut().unwrap().text.push_str(&"x".repeat(MAX_BYTES - size));
        assert!(Payload::new(&push).is_ok());
        push.notification.as_mut().unwrap().text.push('x');
        assert!(matches!(Payload::new(&push), Err(Error::TooLarge(4_097))));
    }
}
