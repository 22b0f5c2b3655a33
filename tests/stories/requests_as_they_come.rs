//! Backends send requests in ways that no page shows. What can be understood is, and what cannot is told so in the
//! contract's JSON.

use reqwest::header::{
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN,
};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use support::{ADMIN, SDK_APP_ID};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{a_stack, text};

const NAMES: &str = "all_member_push/im_get_attr_name";
const PUSH: &str = "all_member_push/im_push";

#[tokio::test]
async fn what_can_be_understood_is() {
    let stack = &a_stack().await;
    let http = Client::new();
    let signature = stack.user_sig(ADMIN);
    let app = format!("sdkappid={SDK_APP_ID}");
    let (identifier, user_sig) = (format!("identifier={ADMIN}"), format!("usersig={signature}"));

    // The parameters in any order, `random` or none, others too, the first of two.
    for query in [
        format!("{app}&{identifier}&{user_sig}&random=4294967295&contenttype=json"),
        format!("{user_sig}&{identifier}&{app}&random=99999999&contenttype=json"),
        format!("contenttype=json&random=-1.5&{identifier}&{user_sig}&{app}"),
        format!("{app}&{identifier}&{user_sig}"),
        format!("&&{app}&{identifier}&{user_sig}&ver=v4&x&=&sdkappid=7&usersig="),
        format!("{app}&identifier=%61dministrator&{}", user_sig.replace('*', "%2A").replace('_', "%5f")),
        // An escape that is none stands for itself, in what nobody reads.
        format!("{app}&{identifier}&{user_sig}&random=%zz%&%=%c3"),
    ] {
        let answer = answered(http.post(format!("{}/v4/{NAMES}?{query}", stack.base())).body("{}")).await;
        assert_eq!(answer["ErrorCode"], 0, "{query}: {answer}");
    }

    // Any type of content or none. Those that are no text reach a function in base64.
    for kind in [
        Some("application/json"),
        Some("application/json; charset=utf-8"),
        Some("APPLICATION/JSON"),
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/octet-stream"),
        Some("nonsense"),
        None,
    ] {
        let request = http.post(stack.server_url("im_open_login_svc/account_import"));
        let request = kind.into_iter().fold(request, |request, kind| request.header(CONTENT_TYPE, kind));
        let answer = answered(request.body(r#"{"UserID":"alice","Nick":"Ålice"}"#)).await;
        assert_eq!(answer["ErrorCode"], 0, "{kind:?}: {answer}");
    }

    // `[]` is an empty object, and `null` is absent, wherever they stand.
    for (call, body) in [
        (NAMES, "[]".to_owned()),
        (NAMES, " \n{ } ".to_owned()),
        ("im_open_login_svc/account_import", json!({"UserID": "bob", "Nick": null, "FaceUrl": null}).to_string()),
        ("all_member_push/im_set_attr_name", json!({"AttrNames": {"0": "city"}, "More": null}).to_string()),
        (
            "all_member_push/im_set_attr",
            json!({"UserAttrs": [{"To_Account": "bob", "Attrs": []}], "Attrs": null}).to_string(),
        ),
        (
            PUSH,
            json!({"MsgRandom": 1, "MsgLifeTime": null, "From_Account": null, "OfflinePushInfo": null,
                "Condition": {"TagsOr": ["x"], "TagsAnd": null, "AttrsOr": null, "AttrsAnd": []}, "MsgBody": text("hi")})
            .to_string(),
        ),
    ] {
        let answer = stack.post(&stack.server_url(call), body.clone()).await;
        assert_eq!(answer["ErrorCode"], 0, "{call} {body}: {answer}");
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_told_so_in_the_contracts_json() {
    let stack = &a_stack().await;
    let http = Client::new();
    let good = stack.server_url(NAMES);
    let (_, query) = good.split_once('?').unwrap();

    // Only POST, and only the paths that there are, letter by letter.
    for call in [NAMES, PUSH] {
        let url = format!("{}/v4/{call}?{query}", stack.base());
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            let answer = answered(http.request(method.clone(), &url).body("{}")).await;
            assert_eq!(answer["ErrorCode"], 60009, "{method} {call}: {answer}");
        }
        let head = http.head(&url).send().await.unwrap();
        assert_eq!(
            (head.status().as_u16(), &head.headers()[CONTENT_TYPE]),
            (200, &"application/json".parse().unwrap())
        );
        for path in [
            format!("v4/{call}/"),
            format!("v4//{call}"),
            format!("v4/{call}/x"),
            format!("v4/{call}%20"),
            format!("v4/{call}%00"),
            format!("v4/{call}%zz"),
            format!("v4/{call}%"),
            format!("v4/{call}%ff"),
            format!("v4/{}", call.to_uppercase()),
        ] {
            let url = format!("{}/{path}?{query}", stack.base());
            let answer = answered(http.post(&url).body("{}")).await;
            assert_eq!(answer["ErrorCode"], 60009, "{path}: {answer}");
        }
        // What is not below /v4/ is answered as the other contract has it.
        for path in [format!("/v4/{call}"), format!("V4/{call}"), format!("v3/{call}"), format!("x/v4/{call}")] {
            let answer = http.post(format!("{}/{path}?{query}", stack.base())).body("{}").send().await.unwrap();
            assert_eq!((answer.status().as_u16(), &answer.json::<Value>().await.unwrap()["code"]), (404, &404.into()));
        }
    }

    // Escapes that are none, and bytes that are no text, in parameters that are read.
    for (from, to, code) in [
        ("sdkappid=", "sdkappid=%zz", 60025),
        ("sdkappid=", "sdkappid=%ff", 60025),
        ("sdkappid=", "sdkappid=%00", 60025),
        ("sdkappid=", "sdkappid", 60012),
        ("&identifier=", "&identifier=%c3%28", 70013),
        ("&identifier=", "&identifier=%00", 70013),
        ("&usersig=", "&usersig=%", 70003),
        ("&usersig=", "&usersig=%ff%fe", 70003),
        ("contenttype=json", "contenttype=%6aso", 60025),
    ] {
        let url = good.replacen(from, to, 1);
        let answer = answered(http.post(&url).body("{}")).await;
        assert_eq!(answer["ErrorCode"], code, "{to}: {answer}");
    }
    // Characters that should be escaped and are not. (The server of the local stack takes fewer of them than
    // API Gateway.)
    let query = query.as_bytes();
    for (raw, code) in [
        ([query, b"&x={y:[]}|^`"].concat(), 0),
        ([b"sdkappid={}&".as_slice(), query].concat(), 60025),
        ([b"identifier={|&".as_slice(), query].concat(), 70013),
    ] {
        let answer = raw_post(stack.base(), &raw).await;
        assert_eq!(answer["ErrorCode"], code, "{}: {answer}", String::from_utf8_lossy(&raw));
    }

    // Bodies that are none, up to what the gateway hands on.
    let long = |length: usize| [b"{\"a\":\"".as_slice(), &vec![b'x'; length], b"\"}"].concat();
    for (body, code) in [
        (Vec::new(), 90001),
        (b"\xef\xbb\xbf{}".to_vec(), 90001),
        (b"{\"a\":\"\xff\"}".to_vec(), 90001),
        (b"{\"a\":\"\xed\xa0\x80\"}".to_vec(), 90001),
        (b"\x00".to_vec(), 90001),
        (b"{}\x00".to_vec(), 90001),
        (long(1024 * 1024), 80002),
        (long(4 * 1024 * 1024), 80002),
    ] {
        for kind in ["application/json", "application/octet-stream"] {
            let answer = answered(http.post(&good).header(CONTENT_TYPE, kind).body(body.clone())).await;
            assert_eq!(answer["ErrorCode"], code, "{} bytes of {kind}: {answer}", body.len());
        }
    }
    let answer = http.post(&good).body(long(10 * 1024 * 1024)).send().await.unwrap();
    assert_eq!(answer.status(), 413, "the gateway's own answer");
    assert!(answer.json::<Value>().await.unwrap()["message"].is_string());
}

#[tokio::test]
async fn web_pages_may_register_devices_and_not_call_as_a_server() {
    let stack = &a_stack().await;
    let http = Client::new();
    let origin = "https://app.example.com";
    let preflight = http
        .request(Method::OPTIONS, stack.server_url(PUSH))
        .header(ORIGIN, origin)
        .header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET,PUT,DELETE");
    // What a backend gets, which has no origin, does not mention pages.
    let answer = http.post(stack.server_url(NAMES)).body("{}").send().await.unwrap();
    assert_eq!(answer.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN), None);
    let answer = http.get(format!("{}/v1/devices", stack.base())).header(ORIGIN, origin).send().await.unwrap();
    assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
}

/// The answer, which is JSON with the contract's three members and status 200, whatever was asked.
async fn answered(request: RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()[CONTENT_TYPE]),
        (200, &"application/json".parse().unwrap())
    );
    let answer: Value = answer.json().await.unwrap();
    assert!(["ActionStatus", "ErrorCode", "ErrorInfo"].iter().all(|member| answer.get(member).is_some()), "{answer}");
    answer
}

/// The answer to a request whose URL no client library would send.
async fn raw_post(base: &str, query: &[u8]) -> Value {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST /v4/{NAMES}?");
    let tail = format!(" HTTP/1.1\r\nhost: {address}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
    stream.write_all(&[head.as_bytes(), query, tail.as_bytes()].concat()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}
