use futures::future::join_all;
use h2::Reason;

use super::*;
use crate::channel::testkit::{MovedClock, Reply, Vendor};
use crate::channel::{RateUnit, Turns, Window};

const SETTINGS: Settings = Settings {
    connections: 3,
    streams: 100,
    connect_timeout: Duration::from_secs(5),
    request_timeout: Duration::from_secs(10),
    answer_bytes: 64 * 1024,
    proves: None,
};

fn warmed_up(status: StatusCode) -> bool {
    status == StatusCode::OK
}

struct Caller {
    pool: Pool,
    site: Site,
    endpoint: String,
    turn: Turn,
}

impl Caller {
    fn of(vendor: &Vendor, settings: Settings) -> Self {
        Self::with_clock(vendor, settings, Clock::system())
    }

    fn with_clock(vendor: &Vendor, settings: Settings, clock: Clock) -> Self {
        Self {
            pool: Pool::new(vendor.tls(), settings, clock),
            site: Site::new(&vendor.endpoint.parse().unwrap(), "").unwrap(),
            endpoint: vendor.endpoint.clone(),
            turn: Turn::free(),
        }
    }

    async fn call(&self, path: &str) -> Result<u16, Failure> {
        let request = Request::post(format!("{}{path}", self.endpoint)).body(Full::new(Bytes::from("{}"))).unwrap();
        self.pool.send(&self.site, &self.turn, request).await.map(|answer| answer.status.as_u16())
    }

    async fn crowd(&self, count: usize) -> Vec<Result<u16, Failure>> {
        join_all((0..count).map(|_| self.call("/"))).await
    }
}

fn all_ok(results: &[Result<u16, Failure>]) -> bool {
    results.iter().all(|result| matches!(result, Ok(200)))
}

#[tokio::test]
async fn a_small_batch_needs_one_connection_and_keeps_it() {
    let vendor = Vendor::start(|_| Reply::Together(5, Box::new(Reply::ok()))).await;
    let caller = Caller::of(&vendor, SETTINGS);
    assert!(all_ok(&caller.crowd(5).await));
    assert!(all_ok(&caller.crowd(5).await));
    assert_eq!(vendor.connections(), 1);
}

#[tokio::test]
async fn a_second_connection_is_opened_when_the_first_is_full() {
    let vendor = Vendor::start(|_| Reply::Together(4, Box::new(Reply::ok()))).await;
    let caller = Caller::of(&vendor, Settings { streams: 4, ..SETTINGS });
    assert!(all_ok(&caller.crowd(12).await));
    assert_eq!((vendor.connections(), vendor.most_at_once()), (3, 4));
}

#[tokio::test]
async fn the_peers_own_limit_of_streams_is_kept() {
    let vendor = Vendor::start_with(1, 0, |_| Reply::ok()).await;
    let caller = Caller::of(&vendor, Settings { connections: 1, ..SETTINGS });
    assert!(all_ok(&caller.crowd(30).await));
    assert_eq!((vendor.connections(), vendor.most_at_once()), (1, 1));
}

#[tokio::test]
async fn one_stream_is_open_until_a_credential_was_accepted() {
    let vendor = Vendor::start(|asked| match asked.number {
        // The crowd would come during this, if it were let.
        0 => Reply::Late(Duration::from_millis(50), Box::new(Reply::Answer(403, String::new()))),
        1 => Reply::Late(Duration::from_millis(50), Box::new(Reply::ok())),
        _ => Reply::Together(8, Box::new(Reply::ok())),
    })
    .await;
    let caller = Caller::of(&vendor, Settings { connections: 1, proves: Some(warmed_up), ..SETTINGS });
    let results = caller.crowd(10).await;
    assert_eq!(results.iter().filter(|result| matches!(result, Ok(200))).count(), 9);
    let asked = vendor.asked();
    assert_eq!((asked[0].beside, asked[1].beside, vendor.connections()), (0, 0, 1));
    assert!(vendor.most_at_once() >= 8);
}

#[tokio::test]
async fn a_peer_that_allows_one_stream_for_ever_is_served_one_by_one_after_the_warm_up() {
    let vendor = Vendor::start_with(1, 0, |_| Reply::ok()).await;
    let caller = Caller::of(&vendor, Settings { connections: 2, proves: Some(warmed_up), ..SETTINGS });
    assert!(all_ok(&caller.crowd(60).await));
    assert_eq!(vendor.most_at_once(), 1);
}

#[tokio::test]
async fn what_a_goaway_left_out_is_sent_once_more_elsewhere() {
    let vendor = Vendor::start_with(100, 1, |_| Reply::ok()).await;
    let caller = Caller::of(&vendor, SETTINGS);
    assert!(all_ok(&caller.crowd(10).await));
    assert_eq!((vendor.connections(), vendor.asked().len()), (2, 10));
}

