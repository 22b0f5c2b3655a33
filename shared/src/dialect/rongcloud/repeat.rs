//! By what a call is known as a repeat of another.

use http::HeaderMap;
use sha2::{Digest, Sha256};

use super::{Call, Command};

/// The header by which a caller numbers its requests ("Authentication": optional, up to 36 characters).
const REQUEST_ID: &str = "x-request-id";

/// What a repeat has in common with the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// The name of the call.
    pub key: String,
    /// A digest of what it says.
    pub fingerprint: [u8; 32],
}

impl Repeat {
    /// What makes another call a repeat of this one: the same path and the same content. Where the same may well be meant
    /// twice, which is a notification to named users and a message to those who are online, it is a repeat only if the
    /// caller says so by the same `X-Request-ID`; without that header it is none: `None`.
    pub fn of(command: &Command, headers: &HeaderMap, fingerprint: &[u8; 32]) -> Option<Self> {
        let key = format!("rongcloud#{}", command.path);
        let fingerprint = match command.call {
            Call::PushUser | Call::OnlineBroadcast => {
                let id = headers.get(REQUEST_ID).filter(|id| !id.is_empty())?;
                Sha256::new().chain_update(fingerprint).chain_update(id).finalize().into()
            }
            _ => *fingerprint,
        };
        Some(Self { key, fingerprint })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_may_be_meant_twice_is_a_repeat_only_by_its_request_id() {
        let headers =
            |id: &str| HeaderMap::from_iter([("x-request-id".parse().unwrap(), HeaderValue::from_str(id).unwrap())]);
        let of = |path: &str, headers: &HeaderMap, content: u8| {
            Repeat::of(Command::of(path).unwrap(), headers, &[content; 32])
        };
        let without = HeaderMap::new();
        for path in ["/push.json", "/push/custom.json", "/message/broadcast.json"] {
            assert_eq!(of(path, &without, 1), of(path, &headers("a"), 1));
            assert_ne!(of(path, &without, 1), of(path, &without, 2));
        }
        assert_ne!(of("/push.json", &without, 1), of("/push/custom.json", &without, 1));
        for path in ["/push/user.json", "/message/online/broadcast.json"] {
            assert_eq!((of(path, &without, 1), of(path, &headers(""), 1)), (None, None));
            assert!(of(path, &headers("a"), 1).is_some());
            assert_eq!(of(path, &headers("a"), 1), of(path, &headers("a"), 1));
            assert_ne!(of(path, &headers("a"), 1), of(path, &headers("b"), 1));
            assert_ne!(of(path, &headers("a"), 1), of(path, &headers("a"), 2));
        }
    }
}
