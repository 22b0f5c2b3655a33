//! How a vendor misbehaves, on request and repeatably: shares are counted, never drawn.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
};

use http::StatusCode;
use serde::Deserialize;
use thiserror::Error;

use super::vendor::Answer;

/// A vendor's behaviour; the default is to deliver everything that is right, at once.
///
/// It bends only requests that would have been delivered: one that is wrong is refused for what
/// is wrong with it. The first of `errors` that applies answers; then `all_tokens_bad`; then
/// `dead_tokens`.
#[derive(Debug, Default)]
pub(super) struct Behaviour {
    settings: Settings,
    /// Requests that each of `settings.errors` has been asked about.
    asked: Vec<AtomicU64>,
    answered: AtomicU64,
    /// Requests that `settings.lost` has been asked about.
    processed: AtomicU64,
}

/// The body of `PUT /vendors/{channel}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Milliseconds before every answer.
    latency_ms: u64,
    /// Up to so many milliseconds more, different from answer to answer.
    jitter_ms: u64,
    errors: Vec<Failure>,
    dead_tokens: HashSet<String>,
    all_tokens_bad: bool,
    /// A connection that has answered so many requests is told to go away in an orderly manner.
    goaway_after: Option<u64>,
    /// A connection that has answered so many requests is reset by the next, which is neither
    /// answered nor recorded. Those in flight were recorded, and lose their answers.
    reset_after: Option<u64>,
    /// Bodies of answers are cut-off JSON; status and what happened to the push are as ever.
    garbage: bool,
    /// Answers that never arrive, in the order of the requests. Those are processed, and recorded, as ever.
    lost: Vec<Loss>,
    /// Connections from now on speak HTTP/1.1 only.
    http1_only: bool,
    /// When the dead tokens died, in UNIX milliseconds; without it, now.
    unregistered_at: Option<i64>,
}

/// An error that a vendor answers to some requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    /// Every so-manieth request: 0.25 is the 4th, the 8th, ...
    share: Option<f64>,
    /// So many requests, and none after those.
    first: Option<u64>,
    /// Every request for these; with `first`, so many of those.
    tokens: Option<HashSet<String>>,
    /// It is said of whole requests, even if the vendor says the same of single tokens too.
    #[serde(default)]
    pub(super) whole: bool,
    status: u16,
    /// The vendor's own word or number for it: APNs' `reason`, FCM's `errorCode`, Huawei's `code`. Empty: no body, as from
    /// somebody on the way.
    pub(super) reason: String,
    /// Seconds, for `Retry-After`.
    pub(super) retry_after: Option<u64>,
}

/// So many requests, after those of the losses before it, get no answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Loss {
    requests: u64,
    how: How,
}

/// What comes instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// The answer, its body replaced by cut-off JSON.
    Garbage,
    /// The end of the connection, for whatever else is under way on it, too.
    Reset,
    /// Nothing, until the sender gives up.
    Silence,
    /// The answer: these are spared.
    Answer,
}

#[derive(Debug, Error)]
pub(super) enum Error {
    #[error("errors[{0}]: give one of share, first and tokens, or first and tokens")]
    Selector(usize),
    #[error("errors[{0}]: share is between 0 and 1")]
    Share(usize),
    #[error("errors[{0}]: status is between 200 and 599")]
    Status(usize),
    #[error("{0} is at least 1")]
    Zero(&'static str),
}

/// What becomes of a request that the vendor has nothing to say against.
#[derive(Debug)]
pub(super) enum Verdict<'a> {
    Deliver,
    Fail(&'a Failure),
    BadToken,
    /// Its app is gone, since then (UNIX milliseconds; `None` is now).
    Dead(Option<i64>),
}

impl TryFrom<Settings> for Behaviour {
    type Error = Error;

