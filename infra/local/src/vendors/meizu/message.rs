//! `messageJson`, and everything that Meizu refuses about it.

use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// The member that is wrong.
type Wrong = &'static str;

/// Says whether a message is right in every member.
pub(super) fn check(text: &str) -> Result<(), Wrong> {
    let message: Object = serde_json::from_str(text).map_err(|_| "messageJson")?;
    let known =
        ["noticeBarInfo", "noticeExpandInfo", "clickTypeInfo", "pushTimeInfo", "advanceInfo", "extra"].as_slice();
    only(&message, known, "messageJson")?;
    bar(part(&message, "noticeBarInfo")?.ok_or("noticeBarInfo")?)?;
    part(&message, "noticeExpandInfo")?.map_or(Ok(()), expansion)?;
    part(&message, "clickTypeInfo")?.map_or(Ok(()), click)?;
    part(&message, "pushTimeInfo")?.map_or(Ok(()), time)?;
    part(&message, "advanceInfo")?.map_or(Ok(()), advance)?;
    part(&message, "extra")?.map_or(Ok(()), receipts)
}

fn bar(bar: &Object) -> Result<(), Wrong> {
    only(bar, &["noticeMsgType", "noticeBarType", "title", "content"], "noticeBarInfo")?;
    one_of(bar, "noticeMsgType", &[0, 1])?;
    one_of(bar, "noticeBarType", &[0, 2])?;
    text(bar, "title", 32)?;
    text(bar, "content", 100)
}

fn expansion(expansion: &Object) -> Result<(), Wrong> {
    only(expansion, &["noticeExpandType", "noticeExpandContent"], "noticeExpandInfo")?;
    one_of(expansion, "noticeExpandType", &[0, 1])?;
    if expansion.get("noticeExpandType").and_then(Value::as_i64) == Some(1) {
        text(expansion, "noticeExpandContent", usize::MAX)?;
    }
    Ok(())
}

fn click(click: &Object) -> Result<(), Wrong> {
    only(click, &["clickType", "url", "parameters", "activity", "customAttribute"], "clickTypeInfo")?;
    one_of(click, "clickType", &[0, 1, 2, 3])?;
    match click.get("clickType").and_then(Value::as_i64) {
        Some(1) => text(click, "activity", usize::MAX)?,
        Some(2) => text(click, "url", usize::MAX)?,
        Some(3) => text(click, "customAttribute", 1_000)?,
        _ => {}
    }
    // An app gets them as texts: other values would be others to it.
    let parameters = part(click, "parameters")?;
    if parameters.is_some_and(|parameters| !parameters.values().all(Value::is_string)) {
        return Err("parameters");
    }
    Ok(())
}

fn time(time: &Object) -> Result<(), Wrong> {
    only(time, &["offLine", "validTime"], "pushTimeInfo")?;
    one_of(time, "offLine", &[0, 1])?;
    let is_kept = time.get("offLine").is_none_or(|kept| kept.as_i64() == Some(1));
    match time.get("validTime").map(Value::as_i64) {
        Some(Some(1..=72)) => Ok(()),
        None if !is_kept => Ok(()),
        _ => Err("validTime"),
    }
}

fn advance(advance: &Object) -> Result<(), Wrong> {
    let known = ["suspend", "clearNoticeBar", "fixDisplay", "fixStartDisplayTime", "fixEndDisplayTime"];
    only(advance, &[known.as_slice(), &["notificationType", "notifyKey"]].concat(), "advanceInfo")?;
    one_of(advance, "suspend", &[0, 1])?;
    one_of(advance, "clearNoticeBar", &[0, 1])?;
    one_of(advance, "fixDisplay", &[0, 1])?;
    if let Some(kinds) = part(advance, "notificationType")? {
        only(kinds, &["vibrate", "lights", "sound"], "notificationType")?;
        kinds.values().all(|value| matches!(value.as_i64(), Some(0 | 1))).then_some(()).ok_or("notificationType")?;
    }
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let is_key = |key: &Value| key.as_str().is_some_and(|key| key.len() <= 8 && key.bytes().all(is_digit));
    if advance.get("notifyKey").is_none_or(is_key) { Ok(()) } else { Err("notifyKey") }
}

fn receipts(extra: &Object) -> Result<(), Wrong> {
    only(extra, &["callback", "callback.param", "callback.type"], "extra")?;
    let short = |name: &str, most: usize| {
        extra.get(name).is_none_or(|value| value.as_str().is_some_and(|value| value.len() <= most))
    };
    let is_right = extra.contains_key("callback") && short("callback", 128) && short("callback.param", 64);
    is_right.then_some(()).ok_or("extra")
}

fn only(object: &Object, known: &[&str], name: Wrong) -> Result<(), Wrong> {
    if object.keys().all(|key| known.contains(&key.as_str())) { Ok(()) } else { Err(name) }
}

fn part(object: &Object, name: Wrong) -> Result<Option<&Object>, Wrong> {
    object.get(name).map(|part| part.as_object().ok_or(name)).transpose()
}

fn one_of(object: &Object, name: Wrong, known: &[i64]) -> Result<(), Wrong> {
    let is_known = |value: &Value| value.as_i64().is_some_and(|value| known.contains(&value));
    if object.get(name).is_none_or(is_known) { Ok(()) } else { Err(name) }
}

/// A text that must be there, of one to so many characters.
fn text(object: &Object, name: Wrong, most: usize) -> Result<(), Wrong> {
    let text = object.get(name).and_then(Value::as_str).ok_or(name)?;
    if (1..=most).contains(&text.chars().count()) { Ok(()) } else { Err(name) }
}
