use bytes::Bytes;
use http::{Request, header};
use serde_json::{Value, json};

use super::{
    Sandbox,
    client::{Answer, Client},
};

const SEND: &str = "/api/v1/104000002/sendMessage";

struct Sender {
    client: Client,
    access_token: String,
}

impl Sender {
    async fn start(sandbox: &Sandbox) -> Self {
        let client = sandbox.connect("honor").await;
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
    let honor = &sandbox.vendors.credentials()["honor"];
    let (id, secret) = (honor["client_id"].as_str().unwrap(), honor["client_secret"].as_str().unwrap());
    format!("grant_type=client_credentials&client_id={id}&client_secret={secret}")
}

fn grant(form: &str) -> Request<Bytes> {
    Request::post("https://localhost/auth/token")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.to_owned().into())
        .unwrap()
}

fn post(path: &str, access_token: &str, body: String) -> Request<Bytes> {
    Request::post(format!("https://localhost{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {access_token}"))
        .header(header::CONTENT_TYPE, "application/json; charset=UTF-8")
        .header("timestamp", super::START_MS)
        .body(body.into())
        .unwrap()
}

/// A right message, to be made wrong in one way.
fn message() -> Value {
    json!({
        "data": "{\"k\":\"v\"}",
        "android": {
            "ttl": "86400s", "targetUserType": 0,
            "notification": {
                "title": "T", "body": "B", "image": "https://example.com/i.png", "importance": "LOW",
                "style": 1, "bigTitle": "T", "bigBody": "BB", "notifyId": 7, "clickAction": {"type": 3},
                "badge": {"addNum": 1, "badgeClass": "com.example.app.MainActivity"},
            },
        },
        "token": ["one", "two"],
    })
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

fn told(answer: &Answer) -> (u16, i64) {
    (answer.status, answer.json()["code"].as_i64().unwrap_or_default())
}

#[tokio::test]
async fn every_right_message_is_accepted_over_either_version_of_http() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let cases = [
        message(),
        with("/android/ttl", json!("1s")),
        with("/android/ttl", json!("1296000s")),
        with("/data", Value::Null),
        with("/notification", json!({"title": "T"})),
        with("/android/notification/clickAction", json!({"type": 2, "url": "https://example.com"})),
        with("/android/notification/badge", json!({"setNum": 0})),
        with("/token", json!(vec!["t"; 1000])),
        json!({"data": "any", "token": ["t"]}),
    ];
    for body in &cases {
        let answer = sender.send(body).await;
        assert_eq!(told(&answer), (200, 200), "{body}: {answer:?}");
        let data = answer.json()["data"].clone();
        assert_eq!((&data["sendResult"], &data["expireTokens"]), (&json!(true), &json!([])));
    }
    let mut http1 = sandbox.connect_http1("honor").await;
    let answer = http1.call(post(SEND, &sender.access_token, message().to_string())).await.unwrap();
    assert_eq!(told(&answer), (200, 200));
    let accepted = 8 * 2 + 1000 + 1;
    assert_eq!(sandbox.get("/deliveries/count?channel=honor").await, json!({"accepted": accepted, "refused": 0}));
}

#[tokio::test]
async fn every_wrong_member_is_refused() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let shown = |name: &str, value: Value| with(&format!("/android/notification/{name}"), value);
    for body in [
        json!([]),
        json!({}),
        json!({"token": ["t"]}),
        with("/message", json!({})),
        with("/android/collapse_key", json!(-1)),
        with("/token", Value::Null),
        with("/token", json!([])),
        with("/token", json!("one")),
        with("/token", json!(vec!["t"; 1001])),
        with("/data", json!({"k": "v"})),
        with("/data", json!("no object")),
        with("/data", json!("x".repeat(4096))),
        with("/android/ttl", json!("0s")),
        with("/android/ttl", json!("1296001s")),
        with("/android/ttl", json!("86400")),
        with("/android/targetUserType", json!(2)),
        shown("title", Value::Null),
        shown("body", json!("")),
        shown("image", json!("http://example.com/i.png")),
        shown("importance", json!("HIGH")),
        shown("clickAction", Value::Null),
        shown("clickAction", json!({"type": 1})),
        shown("clickAction", json!({"type": 4})),
        shown("click_action", json!({"type": 3})),
        shown("badge", json!({"addNum": 100})),
        shown("badge", json!({"setNum": -1})),
        shown("bigTitle", Value::Null),
        shown("style", json!(3)),
        shown("notifyId", json!(2_147_483_648_i64)),
    ] {
        let answer = sender.send(&body).await;
        assert_eq!(told(&answer), (400, 400), "{body}");
        assert!(!answer.json()["message"].as_str().unwrap().is_empty());
    }
    for (name, value) in [("timestamp", "1563105451"), ("timestamp", "now"), ("content-type", "text/plain")] {
        let mut request = post(SEND, &sender.access_token, message().to_string());
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(told(&sender.client.call(request).await.unwrap()), (400, 400), "{name}: {value}");
    }
    assert_eq!(sandbox.get("/deliveries/count?channel=honor").await["accepted"], 0);
}

