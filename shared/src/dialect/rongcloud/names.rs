//! What a caller can name: users and tags.

use std::collections::BTreeSet;

use super::{Code, Error};
use crate::dialect::field::Field;
use crate::domain::{Tag, UserId, limits};

/// Longest user id, in bytes ("Register user": `userId`).
const USER_BYTES: usize = 64;
/// Longest tag that is set, in bytes ("Set user tags").
const TAG_BYTES: usize = 40;

/// A user, named at `place` in the request: 1 to 64 bytes of UTF-8 without control characters.
pub(super) fn user(place: &str, text: &str) -> Result<UserId, Error> {
    not_longer(place, text, USER_BYTES)?;
    UserId::try_from(text).map_err(|invalid| Error::new(Code::Parameter, format!("{place} is none: {invalid}")))
}

/// The users of a list, each once.
pub(super) fn users(list: &[(Field<'_>, &str)]) -> Result<BTreeSet<UserId>, Error> {
    list.iter().map(|(field, text)| user(&field.path, text)).collect()
}

/// A tag that users are to have: 1 to 40 bytes of UTF-8, without control characters. The page forbids "special
/// characters" and lists none.
pub(super) fn new_tag(place: &str, text: &str) -> Result<Tag, Error> {
    not_longer(place, text, TAG_BYTES)?;
    if text.chars().any(char::is_control) {
        return Err(Error::new(Code::Parameter, format!("{place} is no tag: it must not have control characters")));
    }
    tag(place, text)
}

/// A tag that users may have, who may have it by another contract, where tags are longer.
pub(super) fn tag(place: &str, text: &str) -> Result<Tag, Error> {
    not_longer(place, text, limits::TAG_BYTES)?;
    let tag = Tag::try_from(text.to_owned());
    tag.map_err(|invalid| Error::new(Code::Parameter, format!("{place} is no tag: {invalid}")))
}

/// Checks that a text has at most so many bytes.
pub(super) fn not_longer(place: &str, text: &str, bytes: usize) -> Result<(), Error> {
    if text.len() > bytes {
        return Err(Error::new(Code::TooLong, format!("{place} must not be longer than {bytes} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_lengths_and_their_codes() {
        assert_eq!(user("u", &"é".repeat(32)).unwrap().as_str(), "é".repeat(32));
        assert_eq!(new_tag("t", "男").unwrap().as_str(), "男");
        assert_eq!(tag("t", &"x".repeat(50)).unwrap().as_str(), "x".repeat(50));
        for (error, code, info) in [
            (user("u", &"x".repeat(65)).unwrap_err(), 1005, "u must not be longer than 64 bytes"),
            (user("u", "").unwrap_err(), 1002, "u is none: a user id must be 1 to 64 bytes without control characters"),
            (
                user("u", "\n").unwrap_err(),
                1002,
                "u is none: a user id must be 1 to 64 bytes without control characters",
            ),
            (new_tag("t", &"x".repeat(41)).unwrap_err(), 1005, "t must not be longer than 40 bytes"),
            (new_tag("t", "a\nb").unwrap_err(), 1002, "t is no tag: it must not have control characters"),
            (tag("t", &"x".repeat(51)).unwrap_err(), 1005, "t must not be longer than 50 bytes"),
            (tag("t", "").unwrap_err(), 1002, "t is no tag: it is empty"),
        ] {
            assert_eq!((error.code.number(), error.info.as_str()), (code, info));
        }
    }
}
