//! Users, and how they change.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AttributeSlot, AttributeValue, Ordinal, Tag, Term, UserId, limits};

/// An account of an app: what is true of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name in the app.
    pub id: UserId,
    /// Its place in the index.
    pub ordinal: Ordinal,
    /// Its tags, in the order they were added.
    pub tags: Vec<Tag>,
    /// Its attributes.
    pub attributes: BTreeMap<AttributeSlot, AttributeValue>,
    /// What others see of it.
    pub profile: Profile,
}

/// What others see of a user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Its nickname.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nick: Option<String>,
    /// Where its picture is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face_url: Option<String>,
}

/// A change to one user. Each is idempotent: a second time changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Adds tags; those it has stay where they are.
    AddTags(Vec<Tag>),
    /// Removes tags; those it has not are passed over.
    RemoveTags(Vec<Tag>),
    /// Gives it these tags, in this order, in place of those it has.
    ReplaceTags(Vec<Tag>),
    /// Removes all tags.
    ClearTags,
    /// Sets attributes; the others stay.
    SetAttributes(BTreeMap<AttributeSlot, AttributeValue>),
    /// Removes attributes; those it has not are passed over.
    RemoveAttributes(BTreeSet<AttributeSlot>),
}

/// Why a user was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is no such user.
    #[error("the account does not exist")]
    UnknownUser,
    /// It would carry more tags than a user may.
    #[error("the account would have more than {} tags", limits::TAGS_PER_USER)]
    TooManyTags,
}

impl User {
    /// A user of whom nothing is known yet.
    pub fn new(id: UserId, ordinal: Ordinal, profile: Profile) -> Self {
        Self { id, ordinal, tags: Vec::new(), attributes: BTreeMap::new(), profile }
    }

    /// Every term that is true of the user: where the index must list it, and nowhere else.
    pub fn terms(&self) -> BTreeSet<Term> {
        let tags = self.tags.iter().cloned().map(Term::Tag);
        let attributes = self.attributes.iter().map(|(slot, value)| Term::Attribute(*slot, value.clone()));
        tags.chain(attributes).collect()
    }

    /// The user after changes, one after the other. Whether it carries too many tags is judged at the end: halfway there,
    /// where a long change is made in steps, the same changes must lead to the same user.
    pub fn edited(&self, edits: &[&Edit]) -> Result<Self, EditError> {
        let mut user = self.clone();
        edits.iter().for_each(|edit| user.edit(edit));
        if user.tags.len() > limits::TAGS_PER_USER { Err(EditError::TooManyTags) } else { Ok(user) }
    }

    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::AddTags(tags) => self.add(tags),
            Edit::RemoveTags(tags) => self.tags.retain(|tag| !tags.contains(tag)),
            Edit::ReplaceTags(tags) => {
                self.tags.clear();
                self.add(tags);
            }
            Edit::ClearTags => self.tags.clear(),
            Edit::SetAttributes(attributes) => self.attributes.extend(attributes.clone()),
            Edit::RemoveAttributes(slots) => self.attributes.retain(|slot, _| !slots.contains(slot)),
        }
    }

    fn add(&mut self, tags: &[Tag]) {
        for tag in tags {
            if !self.tags.contains(tag) {
                self.tags.push(tag.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str) -> Tag {
        Tag::try_from(name.to_owned()).unwrap()
    }

    fn someone() -> User {
        User::new(UserId::try_from("u").unwrap(), Ordinal(0), Profile::default())
    }

    #[test]
    fn adding_a_tag_twice_keeps_one() {
        let edit = Edit::AddTags(vec![tag("a"), tag("b"), tag("a")]);
        let once = someone().edited(&[&edit]).unwrap();
        assert_eq!(once.tags, [tag("a"), tag("b")]);
        assert_eq!(once.edited(&[&edit]).unwrap(), once);
    }

    #[test]
    fn the_hundred_and_first_tag_is_refused() {
        let tags = |count: usize| (0..count).map(|n| tag(&n.to_string())).collect();
        let full = someone().edited(&[&Edit::AddTags(tags(100))]).unwrap();
        assert_eq!(full.edited(&[&Edit::AddTags(vec![tag("5")])]), Ok(full.clone()));
        let one_more = Edit::AddTags(vec![tag("100")]);
        assert_eq!(full.edited(&[&one_more]), Err(EditError::TooManyTags));
        assert_eq!(full.edited(&[&Edit::ReplaceTags(tags(100))]), Ok(full.clone()));
        assert_eq!(full.edited(&[&Edit::ReplaceTags(tags(101))]), Err(EditError::TooManyTags));
        // Judged by what the changes come to.
        assert_eq!(full.edited(&[&one_more, &Edit::RemoveTags(vec![tag("0")])]).unwrap().tags.len(), 100);
        assert_eq!(full.edited(&[&one_more, &Edit::ReplaceTags(tags(2))]).unwrap().tags, [tag("0"), tag("1")]);
    }

    #[test]
    fn replacing_tags_leaves_those_of_the_change_in_its_order_and_the_attributes() {
        let slot = AttributeSlot::try_from(0).unwrap();
        let mut user = someone();
        user.tags = vec![tag("a"), tag("b")];
        user.attributes.insert(slot, AttributeValue::try_from("x".to_owned()).unwrap());
        let replaced = user.edited(&[&Edit::ReplaceTags(vec![tag("c"), tag("b"), tag("c")])]).unwrap();
        assert_eq!(replaced.tags, [tag("c"), tag("b")]);
        assert_eq!(replaced.attributes, user.attributes);
    }

    #[test]
    fn setting_an_attribute_leaves_the_others() {
        let slot = |number| AttributeSlot::try_from(number).unwrap();
        let value = |text: &str| AttributeValue::try_from(text.to_owned()).unwrap();
        let set = |number, text| Edit::SetAttributes(BTreeMap::from([(slot(number), value(text))]));
        let user = someone().edited(&[&set(0, "x"), &set(1, "y"), &set(0, "z")]).unwrap();
        assert_eq!(user.attributes, BTreeMap::from([(slot(0), value("z")), (slot(1), value("y"))]));
        let user = user.edited(&[&Edit::RemoveAttributes(BTreeSet::from([slot(0), slot(9)]))]).unwrap();
        assert_eq!(user.terms(), BTreeSet::from([Term::Attribute(slot(1), value("y"))]));
    }
}
