//! `ios`: what only Apple's devices know.

use super::super::{Code, Error};
use super::part::Part;
use crate::domain::notification::{Badge, InterruptionLevel, Ios, Wake};

/// Highest number on an icon (`ios.badge`).
const BADGE: u16 = 9_999;
/// Longest id of those that take each other's place, in bytes (Apple, `apns-collapse-id`).
const COLLAPSE_ID_BYTES: usize = 64;

const LEVELS: &[(&str, InterruptionLevel)] = &[
    ("passive", InterruptionLevel::Passive),
    ("active", InterruptionLevel::Active),
    ("time-sensitive", InterruptionLevel::TimeSensitive),
    ("critical", InterruptionLevel::Critical),
];

/// Reads `ios`. `is_shown` says whether there is a text that stands for all platforms.
pub(super) fn read(ios: &Part<'_>, is_shown: bool) -> Result<Ios, Error> {
    let text = ios.text("alert")?;
    let is_shown = is_shown || text.is_some();
    let wake = ios.flag("contentAvailable")?.then_some(wake(is_shown));
    Ok(Ios {
        title: ios.text("title")?,
        text,
        wake,
        badge: badge(ios)?,
        extras: ios.object("extras")?,
        ..settings(ios)?
    })
}

/// Where there is a text it is shown too; where there is none, the app is woken and nothing else.
pub(super) fn wake(is_shown: bool) -> Wake {
    if is_shown { Wake::AndShow } else { Wake::Silently }
}

/// What goes by the same names in `ios` and in a `pushExt`.
pub(super) fn settings(ios: &Part<'_>) -> Result<Ios, Error> {
    let category = ios.text("category")?;
    // The SDK for Go writes `threadId` in `/push.json`, and `thread-id` in `/push/custom.json` (`sdk/push.go`).
    let thread_id = ios.text("thread-id")?;
    Ok(Ios {
        image: ios.text("richMediaUri")?,
        mutable_content: category.is_some(),
        category,
        thread_id: if thread_id.is_some() { thread_id } else { ios.text("threadId")? },
        collapse_id: collapse_id(ios)?,
        interruption_level: ios.choice("interruption-level", LEVELS)?,
        ..Ios::default()
    })
}

/// 0 and below takes the number away.
fn badge(ios: &Part<'_>) -> Result<Option<Badge>, Error> {
    let Some(number) = ios.integer("badge")? else { return Ok(None) };
    match u16::try_from(number.max(0)) {
        Ok(number) if number <= BADGE => Ok(Some(Badge::Set(number))),
        _ => ios.fault("badge", &format!("must not be more than {BADGE}")),
    }
}

fn collapse_id(ios: &Part<'_>) -> Result<Option<String>, Error> {
    const NAME: &str = "apns-collapse-id";
    let Some(id) = ios.text(NAME)? else { return Ok(None) };
    if id.len() > COLLAPSE_ID_BYTES {
        return ios.failed(Code::TooLong, NAME, &format!("must not be longer than {COLLAPSE_ID_BYTES} bytes"));
    }
    if !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return ios.fault(NAME, "must be visible ASCII: it is sent as a header");
    }
    Ok(Some(id))
}
