//! `tagItems` of Push Plus (`/push/custom.json`): an expression over tags.

use super::audience::terms;
use super::body::{said, text};
use super::{Code, Error};
use crate::dialect::field::Field;
use crate::domain::Condition;

/// Most items of an expression (ours; the contract says nothing): as many as an item has tags.
const ITEMS: usize = 20;

/// How parts are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    And,
    Or,
}

/// Reads `tagItems`, from left to right: each item is joined to all that stands before it. `None` if it says nothing.
///
/// # Errors
///
/// 1002 for what is malformed or too many, and for an item without tags; 1005 for a tag that is too long.
pub(super) fn tag_items(audience: &Field<'_>) -> Result<Option<Condition>, Error> {
    let Some(list) = said(audience, "tagItems") else { return Ok(None) };
    let items = list.items(Code::Parameter)?;
    if items.len() > ITEMS {
        return Err(list.error(Code::Parameter, &format!("must not have more than {ITEMS} elements")));
    }
    let mut joined: Option<Condition> = None;
    for field in &items {
        // Read also where it says nothing: the first item's joins it to nothing.
        let (operator, item) = (operator(field, "itemsOperator")?, item(field)?);
        joined = Some(match joined {
            None => item,
            Some(left) => operator.join(left, item),
        });
    }
    Ok(joined)
}

/// The condition of one item.
fn item(field: &Field<'_>) -> Result<Condition, Error> {
    field.members(Code::Parameter)?;
    let tags = terms(field, "tags")?;
    if tags.is_empty() {
        return Err(field.error(Code::Parameter, "needs tags"));
    }
    let condition = operator(field, "tagsOperator")?.all(tags);
    let negated = field.member("isNot").map_or(Ok(false), |flag| {
        flag.value.as_bool().ok_or_else(|| flag.error(Code::Parameter, "must be true or false"))
    })?;
    Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
}

/// Absent, it is OR (the default of the SDKs for Go and Java).
fn operator(field: &Field<'_>, name: &str) -> Result<Operator, Error> {
    match text(field, name)?.map(str::to_ascii_uppercase).as_deref() {
        None | Some("OR") => Ok(Operator::Or),
        Some("AND") => Ok(Operator::And),
        Some(_) => field
            .member(name)
            .map_or(Ok(Operator::Or), |member| Err(member.error(Code::Parameter, "must be AND or OR"))),
    }
}

impl Operator {
    fn all(self, parts: Vec<Condition>) -> Condition {
        match self {
            Self::And => Condition::All(parts),
            Self::Or => Condition::Any(parts),
        }
    }

