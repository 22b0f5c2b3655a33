//! Anything comes: any bytes as a body, any query, path and method, any frame. Each is answered as the contract says,
//! and nothing falls.
//!
//! Requests are written byte by byte, because clients for HTTP refuse to send what is to be sent here.

use std::collections::BTreeSet;
use std::time::Duration;

use fanfare::dialect::rongcloud;
use fanfare::dialect::tencent::{Code, Command};
use futures::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use support::{ADMIN, APP_KEY, APP_SECRET, SDK_APP_ID, Socket, Stack, signature};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;

const PATIENCE: Duration = Duration::from_secs(60);
/// The longest body that is read.
const MIB: usize = 1024 * 1024;

/// The names in the JSON of calls, so that some of what is made up is nearly a call.
const NAMES: &[&str] = &[
    "UserID",
    "Nick",
    "Accounts",
    "AccountList",
    "CheckItem",
    "To_Account",
    "UserTags",
    "Tags",
    "UserAttrs",
    "Attrs",
    "AttrNames",
    "0",
    "city",
    "MsgRandom",
    "MsgLifeTime",
    "From_Account",
    "MsgBody",
    "MsgType",
    "MsgContent",
    "Text",
    "Condition",
    "TagsOr",
    "TagsAnd",
    "AttrsOr",
    "OfflinePushInfo",
    "PushFlag",
    "Desc",
    "ApnsInfo",
    "AndroidInfo",
    "platform",
    "channel",
    "token",
    "package",
    "DeleteItem",
    "IsNeedDetail",
    "OnlineOnlyFlag",
    "TagsNot",
    "DataId",
    "Replace",
    "AttrTypes",
    "userId",
    "userIds",
    "tags",
    "audience",
    "is_to_all",
    "userid",
    "tag",
    "tag_or",
    "tagItems",
    "packageName",
    "fromuserid",
    "message",
    "objectName",
    "content",
    "notification",
    "alert",
    "pushContent",
    "ios",
    "android",
    "harmonyOS",
    "hw",
    "extras",
    "thread-id",
];

/// Bodies that calls take.
const GOOD: &[&str] = &[
    r#"{"UserID":"alice","Nick":"Alice"}"#,
    r#"{"Accounts":["alice","bob"],"AccountList":[{"UserID":"carol","Nick":"C"}]}"#,
    r#"{"CheckItem":[{"UserID":"alice"}]}"#,
    r#"{"To_Account":["alice","nobody"]}"#,
    r#"{"AttrNames":{"0":"city","1":"level"}}"#,
    r#"{"UserAttrs":[{"To_Account":"alice","Attrs":{"city":"x"}}]}"#,
    r#"{"UserAttrs":[{"To_Account":"alice","Attrs":["city"]}]}"#,
    r#"{"UserTags":[{"To_Account":"alice","Tags":["a","b"]}]}"#,
    r#"{"MsgRandom":1,"MsgLifeTime":60,"Condition":{"TagsOr":["a"]},"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"t"}}],"OfflinePushInfo":{"PushFlag":0,"Desc":"d","ApnsInfo":{"BadgeMode":1}}}"#,
    r#"{"MsgRandom":2,"OnlineOnlyFlag":1,"Condition":{"TagsNot":["a"]},"OfflinePushInfo":{"Title":"t","Desc":"d"},"DataId":"x"}"#,
    r#"{"MsgRandom":3,"To_Account":["alice","nobody"],"OfflinePushInfo":{"PushFlag":1,"Desc":"d"}}"#,
    r#"{"MsgRandom":4,"To_Account":["nobody"],"OfflinePushInfo":{"Desc":"d"}}"#,
    r#"{"Replace":1,"UserTags":[{"To_Account":"alice","Tags":["a","b"]}]}"#,
    r#"{"AttrNames":{"0":"city"},"AttrTypes":{"0":0}}"#,
    r#"{"To_Account":["alice","nobody"],"IsNeedDetail":1}"#,
    r#"{"DeleteItem":[{"UserID":"carol"},{"UserID":"nobody"}]}"#,
    r#"{"platform":"ios","channel":"apns","token":"00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"}"#,
    r#"{"userId":"alice","tags":["a","b"]}"#,
    r#"{"userIds":["alice","dave"],"tags":[]}"#,
    "userId=alice&userIds=alice&userIds=nobody&name=Alice&portraitUri=x",
    "userId=alice&startTime=23:59:59&period=120&level=1",
    "fromUserId=alice&objectName=RC:TxtMsg&content=%7B%22content%22:%22hi%22%7D&pushContent=hi&contentAvailable=1",
    "fromUserId=alice&messageUID=0197Xy00000000000000Ab&sentTime=1700000000000&isAdmin=1&isDelete=0&extra=x",
    include_str!("../fixtures/rongcloud/page_example.json"),
    include_str!("../fixtures/rongcloud/go_push.json"),
    include_str!("../fixtures/rongcloud/go_broadcast.json"),
    include_str!("../fixtures/rongcloud/go_push_custom.json"),
    include_str!("../fixtures/rongcloud/go_push_user.json"),
];

