//! `/push/user.json`: a notification to users who are named.

use std::collections::BTreeSet;

use serde_json::Value;

use super::body::{self, texts};
use super::names::users;
use super::{Code, Error, Receivers};
use crate::dialect::field::Field;

/// Users that a call may name.
const USERS: usize = 100;

/// What the text for all platforms is called here.
pub(super) const TEXT: &str = "pushContent";

/// Reads `userIds`: 1 to 100 users, each meant once.
///
/// # Errors
///
/// 1002 for none, for too many and for what is no user id; 1005 for one that is too long.
pub(super) fn receivers(request: &Field<'_>) -> Result<Receivers, Error> {
    let named = texts(request, "userIds", USERS)?;
    if named.is_empty() {
        return Err(Error::new(Code::Parameter, "userIds is missing: it must name at least one user"));
    }
    Ok(Receivers::named(users(&named)?))
}

/// How many users a body names, for what it counts before it is looked at more closely: each once, and at most as many as
/// a call may name. One at least, whatever it is.
pub(super) fn named(body: &[u8]) -> u32 {
    let request = body::parse(body).ok();
    let listed = request.as_ref().and_then(|request| request.get("userIds")?.as_array());
    let users: BTreeSet<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
    u32::try_from(users.len().clamp(1, USERS)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{PushRequest, Users};
    use super::*;
    use crate::domain::{DeviceFilter, UserId};

    fn parse(users: &Value) -> Result<PushRequest, Error> {
        PushRequest::user(json!({"userIds": users, "notification": {"pushContent": "c"}}).to_string().as_bytes())
    }

    #[test]
    fn users_are_named_once_each_on_all_their_devices() {
        let push = parse(&json!(["b", "a", "b"])).unwrap();
        let users = ["a", "b"].map(|name| UserId::try_from(name).unwrap()).into();
        assert_eq!(push.receivers, Receivers { users: Users::Named(users), devices: DeviceFilter::default() });
        assert_eq!(push.notification.unwrap().text, "c");
    }

    #[test]
    fn every_faulty_list_has_its_code() {
        let many = |count: usize| -> Value { (0..count).map(|n| n.to_string()).collect() };
        assert!(parse(&many(100)).is_ok());
        for (users, code, info) in [
            (Value::Null, 1002, "userIds is missing: it must name at least one user"),
            (json!([]), 1002, "userIds is missing: it must name at least one user"),
            (json!("a"), 1002, "userIds must be an array"),
            (json!([1]), 1002, "userIds[0] must be a string"),
            (json!(["a", "x".repeat(65)]), 1005, "userIds[1] must not be longer than 64 bytes"),
            (many(101), 1002, "userIds must not have more than 100 elements"),
        ] {
            let error = parse(&users).unwrap_err();
            assert_eq!((error.code.number(), error.info.as_str()), (code, info), "{users}");
        }
        // The text is not called `alert` here.
        let alert = br#"{"userIds": ["a"], "notification": {"alert": "c"}}"#;
        assert!(PushRequest::user(alert).unwrap_err().info.contains("pushContent"));
    }

    #[test]
    fn recipients_are_counted_however_faulty_the_rest_is() {
        let many = |count: usize| json!({"userIds": (0..count).map(|n| n.to_string()).collect::<Vec<_>>()}).to_string();
        for (body, expected) in [
            (many(1), 1),
            (many(100), 100),
            (many(5_000), 100),
            (json!({"userIds": ["a", "b", "a", 7, null]}).to_string(), 2),
            (many(0), 1),
            (json!({"userIds": "a"}).to_string(), 1),
            ("{".to_owned(), 1),
            (String::new(), 1),
        ] {
            assert_eq!(named(body.as_bytes()), expected, "{}", &body[..body.len().min(40)]);
        }
    }
}
