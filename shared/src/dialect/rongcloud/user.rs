//! `/push/user.json`: a notification to users who are named.

use super::body::texts;
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
}
