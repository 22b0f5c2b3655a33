//! What the official server SDKs send, byte for byte, is read as it was meant.
//!
//! Those of the SDKs for Node.js (`rongcloud-sdk` 3.1.1) and Python (`rc-server-sdk` 3.2.0) were caught on the wire, one
//! for each call that the SDK has; those of the SDKs for Go and Java are what their published sources make.

use serde_json::{Value, json};

use super::{Broadcast, PushRequest, TagsRequest, TokenRequest, Users, tags};
use crate::domain::{Condition, Edit, Platform, Profile, Tag, Term, UserId};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/rongcloud/", $name))
    };
}

fn id(name: &str) -> UserId {
    UserId::try_from(name).unwrap()
}

fn tag(name: &str) -> Tag {
    Tag::try_from(name.to_owned()).unwrap()
}

fn tagged(name: &str) -> Condition {
    Condition::Term(Term::Tag(tag(name)))
}

fn change(users: &[&str], tags: &[&str]) -> TagsRequest {
    TagsRequest {
        users: users.iter().map(|name| id(name)).collect(),
        edit: Edit::ReplaceTags(tags.iter().map(|name| tag(name)).collect()),
    }
}

/// All of a `/push.json` that both SDKs can say.
fn notification() -> Value {
    json!({
        "text": "hi",
        "ios": {"title": "title", "text": "ios hi", "badge": {"set": 5}, "extras": {"id": "1"}},
        "android": {"text": "android hi", "extras": {"id": "2"}},
    })
}

fn is_for_those_tagged(push: &PushRequest) {
    let condition = Condition::All(vec![tagged("a"), Condition::Any(vec![tagged("b"), tagged("c")])]);
    assert_eq!(push.receivers.users, Users::Matching(condition));
    assert_eq!(push.receivers.devices.package.as_deref(), Some("com.example.app"));
    assert_eq!(push.receivers.devices.platforms, [Platform::Ios, Platform::Android].into());
    assert_eq!(push.message, None);
}

#[test]
fn a_token_is_asked_for() {
    let owned = |text: &str| Some(text.to_owned());
    let profile = Profile { nick: owned("Alice B"), face_url: owned("https://example.com/a.png?x=1") };
    // Python escapes nothing.
    for form in [&fixture!("node_get_token.form")[..], fixture!("python_get_token.form")] {
        assert_eq!(TokenRequest::parse(form), Ok(TokenRequest { user: id("u 1"), profile: profile.clone() }));
    }
}

#[test]
fn tags_are_set_and_cleared() {
    for body in [&fixture!("node_set_tags.json")[..], fixture!("python_set_tags.json")] {
        assert_eq!(TagsRequest::set(body), Ok(change(&["u1"], &["a", "男"])));
    }
    for body in [&fixture!("node_clear_tags.json")[..], fixture!("python_clear_tags.json")] {
        assert_eq!(TagsRequest::set(body), Ok(change(&["u1"], &[])));
    }
    for body in [&fixture!("node_batch_set_tags.json")[..], fixture!("python_batch_set_tags.json")] {
        assert_eq!(TagsRequest::batch_set(body), Ok(change(&["u1", "u2"], &["a", "b"])));
    }
    // The one for Python lets none pass that has no tags.
    assert_eq!(TagsRequest::batch_set(fixture!("node_batch_clear_tags.json")), Ok(change(&["u1", "u2"], &[])));
}

#[test]
fn tags_are_asked_for() {
    for form in [&fixture!("node_get_tags.form")[..], fixture!("python_get_tags.form")] {
        assert_eq!(tags::get(form), Ok(vec![id("u1"), id("u 2")]));
    }
}

#[test]
fn node_pushes_a_notification() {
    let push = PushRequest::push(fixture!("node_push.json")).unwrap();
    is_for_those_tagged(&push);
    assert_eq!(serde_json::to_value(push.notification).unwrap(), notification());
}

#[test]
fn python_pushes_a_notification() {
    let push = PushRequest::push(fixture!("python_push.json")).unwrap();
    is_for_those_tagged(&push);
    let mut expected = notification();
    expected["ios"]["wake"] = "and_show".into();
    expected["ios"]["category"] = "cat".into();
    expected["ios"]["mutable_content"] = true.into();
    expected["ios"]["image"] = "https://example.com/i.png".into();
    assert_eq!(serde_json::to_value(push.notification).unwrap(), expected);
}

