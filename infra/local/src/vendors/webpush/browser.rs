//! The browsers: the keys of their subscriptions, and how they read a message (RFC 8291).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use web_push_native::{
    Auth,
    p256::{SecretKey, elliptic_curve::sec1::ToEncodedPoint},
};

use super::Refusal;

/// Bytes before the record: the salt, the record's size, the length of the key, and the key (RFC 8188, section 2.1).
const HEADER: usize = 86;
const POINT: u8 = 65;

/// All browsers there could be: each has its keys from its name and from what is this run's own.
pub(super) struct Browsers {
    seed: [u8; 16],
}

/// A browser's keys.
pub(super) struct BrowserKeys {
    secret: SecretKey,
    auth: Auth,
}

impl Browsers {
    pub(super) fn new() -> Self {
        Self { seed: Uuid::new_v4().into_bytes() }
    }

    /// The keys of a browser; `None` if that cannot be the name of one.
    pub(super) fn keys(&self, name: &str) -> Option<BrowserKeys> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=64).contains(&name.len()) || !name.bytes().all(is_letter) {
            return None;
        }
        let derive = |what: &[u8]| Sha256::digest([&self.seed, what, name.as_bytes()].concat());
        let auth = Auth::clone_from_slice(&derive(b"auth")[..16]);
        // One number in four billion is none of the curve's.
        Some(BrowserKeys { secret: SecretKey::from_slice(&derive(b"key")).ok()?, auth })
    }

    /// What the browser reads; `None` if it cannot.
    pub(super) fn decrypt(&self, name: &str, message: &[u8]) -> Option<Bytes> {
        let BrowserKeys { secret, auth } = self.keys(name)?;
        web_push_native::decrypt(message.to_vec(), &secret, &auth).ok().map(Bytes::from)
    }
}

impl BrowserKeys {
    pub(super) fn p256dh(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.secret.public_key().to_encoded_point(false))
    }

    pub(super) fn auth(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.auth)
    }
}

/// A message is one record, shorter than the size of records that it names (RFC 8291, section 4).
pub(super) fn check_record(message: &[u8]) -> Result<(), Refusal> {
    let Some((header, record)) = message.split_at_checked(HEADER) else {
        return Err(Refusal::bad("the message is shorter than its header"));
    };
    let size = u32::from_be_bytes([header[16], header[17], header[18], header[19]]);
    if header[20] != POINT {
        return Err(Refusal::bad("the key must be a point of 65 bytes"));
    }
    if size as usize <= record.len() {
        return Err(Refusal::bad("the message must be a single record, shorter than records are"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8291, section 5 and appendix A.
    #[test]
    fn a_browser_reads_the_message_of_rfc_8291() {
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let secret = SecretKey::from_slice(&decoded("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")).unwrap();
        let auth = Auth::clone_from_slice(&decoded("BTBZMqHH6r4Tts7J_aSIgg"));
        let message = decoded(concat!(
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml",
            "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT",
            "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
        ));
        assert_eq!(check_record(&message), Ok(()));
        let text = web_push_native::decrypt(message, &secret, &auth).unwrap();
        assert_eq!(text, b"When I grow up, I want to be a watermelon");
        let keys = BrowserKeys { secret, auth };
        let public = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        assert_eq!(keys.p256dh(), public);
    }

    #[test]
    fn every_browser_has_its_keys_and_keeps_them() {
        let browsers = Browsers::new();
        let of = |name: &str| browsers.keys(name).map(|keys| (keys.p256dh(), keys.auth()));
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
        for name in ["", "a/b", "a b", "é", &"x".repeat(65)] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
