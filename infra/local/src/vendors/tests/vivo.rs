use bytes::Bytes;
use http::{Request, header};
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::{
    Sandbox,
    client::{Answer, Client},
};

const AUTH: &str = "/message/auth";
const SEND: &str = "/message/send";
const SAVE: &str = "/message/saveListPayload";
const SEND_TO_LIST: &str = "/message/pushToList";
/// What stands for all of vivo's numbers that are not established.
const WRONG: i64 = 10_999;

struct Sender {
    client: Client,
    auth_token: String,
}

impl Sender {
    async fn start(sandbox: &Sandbox) -> Self {
        let client = sandbox.connect("vivo").await;
        let answer = client.call(post(AUTH, "", &wish(sandbox, 0))).await.unwrap();
        assert_eq!(answer.json()["result"], 0, "{answer:?}");
        let auth_token = answer.json()["authToken"].as_str().unwrap().to_owned();
        Self { client, auth_token }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.client.call(post(path, &self.auth_token, body)).await.unwrap()
    }

    async fn result(&self, path: &str, body: &Value) -> Value {
        self.post(path, body).await.json()["result"].clone()
    }

    async fn saved(&self) -> Value {
        self.post(SAVE, &message()).await.json()["taskId"].clone()
    }
}

/// A right request for a token, made so many seconds ago.
fn wish(sandbox: &Sandbox, age_s: i64) -> Value {
    let vivo = sandbox.vendors.credentials()["vivo"].clone();
    let [id, key, secret] = ["app_id", "app_key", "app_secret"].map(|name| vivo[name].as_str().unwrap());
    let timestamp = (sandbox.now_s() - age_s) * 1_000;
    let sign = base16ct::lower::encode_string(&Md5::digest(format!("{id}{key}{timestamp}{secret}")));
    json!({"appId": id.parse::<u64>().unwrap(), "appKey": key, "timestamp": timestamp, "sign": sign})
}

