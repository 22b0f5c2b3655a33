//! What Huawei answers (Huawei, "Sending messages": result codes).

use std::collections::HashSet;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::channel::Target;
use crate::domain::Outcome;

/// What an answer says of a request's devices.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same of all.
    All(Outcome),
    /// These tokens are dead, all others were taken.
    Dead(HashSet<String>),
    /// The access token is not accepted.
    Unauthenticated,
}

#[derive(Deserialize)]
struct Body {
    code: String,
    #[serde(default)]
    msg: String,
}

/// What `msg` is where some tokens failed: JSON, as text.
#[derive(Deserialize)]
struct Partial {
    illegal_tokens: HashSet<String>,
}

impl Verdict {
    /// The outcome, if it is the same for all.
    pub(super) fn of_all(&self) -> Option<&Outcome> {
        match self {
            Self::All(outcome) => Some(outcome),
            Self::Unauthenticated => Some(&Outcome::Auth),
            Self::Dead(_) => None,
        }
    }

    /// One outcome for each target.
    pub(super) fn outcomes(&self, targets: &[&Target]) -> Vec<Outcome> {
        match (self, self.of_all()) {
            (_, Some(outcome)) => vec![outcome.clone(); targets.len()],
            (Self::Dead(dead), None) => targets
                .iter()
                .map(|target| match dead.contains(target.token.expose()) {
                    true => Outcome::InvalidToken { doubtful: false, since: None },
                    false => Outcome::Delivered,
                })
                .collect(),
            (_, None) => vec![Outcome::Transient(None); targets.len()],
        }
    }
}

/// What an answer means.
pub(super) fn verdict(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Verdict {
    let all = Verdict::All;
    match status.as_u16() {
        401 => return Verdict::Unauthenticated,
        // Flow control of the whole system.
        429 | 503 => return all(Outcome::Throttled(retry_after)),
        500.. => return all(Outcome::Transient(retry_after)),
        _ => {}
    }
    let Ok(Body { code, msg }) = serde_json::from_slice::<Body>(body) else { return all(Outcome::Transient(None)) };
    match code.as_str() {
        "80000000" => all(Outcome::Delivered),
        "80100000" => match serde_json::from_str::<Partial>(&msg) {
            Ok(Partial { illegal_tokens }) => Verdict::Dead(illegal_tokens),
            // Some were taken, and it does not say which: to send to all again would be to send twice.
            Err(_) => all(Outcome::Delivered),
        },
        // Also said of the tokens of another app.
        "80300007" => all(Outcome::InvalidToken { doubtful: true, since: None }),
        "80200001" | "80200003" => Verdict::Unauthenticated,
        "80600003" | "81000001" => all(Outcome::Transient(None)),
        "80300002" | "80300011" => all(Outcome::Config),
        _ => all(Outcome::Permanent),
    }
}

/// The vendor's own number, for the log.
pub(super) fn code(body: &[u8]) -> String {
    serde_json::from_slice::<Body>(body).map_or_else(|_| String::new(), |body| body.code)
}
