//! Whether a request is signed as AWS wants it: Signature Version 4, by the steps of "Create a signed AWS API request" in the
//! guide of IAM. Written out here, so that what signs does not check itself.

use std::time::{Duration, SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base16ct::lower::encode_string as hex;
use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::connections::MAX_MESSAGE_BYTES;
use crate::lambda::SECRET_KEY;
use crate::template::REGION;

/// What signatures call the service of APIs.
const SERVICE: &str = "execute-api";
/// How far the time of a signature may be off.
const SKEW: Duration = Duration::from_secs(300);

/// Lets in what is signed; the machine's clock counts, as SDKs sign by it.
pub async fn checked(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_MESSAGE_BYTES).await else {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeException", "Payload Too Large");
    };
    match check(&parts, &body, SystemTime::now()) {
        Ok(()) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(fault) => {
            tracing::warn!("A call of `@connections` is refused: {fault}");
            refusal(StatusCode::FORBIDDEN, "InvalidSignatureException", &fault)
        }
    }
}

fn refusal(status: StatusCode, name: &'static str, text: &str) -> Response {
    let name = [(HeaderName::from_static("x-amzn-errortype"), HeaderValue::from_static(name))];
    (status, name, axum::Json(json!({"message": text}))).into_response()
}

/// What is wrong with a request's signature, if anything is.
fn check(parts: &Parts, body: &[u8], now: SystemTime) -> Result<(), String> {
    let authorization = text(&parts.headers, header::AUTHORIZATION.as_str())?;
    let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("it is not signed by AWS4-HMAC-SHA256")?;
    let field = |name: &str| {
        let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value).ok_or(format!("its signature has no {name}"))
    };
    let (_, scope) = field("Credential")?.split_once('/').ok_or("its credential has no scope")?;
    let date = text(&parts.headers, "x-amz-date")?;
    let day = date.get(..8).ok_or("its date is none")?;
    let expected = format!("{day}/{REGION}/{SERVICE}/aws4_request");
    if scope != expected {
        return Err(format!("it is signed for `{scope}`, and not for `{expected}`"));
    }
    let off = moment(&date).ok_or("its date is none")?;
    let off = off.duration_since(now).or_else(|_| now.duration_since(off)).unwrap_or(Duration::MAX);
    if off > SKEW {
        return Err(format!("it was signed at {date}, which is not now"));
    }
    let signed = field("SignedHeaders")?;
    for name in [header::HOST.as_str(), "x-amz-date"] {
        if !signed.split(';').any(|header| header == name) {
            return Err(format!("its {name} is not signed"));
        }
    }
    let canonical = canonical(parts, signed, body)?;
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(&canonical)));
    if field("Signature")? != signature(scope, &to_sign) {
        return Err("its signature is not that of what came: method, path, headers or body differ".to_owned());
    }
    Ok(())
}

/// The request in the form that is signed.
fn canonical(parts: &Parts, signed: &str, body: &[u8]) -> Result<String, String> {
    let path: Vec<String> = parts.uri.path().split('/').map(encoded).collect();
    let mut query: Vec<&str> = parts.uri.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let mut canonical = format!("{}\n{}\n{}\n", parts.method, path.join("/"), query.join("&"));
    for name in signed.split(';') {
        let value = text(&parts.headers, name)?;
        let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
        canonical.push_str(&format!("{name}:{}\n", words.join(" ")));
    }
    Ok(format!("{canonical}\n{signed}\n{}", hex(&Sha256::digest(body))))
}

/// A segment of a path, with all escaped but what RFC 3986 calls unreserved: what was escaped before, twice.
fn encoded(segment: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    segment.bytes().map(escape).collect()
}

