use bytes::Bytes;
use http::{Request, header};
use serde_json::{Value, json};

use super::{
    Sandbox,
    client::{Answer, Client},
};

const SEND: &str = "/v1/104000001/messages:send";
const TOKEN: &str = "/oauth2/v3/token";

struct Sender {
    client: Client,
    access_token: String,
}

impl Sender {
    async fn start(sandbox: &Sandbox) -> Self {
        let client = sandbox.connect("huawei").await;
        let answer = client.call(grant(&form(sandbox))).await.unwrap();
        assert_eq!((answer.status, &answer.json()["expires_in"]), (200, &json!(3600)));
        let access_token = answer.json()["access_token"].as_str().unwrap().to_owned();
        Self { client, access_token }
    }

    async fn send(&self, body: &Value) -> Answer {
        self.client.call(post(SEND, &self.access_token, body.to_string())).await.unwrap()
    }
}

fn form(sandbox: &Sandbox) -> String {
    let secret = sandbox.vendors.credentials()["huawei"]["client_secret"].as_str().unwrap().to_owned();
    format!("grant_type=client_credentials&client_id=104000001&client_secret={secret}")
}

fn grant(form: &str) -> Request<Bytes> {
    Request::post(format!("https://localhost{TOKEN}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.to_owned().into())
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
    json!({"validate_only": false, "message": {
        "data": "{\"k\":\"v\"}",
        "android": {
            "collapse_key": -1, "category": "IM", "ttl": "86400s",
            "notification": {
                "title": "T", "body": "B", "image": "https://example.com/i.png", "channel_id": "ch",
                "importance": "NORMAL", "sound": "/raw/bell", "default_sound": false,
                "style": 1, "big_title": "T", "big_body": "BB", "notify_id": 7,
                "click_action": {"type": 3}, "badge": {"add_num": 1, "class": "com.example.app.MainActivity"},
            },
        },
        "token": ["one", "two"],
    }})
}

fn with(pointer: &str, value: Value) -> Value {
    let mut message = message();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = message.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => parent.remove(name),
        value => parent.insert(name.to_owned(), value),
    };
    message
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_right_message_is_accepted_over_either_version_of_http() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let shown = "/message/android/notification";
    let cases = [
        message(),
        with("/message/android/ttl", json!("1")),
        with("/message/android/ttl", json!("1296000s")),
        with("/message/android/collapse_key", json!(100)),
        with("/message/data", Value::Null),
        with("/message/notification", json!({"title": "T"})),
        with(&format!("{shown}/click_action"), json!({"type": 2, "url": "https://example.com"})),
        with(&format!("{shown}/click_action"), json!({"type": 1, "action": "a"})),
        with(&format!("{shown}/badge"), json!({"set_num": 0})),
        with("/message/token", json!(vec!["t"; 1000])),
        // A message for the app, of any text.
        json!({"message": {"data": "any", "token": ["t"]}}),
    ];
    for body in &cases {
        let answer = sender.send(body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (200, "80000000"), "{body}: {answer:?}");
        assert!(answer.json()["requestId"].is_string());
    }
    let mut http1 = sandbox.connect_http1("huawei").await;
    let request = post(SEND, &sender.access_token, message().to_string());
    assert_eq!(code(&http1.call(request).await.unwrap()), "80000000");
    let accepted = 10 * 2 + 1000 + 1;
    assert_eq!(sandbox.get("/deliveries/count?channel=huawei").await, json!({"accepted": accepted, "refused": 0}));
}

#[tokio::test]
async fn every_wrong_member_has_its_code() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let shown = |name: &str, value: Value| with(&format!("/message/android/notification/{name}"), value);
    let cases = [
        (json!([]), "80100003"),
        (json!({}), "80100003"),
        (with("/mesage", json!({})), "80100003"),
        (with("/message/topic", json!("t")), "80100003"),
        (with("/message/android/priority", json!("HIGH")), "80100003"),
        (with("/message/token", Value::Null), "80100001"),
        (with("/message/token", json!([])), "80100001"),
        (with("/message/token", json!("one")), "80100003"),
        (with("/message/token", json!(vec!["t"; 1001])), "80300010"),
        (with("/message/data", json!({"k": "v"})), "80100003"),
        (with("/message/data", json!("no object")), "80100003"),
        (with("/message/data", json!("x".repeat(4096))), "80300008"),
        (with("/message/android/ttl", json!("0s")), "80100004"),
        (with("/message/android/ttl", json!("1296001s")), "80100004"),
        (with("/message/android/ttl", json!("+5s")), "80100004"),
        (with("/message/android/ttl", json!(86400)), "80100003"),
        (with("/message/android/collapse_key", json!(101)), "80100013"),
        (with("/message/android/collapse_key", json!(-2)), "80100013"),
        (with("/message/android/category", json!("im")), "80100003"),
        (with("/message/android/urgency", json!("HIGH")), "80300011"),
        (with("/message/android/notification", Value::Null), ""),
        (shown("title", Value::Null), "80100003"),
        (shown("title", json!("")), "80100003"),
        (shown("body", Value::Null), "80100003"),
        (shown("image", json!("http://example.com/i.png")), "80100003"),
        (shown("sound", json!("bell")), "80100003"),
        (shown("sound", Value::Null), "80100003"),
        (shown("importance", json!("HIGH")), "80300011"),
        (shown("importance", json!("normal")), "80100003"),
        (shown("click_action", Value::Null), "80100003"),
        (shown("click_action", json!({"type": 4})), "80100003"),
        (shown("click_action", json!({"type": 1})), "80100003"),
        (shown("click_action", json!({"type": 2, "url": "http://example.com"})), "80100003"),
        (shown("badge", json!({"add_num": 0})), "80100003"),
        (shown("badge", json!({"set_num": 100})), "80100003"),
        (shown("big_body", Value::Null), "80100003"),
        (shown("style", json!(2)), "80100003"),
        (shown("notify_id", json!(2_147_483_648_i64)), "80100003"),
        (shown("channelId", json!("ch")), "80100003"),
    ];
    for (body, expected) in cases {
        let answer = sender.send(&body).await;
        // A message without notification is one for the app.
        let expected = if expected.is_empty() { "80000000" } else { expected };
        assert_eq!((answer.status, code(&answer).as_str()), (200, expected), "{body}: {answer:?}");
    }
    let mut text = post(SEND, &sender.access_token, message().to_string());
    text.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    for request in [text, post(SEND, &sender.access_token, "{".to_owned())] {
        assert_eq!(code(&sender.client.call(request).await.unwrap()), "80100003");
    }
}

