//! UserSigs: any text, and the text that any document makes.
#![no_main]

use std::io::{Read, Write};
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanfare::dialect::tencent::usersig::{Failure, UserSig, peek, verify};
use fanfare::domain::Timestamp;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use hmac::{Hmac, KeyInit, Mac};
use invariants::{KEY, SDK_APP_ID, check_error};
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use serde_json::{Map, Value};
use sha2::Sha256;

const NOW: i64 = 1_600_000_000;

static SECRET: LazyLock<SecretString> = LazyLock::new(|| KEY.into());

fuzz_target!(|input: &[u8]| {
    check(&String::from_utf8_lossy(input));
    check(&packed(input));

    // Signed with the key, a document that could be read is accepted, and by this key alone.
    let Ok(Value::Object(mut document)) = serde_json::from_slice(input) else { return };
    let Some(signature) = signature(&document) else { return };
    document.insert("TLS.sig".to_owned(), signature.into());
    let text = packed(Value::Object(document.clone()).to_string().as_bytes());
    check(&text);
    let Ok((app, identifier)) = peek(&text) else { return };
    match verify(&text, &SECRET, app, Some(&identifier), Timestamp::from_secs(NOW)) {
        Ok(_) => {
            let forged = verify(&text, &"another key".into(), app, Some(&identifier), Timestamp::from_secs(NOW));
            assert_eq!(forged, Err(Failure::Forged));
        }
        Err(failure) => assert!(matches!(failure, Failure::Expired | Failure::Malformed(_)), "{failure:?}"),
    }
});

/// A text that verifies was signed with the key, over what it says.
fn check(text: &str) {
    let peeked = peek(text);
    let verified = verify(text, &SECRET, SDK_APP_ID, None, Timestamp::from_secs(NOW));
    match &verified {
        Ok(read) => {
            assert_eq!(peeked, Ok((SDK_APP_ID, read.identifier.clone())));
            let document = unpacked(text);
            assert_eq!(signature(&document).as_deref(), document["TLS.sig"].as_str(), "verified without the key");
            check_validity(read, &document);
        }
        Err(failure) => check_error(&(*failure).into()),
    }
    let unreadable = peeked.as_ref().err().copied();
    if let Ok((_, identifier)) = peeked {
        let other = format!("{identifier}x");
        let as_other = verify(text, &SECRET, SDK_APP_ID, Some(&other), Timestamp::from_secs(NOW));
        assert!(as_other.is_err(), "{identifier:?} passes for {other:?}");
    }
    // An empty key verifies nothing.
    let without_key = verify(text, &"".into(), SDK_APP_ID, None, Timestamp::from_secs(NOW));
    assert_eq!(without_key, Err(unreadable.unwrap_or(Failure::NoKey)));
}

fn check_validity(read: &UserSig, document: &Map<String, Value>) {
    assert_eq!(document["TLS.identifier"], read.identifier);
    let [time, expire] = ["TLS.time", "TLS.expire"].map(|name| document[name].as_i64().expect("an integer"));
    assert!(i128::from(time) + i128::from(expire) >= i128::from(NOW), "verified after its end");
}

/// What `TLS.sig` must be, if the document has the fields that it is made of.
fn signature(document: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let mut signed = format!(
        "TLS.identifier:{}\nTLS.sdkappid:{}\nTLS.time:{}\nTLS.expire:{}\n",
        text("TLS.identifier")?,
        document.get("TLS.sdkappid")?.as_u64()?,
        document.get("TLS.time")?.as_i64()?,
        document.get("TLS.expire")?.as_i64()?,
    );
    if let Some(userbuf) = text("TLS.userbuf") {
        signed += &format!("TLS.userbuf:{userbuf}\n");
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

fn packed(document: &[u8]) -> String {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(document).expect("a vector takes every write");
    let compressed = zlib.finish().expect("a vector takes every write");
    STANDARD.encode(compressed).replace('+', "*").replace('/', "-").replace('=', "_")
}

fn unpacked(text: &str) -> Map<String, Value> {
    let standard = text.replace('*', "+").replace('-', "/").replace('_', "=");
    let compressed = STANDARD.decode(standard).expect("what verified is base64");
    let mut document = Vec::new();
    ZlibDecoder::new(compressed.as_slice()).read_to_end(&mut document).expect("what verified is zlib");
    serde_json::from_slice(&document).expect("what verified is JSON")
}
