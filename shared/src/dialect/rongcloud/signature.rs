//! Who calls: four headers, one of which only the app's own server can make.
//!
//! The signature covers neither the path nor the body, so whoever has seen one request can make others: the contract
//! rests on HTTPS. It cannot be mended by refusing a nonce that was used, or one that is old, because the SDKs send
//! the same four headers again and again (Node's makes them once a process). A window for the time is a setting
//! for those who know their clients.

use std::fmt;

use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use super::{Code, Error};
use crate::domain::{App, Rongcloud, Timestamp};

/// The four headers of a call, each under its own name or, for hosts that strip such headers, with `RC-` before it.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// `App-Key`: which app it is about.
    pub app_key: String,
    nonce: String,
    timestamp: String,
    signature: String,
    /// The first of the others that is missing.
    missing: Option<&'static str>,
}

/// The other three together are a credential, and one that does not grow old by itself: they stay out of every log.
impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("app_key", &self.app_key).finish_non_exhaustive()
    }
}

/// Below this a number of a time is seconds, from it on milliseconds: in seconds it is the year 5138.
const FIRST_MILLIS: i64 = 100_000_000_000;

impl Signed {
    /// Reads the headers of a call. Whether all are there is told by [`verify`](Self::verify): the app comes first.
    ///
    /// # Errors
    ///
    /// 1002 when there is no `App-Key`.
    pub fn read(headers: &HeaderMap) -> Result<Self, Error> {
        let app_key = header(headers, "app-key").ok_or_else(unknown_app)?;
        let mut missing = None;
        let mut part = |name: &'static str| {
            header(headers, name).unwrap_or_else(|| {
                missing.get_or_insert(name);
                String::new()
            })
        };
        let (nonce, timestamp) = (part("nonce"), part("timestamp"));
        let signature = part("signature").to_ascii_lowercase();
        Ok(Self { app_key, nonce, timestamp, signature, missing })
    }

    /// Checks that whoever signed has the app's secret, and tells the app's settings.
    ///
    /// # Errors
    ///
    /// 1002 when `app` is not the one that was asked for, 1001 when it has no secret, 1004 when a header is missing, or the
    /// signature is another, or older than the app wants them.
    pub fn verify<'a>(&self, app: &'a App, now: Timestamp) -> Result<&'a Rongcloud, Error> {
        let rongcloud = app.rongcloud.as_ref().filter(|rongcloud| rongcloud.app_key == self.app_key);
        let rongcloud = rongcloud.ok_or_else(unknown_app)?;
        if rongcloud.app_secret.expose_secret().is_empty() {
            // An empty secret would let in what anyone can sign.
            return Err(Error::new(Code::NoSecret, "the app has no secret to check signatures with"));
        }
        if let Some(name) = self.missing {
            return Err(Error::new(Code::Signature, format!("the header {name} is missing")));
        }
        let wanted = sign(&rongcloud.app_secret, &self.nonce, &self.timestamp);
        if !bool::from(wanted.as_bytes().ct_eq(self.signature.as_bytes())) {
            return Err(Error::new(Code::Signature, "the signature was not made with the app's secret"));
        }
        self.is_fresh(rongcloud, now)?;
        Ok(rongcloud)
    }

    fn is_fresh(&self, rongcloud: &Rongcloud, now: Timestamp) -> Result<(), Error> {
        if rongcloud.signature_max_age_secs == 0 {
            return Ok(());
        }
        let off = |why| Err(Error::new(Code::Signature, why));
        let Ok(number) = self.timestamp.parse::<i64>() else { return off("the header timestamp is no number") };
        let made = if number < FIRST_MILLIS { number } else { number / 1_000 };
        if now.secs().abs_diff(made) > u64::from(rongcloud.signature_max_age_secs) {
            return off("the signature is older than the app's setting lets it be, or from the future");
        }
        Ok(())
    }
}

/// Signs as the app's own server does: SHA-1 over secret, nonce and timestamp, as they are sent, in hexadecimal.
pub fn sign(app_secret: &SecretString, nonce: &str, timestamp: &str) -> String {
    let digest =
        Sha1::new().chain_update(app_secret.expose_secret()).chain_update(nonce).chain_update(timestamp).finalize();
    base16ct::lower::encode_string(&digest)
}

