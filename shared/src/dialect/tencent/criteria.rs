//! `Condition`: the users that a push is for.

use std::collections::{BTreeMap, BTreeSet};

use super::body::Field;
use super::{Code, Error, terms};
use crate::domain::{AttributeNames, AttributeSlot, AttributeValue, Audience, Condition, Tag, Term, limits};

/// What a push asks of its receivers: at least one of `any` (unless there is none), every one of `all`, and not every one
/// of `not` (unless there is none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Criteria {
    /// By tags.
    Tags {
        /// `TagsOr`.
        any: Vec<Tag>,
        /// `TagsAnd`.
        all: Vec<Tag>,
        /// `TagsNot`: who has all of these is not meant; who has some of them is.
        not: Vec<Tag>,
    },
    /// By attributes, which have the app's names here.
    Attributes {
        /// `AttrsOr`.
        any: BTreeMap<String, AttributeValue>,
        /// `AttrsAnd`.
        all: BTreeMap<String, AttributeValue>,
    },
}

const TAGS_NOT: &str = "TagsNot";
/// The members of a `Condition` that `im_push` knows.
const OLDER: &[&str] = &["TagsOr", "TagsAnd", "AttrsOr", "AttrsAnd"];
/// And those that `push` knows.
const NEWER: &[&str] = &["TagsOr", "TagsAnd", TAGS_NOT, "AttrsOr", "AttrsAnd"];

impl Criteria {
    /// Reads a `Condition` of `im_push`. Its four lists may be absent, `null` or empty, which is the same.
    ///
    /// Where the contract is silent, the caller's probable intent decides, because a push cannot be taken back:
    /// a `Condition` that asks nothing is refused (90040) and does not mean everyone, and so is one with a member
    /// that this call does not know (90001), such as the `TagsNot` of the newer one: without it, more users would match.
    pub(super) fn read(condition: &Field<'_>) -> Result<Self, Error> {
        Self::read_members(condition, OLDER)
    }

    /// Reads a `Condition` of `push`, which knows `TagsNot` as well.
    pub(super) fn read_newer(condition: &Field<'_>) -> Result<Self, Error> {
        Self::read_members(condition, NEWER)
    }

    fn read_members(condition: &Field<'_>, known: &[&str]) -> Result<Self, Error> {
        for (name, member) in condition.members(Code::Json)? {
            if !known.contains(&name) && !member.value.is_null() {
                return Err(member.error(Code::Json, "is not known to this call"));
            }
        }
        let tags = (tags(condition, "TagsOr")?, tags(condition, "TagsAnd")?, tags(condition, TAGS_NOT)?);
        let attributes = (attributes(condition, "AttrsOr")?, attributes(condition, "AttrsAnd")?);
        let asks_tags = !(tags.0.is_empty() && tags.1.is_empty() && tags.2.is_empty());
        let asks_attributes = !(attributes.0.is_empty() && attributes.1.is_empty());
        match (asks_tags, asks_attributes) {
            (true, true) => Err(condition.error(Code::TagsAndAttributes, "must not have both tags and attributes")),
            (true, false) => Ok(Self::Tags { any: tags.0, all: tags.1, not: tags.2 }),
            (false, true) => Ok(Self::Attributes { any: attributes.0, all: attributes.1 }),
            (false, false) => {
                Err(condition.error(Code::TagEmpty, "names no tag and no attribute: leave it out to push to everyone"))
            }
        }
    }

    /// The audience, once the app's attribute names are known.
    pub fn audience(&self, names: &AttributeNames) -> Result<Audience, Error> {
        let (any, all, not) = match self {
            Self::Tags { any, all, not } => (tag_terms(any), tag_terms(all), tag_terms(not)),
            Self::Attributes { any, all } => {
                (attribute_terms(any, names, "AttrsOr")?, attribute_terms(all, names, "AttrsAnd")?, Vec::new())
            }
        };
        let any = (!any.is_empty()).then(|| joined(any, Condition::Any));
        let not = (!not.is_empty()).then(|| Condition::Not(Box::new(joined(not, Condition::All))));
        Ok(Audience::Matching(joined(any.into_iter().chain(all).chain(not).collect(), Condition::All)))
    }
}

