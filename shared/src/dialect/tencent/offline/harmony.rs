//! `HarmonyInfo`: what HarmonyOS shows.

use super::super::Error;
use super::members::Members;
use crate::domain::notification::{Badge, Harmony, HarmonySound};

/// Reads it. `badge` is what happens to the number on the icon.
pub(super) fn read(info: Option<&Members<'_>>, badge: Option<Badge>) -> Result<Harmony, Error> {
    let Some(info) = info else { return Ok(Harmony { badge, ..Harmony::default() }) };
    let secs = info.number("SoundDuration", 1..=60)?.and_then(|secs| u8::try_from(secs).ok());
    let sound = info.text("Sound")?.map(|file| HarmonySound { file, secs });
    if secs.is_some() && sound.is_none() {
        return info.fault("SoundDuration", "needs a Sound beside it");
    }
    Ok(Harmony {
        title: info.text("Title")?,
        category: info.text("Category")?,
        image: info.https("Image")?,
        sound,
        badge,
        ..Harmony::default()
    })
}