#[test]
fn whatever_comes_is_answered_and_nothing_falls() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (directory, stack) = runtime.block_on(a_patient_stack());
    let world = runtime.block_on(World::of(&stack));
    let warm = runtime.block_on(processes(&stack));

    runtime.block_on(async {
        for batch in world.known_trouble().chunks(16) {
            join_all(batch.iter().map(|request| world.check(request))).await;
        }
        odd_frames(&stack).await;
    });
    let config = Config { cases: 40, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(request(&world), 8), |requests| {
            runtime.block_on(join_all(requests.iter().map(|request| world.check(request))));
            Ok(())
        })
        .unwrap();

    runtime.block_on(async {
        stack.idle().await;
        assert!(processes(&stack).await.is_superset(&warm), "a process was replaced");
        for function in stack.local(Method::GET, "functions", None).await.as_array().unwrap() {
            assert_eq!(function["errors"], 0, "{function}");
        }
        for line in stack.local(Method::GET, "logs", None).await.as_array().unwrap() {
            let line = line["line"].as_str().unwrap();
            assert!(!line.contains("panicked") && !line.contains("ERROR"), "{line}");
        }
        stack.ok("im_open_login_svc/account_import", json!({"UserID": "alice"})).await;
    });
    drop(directory);
}

/// A stack with an app that may call as often as it likes, and err as often.
async fn a_patient_stack() -> (tempfile::TempDir, Stack) {
    let calls: serde_json::Map<_, _> =
        Command::ALL.iter().map(|command| (command.path.to_owned(), json!(1_000_000))).collect();
    let rates: serde_json::Map<_, _> =
        rongcloud::Command::ALL.iter().map(|command| (command.path.to_owned(), json!({}))).collect();
    let app = json!({
        "id": SDK_APP_ID.to_string(),
        "rongcloud": {"app_key": APP_KEY, "app_secret": APP_SECRET, "rates": rates},
        "tencent": {"sdk_app_id": SDK_APP_ID, "secret_key": "fanfare-local-secret-key", "admins": [ADMIN],
            "wrong_user_sigs_per_minute": 1_000_000},
        "quotas": {"pushes_per_day": 1_000_000, "push_interval_ms": 0, "calls_per_second": calls},
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("apps.json");
    std::fs::write(&file, json!([app]).to_string()).unwrap();
    let stack = Stack::start_with(env!("CARGO_BIN_EXE_stack"), &["--apps", file.to_str().unwrap()]).await;
    (directory, stack)
}

async fn processes(stack: &Stack) -> BTreeSet<u64> {
    let functions = stack.local(Method::GET, "functions", None).await;
    let environments = functions.as_array().unwrap().iter().flat_map(|it| it["environments"].as_array().unwrap());
    environments.map(|environment| environment["pid"].as_u64().unwrap()).collect()
}

/// What sockets send, and how they open. Each gets its answer, and the socket stays.
async fn odd_frames(stack: &Stack) {
    let base = stack.base().replacen("http", "ws", 1);
    for query in ["", "?", "?usersig=x", "?usersig=%ff&device_id=%00", "?device_id=a", "?usersig=&usersig=&&&=&="] {
        assert_eq!(Socket::try_open(&format!("{base}/ws{query}")).await.err(), Some(401), "{query}");
    }
    let signature = stack.user_sig("alice");
    for device in ["", "a%20b", "%00", "a/b", &"x".repeat(300)] {
        let url = format!("{base}/ws?usersig={signature}&device_id={device}");
        assert_eq!(Socket::try_open(&url).await.err(), Some(400), "{device}");
    }
    let mut socket = stack.socket("alice", "phone").await;
    // A frame of a socket has 32 KB at most.
    let long = "x".repeat(30_000);
    for frame in [
        json!(null),
        json!([]),
        json!({}),
        json!({"type": null}),
        json!({"type": "ack"}),
        json!({"type": "ack", "seqs": [-1]}),
        json!({"type": "ack", "seqs": [1.5, 1e300]}),
        json!({"type": "ack", "seqs": (0..501).collect::<Vec<_>>()}),
        json!({"type": long}),
        json!({ long: 1 }),
    ] {
        socket.say(frame.clone()).await;
        let answer = socket.hear().await;
        assert_eq!(answer["type"], "error", "{frame}: {answer}");
        assert!(answer.to_string().len() < 1_000, "an answer grows with what is sent");
    }
    socket.say(json!({"type": "ack", "seqs": [u64::MAX]})).await;
    socket.say(json!({"type": "ping"})).await;
    assert_eq!(socket.hear().await["type"], "pong");
    socket.close().await;
}

/// A request as it goes over the wire.
#[derive(Debug, Clone)]
struct Request {
    method: String,
    path: Vec<u8>,
    query: Vec<u8>,
    content_type: &'static str,
    /// Headers that sign it, each with its line's end.
    signed: Vec<u8>,
    body: Vec<u8>,
}

/// Where requests go, and the proof that they may.
struct World {
    address: String,
    query: Vec<u8>,
    bearer: String,
    signed: Vec<u8>,
}

impl World {
    /// Every function has answered once, so that whatever starts later replaces one that fell, or helps it.
    async fn of(stack: &Stack) -> Self {
        stack.ok("im_open_login_svc/account_import", json!({"UserID": "alice"})).await;
        stack.register("alice", "phone", "apns", &"ab".repeat(32)).await;
        stack.call("all_member_push/im_push", json!({})).await;
        let query = stack.server_url("").split_once('?').unwrap().1.as_bytes().to_vec();
        let address = stack.base().trim_start_matches("http://").to_owned();
        Self { address, query, bearer: stack.user_sig("alice"), signed: signed(&stack.now().to_string()) }
    }

    fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Request {
        Request {
            method: "POST".to_owned(),
            path: path.into(),
            query: self.query.clone(),
            content_type: "application/json",
            signed: self.signed.clone(),
            body: body.into(),
        }
    }

    /// What has brought services down before.
    fn known_trouble(&self) -> Vec<Request> {
        let mut requests = Vec::new();
        for path in paths().into_iter().chain(["/v1/devices/phone".to_owned()]) {
            for body in odd_bodies() {
                let method = if path.starts_with("/v1/") { "PUT" } else { "POST" };
                requests.push(Request { method: method.to_owned(), ..self.post(&path, body) });
            }
        }
        for path in [
            "/v4/all_member_push/im_push",
            "/v4/timpush/batch",
            "/v4/all_member_push/im_add_tag",
            "/v1/devices/phone",
            "/push.json",
            "/message/broadcast.json",
            "/user/tag/set.json",
        ] {
            for length in [MIB - 1, MIB, MIB + 1] {
                requests.push(self.post(path, padded(length)));
                requests.push(self.post(path, "[".repeat(length)));
            }
        }
        for signed in odd_signatures() {
            for path in ["/push.json", "/user/tags/get.json", "/message/online/broadcast.json", "/user/nothing.json"] {
                requests.push(Request { signed: signed.clone(), ..self.post(path, "userIds=alice") });
            }
        }
        for query in odd_queries() {
            for path in ["/v4/all_member_push/im_push", "/v4/openim/querystate", "/v1/devices", "/"] {
                requests.push(Request { query: query.clone(), ..self.post(path, "{}") });
            }
        }
        let long = format!("/v4/{}", "x/".repeat(4_000));
        for path in [
            "/",
            "//",
            "/v4",
            "/v4/",
            "/v4//",
            "/v4/%",
            "/v4/%ff/%00",
            "/v4/../v4/timpush/push",
            "/v1/devices/%2f",
            "/push.json",
            "//push/user.json",
            "/push",
            "/push/",
            "/push/custom.json/",
            "/message/%2e%2e/broadcast.json",
            "/user",
            "/user/",
            "/user//tag///set.json",
            "/user/tag/set.json%00",
            "/user/%e2%80%ae/get.json",
            &long,
        ] {
            for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "FETCH"] {
                requests.push(Request { method: method.to_owned(), ..self.post(path, "") });
            }
        }
        requests
    }

    /// Sends a request, and looks at the answer.
    async fn check(&self, request: &Request) {
        let answer = tokio::time::timeout(PATIENCE, self.send(request)).await.expect("an answer in time");
        let path = String::from_utf8_lossy(&request.path);
        let what = format!("{} {path} answers {answer:?}", request.method);
        // What follows a `?` is no part of it.
        let path = path.split('?').next().unwrap_or_default();
        assert!(answer.status < 500, "{what}");
        if !request.is_http() {
            // The local stack's server refuses it before any function sees it.
            assert_eq!(answer.status, 400, "{what}");
        } else if request.query.contains(&b'#') && answer.status == 400 && answer.body.is_empty() {
            // What follows a `#` is no part of a URI, but the server has its own opinion of its bytes.
        } else if request.method != "HEAD" {
            let json = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
            let fits = if path.starts_with("/v4/") {
                answer.status == 200 && is_of_the_contract(path, &json)
            } else {
                let is_ours = path.starts_with("/v1/") && is_of_devices(answer.status, &json);
                is_ours || is_of_rongcloud(answer.status, path, &json)
            };
            assert!(fits, "{what}");
            assert!(answer.status == 204 || answer.content_type.starts_with("application/json"), "{what}");
        }
    }

    async fn send(&self, request: &Request) -> Answer {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let head = format!(
            " HTTP/1.1\r\nHost: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n",
            self.address,
            request.content_type,
            request.body.len(),
            self.bearer,
        );
        let target = [request.path.as_slice(), b"?", request.query.as_slice()].concat();
        let head = [head.as_bytes(), &request.signed, b"\r\n"].concat();
        let bytes = [request.method.as_bytes(), b" ", &target, &head, &request.body].concat();
        // Whoever refuses a request need not read it to its end.
        let (mut reader, mut writer) = stream.split();
        let mut answer = Vec::new();
        let (_, _) = tokio::join!(writer.write_all(&bytes), reader.read_to_end(&mut answer));
        Answer::read(&answer)
    }
}

impl Request {
    /// Whether the local stack's server takes it for HTTP. API Gateway is more generous with queries.
    fn is_http(&self) -> bool {
        let target = [self.path.as_slice(), b"?", self.query.as_slice()].concat();
        Uri::try_from(target.as_slice()).is_ok()
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    content_type: String,
    body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let content_type = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        Self { status, content_type: content_type.to_owned(), body: bytes[end + 4..].to_vec() }
    }
}

/// Three members, and a code that is explained with its sentence. What fails has more only where its page shows it: the
/// task of a `batch`, and what is said of each account where none exists.
fn is_of_the_contract(path: &str, answer: &Value) -> bool {
    let (status, info) = (answer["ActionStatus"].as_str(), answer["ErrorInfo"].as_str());
    let is_known = Code::ALL.iter().any(|code| answer["ErrorCode"] == code.number());
    match answer["ErrorCode"].as_u64() {
        Some(0) => (status, info) == (Some("OK"), Some("")),
        code => {
            let no_one = code == Some(u64::from(Code::UnknownAccount.number()));
            let more: &[&str] = match path {
                _ if code == Some(u64::from(Code::UnknownResource.number())) => &[],
                "/v4/timpush/batch" if no_one => &["TaskId", "ErrorList"],
                "/v4/timpush/batch" => &["TaskId"],
                "/v4/openim/query_online_status" | "/v4/openim/querystate" if no_one => &["QueryResult", "ErrorList"],
                _ => &[],
            };
            let members: BTreeSet<&str> =
                answer.as_object().into_iter().flat_map(|it| it.keys()).map(String::as_str).collect();
            let expected = ["ActionStatus", "ErrorCode", "ErrorInfo"].iter().chain(more).copied().collect();
            let is_bounded = info.is_some_and(|info| (1..=201).contains(&info.chars().count()));
            is_known && status == Some("FAIL") && is_bounded && members == expected
        }
    }
}

/// Success with what there is to say, or the path, a number that is explained, and its sentence.
fn is_of_rongcloud(status: u16, path: &str, answer: &Value) -> bool {
    if answer["code"] == 200 {
        return status == 200 && answer.get("errorMessage").is_none();
    }
    let members: BTreeSet<&str> = answer.as_object().into_iter().flat_map(|it| it.keys()).map(String::as_str).collect();
    let code = rongcloud::Code::ALL.iter().find(|code| answer["code"] == code.number());
    code.is_some_and(|code| code.status().as_u16() == status)
        && members == BTreeSet::from(["code", "errorMessage", "url"])
        // As the gateway hands it on: without escapes.
        && answer["url"].as_str().is_some_and(|url| url == path || path.contains('%') || !path.is_ascii())
        && answer["errorMessage"].as_str().is_some_and(|info| (1..=201).contains(&info.chars().count()))
}

/// The paths of every call of both contracts.
fn paths() -> Vec<String> {
    let tencent = Command::ALL.iter().map(|command| format!("/v4/{}", command.path));
    tencent.chain(rongcloud::Command::ALL.iter().map(|command| command.path.to_owned())).collect()
}

/// The headers of a call that is signed.
fn signed(timestamp: &str) -> Vec<u8> {
    let signature = signature(APP_SECRET, "1", timestamp);
    format!("App-Key: {APP_KEY}\r\nNonce: 1\r\nTimestamp: {timestamp}\r\nSignature: {signature}\r\n").into_bytes()
}

fn odd_signatures() -> Vec<Vec<u8>> {
    let texts = [
        "",
        "App-Key:\r\n",
        "App-Key: fanfare-local\r\n",
        "App-Key: fanfare-local\r\nApp-Key: other\r\n",
        "App-Key: fanfare-local\r\nNonce:\r\nTimestamp:\r\nSignature:\r\n",
        "App-Key: fanfare-local\r\nNonce: 1\r\nTimestamp: -99999999999999999999\r\nSignature: 00\r\n",
        "App-Key: fanfare-local#\r\nNonce: 1\r\nTimestamp: 1\r\nSignature: x\r\n",
        "App-Key: 1400000000\r\nNonce: \u{202e}\r\nTimestamp: \u{1f468}\r\nSignature: \u{e9}\r\n",
        "RC-App-Key: fanfare-local\r\nRC-Nonce: 1\r\nTimestamp: 1\r\nRC-Signature: \t\r\n",
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.push(b"App-Key: \xff\xfe\r\nNonce: \x80\r\nTimestamp: \xc3\x28\r\nSignature: \xff\r\n".to_vec());
    all.push(format!("App-Key: {}\r\n", "k".repeat(4_000)).into_bytes());
    all.push(
        format!("App-Key: fanfare-local\r\nNonce: {0}\r\nTimestamp: {0}\r\nSignature: {0}\r\n", "9".repeat(3_000))
            .into_bytes(),
    );
    all
}

/// A device, some devices or none, or what was wrong.
fn is_of_devices(status: u16, answer: &Value) -> bool {
    let error = &answer["error"];
    match status {
        200 => answer["devices"].is_array() || answer["device_id"].is_string(),
        204 => answer.is_null(),
        400 | 401 | 404 | 405 => {
            error["code"].is_string() && error["message"].as_str().is_some_and(|it| !it.is_empty())
        }
        _ => false,
    }
}

fn odd_bodies() -> Vec<Vec<u8>> {
    let texts = [
        "",
        " ",
        "null",
        "3",
        "\"x\"",
        "[1]",
        "{",
        "{}{}",
        "[]",
        "{}//x",
        "{\"a\":NaN}",
        "{\"MsgRandom\":1e999}",
        "{\"MsgRandom\":-0,\"MsgLifeTime\":18446744073709551616}",
        "{\"MsgRandom\":1.0,\"MsgLifeTime\":1e2}",
        "{\"UserID\":\"\\ud800\"}",
        "{\"UserID\":\"a\\u0000b\"}",
        "{\"UserID\":\"\0\"}",
        "\u{feff}{}",
        "{\"UserID\":\"a\",\"UserID\":5,\"MsgRandom\":1,\"MsgRandom\":null}",
        "{\"\":\"\",\"__proto__\":{}}",
        "{\"UserID\":\"\u{202e}\u{1f468}\u{200d}\"}",
        "{\"To_Account\":[[[]]],\"UserTags\":{\"0\":{}}}",
    ];
    let mut bodies: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    bodies.push(b"{\"UserID\":\"\xff\xfe\"}".to_vec());
    bodies.push(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00C\xbf\xa6\xa3\x02\x00\x00\x00".to_vec());
    bodies.push(vec![0; 100]);
    bodies.push("[".repeat(10_000).into_bytes());
    bodies.push(format!("{{\"MsgBody\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)).into_bytes());
    // As deep as the parser goes, which is deeper than what is stored could be read again.
    for levels in [64, 65, 127] {
        let lists = levels - 3;
        let element = r#"{"MsgType":"TIMTextElem","MsgContent":{"Text":"t"},"New":"#;
        let (open, close) = ("[".repeat(lists), "]".repeat(lists));
        bodies.push(
            format!(r#"{{"MsgRandom":{levels},"MsgLifeTime":60,"MsgBody":[{element}{open}{close}}}]}}"#).into_bytes(),
        );
    }
    bodies.push("{\"a\":".repeat(10_000).into_bytes());
    bodies.push(format!("{{\"MsgRandom\":{}}}", "9".repeat(10_000)).into_bytes());
    bodies.extend(GOOD.iter().map(|body| body.as_bytes().to_vec()));
    bodies
}

/// A call, and white space up to a length.
fn padded(length: usize) -> Vec<u8> {
    let mut body = GOOD[7].as_bytes().to_vec();
    body.resize(length, b' ');
    body
}

fn odd_queries() -> Vec<Vec<u8>> {
    let texts = [
        "",
        "&&&=&=",
        "sdkappid",
        "sdkappid=%",
        "sdkappid=%zz&identifier=%f",
        "sdkappid=%ff&identifier=%c3%28&usersig=%00",
        "sdkappid=1400000000&identifier=administrator&usersig=",
        "sdkappid=<&identifier=\"a\"",
        "a#b",
        "a b",
        "a\tb",
        "sdkappid=1&sdkappid=1400000000&identifier=a&identifier=b&usersig=c&usersig=d",
        "sdkappid=99999999999999999999",
        "sdkappid=1400000000;identifier=a",
        "sdkappid[]=1&identifier[a]=b",
        "a=b?c=d/../{}|\\^`",
    ];
    let mut queries: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    queries.push(b"sdkappid=1400000000&identifier=\xff\xfe&usersig=\xc3".to_vec());
    queries.push(format!("sdkappid=1400000000&identifier={}&usersig=c", "x".repeat(8 * 1024)).into_bytes());
    queries.push(format!("sdkappid=1400000000&identifier=a&usersig={}", "eJw".repeat(8 * 1024 / 3)).into_bytes());
    queries.push("a=b&".repeat(2_000).into_bytes());
    queries
}

fn request(world: &World) -> impl Strategy<Value = Request> + use<> {
    let paths: Vec<Vec<u8>> = paths().into_iter().map(String::into_bytes).collect();
    let path = prop_oneof![
        8 => prop::sample::select(paths),
        1 => Just(b"/v1/devices/phone".to_vec()),
        1 => "/(v4|v1|devices|timpush|push|user|message|json|[%/.a-z0-9]|\\PC){0,12}".prop_filter("not the stack's own", |path| {
            !path.starts_with("/ws") && !path.starts_with("/_")
        }).prop_map(String::into_bytes),
    ];
    let query = prop_oneof![
        8 => Just(world.query.clone()),
        1 => "(sdkappid=1400000000|identifier=|usersig=|[&=%+*;a-z0-9<\"]|\\PC){0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(0x21..=0xff_u8, 0..60),
    ];
    let method = prop_oneof![6 => Just("POST".to_owned()), 1 => Just("PUT".to_owned()), 1 => "[A-Z]{1,8}"];
    let method = method.prop_filter("opens a tunnel, or asks for no body", |it| it != "CONNECT" && it != "HEAD");
    let content_type = prop::sample::select(vec![
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/octet-stream",
        "",
    ]);
    let signed = prop_oneof![
        8 => Just(world.signed.clone()),
        1 => prop::sample::select(odd_signatures()),
        1 => "(App-Key|Nonce|Timestamp|Signature|RC-App-Key): [ -~]{0,40}\r\n".prop_map(String::into_bytes),
    ];
    let body = prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        4 => json_value().prop_map(|value| value.to_string().into_bytes()),
        4 => spliced(),
    ];
    let parts = (method, path, query, content_type, signed, body);
    parts.prop_map(|(method, path, query, content_type, signed, body)| Request {
        method,
        path,
        query,
        content_type,
        signed,
        body,
    })
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u32..3).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec!["alice", "a", "city", "TIMTextElem", "apns", "ios"]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        let name = prop_oneof![9 => prop::sample::select(NAMES).prop_map(str::to_owned), 1 => any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..7).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A body that a call takes, with something else in one place.
fn spliced() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        json_value().prop_map(|value| value.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..4),
        Just(Vec::new()),
    ];
    let place = (any::<prop::sample::Index>(), 0..8_usize);
    (prop::sample::select(GOOD), place, piece).prop_map(|(good, (at, length), piece)| {
        let mut bytes = good.as_bytes().to_vec();
        let start = at.index(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, piece);
        bytes
    })
}
