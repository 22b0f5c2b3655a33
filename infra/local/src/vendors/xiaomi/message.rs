//! The form of a request to send, and everything that Xiaomi refuses about one.

use std::ops::RangeInclusive;

use thiserror::Error;

use super::super::{
    form::{self, Form},
    vendor::VendorRequest,
};

const MAX_TOKENS: usize = 1_000;
const MAX_EXTRAS: usize = 10;
const MAX_EXTRA_CHARS: usize = 1_024;
/// Ten days, of private messages. What Xiaomi says to more is not documented; here it is refused.
const TTL_MS: RangeInclusive<i64> = 1..=864_000_000;

/// What is wrong with a message.
#[derive(Debug, Error)]
pub(super) enum Wrong {
    #[error("the body is no form, or has a field twice")]
    Form,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is wrong")]
    Field(String),
    #[error("{0} is too long")]
    TooLong(&'static str),
    #[error("restricted_package_name is not the app's")]
    Package,
    #[error("there are more than 10 extras")]
    Extras,
    #[error("the extras are too long")]
    ExtrasTooLong,
}

impl Wrong {
    /// Xiaomi's number for it.
    pub(super) fn code(&self) -> i64 {
        match self {
            Self::Form => 10012,
            Self::Missing(_) => 10016,
            Self::Field(_) => 10017,
            Self::TooLong(_) => 65009,
            Self::Package => 22022,
            Self::Extras => 65014,
            Self::ExtrasTooLong => 65015,
        }
    }
}

/// Says whether a message is right in every field.
pub(super) fn check(request: &VendorRequest, package: &str) -> Result<(), Wrong> {
    let form = form::read(request).ok_or(Wrong::Form)?;
    receivers(&form, package)?;
    // Everything here is shown: messages that are not need no words.
    words(&form, "title", 50)?;
    words(&form, "description", 128)?;
    if form.get("payload").is_some_and(|payload| payload.len() >= 4_096) {
        return Err(Wrong::TooLong("payload"));
    }
    // Without a channel of its own nothing is shown on today's phones.
    field(&form, "extra.channel_id")?;
    extras(&form)?;
    form.iter().try_for_each(|(name, value)| member(name, value, &form))
}

fn receivers(form: &Form, package: &str) -> Result<(), Wrong> {
    let ids: Vec<&str> = field(form, "registration_id")?.split(',').collect();
    let is_id = |id: &&str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    if ids.len() > MAX_TOKENS || !ids.iter().all(is_id) {
        return Err(Wrong::Field("registration_id".to_owned()));
    }
    if field(form, "restricted_package_name")? != package {
        return Err(Wrong::Package);
    }
    Ok(())
}

/// A field of fewer than so many characters that are not all blank.
fn words(form: &Form, name: &'static str, chars: usize) -> Result<(), Wrong> {
    let words = field(form, name)?;
    if words.chars().all(char::is_whitespace) {
        return Err(Wrong::Field(name.to_owned()));
    }
    if words.chars().count() >= chars { Err(Wrong::TooLong(name)) } else { Ok(()) }
}

fn extras(form: &Form) -> Result<(), Wrong> {
    let extras = || form.iter().filter(|(name, _)| name.starts_with("extra."));
    if extras().count() > MAX_EXTRAS {
        return Err(Wrong::Extras);
    }
    let chars: usize = extras().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    if chars > MAX_EXTRA_CHARS { Err(Wrong::ExtrasTooLong) } else { Ok(()) }
}

/// Whether a field is one that there is, and says what it may.
fn member(name: &str, value: &str, form: &Form) -> Result<(), Wrong> {
    let number = |range: RangeInclusive<i64>| value.parse().is_ok_and(|number: i64| range.contains(&number));
    let is_right = match name {
        "registration_id" | "restricted_package_name" | "title" | "description" | "payload" => true,
        "pass_through" => value == "0",
        // All, or any of sound, vibration and light.
        "notify_type" => number(-1..=7),
        "notify_id" => number(0..=i64::from(i32::MAX)),
        "time_to_live" => number(TTL_MS),
        "extra.channel_id" => !value.is_empty(),
        "extra.notification_large_icon_uri" => value.starts_with("https://") || value.starts_with("http://"),
        "extra.sound_uri" => value.starts_with("android.resource://"),
        "extra.notify_effect" => match value {
            "1" => true,
            "2" => form.contains_key("extra.intent_uri"),
            "3" => form.contains_key("extra.web_uri"),
            _ => false,
        },
        "extra.intent_uri" | "extra.web_uri" => true,
        "extra.notification_style_type" => number(0..=2),
        "extra.jobkey" => is_job_key(value),
        "extra.only_send_once" => matches!(value, "0" | "1"),
        "extra.callback" | "extra.callback.param" | "extra.callback.type" => true,
        // An app may have extras of its own, but a sender of ours has none.
        _ => false,
    };
    if is_right { Ok(()) } else { Err(Wrong::Field(name.to_owned())) }
}

/// Digits, letters, `_` and `-`, up to 20 of them, and no `_` at first.
fn is_job_key(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=20).contains(&key.len()) && key.bytes().all(is_digit) && !key.starts_with('_')
}

fn field<'a>(form: &'a Form, name: &'static str) -> Result<&'a str, Wrong> {
    form.get(name).map(String::as_str).ok_or(Wrong::Missing(name))
}
