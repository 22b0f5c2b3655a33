//! How a message is encrypted for a browser, so that its push service cannot read it (RFC 8291).

use p256::elliptic_curve::Generate;
use p256::{PublicKey, SecretKey};
use sha2::Sha256;

/// Bytes that a message grows by: the header of the encoding, 86, one for the end of the text, and the tag, 16.
pub(super) const OVERHEAD: usize = 103;
/// The size of a record (RFC 8291, section 4: more than what it holds).
const RECORD_BYTES: u32 = 4_096;

/// The text is longer than a record.
#[derive(Debug, thiserror::Error)]
#[error("the text is too long for one record")]
pub(super) struct TooLong;

/// A text for one browser, with a key that is made for it alone.
pub(super) fn encrypt(text: &[u8], key: &PublicKey, auth: &[u8; 16]) -> Result<Vec<u8>, TooLong> {
    encrypt_with(text, key, auth, &SecretKey::generate(), <[u8; 16]>::generate())
}

fn encrypt_with(
    text: &[u8],
    key: &PublicKey,
    auth: &[u8; 16],
    own: &SecretKey,
    salt: [u8; 16],
) -> Result<Vec<u8>, TooLong> {
    let (theirs, ours) = (key.to_sec1_bytes(), own.public_key().to_sec1_bytes());
    // RFC 8291, section 3.4.
    let info = [&b"WebPush: info\0"[..], &theirs, &ours].concat();
    let mut ikm = [0; 32];
    own.diffie_hellman(key).extract::<Sha256>(Some(auth)).expand(&info, &mut ikm).map_err(|_| TooLong)?;
    ece_native::encrypt(ikm, salt, &ours, std::iter::once(text.to_vec()), RECORD_BYTES).map_err(|_| TooLong)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn decoded<const N: usize>(text: &str) -> [u8; N] {
        URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
    }

    /// RFC 8291, section 5 and appendix A.
    #[test]
    fn a_message_is_byte_for_byte_that_of_rfc_8291() {
        let theirs: [u8; 65] =
            decoded("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        let own: [u8; 32] = decoded("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let message = encrypt_with(
            b"When I grow up, I want to be a watermelon",
            &PublicKey::from_sec1_bytes(&theirs).unwrap(),
            &decoded("BTBZMqHH6r4Tts7J_aSIgg"),
            &SecretKey::from_slice(&own).unwrap(),
            decoded("DGv6ra1nlYgDCS1FRnbzlw"),
        );
        let expected = concat!(
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml",
            "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT",
            "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
        );
        assert_eq!(URL_SAFE_NO_PAD.encode(message.unwrap()), expected);
    }

    #[test]
    fn every_message_has_a_key_and_a_salt_of_its_own_and_the_known_overhead() {
        let key = SecretKey::generate().public_key();
        let [one, two] = [(); 2].map(|()| encrypt(b"text", &key, &[7; 16]).unwrap());
        assert_eq!((one.len(), two.len()), (4 + OVERHEAD, 4 + OVERHEAD));
        assert_ne!(one[..16], two[..16]);
        assert_ne!(one[21..86], two[21..86]);
    }

    #[test]
    fn a_text_that_no_record_holds_is_refused() {
        let key = SecretKey::generate().public_key();
        assert!(encrypt(&[0; 4_079], &key, &[7; 16]).is_ok());
        assert!(encrypt(&[0; 4_080], &key, &[7; 16]).is_err());
    }
}
