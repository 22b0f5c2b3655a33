//! `android` and `harmonyOS`: what only Android's vendors and HarmonyOS know.

use super::super::Error;
use super::part::Part;
use crate::domain::notification::{
    Android, Fcm, Harmony, Honor, Huawei, Importance, NotifyLevel, Oppo, Vivo, VivoClass, Xiaomi,
};

const IMPORTANCES: &[(&str, Importance)] = &[("NORMAL", Importance::Normal), ("LOW", Importance::Low)];
const LEVELS: &[(&str, NotifyLevel)] =
    &[("1", NotifyLevel::Bar), ("2", NotifyLevel::LockScreen), ("16", NotifyLevel::Banner)];
const CLASSES: &[(&str, VivoClass)] = &[("0", VivoClass::Operation), ("1", VivoClass::System)];

/// Reads `android`.
pub(super) fn read(android: &Part<'_>) -> Result<Android, Error> {
    Ok(Android {
        text: android.text("alert")?,
        extras: android.object("extras")?,
        fcm: fcm(&android.part("fcm")?)?,
        huawei: huawei(&android.part("hw")?)?,
        honor: honor(&android.part("honor")?)?,
        xiaomi: xiaomi(&android.part("mi")?)?,
        oppo: oppo(&android.part("oppo")?)?,
        vivo: vivo(&android.part("vivo")?)?,
        ..Android::default()
    })
}

/// Reads `harmonyOS`.
pub(super) fn harmony(harmony: &Part<'_>) -> Result<Harmony, Error> {
    let text = harmony.text("alert")?;
    Ok(Harmony { text, extras: harmony.object("extras")?, ..ohos(&harmony.part("ohos")?)? })
}

pub(super) fn fcm(part: &Part<'_>) -> Result<Fcm, Error> {
    Ok(Fcm {
        notification_channel: part.text("channelId")?,
        image: part.text("imageUrl")?,
        collapse_key: part.text("collapse_key")?,
        ..Fcm::default()
    })
}

pub(super) fn huawei(part: &Part<'_>) -> Result<Huawei, Error> {
    let category = part.text("category")?;
    if category.as_ref().is_some_and(|category| category.chars().any(char::is_lowercase)) {
        return part.fault("category", "must be in capitals");
    }
    Ok(Huawei {
        notification_channel: part.text("channelId")?,
        importance: part.choice("importance", IMPORTANCES)?,
        category,
        image: part.https("image")?,
        ..Huawei::default()
    })
}

pub(super) fn honor(part: &Part<'_>) -> Result<Honor, Error> {
    Ok(Honor { importance: part.choice("importance", IMPORTANCES)?, image: part.https("image")? })
}

pub(super) fn xiaomi(part: &Part<'_>) -> Result<Xiaomi, Error> {
    Ok(Xiaomi { notification_channel: part.text("channelId")?, large_icon: part.text("large_icon_uri")? })
}

/// A level is of use with a category only: without one it is let pass and not kept.
pub(super) fn oppo(part: &Part<'_>) -> Result<Oppo, Error> {
    let category = part.text("category")?;
    let level = part.choice("notify_level", LEVELS)?;
    let notify_level = level.filter(|_| category.is_some());
    Ok(Oppo { notification_channel: part.text("channelId")?, category, notify_level, ..Oppo::default() })
}

pub(super) fn vivo(part: &Part<'_>) -> Result<Vivo, Error> {
    let classification = part.choice("classification", CLASSES)?;
    Ok(Vivo { classification, category: part.text("category")?, ..Vivo::default() })
}

pub(super) fn ohos(part: &Part<'_>) -> Result<Harmony, Error> {
    Ok(Harmony { category: part.text("category")?, image: part.https("image")?, ..Harmony::default() })
}
