//! Peers that need not know HTTP/2.

use futures::future::join_all;

use super::*;
use crate::channel::testkit::{MovedClock, Plain, PlainPeer, RawVendor, Reply, Vendor};

const SETTINGS: Settings = Settings {
    connections: 20,
    streams: 10,
    connect_timeout: Duration::from_secs(5),
    request_timeout: Duration::from_secs(10),
    answer_bytes: 64 * 1024,
    proves: None,
};

struct Caller {
    pool: Pool,
    site: Site,
    endpoint: String,
    turn: Turn,
}

impl Caller {
    fn of(peer: &PlainPeer, settings: Settings, clock: Clock) -> Self {
        Self::trusting(rustls::RootCertStore::empty(), &peer.endpoint, settings, clock)
    }

    fn trusting(roots: rustls::RootCertStore, endpoint: &str, settings: Settings, clock: Clock) -> Self {
        Self {
            pool: Pool::of_either(either_config(roots).unwrap(), settings, clock),
            site: Site::also_plain(&endpoint.parse().unwrap()).unwrap(),
            endpoint: endpoint.to_owned(),
            turn: Turn::free(),
        }
    }

    async fn call(&self) -> Result<u16, Failure> {
        let request = Request::post(format!("{}/a?b", self.endpoint)).body(Full::new(Bytes::from("{}"))).unwrap();
        self.pool.send(&self.site, &self.turn, request).await.map(|answer| answer.status.as_u16())
    }

    async fn crowd(&self, count: usize) -> Vec<Result<u16, Failure>> {
        join_all((0..count).map(|_| self.call())).await
    }
}

fn all_ok(results: &[Result<u16, Failure>]) -> bool {
    results.iter().all(|result| matches!(result, Ok(200)))
}

#[tokio::test]
async fn one_after_the_other_go_over_one_connection_as_http_1_1_has_it() {
    let peer = PlainPeer::start(|_, _| Plain::Answer(200, 0)).await;
    let caller = Caller::of(&peer, SETTINGS, Clock::system());
    for _ in 0..50 {
        assert!(matches!(caller.call().await, Ok(200)));
    }
    assert_eq!((peer.connections(), peer.heads().len()), (1, 50));
    let host = peer.endpoint.strip_prefix("http://").unwrap();
    assert!(peer.heads()[0].starts_with("POST /a?b HTTP/1.1\r\n"), "{}", peer.heads()[0]);
    assert!(peer.heads()[0].contains(&format!("host: {host}\r\n")), "{}", peer.heads()[0]);
}

#[tokio::test]
async fn as_many_connections_as_there_will_be_requests_are_opened_before_and_none_behind_them() {
    let peer = PlainPeer::start(|_, _| Plain::Answer(200, 100)).await;
    let moved = MovedClock::new();
    let caller = Caller::of(&peer, SETTINGS, moved.clock());
    for (count, ahead, connections) in [
        (0, 0, 1),
        (7, 0, 7),
        (3, 0, 7),
        // After a rest they are looked at, and kept.
        (7, 2, 7),
        (7, 29, 7),
        (1_000, 29, SETTINGS.connections),
    ] {
        moved.set_ahead(ahead);
        caller.pool.connect(&caller.site, count).await.unwrap();
        peer.until_connections(connections).await;
        assert_eq!(peer.heads().len(), 0);
    }
    assert!(all_ok(&caller.crowd(20).await));
    assert_eq!(peer.connections(), SETTINGS.connections);
    // Those that are busy stand, and nobody waits for them.
    let crowd = async {
        let all = caller.crowd(20).await;
        (all_ok(&all), tokio::time::Instant::now())
    };
    let connect = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        caller.pool.connect(&caller.site, 20).await.unwrap();
        tokio::time::Instant::now()
    };
    let ((all_ok, end), connected) = futures::join!(crowd, connect);
    assert!(all_ok && connected < end, "{:?}", connected - end);
    assert_eq!(peer.connections(), SETTINGS.connections);
}

#[tokio::test]
async fn where_no_connection_stands_it_is_said_why() {
    let peer = PlainPeer::start(|_, _| Plain::Answer(200, 0)).await;
    let caller = Caller::of(&peer, SETTINGS, Clock::system());
    let away = Site::also_plain(&"http://127.0.0.1:1".parse().unwrap()).unwrap();
    assert!(matches!(caller.pool.connect(&away, 3).await, Err(Failure::Connect(_))));
    // Its first line leads nowhere, and its second stands.
    let lines = caller.pool.lines(&away);
    caller.pool.connection(&caller.site, &lines.all[1]).await.unwrap();
    assert!(matches!(caller.pool.connect(&away, 3).await, Ok(())));
    peer.until_connections(1).await;
}

