//! A device as a client app describes it, and as it is answered.

use fanfare::domain::{
    Channel, Channels, Device, DeviceId, DeviceToken, Platform, Timestamp, WebpushCredentials, limits,
};
use http::Uri;
use serde_json::{Value, json};

use crate::trouble::Trouble;

/// Longest body of a registration, in bytes: four times the longest token.
const BODY_BYTES: usize = 4 * limits::DEVICE_TOKEN_BYTES;
/// Longest language tag (RFC 5646, section 4.4.1).
const LANGUAGE_BYTES: usize = 35;

/// What a client app says of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    platform: Platform,
    channel: Channel,
    token: DeviceToken,
    package: Option<String>,
    push_enabled: bool,
    language: Option<String>,
}

impl Form {
    /// Reads the body of a registration with an app that has these credentials. Unknown members are let pass, and `null` is
    /// absent.
    pub(crate) fn read(bytes: &[u8], vendors: &Channels) -> Result<Self, Trouble> {
        if bytes.len() > BODY_BYTES {
            return Err(Trouble::invalid("body_too_long", format!("the body is longer than {BODY_BYTES} bytes")));
        }
        let body: Value = serde_json::from_slice(bytes)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| Trouble::invalid("invalid_body", "the body must be a JSON object"))?;

        let platform = named(&body, "platform", "invalid_platform", Platform::ALL)?;
        let channel = named(&body, "channel", "invalid_channel", Channel::ALL)?;
        if !channel.reaches(platform) {
            let message = format!("channel {channel} does not reach platform {platform}");
            return Err(Trouble::invalid("invalid_channel", message));
        }
        let token = text(&body, "token", "invalid_token")?
            .ok_or_else(|| Trouble::invalid("invalid_token", "token is missing"))?;
        let token = token_of(channel, token, vendors).map_err(|rule| Trouble::invalid("invalid_token", rule))?;
        let push_enabled = match &body["push_enabled"] {
            Value::Null => true,
            Value::Bool(enabled) => *enabled,
            _ => return Err(Trouble::invalid("invalid_push_enabled", "push_enabled must be true or false")),
        };
        Ok(Self {
            platform,
            channel,
            token: DeviceToken::new(token),
            package: name(&body, "package", "invalid_package", limits::PACKAGE_BYTES, "._-")?,
            push_enabled,
            language: name(&body, "language", "invalid_language", LANGUAGE_BYTES, "_-")?,
        })
    }

    /// The device, registered now.
    pub(crate) fn device(self, id: DeviceId, now: Timestamp) -> Device {
        Device {
            id,
            platform: self.platform,
            channel: self.channel,
            token: self.token,
            package: self.package,
            push_enabled: self.push_enabled,
            language: self.language,
            registered_at: now,
            active_at: now,
        }
    }
}

/// A device as its user may see it: whoever sees the whole token could push to it.
pub(crate) fn answer(device: &Device) -> Value {
    json!({
        "device_id": device.id,
        "platform": device.platform,
        "channel": device.channel,
        "token": device.token.masked(),
        "package": device.package,
        "push_enabled": device.push_enabled,
        "language": device.language,
        "registered_at": device.registered_at,
        "active_at": device.active_at,
    })
}

fn text<'a>(body: &'a Value, member: &str, code: &'static str) -> Result<Option<&'a str>, Trouble> {
    match &body[member] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Trouble::invalid(code, format!("{member} must be a string"))),
    }
}

fn named<T>(body: &Value, member: &str, code: &'static str, all: &[T]) -> Result<T, Trouble>
where
    T: Copy + std::fmt::Display + std::str::FromStr,
{
    text(body, member, code)?.and_then(|name| name.parse().ok()).ok_or_else(|| {
        let names: Vec<String> = all.iter().map(T::to_string).collect();
        Trouble::invalid(code, format!("{member} must be one of {}", names.join(", ")))
    })
}

/// A name of letters, digits and `others`.
fn name(
    body: &Value,
    member: &str,
    code: &'static str,
    longest: usize,
    others: &str,
) -> Result<Option<String>, Trouble> {
    let Some(text) = text(body, member, code)? else { return Ok(None) };
    let fits = (1..=longest).contains(&text.len())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || others.contains(character));
    if fits {
        Ok(Some(text.to_owned()))
    } else {
        let message = format!("{member} must have 1 to {longest} characters, letters, digits and {others}");
        Err(Trouble::invalid(code, message))
    }
}

