use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    Sandbox,
    client::{Answer, Client, handshake, receive},
};

const SEND: &str = "/v1/projects/fanfare-local/messages:send";

struct Sender {
    client: Client,
    access_token: String,
}

impl Sender {
    async fn start(sandbox: &Sandbox) -> Self {
        let client = sandbox.connect("fcm").await;
        let assertion = sandbox.sign_assertion(&sandbox.assertion_claims());
        let answer = client.call(grant(&assertion)).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let access_token = answer.json()["access_token"].as_str().unwrap().to_owned();
        Self { client, access_token }
    }

    async fn send(&self, body: &Value) -> Answer {
        let request = post(SEND, &self.access_token, body.to_string());
        self.client.call(request).await.unwrap()
    }
}

fn grant(assertion: &str) -> Request<Bytes> {
    let form = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
    Request::post("https://localhost/token")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.into())
        .unwrap()
}

fn post(path: &str, access_token: &str, body: String) -> Request<Bytes> {
    Request::post(format!("https://localhost{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {access_token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.into())
        .unwrap()
}

/// A right message, to be made wrong in one way.
fn message() -> Value {
    json!({"message": {
        "token": "device-1:APA91b",
        "notification": {"title": "T", "body": "B", "image": "https://example.com/i.png"},
        "data": {"k": "v"},
        "android": {
            "collapse_key": "ck", "priority": "HIGH", "ttl": "604800s",
            "notification": {"channel_id": "ch"},
        },
    }})
}

fn with(pointer: &str, value: Value) -> Value {
    let mut message = message();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    message.pointer_mut(parent).unwrap()[name] = value;
    message
}

fn fcm_code(answer: &Answer) -> Option<String> {
    detail(answer, "type.googleapis.com/google.firebase.fcm.v1.FcmError")
        .map(|detail| detail["errorCode"].as_str().unwrap().to_owned())
}

fn violations(answer: &Answer) -> Vec<String> {
    let detail = detail(answer, "type.googleapis.com/google.rpc.BadRequest");
    let violations = detail.map(|detail| detail["fieldViolations"].clone());
    let violations = violations.as_ref().and_then(Value::as_array);
    violations.into_iter().flatten().map(|violation| violation["field"].as_str().unwrap().to_owned()).collect()
}

fn detail(answer: &Answer, kind: &str) -> Option<Value> {
    let error = answer.json()["error"].clone();
    let mut details = error["details"].as_array().into_iter().flatten();
    details.find(|detail| detail["@type"] == kind).cloned()
}

#[tokio::test]
async fn every_right_message_is_accepted_over_either_version_of_http() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let cases = [
        message(),
        with("/message/android/priority", json!("high")),
        with("/message/android/priority", json!("normal")),
        with("/message/android/ttl", json!("0s")),
        with("/message/android/ttl", json!("3.5s")),
        with("/message/android/ttl", json!("2419200s")),
        with("/message/android/ttl", Value::Null),
        with("/message/fcmOptions", json!({"analyticsLabel": "l"})),
        with("/message/apns", json!({"payload": {"aps": {"any": ["thing"]}}})),
    ];
    let mut names = std::collections::HashSet::new();
    for body in &cases {
        let answer = sender.send(body).await;
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        let name = answer.json()["name"].as_str().unwrap().to_owned();
        assert!(name.starts_with("projects/fanfare-local/messages/"), "{name}");
        names.insert(name);
    }
    assert_eq!(names.len(), cases.len(), "every message has a name of its own");

    let mut http1 = sandbox.connect_http1("fcm").await;
    let request = || post(SEND, &sender.access_token, message().to_string());
    assert_eq!(http1.call(request()).await.unwrap().status, 200);
    assert_eq!(http1.call(request()).await.unwrap().status, 200);
    assert_eq!(sandbox.get("/deliveries/count?channel=fcm").await, json!({"accepted": cases.len() + 2, "refused": 0}));
}

#[tokio::test]
async fn a_body_of_another_shape_is_refused_field_by_field() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let cases = [
        (json!([]), ""),
        (json!({}), "message"),
        (with("/mesage", json!({})), ""),
        (with("/message/sound", json!("x")), "message"),
        (with("/message/android/channel_id", json!("x")), "message.android"),
        (with("/message/android/notification/colour", json!("x")), "message.android.notification"),
        (with("/message/data/k", json!(1)), "message.data.k"),
        (with("/message/data/k", json!({"a": "b"})), "message.data.k"),
        (with("/message/data", json!([])), "message.data"),
        (with("/message/token", json!(1)), "message.token"),
        (with("/message/notification/title", json!(1)), "message.notification.title"),
        (with("/message/android/priority", json!("URGENT")), "message.android.priority"),
        (with("/message/android/ttl", json!(60)), "message.android.ttl"),
        (with("/message/android/ttl", json!("60")), "message.android.ttl"),
        (with("/message/android/ttl", json!("1h")), "message.android.ttl"),
        (with("/message/android/ttl", json!("s")), "message.android.ttl"),
        (with("/message/apns", json!({"payload": "x"})), "message.apns.payload"),
        (with("/validate_only", json!("yes")), "validate_only"),
    ];
    for (body, field) in cases {
        let answer = sender.send(&body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["error"]["code"], 400);
        assert_eq!(answer.json()["error"]["status"], "INVALID_ARGUMENT");
        assert!(violations(&answer).contains(&field.to_owned()), "{body}: {answer:?}");
    }
    let not_json = post(SEND, &sender.access_token, "{".to_owned());
    let answer = sender.client.call(not_json).await.unwrap();
    assert_eq!((answer.status, violations(&answer).len()), (400, 1));
    let mut form = post(SEND, &sender.access_token, message().to_string());
    form.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(sender.client.call(form).await.unwrap().status, 400);
}

