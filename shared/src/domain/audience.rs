//! Whom a push is for.

use serde::{Deserialize, Serialize};

use super::{Condition, Ordinal};

/// Whom a push is for, among those who were users of the app when it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Every user of the app.
    Everyone,
    /// The users who satisfy a condition when the push is resolved, moments after its acceptance.
    Matching(Condition),
    /// Users whom the caller named, each once.
    Users(Vec<Ordinal>),
}