#[tokio::test]
async fn an_access_token_is_needed_and_lasts_an_hour() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let mut without = post(SEND, "", message().to_string());
    without.headers_mut().remove(header::AUTHORIZATION);
    for request in [without, post(SEND, "made-up", message().to_string())] {
        assert_eq!(code(&sender.client.call(request).await.unwrap()), "80200001");
    }
    sandbox.advance(3599);
    assert_eq!(code(&sender.send(&message()).await), "80000000");
    sandbox.advance(1);
    assert_eq!(code(&sender.send(&message()).await), "80200003");
    assert_eq!(sandbox.get("/deliveries/count?channel=huawei").await, json!({"accepted": 2, "refused": 6}));
}

#[tokio::test]
async fn a_token_is_granted_to_the_app_only() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("huawei").await;
    let right = form(&sandbox);
    for (form, status, error) in [
        (right.replace("client_credentials", "password"), 400, "unsupported_grant_type"),
        (right.replace("104000001", "104000002"), 401, "invalid_client"),
        (format!("{right}x"), 401, "invalid_client"),
        (String::new(), 400, "unsupported_grant_type"),
    ] {
        let answer = client.call(grant(&form)).await.unwrap();
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)), "{form}");
    }
    let mut json = grant(&right);
    json.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    assert_eq!(client.call(json).await.unwrap().status, 400);
    assert_eq!(sandbox.get("/deliveries").await, json!([]), "none of it is a push");
}

#[tokio::test]
async fn another_app_or_page_is_refused() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let call = async |path: &str| {
        let request = post(path, &sender.access_token, message().to_string());
        let answer = sender.client.call(request).await.unwrap();
        (answer.status, code(&answer))
    };
    assert_eq!(call("/v1/104000002/messages:send").await, (200, "80300002".to_owned()));
    for path in ["/v1/104000001/messages", "/v1//messages:send", "/v2/104000001/messages:send"] {
        assert_eq!(call(path).await, (404, String::new()), "{path}");
    }
}

#[tokio::test]
async fn dead_tokens_are_told_in_a_text_that_is_json() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    sandbox.behave("huawei", json!({"dead_tokens": ["two"]})).await;
    let answer = sender.send(&message()).await;
    assert_eq!(code(&answer), "80100000");
    let partial: Value = serde_json::from_str(answer.json()["msg"].as_str().unwrap()).unwrap();
    assert_eq!(partial, json!({"success": 1, "failure": 1, "illegal_tokens": ["two"]}));
    let entries = sandbox.get("/deliveries?channel=huawei").await;
    let accepted: Vec<_> = entries.as_array().unwrap().iter().map(|entry| entry["accepted"].clone()).collect();
    assert_eq!(accepted, [true, false]);

    let answer = sender.send(&with("/message/token", json!(["two"]))).await;
    assert_eq!(code(&answer), "80300007");
    let answer = sender.send(&with("/message/token", json!(["one", "no token"]))).await;
    assert_eq!(code(&answer), "80100000");
    sandbox.behave("huawei", json!({"all_tokens_bad": true})).await;
    assert_eq!(code(&sender.send(&message()).await), "80300007");
}

#[tokio::test]
async fn errors_asked_for_are_answered_to_whole_requests() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let errors = json!([
        {"tokens": ["two"], "status": 200, "reason": "80300002"},
        {"share": 0.5, "status": 503, "reason": "80000000", "retry_after": 7},
    ]);
    assert_eq!(sandbox.behave("huawei", json!({ "errors": errors })).await, 204);
    assert_eq!(code(&sender.send(&message()).await), "80300002");
    let one = with("/message/token", json!(["one", "three"]));
    assert_eq!(code(&sender.send(&one).await), "80000000");
    let answer = sender.send(&one).await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (503, &"7".parse().unwrap()));
    assert_eq!(sandbox.get("/deliveries/count?channel=huawei").await, json!({"accepted": 2, "refused": 4}));
}

#[tokio::test]
async fn a_dry_run_is_answered_and_not_delivered() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    assert_eq!(code(&sender.send(&with("/validate_only", json!(true))).await), "80000000");
    assert_eq!(sandbox.get("/deliveries/count?channel=huawei").await["accepted"], 0);
}
