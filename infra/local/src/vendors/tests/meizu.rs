use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, header};
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::{
    Sandbox,
    client::{Answer, Client},
};

const SEND: &str = "/garcia/api/server/push/varnished/pushByPushId";

type Form = BTreeMap<&'static str, String>;

struct Sender {
    client: Client,
    app_id: String,
    secret: String,
}

impl Sender {
    async fn start(sandbox: &Sandbox) -> Self {
        let credentials = &sandbox.vendors.credentials()["meizu"];
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        Self { client: sandbox.connect("meizu").await, app_id: text("app_id"), secret: text("app_secret") }
    }

    fn form(&self, ids: &str, message: &Value) -> Form {
        [("appId", self.app_id.clone()), ("pushIds", ids.to_owned()), ("messageJson", message.to_string())].into()
    }

    fn signed(&self, mut form: Form) -> Request<Bytes> {
        let text: String = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let digest = Md5::digest(text + &self.secret);
        form.insert("sign", digest.iter().map(|byte| format!("{byte:02x}")).collect());
        post(&form)
    }

    async fn call(&self, request: Request<Bytes>) -> Answer {
        self.client.call(request).await.unwrap()
    }

    async fn send(&self, ids: &str, message: &Value) -> Answer {
        self.call(self.signed(self.form(ids, message))).await
    }
}

fn post(form: &Form) -> Request<Bytes> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    Request::post(format!("https://localhost{SEND}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded;charset=UTF-8")
        .body(body.into())
        .unwrap()
}

/// A right message, to be made wrong in one way.
fn message() -> Value {
    json!({
        "noticeBarInfo": {"noticeMsgType": 1, "noticeBarType": 0, "title": "T", "content": "B & é"},
        "clickTypeInfo": {"clickType": 0, "parameters": {"k": "v"}},
        "pushTimeInfo": {"offLine": 1, "validTime": 72},
        "advanceInfo": {"notifyKey": "aZ09-_01"},
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut message = message();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    message.pointer_mut(parent).unwrap()[name] = value;
    message
}

fn code(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_right_message_is_accepted_for_each_of_its_devices() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let hundred: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let cases = [
        ("one,two", message(), 2),
        ("one", with("/noticeBarInfo/title", json!("你".repeat(32))), 1),
        ("one", with("/noticeBarInfo/content", json!("你".repeat(100))), 1),
        ("one", with("/pushTimeInfo", json!({"offLine": 0})), 1),
        ("one", with("/pushTimeInfo", json!({"validTime": 1})), 1),
        ("one", json!({"noticeBarInfo": {"title": "T", "content": "B"}}), 1),
        ("one", with("/noticeExpandInfo", json!({"noticeExpandType": 1, "noticeExpandContent": "more"})), 1),
        ("one", with("/advanceInfo/notificationType", json!({"sound": 0})), 1),
        (&hundred.join(","), message(), 100),
    ];
    let mut accepted = 0;
    for (ids, message, count) in cases {
        let answer = sender.send(ids, &message).await;
        assert_eq!((code(&answer).as_str(), &answer.json()["value"]), ("200", &json!({})), "{message}: {answer:?}");
        accepted += count;
        assert_eq!(sandbox.get("/deliveries/count?channel=meizu").await, json!({"accepted": accepted, "refused": 0}));
    }
}

#[tokio::test]
async fn a_message_that_meizu_does_not_take_is_refused() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    for message in [
        json!([]),
        json!({}),
        with("/sound", json!("bell")),
        with("/noticeBarInfo/title", json!("")),
        with("/noticeBarInfo/title", Value::Null),
        with("/noticeBarInfo/title", json!("你".repeat(33))),
        with("/noticeBarInfo/content", json!("你".repeat(101))),
        with("/noticeBarInfo/noticeMsgType", json!(2)),
        with("/noticeBarInfo/noticeMsgType", json!("1")),
        with("/noticeBarInfo/noticeBarType", json!(1)),
        with("/noticeBarInfo/icon", json!("i")),
        with("/noticeExpandInfo", json!({"noticeExpandType": 1})),
        with("/clickTypeInfo", json!([])),
        with("/clickTypeInfo/clickType", json!(4)),
        with("/clickTypeInfo/clickType", json!(2)),
        with("/clickTypeInfo/parameters", json!("k=v")),
        with("/clickTypeInfo/parameters", json!({"k": 1})),
        with("/pushTimeInfo/validTime", json!(0)),
        with("/pushTimeInfo/validTime", json!(73)),
        with("/pushTimeInfo/validTime", json!(1.5)),
        with("/pushTimeInfo", json!({"offLine": 1})),
        with("/pushTimeInfo/offLine", json!(2)),
        with("/advanceInfo/notifyKey", json!("123456789")),
        with("/advanceInfo/notifyKey", json!("a.b")),
        with("/advanceInfo/notificationType", json!({"sound": 2})),
        with("/extra", json!({"callback.param": "p"})),
    ] {
        assert_eq!(code(&sender.send("one", &message).await), "1005", "{message}");
    }
    assert_eq!(sandbox.get("/deliveries/count").await, json!({"accepted": 0, "refused": 26}));
}

#[tokio::test]
async fn a_form_is_checked_in_every_field() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let too_many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    for ids in ["one,,two", "one, two", &too_many.join(",")] {
        assert_eq!(code(&sender.send(ids, &message()).await), "1005", "{ids}");
    }
    for name in ["appId", "pushIds", "messageJson"] {
        let mut form = sender.form("one", &message());
        form.remove(name);
        assert_eq!(code(&sender.call(sender.signed(form.clone())).await), "110004", "{name}");
        form.insert(name, String::new());
        assert_eq!(code(&sender.call(sender.signed(form)).await), "110004", "{name}");
    }
    let mut form = sender.form("one", &message());
    form.insert("appId", "1".to_owned());
    assert_eq!(code(&sender.call(sender.signed(form)).await), "110000");
    let mut form = sender.form("one", &message());
    form.insert("taskId", "1".to_owned());
    assert_eq!(code(&sender.call(sender.signed(form)).await), "1005");
    let mut json = sender.signed(sender.form("one", &message()));
    json.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    assert_eq!(code(&sender.call(json).await), "1005");
}

