//! The push service of a browser (RFC 8030), and the browsers behind it: it makes their subscriptions, and decrypts what is
//! sent to them, which a real one cannot.

mod browser;
mod vapid;

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use self::{browser::Browsers, vapid::Vapid};
use super::{
    behaviour::Behaviour,
    keys::Keys,
    vendor::{Answer, Call, Outcome, Protocols, Reply, Vendor, VendorRequest},
};

const PUSH_PATH: &str = "/push/";
/// Bytes of an encrypted message; a service must take so many, and this one takes no more.
const MAX_MESSAGE: usize = 4096;
const URGENCIES: &[&str] = &["very-low", "low", "normal", "high"];
const MAX_TOPIC: usize = 32;

pub(super) struct Webpush {
    endpoint: String,
    private_key: String,
    vapid: Vapid,
    browsers: Browsers,
    sent: AtomicU64,
}

/// Why a message is not taken: a status, and words for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal(StatusCode, &'static str);

impl Refusal {
    const fn bad(words: &'static str) -> Self {
        Self(StatusCode::BAD_REQUEST, words)
    }
}

impl Webpush {
    /// The app's key is the one that its Apple team has: keys are nobody's here.
    pub(super) fn new(endpoint: &str, keys: &Keys) -> io::Result<Self> {
        Ok(Self {
            endpoint: endpoint.to_owned(),
            private_key: keys.provider.serialize_pem(),
            vapid: Vapid::new(&keys.provider, endpoint)?,
            browsers: Browsers::new(),
            sent: AtomicU64::new(0),
        })
    }
}

impl Vendor for Webpush {
    fn channel(&self) -> &'static str {
        "webpush"
    }

    fn protocols(&self) -> Protocols {
        Protocols { alpn: &[b"h2", b"http/1.1"], streams: 100, streams_at_first: None, goaway_reason: None }
    }

    fn credentials(&self) -> Value {
        json!({
            "subject": "mailto:push@example.com",
            "private_key": self.private_key,
            "services": [self.endpoint.trim_start_matches("https://")],
        })
    }

    fn answer(&self, call: &Call<'_>) -> Reply {
        let name = call.request.path.strip_prefix(PUSH_PATH).unwrap_or_default();
        let token = self.token(name).unwrap_or_default();
        let judged = self.judge(call, name);
        let (accepted, answer) = match judged {
            Ok(()) => self.bend(call.behaviour, name, &token),
            Err(Refusal(status, words)) => (false, refuse(status, words)),
        };
        Reply { answer, outcomes: vec![Outcome { token, accepted }], authenticated: accepted }
    }

    /// What the browser reads.
    fn readable(&self, request: &VendorRequest) -> Option<Bytes> {
        self.browsers.decrypt(request.path.strip_prefix(PUSH_PATH)?, &request.body)
    }

    fn subscription(&self, name: &str) -> Option<Value> {
        let browser = self.browsers.keys(name)?;
        Some(json!({
            "endpoint": format!("{}{PUSH_PATH}{name}", self.endpoint),
            "expirationTime": null,
            "keys": {"p256dh": browser.p256dh(), "auth": browser.auth()},
        }))
    }
}

impl Webpush {
    /// The device token of a browser, in the spelling in which it is kept.
    fn token(&self, name: &str) -> Option<String> {
        let mut subscription = self.subscription(name)?;
        subscription.as_object_mut()?.remove("expirationTime");
        Some(subscription.to_string())
    }

    fn judge(&self, call: &Call<'_>, name: &str) -> Result<(), Refusal> {
        let request = call.request;
        if self.browsers.keys(name).is_none() {
            return Err(Refusal(StatusCode::NOT_FOUND, "no such subscription"));
        }
        if request.method != Method::POST {
            return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "messages are posted"));
        }
        self.vapid.check(request.header(header::AUTHORIZATION.as_str()), call.now_ms)?;
        check_headers(request)?;
        if request.body.len() > MAX_MESSAGE {
            return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, "the message is over 4096 bytes"));
        }
        browser::check_record(&request.body)?;
        // A real service passes it on, and the browser drops it without a word.
        self.browsers.decrypt(name, &request.body).ok_or(Refusal::bad("the browser cannot decrypt the message"))?;
        Ok(())
    }

    /// What the behaviour makes of a message that is right. A browser may be named by its name as by its token.
    fn bend(&self, behaviour: &Behaviour, name: &str, token: &str) -> (bool, Answer) {
        if let Some(failure) = behaviour.failure(&[name, token]) {
            return (false, failure.answer(|words| Answer::text(failure.status(), "text/plain", words.to_owned())));
        }
        if behaviour.is_dead(name) || behaviour.is_dead(token) {
            return (false, refuse(StatusCode::GONE, "the subscription has ended"));
        }
        (true, self.accept())
    }

    fn accept(&self) -> Answer {
        let number = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        let location = HeaderValue::try_from(format!("{}/message/{number}", self.endpoint));
        Answer::empty(StatusCode::CREATED).with(header::LOCATION, location.expect("an address is ASCII"))
    }
}

fn check_headers(request: &VendorRequest) -> Result<(), Refusal> {
    let ttl = request.header("ttl").ok_or(Refusal::bad("TTL is missing"))?;
    if ttl.is_empty() || !ttl.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::bad("TTL must be a number of seconds"));
    }
    if request.header(header::CONTENT_ENCODING.as_str()) != Some("aes128gcm") {
        return Err(Refusal::bad("Content-Encoding must be aes128gcm"));
    }
    if request.header("urgency").is_some_and(|urgency| !URGENCIES.contains(&urgency)) {
        return Err(Refusal::bad("Urgency is not known"));
    }
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_topic = |topic: &str| (1..=MAX_TOPIC).contains(&topic.len()) && topic.bytes().all(is_letter);
    if request.header("topic").is_some_and(|topic| !is_topic(topic)) {
        return Err(Refusal::bad("Topic must be 1 to 32 letters of base64url"));
    }
    Ok(())
}

fn refuse(status: StatusCode, words: &'static str) -> Answer {
    Answer::text(status, "text/plain", words.to_owned())
}