#[tokio::test]
async fn content_that_fcm_does_not_take_is_refused_with_its_error_code() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let both = with("/message/topic", json!("news"));
    let mut neither = message();
    neither["message"].as_object_mut().unwrap().remove("token");
    let cases = [
        (both, "message.token"),
        (neither, "message.token"),
        (with("/message/data/from", json!("x")), "message.data"),
        (with("/message/data/message_type", json!("x")), "message.data"),
        (with("/message/data/google.x", json!("x")), "message.data"),
        (with("/message/data/gcm.notification.x", json!("x")), "message.data"),
        (with("/message/android/data", json!({"from": "x"})), "message.android.data"),
        (with("/message/android/ttl", json!("2419201s")), "message.android.ttl"),
        (with("/message/android/ttl", json!("2419200.1s")), "message.android.ttl"),
        (with("/message/android/ttl", json!("-1s")), "message.android.ttl"),
        (with("/message/data/k", json!("x".repeat(4096))), "message"),
    ];
    for (body, field) in cases {
        let answer = sender.send(&body).await;
        assert_eq!((answer.status, violations(&answer)), (400, vec![field.to_owned()]), "{body}");
        assert_eq!(fcm_code(&answer).as_deref(), Some("INVALID_ARGUMENT"), "{body}");
    }
}

#[tokio::test]
async fn the_payload_may_have_4096_bytes_without_the_address() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let mut bare = with("/message/data/k", json!(""));
    bare["message"].as_object_mut().unwrap().remove("token");
    let room = 4096 - bare["message"].to_string().len();
    for (bytes, status) in [(room, 200), (room + 1, 400)] {
        let body = with("/message/data/k", json!("x".repeat(bytes)));
        assert_eq!(sender.send(&body).await.status, status, "{bytes} bytes");
    }
}

#[tokio::test]
async fn a_token_of_another_form_is_told_in_words_only() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    for token in ["", "two words", "a/b"] {
        let answer = sender.send(&with("/message/token", json!(token))).await;
        assert_eq!(answer.status, 400);
        assert_eq!(fcm_code(&answer).as_deref(), Some("INVALID_ARGUMENT"));
        assert!(violations(&answer).is_empty());
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("registration token is not a valid"), "{message}");
    }
}

#[tokio::test]
async fn a_dry_run_is_answered_and_not_delivered() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let answer = sender.send(&with("/validate_only", json!(true))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(sandbox.get("/deliveries/count").await, json!({"accepted": 0, "refused": 1}));
}

#[tokio::test]
async fn an_access_token_is_needed_and_lasts_an_hour_less_a_second() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let mut without = post(SEND, "", message().to_string());
    without.headers_mut().remove(header::AUTHORIZATION);
    for request in [without, post(SEND, "ya29.made-up", message().to_string())] {
        let answer = sender.client.call(request).await.unwrap();
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["error"]["status"], "UNAUTHENTICATED");
        assert_eq!(fcm_code(&answer), None);
    }
    let second = Sender::start(&sandbox).await;
    sandbox.advance(3598);
    assert_eq!(sender.send(&message()).await.status, 200, "several are valid at a time");
    assert_eq!(second.send(&message()).await.status, 200);
    sandbox.advance(1);
    assert_eq!(sender.send(&message()).await.status, 401);
}