/// The answer when no app has the App-Key: the contract counts it among the wrong parameters.
pub fn unknown_app() -> Error {
    Error::new(Code::Parameter, "invalid App-Key.")
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let said = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    said(name).or_else(|| said(&format!("rc-{name}")))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn app(secret: &str, max_age: u32) -> App {
        let rongcloud = json!({"app_key": "key", "app_secret": secret, "signature_max_age_secs": max_age});
        serde_json::from_value(json!({"id": "a", "rongcloud": rongcloud})).unwrap()
    }

    fn headers(parts: &[(&'static str, &str)]) -> HeaderMap {
        parts
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn signed(nonce: &str, timestamp: &str, signature: &str) -> Signed {
        let parts = [("app-key", "key"), ("nonce", nonce), ("timestamp", timestamp), ("signature", signature)];
        Signed::read(&headers(&parts)).unwrap()
    }

    fn verified(signed: &Signed, secret: &str, max_age: u32) -> Result<(), Error> {
        signed.verify(&app(secret, max_age), NOW).map(drop)
    }

    const NOW: Timestamp = Timestamp::from_secs(1_408_710_700);

    /// Published by RongCloud: the first with its API, the second on the pages of broadcasts.
    #[test]
    fn published_signatures_are_good() {
        for (secret, timestamp, signature) in [
            ("Y1W2MeFwwwRxa0", "1408710653000", "30be0bbca9c9b2e27578701e9fda2358a814c88f"),
            ("uwd1c0sxdlx2", "1408706337", "45beb7cc7307889a8e711219a47b7cf6a5b000e8"),
        ] {
            assert_eq!(verified(&signed("14314", timestamp, signature), secret, 0), Ok(()));
            assert_eq!(verified(&signed("14314", timestamp, &signature.to_uppercase()), secret, 0), Ok(()));
            let other = verified(&signed("14315", timestamp, signature), secret, 0);
            assert_eq!(other.unwrap_err().code, Code::Signature);
        }
    }

    #[test]
    fn what_could_be_used_again_is_not_shown() {
        let shown = format!("{:?}", signed("14314", "1408710653000", "30be0bbca9c9b2e27578701e9fda2358a814c88f"));
        assert_eq!(shown, r#"Signed { app_key: "key", .. }"#);
    }

    #[test]
    fn headers_may_have_the_other_names() {
        let parts =
            [("rc-app-key", "key"), ("nonce", ""), ("rc-nonce", "1"), ("timestamp", "2"), ("rc-signature", "AB")];
        let signed = Signed::read(&headers(&parts)).unwrap();
        assert_eq!((signed.app_key.as_str(), signed.nonce.as_str(), signed.signature.as_str()), ("key", "1", "ab"));
    }

    #[test]
    fn what_is_missing_has_its_code() {
        let all = [("app-key", "key"), ("nonce", "1"), ("timestamp", "2"), ("signature", "3")];
        for (missing, code) in [(0, 1002), (1, 1004), (2, 1004), (3, 1004)] {
            let parts: Vec<_> = all.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, part)| *part).collect();
            let error = Signed::read(&headers(&parts)).and_then(|signed| verified(&signed, "secret", 0)).unwrap_err();
            assert_eq!(error.code.number(), code);
            assert!(missing == 0 || error.info == format!("the header {} is missing", all[missing].0), "{error}");
        }
        // Which app it is comes first.
        let nothing_else = Signed::read(&headers(&all[..1])).unwrap();
        let mut other = app("secret", 0);
        other.rongcloud.as_mut().unwrap().app_key = "another".to_owned();
        assert_eq!(nothing_else.verify(&other, NOW).unwrap_err(), unknown_app());
        assert_eq!(nothing_else.verify(&app("", 0), NOW).unwrap_err().code, Code::NoSecret);
    }

    #[test]
    fn the_app_must_be_the_one_and_have_a_secret() {
        let signed = signed("14314", "1408710653000", "30be0bbca9c9b2e27578701e9fda2358a814c88f");
        assert_eq!(signed.verify(&app("", 0), NOW).unwrap_err().code, Code::NoSecret);
        let mut other = app("Y1W2MeFwwwRxa0", 0);
        other.rongcloud.as_mut().unwrap().app_key = "another".to_owned();
        assert_eq!(signed.verify(&other, NOW).unwrap_err(), unknown_app());
        other.rongcloud = None;
        assert_eq!(signed.verify(&other, NOW).unwrap_err(), unknown_app());
    }

    #[test]
    fn age_counts_only_where_the_app_says_so_in_seconds_or_in_milliseconds() {
        let signed_at = |timestamp: &str| {
            let signature = sign(&"s".into(), "n", timestamp);
            signed("n", timestamp, &signature)
        };
        for (timestamp, fresh) in [
            ("1408710700", true),
            ("1408710700000", true),
            ("1408710640", true),
            ("1408710639", false),
            ("1408710761000", false),
            ("24270.8", false),
            ("99999999999999999999", false),
        ] {
            assert_eq!(verified(&signed_at(timestamp), "s", 0), Ok(()), "{timestamp}");
            assert_eq!(verified(&signed_at(timestamp), "s", 60).is_ok(), fresh, "{timestamp}");
        }
    }

    proptest! {
        #[test]
        fn no_headers_but_signed_ones_are_let_in(nonce in "[ -~]{1,30}", timestamp in "[ -~]{1,30}", signature in "[0-9a-f]{40}|[ -~]{1,50}") {
            let parts = [("app-key", "key"), ("nonce", nonce.as_str()), ("timestamp", &timestamp), ("signature", &signature)];
            let verified = Signed::read(&headers(&parts)).and_then(|signed| verified(&signed, "secret", 0));
            prop_assert!(verified.is_err());
        }
    }
}