#[tokio::test]
async fn what_two_connections_left_out_is_given_up() {
    let vendor = Vendor::start_with(100, 2, |_| Reply::ok()).await;
    let caller = Caller::of(&vendor, SETTINGS);
    assert!(matches!(caller.call("/").await, Err(Failure::Refused(_))));
    assert_eq!(vendor.connections(), 2);
}

#[tokio::test]
async fn a_refused_stream_is_sent_once_more_and_no_oftener() {
    let vendor = Vendor::start(|asked| match asked.path.as_str() {
        "/once" if asked.number == 0 => Reply::Reset(Reason::REFUSED_STREAM),
        "/always" => Reply::Reset(Reason::REFUSED_STREAM),
        _ => Reply::ok(),
    })
    .await;
    let caller = Caller::of(&vendor, SETTINGS);
    assert!(matches!(caller.call("/once").await, Ok(200)));
    assert!(matches!(caller.call("/always").await, Err(Failure::Refused(_))));
    assert_eq!((vendor.asked_by_path()["/once"], vendor.asked_by_path()["/always"]), (2, 2));
}

/// A turn that comes in so many milliseconds, or came before so many.
fn a_turn(millis: i64) -> Turn {
    let (now, ahead) = (tokio::time::Instant::now(), Duration::from_millis(millis.unsigned_abs()));
    let start = if millis < 0 { now - ahead } else { now + ahead };
    let length = Duration::from_secs(10);
    let window = Window { start, length, units: 1, end: start + length };
    Turns::new(std::future::ready(Some(window)), RateUnit::Requests, 1).after(0)
}

#[tokio::test]
async fn what_was_refused_at_its_turn_is_told_though_there_is_no_second_turn() {
    let refuses = Vendor::start(|_| Reply::Reset(Reason::REFUSED_STREAM)).await;
    // It leaves out what is on its first connection.
    let drains = Vendor::start_with(100, 1, |_| Reply::ok()).await;
    for (vendor, heard) in [(refuses, 1), (drains, 0)] {
        let mut caller = Caller::of(&vendor, SETTINGS);
        let mut failure = None;
        // A busy machine may miss a turn.
        for _ in 0..5 {
            caller.turn = a_turn(500);
            failure = caller.call("/").await.err();
            if !matches!(failure, Some(Failure::Missed(_))) {
                break;
            }
        }
        assert!(matches!(failure, Some(Failure::Refused(_))), "{failure:?}");
        assert_eq!(vendor.asked().len(), heard, "and it was sent once");
        let late = Caller { turn: a_turn(-500), ..caller };
        assert!(matches!(late.call("/").await, Err(Failure::Missed(_))));
        assert_eq!(vendor.asked().len(), heard);
    }
}

#[tokio::test]
async fn what_had_no_turn_was_not_sent_whatever_went_wrong_before() {
    let vendor = Vendor::start(|_| Reply::Silence).await;
    let settings = Settings { connections: 1, streams: 1, request_timeout: Duration::from_millis(400), ..SETTINGS };
    let mut caller = Caller::of(&vendor, settings);
    caller.pool.connect(&caller.site, 1).await.unwrap();
    let turn = std::mem::replace(&mut caller.turn, a_turn(-500));
    let request = Request::post(format!("{}/", caller.endpoint)).body(Full::new(Bytes::new())).unwrap();
    let silent = caller.pool.send(&caller.site, &turn, request);
    let behind = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // Its connection is given up while it waits for a stream, and on the next it is late.
        caller.call("/").await
    };
    let (silent, behind) = futures::join!(silent, behind);
    assert!(matches!(silent, Err(Failure::Timeout)));
    assert!(matches!(behind, Err(Failure::Missed(_))), "{behind:?}");
    assert_eq!(vendor.asked().len(), 1);
}

#[tokio::test]
async fn one_connection_of_many_streams_is_enough_and_nobody_waits_for_them() {
    let vendor = Vendor::start(|_| Reply::Silence).await;
    let settings = Settings { streams: 10, proves: Some(warmed_up), ..SETTINGS };
    let caller = Caller::of(&vendor, settings);
    for (count, connections) in [(1, 1), (10, 1), (11, 2), (1_000, 3)] {
        caller.pool.connect(&caller.site, count).await.unwrap();
        // The vendor hears of the end of its handshake later than we do.
        while vendor.connections() < connections {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(vendor.connections(), connections);
    }
    // Each has one stream until a credential is accepted, and that is taken.
    let busy = caller.crowd(3);
    let connect = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        caller.pool.connect(&caller.site, 30).await
    };
    let connected = tokio::select! { _ = busy => panic!("nothing is answered"), connected = connect => connected };
    assert!(connected.is_ok());
    assert_eq!(vendor.connections(), 3);
}

