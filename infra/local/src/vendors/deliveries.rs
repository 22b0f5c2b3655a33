//! What the vendors were sent and what they answered.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderMap, header};
use serde::{Serialize, de::IgnoredAny};
use serde_json::json;

use super::vendor::{Answer, Outcome, VendorRequest};

/// The record, in the order in which the vendors judged the requests.
#[derive(Default)]
pub(super) struct Deliveries {
    limits: Limits,
    record: Mutex<Record>,
}

/// How much is kept. Beyond either limit the oldest entries give way; the counts go on.
struct Limits {
    entries: usize,
    /// Of requests and answers together.
    bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Two pushes to a hundred thousand.
            entries: 200_000,
            bytes: 256 * 1024 * 1024,
        }
    }
}

#[derive(Default)]
struct Record {
    entries: VecDeque<Arc<Delivery>>,
    bytes: usize,
    counts: HashMap<&'static str, Counts>,
}

/// One token's part in one request.
pub(super) struct Delivery {
    channel: &'static str,
    token: Box<str>,
    accepted: bool,
    at: i64,
    /// The JSON members `request` and `answer`, common to all tokens of the request: kept as
    /// text, which takes a tenth of the space and time of anything parsed.
    exchange: Arc<str>,
    /// Whether the answer went out, whole and to someone who was still there.
    answered: Receipt,
}

/// For the sender's having been told what became of a request. Unsigned, its answer was lost, or is still to come.
#[derive(Clone, Debug, Default)]
pub(super) struct Receipt(Arc<AtomicBool>);

impl Receipt {
    pub(super) fn sign(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_signed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Tokens that vendors would have delivered to, and those they would not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub accepted: u64,
    pub refused: u64,
}

impl Deliveries {
    pub(super) fn record(
        &self,
        channel: &'static str,
        at: i64,
        request: &VendorRequest,
        answer: &Answer,
        outcomes: Vec<Outcome>,
    ) -> Receipt {
        let receipt = Receipt::default();
        let exchange: Arc<str> = exchange(request, answer).into();
        let mut record = self.lock();
        for Outcome { token, accepted } in outcomes {
            let (token, exchange, answered) = (token.into(), exchange.clone(), receipt.clone());
            record.add(Delivery { channel, token, accepted, at, exchange, answered });
        }
        record.shrink(&self.limits);
        receipt
    }

    /// Those of the channel and of the token, oldest first; `None` is all.
    pub(super) fn list(&self, channel: Option<&str>, token: Option<&str>) -> Vec<Arc<Delivery>> {
        let record = self.lock();
        let matching = record.entries.iter().filter(|entry| {
            channel.is_none_or(|channel| channel == entry.channel) && token.is_none_or(|token| token == &*entry.token)
        });
        matching.cloned().collect()
    }

    /// How many there were since the last [`Self::clear`], including those no longer kept.
    pub(super) fn count(&self, channel: Option<&str>) -> Counts {
        let record = self.lock();
        let mut total = Counts::default();
        for (_, counts) in record.counts.iter().filter(|(name, _)| channel.is_none_or(|channel| channel == **name)) {
            total.accepted += counts.accepted;
            total.refused += counts.refused;
        }
        total
    }

    pub(super) fn clear(&self) {
        // Taken out first, so that nobody waits for the lock while it is freed.
        let old = std::mem::take(&mut *self.lock());
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn add(&mut self, delivery: Delivery) {
        let counts = self.counts.entry(delivery.channel).or_default();
        if delivery.accepted {
            counts.accepted += 1;
        } else {
            counts.refused += 1;
        }
        self.bytes += delivery.bytes();
        self.entries.push_back(Arc::new(delivery));
    }

    fn shrink(&mut self, limits: &Limits) {
        while self.entries.len() > limits.entries || self.bytes > limits.bytes {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
        }
    }
}

impl Delivery {
    /// The entry as the JSON of `GET /deliveries`.
    pub(super) fn write_json(&self, out: &mut String) {
        let Self { channel, accepted, at, exchange, .. } = self;
        let (token, answered) = (json!(self.token), self.answered.is_signed());
        out.push_str(&format!(
            r#"{{"channel":"{channel}","token":{token},"accepted":{accepted},"answered":{answered},"at":{at},{exchange}}}"#
        ));
    }

