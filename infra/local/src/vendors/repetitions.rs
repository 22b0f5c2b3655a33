//! What vendors remember of messages, so that none is sent twice.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// More are not remembered: then all are forgotten.
const MOST: usize = 500_000;

/// What was answered to each message, by the id that its sender gave it.
#[derive(Default)]
pub(super) struct Repetitions(Mutex<HashMap<String, String>>);

impl Repetitions {
    /// What was answered before to the same id; `None` for the first, whose `answer` is kept.
    pub(super) fn before(&self, id: &str, answer: &str) -> Option<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = known.get(id) {
            return Some(before.clone());
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(id.to_owned(), answer.to_owned());
        None
    }
}