#[tokio::test]
async fn an_unknown_project_or_page_is_not_an_unregistered_token() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    for path in [
        "/v1/projects/another/messages:send",
        "/v1/projects/fanfare-local/messages",
        "/v1/projects//messages:send",
        "/v1/projects/a/b/messages:send",
    ] {
        let request = post(path, &sender.access_token, message().to_string());
        let answer = sender.client.call(request).await.unwrap();
        assert_eq!((answer.status, fcm_code(&answer)), (404, None), "{path}");
    }
    let mut get = post(SEND, &sender.access_token, String::new());
    *get.method_mut() = http::Method::GET;
    assert_eq!(sender.client.call(get).await.unwrap().status, 404);
}

#[tokio::test]
async fn an_assertion_is_checked_in_every_part() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("fcm").await;
    let now = sandbox.now_s();
    let cases = [
        ("iss", json!("stranger@example.com"), "invalid_grant"),
        ("aud", json!("https://oauth2.googleapis.com/token"), "invalid_grant"),
        ("scope", json!("https://www.googleapis.com/auth/drive"), "invalid_scope"),
        ("scope", json!(""), "invalid_scope"),
        ("exp", json!(now + 3601), "invalid_grant"),
        ("exp", json!(now), "invalid_grant"),
        ("iat", json!(now + 1), "invalid_grant"),
        ("iat", Value::Null, "invalid_grant"),
    ];
    for (claim, value, error) in cases {
        let mut claims = sandbox.assertion_claims();
        claims[claim] = value.clone();
        let answer = client.call(grant(&sandbox.sign_assertion(&claims))).await.unwrap();
        assert_eq!(answer.status, 400, "{claim} {value}");
        assert_eq!(answer.json()["error"], error, "{claim} {value}");
    }
    let right = sandbox.sign_assertion(&sandbox.assertion_claims());
    let (signed, _) = right.rsplit_once('.').unwrap();
    let forged = client.call(grant(&format!("{signed}.AAAA"))).await.unwrap();
    assert_eq!(forged.json()["error"], "invalid_grant");
    for (form, error) in [
        (format!("grant_type=password&assertion={right}"), "unsupported_grant_type"),
        ("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned(), "invalid_request"),
    ] {
        let mut request = grant("");
        *request.body_mut() = form.into();
        assert_eq!(client.call(request).await.unwrap().json()["error"], error);
    }
    let answer = client.call(grant(&right)).await.unwrap().json();
    assert_eq!((&answer["expires_in"], &answer["token_type"]), (&json!(3599), &json!("Bearer")));
    assert_eq!(sandbox.get("/deliveries").await, json!([]), "none of it is a push");
}

#[tokio::test]
async fn errors_asked_for_are_answered_in_googles_shape() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let cases = [
        (404, "UNREGISTERED", "NOT_FOUND", true),
        (403, "SENDER_ID_MISMATCH", "PERMISSION_DENIED", true),
        (429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", true),
        (503, "UNAVAILABLE", "UNAVAILABLE", true),
        (500, "INTERNAL", "INTERNAL", true),
        (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", true),
        (401, "THIRD_PARTY_AUTH_ERROR", "UNAUTHENTICATED", true),
        (401, "UNAUTHENTICATED", "UNAUTHENTICATED", false),
        (404, "NOT_FOUND", "NOT_FOUND", false),
    ];
    for (code, reason, status, is_fcm) in cases {
        let error = json!({"share": 1, "status": code, "reason": reason, "retry_after": 7});
        sandbox.behave("fcm", json!({ "errors": [error] })).await;
        let answer = sender.send(&message()).await;
        assert_eq!(answer.status, code, "{reason}");
        assert_eq!(answer.json()["error"]["status"], status, "{reason}");
        assert_eq!(answer.json()["error"]["code"], code, "{reason}");
        assert_eq!(answer.headers["retry-after"], "7", "{reason}");
        assert_eq!(fcm_code(&answer), is_fcm.then(|| reason.to_owned()), "{reason}");
    }
}

#[tokio::test]
async fn dead_and_bad_tokens_are_told_in_googles_way() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let told = async |behaviour| {
        sandbox.behave("fcm", behaviour).await;
        let answer = sender.send(&message()).await;
        (answer.status, fcm_code(&answer))
    };
    let dead = told(json!({"dead_tokens": ["device-1:APA91b"]})).await;
    assert_eq!(dead, (404, Some("UNREGISTERED".to_owned())));
    let other = told(json!({"dead_tokens": ["device-2"]})).await;
    assert_eq!(other, (200, None));
    let bad = told(json!({"all_tokens_bad": true})).await;
    assert_eq!(bad, (403, Some("SENDER_ID_MISMATCH".to_owned())));
}

