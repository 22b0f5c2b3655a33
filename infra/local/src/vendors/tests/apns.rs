use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{Method, Request, header};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::KeyPair;
use serde_json::json;
use tokio::time::timeout;

use super::{
    START_MS, Sandbox,
    client::{self, receive},
    sign_es256,
};

const DEVICE: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

/// A right notification, to be made wrong in one way.
fn notification(provider_token: &str) -> Request<Bytes> {
    Request::post(format!("https://localhost/3/device/{DEVICE}"))
        .header(header::AUTHORIZATION, format!("bearer {provider_token}"))
        .header("apns-topic", "com.example.app")
        .header("apns-push-type", "alert")
        .header("apns-priority", "10")
        .header("apns-expiration", "1800000600")
        .header("apns-collapse-id", "c".repeat(64))
        .header("apns-id", "123e4567-e89b-12d3-a456-4266554400a0")
        .body(Bytes::from_static(br#"{"aps":{"alert":{"body":"Hello"}}}"#))
        .unwrap()
}

type Change = Box<dyn Fn(&mut Request<Bytes>)>;

fn set(name: &'static str, value: &str) -> Change {
    let value = value.to_owned();
    Box::new(move |request| {
        request.headers_mut().insert(name, value.parse().unwrap());
    })
}

fn without(name: &'static str) -> Change {
    Box::new(move |request| {
        request.headers_mut().remove(name);
    })
}

fn to(path: &str) -> Change {
    let uri = format!("https://localhost{path}");
    Box::new(move |request| *request.uri_mut() = uri.parse().unwrap())
}

fn body(body: &[u8]) -> Change {
    let body = Bytes::copy_from_slice(body);
    Box::new(move |request| *request.body_mut() = body.clone())
}

fn all(changes: Vec<Change>) -> Change {
    Box::new(move |request| changes.iter().for_each(|change| change(request)))
}

/// JSON of exactly so many bytes.
fn payload(bytes: usize) -> Vec<u8> {
    let empty = br#"{"aps":{},"k":""}"#.len();
    format!(r#"{{"aps":{{}},"k":"{}"}}"#, "x".repeat(bytes - empty)).into_bytes()
}

#[tokio::test]
async fn every_right_notification_is_accepted() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("apns").await;
    let token = sandbox.provider_token(0);
    let cases: Vec<(&str, Change)> = vec![
        ("as it is", Box::new(|_| {})),
        ("default priority", without("apns-priority")),
        ("lowest priority", set("apns-priority", "1")),
        ("no expiration", without("apns-expiration")),
        ("now or never", set("apns-expiration", "0")),
        ("largest payload", body(&payload(4096))),
        ("background", all(vec![set("apns-push-type", "background"), set("apns-priority", "5")])),
        (
            "largest voip payload",
            all(vec![set("apns-push-type", "voip"), set("apns-topic", "com.example.app.voip"), body(&payload(5120))]),
        ),
        ("another app of the team", set("apns-topic", "com.example.teacher")),
        ("long token", to(&format!("/3/device/{}", "aB".repeat(80)))),
    ];
    for (what, change) in cases {
        let mut request = notification(&token);
        change(&mut request);
        let answer = client.call(request).await.unwrap();
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        assert!(answer.body.is_empty(), "{what}");
        assert_eq!(answer.headers["apns-id"], "123E4567-E89B-12D3-A456-4266554400A0", "{what}");
    }
    assert_eq!(sandbox.get("/deliveries/count?channel=apns").await, json!({"accepted": 10, "refused": 0}));
}

#[tokio::test]
async fn every_wrong_notification_is_refused_for_its_reason() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("apns").await;
    let token = sandbox.provider_token(0);
    let cases: Vec<(Change, u16, &str)> = vec![
        (to("/2/device/abc"), 404, "BadPath"),
        (to("/3/device"), 404, "BadPath"),
        (Box::new(|r| *r.method_mut() = Method::GET), 405, "MethodNotAllowed"),
        (to("/3/device/"), 400, "MissingDeviceToken"),
        (to("/3/device/abcd"), 400, "BadDeviceToken"),
        (to(&format!("/3/device/{}", "g".repeat(64))), 400, "BadDeviceToken"),
        (to(&format!("/3/device/{DEVICE}0")), 400, "BadDeviceToken"),
        (to(&format!("/3/device/{DEVICE}?a=b")), 400, "BadDeviceToken"),
        (without("apns-topic"), 400, "MissingTopic"),
        (set("apns-topic", ""), 400, "BadTopic"),
        (set("apns-topic", "com.example app"), 400, "BadTopic"),
        (set("apns-topic", "com.example.other"), 400, "DeviceTokenNotForTopic"),
        (set("apns-topic", "com.example.app.voip"), 400, "DeviceTokenNotForTopic"),
        (set("apns-topic", "org.stranger.app"), 400, "TopicDisallowed"),
        (set("apns-topic", "com.examples.app"), 400, "TopicDisallowed"),
        (without("apns-push-type"), 400, "InvalidPushType"),
        (set("apns-push-type", "loud"), 400, "InvalidPushType"),
        (set("apns-push-type", "voip"), 400, "DeviceTokenNotForTopic"),
        (set("apns-priority", "7"), 400, "BadPriority"),
        (set("apns-priority", "high"), 400, "BadPriority"),
        (set("apns-push-type", "background"), 400, "BadPriority"),
        (all(vec![set("apns-push-type", "background"), without("apns-priority")]), 400, "BadPriority"),
        (set("apns-expiration", "soon"), 400, "BadExpirationDate"),
        (set("apns-expiration", "1800000600.5"), 400, "BadExpirationDate"),
        (set("apns-expiration", "-1"), 400, "BadExpirationDate"),
        (set("apns-expiration", ""), 400, "BadExpirationDate"),
        (set("apns-collapse-id", &"c".repeat(65)), 400, "BadCollapseId"),
        (set("apns-id", "123e4567"), 400, "BadMessageId"),
        (set("apns-id", "123e4567e89b12d3a4564266554400a0"), 400, "BadMessageId"),
        (
            Box::new(|r| {
                r.headers_mut().append("apns-priority", "5".parse().unwrap());
            }),
            400,
            "DuplicateHeaders",
        ),
        (body(b""), 400, "PayloadEmpty"),
        (body(b"{}"), 400, "PayloadEmpty"),
        (body(b"[]"), 400, "PayloadEmpty"),
        (body(b"{\"aps\":"), 400, "PayloadEmpty"),
        (body(b"{\"aps\":\"alert\"}"), 400, "PayloadEmpty"),
        (body(&payload(4097)), 413, "PayloadTooLarge"),
        (body(&vec![b'x'; 3_000_000]), 413, "PayloadTooLarge"),
    ];
    let count = cases.len();
    for (index, (change, status, reason)) in cases.into_iter().enumerate() {
        let mut request = notification(&token);
        change(&mut request);
        let answer = client.call(request).await.unwrap();
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "case {index}");
        assert!(answer.headers.contains_key("apns-id"), "case {index}");
    }
    assert_eq!(sandbox.get("/deliveries/count").await, json!({"accepted": 0, "refused": count}));
}