    fn join(self, left: Condition, right: Condition) -> Condition {
        self.all(vec![left, right])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{Tag, Term};

    fn read(items: &Value) -> Result<Option<Condition>, Error> {
        let audience = json!({ "tagItems": items });
        tag_items(&Field::root(&audience))
    }

    /// Whether a user with these tags is meant.
    fn is_meant(items: &Value, tags: &[&str]) -> bool {
        let tags: BTreeSet<Term> =
            tags.iter().map(|tag| Term::Tag(Tag::try_from((*tag).to_owned()).unwrap())).collect();
        read(items).unwrap().unwrap().matches(&|term| tags.contains(term))
    }

    #[test]
    fn an_expression_means_what_it_says_from_left_to_right() {
        let item = |tag: &str, operator: &str| json!({"tags": [tag], "itemsOperator": operator});
        let both = json!([{"tags": ["a", "b"], "tagsOperator": "AND"}]);
        let not_both = json!([{"tags": ["a", "b"], "tagsOperator": "and", "isNot": true}]);
        let neither = json!([{"tags": ["a", "b"], "isNot": true, "tagsOperator": "", "itemsOperator": null}]);
        // (a or b) and c, not a or (b and c).
        let left = json!([item("a", "AND"), item("b", "OR"), item("c", "AND")]);
        for (items, tags, meant) in [
            (&both, &["a", "b"][..], true),
            (&both, &["a"], false),
            (&not_both, &["a"], true),
            (&not_both, &["a", "b"], false),
            (&neither, &[], true),
            (&neither, &["b"], false),
            (&left, &["a"], false),
            (&left, &["a", "c"], true),
            (&left, &["b", "c"], true),
            (&left, &["c"], false),
        ] {
            assert_eq!(is_meant(items, tags), meant, "{items} {tags:?}");
        }
    }

    #[test]
    fn what_says_nothing_is_none_and_what_is_faulty_has_its_code() {
        for absent in [Value::Null, json!([])] {
            assert_eq!(read(&absent), Ok(None));
        }
        let many = |count: usize| -> Value { (0..count).map(|n| n.to_string()).collect() };
        let items = |count: usize| -> Value { (0..count).map(|_| json!({"tags": ["a"]})).collect() };
        assert!(read(&items(20)).is_ok() && read(&json!([{"tags": many(20)}])).is_ok());
        for (faulty, code, info) in [
            (json!("a"), 1002, "tagItems must be an array"),
            (json!(["a"]), 1002, "tagItems[0] must be an object"),
            (json!([{}]), 1002, "tagItems[0] needs tags"),
            (json!([{"tags": []}]), 1002, "tagItems[0] needs tags"),
            (json!([{"tags": [5]}]), 1002, "tagItems[0].tags[0] must be a string"),
            (json!([{"tags": many(21)}]), 1002, "tagItems[0].tags must not have more than 20 elements"),
            (json!([{"tags": ["x".repeat(51)]}]), 1005, "tagItems[0].tags[0] must not be longer than 50 bytes"),
            (json!([{"tags": ["a"], "isNot": 1}]), 1002, "tagItems[0].isNot must be true or false"),
            (json!([{"tags": ["a"], "tagsOperator": "XOR"}]), 1002, "tagItems[0].tagsOperator must be AND or OR"),
            (json!([{"tags": ["a"], "itemsOperator": 1}]), 1002, "tagItems[0].itemsOperator must be a string"),
            (items(21), 1002, "tagItems must not have more than 20 elements"),
        ] {
            let error = read(&faulty).unwrap_err();
            assert_eq!((error.code.number(), error.info.as_str()), (code, info), "{faulty}");
        }
    }

    proptest! {
        #[test]
        fn a_condition_agrees_with_walking_the_items(
            items in prop::collection::vec((prop::collection::vec(0_u8..4, 1..4), any::<bool>(), any::<bool>(), any::<bool>()), 1..20),
            carried in prop::collection::btree_set(0_u8..4, 0..4),
        ) {
            let word = |and: bool| if and { "AND" } else { "OR" };
            let mut meant = None;
            for (tags, not, and_tags, and_items) in &items {
                let mut own = tags.iter().map(|tag| carried.contains(tag));
                let own = not ^ if *and_tags { own.all(|has| has) } else { own.any(|has| has) };
                meant = Some(meant.map_or(own, |left: bool| if *and_items { left && own } else { left || own }));
            }
            let items: Value = items.iter().map(|(tags, not, and_tags, and_items)| json!({
                "tags": tags.iter().map(u8::to_string).collect::<Vec<_>>(), "isNot": not,
                "tagsOperator": word(*and_tags), "itemsOperator": word(*and_items),
            })).collect();
            let carried: Vec<String> = carried.iter().map(u8::to_string).collect();
            let carried: Vec<&str> = carried.iter().map(String::as_str).collect();
            prop_assert_eq!(Some(is_meant(&items, &carried)), meant);
            let condition = read(&items).unwrap().unwrap();
            let stored = serde_json::to_string(&condition).unwrap();
            prop_assert_eq!(serde_json::from_str::<Condition>(&stored).unwrap(), condition);
        }
    }
}
