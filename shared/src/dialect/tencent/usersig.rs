//! UserSig: a signed statement that its bearer is a user of an app.
//!
//! A JSON document with an HMAC-SHA256 over four or five of its fields, compressed with zlib, in base64 with an
//! alphabet of its own (`*` for `+`, `-` for `/`, `_` for `=`), so that it passes through a URL as it is.

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Code, Error};
use crate::dialect::issued::issued_at;
use crate::domain::Timestamp;

/// Longest document that is inflated. Tencent's own generator for Java has a buffer of a quarter of it.
const DOCUMENT_BYTES: usize = 8 * 1024;
/// Longest text that is looked at: the longest document, stored without compression.
const TEXT_BYTES: usize = 11 * 1024;

/// From here on a time is one in milliseconds: in seconds it would be the year 5138.
const FIRST_MILLIS: i64 = 100_000_000_000;

/// What a verified UserSig says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSig {
    /// The user.
    pub identifier: String,
    /// When it was made; the epoch if it says that it was made later than now.
    pub issued_at: Timestamp,
    /// The last second in which it is valid.
    pub expires_at: Timestamp,
    /// Whatever the signer added.
    pub userbuf: Option<Vec<u8>>,
}

/// Why a UserSig proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It is empty.
    #[error("the UserSig is empty")]
    Empty,
    /// It cannot be decoded, for the given reason.
    #[error("the UserSig cannot be decoded: {0}")]
    Malformed(&'static str),
    /// It is another app's.
    #[error("the UserSig was made for another SDKAppID")]
    OtherApp,
    /// It is another user's.
    #[error("the UserSig was made for another identifier")]
    OtherUser,
    /// It is too old.
    #[error("the UserSig has expired")]
    Expired,
    /// It was good once: its user was kicked or deleted since it was made.
    #[error("the UserSig is void: it was made before its user was kicked or deleted")]
    Void,
    /// It was not signed with the app's key.
    #[error("the UserSig was not signed with the key of this SDKAppID")]
    Forged,
    /// There is no key to verify it with.
    #[error("the SDKAppID has no key to verify UserSigs with")]
    NoKey,
}

impl Failure {
    /// The contract's number for it.
    pub fn code(self) -> Code {
        match self {
            Self::Empty => Code::UserSigEmpty,
            Self::Malformed(_) => Code::UserSigMalformed,
            Self::OtherApp => Code::UserSigOfAnotherApp,
            Self::OtherUser => Code::UserSigOfAnotherUser,
            // Newer tables have no number of its own for what `kick` made worthless (the oldest had 70052, with the words
            // of an expired one).
            Self::Expired | Self::Void => Code::UserSigExpired,
            Self::Forged => Code::UserSigForged,
            Self::NoKey => Code::NoKey,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::new(failure.code(), failure.to_string())
    }
}

/// Makes a UserSig that is valid from `now_secs` (Unix seconds) for `expire_secs`.
pub fn sign(
    key: &SecretString,
    sdk_app_id: u64,
    identifier: &str,
    now_secs: i64,
    expire_secs: i64,
    userbuf: Option<&[u8]>,
) -> String {
    let mut document = Document {
        ver: Some("2.0".to_owned()),
        identifier: identifier.to_owned(),
        sdk_app_id,
        expire: expire_secs,
        time: now_secs,
        userbuf: userbuf.map(|bytes| STANDARD.encode(bytes)),
        sig: String::new(),
    };
    document.sig = document.signature(key);
    encode(&serde_json::to_vec(&document).expect("a struct of texts and integers is JSON"))
}

/// Whose UserSig it claims to be, **unverified**: the app by which to find the key, and the user.
pub fn peek(text: &str) -> Result<(u64, String), Failure> {
    Document::read(text).map(|document| (document.sdk_app_id, document.identifier))
}

/// What a UserSig says, if it is of this app, (where one is expected) of this user, not expired, and signed with the key.
///
/// The checks come in the order of Tencent's own library for Go.
pub fn verify(
    text: &str,
    key: &SecretString,
    sdk_app_id: u64,
    identifier: Option<&str>,
    now: Timestamp,
) -> Result<UserSig, Failure> {
    let document = Document::read(text)?;
    if key.expose_secret().is_empty() {
        // An empty key would verify what anyone can sign.
        return Err(Failure::NoKey);
    }
    if document.sdk_app_id != sdk_app_id {
        return Err(Failure::OtherApp);
    }
    if identifier.is_some_and(|expected| expected != document.identifier) {
        return Err(Failure::OtherUser);
    }
    let last_second = document.time.saturating_add(document.expire);
    if now.secs() > last_second {
        return Err(Failure::Expired);
    }
    let userbuf = document.decoded_userbuf()?;
    if !bool::from(document.signature(key).as_bytes().ct_eq(document.sig.as_bytes())) {
        return Err(Failure::Forged);
    }
    // There are signers that write milliseconds; Tencent's libraries take them too.
    let secs = if document.time > FIRST_MILLIS { document.time / 1_000 } else { document.time };
    Ok(UserSig {
        identifier: document.identifier,
        issued_at: issued_at(secs, now),
        expires_at: Timestamp::from_secs(last_second),
        userbuf,
    })
}

#[derive(Serialize, Deserialize)]
struct Document {
    // Read by nobody, Tencent's libraries included.
    #[serde(rename = "TLS.ver", skip_deserializing)]
    ver: Option<String>,
    #[serde(rename = "TLS.identifier")]
    identifier: String,
    #[serde(rename = "TLS.sdkappid")]
    sdk_app_id: u64,
    #[serde(rename = "TLS.expire")]
    expire: i64,
    #[serde(rename = "TLS.time")]
    time: i64,
    #[serde(rename = "TLS.userbuf", default, skip_serializing_if = "Option::is_none")]
    userbuf: Option<String>,
    #[serde(rename = "TLS.sig")]
    sig: String,
}

impl Document {
    fn read(text: &str) -> Result<Self, Failure> {
        serde_json::from_slice(&decode(text)?)
            .map_err(|_| Failure::Malformed("its document lacks a field or has one of another type"))
    }

