use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::{Value, json};

use super::{
    Sandbox,
    client::{Answer, Client},
};

const SEND: &str = "/v3/message/regid";

type Form = BTreeMap<String, String>;

struct Sender {
    client: Client,
    secret: String,
}

impl Sender {
    async fn start(sandbox: &Sandbox) -> Self {
        let secret = sandbox.vendors.credentials()["xiaomi"]["app_secret"].as_str().unwrap().to_owned();
        Self { client: sandbox.connect("xiaomi").await, secret }
    }

    fn post(&self, form: &Form) -> Request<Bytes> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        Request::post(format!("https://localhost{SEND}"))
            .header(header::AUTHORIZATION, format!("key={}", self.secret))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.into())
            .unwrap()
    }

    async fn send(&self, form: &Form) -> Answer {
        self.client.call(self.post(form)).await.unwrap()
    }
}

/// A right message to three devices, to be made wrong in one way.
fn message() -> Form {
    let fields = [
        ("registration_id", "one,two,three"),
        ("restricted_package_name", "com.example.app"),
        ("pass_through", "0"),
        ("title", "T"),
        ("description", "B"),
        ("payload", r#"{"k":"v"}"#),
        ("notify_type", "-1"),
        ("notify_id", "7"),
        ("time_to_live", "86400000"),
        ("extra.channel_id", "ch"),
        ("extra.notify_effect", "1"),
        ("extra.jobkey", "k0-_"),
        ("extra.notification_large_icon_uri", "https://example.com/i.png"),
        ("extra.sound_uri", "android.resource://com.example.app/raw/bell"),
    ];
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn with(name: &str, value: impl Into<String>) -> Form {
    let mut form = message();
    form.insert(name.to_owned(), value.into());
    form
}

fn without(name: &str) -> Form {
    let mut form = message();
    form.remove(name).unwrap();
    form
}

fn code(answer: &Answer) -> i64 {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["result"], if body["code"] == 0 { "ok" } else { "error" });
    body["code"].as_i64().unwrap()
}

#[tokio::test]
async fn every_right_message_is_accepted_for_each_of_its_devices() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let thousand: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    let cases = [
        (message(), 3),
        (without("payload"), 3),
        (without("time_to_live"), 3),
        (without("extra.jobkey"), 3),
        (with("title", "你".repeat(49)), 3),
        (with("description", "你".repeat(127)), 3),
        (with("payload", "x".repeat(4_095)), 3),
        (with("time_to_live", "864000000"), 3),
        (with("registration_id", "d/+="), 1),
        (with("registration_id", thousand.join(",")), 1_000),
    ];
    let mut accepted = 0;
    for (form, count) in cases {
        let answer = sender.send(&form).await;
        assert_eq!(code(&answer), 0, "{form:?}: {answer:?}");
        assert!(answer.json()["data"].get("bad_regids").is_none());
        accepted += count;
        assert_eq!(sandbox.get("/deliveries/count?channel=xiaomi").await, json!({"accepted": accepted, "refused": 0}));
    }
    let told = sandbox.get("/deliveries?channel=xiaomi&token=two").await;
    assert_eq!(told[0]["request"]["headers"]["authorization"], "***", "the secret is not for everybody to read");
}

#[tokio::test]
async fn what_xiaomi_does_not_take_is_refused_with_its_number() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let too_many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    let mut crowded = message();
    for name in ["only_send_once", "callback", "callback.param", "callback.type", "notification_style_type", "web_uri"]
    {
        crowded.insert(format!("extra.{name}"), "1".to_owned());
    }
    let cases = [
        (without("registration_id"), 10016),
        (without("restricted_package_name"), 10016),
        (without("title"), 10016),
        (without("description"), 10016),
        (without("extra.channel_id"), 10016),
        (with("registration_id", ""), 10017),
        (with("registration_id", "one,,two"), 10017),
        (with("registration_id", "one, two"), 10017),
        (with("registration_id", too_many.join(",")), 10017),
        (with("restricted_package_name", "com.example.other"), 22022),
        (with("title", " \u{3000}"), 10017),
        (with("title", "你".repeat(50)), 65009),
        (with("description", "\n"), 10017),
        (with("description", "你".repeat(128)), 65009),
        (with("payload", "x".repeat(4_096)), 65009),
        (with("pass_through", "1"), 10017),
        (with("notify_type", "8"), 10017),
        (with("notify_id", "-1"), 10017),
        (with("notify_id", "2147483648"), 10017),
        (with("time_to_live", "0"), 10017),
        (with("time_to_live", "864000001"), 10017),
        (with("time_to_live", "1d"), 10017),
        (with("extra.channel_id", ""), 10017),
        (with("extra.notify_effect", "3"), 10017),
        (with("extra.jobkey", "_key"), 10017),
        (with("extra.jobkey", "k".repeat(21)), 10017),
        (with("extra.notification_large_icon_uri", "icon.png"), 10017),
        (with("extra.sound_uri", "bell"), 10017),
        (with("extra.colour", "red"), 10017),
        (with("sound", "bell"), 10017),
        (with("extra.web_uri", "x".repeat(1_024)), 65015),
        (crowded, 65014),
    ];
    let count = cases.len() as u64;
    for (form, expected) in cases {
        assert_eq!(code(&sender.send(&form).await), expected, "{form:?}");
    }
    assert_eq!(sandbox.get("/deliveries/count").await["accepted"], 0);
    assert!(sandbox.get("/deliveries/count").await["refused"].as_u64().unwrap() > count);
}

