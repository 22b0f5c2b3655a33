//! Conditions: a boolean expression over terms.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ShardSet, Term};

/// Whom of an app's users a push is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Those of whom the term is true.
    Term(Term),
    /// Those who satisfy every part. With no part, everyone.
    All(Vec<Condition>),
    /// Those who satisfy at least one part. With no part, no one.
    Any(Vec<Condition>),
    /// Those who do not satisfy it.
    Not(Box<Condition>),
}

impl Condition {
    /// The terms it mentions, each once: what has to be read to resolve it.
    pub fn terms(&self) -> BTreeSet<&Term> {
        let mut terms = BTreeSet::new();
        self.collect_terms(&mut terms);
        terms
    }

    fn collect_terms<'a>(&'a self, terms: &mut BTreeSet<&'a Term>) {
        match self {
            Self::Term(term) => {
                terms.insert(term);
            }
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.collect_terms(terms)),
            Self::Not(part) => part.collect_terms(terms),
        }
    }

    /// The members among `everyone` in one shard, where `members` gives those of a single term.
    pub fn resolve<'a>(&self, everyone: &ShardSet, members: &impl Fn(&Term) -> &'a ShardSet) -> ShardSet {
        match self {
            Self::Term(term) => everyone.clone() & members(term),
            Self::All(parts) => parts.iter().fold(everyone.clone(), |set, part| set & &part.resolve(everyone, members)),
            Self::Any(parts) => {
                parts.iter().fold(ShardSet::default(), |set, part| set | &part.resolve(everyone, members))
            }
            Self::Not(part) => everyone.clone() - &part.resolve(everyone, members),
        }
    }

    /// Whether one user satisfies it, told by what is true of the user: the definition that the index must agree with.
    pub fn matches(&self, is_true: &impl Fn(&Term) -> bool) -> bool {
        match self {
            Self::Term(term) => is_true(term),
            Self::All(parts) => parts.iter().all(|part| part.matches(is_true)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(is_true)),
            Self::Not(part) => !part.matches(is_true),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::Tag;
    use super::*;

    fn term(name: u8) -> Term {
        Term::Tag(Tag::try_from(format!("tag {name}")).unwrap())
    }

    fn conditions() -> impl Strategy<Value = Condition> {
        let leaf = (0_u8..4).prop_map(|name| Condition::Term(term(name)));
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Condition::All),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Condition::Any),
                inner.prop_map(|part| Condition::Not(Box::new(part))),
            ]
        })
    }

    proptest! {
        #[test]
        fn resolving_sets_agrees_with_asking_each_user(
            condition in conditions(),
            population in 0_u32..300,
            members in prop::collection::vec(prop::collection::btree_set(0_u16..300, 0..80), 4),
        ) {
            let everyone = ShardSet::below(population);
            let sets: BTreeMap<Term, ShardSet> = members
                .iter()
                .enumerate()
                .map(|(name, lows)| (term(name as u8), lows.iter().copied().collect()))
                .collect();
            let resolved = condition.resolve(&everyone, &|term| &sets[term]);
            let scanned: ShardSet = (0..300_u16)
                .filter(|low| u32::from(*low) < population)
                .filter(|low| condition.matches(&|term| sets[term].contains(*low)))
                .collect();
            prop_assert_eq!(resolved, scanned);
        }
    }
}
