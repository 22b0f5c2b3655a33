//! A stack of one's own: the program that `cargo run` starts, on a free port.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanfare::dialect::tencent::task_id::push_id_of;
use fanfare::dialect::tencent::usersig;
use fanfare::domain::{Channel, PushId, Timestamp};
use fanfare::runtime::metrics::MetricName;
use fanfare::store::{Account, AccountStore, LedgerStore, PushStore, RestStore, SnapshotStore};
use reqwest::Method;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use tokio::io::AsyncBufReadExt;
use tokio::process::{Child, Command};

use crate::Socket;

/// The demo app's `SDKAppID`.
pub const SDK_APP_ID: u64 = 1_400_000_000;
/// The demo app's administrator.
pub const ADMIN: &str = "administrator";
const SECRET_KEY: &str = "fanfare-local-secret-key";
/// The demo app's App-Key, and the secret that goes with it.
pub const APP_KEY: &str = "fanfare-local";
/// What the demo app's calls of RongCloud's contract are signed with.
pub const APP_SECRET: &str = "fanfare-local-app-secret";

/// How long anything may take before a story gives up on it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running stack. Ends with the story.
pub struct Stack {
    child: Child,
    base: String,
    http: reqwest::Client,
    /// Seconds that the stack's clock is ahead.
    ahead: AtomicI64,
}

impl Stack {
    /// Starts the program at `path` on a free port, and waits until it is ready.
    pub async fn start(path: &str) -> Self {
        Self::start_with(path, &[]).await
    }

