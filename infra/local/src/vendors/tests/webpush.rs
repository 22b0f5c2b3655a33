use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::{SecretKey, pkcs8::DecodePrivateKey};
use serde_json::{Value, json};
use web_push_native::{Auth, p256::PublicKey};

use super::{
    Sandbox,
    client::{Answer, Client},
};

/// An app that pushes to browsers.
struct Sender<'a> {
    sandbox: &'a Sandbox,
    client: Client,
    private_key: String,
    public_key: String,
}

impl<'a> Sender<'a> {
    async fn start(sandbox: &'a Sandbox) -> Self {
        let credentials = sandbox.vendors.credentials();
        let private_key = credentials["webpush"]["private_key"].as_str().unwrap().to_owned();
        let public_key = SecretKey::from_pkcs8_pem(&private_key).unwrap().public_key().to_sec1_bytes();
        let public_key = URL_SAFE_NO_PAD.encode(public_key);
        Self { sandbox, client: sandbox.connect("webpush").await, private_key, public_key }
    }

    /// The claims of a right token, to be changed.
    fn claims(&self) -> Value {
        let origin = format!("https://localhost:{}", self.sandbox.port("webpush"));
        json!({"aud": origin, "exp": self.sandbox.now_s() + 3600, "sub": "mailto:push@example.com"})
    }

    fn authorization(&self, claims: &Value) -> String {
        let key = EncodingKey::from_ec_pem(self.private_key.as_bytes()).unwrap();
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &key).unwrap();
        format!("vapid t={token}, k={}", self.public_key)
    }

    /// A right request, to be changed.
    fn request(&self, name: &str, body: Vec<u8>) -> Request<Bytes> {
        Request::post(format!("https://localhost/push/{name}"))
            .header(header::AUTHORIZATION, self.authorization(&self.claims()))
            .header(header::CONTENT_ENCODING, "aes128gcm")
            .header("ttl", "60")
            .header("urgency", "high")
            .header("topic", "a-topic_1")
            .body(body.into())
            .unwrap()
    }

    async fn send(&self, request: Request<Bytes>) -> Answer {
        self.client.call(request).await.unwrap()
    }

    /// A text encrypted for the browser of that name.
    async fn encrypted(&self, name: &str, text: &str) -> Vec<u8> {
        let keys = self.subscription(name).await["keys"].clone();
        let decoded = |key: &str| URL_SAFE_NO_PAD.decode(keys[key].as_str().unwrap()).unwrap();
        let key = PublicKey::from_sec1_bytes(&decoded("p256dh")).unwrap();
        let auth = Auth::clone_from_slice(&decoded("auth"));
        let mut message = web_push_native::encrypt(text.as_bytes().to_vec(), &key, &auth).unwrap();
        // The library names the very size of the record, and RFC 8291 wants it to be more.
        message[16..20].copy_from_slice(&4096_u32.to_be_bytes());
        message
    }

    async fn subscription(&self, name: &str) -> Value {
        self.sandbox.get(&format!("/vendors/webpush/subscriptions/{name}")).await
    }
}

#[tokio::test]
async fn a_message_is_accepted_and_recorded_as_the_browser_reads_it() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let message = sender.encrypted("anne", r#"{"text":"hi"}"#).await;
    let answer = sender.send(sender.request("anne", message.clone())).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.headers.contains_key(header::LOCATION));
    let mut http1 = sandbox.connect_http1("webpush").await;
    assert_eq!(http1.call(sender.request("anne", message)).await.unwrap().status, 201);

    let deliveries = sandbox.get("/deliveries?channel=webpush").await;
    let delivery = &deliveries[0];
    assert_eq!(delivery["request"]["body"], json!({"text": "hi"}));
    assert_eq!(delivery["request"]["headers"]["authorization"], "vapid ***");
    let mut subscription = sender.subscription("anne").await;
    subscription.as_object_mut().unwrap().remove("expirationTime");
    assert_eq!(delivery["token"], subscription.to_string());
}

