//! The number on an app's icon.

use serde::{Deserialize, Serialize};

/// What a notification does to the number on the app's icon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Badge {
    /// It becomes this; 0 takes it away. Up to 9999 (RongCloud, `ios.badge`); a vendor that takes less gets the most that
    /// it takes.
    Set(u16),
    /// It grows by this, 1 to 99 (Tencent, `BadgeAddNum`).
    Add(u8),
}
