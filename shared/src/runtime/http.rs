//! HTTP as API Gateway hands it to a function (payload format 2.0), and its answer.
//!
//! The parts of a request are taken as they come. To make one URI of them would be to refuse those that make none: API
//! Gateway hands on a query with a raw `<` or `"` in it, and whoever sends one is to be told what is wrong with it.

use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::encodings::Body;
use aws_lambda_events::event::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use http::{HeaderMap, Method, Response};
use lambda_runtime::{LambdaEvent, service_fn};
use tokio::time::timeout;
use tracing::error;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, as API Gateway decoded it.
    pub path: String,
    /// What stands behind the question mark, as it was sent; empty if nothing does.
    pub query: String,
    /// The headers. Cookies are not among them.
    pub headers: HeaderMap,
    /// The body; empty if there is none.
    pub body: Vec<u8>,
    /// The address that the request came from, as API Gateway saw it. No header can say otherwise.
    pub source: Option<IpAddr>,
}

/// How long a request may take. API Gateway waits for thirty seconds and then answers by itself, in words that no contract
/// has; what is left is for the way back.
pub(crate) const PATIENCE: Duration = Duration::from_secs(25);

/// Why a request was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It took too long. What it asked for may have been done.
    TooSlow,
    /// The handler panicked.
    Panicked,
}

/// Answers HTTP requests with `handler` until the platform ends the function. `troubled` makes the answer, of a path, for
/// requests that the handler does not get done.
///
/// # Errors
///
/// When the runtime cannot go on.
pub async fn run<H, F, T>(handler: H, troubled: T) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Request) -> F + Clone + Send + 'static,
    F: Future<Output = Response<String>> + Send + 'static,
    T: Fn(Trouble, &str) -> Response<String> + Clone + Send + 'static,
{
    lambda_runtime::run_concurrent(service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let (handler, troubled) = (handler.clone(), troubled.clone());
        // Boxed, or the runtime's own future would be as large as the largest handler's.
        Box::pin(async move { Ok::<_, lambda_runtime::Error>(answer(event.payload.into(), handler, troubled).await) })
    }))
    .await
}

async fn answer<F: Future<Output = Response<String>>>(
    request: Request,
    handler: impl Fn(Request) -> F,
    troubled: impl Fn(Trouble, &str) -> Response<String>,
) -> ApiGatewayV2httpResponse {
    let path = request.path.clone();
    // Nothing of a handler that panicked is looked at again: what it shares are clients and what was remembered, each
    // whole at every moment.
    let handled = AssertUnwindSafe(async move { handler(request).await }).catch_unwind();
    let trouble = match timeout(PATIENCE, handled).await {
        Ok(Ok(response)) => return event_of(response),
        Ok(Err(_)) => Trouble::Panicked,
        Err(_) => Trouble::TooSlow,
    };
    error!(trouble = ?trouble, "A request was not done");
    event_of(troubled(trouble, &path))
}

impl From<ApiGatewayV2httpRequest> for Request {
    fn from(event: ApiGatewayV2httpRequest) -> Self {
        let body = event.body.unwrap_or_default();
        let body = if event.is_base64_encoded {
            // API Gateway encoded it. If it is no base64 all the same, nothing was sent that anyone could read.
            STANDARD.decode(body).unwrap_or_default()
        } else {
            body.into_bytes()
        };
        Self {
            method: event.request_context.http.method,
            path: event.raw_path.unwrap_or_default(),
            query: event.raw_query_string.unwrap_or_default(),
            headers: event.headers,
            body,
            source: event.request_context.http.source_ip.and_then(|address| address.parse().ok()),
        }
    }
}

