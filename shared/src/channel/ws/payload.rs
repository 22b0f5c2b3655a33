//! What a push looks like on a socket.

use serde::Serialize;

use crate::domain::{Push, Seq};

#[derive(Serialize)]
struct Frame<'a> {
    r#type: &'static str,
    /// Of the push; in a `revoke`, of the push that is withdrawn.
    id: String,
    /// Its number in the app, by which it is acknowledged; null when there is nothing to acknowledge, ever.
    seq: Option<Seq>,
    from: Option<&'a str>,
    /// Unix milliseconds.
    sent_at: i64,
    /// Unix seconds; null when the push is not kept.
    expires_at: Option<i64>,
    body: Option<&'a serde_json::Value>,
    /// What to show where the body is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<Shown<'a>>,
    task_id: &'a str,
}

#[derive(Serialize)]
struct Shown<'a> {
    title: Option<&'a str>,
    text: &'a str,
    ext: Option<&'a str>,
}

/// The `push` frame of the socket protocol: one message, as JSON. Of a push that withdraws another, the `revoke` frame, of
/// the same members: its `id` is that of the push to be taken back, its `seq` its own. It can come before what it takes
/// back, which a client then does not show.
pub fn frame(push: &Push) -> String {
    let notification = push.message.as_ref().and_then(|message| message.notification.as_ref());
    let frame = Frame {
        r#type: if push.revokes.is_some() { "revoke" } else { "push" },
        id: push.revokes.unwrap_or(push.id).to_string(),
        seq: push.seq,
        from: push.message.as_ref().map(|message| message.sender.as_str()),
        sent_at: push.accepted_at.millis(),
        expires_at: push.kept().map(|(_, end)| end.secs()),
        body: push.message.as_ref().map(|message| &message.body),
        notification: notification.map(|notification| Shown {
            title: notification.title.as_deref(),
            text: &notification.text,
            ext: notification.ext.as_deref(),
        }),
        task_id: &push.task_id,
    };
    // Strings, numbers and a value that was JSON before: nothing here can fail to be JSON.
    serde_json::to_string(&frame).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::testkit::a_push;
    use crate::domain::Message;

    #[test]
    fn a_push_is_a_frame() {
        insta::assert_snapshot!(frame(&a_push()), @r#"{"type":"push","id":"0000000000000000000017","seq":12,"from":"admin","sent_at":1700000000000,"expires_at":1700000120,"body":[{"MsgContent":{"Text":"hi"},"MsgType":"TIMTextElem"}],"task_id":"task-1"}"#);
    }

    #[test]
    fn a_push_without_a_body_says_what_to_show() {
        let mut push = Push { seq: None, ..a_push() };
        let notification = push.notification.clone();
        push.message = Some(Message {
            sender: "admin".to_owned(),
            body: serde_json::json!([]),
            notification,
            kept: false,
            recallable: false,
        });
        insta::assert_snapshot!(frame(&push), @r#"{"type":"push","id":"0000000000000000000017","seq":null,"from":"admin","sent_at":1700000000000,"expires_at":null,"body":[],"notification":{"title":"Hello","text":"You are invited","ext":"{\"room\":7}"},"task_id":"task-1"}"#);
    }

    #[test]
    fn a_push_that_withdraws_another_is_named_after_it_and_acknowledged_as_itself() {
        let mut push = Push { revokes: Some(crate::domain::PushId::from_u128(5)), seq: Some(Seq(13)), ..a_push() };
        push.message.as_mut().unwrap().body = serde_json::json!({"isDelete": 0});
        insta::assert_snapshot!(frame(&push), @r#"{"type":"revoke","id":"0000000000000000000005","seq":13,"from":"admin","sent_at":1700000000000,"expires_at":1700000120,"body":{"isDelete":0},"task_id":"task-1"}"#);
    }

    #[test]
    fn what_is_not_kept_does_not_expire_however_long_vendors_have_for_it() {
        let mut push = a_push();
        push.message.as_mut().unwrap().kept = false;
        assert!(frame(&push).contains(r#""expires_at":null"#));
        let push = Push { lifetime_secs: 0, ..a_push() };
        assert!(frame(&push).contains(r#""expires_at":null"#));
    }
}
