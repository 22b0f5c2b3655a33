//! A browser's subscription: where a push service takes messages for it, and how they are encrypted.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::PublicKey;
use serde::Deserialize;
use url::Url;

use crate::domain::{DeviceToken, WebpushCredentials};

use super::Error;

/// What is read of a `PushSubscription` (W3C, Push API, section 8).
#[derive(Deserialize)]
struct Json {
    endpoint: String,
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    p256dh: String,
    auth: String,
}

/// A subscription to which a message can be sent.
pub(super) struct Subscription {
    /// Where to send. Its host is one of those that may be called.
    pub(super) endpoint: Url,
    /// The browser's public key.
    pub(super) key: PublicKey,
    /// The browser's authentication secret.
    pub(super) auth: [u8; 16],
}

impl Subscription {
    /// Reads a token: the subscription as JSON, as a browser serializes it.
    pub(super) fn read(token: &DeviceToken, credentials: &WebpushCredentials) -> Result<Self, Error> {
        let Json { endpoint, keys } = serde_json::from_str(token.expose()).map_err(|_| Error::MalformedToken)?;
        let endpoint = Url::parse(&endpoint).map_err(|_| Error::MalformedToken)?;
        let key = PublicKey::from_sec1_bytes(&decode(&keys.p256dh)?).map_err(|_| Error::MalformedToken)?;
        let auth = decode(&keys.auth)?.try_into().map_err(|_| Error::MalformedToken)?;
        // The address that is called is the one that is looked at here: it is not read a second time.
        let host = endpoint.host_str().unwrap_or_default();
        let is_plain = endpoint.scheme() == "https" && endpoint.username().is_empty() && endpoint.password().is_none();
        if !is_plain || !credentials.serves(host, endpoint.port_or_known_default().unwrap_or_default()) {
            return Err(Error::ForeignService);
        }
        Ok(Self { endpoint, key, auth })
    }

    /// The origin of the push service.
    pub(super) fn origin(&self) -> String {
        self.endpoint.origin().ascii_serialization()
    }
}

/// base64url, whose padding says nothing.
fn decode(text: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| Error::MalformedToken)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::channel::webpush::tests::credentials;

    /// The keys of RFC 8291, appendix A.
    fn with(endpoint: &str) -> Value {
        json!({"endpoint": endpoint, "expirationTime": null, "keys": {
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "auth": "BTBZMqHH6r4Tts7J_aSIgg",
        }})
    }

    fn read(json: &Value) -> Result<Subscription, Error> {
        Subscription::read(&DeviceToken::new(json.to_string()), &credentials("https://localhost:8443"))
    }

    #[test]
    fn a_subscription_says_where_and_with_which_keys() {
        let subscription = read(&with("https://localhost:8443/push/a?x=1")).unwrap();
        assert_eq!(subscription.endpoint.as_str(), "https://localhost:8443/push/a?x=1");
        assert_eq!(subscription.origin(), "https://localhost:8443");
        let mut padded = with("https://LOCALHOST:8443/push/a");
        padded["keys"]["auth"] = "BTBZMqHH6r4Tts7J_aSIgg==".into();
        assert_eq!(read(&padded).unwrap().auth, subscription.auth);
    }

    #[test]
    fn only_services_on_the_list_are_called() {
        for endpoint in [
            "http://localhost:8443/push/a",
            "https://localhost/push/a",
            "https://localhost:8444/push/a",
            "https://user@localhost:8443/push/a",
            "https://:secret@localhost:8443/push/a",
            "https://127.0.0.1:8443/push/a",
            "https://169.254.169.254/latest",
            "https://localhost:8443@example.com/",
            "https://example.com\\@localhost:8443/",
            "https://[::1]:8443/",
            "file:///etc/passwd",
            "data:,x",
        ] {
            assert!(matches!(read(&with(endpoint)), Err(Error::ForeignService)), "{endpoint}");
        }
    }

    #[test]
    fn what_no_browser_says_is_malformed() {
        let right = with("https://localhost:8443/push/a");
        for (pointer, value) in [
            ("/endpoint", json!("push/a")),
            ("/endpoint", json!(1)),
            ("/keys", json!({})),
            ("/keys/auth", json!("BTBZMqHH6r4Tts7J_aSI")),
            ("/keys/auth", json!("?")),
            ("/keys/p256dh", json!("")),
            // Not a point of the curve.
            ("/keys/p256dh", json!("B".repeat(87))),
        ] {
            let mut wrong = right.clone();
            *wrong.pointer_mut(pointer).unwrap() = value.clone();
            assert!(matches!(read(&wrong), Err(Error::MalformedToken)), "{pointer} {value}");
        }
        assert!(matches!(read(&json!("https://localhost:8443/push/a")), Err(Error::MalformedToken)));
    }
}