/// The slot of an attribute, by its name, which stands at a place in the request.
pub(super) fn slot(names: &AttributeNames, name: &str, path: &str) -> Result<AttributeSlot, Error> {
    let unknown = || Error::new(Code::Attribute, format!("{path} is no attribute of the app: it has no such name"));
    names.slot_of(name).ok_or_else(unknown)
}

fn tags(condition: &Field<'_>, name: &str) -> Result<Vec<Tag>, Error> {
    let Some(list) = condition.member(name) else { return Ok(Vec::new()) };
    let items = list.items(Code::Json)?;
    if items.len() > limits::TAGS_PER_REQUEST {
        let fault = format!("must not have more than {} tags", limits::TAGS_PER_REQUEST);
        return Err(list.error(Code::TooManyTags, &fault));
    }
    let tags: Vec<Tag> = items.iter().map(terms::tag).collect::<Result<_, Error>>()?;
    // A tag that stands in both lists is no repetition: the lists ask different things of it.
    let mut seen = BTreeSet::new();
    match tags.iter().zip(&items).find(|(tag, _)| !seen.insert(*tag)) {
        Some((_, again)) => Err(again.error(Code::TagRepeated, "repeats a tag")),
        None => Ok(tags),
    }
}

fn attributes(condition: &Field<'_>, name: &str) -> Result<BTreeMap<String, AttributeValue>, Error> {
    let Some(list) = condition.member(name) else { return Ok(BTreeMap::new()) };
    let attribute = |(name, value): (&str, Field<'_>)| Ok((name.to_owned(), terms::attribute_value(&value)?));
    list.members(Code::Attribute)?.into_iter().map(attribute).collect()
}

fn tag_terms(tags: &[Tag]) -> Vec<Condition> {
    tags.iter().cloned().map(|tag| Condition::Term(Term::Tag(tag))).collect()
}

fn attribute_terms(
    attributes: &BTreeMap<String, AttributeValue>,
    names: &AttributeNames,
    list: &str,
) -> Result<Vec<Condition>, Error> {
    let term = |(name, value): (&String, &AttributeValue)| {
        let slot = slot(names, name, &format!("Condition.{list}.{name}"))?;
        Ok(Condition::Term(Term::Attribute(slot, value.clone())))
    };
    attributes.iter().map(term).collect()
}

/// The parts under one connective; a lone part needs none.
fn joined(mut parts: Vec<Condition>, connective: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => connective(parts.into_iter().chain(last).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(condition: Value) -> Result<Criteria, Error> {
        Criteria::read(&Field { path: "Condition".to_owned(), value: &condition })
    }

    fn read_newer(condition: Value) -> Result<Criteria, Error> {
        Criteria::read_newer(&Field { path: "Condition".to_owned(), value: &condition })
    }

    fn matching(criteria: Criteria) -> Value {
        let slot = |number| AttributeSlot::try_from(number).unwrap();
        let names = BTreeMap::from([(slot(0), "sex".to_owned()), (slot(4), "city".to_owned())]);
        let names = AttributeNames::default().named(names).unwrap();
        match criteria.audience(&names).unwrap() {
            Audience::Matching(condition) => json!(condition),
            other => panic!("{other:?}"),
        }
    }

    fn tag(name: &str) -> Value {
        json!({"term": {"tag": name}})
    }

    #[test]
    fn both_lists_must_hold() {
        assert_eq!(matching(read(json!({"TagsOr": ["a"]})).unwrap()), tag("a"));
        assert_eq!(matching(read(json!({"TagsAnd": ["a", "b"]})).unwrap()), json!({"all": [tag("a"), tag("b")]}));
        assert_eq!(
            matching(read(json!({"TagsOr": ["a", "b"], "TagsAnd": ["c", "a"]})).unwrap()),
            json!({"all": [{"any": [tag("a"), tag("b")]}, tag("c"), tag("a")]})
        );
        let term = |slot: u8, value: &str| json!({"term": {"attribute": [slot, value]}});
        assert_eq!(
            matching(read(json!({"AttrsOr": {"sex": "f", "city": "x"}, "AttrsAnd": {"city": "y"}})).unwrap()),
            json!({"all": [{"any": [term(4, "x"), term(0, "f")]}, term(4, "y")]})
        );
    }

    #[test]
    fn null_and_empty_lists_are_absent() {
        let go = json!({"TagsOr": null, "TagsAnd": ["a"], "AttrsOr": null, "AttrsAnd": null});
        assert_eq!(matching(read(go).unwrap()), tag("a"));
        assert_eq!(
            matching(read(json!({"TagsOr": ["a"], "TagsAnd": [], "AttrsAnd": {}, "AttrsOr": [], "x": null})).unwrap()),
            tag("a")
        );
    }

    #[test]
    fn those_who_have_all_of_tags_not_are_left_out() {
        let matching = |condition| matching(read_newer(condition).unwrap());
        let not = |part: Value| json!({"not": part});
        assert_eq!(
            matching(json!({"TagsOr": ["a", "b"], "TagsNot": ["c", "d"]})),
            json!({"all": [{"any": [tag("a"), tag("b")]}, not(json!({"all": [tag("c"), tag("d")]}))]})
        );
        assert_eq!(
            matching(json!({"TagsAnd": ["a"], "TagsNot": ["c"], "AttrsOr": {}})),
            json!({"all": [tag("a"), not(tag("c"))]})
        );
        // Alone, it means everyone else.
        assert_eq!(matching(json!({"TagsNot": ["c"]})), not(tag("c")));
    }

    #[test]
    fn tags_not_has_the_limits_of_the_others() {
        let ten: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        let eleven: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        assert!(read_newer(json!({"TagsNot": ten})).is_ok());
        for (condition, code) in [
            (json!({"TagsNot": []}), 90040),
            (json!({"TagsNot": [""]}), 90040),
            (json!({"TagsNot": eleven}), 90032),
            (json!({"TagsNot": ["é".repeat(25) + "x"]}), 90020),
            (json!({"TagsNot": ["a", "a"]}), 90022),
            (json!({"TagsNot": ["a"], "AttrsAnd": {"city": "x"}}), 90039),
            (json!({"TagsNot": "a"}), 90001),
            (json!({"TagsOr": ["a"], "AttrsNot": {"city": "x"}}), 90001),
        ] {
            assert_eq!(read_newer(condition.clone()).unwrap_err().code.number(), code, "{condition}");
        }
    }

    #[test]
    fn every_faulty_condition_has_its_code() {
        let ten: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        let eleven: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let (fits, too_long) = ("é".repeat(25), "é".repeat(25) + "x");
        assert!(read(json!({"TagsOr": ten, "TagsAnd": ten})).is_ok());
        assert!(read(json!({"TagsOr": [fits]})).is_ok());
        assert!(read(json!({"AttrsAnd": {"city": fits}})).is_ok());
        for (condition, code) in [
            (json!({}), 90040),
            (json!([]), 90040),
            (json!({"TagsOr": null, "TagsAnd": [], "AttrsOr": {}}), 90040),
            (json!({"TagsOr": ["a", null]}), 90040),
            (json!({"TagsAnd": [""]}), 90040),
            (json!({"TagsOr": eleven}), 90032),
            (json!({"TagsAnd": eleven}), 90032),
            (json!({"TagsOr": [too_long]}), 90020),
            (json!({"TagsAnd": ["a", "b", "a"]}), 90022),
            (json!({"TagsOr": ["a"], "AttrsAnd": {"city": "x"}}), 90039),
            (json!({"AttrsAnd": {"city": too_long}}), 90033),
            (json!({"AttrsAnd": {"city": ""}}), 90033),
            (json!({"AttrsAnd": {"city": 5}}), 90033),
            // Dropping it would widen the audience.
            (json!({"AttrsAnd": {"sex": "f", "city": null}}), 90033),
            (json!({"AttrsOr": ["city"]}), 90033),
            (json!({"TagsOr": "a"}), 90001),
            (json!({"TagsOr": [5]}), 90001),
            (json!({"TagsOr": ["a"], "TagsNot": ["b"]}), 90001),
            (json!("a"), 90001),
        ] {
            assert_eq!(read(condition.clone()).unwrap_err().code.number(), code, "{condition}");
        }
    }

    #[test]
    fn an_attribute_that_the_app_has_not_named_is_refused() {
        let criteria = read(json!({"AttrsOr": {"city": "x"}})).unwrap();
        let error = criteria.audience(&AttributeNames::default()).unwrap_err();
        assert_eq!(
            (error.code, error.info.as_str()),
            (Code::Attribute, "Condition.AttrsOr.city is no attribute of the app: it has no such name")
        );
    }
}
