//! `AndroidInfo`: what the devices of Android's makers show, each through its own vendor.

use super::super::Error;
use super::members::Members;
use crate::domain::notification::{
    Android, Badge, Fcm, Honor, Huawei, Importance, Meizu, MeizuKind, NotifyLevel, NotifyType, Oppo, OppoTemplate,
    Priority, Vivo, VivoClass, Xiaomi,
};

const IMPORTANCE: [(&str, Importance); 2] = [("LOW", Importance::Low), ("NORMAL", Importance::Normal)];

/// What a message is where `VIVOClassification` is absent ("1 by default"). vivo itself would take it for an operator's, of
/// which a device is shown a few a day.
const USUAL: VivoClass = VivoClass::System;

/// Reads it. `badge` is what happens to the number on the icon.
pub(super) fn read(info: Option<&Members<'_>>, badge: Option<Badge>) -> Result<Android, Error> {
    let Some(info) = info else {
        let vivo = Vivo { classification: Some(USUAL), ..Vivo::default() };
        return Ok(Android { badge, vivo, ..Android::default() });
    };
    let class = info.code("VIVOClassification", &[(0, VivoClass::Operation), (1, VivoClass::System)])?;
    Ok(Android {
        sound: info.text("Sound")?,
        badge,
        big_text: info.flag("PushStyle")?,
        fcm: Fcm {
            notification_channel: info.text("GoogleChannelID")?,
            image: info.text("GoogleImage")?,
            priority: info.word("GooglePriority", &[("normal", Priority::Normal), ("high", Priority::High)])?,
            collapse_key: None,
        },
        huawei: Huawei {
            notification_channel: info.text("HuaWeiChannelID")?,
            importance: info.word("HuaWeiImportance", &IMPORTANCE)?,
            category: info.text("HuaWeiCategory")?,
            image: info.https("HuaWeiImage")?,
            ext_in_intent: info.flag("ExtAsHuaweiIntentParam")?,
        },
        honor: Honor { importance: info.word("HonorImportance", &IMPORTANCE)?, image: info.https("HonorImage")? },
        xiaomi: Xiaomi { notification_channel: info.text("XiaoMiChannelID")?, large_icon: None },
        oppo: read_oppo(info)?,
        vivo: Vivo {
            classification: Some(class.unwrap_or(USUAL)),
            category: info.text("VIVOCategory")?,
            // The page's table has a text where its values are numbers.
            notify_type: info.code_or_text(
                "VIVONotifyType",
                &[
                    (1, NotifyType::Quiet),
                    (2, NotifyType::Ring),
                    (3, NotifyType::Vibrate),
                    (4, NotifyType::RingAndVibrate),
                ],
            )?,
        },
        meizu: Meizu { kind: info.code("MeiZuNoticeMsgType", &[(0, MeizuKind::Public), (1, MeizuKind::Private)])? },
        ..Android::default()
    })
}

fn read_oppo(info: &Members<'_>) -> Result<Oppo, Error> {
    let category = info.text("OPPOCategory")?;
    let levels = [(1, NotifyLevel::Bar), (2, NotifyLevel::LockScreen), (16, NotifyLevel::Banner)];
    let notify_level = info.code("OPPONotifyLevel", &levels)?;
    if notify_level.is_some() && category.is_none() {
        return info.fault("OPPONotifyLevel", "needs an OPPOCategory beside it");
    }
    let (title, content) = (info.object("OPPOPrivateTitleParameters")?, info.object("OPPOPrivateContentParameters")?);
    let template = info.text("OPPOPrivateMsgTemplateId")?.map(|id| OppoTemplate { id, title, content });
    Ok(Oppo { notification_channel: info.text("OPPOChannelID")?, category, notify_level, template })
}