#[tokio::test]
async fn a_body_of_another_kind_is_no_message() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let mut json = sender.post(&message());
    json.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    let mut twice = sender.post(&message());
    *twice.body_mut() = [twice.body(), &b"&title=U"[..]].concat().into();
    let mut binary = sender.post(&message());
    *binary.body_mut() = [binary.body(), &b"&payload=%FF"[..]].concat().into();
    for request in [json, twice, binary] {
        assert_eq!(code(&sender.client.call(request).await.unwrap()), 10012);
    }
}

#[tokio::test]
async fn the_secret_is_needed_and_its_scheme_is_written_small() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    for value in [String::new(), "key=".to_owned(), "key=x".to_owned(), format!("Key={}", sender.secret)] {
        let mut request = sender.post(&message());
        request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
        assert_eq!(code(&sender.client.call(request).await.unwrap()), 21301, "{value}");
    }
    let mut request = sender.post(&message());
    request.headers_mut().remove(header::AUTHORIZATION);
    assert_eq!(code(&sender.client.call(request).await.unwrap()), 21301);
}

#[tokio::test]
async fn other_pages_are_none() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let mut get = sender.post(&message());
    *get.method_mut() = Method::GET;
    let mut other = sender.post(&message());
    *other.uri_mut() = "https://localhost/v2/message/regid".parse().unwrap();
    for request in [get, other] {
        assert_eq!(sender.client.call(request).await.unwrap().status, 404);
    }
}

#[tokio::test]
async fn dead_tokens_are_named_unless_all_are() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    sandbox.behave("xiaomi", json!({"dead_tokens": ["one", "three", "four"]})).await;
    let answer = sender.send(&message()).await;
    assert_eq!((code(&answer), &answer.json()["data"]["bad_regids"]), (0, &json!("one,three")));
    assert_eq!(sandbox.get("/deliveries/count").await, json!({"accepted": 1, "refused": 2}));
    assert_eq!(code(&sender.send(&with("registration_id", "four")).await), 20301);
    sandbox.behave("xiaomi", json!({"all_tokens_bad": true})).await;
    assert_eq!(code(&sender.send(&message()).await), 20301);
    assert_eq!(sandbox.get("/deliveries/count").await, json!({"accepted": 1, "refused": 6}));
}

#[tokio::test]
async fn errors_asked_for_are_answered_in_xiaomis_shape() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let error = |more: Value| {
        let mut error = json!({"status": 200, "reason": "10027"});
        error.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "errors": [error] })
    };
    sandbox.behave("xiaomi", error(json!({"first": 1}))).await;
    assert_eq!(code(&sender.send(&message()).await), 10027);
    assert_eq!(code(&sender.send(&message()).await), 0, "it answers requests, not devices");
    sandbox.behave("xiaomi", error(json!({"tokens": ["two"]}))).await;
    assert_eq!(code(&sender.send(&message()).await), 10027);
    assert_eq!(code(&sender.send(&with("registration_id", "four")).await), 0);
    sandbox.behave("xiaomi", error(json!({"share": 1, "status": 503, "reason": "busy", "retry_after": 7}))).await;
    let answer = sender.send(&message()).await;
    assert_eq!((answer.status, &answer.headers["retry-after"], answer.body.len()), (503, &"7".parse().unwrap(), 0));
}