fn post(path: &str, auth_token: &str, body: &Value) -> Request<Bytes> {
    Request::post(format!("https://localhost{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("authToken", auth_token)
        .body(body.to_string().into())
        .unwrap()
}

/// A right message, to be made wrong in one way.
fn message() -> Value {
    json!({
        "appId": 10_004, "notifyType": 4, "title": "T", "content": "C", "timeToLive": 60, "skipType": 1,
        "classification": 1, "category": "IM", "clientCustomMap": {"k": "v"}, "requestId": "r",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut message = message();
    message[name] = value;
    message
}

fn without(name: &str) -> Value {
    let mut message = message();
    message.as_object_mut().unwrap().remove(name);
    message
}

fn to(token: &str, mut message: Value) -> Value {
    message["regId"] = token.into();
    message
}

fn list(task: &Value, tokens: &[&str]) -> Value {
    json!({"appId": 10_004, "regIds": tokens, "taskId": task, "requestId": tokens.concat()})
}

#[tokio::test]
async fn right_messages_are_accepted_over_either_version_of_http() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    for (n, mut message) in [
        message(),
        with("appId", json!("10004")),
        without("appId"),
        without("category"),
        without("classification"),
        with("timeToLive", json!(86_400)),
        with("content", json!("字".repeat(100))),
    ]
    .into_iter()
    .enumerate()
    {
        message["requestId"] = n.to_string().into();
        let answer = sender.post(SEND, &to("1", message.clone())).await.json();
        assert_eq!(answer["result"], 0, "{message}: {answer}");
        assert!(answer["taskId"].is_string() && answer.get("invalidUsers").is_none());
        assert_eq!(sender.result(SAVE, &message).await, 0, "{message}");
    }
    let task = sender.saved().await;
    assert_eq!(sender.result(SEND_TO_LIST, &list(&task, &["1", "2"])).await, 0);
    assert_eq!(sender.result(SEND_TO_LIST, &list(&task, &["3", "4"])).await, 0, "to others too");
    let mut http1 = sandbox.connect_http1("vivo").await;
    let request = post(SEND, &sender.auth_token, &to("5", with("requestId", json!("last"))));
    assert_eq!(http1.call(request).await.unwrap().json()["result"], 0);
    assert_eq!(sandbox.get("/deliveries/count?channel=vivo").await, json!({"accepted": 12, "refused": 0}));
}

#[tokio::test]
async fn every_faulty_member_has_its_result() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    for (message, result) in [
        (with("unknown", json!(1)), WRONG),
        (with("appId", json!(10_005)), 10_094),
        (without("notifyType"), WRONG),
        (with("notifyType", json!(0)), WRONG),
        (with("notifyType", json!("1")), WRONG),
        (without("title"), WRONG),
        (with("title", json!("")), WRONG),
        (with("title", json!("题".repeat(41))), WRONG),
        (without("content"), WRONG),
        (with("content", json!("字".repeat(101))), WRONG),
        (with("timeToLive", json!(59)), WRONG),
        (with("timeToLive", json!(86_401)), WRONG),
        (without("skipType"), WRONG),
        (with("skipType", json!(5)), WRONG),
        (with("skipType", json!(2)), WRONG),
        (with("classification", json!(2)), WRONG),
        (with("classification", json!("1")), WRONG),
        (with("category", json!("im")), 10_096),
        (with("category", json!("MARKETING")), 10_097),
        (with("clientCustomMap", json!({"k": 1})), WRONG),
        (with("clientCustomMap", json!({"k": "x".repeat(1_024)})), WRONG),
        (without("requestId"), WRONG),
        (with("requestId", json!("x".repeat(65))), WRONG),
        (with("pushMode", json!(2)), WRONG),
        (with("notifyId", json!(0)), WRONG),
        (with("notifyId", json!(2_147_483_648_i64)), WRONG),
        (json!([]), WRONG),
    ] {
        assert_eq!(sender.result(SAVE, &message).await, result, "{message}");
        if message.is_object() {
            assert_eq!(sender.result(SEND, &to("1", message.clone())).await, result, "{message}");
        }
    }
    assert_eq!(sender.result(SEND, &message()).await, WRONG, "without a receiver");
    assert_eq!(sender.result(SAVE, &to("1", message())).await, WRONG, "with a receiver");
    assert_eq!(sandbox.get("/deliveries/count?channel=vivo").await["accepted"], 0);
}

#[tokio::test]
async fn a_list_has_two_to_a_thousand_receivers_of_a_message_that_was_saved() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let task = sender.saved().await;
    let tokens: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let right = |count: usize| {
        let mut list = list(&task, &tokens[..count]);
        list["requestId"] = count.to_string().into();
        list
    };
    let changed = |name: &str, value: Value| {
        let mut list = right(2);
        list[name] = value;
        list
    };
    for (list, result) in [
        (right(1), WRONG),
        (right(2), 0),
        (right(1_000), 0),
        (right(1_001), WRONG),
        (changed("taskId", json!("another")), WRONG),
        (changed("taskId", json!(null)), WRONG),
        (changed("appId", json!(1)), 10_094),
        (changed("regIds", json!([1, 2])), WRONG),
        (changed("requestId", json!("")), WRONG),
        (changed("title", json!("T")), WRONG),
    ] {
        assert_eq!(sender.result(SEND_TO_LIST, &list).await, result);
    }
    assert_eq!(sandbox.get("/deliveries/count?channel=vivo").await["accepted"], 1_002);
}

#[tokio::test]
async fn a_token_is_needed_and_lasts_a_day() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    for path in [SEND, SAVE, SEND_TO_LIST] {
        let answer = sender.client.call(post(path, "made-up", &to("1", message()))).await.unwrap();
        assert_eq!(answer.json()["result"], 10_000, "{path}");
    }
    let mut form = post(SEND, &sender.auth_token, &to("1", message()));
    form.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(sender.client.call(form).await.unwrap().json()["result"], WRONG);
    let second = Sender::start(&sandbox).await;
    sandbox.advance(86_399);
    assert_eq!(sender.result(SAVE, &message()).await, 0);
    assert_eq!(second.result(SAVE, &message()).await, 0, "several are valid at a time");
    sandbox.advance(1);
    assert_eq!(sender.result(SAVE, &message()).await, 10_000);
    assert_eq!(sender.post("/message/all", &message()).await.status, 404);
    let mut get = post(SEND, &sender.auth_token, &message());
    *get.method_mut() = http::Method::GET;
    assert_eq!(sender.client.call(get).await.unwrap().status, 405);
}