    fn try_from(settings: Settings) -> Result<Self, Error> {
        for (index, failure) in settings.errors.iter().enumerate() {
            failure.check(index)?;
        }
        if settings.goaway_after == Some(0) {
            return Err(Error::Zero("goaway_after"));
        }
        Ok(Self {
            asked: settings.errors.iter().map(|_| AtomicU64::new(0)).collect(),
            answered: AtomicU64::new(0),
            processed: AtomicU64::new(0),
            settings,
        })
    }
}

impl Behaviour {
    pub(super) fn verdict(&self, token: &str) -> Verdict<'_> {
        if let Some(failure) = self.failure(&[token]) {
            Verdict::Fail(failure)
        } else if self.settings.all_tokens_bad {
            Verdict::BadToken
        } else if self.settings.dead_tokens.contains(token) {
            Verdict::Dead(self.settings.unregistered_at)
        } else {
            Verdict::Deliver
        }
    }

    /// The error that answers a request for several tokens, if one applies: to any of them, where it is for tokens.
    pub(super) fn failure(&self, tokens: &[&str]) -> Option<&Failure> {
        let mut errors = self.settings.errors.iter().zip(&self.asked);
        let applies = |failure: &Failure, asked: &AtomicU64| {
            failure.is_meant(tokens) && failure.applies(asked.fetch_add(1, Ordering::Relaxed))
        };
        errors.find(|(failure, asked)| applies(failure, asked)).map(|(failure, _)| failure)
    }

    /// Whether the vendor does not take this token, in a request that no error answers.
    pub(super) fn is_dead(&self, token: &str) -> bool {
        self.settings.all_tokens_bad || self.settings.dead_tokens.contains(token)
    }

    pub(super) fn next_latency_ms(&self) -> u64 {
        let turn = self.answered.fetch_add(1, Ordering::Relaxed);
        // The fractional parts of multiples of the golden ratio: spread evenly, however many.
        let spread = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let jitter = spread.saturating_mul(self.settings.jitter_ms.saturating_add(1)) >> 32;
        self.settings.latency_ms.saturating_add(jitter)
    }

    /// What comes instead of the answer to the next request that was processed.
    pub(super) fn next_answer(&self) -> How {
        let mut before = self.processed.fetch_add(1, Ordering::Relaxed);
        for Loss { requests, how } in &self.settings.lost {
            if before < *requests {
                return *how;
            }
            before -= requests;
        }
        if self.settings.garbage { How::Garbage } else { How::Answer }
    }

    pub(super) fn http1_only(&self) -> bool {
        self.settings.http1_only
    }

    pub(super) fn goaway_after(&self) -> Option<u64> {
        self.settings.goaway_after
    }

    pub(super) fn reset_after(&self) -> Option<u64> {
        self.settings.reset_after
    }
}

impl Failure {
    /// Whether it is an error for tokens, and for this one.
    pub(super) fn is_for(&self, token: &str) -> bool {
        !self.whole && self.tokens.as_ref().is_some_and(|tokens| tokens.contains(token))
    }

    /// Whether it is about this token of a request that it answers: all of them, unless it is for tokens.
    pub(super) fn names(&self, token: &str) -> bool {
        self.tokens.as_ref().is_none_or(|meant| meant.contains(token))
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The answer, of which the vendor makes what it says if it says something.
    pub(super) fn answer(&self, vendors: impl FnOnce(&str) -> Answer) -> Answer {
        let mut answer = match self.reason.as_str() {
            "" => Answer::empty(self.status()),
            reason => vendors(reason),
        };
        answer.status = self.status();
        answer.retry_after(self.retry_after)
    }

    fn check(&self, index: usize) -> Result<(), Error> {
        let selectors = (self.share.is_some(), self.first.is_some(), self.tokens.is_some());
        if !matches!(selectors, (true, false, false) | (false, true, _) | (false, _, true)) {
            return Err(Error::Selector(index));
        }
        if self.share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(Error::Share(index));
        }
        // Several vendors refuse in the body of a 200.
        if !(200..=599).contains(&self.status) {
            return Err(Error::Status(index));
        }
        Ok(())
    }