#[tokio::test]
async fn every_wrong_message_is_refused() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let right = sender.encrypted("anne", "text").await;
    let changed = |name: &'static str, value: Option<&str>| {
        let mut request = sender.request("anne", right.clone());
        match value {
            Some(value) => request.headers_mut().insert(name, value.parse().unwrap()),
            None => request.headers_mut().remove(name),
        };
        request
    };
    let with_size = |size: u32| {
        let mut message = right.clone();
        message[16..20].copy_from_slice(&size.to_be_bytes());
        message
    };
    let record = right.len() as u32 - 86;
    let mut tampered = right.clone();
    *tampered.last_mut().unwrap() ^= 1;
    let mut fetched = sender.request("anne", right.clone());
    *fetched.method_mut() = http::Method::PUT;
    for (what, request, status) in [
        ("no ttl", changed("ttl", None), 400),
        ("a ttl that is no number", changed("ttl", Some("-1")), 400),
        ("no encoding", changed("content-encoding", None), 400),
        ("the encoding of a draft", changed("content-encoding", Some("aesgcm")), 400),
        ("an urgency that is none", changed("urgency", Some("urgent")), 400),
        ("a topic that is too long", changed("topic", Some(&"x".repeat(33))), 400),
        ("a topic with other letters", changed("topic", Some("a topic")), 400),
        ("nothing", sender.request("anne", Vec::new()), 400),
        ("a record as long as records are", sender.request("anne", with_size(record)), 400),
        ("a tampered message", sender.request("anne", tampered), 400),
        ("another browser's message", sender.request("bert", right.clone()), 400),
        ("a message that is too long", sender.request("anne", vec![0; 4_097]), 413),
        ("no browser", sender.request("a.b", right.clone()), 404),
        ("another method", fetched, 405),
    ] {
        let answer = sender.send(request).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    assert_eq!(sender.send(sender.request("anne", with_size(record + 1))).await.status, 201);
    assert_eq!(sandbox.get("/deliveries/count?channel=webpush").await["accepted"], 1);
}

#[tokio::test]
async fn an_app_must_prove_itself_with_the_key_that_the_browser_knows() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let message = sender.encrypted("anne", "text").await;
    let now = sandbox.now_s();
    let with = |name: &str, value: Value| {
        let mut claims = sender.claims();
        claims[name] = value;
        sender.authorization(&claims)
    };
    let right = sender.authorization(&sender.claims());
    let (token, key) = right.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
    let other_key = format!("B{}", "A".repeat(86));
    for (authorization, status) in [
        (right.clone(), 201),
        (format!("VAPID k={key},t={token}"), 201),
        (with("exp", json!(now + 86_400)), 201),
        (with("exp", json!(now + 86_401)), 403),
        (with("exp", json!(now)), 403),
        (with("aud", json!("https://push.example.net")), 403),
        (with("sub", json!("somebody")), 403),
        (format!("vapid t={token}, k={other_key}"), 403),
        (format!("vapid t={token}x, k={key}"), 403),
        (format!("vapid t={token}"), 401),
        (format!("Bearer {token}"), 401),
        (String::new(), 401),
    ] {
        let mut request = sender.request("anne", message.clone());
        request.headers_mut().insert(header::AUTHORIZATION, authorization.parse().unwrap());
        let answer = sender.send(request).await;
        assert_eq!(answer.status, status, "{authorization}: {answer:?}");
    }
}

#[tokio::test]
async fn behaviours_name_a_browser_by_its_name_or_its_token() {
    let sandbox = Sandbox::start().await;
    let sender = Sender::start(&sandbox).await;
    let mut token = sender.subscription("bert").await;
    token.as_object_mut().unwrap().remove("expirationTime");
    let behaviour = json!({
        "dead_tokens": ["anne", token.to_string()],
        "errors": [{"tokens": ["carl"], "status": 429, "reason": "slow down", "retry_after": 30}],
    });
    assert_eq!(sandbox.behave("webpush", behaviour).await, 204);
    for (name, status) in [("anne", 410), ("bert", 410), ("carl", 429), ("dora", 201)] {
        let message = sender.encrypted(name, "text").await;
        let answer = sender.send(sender.request(name, message)).await;
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(answer.headers.contains_key(header::RETRY_AFTER), status == 429);
    }
    assert_eq!(sandbox.get("/deliveries/count?channel=webpush").await, json!({"accepted": 1, "refused": 3}));
}

#[tokio::test]
async fn only_browsers_have_subscriptions() {
    let sandbox = Sandbox::start().await;
    for path in ["apns/subscriptions/anne", "webpush/subscriptions/a.b", "pigeon/subscriptions/anne"] {
        let request = sandbox.http.get(format!("{}/vendors/{path}", sandbox.routes));
        assert_eq!(request.send().await.unwrap().status(), 404, "{path}");
    }
}