    /// What it weighs. Tokens of one request share its text, and each is charged all of it:
    /// too much rather than too little.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.token.len() + self.exchange.len()
    }
}

fn exchange(request: &VendorRequest, answer: &Answer) -> String {
    let path = json!(request.path);
    let headers = json!(readable(&request.headers));
    let body = as_json(&request.body);
    let status = answer.status.as_u16();
    let answered = as_json(&answer.body);
    format!(
        r#""request":{{"path":{path},"headers":{headers},"body":{body}}},"answer":{{"status":{status},"body":{answered}}}"#
    )
}

/// Headers as text, without credentials: the record is for everybody to read.
fn readable(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let mut readable = BTreeMap::new();
    for (name, value) in headers {
        let value = if name == header::AUTHORIZATION {
            let mut parts = value.as_bytes().splitn(2, |byte| *byte == b' ');
            match (parts.next(), parts.next()) {
                (Some(scheme), Some(_)) => format!("{} ***", String::from_utf8_lossy(scheme)),
                // Xiaomi's has no scheme, or none that is parted from the secret.
                _ => "***".to_owned(),
            }
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        readable.insert(name.as_str(), value);
    }
    readable
}

/// The body as it is when it is JSON, `null` when there is none, else as a JSON string.
fn as_json(body: &[u8]) -> String {
    if body.is_empty() {
        return "null".to_owned();
    }
    let text = String::from_utf8_lossy(body);
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => text.into_owned(),
        Err(_) => json!(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderValue, Method, StatusCode};

    use super::*;

    fn record(deliveries: &Deliveries, body: &[u8], tokens: &[&str]) -> Receipt {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bearer secret"));
        let request = VendorRequest {
            method: Method::POST,
            path: "/send".to_owned(),
            headers,
            body: Bytes::copy_from_slice(body),
        };
        let outcome = |token: &&str| Outcome { token: (*token).to_owned(), accepted: true };
        deliveries.record("apns", 7, &request, &Answer::empty(StatusCode::OK), tokens.iter().map(outcome).collect())
    }

    fn as_value(delivery: &Delivery) -> serde_json::Value {
        let mut text = String::new();
        delivery.write_json(&mut text);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_request_for_several_tokens_is_an_entry_each_and_hides_its_credentials() {
        let deliveries = Deliveries::default();
        record(&deliveries, br#"{"a":"\u0022"}"#, &["one", "t\"wo"]);
        let entries = deliveries.list(None, None);
        assert_eq!(
            as_value(&entries[1]),
            json!({
                "channel": "apns", "token": "t\"wo", "accepted": true, "answered": false, "at": 7,
                "request": {"path": "/send", "headers": {"authorization": "bearer ***"}, "body": {"a": "\""}},
                "answer": {"status": 200, "body": null},
            })
        );
        assert_eq!(deliveries.list(None, Some("one")).len(), 1);
        assert_eq!(deliveries.list(Some("fcm"), None).len(), 0);
    }

    #[test]
    fn a_body_that_is_not_json_is_a_string() {
        let deliveries = Deliveries::default();
        record(&deliveries, b"\xffnot {", &["t"]);
        let body = &as_value(&deliveries.list(None, None)[0])["request"]["body"];
        assert_eq!(body, "\u{fffd}not {");
    }

    #[test]
    fn the_oldest_entries_give_way_and_are_still_counted() {
        let few = Limits { entries: 10, bytes: usize::MAX };
        let small = Limits { entries: usize::MAX, bytes: 10_000 };
        for limits in [few, small] {
            let deliveries = Deliveries { limits, record: Mutex::default() };
            let body = format!("\"{}\"", "x".repeat(750));
            for n in 0..30 {
                record(&deliveries, body.as_bytes(), &[&n.to_string()]);
            }
            let kept = deliveries.list(None, None);
            assert!((9..=10).contains(&kept.len()), "kept {}", kept.len());
            assert_eq!(&*kept[kept.len() - 1].token, "29");
            assert_eq!(deliveries.count(Some("apns")).accepted, 30);
        }
    }
}
