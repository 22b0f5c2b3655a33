//! The `apns-` headers of a notification.

use uuid::Uuid;

use super::{super::vendor::VendorRequest, Refusal};

/// Bytes.
const MAX_COLLAPSE_ID: usize = 64;

/// What the headers are held against.
pub(super) struct Wanted {
    /// The bundle ids of the apps whose tokens these may be: which of them a token is of, it does not say.
    pub topics: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushType {
    Alert,
    Background,
    Voip,
    Other,
}

/// The push type, if all headers are right.
pub(super) fn check(request: &VendorRequest, wanted: &Wanted) -> Result<PushType, Refusal> {
    refuse_duplicates(request)?;
    let (push_type, suffix) = push_type(request.header("apns-push-type"))?;
    check_topic(request.header("apns-topic"), wanted.topics, suffix)?;
    check_priority(request.header("apns-priority"), push_type)?;
    check_expiration(request.header("apns-expiration"))?;
    if let Some(id) = request.headers.get("apns-collapse-id")
        && (id.is_empty() || id.len() > MAX_COLLAPSE_ID)
    {
        return Err(Refusal::bad("BadCollapseId"));
    }
    match request.header("apns-id") {
        Some(id) if !is_uuid(id) => Err(Refusal::bad("BadMessageId")),
        _ => Ok(push_type),
    }
}

fn refuse_duplicates(request: &VendorRequest) -> Result<(), Refusal> {
    for name in request.headers.keys() {
        if name.as_str().starts_with("apns-") && request.headers.get_all(name).iter().count() > 1 {
            return Err(Refusal::bad("DuplicateHeaders"));
        }
    }
    Ok(())
}

/// The push type and what its topic adds to the bundle id. Apple demands the header for watches
/// and asks for it everywhere; whoever sends to everything has to send it.
fn push_type(given: Option<&str>) -> Result<(PushType, &'static str), Refusal> {
    Ok(match given {
        Some("alert") => (PushType::Alert, ""),
        Some("background") => (PushType::Background, ""),
        Some("voip") => (PushType::Voip, ".voip"),
        Some("complication") => (PushType::Other, ".complication"),
        Some("fileprovider") => (PushType::Other, ".pushkit.fileprovider"),
        Some("liveactivity") => (PushType::Other, ".push-type.liveactivity"),
        Some("location") => (PushType::Other, ".location-query"),
        Some("pushtotalk") => (PushType::Other, ".voip-ptt"),
        Some("widgets") => (PushType::Other, ".push-type.widgets"),
        Some("controls") => (PushType::Other, ".push-type.controls"),
        _ => return Err(Refusal::bad("InvalidPushType")),
    })
}

/// A topic of another app of the same organisation (`com.example.other`) is one to which the
/// provider token may push, but the device token is not for it. Any other is not the team's.
fn check_topic(given: Option<&str>, bundle_ids: &[&str], suffix: &str) -> Result<(), Refusal> {
    let given = given.ok_or(Refusal::bad("MissingTopic"))?;
    let is_well_formed =
        !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if !is_well_formed {
        return Err(Refusal::bad("BadTopic"));
    }
    if bundle_ids.iter().any(|bundle_id| given.strip_prefix(bundle_id) == Some(suffix)) {
        return Ok(());
    }
    let is_of_the_team = |bundle_id: &&str| {
        let (organisation, _) = bundle_id.rsplit_once('.').unwrap_or((bundle_id, ""));
        given.strip_prefix(organisation).is_some_and(|rest| rest.starts_with('.'))
    };
    if bundle_ids.iter().any(is_of_the_team) {
        Err(Refusal::bad("DeviceTokenNotForTopic"))
    } else {
        Err(Refusal::bad("TopicDisallowed"))
    }
}

/// Absent means 10, which a background notification must not have.
fn check_priority(given: Option<&str>, push_type: PushType) -> Result<(), Refusal> {
    match (given.unwrap_or("10"), push_type) {
        ("5", _) => Ok(()),
        ("10" | "1", push_type) if push_type != PushType::Background => Ok(()),
        _ => Err(Refusal::bad("BadPriority")),
    }
}

fn check_expiration(given: Option<&str>) -> Result<(), Refusal> {
    let is_time = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i64>().is_ok();
    match given {
        Some(text) if !is_time(text) => Err(Refusal::bad("BadExpirationDate")),
        _ => Ok(()),
    }
}

/// In the canonical form of 32 digits and hyphens, 8-4-4-4-12; the parser knows other forms.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}
