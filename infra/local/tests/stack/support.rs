//! A stack on a free port, and ways to ask it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fanfare_local::lambda::Program;
use fanfare_local::logs::{Level, Logs};
use fanfare_local::stack::{Options, Stack};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub struct Running {
    stack: Stack,
    pub http: Client,
}

/// A client, which does not start without what encrypts, though it speaks plain HTTP; whoever comes later finds it there.
pub fn client() -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::new()
}

impl Running {
    pub async fn start() -> Self {
        let stack = Stack::start(options()).await.unwrap();
        Self { stack, http: client() }
    }

    pub async fn stop(self) {
        self.stack.stop().await;
    }

    pub fn address(&self) -> SocketAddr {
        self.stack.address()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub async fn get(&self, path: &str) -> reqwest::Result<Response> {
        self.http.get(self.url(path)).send().await
    }

    pub async fn put(&self, path: &str, body: &Value) -> reqwest::Result<Response> {
        self.http.put(self.url(path)).json(body).send().await?.error_for_status()
    }

    pub async fn delete(&self, path: &str) -> reqwest::Result<Response> {
        self.http.delete(self.url(path)).send().await?.error_for_status()
    }

    /// What `/_local` answers.
    pub async fn local(&self, path: &str) -> reqwest::Result<Value> {
        self.get(&format!("/_local{path}")).await?.error_for_status()?.json().await
    }

    /// Has the probe do something.
    pub async fn act(&self, action: &str, body: &str) -> reqwest::Result<Response> {
        let request = self.http.post(self.url(&format!("/do/{action}"))).header("content-type", "text/plain");
        request.body(body.to_owned()).send().await
    }

    pub async fn idle(&self) -> reqwest::Result<Value> {
        self.local("/idle?timeout_ms=10000").await
    }

    pub async fn advance(&self, seconds: u64) -> reqwest::Result<Value> {
        let request = self.http.post(self.url("/_local/clock")).json(&json!({"advance_seconds": seconds}));
        request.send().await?.error_for_status()?.json().await
    }

    pub async fn function(&self, name: &str) -> reqwest::Result<Value> {
        let functions = self.local("/functions").await?;
        Ok(functions.as_array().unwrap().iter().find(|function| function["name"] == name).unwrap().clone())
    }

    /// What a function said, without what its runtime and the test harness around it say.
    pub async fn lines(&self, function: &str) -> reqwest::Result<Vec<String>> {
        let lines = self.local(&format!("/logs?function={function}")).await?;
        let lines = lines.as_array().unwrap().iter().map(|line| line["line"].as_str().unwrap().to_owned());
        let said = |line: &String| line.starts_with("worked on ") || line.contains("post: ") || line == "tick";
        Ok(lines.filter(said).collect())
    }

    pub async fn socket(&self, query: &str) -> Result<Socket, SocketError> {
        let (socket, _) = connect_async(format!("ws://{}/ws{query}", self.address())).await?;
        Ok(socket)
    }
}

fn options() -> Options {
    let arguments = ["--ignored", "--exact", "--nocapture", "probe::environment"];
    Options {
        port: 0,
        data: None,
        apps: None,
        webhook: false,
        template: include_str!("template.yaml").to_owned(),
        parameters: Default::default(),
        program: Program { path: std::env::current_exe().unwrap(), arguments: arguments.map(str::to_owned).to_vec() },
        most_environments: 10,
        logs: Logs::new(Level::Off, None).unwrap(),
    }
}

/// Waits for something that is about to be so.
pub async fn eventually<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(Instant::now() < end, "it never came to be");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether there is such a process, dead ones that nobody has asked for not counted.
pub fn runs(pid: u64) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

/// SIGKILL, as a person would.
pub fn kill(pid: u64) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

/// A stack in a process of its own, so that it can be killed.
/// `directory` is for what it leaves behind when it is.
pub fn start_as_a_process(directory: &Path) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "support::stack_process"])
        .env(STACK_PROCESS, "yes")
        .env("TMPDIR", directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.find_map(|line| line.unwrap().split_once("listens on ").map(|(_, url)| url.to_owned()));
    (child, url.unwrap())
}

/// Says that this process is to be a stack.
const STACK_PROCESS: &str = "FANFARE_LOCAL_STACK_PROCESS";

#[test]
#[ignore = "this is a program, which a test starts and kills"]
fn stack_process() {
    if std::env::var_os(STACK_PROCESS).is_none() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let stack = Stack::start(options()).await.unwrap();
        println!("listens on http://{}", stack.address());
        std::future::pending::<()>().await;
    });
}
