//! What only Apple's devices know.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Badge;

optional! {
    /// On iOS and iPadOS (Apple, "Generating a remote notification").
    Ios {
        /// The heading here.
        title: Option<String>,
        /// A second heading.
        subtitle: Option<String>,
        /// The text here.
        text: Option<String>,
        /// The file of a sound in the app's bundle, with its suffix. Absent: the system's.
        sound: Option<String>,
        /// The number on the icon. Absent: it stays as it is.
        badge: Option<Badge>,
        /// An address of a picture, for the app's service extension to load.
        image: Option<String>,
        /// Whether the app's service extension may change it before it is shown.
        mutable_content: bool,
        /// Whether it wakes the app.
        wake: Option<Wake>,
        /// How much it interrupts.
        interruption_level: Option<InterruptionLevel>,
        /// What it is grouped by.
        thread_id: Option<String>,
        /// The kind of notification, which says what buttons it has.
        category: Option<String>,
        /// A later one with the same id takes its place. 1 to 64 bytes of visible ASCII (Apple, `apns-collapse-id`).
        collapse_id: Option<String>,
        /// Whether it is a call that comes in: for devices that have a token of PushKit's. A device that has none is sent
        /// an ordinary notification.
        voip: bool,
        /// The live activity that it changes: for devices that have a token of that activity's. A device that has none is
        /// sent an ordinary notification.
        activity: Option<Activity>,
        /// More of the caller's data, each under its own name beside `aps`.
        extras: Map<String, Value>,
    }
}

/// Whether a notification gives the app a moment to run in the background (`content-available`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wake {
    /// It does, and shows what there is to show.
    AndShow,
    /// It does, and shows nothing: Apple lets some three an hour through.
    Silently,
}

/// How much a notification interrupts (Apple, `interruption-level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterruptionLevel {
    /// Shown in the list only.
    Passive,
    /// As usual.
    Active,
    /// Through a focus.
    TimeSensitive,
    /// Through a muted phone: the app needs Apple's leave.
    Critical,
}

/// A change of a live activity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The app's name for it, 1 to 64 bytes (Tencent, `LaId`).
    pub id: String,
    /// What happens to it.
    pub event: ActivityEvent,
    /// What it shows from now on, as the app defines it.
    pub state: Map<String, Value>,
    /// When it leaves the lock screen after its end, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dismissal: Option<i64>,
}

/// What happens to a live activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivityEvent {
    /// It shows something else.
    Update,
    /// It is over.
    End,
}
