//! What is answered: JSON with a `code` that is a number. The SDKs read it whatever the HTTP status says.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use super::Error;

/// The answer to a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    status: StatusCode,
    members: Map<String, Value>,
}

/// What `code` is when a call succeeded.
const OK: u32 = 200;

impl Reply {
    /// Success, and nothing more to say.
    pub fn ok() -> Self {
        Self { status: StatusCode::OK, members: Map::from_iter([("code".to_owned(), OK.into())]) }
    }

    /// With one more member.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Failure of a call of `path`, the path as it was called.
    pub fn failed(path: &str, error: &Error) -> Self {
        let members = [
            ("url".to_owned(), path.into()),
            ("code".to_owned(), error.code.number().into()),
            ("errorMessage".to_owned(), error.info.as_str().into()),
        ];
        Self { status: error.code.status(), members: Map::from_iter(members) }
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        Value::Object(self.members.clone())
    }

    /// As an HTTP response.
    pub fn into_http(self) -> Response<String> {
        let mut response = Response::new(self.to_json().to_string());
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Code;
    use super::*;

    #[test]
    fn success_is_two_hundred_and_what_there_is_to_say() {
        let reply = Reply::ok().with("id", "50whSR6kQiHb7YgFwQzXIb");
        assert_eq!(reply.to_json(), json!({"code": 200, "id": "50whSR6kQiHb7YgFwQzXIb"}));
        let response = reply.into_http();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
    }

    #[test]
    fn a_failure_says_what_was_called_and_why_not() {
        let reply = Reply::failed("/push.json", &Error::new(Code::TooFrequent, "not so often"));
        assert_eq!(reply.to_json(), json!({"url": "/push.json", "code": 1008, "errorMessage": "not so often"}));
        assert_eq!(reply.into_http().status(), 429);
        assert_eq!(Reply::failed("/", &Error::new(Code::NotEnabled, "")).into_http().status().as_u16(), 430);
    }
}
