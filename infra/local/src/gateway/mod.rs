//! API Gateway: the HTTP API, the WebSocket API and its `@connections`.

pub mod connections;
mod cors;
pub mod http_api;
pub mod routes;
mod signature;
pub mod websocket;

use http::StatusCode;
use serde_json::json;

use axum::response::{IntoResponse, Response};

/// How API Gateway says that something went wrong: `{"message":"…"}`.
fn message(status: StatusCode, text: &str) -> Response {
    (status, axum::Json(json!({"message": text}))).into_response()
}

/// A path without its escapes; what is no UTF-8 is replaced.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match rest.get(..2).and_then(hex_byte).filter(|_| byte == b'%') {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &rest[2..];
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    let all_hex = text.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(text, 16).ok().filter(|_| all_hex)
}

/// The pairs of a query string, decoded, in order.
fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    form_urlencoded::parse(query.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_escape_stays_as_it_is() {
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%+1%C3%A9"), "%+1é");
        assert_eq!(decoded("a+b%20c"), "a+b c");
    }
}
