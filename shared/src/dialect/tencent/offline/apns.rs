//! `ApnsInfo`: what Apple's devices show.

use super::super::Error;
use super::BadgeMode;
use super::members::Members;
use crate::domain::notification::{Activity, ActivityEvent, Badge, InterruptionLevel, Ios, Wake};

/// Longest `LaId`, in bytes (Tencent, "LiveActivity").
const ACTIVITY_ID_BYTES: usize = 64;
/// Unix seconds that any clock will show.
const LAST_SECOND: i64 = u32::MAX as i64;

/// Reads it. `badge` is what the request says about the number on the icon, wherever it stands; without that, `BadgeMode`
/// decides whether the message counts.
pub(super) fn read(info: Option<&Members<'_>>, badge: Option<Badge>, absent: BadgeMode) -> Result<Ios, Error> {
    let Some(info) = info else { return Ok(Ios { badge: badge.or(absent.badge()), ..Ios::default() }) };
    let mode = info.code("BadgeMode", &[(0, BadgeMode::Count), (1, BadgeMode::Leave)])?.unwrap_or(absent);
    Ok(Ios {
        title: info.text("Title")?,
        subtitle: info.text("SubTitle")?,
        sound: info.text("Sound")?,
        badge: badge.or(mode.badge()),
        image: info.text("Image")?,
        mutable_content: info.flag("MutableContent")?,
        // "A silent push, without a banner."
        wake: info.flag("ContentAvailable")?.then_some(Wake::Silently),
        interruption_level: info.word(
            "InterruptionLevel",
            &[
                ("active", InterruptionLevel::Active),
                ("critical", InterruptionLevel::Critical),
                ("passive", InterruptionLevel::Passive),
                ("time-sensitive", InterruptionLevel::TimeSensitive),
            ],
        )?,
        voip: info.flag("IsVoipPush")?,
        activity: info.part("LiveActivity")?.map(|activity| read_activity(&activity)).transpose()?,
        ..Ios::default()
    })
}

fn read_activity(activity: &Members<'_>) -> Result<Activity, Error> {
    for name in ["LaId", "Event", "ContentState"] {
        activity.required(name)?;
    }
    let id = activity.text("LaId")?.unwrap_or_default();
    if id.len() > ACTIVITY_ID_BYTES {
        return activity.fault("LaId", &format!("must not be longer than {ACTIVITY_ID_BYTES} bytes"));
    }
    let event = activity.word("Event", &[("update", ActivityEvent::Update), ("end", ActivityEvent::End)])?;
    let event = event.ok_or_else(|| activity.error("needs Event"))?;
    let (state, dismissal) = (activity.object("ContentState")?, activity.number("DismissalDate", 0..=LAST_SECOND)?);
    Ok(Activity { id, event, state, dismissal })
}
