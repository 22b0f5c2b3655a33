use bytes::Bytes;
use http::{Request, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Sandbox,
    client::{Answer, Client},
};

const AUTH: &str = "/server/v1/auth";
const SEND: &str = "/server/v1/message/notification/unicast_batch";

struct Sender {
    client: Client,
    auth_token: String,
}

impl Sender {
    async fn start(sandbox: &Sandbox) -> Self {
        let client = sandbox.connect("oppo").await;
        let answer = client.call(post(AUTH, &wish(sandbox, 0))).await.unwrap();
        assert_eq!(answer.json()["code"], 0, "{answer:?}");
        let auth_token = answer.json()["data"]["auth_token"].as_str().unwrap().to_owned();
        Self { client, auth_token }
    }

    async fn send(&self, messages: &Value) -> Answer {
        let form = [("auth_token", self.auth_token.clone()), ("messages", messages.to_string())];
        self.client.call(post(SEND, &form)).await.unwrap()
    }

    async fn code(&self, messages: &Value) -> Value {
        self.send(messages).await.json()["code"].clone()
    }
}

/// A right request for a token, made so many seconds ago.
fn wish(sandbox: &Sandbox, age_s: i64) -> [(&'static str, String); 3] {
    let oppo = sandbox.vendors.credentials()["oppo"].clone();
    let (key, secret) = (oppo["app_key"].as_str().unwrap(), oppo["master_secret"].as_str().unwrap());
    let timestamp = ((sandbox.now_s() - age_s) * 1_000).to_string();
    let sign = base16ct::lower::encode_string(&Sha256::digest(format!("{key}{timestamp}{secret}")));
    [("app_key", key.to_owned()), ("timestamp", timestamp), ("sign", sign)]
}

fn post(path: &str, form: &[(&str, String)]) -> Request<Bytes> {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    Request::post(format!("https://localhost{path}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.into())
        .unwrap()
}

/// A right message, to be made wrong in one way.
fn message(token: &str) -> Value {
    json!({"target_type": 2, "target_value": token, "notification": {
        "app_message_id": format!("push-{token}"), "style": 1, "title": "T", "content": "C", "click_action_type": 0,
        "action_parameters": "{\"k\":\"v\"}", "off_line": true, "off_line_ttl": 864_000, "channel_id": "ch",
        "category": "IM", "notify_level": 16, "private_msg_template_id": "t", "private_title_parameters": {"a": "b"},
    }})
}

fn with(name: &str, value: Value) -> Value {
    let mut message = message("CN_1");
    message["notification"][name] = value;
    json!([message])
}

fn without(name: &str) -> Value {
    let mut message = message("CN_1");
    message["notification"].as_object_mut().unwrap().remove(name);
    json!([message])
}

#[tokio::test]
async fn right_messages_are_accepted_over_either_version_of_http() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let answer = sender.send(&json!([message("CN_1"), message("CN_2")])).await.json();
    assert_eq!(answer["code"], 0, "{answer}");
    let data = answer["data"].as_array().unwrap();
    assert_eq!((&data[0]["registrationId"], &data[1]["registrationId"]), (&json!("CN_1"), &json!("CN_2")));
    assert!(data[0]["messageId"] != data[1]["messageId"] && data[0].get("errorCode").is_none());
    for (n, messages) in [
        with("off_line", json!(false)),
        with("content", json!("字".repeat(50))),
        without("app_message_id"),
        without("category")
            .as_array_mut()
            .map(|all| {
                all[0]["notification"].as_object_mut().unwrap().remove("notify_level");
                json!(all)
            })
            .unwrap(),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(sender.code(&messages).await, 0, "{n}: {messages}");
    }
    let mut http1 = sandbox.connect_http1("oppo").await;
    let form = [("auth_token", sender.auth_token.clone()), ("messages", json!([message("CN_3")]).to_string())];
    assert_eq!(http1.call(post(SEND, &form)).await.unwrap().json()["code"], 0);
}

#[tokio::test]
async fn every_faulty_member_has_its_code() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let other = |name: &str, value: Value| {
        let mut message = message("CN_1");
        message[name] = value;
        json!([message])
    };
    let mut long = with("style", json!(2));
    long[0]["notification"]["content"] = "字".repeat(129).into();
    for (messages, code) in [
        (json!([]), 41),
        (json!({}), 41),
        (json!([1]), 41),
        (json!((0..1_001).map(|_| message("CN_1")).collect::<Vec<_>>()), 41),
        (other("target_type", json!(5)), 41),
        (other("target_value", json!(1)), 41),
        (other("target_value", json!("")), 40),
        (other("notification", json!("x")), 41),
        (json!([{"target_type": 2, "target_value": "CN_1"}]), 40),
        (other("unknown", json!(1)), 41),
        (with("unknown", json!(1)), 41),
        (without("title"), 40),
        (with("title", json!("")), 40),
        (with("title", json!("题".repeat(51))), 41),
        (with("sub_title", json!("x".repeat(11))), 41),
        (without("content"), 40),
        (with("content", json!("字".repeat(51))), 41),
        (long, 41),
        (with("style", json!(3)), 41),
        (with("click_action_type", json!(3)), 41),
        (with("action_parameters", json!({})), 41),
        (with("action_parameters", json!("[]")), 41),
        (with("action_parameters", json!(json!({"k": "x".repeat(4_000)}).to_string())), 41),
        (with("off_line", json!("true")), 41),
        (with("off_line_ttl", json!(0)), 41),
        (with("off_line_ttl", json!(864_001)), 41),
        (with("notify_level", json!(4)), 41),
        (without("category"), 67),
        (with("private_title_parameters", json!({"a": 1})), 41),
    ] {
        let answer = sender.send(&messages).await;
        assert_eq!((answer.status, &answer.json()["code"]), (200, &json!(code)), "{answer:?}");
    }
    assert_eq!(sandbox.get("/deliveries/count?channel=oppo").await["accepted"], 0);
}

#[tokio::test]
async fn a_token_is_needed_and_lasts_a_day() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let messages = json!([message("CN_1")]);
    let call =
        async |form: &[(&str, String)]| sender.client.call(post(SEND, form)).await.unwrap().json()["code"].clone();
    assert_eq!(call(&[("messages", messages.to_string())]).await, 29);
    assert_eq!(call(&[("auth_token", "made-up".to_owned()), ("messages", messages.to_string())]).await, 11);
    assert_eq!(call(&[("auth_token", sender.auth_token.clone())]).await, 40);
    let mut by_header = post(SEND, &[("messages", messages.to_string())]);
    by_header.headers_mut().insert("auth_token", sender.auth_token.parse().unwrap());
    assert_eq!(sender.client.call(by_header).await.unwrap().json()["code"], 0);
    let mut no_form = post(SEND, &[("auth_token", sender.auth_token.clone()), ("messages", messages.to_string())]);
    no_form.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    assert_eq!(sender.client.call(no_form).await.unwrap().json()["code"], 41);
    let second = Sender::start(&sandbox).await;
    sandbox.advance(86_399);
    assert_eq!(sender.code(&messages).await, 0);
    assert_eq!(second.code(&messages).await, 0, "several are valid at a time");
    sandbox.advance(1);
    assert_eq!(sender.code(&messages).await, 11);
}

