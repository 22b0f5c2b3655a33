//! What a post to a socket costs in CPU: by AWS's SDK, and as we send it. `cargo bench -p fanfare --bench posts`
//!
//! All that is ours runs on one thread, whose time the kernel counts; the API that is posted to is another process. Rounds
//! alternate, so that both see the same machine.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on ends there")]
#![allow(clippy::print_stdout, reason = "this is a program, and that is what it tells")]

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_apigatewaymanagement as management;
use fanfare::channel::ws::{Client, Sockets};
use fanfare::domain::ConnectionId;
use fanfare::runtime::Clock;
use futures::{StreamExt, stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Set where this program is the API.
const SERVES: &str = "FANFARE_BENCH_SERVES";
const ROUNDS: usize = 5;
const POSTS: usize = 10_000;
/// As many as a batch has under way.
const AT_ONCE: usize = 100;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match std::env::var_os(SERVES) {
        Some(_) => runtime.block_on(serve()),
        None => runtime.block_on(measure()),
    }
}

async fn measure() {
    let mut api = Command::new(std::env::current_exe().unwrap());
    let mut api = api.env(SERVES, "1").stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(api.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let endpoint = format!("http://{}/live", address.trim());

    let credentials =
        SharedCredentialsProvider::new(Credentials::new("key", "secret", Some("token".into()), None, "bench"));
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .build();
    let sdk = management::config::Builder::from(&config).endpoint_url(&endpoint);
    let sdk = sdk.retry_config(management::config::retry::RetryConfig::disabled()).build();
    let sdk = &management::Client::from_conf(sdk);
    let ours = Client::new(&config, &|_: &str| Some(endpoint.clone()), Clock::system()).unwrap();
    let ours = &Sockets::At(ours);
    let connection = &ConnectionId::try_from("L0SM9cOFvHcCIhw=").unwrap();
    let frame = &"x".repeat(500);

    let by_sdk = async || {
        let data = management::primitives::Blob::new(frame.clone());
        sdk.post_to_connection().connection_id(connection.as_str()).data(data).send().await.unwrap();
    };
    let by_us = async || ours.post(connection, frame.clone()).await.unwrap();
    let (mut theirs, mut own) = (0.0, 0.0);
    for round in 0..=ROUNDS {
        let (sdk, us) = (cpu_of(by_sdk).await, cpu_of(by_us).await);
        // The first opens connections and fills caches.
        if round > 0 {
            println!("round {round}: {sdk:.1} µs of CPU a post by the SDK, {us:.1} µs by us");
            (theirs, own) = (theirs + sdk, own + us);
        }
    }
    println!(
        "{:.1} µs and {:.1} µs on average: {:.1} times less",
        theirs / ROUNDS as f64,
        own / ROUNDS as f64,
        theirs / own
    );
    api.kill().unwrap();
    api.wait().unwrap();
}

/// Microseconds of this thread's CPU that one post takes.
async fn cpu_of<F: Future<Output = ()>>(post: impl Fn() -> F) -> f64 {
    let (before, start) = (cpu_nanos(), Instant::now());
    stream::iter(0..POSTS).map(|_| post()).buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
    assert!(start.elapsed().as_secs() < 120, "the API answers");
    (cpu_nanos() - before) as f64 / 1_000.0 / POSTS as f64
}

/// What the kernel says that this thread has run, in nanoseconds.
fn cpu_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts the time of threads");
    stat.split_whitespace().next().unwrap().parse().unwrap()
}

async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    while let Ok((tcp, _)) = listener.accept().await {
        tokio::spawn(async move {
            let _ = answer(tcp).await;
        });
    }
}

/// Reads requests, and answers each as API Gateway does.
async fn answer(tcp: TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut tcp = tokio::io::BufReader::new(tcp);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if tcp.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            tcp.read_exact(&mut vec![0; length]).await?;
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
        }
    }
}
