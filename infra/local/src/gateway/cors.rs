//! What API Gateway does for browsers of other origins, without asking the function.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    ORIGIN,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::template::Cors;

/// The answer to a preflight request, which never reaches a function.
pub(super) fn preflight(cors: &Cors, method: &Method, headers: &HeaderMap) -> Option<Response> {
    let asks = headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if method != Method::OPTIONS || !asks || !headers.contains_key(ORIGIN) {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if allow(cors, headers, &mut response) {
        set(&mut response, ACCESS_CONTROL_ALLOW_METHODS, &cors.methods);
        set(&mut response, ACCESS_CONTROL_ALLOW_HEADERS, &cors.headers);
        if let Some(seconds) = cors.max_age {
            set(&mut response, ACCESS_CONTROL_MAX_AGE, &[seconds.to_string()]);
        }
    }
    Some(response)
}

/// Lets the page read the answer. What the function said about it does not count.
pub(super) fn expose(cors: &Cors, request: &HeaderMap, response: &mut Response) {
    for name in [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_EXPOSE_HEADERS] {
        response.headers_mut().remove(name);
    }
    if allow(cors, request, response) {
        set(response, ACCESS_CONTROL_EXPOSE_HEADERS, &cors.exposed);
    }
}

fn allow(cors: &Cors, request: &HeaderMap, response: &mut Response) -> bool {
    let Some(origin) = request.get(ORIGIN) else {
        return false;
    };
    let any = cors.origins.iter().any(|allowed| allowed == "*");
    if !any && !cors.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
        return false;
    }
    let shown = if any { HeaderValue::from_static("*") } else { origin.clone() };
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, shown);
    if cors.credentials {
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
    true
}

fn set(response: &mut Response, name: HeaderName, values: &[String]) {
    if !values.is_empty()
        && let Ok(value) = HeaderValue::from_str(&values.join(","))
    {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origin: &str) -> Cors {
        Cors {
            origins: vec![origin.to_owned()],
            methods: vec!["GET".to_owned(), "PUT".to_owned()],
            max_age: Some(60),
            ..Cors::default()
        }
    }

    fn asking(origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
        headers
    }

    #[test]
    fn a_preflight_is_answered_here() {
        let headers = asking("https://a.example");
        let response = preflight(&cors("*"), &Method::OPTIONS, &headers).unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET,PUT");
        assert_eq!(response.headers()[ACCESS_CONTROL_MAX_AGE], "60");
    }

    #[test]
    fn an_origin_that_is_not_allowed_learns_nothing() {
        let headers = asking("https://b.example");
        let response = preflight(&cors("https://a.example"), &Method::OPTIONS, &headers).unwrap();
        assert!(response.headers().is_empty());
    }

    #[test]
    fn other_requests_go_on_to_the_function() {
        let headers = asking("https://a.example");
        assert!(preflight(&cors("*"), &Method::PUT, &headers).is_none());
        assert!(preflight(&cors("*"), &Method::OPTIONS, &HeaderMap::new()).is_none());
    }
}
