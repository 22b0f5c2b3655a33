//! What the system bar shows.

use serde::{Deserialize, Serialize};

/// What a vendor shows for a push on a device whose app is not connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The heading. Without one, the platform shows the app's name.
    pub title: Option<String>,
    /// The text.
    pub text: String,
    /// The caller's own data for the app that opens it, passed through as it is.
    pub ext: Option<String>,
}
