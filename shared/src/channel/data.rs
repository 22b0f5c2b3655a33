//! The caller's data, as those vendors take it that take one JSON text or object of it, and what else of a notification
//! several vendors want in the same form.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Target;
use crate::domain::{Notification, Push};

/// The least number of ten digits.
const TEN_DIGITS: u32 = 1_000_000_000;

/// What an app gets beside a notification: its caller's `ext`, the `push_id` by which it drops what it already had from the
/// socket, and the platform's `extras`, which do not overrule those two.
pub(super) fn data(push: &Push, notification: &Notification, extras: &Map<String, Value>) -> Map<String, Value> {
    let mut data = extras.clone();
    match &notification.ext {
        Some(ext) => data.insert("ext".to_owned(), ext.as_str().into()),
        None => data.remove("ext"),
    };
    data.insert("push_id".to_owned(), push.id.to_string().into());
    data
}

/// A number of the push, for vendors whose notifications replace one with the same: positive, in 31 bits, and the same
/// however often the push is sent. It has ten digits, so that no push is longer than another for its number alone.
pub(super) fn notify_id(push: &Push) -> u32 {
    let digest = digest(push);
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) & 0x7FFF_FFFF;
    if number < TEN_DIGITS { number + TEN_DIGITS } else { number }
}

/// A word of the push, for vendors who know one push from another by so much: eight small letters and digits, and the same
/// however often the push is sent.
pub(super) fn short_key(push: &Push) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    digest(push)[8..16].iter().map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()])).collect()
}

fn digest(push: &Push) -> [u8; 32] {
    Sha256::digest(push.id.as_u128().to_be_bytes()).into()
}

/// The name of a sound resource: what is left of a file's name without folders and suffix.
pub(super) fn resource(sound: &str) -> Option<&str> {
    let file = sound.rsplit('/').next().unwrap_or_default();
    let name = file.split_once('.').map_or(file, |(name, _)| name);
    Some(name).filter(|name| !name.is_empty())
}

/// The caller's data for vendors who take texts only: what is none is one of JSON.
pub(super) fn texts(data: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    data.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// What names a request to vendors who take no request twice: the same for the same push to the same devices, however often
/// it is sent. 32 hexadecimal digits.
pub(super) fn request_id(push: &Push, targets: &[&Target]) -> String {
    let mut digest = Sha256::new_with_prefix(push.id.as_u128().to_be_bytes());
    for token in targets.iter().map(|target| target.token.expose()) {
        digest.update((token.len() as u64).to_be_bytes());
        digest.update(token);
    }
    base16ct::lower::encode_string(&digest.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::testkit::{a_rich_push, target};

    #[test]
    fn the_callers_extras_do_not_overrule_what_is_ours() {
        let push = a_rich_push();
        let notification = push.notification.as_ref().unwrap();
        let extras = serde_json::json!({"ext": 1, "push_id": 2, "n": [1]});
        let data = data(&push, notification, extras.as_object().unwrap());
        let expected = serde_json::json!({"ext": "{\"room\":7}", "push_id": push.id.to_string(), "n": [1]});
        assert_eq!(Value::Object(data), expected);
        assert_eq!(notify_id(&push), notify_id(&push.clone()));
    }

    #[test]
    fn a_pushs_number_has_ten_digits_and_is_positive_in_31_bits() {
        let mut push = a_rich_push();
        for id in 0..1_000 {
            push.id = crate::domain::PushId::from_u128(id);
            assert!((TEN_DIGITS..1 << 31).contains(&notify_id(&push)), "{id}");
        }
    }

    #[test]
    fn a_push_has_a_word_of_its_own() {
        let (push, mut other) = (a_rich_push(), a_rich_push());
        other.id = crate::domain::PushId::from_u128(70);
        assert_eq!((short_key(&push), short_key(&push).len()), (short_key(&push.clone()), 8));
        assert_ne!(short_key(&push), short_key(&other));
    }

    #[test]
    fn a_sound_is_named_like_a_resource() {
        for (sound, name) in [
            ("shake", Some("shake")),
            ("shake.mp3", Some("shake")),
            ("/res/raw/shake.mp3", Some("shake")),
            ("raw/", None),
            (".mp3", None),
        ] {
            assert_eq!(resource(sound), name, "{sound}");
        }
    }

    #[test]
    fn a_request_is_named_by_its_push_and_its_devices() {
        let (push, a, b, ab) = (a_rich_push(), target("a"), target("b"), target("ab"));
        let mut other = push.clone();
        other.id = crate::domain::PushId::from_u128(70);
        let ids = [
            request_id(&push, &[&a]),
            request_id(&push, &[&b]),
            request_id(&push, &[&a, &b]),
            request_id(&push, &[&ab]),
            request_id(&other, &[&a]),
        ];
        let different: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(different.len(), ids.len());
        assert_eq!(ids[2], request_id(&push.clone(), &[&target("a"), &target("b")]));
        assert_eq!(ids[0].len(), 32);
    }
}
