//! What is told when a call fails that is our own, of neither contract, and what the log is told.

use fanfare::gate::{Denial, Denied, Refused};
use fanfare::runtime::telemetry::chain;
use fanfare::store::StoreError;
use http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use tracing::error;

/// Why a call was not done.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// What is brought does not prove who calls, or is not even looked at, or whom it proves may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The request is malformed.
    #[error("{code}: {message}")]
    Invalid {
        /// What is malformed.
        code: &'static str,
        /// The rule.
        message: String,
    },
    /// The path is there, but not with this method.
    #[error("the method is not allowed")]
    WrongMethod {
        /// The methods that it has, as `Allow` lists them.
        allowed: &'static str,
    },
    /// There is no such path.
    #[error("there is no such path")]
    NoSuchPath,
    /// There is no such push, or it is none of the app's.
    #[error("there is no such push")]
    NoSuchPush,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Trouble {
    pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { code, message: message.into() }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Denied(denied) => match denied.kind {
                Denial::Unproven => StatusCode::UNAUTHORIZED,
                Denial::Barred | Denial::NotAllowed => StatusCode::FORBIDDEN,
                Denial::LockedOut | Denial::TooOften => StatusCode::TOO_MANY_REQUESTS,
            },
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoSuchPath | Self::NoSuchPush => StatusCode::NOT_FOUND,
            Self::Store(StoreError::Corrupt { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
            // Trying again later may pass.
            Self::Store(StoreError::Contended(_) | StoreError::Unprocessed(_) | StoreError::Unavailable { .. }) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn told(&self) -> (String, String) {
        match self {
            Self::Denied(denied) => (denied.code.to_string(), denied.info.clone()),
            Self::Invalid { code, message } => ((*code).to_owned(), message.clone()),
            Self::WrongMethod { .. } => ("method_not_allowed".to_owned(), self.to_string()),
            Self::NoSuchPath | Self::NoSuchPush => ("not_found".to_owned(), self.to_string()),
            Self::Store(_) => ("internal".to_owned(), "internal error: try again".to_owned()),
        }
    }

    /// The answer.
    pub fn into_http(self) -> Response<String> {
        if let Self::Store(failure) = &self {
            log(failure);
        }
        let (code, message) = self.told();
        let mut response = json_response(self.status(), &json!({"error": {"code": code, "message": message}}));
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::WrongMethod { allowed } = self {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

impl From<Refused<Denied>> for Trouble {
    fn from(refused: Refused<Denied>) -> Self {
        match refused {
            Refused::Told(denied) => Self::Denied(denied),
            Refused::Store(failure) => Self::Store(failure),
        }
    }
}

/// An answer of JSON.
pub fn json_response(status: StatusCode, body: &Value) -> Response<String> {
    let mut response = Response::new(body.to_string());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Tells the log that a call failed here, and why.
pub(crate) fn log(failure: &dyn std::error::Error) {
    error!(error = chain(failure), "A call failed here");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_are_told_in_one_shape() {
        let denied = |kind, code| Trouble::Denied(Denied { kind, code, info: "why".to_owned() });
        for (trouble, status, code) in [
            (denied(Denial::Unproven, 70_001), 401, "70001"),
            (denied(Denial::Unproven, 31_004), 401, "31004"),
            (denied(Denial::LockedOut, 70_050), 429, "70050"),
            (denied(Denial::Barred, 70_399), 403, "70399"),
            (Trouble::invalid("invalid_token", "no"), 400, "invalid_token"),
            (Trouble::WrongMethod { allowed: "GET" }, 405, "method_not_allowed"),
            (Trouble::NoSuchPath, 404, "not_found"),
            (Trouble::NoSuchPush, 404, "not_found"),
            (denied(Denial::NotAllowed, 60_010), 403, "60010"),
            (denied(Denial::TooOften, 60_007), 429, "60007"),
            (Trouble::Store(StoreError::Contended(3)), 503, "internal"),
            (Trouble::Store(StoreError::Unprocessed(3)), 503, "internal"),
        ] {
            let response = trouble.into_http();
            let body: Value = serde_json::from_str(response.body()).unwrap();
            assert_eq!((response.status().as_u16(), &body["error"]["code"]), (status, &json!(code)));
            assert!(body["error"]["message"].is_string());
            let header = |name| response.headers().get(name).map(HeaderValue::as_bytes);
            assert_eq!(header(WWW_AUTHENTICATE), (status == 401).then_some(&b"Bearer"[..]), "{status}");
            assert_eq!(header(ALLOW), (status == 405).then_some(&b"GET"[..]), "{status}");
        }
    }
}