#[tokio::test]
async fn garbage_may_come_with_a_good_status() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    sandbox.behave("fcm", json!({"garbage": true})).await;
    let answer = sender.send(&message()).await;
    assert_eq!((answer.status, answer.json()), (200, Value::Null));
    assert!(!answer.body.is_empty());
    assert_eq!(sandbox.get("/deliveries/count").await["accepted"], 1);
}

#[tokio::test]
async fn http1_connections_close_and_reset_as_asked() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let request = || post(SEND, &sender.access_token, message().to_string());

    sandbox.behave("fcm", json!({"goaway_after": 1})).await;
    let mut http1 = sandbox.connect_http1("fcm").await;
    let answer = http1.call(request()).await.unwrap();
    assert_eq!((answer.status, &answer.headers["connection"]), (200, &"close".parse().unwrap()));

    sandbox.behave("fcm", json!({"reset_after": 1})).await;
    let mut http1 = sandbox.connect_http1("fcm").await;
    assert_eq!(http1.call(request()).await.unwrap().status, 200);
    assert!(http1.call(request()).await.is_err());
    assert_eq!(sandbox.get("/deliveries/count").await["accepted"], 2);
}

/// Whether each of the requests so far was answered, oldest first.
async fn answered(sandbox: &Sandbox) -> Vec<bool> {
    let entries = sandbox.get("/deliveries").await;
    entries.as_array().unwrap().iter().map(|entry| entry["answered"].as_bool().unwrap()).collect()
}

#[tokio::test]
async fn what_was_processed_and_not_answered_is_recorded_as_such() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let request = || post(SEND, &sender.access_token, message().to_string());
    let lost = json!({"lost": [{"requests": 1, "how": "answer"}, {"requests": 1, "how": "garbage"},
        {"requests": 1, "how": "silence"}, {"requests": 1, "how": "reset"}]});
    let patience = Duration::from_millis(200);

    sandbox.behave("fcm", lost.clone()).await;
    assert_eq!(sender.send(&message()).await.json()["name"].as_str().map(str::is_empty), Some(false));
    assert_eq!(sender.send(&message()).await.json(), Value::Null);
    assert!(timeout(patience, sender.client.call(request())).await.is_err());
    assert!(sender.client.call(request()).await.unwrap_err().is_io());
    assert_eq!(answered(&sandbox).await, [true, false, false, false]);

    sandbox.behave("fcm", lost).await;
    let mut http1 = sandbox.connect_http1("fcm").await;
    assert_eq!(http1.call(request()).await.unwrap().json()["name"].as_str().map(str::is_empty), Some(false));
    assert_eq!(http1.call(request()).await.unwrap().json(), Value::Null);
    assert!(timeout(patience, http1.call(request())).await.is_err());
    let mut http1 = sandbox.connect_http1("fcm").await;
    assert!(http1.call(request()).await.is_err());
    assert_eq!(answered(&sandbox).await, [true, false, false, false].repeat(2));
    assert_eq!(sandbox.get("/deliveries/count").await["accepted"], 8);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_lost_with_its_connection_and_those_under_way_on_it() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let request = || post(SEND, &sender.access_token, message().to_string());
    sandbox.behave("fcm", json!({"latency_ms": 1_000, "lost": [{"requests": 1, "how": "reset"}]})).await;
    let mut http1 = sandbox.connect_http1("fcm").await;
    assert!(timeout(Duration::from_millis(100), http1.call(request())).await.is_err());
    drop(http1);
    let under_way: Vec<_> = (0..3).map(|_| sender.client.start(request()).unwrap()).collect();
    let arrived = async {
        while sandbox.get("/deliveries/count").await["accepted"] != 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_millis(900), arrived).await.expect("they are under way");
    // The first had been lost already; what is under way is lost with the connection's end.
    sandbox.behave("fcm", json!({"reset_after": 0})).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(sender.client.call(request()).await.is_err());
    for answer in under_way {
        assert!(receive(answer).await.is_err());
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(answered(&sandbox).await, [false; 4]);
}

#[tokio::test]
async fn a_vendor_may_speak_http1_only() {
    let sandbox = Sandbox::start().await;
    sandbox.behave("fcm", json!({"http1_only": true})).await;
    let (ca, port) = (sandbox.vendors.ca_pem(), sandbox.port("fcm"));
    let tls = handshake(ca, port, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn a_hundred_streams_are_allowed_from_the_start() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    assert_eq!(sender.client.send.current_max_send_streams(), 100);
}