#[tokio::test]
async fn an_access_token_is_needed_and_lasts_an_hour() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let mut without = post(SEND, "", message().to_string());
    without.headers_mut().remove(header::AUTHORIZATION);
    for request in [without, post(SEND, "made-up", message().to_string())] {
        assert_eq!(told(&sender.client.call(request).await.unwrap()), (401, 401));
    }
    sandbox.advance(3599);
    assert_eq!(told(&sender.send(&message()).await), (200, 200));
    sandbox.advance(1);
    assert_eq!(told(&sender.send(&message()).await), (401, 401));

    let right = form(&sandbox);
    let wrong = sender.client.call(grant(&right.replace("honor-client-01", "104000002"))).await.unwrap();
    assert_eq!((wrong.status, &wrong.json()["error"]), (401, &json!("invalid_client")));
}

#[tokio::test]
async fn another_app_or_page_is_not_found() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    for path in ["/api/v1/104000003/sendMessage", "/v1/104000002/messages:send", "/api/v1/104000002/sendMessage/"] {
        let request = post(path, &sender.access_token, message().to_string());
        assert_eq!(told(&sender.client.call(request).await.unwrap()), (404, 404), "{path}");
    }
}

#[tokio::test]
async fn dead_tokens_are_listed_and_a_test_reaches_no_one() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    sandbox.behave("honor", json!({"dead_tokens": ["two"]})).await;
    let expired = async |body: Value| {
        let answer = sender.send(&body).await;
        assert_eq!(told(&answer), (200, 200));
        let data = answer.json()["data"].clone();
        (data["sendResult"].clone(), data["expireTokens"].clone())
    };
    assert_eq!(expired(message()).await, (json!(true), json!(["two"])));
    assert_eq!(expired(with("/token", json!(["two"]))).await, (json!(false), json!(["two"])));
    assert_eq!(expired(with("/token", json!(["one", "no token"]))).await, (json!(true), json!(["no token"])));
    assert_eq!(sandbox.get("/deliveries/count?channel=honor").await, json!({"accepted": 2, "refused": 3}));
    sandbox.behave("honor", json!({"all_tokens_bad": true})).await;
    assert_eq!(expired(message()).await, (json!(false), json!(["one", "two"])));
    sandbox.behave("honor", json!({})).await;
    assert_eq!(expired(with("/android/targetUserType", json!(1))).await, (json!(true), json!([])));
    assert_eq!(sandbox.get("/deliveries/count?channel=honor").await["accepted"], 2);
}

#[tokio::test]
async fn errors_asked_for_are_answered_to_whole_requests() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let errors = json!([
        {"tokens": ["two"], "status": 200, "reason": "500"},
        {"share": 0.5, "status": 503, "reason": "too fast", "retry_after": 7},
    ]);
    assert_eq!(sandbox.behave("honor", json!({ "errors": errors })).await, 204);
    assert_eq!(told(&sender.send(&message()).await), (200, 500));
    let one = with("/token", json!(["one", "three"]));
    assert_eq!(told(&sender.send(&one).await), (200, 200));
    let answer = sender.send(&one).await;
    assert_eq!((told(&answer), &answer.headers["retry-after"]), ((503, 503), &"7".parse().unwrap()));
    assert_eq!(answer.json()["message"], "too fast");
}
