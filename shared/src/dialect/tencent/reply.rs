//! What is answered: always HTTP 200, and JSON in which three members never lack.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde_json::{Map, Value, json};

use super::{Code, Error};

/// The answer to a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    error: Option<Error>,
    members: Map<String, Value>,
}

/// What came of one account of a call that named several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The account, as the caller wrote it.
    pub account: String,
    /// Why nothing was done for it.
    pub error: Error,
}

impl Reply {
    /// Success.
    pub fn ok() -> Self {
        Self { error: None, members: Map::new() }
    }

    /// The answer with one more member.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The answer with an `ErrorList`, if any account was refused.
    ///
    /// The call as a whole is still a success, even if every account was refused: the pages of the newer push
    /// service say so of the same calls, and a caller who reads only `ErrorCode` must not repeat them all.
    pub fn with_refusals(self, refusals: &[Refusal]) -> Self {
        if refusals.is_empty() {
            return self;
        }
        let list: Vec<Value> = refusals
            .iter()
            .map(|Refusal { account, error }| {
                json!({"To_Account": account, "ErrorCode": error.code.number(), "ErrorInfo": error.info})
            })
            .collect();
        self.with("ErrorList", list)
    }

    /// The failure, if it is one.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// The answer's JSON.
    pub fn to_json(&self) -> Value {
        let (status, code, info) = match &self.error {
            None => ("OK", 0, ""),
            Some(Error { code, info }) => ("FAIL", code.number(), info.as_str()),
        };
        let mut members = self.members.clone();
        members.insert("ActionStatus".to_owned(), status.into());
        members.insert("ErrorCode".to_owned(), code.into());
        members.insert("ErrorInfo".to_owned(), info.into());
        Value::Object(members)
    }

    /// The answer as HTTP.
    pub fn into_http(self) -> Response<String> {
        let mut response = Response::new(self.to_json().to_string());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl From<Error> for Reply {
    fn from(error: Error) -> Self {
        Self { error: Some(error), members: Map::new() }
    }
}

impl From<Result<Reply, Error>> for Reply {
    fn from(result: Result<Reply, Error>) -> Self {
        result.unwrap_or_else(Self::from)
    }
}

impl Refusal {
    /// An account that does not exist.
    pub fn unknown(account: impl Into<String>) -> Self {
        Self { account: account.into(), error: Error::new(Code::UnknownAccount, "the account does not exist") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_carries_the_three_members() {
        let reply = Reply::ok().with("TaskId", "1_2_3_4");
        let expected = json!({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": "", "TaskId": "1_2_3_4"});
        assert_eq!(reply.to_json(), expected);
    }

    #[test]
    fn a_failure_is_http_200_too() {
        let response = Reply::from(Error::new(Code::Json, "no")).into_http();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body: Value = serde_json::from_str(response.body()).unwrap();
        assert_eq!(body, json!({"ActionStatus": "FAIL", "ErrorCode": 90001, "ErrorInfo": "no"}));
    }

    #[test]
    fn refused_accounts_are_listed_and_the_call_succeeds() {
        let reply = Reply::ok().with_refusals(&[Refusal::unknown("x")]).to_json();
        assert_eq!(reply["ErrorCode"], 0);
        assert_eq!(
            reply["ErrorList"],
            json!([{"To_Account": "x", "ErrorCode": 70107, "ErrorInfo": "the account does not exist"}])
        );
        assert_eq!(Reply::ok().with_refusals(&[]).to_json().get("ErrorList"), None);
    }
}
