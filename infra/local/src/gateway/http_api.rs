//! The HTTP API: requests become events of payload format 2.0, and answers responses.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::routes::{self, Parameters};
use super::{cors, decoded, message, query_pairs};
use crate::clock::{Civil, Clock};
use crate::lambda::{Failure, Lambda};
use crate::template::{ACCOUNT, HttpApi, HttpRoute, REGION};

/// The largest body that an HTTP API takes.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

/// A running HTTP API.
#[derive(Clone)]
pub struct Gateway {
    api: HttpApi,
    lambda: Lambda,
    clock: Clock,
}

impl Gateway {
    /// Serves `api` with the functions of `lambda`.
    pub fn new(api: HttpApi, lambda: Lambda, clock: Clock) -> Self {
        Self { api, lambda, clock }
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let cors = self.api.cors.as_ref();
        if let Some(preflight) = cors.and_then(|cors| cors::preflight(cors, &parts.method, &parts.headers)) {
            return preflight;
        }
        let mut response = self.answer(&parts, body).await;
        if let Some(cors) = cors {
            cors::expose(cors, &parts.headers, &mut response);
        }
        response
    }

    async fn answer(&self, parts: &Parts, body: Body) -> Response {
        let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
            return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        };
        // API Gateway matches, and hands on, the path without its escapes.
        let path = decoded(parts.uri.path());
        let found = routes::find(&self.api.routes, |route| &route.key, parts.method.as_str(), &path);
        let Some((route, parameters)) = found else {
            return message(StatusCode::NOT_FOUND, "Not Found");
        };
        let request_id = uuid::Uuid::new_v4().simple().to_string()[..16].to_owned();
        let event = self.event(route, parameters, parts, &path, &body, &request_id);
        let invocation = self.lambda.invoke(&route.function, event);
        let mut response = match timeout(route.timeout, invocation).await {
            Ok(Ok(answer)) => responded(&answer),
            Ok(Err(Failure::TooLarge(_))) => message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
            Ok(Err(_)) => message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
            Err(_) => message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        };
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert("apigw-requestid", id);
        }
        response
    }

    fn event(
        &self,
        route: &HttpRoute,
        parameters: Parameters,
        parts: &Parts,
        path: &str,
        body: &Bytes,
        request_id: &str,
    ) -> Bytes {
        let now_ms = self.clock.now_ms();
        let route_key = route.key.to_string();
        let query = parts.uri.query().unwrap_or_default();
        let domain = format!("{}.execute-api.{REGION}.amazonaws.com", self.api.id);
        let mut event = json!({
            "version": "2.0",
            "routeKey": route_key,
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers(&parts.headers),
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": self.api.id,
                "domainName": domain,
                "domainPrefix": self.api.id,
                "http": {
                    "method": parts.method.as_str(),
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": source_ip(parts),
                    "userAgent": text(&parts.headers, &USER_AGENT),
                },
                "requestId": request_id,
                "routeKey": route_key,
                "stage": "$default",
                "time": Civil::from_unix(now_ms / 1000).common_log(),
                "timeEpoch": now_ms,
            },
            "isBase64Encoded": false,
        });
        let query = query_parameters(query);
        if !query.is_empty() {
            event["queryStringParameters"] = json!(query);
        }
        if !parameters.is_empty() {
            event["pathParameters"] = json!(parameters);
        }
        let cookies = cookies(&parts.headers);
        if !cookies.is_empty() {
            event["cookies"] = json!(cookies);
        }
        if !body.is_empty() {
            let text = std::str::from_utf8(body).ok();
            let text = text.filter(|_| is_text(&parts.headers));
            event["isBase64Encoded"] = json!(text.is_none());
            event["body"] = match text {
                Some(text) => json!(text),
                None => json!(BASE64_STANDARD.encode(body)),
            };
        }
        Bytes::from(event.to_string())
    }
}

