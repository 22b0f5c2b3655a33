//! `/user/tag/set.json`, `/user/tag/batch/set.json` and `/user/tags/get.json`: the tags of users.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::body::{self, text, texts};
use super::form::Form;
use super::names::{new_tag, user, users};
use super::{Code, Error, Reply};
use crate::dialect::field::Field;
use crate::domain::{Edit, Tag, UserId, limits};

/// Users whose tags one call may replace.
const SET_USERS: usize = 1_000;
/// Users whose tags one call may ask for.
const GET_USERS: usize = 50;
/// Tags of a user.
const TAGS: usize = 20;
// They come in place of all that a user has, so that no user is too full for them, and no call done in part.
const _: () = assert!(TAGS <= limits::TAGS_PER_USER);

/// A change of tags: each of the users has these, and no others, afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagsRequest {
    /// The users.
    pub users: BTreeSet<UserId>,
    /// The change: always [`Edit::ReplaceTags`], of nothing to clear them.
    pub edit: Edit,
}

impl TagsRequest {
    /// Reads `{"userId":"u1","tags":["a"]}`. Tags that are `[]` or `null` are cleared; tags that are not there are a
    /// mistake, lest one in their name clears them.
    ///
    /// # Errors
    ///
    /// 1003 for no body, 1005 for a user id or a tag that is too long, 1002 for all else.
    pub fn set(bytes: &[u8]) -> Result<Self, Error> {
        let json = body::parse(bytes)?;
        let request = Field::root(&json);
        let missing = || Error::new(Code::Parameter, "userId is missing");
        let user = user("userId", text(&request, "userId")?.ok_or_else(missing)?)?;
        Ok(Self { users: BTreeSet::from([user]), edit: edit(&request)? })
    }

    /// Reads `{"userIds":["u1","u2"],"tags":["a"]}`: the same for 1 to 1,000 users.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn batch_set(bytes: &[u8]) -> Result<Self, Error> {
        let json = body::parse(bytes)?;
        let request = Field::root(&json);
        let named = texts(&request, "userIds", SET_USERS)?;
        if named.is_empty() {
            return Err(Error::new(Code::Parameter, "userIds is missing: it must name at least one user"));
        }
        Ok(Self { users: users(&named)?, edit: edit(&request)? })
    }
}

fn edit(request: &Field<'_>) -> Result<Edit, Error> {
    match request.value.get("tags") {
        None => return Err(Error::new(Code::Parameter, "tags is missing: it must be [] to clear them")),
        Some(Value::Null | Value::Array(_)) => {}
        Some(_) => return Err(Error::new(Code::Parameter, "tags must be an array")),
    }
    let tags = texts(request, "tags", TAGS)?;
    let tags = tags.iter().map(|(field, text)| new_tag(&field.path, text)).collect::<Result<_, Error>>()?;
    Ok(Edit::ReplaceTags(tags))
}

/// Reads `userIds=u1&userIds=u2`: the 1 to 50 users whose tags are asked for, each once, in the order of the request.
///
/// # Errors
///
/// 1003 for no body, 1005 for a user id that is too long, 1002 for all else.
pub fn get(bytes: &[u8]) -> Result<Vec<UserId>, Error> {
    let form = Form::parse(bytes)?;
    let named: Vec<&str> = form.all("userIds").filter(|name| !name.is_empty()).collect();
    if named.is_empty() {
        return Err(Error::new(Code::Parameter, "userIds is missing: it must name at least one user"));
    }
    if named.len() > GET_USERS {
        return Err(Error::new(Code::Parameter, format!("userIds must not name more than {GET_USERS} users")));
    }
    let mut users = Vec::with_capacity(named.len());
    for name in named {
        let user = user("userIds", name)?;
        if !users.contains(&user) {
            users.push(user);
        }
    }
    Ok(users)
}

