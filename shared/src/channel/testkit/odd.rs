//! Answers that no vendor gives: near the real ones, with anything in every place.

use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::target;
use crate::channel::Target;
use crate::domain::Outcome;

/// Tokens that an answer may name; the last is no target's.
const TOKENS: [&str; 4] = ["token-zero", "token-one", "token-two", "token-elsewhere"];

/// The targets of the request that is answered.
pub(crate) fn odd_targets() -> Vec<Target> {
    TOKENS[..3].iter().map(|token| target(token)).collect()
}

/// Any status, with a body like one of the real ones, some places of which hold something else; or one that is none.
///
/// In the real ones, `TOKEN` stands for some token.
pub(crate) fn any_answer(real: Vec<Value>) -> impl Strategy<Value = (StatusCode, Vec<u8>)> {
    let status = prop_oneof![
        4 => Just(200_u16),
        1 => prop::sample::select(vec![100, 201, 204, 301, 302, 307, 400, 401, 403, 404, 408, 410, 413, 429, 500, 502, 503]),
        1 => 100_u16..1_000,
    ];
    let body = (prop::sample::select(real), prop::collection::vec((any::<prop::sample::Index>(), any_value()), 0..4))
        .prop_map(|(mut body, changes)| {
            for (place, value) in changes {
                let places = count(&body);
                replace(&mut body, place.index(places), value);
            }
            body
        });
    let body = (body, any::<prop::sample::Selector>()).prop_map(|(mut body, tokens)| {
        name(&mut body, &tokens, &mut 0);
        body.to_string().into_bytes()
    });
    let body = body.boxed();
    let body = prop_oneof![
        8 => body.clone(),
        1 => (body, any::<prop::sample::Index>()).prop_map(|(mut body, end)| {
            body.truncate(end.index(body.len()));
            body
        }),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (1_usize..60_000, "\\[|\\{\"code\":|\\{\"data\":\\[").prop_map(|(deep, text)| text.repeat(deep).into_bytes()),
    ];
    (status, body).prop_map(|(status, body)| (StatusCode::from_u16(status).unwrap(), body))
}

/// One outcome for each target, and none is called dead for certain whom the answer does not name.
pub(crate) fn assert_sound(body: &[u8], outcomes: &[Outcome]) {
    let (targets, body) = (odd_targets(), String::from_utf8_lossy(body));
    assert_eq!(outcomes.len(), targets.len(), "{body}");
    for (target, outcome) in targets.iter().zip(outcomes) {
        let is_named = body.contains(target.token.expose());
        let is_dead = matches!(outcome, Outcome::InvalidToken { doubtful: false, .. });
        assert!(is_named || !is_dead, "{body}: not named, and dead");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "TOKEN",
            "0",
            "200",
            "80000000",
            "80100000",
            "{}",
            "[]",
            "{\"illegal_tokens\":[\"TOKEN\"]}"
        ])
        .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        (0_usize..5_000).prop_map(|length| "x".repeat(length).into()),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let members = vec!["code", "TOKEN", "status", "userid", "errorCode", "registrationId", "110002", "reason"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(members), inner), 0..4)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// How many places a value has: itself, and those in it.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// Puts something else in the nth place.
fn replace(value: &mut Value, nth: usize, other: Value) {
    if nth == 0 {
        *value = other;
        return;
    }
    let inner: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => Vec::new(),
    };
    let mut before = 1;
    for value in inner {
        let places = count(value);
        if nth < before + places {
            return replace(value, nth - before, other);
        }
        before += places;
    }
}

/// Puts tokens where they belong.
fn name(value: &mut Value, tokens: &prop::sample::Selector, nth: &mut usize) {
    match value {
        Value::String(text) if text.contains("TOKEN") => {
            *nth += 1;
            let token = tokens.select(TOKENS.iter().cycle().skip(*nth).take(TOKENS.len()));
            *text = text.replace("TOKEN", token);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| name(item, tokens, nth)),
        Value::Object(members) => {
            let all = std::mem::take(members).into_iter();
            let named = all.map(|(key, mut value)| {
                name(&mut value, tokens, nth);
                (if key == "TOKEN" { TOKENS[0].to_owned() } else { key }, value)
            });
            *members = named.collect::<Map<_, _>>();
        }
        _ => {}
    }
}