#[tokio::test]
async fn a_provider_token_must_be_the_teams_and_of_the_last_hour() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("apns").await;
    let apns = sandbox.vendors.credentials()["apns"].clone();
    let key = apns["private_key"].as_str().unwrap();
    let stranger = KeyPair::generate().unwrap().serialize_pem();
    let now = sandbox.now_s();
    let claims = json!({"iss": "FANFARE001", "iat": now});
    let bearer = |token: String| set("authorization", &format!("bearer {token}"));
    let cases: Vec<(&str, Change, &str)> = vec![
        ("none", without("authorization"), "MissingProviderToken"),
        ("not bearer", set("authorization", "basic YTpi"), "InvalidProviderToken"),
        ("no JWT", bearer("abc".to_owned()), "InvalidProviderToken"),
        ("other key", bearer(sign_es256(&stranger, "LOCALKEY01", &claims)), "InvalidProviderToken"),
        ("other key id", bearer(sign_es256(key, "LOCALKEY02", &claims)), "InvalidProviderToken"),
        (
            "other team",
            bearer(sign_es256(key, "LOCALKEY01", &json!({"iss": "STRANGER01", "iat": now}))),
            "InvalidProviderToken",
        ),
        ("no iat", bearer(sign_es256(key, "LOCALKEY01", &json!({"iss": "FANFARE001"}))), "InvalidProviderToken"),
        ("of the future", bearer(sandbox.provider_token(-1)), "InvalidProviderToken"),
        ("too old", bearer(sandbox.provider_token(3601)), "ExpiredProviderToken"),
    ];
    for (what, change, reason) in cases {
        let mut request = notification("");
        change(&mut request);
        let answer = client.call(request).await.unwrap();
        assert_eq!((answer.status, answer.reason().as_str()), (403, reason), "{what}");
    }
    let oldest = notification(&sandbox.provider_token(3600));
    assert_eq!(client.call(oldest).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_provider_token_expires_by_the_clock_of_the_stack() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("apns").await;
    let token = sandbox.provider_token(0);
    sandbox.advance(3600);
    assert_eq!(client.call(notification(&token)).await.unwrap().status, 200);
    sandbox.advance(1);
    let answer = client.call(notification(&token)).await.unwrap();
    assert_eq!((answer.status, answer.reason().as_str()), (403, "ExpiredProviderToken"));
    let next = notification(&sandbox.provider_token(0));
    assert_eq!(client.call(next).await.unwrap().status, 200);
}

