//! Apple Push Notification service.

mod headers;
mod provider_token;

use std::io;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::{
    headers::{PushType, Wanted},
    provider_token::{MIN_INTERVAL_MS, ProviderTokens},
};
use super::{
    behaviour::{Behaviour, Verdict},
    keys::Keys,
    vendor::{Answer, Call, Outcome, Protocols, Reply, Vendor, VendorRequest},
};

const TEAM_ID: &str = "FANFARE001";
const KEY_ID: &str = "LOCALKEY01";
/// The apps of the team. What a notification says nothing else of is for the first.
const TOPICS: &[&str] = &["com.example.app", "com.example.teacher"];

const DEVICE_PATH: &str = "/3/device/";
/// Apple says that device tokens have no fixed length. 32 bytes is what apps get, and activities'
/// tokens are the longest in use.
const TOKEN_HEX_DIGITS: std::ops::RangeInclusive<usize> = 64..=200;
const MAX_PAYLOAD: usize = 4096;
const MAX_VOIP_PAYLOAD: usize = 5120;

pub(super) struct Apns {
    endpoint: String,
    private_key: String,
    provider_tokens: ProviderTokens,
}

/// Why a request is refused, as Apple puts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal(StatusCode, &'static str);

impl Refusal {
    const fn bad(reason: &'static str) -> Self {
        Self(StatusCode::BAD_REQUEST, reason)
    }
}

impl Apns {
    pub(super) fn new(endpoint: &str, keys: &Keys) -> io::Result<Self> {
        Ok(Self {
            endpoint: endpoint.to_owned(),
            private_key: keys.provider.serialize_pem(),
            provider_tokens: ProviderTokens::new(&keys.provider, KEY_ID, TEAM_ID)?,
        })
    }
}

impl Vendor for Apns {
    fn channel(&self) -> &'static str {
        "apns"
    }

    fn protocols(&self) -> Protocols {
        Protocols { alpn: &[b"h2"], streams: 1000, streams_at_first: Some(1), goaway_reason: Some("Shutdown") }
    }

    fn credentials(&self) -> Value {
        json!({
            "endpoint": self.endpoint,
            "team_id": TEAM_ID,
            "key_id": KEY_ID,
            "private_key": self.private_key,
            "topic": TOPICS[0],
        })
    }

    fn answer(&self, call: &Call<'_>) -> Reply {
        let device = call.request.path.strip_prefix(DEVICE_PATH);
        let token = device.unwrap_or_default().to_owned();
        let (authenticated, judged) = self.judge(call, device);
        let (accepted, answer) = match judged {
            Ok(()) => bend(call.behaviour, &token, call.now_ms),
            Err(Refusal(status, reason)) => (false, refuse(status, reason)),
        };
        Reply {
            answer: answer.with(HeaderName::from_static("apns-id"), message_id(call.request)),
            outcomes: vec![Outcome { token, accepted }],
            authenticated,
        }
    }
}

impl Apns {
    /// Whether the provider token was valid, and what else is wrong with the request.
    fn judge(&self, call: &Call<'_>, device: Option<&str>) -> (bool, Result<(), Refusal>) {
        let Some(device) = device else {
            return (false, Err(Refusal(StatusCode::NOT_FOUND, "BadPath")));
        };
        if call.request.method != Method::POST {
            let refusal = Refusal(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed");
            return (false, Err(refusal));
        }
        match self.authenticate(call) {
            Ok(()) => (true, check(call.request, device)),
            Err(refusal) => (false, Err(refusal)),
        }
    }

    fn authenticate(&self, call: &Call<'_>) -> Result<(), Refusal> {
        if call.connection.is_barred(call.now_ms) {
            return Err(provider_token::TOO_MANY_UPDATES);
        }
        let checked = self.provider_tokens.check(call.request, call.now_ms);
        if checked == Err(provider_token::TOO_MANY_UPDATES) {
            // The connection stays of no use until the interval has passed.
            call.connection.bar_until(call.now_ms + MIN_INTERVAL_MS);
        }
        checked
    }
}

fn check(request: &VendorRequest, device: &str) -> Result<(), Refusal> {
    if device.is_empty() {
        return Err(Refusal::bad("MissingDeviceToken"));
    }
    if !is_device_token(device) {
        return Err(Refusal::bad("BadDeviceToken"));
    }
    let push_type = headers::check(request, &Wanted { topics: TOPICS })?;
    check_payload(&request.body, push_type)
}

fn is_device_token(text: &str) -> bool {
    TOKEN_HEX_DIGITS.contains(&text.len())
        && text.len().is_multiple_of(2)
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Apple documents no reason for a payload that is not what it should be, and answers with the
/// one for none at all.
fn check_payload(payload: &[u8], push_type: PushType) -> Result<(), Refusal> {
    let limit = match push_type {
        PushType::Voip => MAX_VOIP_PAYLOAD,
        _ => MAX_PAYLOAD,
    };
    if payload.len() > limit {
        return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge"));
    }
    let payload: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| Refusal::bad("PayloadEmpty"))?;
    match payload.get("aps") {
        Some(Value::Object(_)) => Ok(()),
        _ => Err(Refusal::bad("PayloadEmpty")),
    }
}

/// What the behaviour makes of a request that is right.
fn bend(behaviour: &Behaviour, token: &str, now_ms: i64) -> (bool, Answer) {
    match behaviour.verdict(token) {
        Verdict::Deliver => (true, Answer::empty(StatusCode::OK)),
        Verdict::Fail(failure) => {
            let dead = |reason: &str| json!({ "reason": reason, "timestamp": now_ms });
            let told = |reason: &str| match failure.status() {
                StatusCode::GONE => Answer::json(StatusCode::GONE, &dead(reason)),
                status => refuse(status, reason),
            };
            (false, failure.answer(told))
        }
        Verdict::BadToken => (false, refuse(StatusCode::BAD_REQUEST, "BadDeviceToken")),
        Verdict::Dead(since_ms) => {
            let body = json!({ "reason": "Unregistered", "timestamp": since_ms.unwrap_or(now_ms) });
            (false, Answer::json(StatusCode::GONE, &body))
        }
    }
}

fn refuse(status: StatusCode, reason: &str) -> Answer {
    Answer::json(status, &json!({ "reason": reason }))
}

/// The id that the sender gave the notification, else a new one.
fn message_id(request: &VendorRequest) -> HeaderValue {
    let given = request.header("apns-id").and_then(|id| Uuid::try_parse(id).ok());
    let id = given.unwrap_or_else(Uuid::new_v4).to_string();
    HeaderValue::try_from(id.to_uppercase()).expect("a UUID is ASCII")
}