    /// The same, with more arguments.
    pub async fn start_with(path: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(path)
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{path} does not start: {error}"));
        pass_on(child.stderr.take().unwrap().into_owned_fd().unwrap());
        let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(address) = line.strip_prefix("ready on ") {
                    return address.to_owned();
                }
            }
            panic!("the stack ended before it was ready")
        };
        let base = tokio::time::timeout(PATIENCE, ready).await.expect("the stack is ready in time");
        // A client does not start without, though it speaks plain HTTP; whoever comes later finds it there.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { child, base, http, ahead: AtomicI64::new(0) }
    }

    /// Where the stack is, as `http://127.0.0.1:PORT`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The stack's process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the stack runs")
    }

    /// Waits until the stack's process has ended.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the stack ends in time").unwrap()
    }

    /// The stack's time, in seconds since the epoch.
    pub fn now(&self) -> i64 {
        let machine = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        i64::try_from(machine).unwrap() + self.ahead.load(Ordering::Relaxed)
    }

    /// A UserSig of the demo app, good for an hour.
    pub fn user_sig(&self, user: &str) -> String {
        usersig::sign(&SECRET_KEY.to_owned().into(), SDK_APP_ID, user, self.now(), 3_600, None)
    }

    /// A call of the backend: `POST /v4/{call}` as the administrator.
    pub async fn call(&self, call: &str, body: Value) -> Value {
        self.post(&self.server_url(call), body.to_string()).await
    }

    /// A call of the backend that must succeed.
    pub async fn ok(&self, call: &str, body: Value) -> Value {
        let answer = self.call(call, body).await;
        assert_eq!(answer["ErrorCode"], 0, "{call}: {answer}");
        answer
    }

    /// The URL of a call of the backend.
    pub fn server_url(&self, call: &str) -> String {
        let signature = self.user_sig(ADMIN);
        format!(
            "{}/v4/{call}?sdkappid={SDK_APP_ID}&identifier={ADMIN}&usersig={signature}&random=1&contenttype=json",
            self.base
        )
    }

    /// Sends a body as it is, and reads the JSON of the answer.
    pub async fn post(&self, url: &str, body: impl Into<reqwest::Body>) -> Value {
        let answer = self.http.post(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        answer.json().await.unwrap()
    }

    /// A signed call of RongCloud's contract, as the demo app's backend: the status and the JSON of the answer.
    pub async fn signed(&self, path: &str, body: impl Into<reqwest::Body>, content_type: &str) -> (u16, Value) {
        self.signed_as(APP_KEY, APP_SECRET, path, body, content_type, &[]).await
    }

    /// A signed call with a JSON body.
    pub async fn signed_json(&self, path: &str, body: &Value) -> (u16, Value) {
        self.signed(path, body.to_string(), "application/json").await
    }

    /// A signed call with a form.
    pub async fn signed_form(&self, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        self.signed(path, form(fields), "application/x-www-form-urlencoded").await
    }

    /// The same as the backend of any app, with more headers.
    pub async fn signed_as(
        &self,
        app_key: &str,
        app_secret: &str,
        path: &str,
        body: impl Into<reqwest::Body>,
        content_type: &str,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let (nonce, timestamp) = ("14314", self.now().to_string());
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .header("App-Key", app_key)
            .header("Nonce", nonce)
            .header("Timestamp", &timestamp)
            .header("Signature", signature(app_secret, nonce, &timestamp))
            .header("Content-Type", content_type)
            .body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let json = serde_json::from_str(&text);
        (status, json.unwrap_or_else(|_| panic!("{path} was answered {status} without JSON: {text}")))
    }

    /// A call of a client app, as a user: the status and the JSON of the answer.
    pub async fn as_user(&self, user: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(self.user_sig(user));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// Registers a device of a user.
    pub async fn register(&self, user: &str, device: &str, channel: &str, token: &str) {
        let platform = if channel == "apns" { "ios" } else { "android" };
        let body = json!({"platform": platform, "channel": channel, "token": token, "package": "com.example.app",
            "push_enabled": true, "language": "en"});
        let (status, answer) = self.as_user(user, Method::PUT, &format!("/v1/devices/{device}"), Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Opens a socket as a user.
    pub async fn socket(&self, user: &str, device: &str) -> Socket {
        Socket::open(&self.socket_url(user, device)).await
    }

    /// The URL of a user's socket.
    pub fn socket_url(&self, user: &str, device: &str) -> String {
        let base = self.base.replacen("http", "ws", 1);
        format!("{base}/ws?usersig={}&device_id={device}", self.user_sig(user))
    }

    /// Something that the stack itself is asked.
    pub async fn local(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let request = self.http.request(method, format!("{}/_local/{path}", self.base));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap_or(Value::Null)
    }

    /// Moves the stack's clock. What falls due meanwhile has been started when this returns.
    pub async fn advance(&self, secs: i64) {
        self.local(Method::POST, "clock", Some(json!({"advance_seconds": secs}))).await;
        self.ahead.fetch_add(secs, Ordering::Relaxed);
    }

    /// Waits until nothing is queued and nothing runs.
    pub async fn idle(&self) {
        let answer = self.local(Method::GET, "idle?timeout_ms=100000", None).await;
        assert_eq!(answer["idle"], true, "{answer}");
    }

    /// Whether nothing is queued and nothing runs, or no more does before a time is over.
    pub async fn is_idle_within(&self, millis: u64) -> bool {
        self.is_success(&format!("idle?timeout_ms={millis}")).await
    }

    /// The same, and nothing is queued for later either.
    pub async fn is_settled_within(&self, millis: u64) -> bool {
        self.is_success(&format!("idle?timeout_ms={millis}&delayed=true")).await
    }

    async fn is_success(&self, path: &str) -> bool {
        let url = format!("{}/_local/{path}", self.base);
        self.http.get(url).send().await.unwrap().status().is_success()
    }

    /// Waits until nothing runs and nothing can be received. Messages that a dead process had taken may be left.
    pub async fn nothing_runs(&self) {
        let url = format!("{}/_local/idle?timeout_ms=1", self.base);
        let mut quiet = 0;
        // A message between a queue and a function is seen in neither for a moment.
        while quiet < 5 {
            let state: Value = self.http.get(&url).send().await.unwrap().json().await.unwrap();
            let queues = state["queues"].as_object().into_iter().flatten();
            let waiting = queues.filter(|(_, depth)| depth["visible"] != 0).count();
            quiet = if state["running"] == 0 && waiting == 0 { quiet + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The tokens that a vendor accepted notifications for, sorted, each as often as it did.
    pub async fn delivered(&self, channel: &str) -> Vec<String> {
        let deliveries = self.deliveries(channel).await;
        let mut tokens: Vec<String> = deliveries
            .iter()
            .filter(|delivery| delivery["accepted"] == true)
            .map(|delivery| delivery["token"].as_str().unwrap().to_owned())
            .collect();
        tokens.sort_unstable();
        tokens
    }

    /// All that a vendor was sent.
    pub async fn deliveries(&self, channel: &str) -> Vec<Value> {
        let deliveries = self.local(Method::GET, &format!("deliveries?channel={channel}"), None).await;
        deliveries.as_array().unwrap().clone()
    }

    /// What functions have counted by a metric on a channel. A line may come a moment after the work that it counts.
    pub async fn counted(&self, metric: MetricName, channel: Channel) -> u64 {
        let sums = self.local(Method::GET, "metrics", None).await;
        sums[format!("{metric:?}")][channel.name()].as_u64().unwrap_or(0)
    }

    /// Waits for what may take a moment.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("in vain: {what}"));
    }

    /// The account of a push, by channel. RongCloud's contract knows a push by its id.
    pub async fn account(&self, task_id: &str) -> BTreeMap<Channel, Account> {
        let of_rongcloud = || PushId::try_from(task_id.to_owned()).expect("a task id");
        let push = push_id_of(task_id).map_or_else(of_rongcloud, |(_, push)| push);
        let (client, tables) = self.store().await;
        let pushes = PushStore::new(client.clone(), &tables.pushes);
        let ledger = LedgerStore::new(client.clone(), &tables.pushes);
        let accounts = AccountStore::new(
            ledger,
            SnapshotStore::new(client.clone(), &tables.pushes),
            RestStore::new(client, &tables.pushes),
        );
        let push = pushes.get(push).await.unwrap().unwrap();
        accounts.of(&push, Timestamp::from_secs(self.now())).await.unwrap().channels
    }

    /// What an app has spent of its quota: its pushes of the day, and the number of its last one.
    pub async fn spent(&self, app: &str) -> (u32, u64) {
        let (client, tables) = self.store().await;
        let key = |value: String| aws_sdk_dynamodb::types::AttributeValue::S(value);
        let get = client.get_item().table_name(tables.pushes).key("pk", key(format!("{app}#quota")));
        let item = get.key("sk", key("quota".to_owned())).send().await.unwrap().item.unwrap_or_default();
        let number = |name: &str| item.get(name).map_or(0, |value| value.as_n().unwrap().parse().unwrap());
        (u32::try_from(number("c")).unwrap(), number("q"))
    }

    /// The stack's tables, through the SDK, as the functions see them.
    pub async fn store(&self) -> (fanfare::store::Client, fanfare::runtime::config::Tables) {
        let endpoints = self.local(Method::GET, "endpoints", None).await;
        let config = self.sdk_config(endpoints["dynamodb"].as_str().unwrap()).await;
        let table = |name: &str| endpoints["tables"][name].as_str().unwrap().to_owned();
        let tables = fanfare::runtime::config::Tables {
            apps: table("AppsTable"),
            audience: table("AudienceTable"),
            pushes: table("PushesTable"),
        };
        (fanfare::store::Client::new(&config), tables)
    }

    /// What SDK clients of one of the stack's services are made from.
    pub async fn sdk_config(&self, endpoint: &str) -> aws_config::SdkConfig {
        aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12())
            .region("us-east-1")
            .endpoint_url(endpoint)
            .credentials_provider(aws_sdk_dynamodb::config::Credentials::new("story", "story", None, None, "story"))
            .load()
            .await
    }
}

/// Prints a stack's log from a thread of its own: as a thread of the story, its output is shown if the story fails, and only
/// then, and right before what failed.
fn pass_on(log: OwnedFd) {
    std::thread::spawn(move || {
        for line in BufReader::new(File::from(log)).split(b'\n').map_while(Result::ok) {
            eprintln!("{}", String::from_utf8_lossy(&line));
        }
    });
}

/// What RongCloud's contract has its callers sign: SHA-1 over secret, nonce and timestamp, in hexadecimal.
pub fn signature(app_secret: &str, nonce: &str, timestamp: &str) -> String {
    let digest = Sha1::digest(format!("{app_secret}{nonce}{timestamp}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A form as a client sends it.
pub fn form(fields: &[(&str, &str)]) -> String {
    reqwest::Url::parse_with_params("http://form", fields).unwrap().query().unwrap_or_default().to_owned()
}