/// A token in the one spelling under which it is kept, if it has its channel's shape; else the rule.
fn token_of(channel: Channel, text: &str, vendors: &Channels) -> Result<String, &'static str> {
    let length = text.len();
    let all = |fits: fn(u8) -> bool| text.bytes().all(fits);
    match channel {
        // Apple's tokens are binary, 32 bytes today. The case of their digits says nothing.
        Channel::Apns => {
            ((64..=200).contains(&length) && length.is_multiple_of(2) && all(|byte| byte.is_ascii_hexdigit()))
                .then(|| text.to_ascii_lowercase())
                .ok_or("a token of apns is 64 to 200 hexadecimal digits, an even number of them")
        }
        Channel::Fcm => ((20..=limits::DEVICE_TOKEN_BYTES).contains(&length)
            && all(|byte| byte.is_ascii_alphanumeric() || b":_-.".contains(&byte)))
        .then(|| text.to_owned())
        .ok_or("a token of fcm is 20 to 2048 characters of A-Z a-z 0-9 : _ - ."),
        Channel::Webpush => subscription(text, vendors.webpush.as_ref()).ok_or(
            "a token of webpush is a PushSubscription as JSON: endpoint, the https address of a push service that the app sends \
             to, and keys, p256dh and auth",
        ),
        // Several vendors take lists of tokens, parted by these.
        _ => ((1..=512).contains(&length) && all(|byte| byte.is_ascii_graphic() && !b",;".contains(&byte)))
            .then(|| text.to_owned())
            .ok_or("a token is 1 to 512 printable ASCII characters without spaces, commas and semicolons"),
    }
}

/// A browser's subscription, reduced to what is used, so that one subscription has one spelling.
fn subscription(text: &str, credentials: Option<&WebpushCredentials>) -> Option<String> {
    let json: Value = serde_json::from_str(text).ok()?;
    let endpoint = json["endpoint"].as_str()?;
    let keys = &json["keys"];
    // An uncompressed point of P-256 is 65 bytes of which the first is 4, the secret 16.
    let (p256dh, auth) = (base64url(&keys["p256dh"], 87)?, base64url(&keys["auth"], 22)?);
    if !p256dh.starts_with('B') || !is_push_service(endpoint, credentials) {
        return None;
    }
    let reduced = json!({"endpoint": endpoint, "keys": {"p256dh": p256dh, "auth": auth}}).to_string();
    (reduced.len() <= limits::DEVICE_TOKEN_BYTES).then_some(reduced)
}

/// The digits of a base64url text of that many digits. Padding says nothing.
fn base64url(value: &Value, digits: usize) -> Option<&str> {
    let text = value.as_str()?.trim_end_matches('=');
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    fits.then_some(text)
}

/// Whether an address is one that may be a push service's. We will send requests to it, so a client must not make it one of a
/// machine beside ours: it is one of the services that the app sends to. An app that says none yet gets addresses on the
/// internet: no numeric ones, no names without a dot, no other ports.
fn is_push_service(address: &str, credentials: Option<&WebpushCredentials>) -> bool {
    let Ok(uri) = address.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    let (host, port) = (authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(443));
    // Nobody's name and password before it.
    let is_plain =
        authority.as_str().len() == host.len() || authority.as_str() == format!("{}:{port}", authority.host());
    if uri.scheme_str() != Some("https") || !is_plain {
        return false;
    }
    match credentials {
        Some(credentials) => credentials.serves(&host, port),
        None => is_on_the_internet(&host) && port == 443,
    }
}