    /// Whether a request for these tokens is of those that it can answer.
    fn is_meant(&self, tokens: &[&str]) -> bool {
        tokens.iter().any(|token| self.names(token))
    }

    /// Whether it answers the request that comes after `before` others of those.
    fn applies(&self, before: u64) -> bool {
        if let Some(share) = self.share {
            // The margin is for shares like 0.1, whose tenfold is not quite 1.
            let due = |requests: u64| (requests as f64 * share + 1e-9).floor();
            return due(before + 1) > due(before);
        }
        self.first.is_none_or(|first| before < first)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn behaviour(settings: Value) -> Behaviour {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        settings.try_into().unwrap()
    }

    fn fails(behaviour: &Behaviour) -> bool {
        matches!(behaviour.verdict("t"), Verdict::Fail(_))
    }

    #[test]
    fn a_share_is_exact_and_spread_evenly() {
        for (share, every) in [(0.1, 10), (0.25, 4), (0.5, 2), (1.0, 1)] {
            let behaviour =
                behaviour(json!({"errors": [{"share": share, "status": 503, "reason": "ServiceUnavailable"}]}));
            for n in 1..=1000 {
                assert_eq!(fails(&behaviour), n % every == 0, "request {n} of {share}");
            }
        }
    }

    #[test]
    fn the_first_requests_fail_and_none_after_them() {
        let behaviour = behaviour(json!({"errors": [{"first": 2, "status": 500, "reason": "INTERNAL"}]}));
        let failed: Vec<_> = (0..4).map(|_| fails(&behaviour)).collect();
        assert_eq!(failed, [true, true, false, false]);
    }

    #[test]
    fn answers_are_lost_in_the_order_of_the_requests() {
        let lost = json!([{"requests": 1, "how": "answer"}, {"requests": 2, "how": "reset"}, {"requests": 1, "how": "silence"}]);
        for (garbage, then) in [(false, How::Answer), (true, How::Garbage)] {
            let behaviour = behaviour(json!({"lost": lost, "garbage": garbage}));
            let answers: Vec<_> = (0..6).map(|_| behaviour.next_answer()).collect();
            assert_eq!(answers, [How::Answer, How::Reset, How::Reset, How::Silence, then, then]);
        }
    }

    #[test]
    fn the_first_requests_for_tokens_are_counted_among_those_for_them() {
        let error = json!({"tokens": ["t", "u"], "first": 2, "status": 500, "reason": "INTERNAL"});
        let behaviour = behaviour(json!({"errors": [error]}));
        let asked = [&["s"][..], &["t", "s"], &["s"], &["u"], &["t"]];
        let failed = asked.map(|tokens| behaviour.failure(tokens).is_some());
        assert_eq!(failed, [false, true, false, true, false]);
    }

    #[test]
    fn an_error_has_one_selector_or_two_that_go_together() {
        let some = json!({"status": 500, "reason": "INTERNAL"});
        for (selectors, expected) in [
            (json!({}), false),
            (json!({"share": 0.5}), true),
            (json!({"first": 1}), true),
            (json!({"tokens": ["t"]}), true),
            (json!({"tokens": ["t"], "first": 1}), true),
            (json!({"tokens": ["t"], "share": 0.5}), false),
            (json!({"first": 1, "share": 0.5}), false),
            (json!({"tokens": ["t"], "first": 1, "share": 0.5}), false),
        ] {
            let mut error = some.clone();
            error.as_object_mut().unwrap().extend(selectors.as_object().unwrap().clone());
            let settings: Settings = serde_json::from_value(json!({"errors": [error]})).unwrap();
            assert_eq!(Behaviour::try_from(settings).is_ok(), expected, "{selectors}");
        }
    }

    #[test]
    fn jitter_stays_within_its_bound_and_varies() {
        let behaviour = behaviour(json!({"latency_ms": 5, "jitter_ms": 10}));
        let seen: HashSet<_> = (0..100).map(|_| behaviour.next_latency_ms()).collect();
        assert_eq!(seen, (5..=15).collect());
    }
}