#[tokio::test]
async fn two_tokens_of_a_grid_may_alternate_where_it_turns_over() {
    let sandbox = Sandbox::start().await;
    let (older, newer) = (sandbox.provider_token(1200), sandbox.provider_token(0));
    for token in [&older, &newer, &older, &newer] {
        let client = sandbox.connect("apns").await;
        assert_eq!(client.call(notification(token)).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_second_token_within_twenty_minutes_is_one_too_many_and_bars_its_connection() {
    let sandbox = Sandbox::start().await;
    let (good, barred) = (sandbox.connect("apns").await, sandbox.connect("apns").await);
    // The same claims: only the random signature differs.
    let (first, second) = (sandbox.provider_token(0), sandbox.provider_token(0));
    assert_ne!(first, second);
    assert_eq!(good.call(notification(&first)).await.unwrap().status, 200);

    let answer = barred.call(notification(&second)).await.unwrap();
    assert_eq!((answer.status, answer.reason().as_str()), (429, "TooManyProviderTokenUpdates"));
    let answer = barred.call(notification(&first)).await.unwrap();
    assert_eq!(answer.status, 429, "nothing goes over that connection any more");
    assert_eq!(good.call(notification(&first)).await.unwrap().status, 200);

    sandbox.advance(1200);
    assert_eq!(barred.call(notification(&first)).await.unwrap().status, 200);
    let third = sandbox.provider_token(0);
    assert_eq!(good.call(notification(&third)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_third_token_within_twenty_minutes_is_one_too_many_whatever_its_age() {
    let sandbox = Sandbox::start().await;
    let mut statuses = Vec::new();
    for age_s in [2400, 1200, 0] {
        let client = sandbox.connect("apns").await;
        let request = notification(&sandbox.provider_token(age_s));
        statuses.push(client.call(request).await.unwrap().status);
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn one_stream_is_allowed_until_a_valid_token_was_answered_and_a_thousand_after() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("apns").await;
    let token = sandbox.provider_token(0);

    let refused = client.call(notification("wrong")).await.unwrap();
    assert_eq!(refused.status, 403);
    assert_eq!(client.send.current_max_send_streams(), 1);

    assert_eq!(client.call(notification(&token)).await.unwrap().status, 200);
    client.allowed_streams(1000).await;

    sandbox.behave("apns", json!({"latency_ms": 300})).await;
    let answers: Vec<_> = (0..1000).map(|_| client.start(notification(&token)).unwrap()).collect();
    let began = std::time::Instant::now();
    for answer in answers {
        assert_eq!(receive(answer).await.unwrap().status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "they are not one after the other");
}

#[tokio::test]
async fn streams_beyond_the_first_are_refused_before_a_valid_token_was_answered() {
    let sandbox = Sandbox::start().await;
    sandbox.behave("apns", json!({"latency_ms": 200})).await;
    let token = sandbox.provider_token(0);
    let tls = client::handshake(sandbox.vendors.ca_pem(), sandbox.port("apns"), &[b"h2"]);
    // As eager as HTTP/2 allows: streams are opened before the vendor's SETTINGS are read.
    let (send, connection) = h2::client::Builder::new()
        .initial_max_send_streams(10)
        .handshake::<_, Bytes>(tls.await.unwrap())
        .await
        .unwrap();
    let answers = [(); 3].map(|()| client::start(send.clone(), notification(&token)).unwrap());
    tokio::spawn(connection);
    let [first, second, third] = answers.map(receive);
    assert_eq!(first.await.unwrap().status, 200);
    for answer in [second.await, third.await] {
        assert_eq!(answer.unwrap_err().reason(), Some(Reason::REFUSED_STREAM));
    }
}

/// How a sender on hyper has to be set up: it would begin with a hundred streams otherwise.
#[tokio::test]
async fn a_hyper_client_that_begins_with_one_stream_is_never_refused_any() {
    let sandbox = Sandbox::start().await;
    sandbox.behave("apns", json!({"latency_ms": 20})).await;
    let tls = client::handshake(sandbox.vendors.ca_pem(), sandbox.port("apns"), &[b"h2"]);
    let io = TokioIo::new(tls.await.unwrap());
    let (send, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_max_send_streams(1)
        .handshake::<_, Full<Bytes>>(io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let token = sandbox.provider_token(0);
    let answers = (0..200).map(|_| {
        let mut send = send.clone();
        let request = notification(&token).map(Full::new);
        async move { send.send_request(request).await.unwrap().status() }
    });
    let statuses = futures::future::join_all(answers).await;
    assert!(statuses.iter().all(|status| *status == 200));
}

#[tokio::test]
async fn only_http2_is_spoken() {
    let sandbox = Sandbox::start().await;
    let (ca, port) = (sandbox.vendors.ca_pem(), sandbox.port("apns"));
    assert!(client::handshake(ca, port, &[b"http/1.1"]).await.is_err());
}

#[tokio::test]
async fn goaway_lets_requests_in_flight_finish() {
    let sandbox = Sandbox::start().await;
    let token = sandbox.provider_token(0);
    let client = sandbox.connect("apns").await;
    assert_eq!(client.call(notification(&token)).await.unwrap().status, 200);
    client.allowed_streams(1000).await;

    let behaviour = json!({"goaway_after": 3, "latency_ms": 100});
    sandbox.behave("apns", behaviour).await;
    let answers: Vec<_> = (0..5).map(|_| client.start(notification(&token)).unwrap()).collect();
    for answer in answers {
        assert_eq!(receive(answer).await.unwrap().status, 200);
    }
    let ended = timeout(Duration::from_secs(5), client.connection).await;
    ended.expect("the connection ends").unwrap().unwrap();
    let next = sandbox.connect("apns").await;
    assert_eq!(next.call(notification(&token)).await.unwrap().status, 200);
}

/// `h2` keeps a GOAWAY's text to itself when there was no error, so the frame is read here.
#[tokio::test]
async fn the_goaway_frame_carries_json() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // GET https /, by HPACK's static table.
    const REQUEST: &[u8] = b"\0\0\x03\x01\x05\0\0\0\x01\x82\x87\x84";

    let sandbox = Sandbox::start().await;
    sandbox.behave("apns", json!({"goaway_after": 1})).await;
    let tls = client::handshake(sandbox.vendors.ca_pem(), sandbox.port("apns"), &[b"h2"]);
    let mut tls = tls.await.unwrap();
    tls.write_all(PREFACE).await.unwrap();
    tls.write_all(REQUEST).await.unwrap();
    let read = async {
        loop {
            let mut header = [0; 9];
            tls.read_exact(&mut header).await.unwrap();
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let mut payload = vec![0; length as usize];
            tls.read_exact(&mut payload).await.unwrap();
            if header[3] == 7 {
                break payload;
            }
        }
    };
    let goaway = timeout(Duration::from_secs(5), read).await.unwrap();
    assert_eq!(&goaway[4..8], [0, 0, 0, 0], "no error");
    assert_eq!(&goaway[8..], br#"{"reason":"Shutdown"}"#);
}

#[tokio::test]
async fn reset_breaks_the_connection_and_delivers_nothing() {
    let sandbox = Sandbox::start().await;
    sandbox.behave("apns", json!({"reset_after": 2})).await;
    let token = sandbox.provider_token(0);
    let client = sandbox.connect("apns").await;
    for _ in 0..2 {
        assert_eq!(client.call(notification(&token)).await.unwrap().status, 200);
    }
    let error = client.call(notification(&token)).await.unwrap_err();
    assert!(error.is_io(), "{error:?}");
    assert_eq!(sandbox.get("/deliveries/count").await["accepted"], 2);
}

#[tokio::test]
async fn errors_asked_for_are_answered_in_apples_shape() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("apns").await;
    let token = sandbox.provider_token(0);
    let error = json!({"first": 1, "status": 503, "reason": "ServiceUnavailable", "retry_after": 30});
    sandbox.behave("apns", json!({ "errors": [error] })).await;

    let answer = client.call(notification(&token)).await.unwrap();
    assert_eq!((answer.status, answer.json()), (503, json!({"reason": "ServiceUnavailable"})));
    assert_eq!(answer.headers["retry-after"], "30");
    assert_eq!(client.call(notification(&token)).await.unwrap().status, 200);
    assert_eq!(sandbox.get("/deliveries/count").await, json!({"accepted": 1, "refused": 1}));
}

#[tokio::test]
async fn dead_and_bad_tokens_are_told_in_apples_way() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("apns").await;
    let token = sandbox.provider_token(0);
    let gone = |ms: i64| json!({"reason": "Unregistered", "timestamp": ms});

    sandbox.behave("apns", json!({"dead_tokens": [DEVICE]})).await;
    let answer = client.call(notification(&token)).await.unwrap();
    assert_eq!((answer.status, answer.json()), (410, gone(START_MS)));

    sandbox.behave("apns", json!({"dead_tokens": [DEVICE], "unregistered_at": 1_700_000_000_123_i64})).await;
    let answer = client.call(notification(&token)).await.unwrap();
    assert_eq!((answer.status, answer.json()), (410, gone(1_700_000_000_123)));

    sandbox.behave("apns", json!({"all_tokens_bad": true})).await;
    let answer = client.call(notification(&token)).await.unwrap();
    assert_eq!((answer.status, answer.reason().as_str()), (400, "BadDeviceToken"));

    sandbox.behave("apns", json!({})).await;
    assert_eq!(client.call(notification(&token)).await.unwrap().status, 200);
}

#[tokio::test]
async fn garbage_is_not_json_and_leaves_the_status_alone() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("apns").await;
    let garbage = json!({"garbage": true, "dead_tokens": [DEVICE]});
    sandbox.behave("apns", garbage).await;
    let answer = client.call(notification(&sandbox.provider_token(0))).await.unwrap();
    assert_eq!(answer.status, 410);
    assert!(!answer.body.is_empty());
    assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err());
}
