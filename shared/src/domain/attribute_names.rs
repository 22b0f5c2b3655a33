//! What an app calls its attributes.

use std::collections::BTreeMap;

use super::{AttributeSlot, limits};

/// The names of an app's attributes, by slot. No name stands twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttributeNames(BTreeMap<AttributeSlot, String>);

/// Why attributes cannot be named so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A name is empty or longer than the limit.
    #[error("the name of attribute {0} must have 1 to {limit} bytes", limit = limits::ATTRIBUTE_NAME_BYTES)]
    Length(AttributeSlot),
    /// A name stands at another slot already.
    #[error("attrName:{name} already exists at index:{slot}")]
    Taken {
        /// The name.
        name: String,
        /// Where it stands.
        slot: AttributeSlot,
    },
}

impl AttributeNames {
    /// The name of each slot that has one, in order.
    pub fn iter(&self) -> impl Iterator<Item = (AttributeSlot, &str)> {
        self.0.iter().map(|(slot, name)| (*slot, name.as_str()))
    }

    /// The slot of a name.
    pub fn slot_of(&self, name: &str) -> Option<AttributeSlot> {
        self.0.iter().find(|(_, known)| *known == name).map(|(slot, _)| *slot)
    }

    /// The name of a slot.
    pub fn name_of(&self, slot: AttributeSlot) -> Option<&str> {
        self.0.get(&slot).map(String::as_str)
    }

    /// The names after some slots were named (anew); the others stay.
    pub fn named(&self, names: BTreeMap<AttributeSlot, String>) -> Result<Self, NameError> {
        let mut all = self.0.clone();
        all.extend(names);
        let mut seen: BTreeMap<&str, AttributeSlot> = BTreeMap::new();
        for (slot, name) in &all {
            if !(1..=limits::ATTRIBUTE_NAME_BYTES).contains(&name.len()) {
                return Err(NameError::Length(*slot));
            }
            if let Some(first) = seen.insert(name, *slot) {
                return Err(NameError::Taken { name: name.clone(), slot: first });
            }
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u8) -> AttributeSlot {
        AttributeSlot::try_from(number).unwrap()
    }

    fn names(names: &[(u8, &str)]) -> BTreeMap<AttributeSlot, String> {
        names.iter().map(|(number, name)| (slot(*number), (*name).to_owned())).collect()
    }

    #[test]
    fn slots_that_are_not_named_keep_their_names() {
        let first = AttributeNames::default().named(names(&[(0, "sex"), (1, "city")])).unwrap();
        let second = first.named(names(&[(1, "town")])).unwrap();
        assert_eq!(second.iter().collect::<Vec<_>>(), [(slot(0), "sex"), (slot(1), "town")]);
        assert_eq!((second.slot_of("town"), second.slot_of("city")), (Some(slot(1)), None));
    }

    #[test]
    fn a_name_cannot_stand_at_two_slots() {
        let first = AttributeNames::default().named(names(&[(1, "city")])).unwrap();
        let error = first.named(names(&[(3, "city")])).unwrap_err();
        assert_eq!(error.to_string(), "attrName:city already exists at index:1");
    }

    #[test]
    fn a_name_of_fifty_one_bytes_is_too_long() {
        assert!(AttributeNames::default().named(names(&[(0, &"é".repeat(25))])).is_ok());
        let error = AttributeNames::default().named(names(&[(0, &("é".repeat(25) + "x"))])).unwrap_err();
        assert_eq!(error, NameError::Length(slot(0)));
        assert!(AttributeNames::default().named(names(&[(0, "")])).is_err());
    }
}
