//! The sandbox as its clients see it: over TLS, and over the plain HTTP of its routes.

mod apns;
mod client;
mod fcm;
mod harmony;
mod honor;
mod huawei;
mod meizu;
mod oppo;
mod routes;
mod vivo;
mod webpush;
mod xiaomi;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::pkcs8::DecodePrivateKey;
use serde_json::{Value, json};

use self::client::{Client, Http1};
use super::Vendors;

/// 2027-01-15T08:00:00Z.
const START_MS: i64 = 1_800_000_000_000;

struct Sandbox {
    vendors: Vendors,
    now_ms: Arc<AtomicI64>,
    routes: String,
    http: reqwest::Client,
}

impl Sandbox {
    async fn start() -> Self {
        // A client does not start without, though it speaks plain HTTP; whoever comes later finds it there.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let now_ms = Arc::new(AtomicI64::new(START_MS));
        let clock = now_ms.clone();
        let vendors = Vendors::start(Arc::new(move || clock.load(Ordering::SeqCst))).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let routes = format!("http://{}", listener.local_addr().unwrap());
        let router = vendors.routes();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { vendors, now_ms, routes, http: reqwest::Client::new() }
    }

    fn advance(&self, seconds: i64) {
        self.now_ms.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    fn now_s(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst) / 1000
    }

    fn port(&self, channel: &str) -> u16 {
        let credentials = &self.vendors.credentials()[channel];
        let address = credentials["endpoint"].as_str().or(credentials["services"][0].as_str());
        let port = address.unwrap().rsplit_once(':').unwrap().1;
        port.parse().unwrap()
    }

    async fn connect(&self, channel: &str) -> Client {
        Client::connect(self.vendors.ca_pem(), self.port(channel)).await
    }

    async fn connect_http1(&self, channel: &str) -> Http1 {
        Http1::connect(self.vendors.ca_pem(), self.port(channel)).await
    }

    async fn behave(&self, channel: &str, behaviour: Value) -> u16 {
        let url = format!("{}/vendors/{channel}", self.routes);
        let request = self.http.put(url).json(&behaviour);
        request.send().await.unwrap().status().as_u16()
    }

    async fn get(&self, path_and_query: &str) -> Value {
        let url = format!("{}{path_and_query}", self.routes);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// A provider token as the team's key signs it, so many seconds old.
    fn provider_token(&self, age_s: i64) -> String {
        let apns = &self.vendors.credentials()["apns"];
        sign_es256(
            apns["private_key"].as_str().unwrap(),
            apns["key_id"].as_str().unwrap(),
            &json!({ "iss": apns["team_id"], "iat": self.now_s() - age_s }),
        )
    }

    /// The claims of a right assertion, to be changed.
    fn assertion_claims(&self) -> Value {
        let account = &self.vendors.credentials()["fcm"]["service_account"];
        json!({
            "iss": account["client_email"],
            "scope": "https://www.googleapis.com/auth/firebase.messaging",
            "aud": account["token_uri"],
            "iat": self.now_s(),
            "exp": self.now_s() + 3600,
        })
    }

    fn sign_assertion(&self, claims: &Value) -> String {
        let account = &self.vendors.credentials()["fcm"]["service_account"];
        let key = account["private_key"].as_str().unwrap();
        let key = EncodingKey::from_rsa_pem(key.as_bytes()).unwrap();
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), claims, &key).unwrap()
    }
}

fn sign_es256(private_key: &str, key_id: &str, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(key_id.to_owned());
    let key = EncodingKey::from_ec_pem(private_key.as_bytes()).unwrap();
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

#[tokio::test]
async fn credentials_are_those_of_an_app_and_each_vendor_has_its_port() {
    let sandbox = Sandbox::start().await;
    let credentials = sandbox.vendors.credentials();
    assert_eq!(credentials["apns"]["team_id"], "FANFARE001");
    assert_eq!(credentials["apns"]["key_id"], "LOCALKEY01");
    assert_eq!(credentials["apns"]["topic"], "com.example.app");
    let account = &credentials["fcm"]["service_account"];
    assert_eq!(account["project_id"], "fanfare-local");
    let endpoint = credentials["fcm"]["endpoint"].as_str().unwrap();
    assert_eq!(account["token_uri"], format!("{endpoint}/token"));
    assert_ne!(credentials["apns"]["endpoint"], credentials["fcm"]["endpoint"]);
    for key in [&credentials["apns"]["private_key"], &account["private_key"]] {
        let key = key.as_str().unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
    }
    let provider_key = credentials["apns"]["private_key"].as_str().unwrap();
    assert!(p256::ecdsa::SigningKey::from_pkcs8_pem(provider_key).is_ok());
}

#[tokio::test]
async fn ports_close_with_the_vendors() {
    let sandbox = Sandbox::start().await;
    let port = sandbox.port("apns");
    let open = || tokio::net::TcpStream::connect(("127.0.0.1", port));
    assert!(open().await.is_ok());
    drop(sandbox);
    tokio::time::timeout(std::time::Duration::from_secs(5), async {
        while open().await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}
