use std::collections::HashSet;

use bytes::Bytes;
use http::{Request, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{
    Sandbox,
    client::{Answer, Client},
};

const SEND: &str = "/v3/101653523863/messages:send";

struct Sender {
    client: Client,
    token: String,
}

impl Sender {
    async fn start(sandbox: &Sandbox) -> Self {
        Self { client: sandbox.connect("harmony").await, token: sign(sandbox, "fanfare-local-key", &claims(sandbox)) }
    }

    async fn send(&self, body: &Value) -> Answer {
        self.client.call(post(SEND, &self.token, body.to_string())).await.unwrap()
    }
}

/// The claims of a right token, to be changed.
fn claims(sandbox: &Sandbox) -> Value {
    json!({
        "iss": "fanfare-local-account",
        "aud": "https://oauth-login.cloud.huawei.com/oauth2/v3/token",
        "iat": sandbox.now_s(),
        "exp": sandbox.now_s() + 3600,
    })
}

fn sign(sandbox: &Sandbox, key_id: &str, claims: &Value) -> String {
    sign_with(sandbox, Algorithm::PS256, key_id, claims)
}

fn sign_with(sandbox: &Sandbox, algorithm: Algorithm, key_id: &str, claims: &Value) -> String {
    let credentials = &sandbox.vendors.credentials()["harmony"];
    let key = EncodingKey::from_rsa_pem(credentials["private_key"].as_str().unwrap().as_bytes()).unwrap();
    let mut header = Header::new(algorithm);
    header.kid = Some(key_id.to_owned());
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

fn post(path: &str, token: &str, body: String) -> Request<Bytes> {
    Request::post(format!("https://localhost{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("push-type", "0")
        .body(body.into())
        .unwrap()
}

/// A right message, to be made wrong in one way.
fn message() -> Value {
    json!({
        "payload": {"notification": {
            "category": "IM", "title": "T", "body": "B", "image": "https://example.com/i.png",
            "clickAction": {"actionType": 0, "data": {"k": ["v"]}}, "badge": {"addNum": 1},
            "sound": "bell.mp3", "soundDuration": 5, "notifyId": 1, "appMessageId": "id",
        }},
        "target": {"token": ["t1", "t2"]},
        "pushOptions": {"ttl": 86_400, "collapseKey": -1, "biTag": "b", "receiptId": "r", "testMessage": false},
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut message = message();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    message.pointer_mut(parent).unwrap()[name] = value;
    message
}

fn to(tokens: &[String]) -> Value {
    with("/target/token", json!(tokens))
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

/// `msg` of a partial failure: JSON, as text.
fn partial(answer: &Answer) -> Value {
    serde_json::from_str(answer.json()["msg"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn every_right_message_is_accepted_over_either_version_of_http() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let thousand: Vec<String> = (0..1000).map(|n| format!("t{n}")).collect();
    let mut without_options = message();
    without_options.as_object_mut().unwrap().remove("pushOptions");
    let cases = [
        message(),
        without_options,
        to(&thousand),
        with("/pushOptions/ttl", json!(1)),
        with("/pushOptions/ttl", json!(1_296_000)),
        with("/payload/notification/badge", json!({"setNum": 0})),
        with("/payload/notification/category", json!("MARKETING")),
        with("/payload/notification/body", json!("x".repeat(3_500))),
    ];
    for body in &cases {
        let answer = sender.send(body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (200, "80000000"), "{answer:?}");
    }
    let mut http1 = sandbox.connect_http1("harmony").await;
    let answer = http1.call(post(SEND, &sender.token, message().to_string())).await.unwrap();
    assert_eq!(code(&answer), "80000000");
    let accepted = 2 * cases.len() + 998 + 2;
    assert_eq!(sandbox.get("/deliveries/count?channel=harmony").await, json!({"accepted": accepted, "refused": 0}));
}

#[tokio::test]
async fn every_wrong_message_has_its_code() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let many: Vec<String> = (0..1001).map(|n| format!("t{n}")).collect();
    let mut eleven_tests = to(&many[..11]);
    eleven_tests["pushOptions"]["testMessage"] = true.into();
    let shown = |name: &str, value: Value| with(&format!("/payload/notification/{name}"), value);
    let mut without_category = message();
    without_category["payload"]["notification"].as_object_mut().unwrap().remove("category");
    for (body, expected) in [
        (json!([]), "80100003"),
        (json!({}), "80100003"),
        (without_category, "80100003"),
        (shown("colour", json!("red")), "80100003"),
        (shown("title", json!(1)), "80100003"),
        (shown("clickAction", Value::Null), "80100003"),
        (with("/pushOptions/ttl", json!("86400s")), "80100003"),
        (shown("title", json!("")), "80100001"),
        (shown("category", json!("im")), "80100001"),
        (shown("image", json!("http://example.com/i.png")), "80100001"),
        (shown("badge", json!({})), "80100001"),
        (shown("badge", json!({"addNum": 1, "setNum": 1})), "80100001"),
        (shown("badge", json!({"setNum": 100})), "80100001"),
        (shown("badge", json!({"addNum": 0})), "80100001"),
        (shown("soundDuration", json!(0)), "80100001"),
        (shown("soundDuration", json!(61)), "80100001"),
        (shown("notifyId", json!(-1)), "80100001"),
        (shown("appMessageId", json!("x".repeat(65))), "80100001"),
        (shown("appMessageId", json!("x!")), "80100001"),
        (shown("clickAction", json!({"actionType": 2})), "80100001"),
        (with("/pushOptions/ttl", json!(0)), "80100004"),
        (with("/pushOptions/ttl", json!(1_296_001)), "80100004"),
        (with("/pushOptions/collapseKey", json!(101)), "80100013"),
        (shown("body", json!("x".repeat(4_096))), "80300008"),
        (to(&[]), "80100001"),
        (to(&many), "80300010"),
        (eleven_tests, "80300029"),
    ] {
        let answer = sender.send(&body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (400, expected), "{answer:?}");
        assert!(!answer.json()["msg"].as_str().unwrap().is_empty());
    }
    assert_eq!(sandbox.get("/deliveries/count?channel=harmony").await["accepted"], 0);
}

#[tokio::test]
async fn a_request_that_is_no_alert_or_goes_elsewhere_is_refused() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let mut request = post(SEND, &sender.token, message().to_string());
    request.headers_mut().remove("push-type");
    assert_eq!(code(&sender.client.call(request).await.unwrap()), "80100001");
    let mut request = post(SEND, &sender.token, message().to_string());
    request.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(code(&sender.client.call(request).await.unwrap()), "80100001");
    let elsewhere = post("/v3/1/messages:send", &sender.token, message().to_string());
    assert_eq!(sender.client.call(elsewhere).await.unwrap().status, 404);
}

#[tokio::test]
async fn a_token_must_be_the_accounts_and_of_the_present() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("harmony").await;
    let now = sandbox.now_s();
    let changed = |name: &str, value: Value| {
        let mut claims = claims(&sandbox);
        claims[name] = value;
        sign(&sandbox, "fanfare-local-key", &claims)
    };
    let right = claims(&sandbox);
    for (token, expected) in [
        (sign(&sandbox, "fanfare-local-key", &right), "80000000"),
        (changed("exp", json!(now + 86_400)), "80000000"),
        (changed("exp", json!(now + 86_401)), "80300036"),
        (changed("exp", json!(now)), "80200005"),
        (changed("iat", json!(now + 1)), "80200001"),
        (changed("iss", json!("another")), "80200001"),
        (changed("aud", json!("https://example.com")), "80200001"),
        (sign(&sandbox, "another", &right), "80200001"),
        (sign_with(&sandbox, Algorithm::RS256, "fanfare-local-key", &right), "80200001"),
        ("none".to_owned(), "80200001"),
    ] {
        let answer = client.call(post(SEND, &token, message().to_string())).await.unwrap();
        let status = [("800", 200), ("802", 401), ("803", 400)].iter().find(|(begin, _)| expected.starts_with(begin));
        assert_eq!((answer.status, code(&answer).as_str()), (status.unwrap().1, expected), "{answer:?}");
    }
    sandbox.advance(3_600);
    let answer = client.call(post(SEND, &sign(&sandbox, "fanfare-local-key", &right), message().to_string()));
    assert_eq!(code(&answer.await.unwrap()), "80200005");
}

#[tokio::test]
async fn dead_tokens_fail_in_part_and_all_bad_ones_together() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    sandbox.behave("harmony", json!({"dead_tokens": ["t2"]})).await;
    let answer = sender.send(&to(&["t1", "t2", "t 3"].map(str::to_owned))).await;
    assert_eq!((answer.status, code(&answer).as_str()), (200, "80100000"));
    let msg = partial(&answer);
    assert_eq!((&msg["success"], &msg["failure"]), (&json!(1), &json!(2)));
    assert_eq!(msg["illegalTokens"]["tokenFormatError"], json!(["t2", "t 3"]));
    assert_eq!(sandbox.get("/deliveries/count?channel=harmony").await, json!({"accepted": 1, "refused": 2}));

    sandbox.behave("harmony", json!({"all_tokens_bad": true})).await;
    let answer = sender.send(&message()).await;
    assert_eq!((answer.status, code(&answer).as_str()), (400, "80300007"));
    assert_eq!(partial(&answer)["failure"], 2);
    let bad: HashSet<String> =
        serde_json::from_value(partial(&answer)["illegalTokens"]["tokenFormatError"].clone()).unwrap();
    assert_eq!(bad, HashSet::from(["t1", "t2"].map(str::to_owned)));
}

#[tokio::test]
async fn errors_are_answered_to_whole_requests_with_a_status_and_a_number() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let errors = json!({"errors": [
        {"first": 1, "status": 200, "reason": "81000001"},
        {"tokens": ["t2"], "status": 503, "reason": "80300008", "retry_after": 9},
    ]});
    assert_eq!(sandbox.behave("harmony", errors).await, 204);
    let answer = sender.send(&message()).await;
    assert_eq!((answer.status, code(&answer).as_str()), (200, "81000001"));
    let answer = sender.send(&message()).await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (503, "9"));
    assert_eq!(code(&sender.send(&to(&["t1".to_owned()])).await), "80000000");
    assert_eq!(sandbox.get("/deliveries/count?channel=harmony").await, json!({"accepted": 1, "refused": 4}));
}
