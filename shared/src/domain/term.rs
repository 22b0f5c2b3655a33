//! Terms: what the index is keyed by.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits;

/// A text that cannot be a tag or an attribute's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerm {
    /// It says nothing.
    #[error("it is empty")]
    Empty,
    /// It is longer than the limit, given in bytes.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
}

fn checked(text: String, limit: usize) -> Result<String, InvalidTerm> {
    match text.len() {
        0 => Err(InvalidTerm::Empty),
        length if length > limit => Err(InvalidTerm::TooLong(limit)),
        _ => Ok(text),
    }
}

/// A label on a user: 1 to 50 bytes of UTF-8, compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tag {
    type Error = InvalidTerm;

    fn try_from(text: String) -> Result<Self, InvalidTerm> {
        checked(text, limits::TAG_BYTES).map(Self)
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> String {
        tag.0
    }
}

/// The number of one of an app's attributes, 0 to 9. Its name can change; what users have in it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct AttributeSlot(u8);

impl AttributeSlot {
    /// Every slot, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..limits::ATTRIBUTE_SLOTS).map(Self)
    }
}

impl TryFrom<u8> for AttributeSlot {
    type Error = InvalidTerm;

    fn try_from(number: u8) -> Result<Self, InvalidTerm> {
        if number < limits::ATTRIBUTE_SLOTS { Ok(Self(number)) } else { Err(InvalidTerm::TooLong(1)) }
    }
}

impl From<AttributeSlot> for u8 {
    fn from(slot: AttributeSlot) -> u8 {
        slot.0
    }
}

impl fmt::Display for AttributeSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a user has in an attribute: 1 to 50 bytes of UTF-8, compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttributeValue(String);

impl AttributeValue {
    /// The value as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AttributeValue {
    type Error = InvalidTerm;

    fn try_from(text: String) -> Result<Self, InvalidTerm> {
        checked(text, limits::ATTRIBUTE_VALUE_BYTES).map(Self)
    }
}

impl From<AttributeValue> for String {
    fn from(value: AttributeValue) -> String {
        value.0
    }
}

/// A tag, or an attribute with its value. `Display` is the form that index keys hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Term {
    /// The users who carry a tag.
    Tag(Tag),
    /// The users who have a value in an attribute.
    Attribute(AttributeSlot, AttributeValue),
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "t:{}", tag.0),
            Self::Attribute(slot, value) => write!(f, "a{slot}:{}", value.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_of_fifty_bytes_passes_and_one_of_fifty_one_does_not() {
        assert!(Tag::try_from("é".repeat(25)).is_ok());
        assert_eq!(Tag::try_from("é".repeat(25) + "x"), Err(InvalidTerm::TooLong(50)));
        assert_eq!(Tag::try_from(String::new()), Err(InvalidTerm::Empty));
    }

    #[test]
    fn different_terms_have_different_keys() {
        let tag = Term::Tag(Tag::try_from("a0:x".to_owned()).unwrap());
        let slot = AttributeSlot::try_from(0).unwrap();
        let attribute = Term::Attribute(slot, AttributeValue::try_from("x".to_owned()).unwrap());
        assert_ne!(tag.to_string(), attribute.to_string());
    }

    #[test]
    fn there_are_ten_attribute_slots() {
        assert_eq!(AttributeSlot::all().count(), 10);
        assert!(AttributeSlot::try_from(10).is_err());
    }
}