#[test]
fn node_and_python_push_a_message() {
    let own = json!({"text": "ios hi", "wake": "and_show", "extras": {"id": "1"}});
    for (body, content, ios) in [
        (&fixture!("node_message.json")[..], r#"{"content":"x"}"#, None),
        (fixture!("python_message.json"), r#"{"content": "a b"}"#, Some(own)),
    ] {
        let push = PushRequest::push(body).unwrap();
        let message = push.message.unwrap();
        assert_eq!(
            (&message.sender, &message.body),
            (&id("u0"), &json!({"objectName": "RC:TxtMsg", "content": content}))
        );
        assert_eq!(push.receivers.users, Users::Matching(Condition::All(vec![tagged("a")])));
        assert_eq!(push.receivers.devices.platforms, [Platform::Ios, Platform::Web].into());
        let notification = serde_json::to_value(push.notification).unwrap();
        assert_eq!((&notification["text"], notification.get("ios")), (&json!("hi"), ios.as_ref()));
    }
}

#[test]
fn node_and_python_broadcast() {
    for (form, content, is_waking) in [
        (&fixture!("node_broadcast.form")[..], r#"{"content":"a b"}"#, false),
        (fixture!("python_broadcast.form"), r#"{"content": "a b"}"#, true),
    ] {
        let broadcast = Broadcast::to_all(form).unwrap();
        let message = &broadcast.message;
        assert_eq!(
            (&message.sender, &message.body),
            (&id("u0"), &json!({"objectName": "RC:TxtMsg", "content": content}))
        );
        assert!(broadcast.devices.is_open());
        let notification = broadcast.notification.unwrap();
        assert_eq!((notification.title.as_deref(), notification.text.as_str()), (Some("t"), "hi"));
        assert_eq!((notification.ext.as_deref(), notification.ios.wake.is_some()), (Some("data"), is_waking));
        assert_eq!(notification.android.huawei.notification_channel.as_deref(), Some("x"));
    }
}

#[test]
fn java_broadcasts_with_all_that_it_says_to_the_vendors() {
    let broadcast = Broadcast::to_all(fixture!("java_broadcast.form")).unwrap();
    let content = r#"{"content":"a b","extra":"e"}"#;
    let body = json!({"objectName": "RC:TxtMsg", "content": content, "disableUpdateLastMsg": true});
    assert_eq!(broadcast.message.body, body);
    assert_eq!(broadcast.devices.platforms, [Platform::Ios].into());
    let expected = json!({
        "title": "t", "text": "hi", "text_forced": true, "ext": "data",
        "ios": {"image": "https://example.com/i.png", "interruption_level": "passive", "thread_id": "1", "collapse_id": "2"},
        "android": {
            "huawei": {"notification_channel": "hw", "importance": "low", "category": "IM", "image": "https://example.com/h.png"},
            "honor": {"importance": "normal", "image": "https://example.com/o.png"},
            "xiaomi": {"notification_channel": "mi", "large_icon": "https://example.com/m.png"},
            "vivo": {"classification": "system", "category": "IM"},
            "oppo": {"notification_channel": "op"},
            "fcm": {"notification_channel": "f", "image": "https://example.com/f.png", "collapse_key": "k"},
        },
        "harmony": {"category": "IM", "image": "https://example.com/a.png"},
    });
    assert_eq!(serde_json::to_value(broadcast.notification).unwrap(), expected);
}

#[test]
fn go_pushes_by_an_expression_and_says_much_that_is_empty() {
    let push = PushRequest::custom(fixture!("go_push_custom.json")).unwrap();
    assert_eq!(push.receivers.users, Users::Matching(Condition::All(vec![tagged("a"), tagged("b")])));
    assert_eq!(push.receivers.devices.platforms, [Platform::Ios, Platform::Android].into());
    assert_eq!(push.receivers.devices.package, None);
    let expected = json!({"text": "hi", "android": {"extras": {"id": "", "name": ""}}});
    assert_eq!(serde_json::to_value(push.notification).unwrap(), expected);
}
