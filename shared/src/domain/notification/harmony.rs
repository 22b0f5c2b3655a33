//! What only HarmonyOS knows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Badge;

optional! {
    /// On HarmonyOS (Huawei, Push Kit v3).
    Harmony {
        /// The heading here.
        title: Option<String>,
        /// The text here.
        text: Option<String>,
        /// The kind of message, such as `IM` or `MARKETING`. The vendor demands one.
        category: Option<String>,
        /// The https address of a picture.
        image: Option<String>,
        /// The sound. Absent: the system's.
        sound: Option<HarmonySound>,
        /// The number on the icon, at most 99. Absent: it stays as it is.
        badge: Option<Badge>,
        /// More of the caller's data.
        extras: Map<String, Value>,
    }
}

/// A sound of the app's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HarmonySound {
    /// Its file among the app's raw files, with its suffix.
    pub file: String,
    /// How long it is played, over and over if it must be, 1 to 60 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secs: Option<u8>,
}