/// The answer to a question for tags: `{"code":200,"result":{"u1":["a"],"u2":[]}}`.
pub fn found(users: impl IntoIterator<Item = (UserId, Vec<Tag>)>) -> Reply {
    let result: Map<String, Value> = users
        .into_iter()
        .map(|(user, tags)| (user.into(), tags.iter().map(Tag::as_str).collect::<Vec<_>>().into()))
        .collect();
    Reply::ok().with("result", result)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set(request: &Value) -> Result<TagsRequest, Error> {
        TagsRequest::set(request.to_string().as_bytes())
    }

    fn batch_set(request: &Value) -> Result<TagsRequest, Error> {
        TagsRequest::batch_set(request.to_string().as_bytes())
    }

    fn id(name: &str) -> UserId {
        UserId::try_from(name).unwrap()
    }

    fn many(count: usize) -> Value {
        (0..count).map(|n| n.to_string()).collect()
    }

    fn replace(names: &[&str]) -> Edit {
        Edit::ReplaceTags(names.iter().map(|name| Tag::try_from((*name).to_owned()).unwrap()).collect())
    }

    #[test]
    fn tags_are_replaced_or_cleared() {
        for (tags, edit) in
            [(json!(["b", "男"]), replace(&["b", "男"])), (json!([]), replace(&[])), (Value::Null, replace(&[]))]
        {
            let one = TagsRequest { users: [id("u1")].into(), edit: edit.clone() };
            assert_eq!(set(&json!({"userId": "u1", "tags": tags})), Ok(one));
            let both = TagsRequest { users: [id("u1"), id("u2")].into(), edit };
            assert_eq!(batch_set(&json!({"userIds": ["u2", "u1", "u2"], "tags": tags})), Ok(both));
        }
        assert!(batch_set(&json!({"userIds": many(1_000), "tags": many(20)})).is_ok());
    }

    #[test]
    fn what_the_sdk_for_go_sends_for_no_tags_clears_them() {
        let request = TagsRequest::set(include_bytes!("../../../../tests/fixtures/rongcloud/go_tag_set_nil.json"));
        assert_eq!(request, Ok(TagsRequest { users: [id("u1")].into(), edit: replace(&[]) }));
    }

    #[test]
    fn every_faulty_member_has_its_code() {
        for (members, code, info) in [
            (json!({}), 1002, "tags is missing: it must be [] to clear them"),
            (json!({"tag": ["a"]}), 1002, "tags is missing: it must be [] to clear them"),
            (json!({"tags": "a"}), 1002, "tags must be an array"),
            (json!({"tags": ""}), 1002, "tags must be an array"),
            (json!({"tags": [""]}), 1002, "tags[0] is no tag: it is empty"),
            (json!({"tags": [1]}), 1002, "tags[0] must be a string"),
            (json!({"tags": ["a", "x".repeat(41)]}), 1005, "tags[1] must not be longer than 40 bytes"),
            (json!({"tags": many(21)}), 1002, "tags must not have more than 20 elements"),
        ] {
            let (mut one, mut two) = (members.clone(), members);
            (one["userId"], two["userIds"]) = (json!("u"), json!(["u"]));
            for error in [set(&one).unwrap_err(), batch_set(&two).unwrap_err()] {
                assert_eq!((error.code.number(), error.info.as_str()), (code, info));
            }
        }
        for (error, code, info) in [
            (set(&json!({"tags": []})), 1002, "userId is missing"),
            (set(&json!({"userId": 5, "tags": []})), 1002, "userId must be a string"),
            (set(&json!({"userId": "x".repeat(65), "tags": []})), 1005, "userId must not be longer than 64 bytes"),
            (
                batch_set(&json!({"userIds": [], "tags": []})),
                1002,
                "userIds is missing: it must name at least one user",
            ),
            (
                batch_set(&json!({"userIds": many(1_001), "tags": []})),
                1002,
                "userIds must not have more than 1000 elements",
            ),
            (TagsRequest::set(b""), 1003, "there is no body"),
            (TagsRequest::batch_set(b"[]"), 1002, "the body must be a JSON object"),
        ] {
            let error = error.unwrap_err();
            assert_eq!((error.code.number(), error.info.as_str()), (code, info));
        }
    }

    #[test]
    fn tags_are_asked_for_by_a_form_and_answered_in_one_object() {
        assert_eq!(get(b"userIds=u2&userIds=u 1&userIds=u2&userIds="), Ok(vec![id("u2"), id("u 1")]));
        let fifty = vec!["userIds=u"; 50].join("&");
        assert_eq!(get(fifty.as_bytes()), Ok(vec![id("u")]));
        for (form, code) in [
            (String::new(), 1003),
            ("userIds=".to_owned(), 1002),
            ("userId=u".to_owned(), 1002),
            (fifty + "&userIds=u", 1002),
            (format!("userIds={}", "x".repeat(65)), 1005),
        ] {
            assert_eq!(get(form.as_bytes()).unwrap_err().code.number(), code, "{form}");
        }
        let tag = Tag::try_from("t1".to_owned()).unwrap();
        let reply = found([(id("u01"), vec![tag]), (id("u02"), vec![])]);
        assert_eq!(reply.to_json(), json!({"code": 200, "result": {"u01": ["t1"], "u02": []}}));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_change_within_the_limits_or_refused(tags in prop::collection::vec("\\PC{0,30}", 0..25)) {
            match set(&json!({"userId": "u", "tags": tags})) {
                Ok(TagsRequest { edit, .. }) => prop_assert_eq!(edit, replace(&tags.iter().map(String::as_str).collect::<Vec<_>>())),
                Err(error) => {
                    let faulty = tags.len() > 20 || tags.iter().any(|tag| tag.is_empty() || tag.len() > 40);
                    prop_assert!(faulty, "{}", error.info);
                }
            }
        }
    }
}