fn source_ip(parts: &Parts) -> String {
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    address.map_or("127.0.0.1".to_owned(), |info| info.0.ip().to_string())
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

/// Names in lower case, several values joined by commas, cookies apart.
fn headers(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let mut joined: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers {
        if name == COOKIE {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str())
            .and_modify(|all| {
                all.push(',');
                all.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    joined.entry(HOST.as_str()).or_default();
    joined
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(COOKIE).iter();
    all.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .map(|cookie| cookie.trim().to_owned())
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

/// Decoded, several values joined by commas.
fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in query_pairs(query) {
        joined
            .entry(name)
            .and_modify(|all| {
                all.push(',');
                all.push_str(&value);
            })
            .or_insert(value);
    }
    joined
}

/// The content types that API Gateway hands on as text; forms are not among them.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = text(headers, &CONTENT_TYPE).to_ascii_lowercase();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(kind, "application/json" | "application/javascript" | "application/xml")
}

/// The response that a function's answer means.
fn responded(answer: &Bytes) -> Response {
    let bad = || message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
        return bad();
    };
    let Some(status) = answer.get("statusCode") else {
        return inferred(&answer);
    };
    let status = match status {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) else {
        return bad();
    };
    let body = match &answer["body"] {
        Value::Null => Some(Bytes::new()),
        Value::String(text) if answer["isBase64Encoded"] == true => BASE64_STANDARD.decode(text).ok().map(Bytes::from),
        Value::String(text) => Some(Bytes::from(text.clone())),
        _ => None,
    };
    let Some(body) = body else { return bad() };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    if set_headers(response.headers_mut(), &answer).is_none() {
        return bad();
    }
    let plain = HeaderValue::from_static("text/plain;charset=utf-8");
    response.headers_mut().entry(CONTENT_TYPE).or_insert(plain);
    response
}

/// A function that names no status answers 200 with its JSON.
fn inferred(answer: &Value) -> Response {
    let text = match answer {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut response = Response::new(Body::from(text));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn set_headers(headers: &mut HeaderMap, answer: &Value) -> Option<()> {
    let empty = Map::new();
    for (name, value) in answer["headers"].as_object().unwrap_or(&empty) {
        headers.insert(name_of(name)?, value_of(value)?);
    }
    for (name, values) in answer["multiValueHeaders"].as_object().unwrap_or(&empty) {
        let name = name_of(name)?;
        headers.remove(&name);
        for value in values.as_array()? {
            headers.append(name.clone(), value_of(value)?);
        }
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        headers.append(SET_COOKIE, value_of(cookie)?);
    }
    // The body that was sent says how long it is.
    headers.remove(CONTENT_LENGTH);
    Some(())
}

fn name_of(name: &str) -> Option<HeaderName> {
    HeaderName::try_from(name).ok()
}

fn value_of(value: &Value) -> Option<HeaderValue> {
    match value {
        Value::String(text) => HeaderValue::try_from(text).ok(),
        Value::Number(number) => HeaderValue::try_from(number.to_string()).ok(),
        Value::Bool(yes) => HeaderValue::try_from(yes.to_string()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response) -> Bytes {
        to_bytes(response.into_body(), 1024).await.unwrap()
    }

    #[test]
    fn query_values_are_decoded_and_joined() {
        let parameters = query_parameters("a=1&b=x%20y&a=2+3&c");
        assert_eq!(parameters["a"], "1,2 3");
        assert_eq!(parameters["b"], "x y");
        assert_eq!(parameters["c"], "");
    }

    #[test]
    fn a_form_is_no_text_and_json_is() {
        let kind = |value| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            is_text(&headers)
        };
        assert!(kind("application/json; charset=utf-8"));
        assert!(kind("application/problem+json"));
        assert!(!kind("application/x-www-form-urlencoded"));
        assert!(!is_text(&HeaderMap::new()));
    }

    #[test]
    fn headers_are_joined_and_cookies_set_apart() {
        let mut all = HeaderMap::new();
        all.append("accept", HeaderValue::from_static("a"));
        all.append("accept", HeaderValue::from_static("b"));
        all.append(COOKIE, HeaderValue::from_static("x=1; y=2"));
        assert_eq!(headers(&all)["accept"], "a,b");
        assert!(!headers(&all).contains_key("cookie"));
        assert_eq!(cookies(&all), ["x=1", "y=2"]);
    }

    #[tokio::test]
    async fn an_answer_sets_status_headers_cookies_and_bytes() {
        let answer = json!({
            "statusCode": 201,
            "headers": {"x-one": "1", "content-type": "application/octet-stream"},
            "multiValueHeaders": {"x-two": ["a", "b"]},
            "cookies": ["c=1", "d=2"],
            "body": "AAEC",
            "isBase64Encoded": true,
        });
        let response = responded(&Bytes::from(answer.to_string()));
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()["x-one"], "1");
        assert_eq!(response.headers().get_all("x-two").iter().count(), 2);
        assert_eq!(response.headers().get_all(SET_COOKIE).iter().count(), 2);
        assert_eq!(body(response).await.as_ref(), [0, 1, 2]);
    }

    #[tokio::test]
    async fn an_answer_without_a_status_is_200_with_its_json() {
        let response = responded(&Bytes::from_static(br#"{"hello":"world"}"#));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(body(response).await.as_ref(), br#"{"hello":"world"}"#);
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_an_internal_error() {
        for answer in ["no json", r#"{"statusCode":"many"}"#, r#"{"statusCode":200,"body":{}}"#] {
            let response = responded(&Bytes::from(answer.to_owned()));
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{answer}");
        }
    }
}