fn signature(scope: &str, to_sign: &str) -> String {
    let first = format!("AWS4{SECRET_KEY}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| hmac(&key, part));
    hex(&hmac(&key, to_sign))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// `20261121T220000Z`.
fn moment(date: &str) -> Option<SystemTime> {
    let part = |from: usize, to: usize| date.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
    let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    SystemTime::try_from(DateTime::from_str(&text, Format::DateTime).ok()?).ok()
}

fn text(headers: &HeaderMap, name: &str) -> Result<String, String> {
    let value = headers.get(name).ok_or(format!("it has no {name}"))?;
    Ok(value.to_str().map_err(|_| format!("its {name} is no text"))?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const PATH: &str = "/live/@connections/L0SM9cOFvHcCIhw%3D";
    const DATE: &str = "20231114T221320Z";
    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn now() -> SystemTime {
        UNIX_EPOCH + NOW
    }

    fn parts(method: &str, path: &str, date: &str, host: &str) -> Parts {
        let request = http::Request::builder().method(method).uri(path).header("host", host).header("x-amz-date", date);
        request.body(()).unwrap().into_parts().0
    }

    /// A frame that is posted, signed with these headers for this scope.
    fn signed(date: &str, scope: &str, headers: &str) -> Parts {
        let mut parts = parts("POST", PATH, date, "127.0.0.1:3000");
        let canonical = canonical(&parts, headers, b"a frame").unwrap();
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(&canonical)));
        let signature = signature(scope, &to_sign);
        let value =
            format!("AWS4-HMAC-SHA256 Credential=deliver-ws.1/{scope}, SignedHeaders={headers}, Signature={signature}");
        parts.headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        parts
    }

    fn well_signed() -> Parts {
        signed(DATE, "20231114/us-east-1/execute-api/aws4_request", "host;x-amz-date")
    }

    #[test]
    fn what_is_signed_is_let_in_for_five_minutes() {
        assert_eq!(check(&well_signed(), b"a frame", now()), Ok(()));
        for (off, fits) in [(299, true), (301, false)] {
            let off = Duration::from_secs(off);
            assert_eq!(check(&well_signed(), b"a frame", now() + off).is_ok(), fits);
            assert_eq!(check(&well_signed(), b"a frame", now() - off).is_ok(), fits);
        }
    }

    #[test]
    fn the_canonical_form_is_that_of_the_guide() {
        let canonical = canonical(&well_signed(), "host;x-amz-date", b"").unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            canonical,
            format!(
                "POST\n/live/%40connections/L0SM9cOFvHcCIhw%253D\n\nhost:127.0.0.1:3000\nx-amz-date:{DATE}\n\n\
                 host;x-amz-date\n{empty}"
            )
        );
    }

    #[test]
    fn what_is_changed_on_its_way_is_not_let_in() {
        let differs = "its signature is not that of what came: method, path, headers or body differ";
        let fault = |parts: &Parts, body: &[u8]| check(parts, body, now()).unwrap_err();
        assert_eq!(fault(&well_signed(), b"another"), differs);
        let authorization = || well_signed().headers.remove("authorization").unwrap();
        for mut other in [
            parts("DELETE", PATH, DATE, "127.0.0.1:3000"),
            // Escaped otherwise, and so another text, though the same connection.
            parts("POST", "/live/@connections/L0SM9cOFvHcCIhw=", DATE, "127.0.0.1:3000"),
            parts("POST", "/live/%40connections/L0SM9cOFvHcCIhw%3D", DATE, "127.0.0.1:3000"),
            parts("POST", "/live/@connections/other", DATE, "127.0.0.1:3000"),
            parts("POST", PATH, DATE, "127.0.0.1:3001"),
            parts("POST", PATH, "20231114T221321Z", "127.0.0.1:3000"),
        ] {
            other.headers.insert("authorization", authorization());
            assert_eq!(fault(&other, b"a frame"), differs, "{other:?}");
        }
    }

    #[test]
    fn what_is_signed_for_something_else_is_not_let_in() {
        let fault = |date, scope, headers| check(&signed(date, scope, headers), b"a frame", now()).unwrap_err();
        let good = "20231114/us-east-1/execute-api/aws4_request";
        assert_eq!(fault(DATE, good, "x-amz-date"), "its host is not signed");
        assert_eq!(fault(DATE, good, "host"), "its x-amz-date is not signed");
        for scope in [
            "20231114/us-east-1/apigateway/aws4_request",
            "20231114/eu-west-1/execute-api/aws4_request",
            "20231113/us-east-1/execute-api/aws4_request",
        ] {
            assert!(fault(DATE, scope, "host;x-amz-date").starts_with("it is signed for "), "{scope}");
        }
        assert_eq!(check(&parts("POST", PATH, DATE, "h"), b"", now()).unwrap_err(), "it has no authorization");
    }
}