    fn decoded_userbuf(&self) -> Result<Option<Vec<u8>>, Failure> {
        let decode = |text: &String| STANDARD.decode(text).map_err(|_| Failure::Malformed("its userbuf is not base64"));
        self.userbuf.as_ref().map(decode).transpose()
    }

    /// What `TLS.sig` must be. The key is the text that the console shows, not what its hex digits stand for.
    fn signature(&self, key: &SecretString) -> String {
        let Self { identifier, sdk_app_id, expire, time, .. } = self;
        let mut text =
            format!("TLS.identifier:{identifier}\nTLS.sdkappid:{sdk_app_id}\nTLS.time:{time}\nTLS.expire:{expire}\n");
        if let Some(userbuf) = &self.userbuf {
            text += &format!("TLS.userbuf:{userbuf}\n");
        }
        let mut mac =
            Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()).expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

fn encode(document: &[u8]) -> String {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(document).expect("a vector takes every write");
    let compressed = zlib.finish().expect("a vector takes every write");
    STANDARD.encode(compressed).replace('+', "*").replace('/', "-").replace('=', "_")
}

fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    match text.len() {
        0 => return Err(Failure::Empty),
        length if length > TEXT_BYTES => return Err(Failure::Malformed("it is too long")),
        _ => {}
    }
    let standard: Option<Vec<u8>> = text
        .bytes()
        .map(|byte| match byte {
            b'*' => Some(b'+'),
            b'-' => Some(b'/'),
            b'_' => Some(b'='),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => Some(byte),
            _ => None,
        })
        .collect();
    let compressed =
        standard.and_then(|base64| STANDARD.decode(base64).ok()).ok_or(Failure::Malformed("not base64"))?;
    let mut document = Vec::new();
    // One byte more than is allowed tells a document that is too long from one that just fits.
    ZlibDecoder::new(compressed.as_slice())
        .take(DOCUMENT_BYTES as u64 + 1)
        .read_to_end(&mut document)
        .map_err(|_| Failure::Malformed("not zlib"))?;
    if document.len() > DOCUMENT_BYTES {
        return Err(Failure::Malformed("its document is too long"));
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use crate::dialect::issued::FAST_CLOCK_SECS;

    use super::*;

    const DEMO_APP: u64 = 1_400_000_000;
    const DEMO_KEY: &str = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";
    const T: i64 = 1_600_000_000;
    const EXPIRE: i64 = 15_552_000;

    fn key(text: &str) -> SecretString {
        SecretString::from(text)
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn check(text: &str, now: i64) -> Result<UserSig, Failure> {
        verify(text, &key(DEMO_KEY), DEMO_APP, Some("administrator"), at(now))
    }

    fn packed(document: Value) -> String {
        encode(document.to_string().as_bytes())
    }

    fn document_of(text: &str) -> Value {
        serde_json::from_slice(&decode(text).unwrap()).unwrap()
    }

    /// Identifier, app, key, time, validity, userbuf; and the signature.
    type Vector<'a> = (&'a str, u64, &'a str, i64, i64, Option<&'a [u8]>, &'a str);

    /// TRTC's userbuf for a room: version, length and account, app, room, end, privileges, account type.
    const PRIVATE_MAP_KEY: &[u8] =
        b"\x00\x00\x07xiaojun\x53\x72\x4e\x00\x00\x00\x27\x10\x60\x4b\x5e\x00\x00\x00\x00\xff\x00\x00\x00\x00";

    #[test]
    fn one_that_was_made_later_than_now_is_taken_for_one_of_old() {
        let issued_at = |time: i64| {
            let text = sign(&key(DEMO_KEY), DEMO_APP, "u", time, EXPIRE, None);
            verify(&text, &key(DEMO_KEY), DEMO_APP, Some("u"), at(T)).unwrap().issued_at
        };
        for (time, expected) in [
            (T - 1, T - 1),
            (T + FAST_CLOCK_SECS, T + FAST_CLOCK_SECS),
            (T + FAST_CLOCK_SECS + 1, 0),
            ((T - 9) * 1_000 + 7, T - 9),
            ((T + 9_000) * 1_000, 0),
            (i64::MAX, 0),
        ] {
            assert_eq!(issued_at(time), at(expected), "{time}");
        }
    }

    #[test]
    fn signatures_agree_with_published_ones() {
        // The first two were published with the time and the validity in milliseconds: good for the formula, wrong in use.
        let millis = (1_569_910_200_000, 15_552_000_000);
        #[rustfmt::skip]
        let vectors: [Vector; 8] = [
            ("0", DEMO_APP, DEMO_KEY, millis.0, millis.1, None, "bEj7EPKeOGh/DZ+LevCNXjSrLtgjj+lC8Ed0uirJXYU="),
            ("0", DEMO_APP, DEMO_KEY, millis.0, millis.1, Some(b"abc"), "sWtbl2+lkv1DcoBF2Y2IWjGB44KoDgDIFxdhzwVXo2Q="),
            ("user_42", 20_030_819, "test-secret-key-1234567890abcdef", 1_718_764_800, 604_800, None, "8y4PAvIKGCmKvubBW+DGnAa/LQ9VpBWp4fEjtiQ/VHQ="),
            ("xiaojun", DEMO_APP, DEMO_KEY, T, EXPIRE, None, "1Z5PngDjGaufeSiPoBuxdHY7EK3JTdAjMP93S4KvV3M="),
            ("administrator", DEMO_APP, DEMO_KEY, T, EXPIRE, None, "Kdre1b5wdOGAspZciCW+BEYQVec8wjj+14/ZlFdiZwk="),
            ("administrator", DEMO_APP, DEMO_KEY, T, EXPIRE, Some(b"abc"), "TP7Co9/sUK1DODL3r/nypf+pnnB5fN9eWcZHMRDuuvk="),
            ("xiaojun", DEMO_APP, DEMO_KEY, T, EXPIRE, Some(PRIVATE_MAP_KEY), "QQY8WpPtnz7YZSG2peQjkXFqylqgPMeZmrrJaErpMxE="),
            ("用户1", DEMO_APP, DEMO_KEY, T, 86_400, None, "JmRZAUyN6uju6Y+L6gtCK+ZdByLL3LCG5YE8hYD++AI="),
        ];
        for (identifier, app, secret, time, expire, userbuf, sig) in vectors {
            let text = sign(&key(secret), app, identifier, time, expire, userbuf);
            assert_eq!(document_of(&text)["TLS.sig"], sig, "{identifier}");
            let read = verify(&text, &key(secret), app, Some(identifier), at(time + expire)).unwrap();
            assert_eq!(read.userbuf.as_deref(), userbuf);
            let secs = if time == millis.0 { time / 1_000 } else { time };
            assert_eq!((read.issued_at, read.expires_at), (at(secs), at(time + expire)));
        }
    }

    #[test]
    fn user_sigs_of_other_generators_verify() {
        let millis = 1_569_910_200_000;
        #[rustfmt::skip]
        let texts = [
            // A generator for Rust, times in milliseconds: compressed; stored, with a userbuf.
            ("0", millis, None, "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwjDB4pTsxIKCzBQlK0MTAyiAyKRWFGQWpQLFTU1NjZAlSjJzwcJmlpaGBkZIEsWZ6UCTk1yzzF0DvFP93TP0XaK0fVLLnP0isoKLfErSs7K0c5wtXFMMSjOLvCIiQ22VagHjLDB3"),
            ("0", millis, Some("abc"), "eAEBwAA--3siVExTLnZlciI6IjIuMCIsIlRMUy5pZGVudGlmaWVyIjoiMCIsIlRMUy5zZGthcHBpZCI6MTQwMDAwMDAwMCwiVExTLmV4cGlyZSI6MTU1NTIwMDAwMDAsIlRMUy50aW1lIjoxNTY5OTEwMjAwMDAwLCJUTFMudXNlcmJ1ZiI6IllXSmoiLCJUTFMuc2lnIjoic1d0YmwyK2xrdjFEY29CRjJZMklXakdCNDRLb0RnRElGeGRoendWWG8yUT0ifR54Nug_"),
            // Tencent's own for Python (spaces in the JSON), Node (another order) and Go (stored, a newline at the end).
            ("administrator", T, None, "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkElNyM-Myi0uKEkvyi2BKilOyEwsKMlOACgxNDKAAKpdaUZBZlAqSMTU1NUKIl2TmgkXN0NQXZ6aD7PFOKUo1TDItT-F3dywuiErOdA7XdnKNDAxLTbYoz8rSNjTRj8pxS8mMKs*2VaoFAM4cNho_"),
            ("administrator", T, None, "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwokpuZl5mcUlRYkl*UVQBcUp2YkFBZkpSlaGJgZQAJEpycxNVbIyNEMVTa0oyCwCiZuamhrBRYsz05WslLxTilINk0zLU-zdHYsLopIzncO1nVwjA8NSky3Ks7K0DU30o3LcUjKjyrNtlWoBPAA0ug__"),
            ("administrator", T, None, "eAEBsgBN-3siVExTLnZlciI6IjIuMCIsIlRMUy5pZGVudGlmaWVyIjoiYWRtaW5pc3RyYXRvciIsIlRMUy5zZGthcHBpZCI6MTQwMDAwMDAwMCwiVExTLmV4cGlyZSI6MTU1NTIwMDAsIlRMUy50aW1lIjoxNjAwMDAwMDAwLCJUTFMuc2lnIjoiS2RyZTFiNXdkT0dBc3BaY2lDVytCRVlRVmVjOHdqaisxNC9abEZkaVp3az0ifQp8ijTE"),
        ];
        for (identifier, time, userbuf, text) in texts {
            let read = verify(text, &key(DEMO_KEY), DEMO_APP, Some(identifier), at(time)).unwrap();
            assert_eq!(read.userbuf.as_deref(), userbuf.map(str::as_bytes));
            assert_eq!(peek(text), Ok((DEMO_APP, identifier.to_owned())));
        }
    }

    #[test]
    fn every_fault_has_its_code() {
        let good = sign(&key(DEMO_KEY), DEMO_APP, "administrator", T, 60, None);
        assert_eq!(check(&good, T).unwrap().identifier, "administrator");

        let forged = sign(&key("another key"), DEMO_APP, "administrator", T, 60, None);
        let other_app = sign(&key(DEMO_KEY), 1, "someone", T, 60, None);
        let other_user = sign(&key("another key"), DEMO_APP, "someone", T, -60, None);
        let mut with_userbuf = document_of(&good);
        with_userbuf["TLS.userbuf"] = "YWJj".into();
        let mut odd_userbuf = document_of(&good);
        odd_userbuf["TLS.userbuf"] = "?".into();
        for (text, code) in [
            (String::new(), 70002),
            ("+".to_owned(), 70003),
            (STANDARD.encode("not zlib").replace('=', "_"), 70003),
            (encode(b"not json"), 70003),
            (encode(b"[]"), 70003),
            (encode(&[b' '; DOCUMENT_BYTES + 1]), 70003),
            ("A".repeat(TEXT_BYTES + 1), 70003),
            // Several faults at once: the first check that fails is the one that is told.
            (other_app, 70014),
            (other_user, 70013),
            (sign(&key("another key"), DEMO_APP, "administrator", T, -60, None), 70001),
            (packed(odd_userbuf), 70003),
            (packed(with_userbuf), 70009),
            (forged, 70009),
        ] {
            assert_eq!(check(&text, T).unwrap_err().code().number(), code, "{text}");
        }
        assert_eq!(verify(&good, &key(""), DEMO_APP, None, at(T)), Err(Failure::NoKey));
    }

    #[test]
    fn the_last_second_is_still_valid() {
        let text = sign(&key(DEMO_KEY), DEMO_APP, "administrator", T, 60, None);
        assert!(check(&text, T + 60).is_ok());
        assert_eq!(check(&text, T + 61), Err(Failure::Expired));
    }

    #[test]
    fn a_document_must_have_every_field_with_its_type() {
        let good = document_of(&sign(&key(DEMO_KEY), DEMO_APP, "administrator", T, 60, None));
        for (field, odd) in [
            ("TLS.identifier", json!(5)),
            ("TLS.sdkappid", json!("1400000000")),
            ("TLS.sdkappid", json!(-1)),
            ("TLS.time", json!(1.5)),
            ("TLS.time", json!(1e30)),
            ("TLS.expire", json!(null)),
            ("TLS.userbuf", json!(3)),
            ("TLS.sig", json!([])),
        ] {
            let mut document = good.clone();
            document[field] = odd;
            assert_eq!(check(&packed(document), T).unwrap_err().code().number(), 70003, "{field}");
            if field != "TLS.userbuf" {
                let mut document = good.clone();
                document.as_object_mut().unwrap().remove(field);
                assert_eq!(check(&packed(document), T).unwrap_err().code().number(), 70003, "{field}");
            }
        }
    }

    #[test]
    fn a_document_that_inflates_without_end_is_cut_off() {
        let bomb = encode(&vec![b' '; 6_000_000]);
        assert!(bomb.len() < TEXT_BYTES);
        assert_eq!(check(&bomb, T), Err(Failure::Malformed("its document is too long")));
    }

    #[test]
    fn times_beyond_all_bounds_do_not_overflow() {
        let text = sign(&key(DEMO_KEY), DEMO_APP, "administrator", i64::MAX, i64::MAX, None);
        assert!(check(&text, T).is_ok());
        let text = sign(&key(DEMO_KEY), DEMO_APP, "administrator", i64::MIN, i64::MIN, None);
        assert_eq!(check(&text, T), Err(Failure::Expired));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            prop_assert!(check(&text, T).is_err());
        }

        #[test]
        fn any_document_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(check(&encode(&bytes), T).is_err());
        }

        #[test]
        fn what_is_signed_is_verified(user in "\\PC{1,32}", userbuf in prop::option::of(any::<Vec<u8>>())) {
            let text = sign(&key(DEMO_KEY), DEMO_APP, &user, T, 60, userbuf.as_deref());
            let read = verify(&text, &key(DEMO_KEY), DEMO_APP, Some(&user), at(T)).unwrap();
            prop_assert_eq!(read.userbuf, userbuf);
        }

        #[test]
        fn a_changed_character_never_verifies_as_another_user(at_char in any::<prop::sample::Index>(), to in "[A-Za-z0-9*_-]") {
            let text = sign(&key(DEMO_KEY), DEMO_APP, "administrator", T, 60, None);
            let mut changed = text.clone();
            let position = at_char.index(text.len());
            changed.replace_range(position..=position, &to);
            if let Ok(read) = check(&changed, T) {
                // Padding bits of base64 and the level bits of zlib's header carry nothing.
                prop_assert_eq!(read, check(&text, T).unwrap());
            }
        }
    }
}