#[tokio::test]
async fn a_crowd_goes_side_by_side_and_its_connections_are_kept() {
    let peer = PlainPeer::start(|_, _| Plain::Answer(200, 100)).await;
    let caller = Caller::of(&peer, SETTINGS, Clock::system());
    // The first crowd thinks that it is ten to a connection, and learns otherwise from the first.
    for _ in 0..2 {
        let start = tokio::time::Instant::now();
        assert!(all_ok(&caller.crowd(20).await));
        assert!(start.elapsed() < Duration::from_millis(1_000), "{:?}", start.elapsed());
        assert_eq!(peer.connections(), 20);
    }
    // More than there is room for wait, and go all the same.
    assert!(all_ok(&caller.crowd(50).await));
    assert_eq!(peer.connections(), 20);
}

#[tokio::test]
async fn a_connection_is_not_trusted_after_half_a_minute() {
    let peer = PlainPeer::start(|_, _| Plain::Answer(200, 0)).await;
    let moved = MovedClock::new();
    let caller = Caller::of(&peer, SETTINGS, moved.clock());
    for (ahead, connections) in [(0, 1), (29, 1), (58, 1), (89, 2)] {
        moved.set_ahead(ahead);
        assert!(matches!(caller.call().await, Ok(200)));
        assert_eq!(peer.connections(), connections, "{ahead} s");
    }
}

/// Between two `block_on` nothing of ours runs, as in an environment that is frozen.
#[test]
fn a_connection_that_was_closed_while_we_were_frozen_neither_loses_nor_doubles_a_request() {
    let elsewhere = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let here = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let peer = elsewhere.block_on(PlainPeer::start(|_, _| Plain::Answer(200, 20)));
    let moved = MovedClock::new();
    let caller = Caller::of(&peer, SETTINGS, moved.clock());
    assert!(all_ok(&here.block_on(caller.crowd(10))));
    elsewhere.block_on(peer.hang_up());
    // Long enough to look, and not so long that they would be given up unlooked.
    moved.set_ahead(2);
    assert!(all_ok(&here.block_on(caller.crowd(10))));
    assert_eq!((peer.connections(), peer.heads().len()), (20, 20), "each was processed once");
}

#[tokio::test]
async fn what_may_have_been_processed_is_not_sent_again_and_its_connection_not_used() {
    let peer = PlainPeer::start(|connection, _| match connection {
        0 => Plain::Vanish,
        1 => Plain::Silence,
        _ => Plain::Answer(200, 0),
    })
    .await;
    let settings = Settings { request_timeout: Duration::from_millis(200), ..SETTINGS };
    let caller = Caller::of(&peer, settings, Clock::system());
    assert!(matches!(caller.call().await, Err(Failure::Broken(_))));
    assert!(matches!(caller.call().await, Err(Failure::Timeout)));
    assert!(matches!(caller.call().await, Ok(200)));
    assert_eq!((peer.connections(), peer.heads().len()), (3, 3));
}

#[tokio::test]
async fn who_gives_up_leaves_no_answer_to_the_next() {
    let peer = PlainPeer::start(|connection, _| Plain::Answer(if connection == 0 { 500 } else { 200 }, 100)).await;
    let caller = Caller::of(&peer, Settings { connections: 1, ..SETTINGS }, Clock::system());
    assert!(tokio::time::timeout(Duration::from_millis(50), caller.call()).await.is_err());
    assert!(matches!(caller.call().await, Ok(200)));
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn who_chooses_http_2_is_spoken_to_so() {
    let vendor = Vendor::start(|_| Reply::Together(10, Box::new(Reply::ok()))).await;
    let caller = Caller::trusting(vendor.roots(), &vendor.endpoint, SETTINGS, Clock::system());
    assert!(all_ok(&caller.crowd(20).await));
    assert_eq!((vendor.connections(), vendor.most_at_once()), (2, 10));
}

#[tokio::test]
async fn over_tls_too_who_does_not_know_http_2_is_spoken_to_in_http_1_1() {
    let vendor = RawVendor::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let caller = Caller::trusting(vendor.roots.clone(), &vendor.endpoint, SETTINGS, Clock::system());
    let request = Request::get(format!("{}/", caller.endpoint)).body(Full::new(Bytes::new())).unwrap();
    let answer = caller.pool.send(&caller.site, &caller.turn, request).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"{}"[..]));
    assert_eq!(vendor.times_asked(), 1);
    // Where HTTP/2 is what counts, they are not spoken to.
    let strict = Pool::new(either_config(vendor.roots.clone()).unwrap(), SETTINGS, Clock::system());
    let request = Request::get(format!("{}/", caller.endpoint)).body(Full::new(Bytes::new())).unwrap();
    assert!(matches!(strict.send(&caller.site, &caller.turn, request).await, Err(Failure::Connect(_))));
}
