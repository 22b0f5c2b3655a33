//! The fields that a request to send may have, and their types.
//!
//! The API refuses a field that it does not know. It takes a name in `snake_case` as well as in
//! `camelCase`, and `null` for a field that is not set.

use serde_json::{Map, Value};

use super::errors::Violation;

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Flag,
    Integer,
    Number,
    /// Seconds as `"3.5s"`.
    Duration,
    /// One of these words, in either case.
    OneOf(&'static [&'static str]),
    List(&'static Kind),
    /// Any names, with texts as their values.
    Texts,
    /// Any JSON object.
    Object,
    Fields(&'static [(&'static str, Kind)]),
}

pub(super) const REQUEST: Kind = Kind::Fields(&[("message", MESSAGE), ("validate_only", Kind::Flag)]);

const MESSAGE: Kind = Kind::Fields(&[
    ("name", Kind::Text),
    ("token", Kind::Text),
    ("topic", Kind::Text),
    ("condition", Kind::Text),
    ("data", Kind::Texts),
    ("notification", Kind::Fields(&[("title", Kind::Text), ("body", Kind::Text), ("image", Kind::Text)])),
    ("android", ANDROID),
    ("webpush", WEBPUSH),
    ("apns", APNS),
    ("fcm_options", Kind::Fields(&[("analytics_label", Kind::Text)])),
]);

const ANDROID: Kind = Kind::Fields(&[
    ("collapse_key", Kind::Text),
    ("priority", Kind::OneOf(&["NORMAL", "HIGH"])),
    ("ttl", Kind::Duration),
    ("restricted_package_name", Kind::Text),
    ("data", Kind::Texts),
    ("notification", ANDROID_NOTIFICATION),
    ("fcm_options", Kind::Fields(&[("analytics_label", Kind::Text)])),
    ("direct_boot_ok", Kind::Flag),
    ("bandwidth_constrained_ok", Kind::Flag),
    ("restricted_satellite_ok", Kind::Flag),
]);

const ANDROID_NOTIFICATION: Kind = Kind::Fields(&[
    ("title", Kind::Text),
    ("body", Kind::Text),
    ("icon", Kind::Text),
    ("color", Kind::Text),
    ("sound", Kind::Text),
    ("tag", Kind::Text),
    ("click_action", Kind::Text),
    ("body_loc_key", Kind::Text),
    ("body_loc_args", Kind::List(&Kind::Text)),
    ("title_loc_key", Kind::Text),
    ("title_loc_args", Kind::List(&Kind::Text)),
    ("channel_id", Kind::Text),
    ("ticker", Kind::Text),
    ("sticky", Kind::Flag),
    ("event_time", Kind::Text),
    ("local_only", Kind::Flag),
    (
        "notification_priority",
        Kind::OneOf(&[
            "PRIORITY_UNSPECIFIED",
            "PRIORITY_MIN",
            "PRIORITY_LOW",
            "PRIORITY_DEFAULT",
            "PRIORITY_HIGH",
            "PRIORITY_MAX",
        ]),
    ),
    ("default_sound", Kind::Flag),
    ("default_vibrate_timings", Kind::Flag),
    ("default_light_settings", Kind::Flag),
    ("vibrate_timings", Kind::List(&Kind::Duration)),
    ("visibility", Kind::OneOf(&["VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"])),
    ("notification_count", Kind::Integer),
    (
        "light_settings",
        Kind::Fields(&[
            (
                "color",
                Kind::Fields(&[
                    ("red", Kind::Number),
                    ("green", Kind::Number),
                    ("blue", Kind::Number),
                    ("alpha", Kind::Number),
                ]),
            ),
            ("light_on_duration", Kind::Duration),
            ("light_off_duration", Kind::Duration),
        ]),
    ),
    ("image", Kind::Text),
    ("proxy", Kind::OneOf(&["PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"])),
    ("bypass_proxy_notification", Kind::Flag),
]);

const WEBPUSH: Kind = Kind::Fields(&[
    ("headers", Kind::Texts),
    ("data", Kind::Texts),
    ("notification", Kind::Object),
    ("fcm_options", Kind::Fields(&[("link", Kind::Text), ("analytics_label", Kind::Text)])),
]);

const APNS: Kind = Kind::Fields(&[
    ("headers", Kind::Texts),
    ("payload", Kind::Object),
    ("fcm_options", Kind::Fields(&[("analytics_label", Kind::Text), ("image", Kind::Text)])),
    ("live_activity_token", Kind::Text),
]);

/// Adds what is wrong with the value's fields and types to `violations`.
pub(super) fn check(value: &Value, kind: Kind, path: &str, violations: &mut Vec<Violation>) {
    let wanted = match kind {
        Kind::Text => (!value.is_string()).then_some("a string"),
        Kind::Flag => (!value.is_boolean()).then_some("a boolean"),
        Kind::Integer => (!is_integer(value)).then_some("an integer"),
        Kind::Number => (!value.is_number()).then_some("a number"),
        Kind::Duration => seconds(value).is_none().then_some("a duration in seconds that ends in \"s\""),
        Kind::OneOf(words) => (!is_one_of(value, words)).then_some("one of its enum's names"),
        Kind::Object => (!value.is_object()).then_some("an object"),
        Kind::List(kind) => match value.as_array() {
            Some(items) => {
                for (index, item) in items.iter().enumerate() {
                    check(item, *kind, &format!("{path}[{index}]"), violations);
                }
                None
            }
            None => Some("an array"),
        },
        Kind::Texts => match value.as_object() {
            Some(map) => {
                for (name, text) in map {
                    check(text, Kind::Text, &join(path, name), violations);
                }
                None
            }
            None => Some("an object whose values are strings"),
        },
        Kind::Fields(fields) => match value.as_object() {
            Some(map) => {
                check_fields(map, fields, path, violations);
                None
            }
            None => Some("an object"),
        },
    };
    if let Some(wanted) = wanted {
        violations.push(Violation {
            field: path.to_owned(),
            description: format!("Invalid value at '{path}': must be {wanted}"),
        });
    }
}

/// The field, under either of its names.
pub(super) fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let (_, value) = map.as_object()?.iter().find(|(given, _)| snake_case(given) == name)?;
    (!value.is_null()).then_some(value)
}

/// The whole seconds of a duration, of which there may be parts down to nanoseconds.
pub(super) fn seconds(value: &Value) -> Option<i64> {
    let number = value.as_str()?.strip_suffix('s')?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole.strip_prefix('-').unwrap_or(whole)) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    // Anything over a limit is over it by at least the next whole second.
    let has_parts = fraction.bytes().any(|digit| digit != b'0');
    Some(seconds + i64::from(has_parts && seconds >= 0))
}

fn check_fields(map: &Map<String, Value>, fields: &[(&str, Kind)], path: &str, violations: &mut Vec<Violation>) {
    for (name, value) in map {
        let field = snake_case(name);
        match fields.iter().find(|(known, _)| *known == field) {
            Some(_) if value.is_null() => {}
            Some((known, kind)) => check(value, *kind, &join(path, known), violations),
            None => violations.push(Violation {
                field: path.to_owned(),
                description: format!("Unknown name \"{name}\" at '{path}': there is no such field"),
            }),
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn is_integer(value: &Value) -> bool {
    match value {
        Value::String(text) => text.parse::<i32>().is_ok(),
        _ => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
    }
}

fn is_one_of(value: &Value, words: &[&str]) -> bool {
    let given = value.as_str();
    given.is_some_and(|given| words.iter().any(|word| word.eq_ignore_ascii_case(given)))
}