fn is_on_the_internet(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_name = host.contains('.') && last.len() > 1 && last.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_name && !matches!(last, "local" | "localhost" | "internal")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FCM: &str = "dQw4w9WgXcQ:APA91b-token_of.a.device";

    fn body() -> Value {
        json!({"platform": "android", "channel": "fcm", "token": FCM, "package": "com.example.app", "language": "zh-Hans"})
    }

    fn with(member: &str, value: Value) -> Value {
        let mut body = body();
        body[member] = value;
        body
    }

    fn read(body: &Value) -> Result<Form, &'static str> {
        Form::read(body.to_string().as_bytes(), &Channels::default()).map_err(|trouble| match trouble {
            Trouble::Invalid { code, message } => {
                assert!(!message.is_empty());
                code
            }
            other => panic!("{other}"),
        })
    }

    fn token(platform: &str, channel: &str, token: &str) -> Option<String> {
        let form = read(&json!({"platform": platform, "channel": channel, "token": token})).ok()?;
        Some(form.token.expose().to_owned())
    }

    fn push_subscription(endpoint: &str) -> Value {
        json!({"endpoint": endpoint, "expirationTime": null, "keys": {"p256dh": "B".repeat(87), "auth": "a".repeat(22) + "=="}})
    }

    #[test]
    fn a_device_is_stored_as_said_and_answered_masked() {
        let now = Timestamp::from_secs(1_700_000_000);
        let device = read(&with("unknown", json!(1))).unwrap().device(DeviceId::try_from("d").unwrap(), now);
        assert_eq!((device.token.expose(), device.push_enabled), (FCM, true));
        assert_eq!(
            answer(&device),
            json!({"device_id": "d", "platform": "android", "channel": "fcm", "token": "…vice", "package": "com.example.app",
                "push_enabled": true, "language": "zh-Hans", "registered_at": 1_700_000_000_000_i64,
                "active_at": 1_700_000_000_000_i64})
        );
        let form =
            read(&json!({"platform": "ios", "channel": "fcm", "token": FCM, "push_enabled": false, "package": null}));
        let form = form.unwrap();
        assert_eq!((form.push_enabled, form.package, form.language), (false, None, None));
    }

    #[test]
    fn every_faulty_member_has_its_code() {
        assert!(read(&with("package", "x".repeat(128).into())).is_ok());
        assert!(read(&with("language", "x".repeat(35).into())).is_ok());
        for (member, value, code) in [
            ("platform", json!(null), "invalid_platform"),
            ("platform", json!("symbian"), "invalid_platform"),
            ("platform", json!("harmony"), "invalid_channel"),
            ("channel", json!(null), "invalid_channel"),
            ("channel", json!("ws"), "invalid_channel"),
            ("channel", json!("apns"), "invalid_channel"),
            ("channel", json!(7), "invalid_channel"),
            ("token", json!(null), "invalid_token"),
            ("token", json!({}), "invalid_token"),
            ("token", json!("short"), "invalid_token"),
            ("package", json!("x".repeat(129)), "invalid_package"),
            ("package", json!("com/example"), "invalid_package"),
            ("package", json!(""), "invalid_package"),
            ("language", json!("x".repeat(36)), "invalid_language"),
            ("language", json!("zh Hans"), "invalid_language"),
            ("push_enabled", json!("yes"), "invalid_push_enabled"),
        ] {
            assert_eq!(read(&with(member, value.clone())), Err(code), "{member}: {value}");
        }
        assert_eq!(read(&json!([])), Err("invalid_body"));
        assert_eq!(read(&with("unknown", "x".repeat(BODY_BYTES).into())), Err("body_too_long"));
    }

    #[test]
    fn tokens_must_have_the_shape_of_their_channel() {
        assert_eq!(token("ios", "apns", &"Ab".repeat(32)), Some("ab".repeat(32)));
        assert!(token("ios", "apns", &"ab".repeat(100)).is_some());
        for bad in ["ab".repeat(31), "ab".repeat(101), "ab".repeat(32) + "a", "xy".repeat(32)] {
            assert_eq!(token("ios", "apns", &bad), None, "{bad}");
        }
        assert!(token("android", "fcm", &"x".repeat(20)).is_some());
        assert!(token("android", "fcm", &"x".repeat(2_048)).is_some());
        for bad in ["x".repeat(19), "x".repeat(2_049), "x".repeat(20) + "/", "x".repeat(20) + "é"] {
            assert_eq!(token("android", "fcm", &bad), None, "{bad}");
        }
        assert!(token("android", "xiaomi", &"x/+=".repeat(128)).is_some());
        assert!(token("android", "oppo", "OPPO_CN_078ad8b8a137cadb14ae5b70cf846312").is_some());
        assert!(token("android", "vivo", "15444868635641000004142").is_some());
        for bad in
            [String::new(), "x".repeat(513), "a b".to_owned(), "a,b".to_owned(), "a;b".to_owned(), "a\n".to_owned()]
        {
            for channel in ["xiaomi", "oppo", "vivo"] {
                assert_eq!(token("android", channel, &bad), None, "{channel} {bad}");
            }
        }
    }

    #[test]
    fn a_subscription_has_one_spelling() {
        let subscription = push_subscription("https://fcm.googleapis.com/fcm/send/abc?x=1");
        let spread = serde_json::to_string_pretty(&subscription).unwrap();
        let kept = token("web", "webpush", &spread).unwrap();
        assert_eq!(Some(&kept), token("web", "webpush", &subscription.to_string()).as_ref());
        assert_eq!(Some(&kept), token("web", "webpush", &kept).as_ref());
        assert!(!kept.contains("expirationTime"));
    }

    #[test]
    fn a_subscription_must_be_one_of_a_service_on_the_internet() {
        for endpoint in [
            "http://push.example.com/a",
            "https://localhost/a",
            "https://push.localhost/a",
            "https://127.0.0.1/a",
            "https://169.254.169.254/latest",
            "https://[::1]/a",
            "https://2130706433/a",
            "https://0x7f.1/a",
            "https://push.example.com:8080/a",
            "https://user@push.example.com/a",
            "https://db.internal/a",
            "push.example.com/a",
            "",
        ] {
            assert_eq!(token("web", "webpush", &push_subscription(endpoint).to_string()), None, "{endpoint}");
        }
        assert!(token("web", "webpush", &push_subscription("https://push.example.com:443/a").to_string()).is_some());
        let mut keyless = push_subscription("https://push.example.com/a");
        keyless["keys"]["auth"] = "short".into();
        assert_eq!(token("web", "webpush", &keyless.to_string()), None);
        assert_eq!(token("web", "webpush", "https://push.example.com/a"), None);
        let mut compressed = push_subscription("https://push.example.com/a");
        compressed["keys"]["p256dh"] = "A".repeat(87).into();
        assert_eq!(token("web", "webpush", &compressed.to_string()), None);
    }

    #[test]
    fn a_subscription_must_be_with_a_service_that_the_app_sends_to() {
        let credentials = json!({"subject": "mailto:a@example.com", "private_key": "k",
            "services": ["push.example.com", "localhost:8443"]});
        let vendors: Channels = serde_json::from_value(json!({"webpush": credentials})).unwrap();
        let is_taken = |endpoint: &str| {
            let token = push_subscription(endpoint).to_string();
            let body = json!({"platform": "web", "channel": "webpush", "token": token});
            Form::read(body.to_string().as_bytes(), &vendors).is_ok()
        };
        for (endpoint, expected) in [
            ("https://push.example.com/a", true),
            ("https://PUSH.example.com:443/a", true),
            ("https://eu.push.example.com/a", true),
            ("https://localhost:8443/a", true),
            ("https://localhost/a", false),
            ("https://localhost:8444/a", false),
            ("https://push.example.com:8443/a", false),
            ("https://evilpush.example.com/a", false),
            ("https://fcm.googleapis.com/a", false),
            ("https://push.example.com@localhost/a", false),
            ("https://user@push.example.com/a", false),
            ("http://push.example.com/a", false),
        ] {
            assert_eq!(is_taken(endpoint), expected, "{endpoint}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Form::read(&bytes, &Channels::default()).is_err());
        }

        #[test]
        fn any_token_is_taken_or_refused(text in "\\PC{0,90}|[0-9a-f]{60,70}|\\{\"endpoint\":\"\\PC{0,20}\"\\}") {
            for channel in Channel::ALL {
                let vendors = Channels::default();
                if let Ok(kept) = token_of(*channel, &text, &vendors) {
                    prop_assert_eq!(token_of(*channel, &kept, &vendors), Ok(kept.clone()));
                }
            }
        }
    }
}