fn event_of(response: Response<String>) -> ApiGatewayV2httpResponse {
    let (parts, body) = response.into_parts();
    let mut event = ApiGatewayV2httpResponse::default();
    event.status_code = parts.status.as_u16().into();
    event.headers = parts.headers;
    event.body = (!body.is_empty()).then_some(Body::Text(body));
    event
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, CONTENT_TYPE};
    use http::{HeaderValue, StatusCode};
    use serde_json::{Value, json};

    use super::*;

    fn event(changes: Value) -> Request {
        let mut event = json!({
            "version": "2.0",
            "routeKey": "ANY /v1/devices/{device_id}",
            "rawPath": "/v1/devices/phone",
            "rawQueryString": "",
            "headers": {"host": "api.example.com", "authorization": "Bearer abc"},
            "requestContext": {
                "accountId": "123456789012", "apiId": "api", "domainName": "api.example.com", "domainPrefix": "api",
                "http": {"method": "PUT", "path": "/v1/devices/phone", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                    "userAgent": "test"},
                "requestId": "id", "routeKey": "ANY /v1/devices/{device_id}", "stage": "$default",
                "time": "14/Nov/2023:22:13:20 +0000", "timeEpoch": 1_700_000_000_000_i64,
            },
            "pathParameters": {"device_id": "phone"},
            "body": "{}",
            "isBase64Encoded": false,
        });
        event.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value::<ApiGatewayV2httpRequest>(event).unwrap().into()
    }

    #[test]
    fn a_request_has_the_parts_of_its_event() {
        let request = event(json!({"rawQueryString": "a=1&b=%20"}));
        assert_eq!((&request.method, request.path.as_str()), (&Method::PUT, "/v1/devices/phone"));
        assert_eq!((request.query.as_str(), request.body.as_slice()), ("a=1&b=%20", b"{}".as_slice()));
        assert_eq!(request.headers[AUTHORIZATION], "Bearer abc");
        assert_eq!(request.source, Some([192, 0, 2, 1].into()));
    }

    #[test]
    fn what_would_make_no_uri_is_handed_on() {
        for query in ["sdkappid=<", "a=\"b\"", "a b", "#", "%", "é", "\u{1}", "?"] {
            assert_eq!(event(json!({"rawQueryString": query})).query, query);
        }
        for path in ["/v1/devices/a b", "/<>", "/..", "//", "", "/?sdkappid=1", "/é"] {
            assert_eq!(event(json!({"rawPath": path})).path, path);
        }
        assert_eq!(event(json!({"headers": {"host": "<a>"}})).path, "/v1/devices/phone");
    }

    #[test]
    fn bodies_come_as_text_in_base64_or_not_at_all() {
        assert_eq!(event(json!({"body": "/w==", "isBase64Encoded": true})).body, [0xff]);
        assert_eq!(event(json!({"body": "é"})).body, "é".as_bytes());
        assert!(event(json!({"body": null})).body.is_empty());
        assert!(event(json!({"body": "no base64", "isBase64Encoded": true})).body.is_empty());
    }

    #[test]
    fn an_answer_is_an_event_that_api_gateway_understands() {
        let mut response = Response::new("{}".to_owned());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let event = serde_json::to_value(event_of(response)).unwrap();
        assert_eq!((&event["statusCode"], &event["body"]), (&json!(400), &json!("{}")));
        assert_eq!(event["headers"], json!({"content-type": "application/json"}));
        assert_eq!((&event["isBase64Encoded"], &event["cookies"]), (&json!(false), &json!([])));

        let nothing = serde_json::to_value(event_of(Response::new(String::new()))).unwrap();
        assert_eq!(nothing.get("body"), None);
    }

    async fn answered<F: Future<Output = Response<String>>>(handler: impl Fn(Request) -> F) -> Value {
        let troubled = |trouble, path: &str| Response::new(format!("{trouble:?} {path}"));
        serde_json::to_value(answer(event(json!({})), handler, troubled).await).unwrap()["body"].take()
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_is_too_slow_or_panics_is_answered_for() {
        let asleep = |secs| async move {
            tokio::time::sleep(Duration::from_secs(secs)).await;
            Response::new("done".to_owned())
        };
        assert_eq!(answered(|_| asleep(24)).await, "done");
        assert_eq!(answered(|_| asleep(26)).await, "TooSlow /v1/devices/phone");
        let broken = |request: Request| async move {
            assert!(request.path.is_empty(), "as this test has it");
            Response::new(String::new())
        };
        assert_eq!(answered(broken).await, "Panicked /v1/devices/phone");
    }
}