#[tokio::test]
async fn a_wish_for_a_token_is_checked_in_every_part() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("vivo").await;
    let result = async |wish: &Value| client.call(post(AUTH, "", wish)).await.unwrap().json()["result"].clone();
    for name in ["appId", "appKey", "timestamp", "sign"] {
        for value in [json!(null), json!(1), json!("1")] {
            let mut wish = wish(&sandbox, 0);
            wish[name] = value;
            assert_eq!(result(&wish).await, WRONG, "{wish}");
            sandbox.advance(1);
        }
    }
    for (age_s, expected) in [(600, 0), (601, WRONG), (-600, 0), (-601, WRONG)] {
        assert_eq!(result(&wish(&sandbox, age_s)).await, expected, "{age_s}");
    }
    let mut by_text = wish(&sandbox, 0);
    by_text["appId"] = "10004".into();
    by_text["timestamp"] = by_text["timestamp"].to_string().into();
    assert_eq!(result(&by_text).await, 0);
    assert_eq!(sandbox.get("/deliveries").await, json!([]), "none of it is a push");
}

#[tokio::test]
async fn ten_tokens_a_second_may_be_asked_for() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("vivo").await;
    let result = async || client.call(post(AUTH, "", &wish(&sandbox, 0))).await.unwrap().json()["result"].clone();
    for n in 0..11 {
        assert_eq!(result().await, if n < 10 { 0 } else { 10_072 }, "{n}");
    }
    sandbox.advance(1);
    assert_eq!(result().await, 0);
}

#[tokio::test]
async fn a_repetition_is_answered_and_not_sent() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let task = sender.saved().await;
    for (path, body) in [(SEND, to("1", message())), (SEND_TO_LIST, list(&task, &["2", "3"]))] {
        let first = sender.post(path, &body).await.json();
        assert_eq!(sender.post(path, &body).await.json(), first);
    }
    assert_eq!(sandbox.get("/deliveries/count?channel=vivo").await, json!({"accepted": 3, "refused": 3}));
}

#[tokio::test]
async fn users_who_cannot_be_sent_to_are_named() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let task = sender.saved().await;
    let told = async |behaviour: Value| {
        assert_eq!(sandbox.behave("vivo", behaviour).await, 204);
        let many = sender.post(SEND_TO_LIST, &list(&task, &["1", "2", "no/id"])).await.json();
        let one = sender.post(SEND, &to("2", message())).await.json();
        assert_eq!(many["result"], 0);
        (many["invalidUsers"].clone(), one["result"].clone(), one["invalidUsers"].clone())
    };
    let user = |id: &str, status: i64| json!({"userid": id, "status": status});
    let bad = user("no/id", 1);
    assert_eq!(told(json!({})).await, (json!([bad]), json!(0), Value::Null));
    let dead = told(json!({"dead_tokens": ["2"]})).await;
    assert_eq!(dead, (json!([user("2", 1), bad]), json!(10_302), json!([user("2", 1)])));
    let all = told(json!({"all_tokens_bad": true})).await;
    assert_eq!(all, (json!([user("1", 1), user("2", 1), bad]), json!(10_302), json!([user("2", 1)])));
    let error = json!({"tokens": ["1"], "status": 200, "reason": "4"});
    let of_one = told(json!({"errors": [error]})).await;
    assert_eq!(of_one, (json!([user("1", 4), bad]), json!(0), Value::Null));
}

#[tokio::test]
async fn errors_asked_for_are_answered_in_vivos_shape() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let task = sender.saved().await;
    for (status, result) in [(200, 10_072), (200, 10_000), (200, 10_070), (503, 10_999)] {
        let error = json!({"tokens": ["2"], "status": status, "reason": result.to_string(), "retry_after": 7});
        assert_eq!(sandbox.behave("vivo", json!({"errors": [error]})).await, 204);
        for (path, body) in [(SEND, to("2", message())), (SEND_TO_LIST, list(&task, &["1", "2"]))] {
            let answer = sender.post(path, &body).await;
            assert_eq!((answer.status, &answer.json()["result"]), (status, &json!(result)));
            assert_eq!(answer.headers["retry-after"], "7");
        }
    }
    assert_eq!(sandbox.get("/deliveries/count?channel=vivo").await, json!({"accepted": 0, "refused": 12}));
}
