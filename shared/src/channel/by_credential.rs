//! What is made of a credential once and kept: keys that are read, tokens that are signed or granted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Of more credentials than this nothing is kept at once. An app may bring one, and a function has but so much memory.
const MOST: usize = 1_000;

/// One thing for each credential that is in use.
pub(super) struct ByCredential<T> {
    known: Mutex<HashMap<[u8; 32], Arc<T>>>,
}

impl<T> Default for ByCredential<T> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<T> ByCredential<T> {
    /// That of a credential, which is all of its parts. A changed credential has another.
    pub(super) fn of<E>(&self, parts: &[&str], make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let id = fingerprint(parts);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = known.get(&id) {
            return Ok(one.clone());
        }
        let one = Arc::new(make()?);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(id, one.clone());
        Ok(one)
    }
}

/// Tells credentials apart, and does not say what they are.
pub(super) fn fingerprint(parts: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_for_a_credential_and_anew_for_a_changed_one() {
        let (kept, mut made) = (ByCredential::default(), 0);
        for parts in [["a", "b"], ["a", "b"], ["ab", ""], ["a", "c"]] {
            kept.of(&parts, || {
                made += 1;
                Ok::<_, ()>(made)
            })
            .unwrap();
        }
        assert_eq!((made, *kept.of(&["a", "b"], || Err(())).unwrap()), (3, 1));
        assert_eq!(kept.of(&["d", ""], || Err("it is none")), Err("it is none"));
    }

    #[test]
    fn however_many_there_are_no_more_than_so_many_are_kept() {
        let kept = ByCredential::default();
        for n in 0..=MOST {
            kept.of(&[&n.to_string()], || Ok::<_, ()>(n)).unwrap();
        }
        assert_eq!(kept.known.lock().unwrap().len(), 1);
    }
}