#[tokio::test]
async fn a_request_must_be_signed_as_it_is() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let mut form = sender.form("one", &message());
    assert_eq!(code(&sender.call(post(&form)).await), "110004");
    form.insert("sign", "0".repeat(32));
    assert_eq!(code(&sender.call(post(&form)).await), "1006");
    let signed = sender.signed(sender.form("one", &message()));
    let mut changed = signed.clone();
    let body = String::from_utf8(signed.body().to_vec()).unwrap();
    *changed.body_mut() = body.replace("pushIds=one", "pushIds=two").into();
    assert_ne!(changed.body(), signed.body());
    assert_eq!(code(&sender.call(changed).await), "1006");
    let upper = body.split_once("&sign=").map(|(rest, sign)| format!("{rest}&sign={}", sign.to_uppercase())).unwrap();
    let mut changed = signed.clone();
    *changed.body_mut() = upper.into();
    assert_eq!(code(&sender.call(changed).await), "1006");
    assert_eq!(code(&sender.call(signed).await), "200");
}

#[tokio::test]
async fn other_pages_are_none() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let mut get = sender.signed(sender.form("one", &message()));
    *get.method_mut() = Method::GET;
    let mut other = sender.signed(sender.form("one", &message()));
    *other.uri_mut() = "https://localhost/garcia/api/server/push/unvarnished/pushByPushId".parse().unwrap();
    for request in [get, other] {
        assert_eq!(sender.call(request).await.status, 404);
    }
}

#[tokio::test]
async fn failed_tokens_stand_by_the_number_of_what_they_failed_for() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let error = json!({"tokens": ["two", "three"], "status": 200, "reason": "520"});
    sandbox.behave("meizu", json!({"dead_tokens": ["one", "three"], "errors": [error]})).await;
    let answer = sender.send("one,two,three,four", &message()).await;
    assert_eq!(code(&answer), "200");
    assert_eq!(answer.json()["value"], json!({"110002": ["one"], "520": ["two", "three"]}));
    assert_eq!(sandbox.get("/deliveries/count").await, json!({"accepted": 1, "refused": 3}));
    sandbox.behave("meizu", json!({"all_tokens_bad": true})).await;
    let answer = sender.send("one,two", &message()).await;
    assert_eq!(answer.json()["value"], json!({"110002": ["one", "two"]}));
}

#[tokio::test]
async fn errors_asked_for_are_answered_in_meizus_shape() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    sandbox.behave("meizu", json!({"errors": [{"first": 1, "status": 200, "reason": "110010"}]})).await;
    let answer = sender.send("one,two", &message()).await;
    assert_eq!((code(&answer).as_str(), &answer.json()["value"]), ("110010", &json!("")));
    assert_eq!(code(&sender.send("one,two", &message()).await), "200", "it answers requests, not devices");
    let error = json!({"share": 1, "status": 503, "reason": "1003", "retry_after": 7});
    sandbox.behave("meizu", json!({ "errors": [error] })).await;
    let answer = sender.send("one", &message()).await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (503, &"7".parse().unwrap()));
    assert_eq!(answer.json()["code"], "1003");
    assert_eq!(sandbox.get("/deliveries/count").await, json!({"accepted": 2, "refused": 3}));
}
