//! What a push looks like on a socket.

use serde::Serialize;

use crate::domain::{Push, Seq};

#[derive(Serialize)]
struct Frame<'a> {
    r#type: &'static str,
    id: String,
    seq: Option<Seq>,
    from: Option<&'a str>,
    /// Unix milliseconds.
    sent_at: i64,
    /// Unix seconds; null when the push is for online users only.
    expires_at: Option<i64>,
    body: Option<&'a serde_json::Value>,
    task_id: &'a str,
}

/// The `push` frame of the socket protocol: one message, as JSON.
pub fn frame(push: &Push) -> String {
    let frame = Frame {
        r#type: "push",
        id: push.id.to_string(),
        seq: push.seq,
        from: push.message.as_ref().map(|message| message.sender.as_str()),
        sent_at: push.accepted_at.millis(),
        expires_at: push.expires_at().map(|at| at.secs()),
        body: push.message.as_ref().map(|message| &message.body),
        task_id: &push.task_id,
    };
    // Strings, numbers and a value that was JSON before: nothing here can fail to be JSON.
    serde_json::to_string(&frame).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::testkit::a_push;

    #[test]
    fn a_push_is_a_frame() {
        insta::assert_snapshot!(frame(&a_push()), @r#"{"type":"push","id":"0000000000000000000017","seq":12,"from":"admin","sent_at":1700000000000,"expires_at":1700000120,"body":[{"MsgContent":{"Text":"hi"},"MsgType":"TIMTextElem"}],"task_id":"task-1"}"#);
    }

    #[test]
    fn a_push_for_online_users_only_does_not_expire() {
        let mut push = a_push();
        push.lifetime_secs = 0;
        assert!(frame(&push).contains(r#""expires_at":null"#));
    }
}