#[tokio::test]
async fn a_wish_for_a_token_is_checked_in_every_part() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("oppo").await;
    let code = async |form: &[(&str, String)]| client.call(post(AUTH, form)).await.unwrap().json()["code"].clone();
    for (field, missing, wrong) in [(0, 15, 14), (1, 18, 19), (2, 17, 16)] {
        let mut form = wish(&sandbox, 0).to_vec();
        form[field].1 = "0".to_owned();
        assert_eq!(code(&form).await, wrong, "{field}");
        form.remove(field);
        assert_eq!(code(&form).await, missing, "{field}");
    }
    assert_eq!(code(&wish(&sandbox, 600)).await, 0);
    assert_eq!(code(&wish(&sandbox, 601)).await, 19);
    assert_eq!(code(&wish(&sandbox, -601)).await, 19);
    assert_eq!(sandbox.get("/deliveries").await, json!([]), "none of it is a push");
    for path in ["/server/v1/message/notification/broadcast", "/"] {
        assert_eq!(client.call(post(path, &[])).await.unwrap().status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_repetition_is_answered_and_not_sent() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let messages = json!([message("CN_1")]);
    let first = sender.send(&messages).await.json();
    assert_eq!(sender.send(&messages).await.json(), first);
    assert_eq!(sandbox.get("/deliveries/count?channel=oppo").await, json!({"accepted": 1, "refused": 1}));
}

#[tokio::test]
async fn bad_tokens_and_errors_of_one_are_told_beside_it() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let messages = json!([message("CN_1"), message("CN_2"), message("no/id")]);
    let told = async |behaviour: Value| {
        assert_eq!(sandbox.behave("oppo", behaviour).await, 204);
        let answer = sender.send(&messages).await.json();
        assert_eq!(answer["code"], 0);
        answer["data"].as_array().unwrap().iter().map(|one| one["errorCode"].as_i64()).collect::<Vec<_>>()
    };
    let dead = Some(10_000);
    assert_eq!(told(json!({})).await, [None, None, dead]);
    assert_eq!(told(json!({"dead_tokens": ["CN_2"]})).await, [None, dead, dead]);
    assert_eq!(told(json!({"all_tokens_bad": true})).await, [dead, dead, dead]);
    let off = json!({"errors": [{"tokens": ["CN_1"], "status": 200, "reason": "10001"}]});
    assert_eq!(told(off).await, [Some(10_001), None, dead]);
}

#[tokio::test]
async fn errors_asked_for_are_answered_in_oppos_shape() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let messages = json!([message("CN_1"), message("CN_2")]);
    for (status, code) in [(200, -2), (200, 11), (200, 33), (503, -1)] {
        let error = json!({"tokens": ["CN_2"], "status": status, "reason": code.to_string(), "retry_after": 7});
        assert_eq!(sandbox.behave("oppo", json!({"errors": [error]})).await, 204);
        let answer = sender.send(&messages).await;
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)));
        assert_eq!(answer.headers["retry-after"], "7");
    }
    assert_eq!(sandbox.get("/deliveries/count?channel=oppo").await, json!({"accepted": 0, "refused": 8}));
}