#[tokio::test]
async fn what_may_have_been_processed_is_not_sent_again() {
    let vendor = Vendor::start(|asked| match asked.path.as_str() {
        "/reset" => Reply::Reset(Reason::INTERNAL_ERROR),
        _ => Reply::GoAway(Reason::NO_ERROR),
    })
    .await;
    let caller = Caller::of(&vendor, SETTINGS);
    assert!(matches!(caller.call("/reset").await, Err(Failure::Broken(_))));
    assert!(matches!(caller.call("/goaway").await, Err(Failure::Broken(_))));
    assert_eq!(vendor.asked().len(), 2);
}

/// Between two `block_on` nothing of ours runs, as in an environment that is frozen.
#[test]
fn a_connection_that_died_while_we_were_frozen_is_replaced() {
    let elsewhere = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let here = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let vendor = elsewhere.block_on(Vendor::start(|_| Reply::ok()));
    let moved = MovedClock::new();
    let caller = Caller::with_clock(&vendor, SETTINGS, moved.clock());
    assert!(matches!(here.block_on(caller.call("/")), Ok(200)));
    elsewhere.block_on(vendor.hang_up());
    moved.set_ahead(30);
    assert!(all_ok(&here.block_on(caller.crowd(10))));
    assert_eq!((vendor.connections(), vendor.asked().len()), (2, 11));
}

#[tokio::test]
async fn an_interim_answer_is_not_the_answer_and_a_redirect_leads_nowhere() {
    let vendor = Vendor::start(|asked| match asked.path.as_str() {
        "/hints" => Reply::After(103, Box::new(Reply::After(100, Box::new(Reply::reason(410, "Unregistered"))))),
        _ => Reply::AnswerWith(307, ("location", "/elsewhere"), String::new()),
    })
    .await;
    let caller = Caller::of(&vendor, SETTINGS);
    assert_eq!(caller.call("/hints").await.unwrap(), 410);
    assert_eq!(caller.call("/moved").await.unwrap(), 307);
    assert_eq!(vendor.asked().len(), 2);
}

#[tokio::test]
async fn a_connection_unused_for_minutes_is_not_trusted() {
    let vendor = Vendor::start(|_| Reply::ok()).await;
    let moved = MovedClock::new();
    let caller = Caller::with_clock(&vendor, SETTINGS, moved.clock());
    for (ahead, connections) in [(0, 1), (200, 1), (500, 2)] {
        moved.set_ahead(ahead);
        assert!(matches!(caller.call("/").await, Ok(200)));
        assert_eq!(vendor.connections(), connections, "{ahead} s");
    }
}

#[tokio::test]
async fn a_silent_connection_is_given_up_after_the_time_limit() {
    let vendor = Vendor::start(|asked| if asked.connection == 0 { Reply::Silence } else { Reply::ok() }).await;
    let caller = Caller::of(&vendor, Settings { request_timeout: Duration::from_millis(200), ..SETTINGS });
    assert!(matches!(caller.call("/").await, Err(Failure::Timeout)));
    assert!(matches!(caller.call("/").await, Ok(200)));
    assert_eq!(vendor.connections(), 2);
}

#[tokio::test]
async fn a_crowd_behind_a_silent_warm_up_does_not_wait_one_after_the_other() {
    let vendor = Vendor::start(|_| Reply::Silence).await;
    let settings =
        Settings { request_timeout: Duration::from_millis(200), proves: Some(warmed_up), connections: 1, ..SETTINGS };
    let caller = Caller::of(&vendor, settings);
    let results = tokio::time::timeout(Duration::from_secs(20), caller.crowd(200)).await.unwrap();
    assert!(results.iter().all(Result::is_err));
}

#[tokio::test]
async fn nobody_is_reached_whose_certificate_is_not_trusted() {
    let (vendor, other) = (Vendor::start(|_| Reply::ok()).await, Vendor::start(|_| Reply::ok()).await);
    let mut caller = Caller::of(&vendor, SETTINGS);
    caller.pool = Pool::new(other.tls(), SETTINGS, Clock::system());
    assert!(matches!(caller.call("/").await, Err(Failure::Connect(_))));
    assert_eq!(vendor.asked().len(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let vendor = Vendor::start(|_| Reply::Answer(200, "x".repeat(70_000))).await;
    assert!(matches!(Caller::of(&vendor, SETTINGS).call("/").await, Err(Failure::TooLong)));
}
