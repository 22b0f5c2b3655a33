//! The index equals the users: after any sequence of changes, a naive scan and the index give the same audience.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, mpsc};

use aws_sdk_dynamodb::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsInput;
use fanfare::domain::{
    AppId, AttributeSlot, AttributeValue, Condition, Edit, Profile, Shard, ShardSet, Tag, Term, User, UserId, limits,
};
use fanfare::runtime::Clock;
use fanfare::store::{Admission, Client, DeletionStore, IndexStore, UserStore};
use futures::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::a_stack;

const USERS: u8 = 24;

/// What is done to an app's users, in order.
#[derive(Debug, Clone)]
enum Step {
    Import(Vec<u8>),
    Edit(Vec<(u8, Edit)>),
    EditOrCreate(Vec<(u8, Edit)>),
    Delete(Vec<u8>),
}

/// What changes users.
struct Stores {
    users: UserStore,
    deletions: DeletionStore,
}

impl Stores {
    fn new(client: Client, table: &str) -> Self {
        Self { users: UserStore::new(client.clone(), table), deletions: DeletionStore::new(client, table) }
    }
}

#[test]
fn any_sequence_of_changes_leaves_the_index_equal_to_a_scan() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stack = runtime.block_on(a_stack());
    let (client, tables) = runtime.block_on(stack.store());
    let stores = Stores::new(client.clone(), &tables.audience);
    let users = &stores.users;
    let index = IndexStore::new(client, &tables.audience);
    let cases = (prop::collection::vec(steps(), 1..12), prop::collection::vec(conditions(), 6), any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let app_number = std::cell::Cell::new(0);
    runner
        .run(&cases, |(steps, conditions, side_by_side)| {
            app_number.set(app_number.get() + 1);
            let app = AppId::try_from(format!("app{}", app_number.get())).unwrap();
            runtime.block_on(async {
                if side_by_side {
                    // Everyone exists, so that every edit meets others in the one block they all share.
                    take(&stores, &app, &Step::Import((0..USERS).collect())).await;
                    join_all(steps.iter().map(|step| take(&stores, &app, step))).await;
                } else {
                    let mut model = BTreeMap::new();
                    for step in &steps {
                        take(&stores, &app, step).await;
                        follow(&mut model, step);
                    }
                    let stored = stored(users, &app).await;
                    assert_eq!(stored.len(), model.len());
                    assert!(stored.iter().all(|user| model[&user.id] == user.terms()), "users are as the calls said");
                }
                let stored = stored(users, &app).await;
                for term in terms(&stored) {
                    let scanned: ShardSet = stored
                        .iter()
                        .filter(|user| user.terms().contains(&term))
                        .map(|user| user.ordinal.low())
                        .collect();
                    let indexed = index.members(&app, &term, Shard(0)).await.unwrap();
                    assert_eq!(indexed, scanned, "{term:?}: whoever is deleted is nowhere");
                }
                let everyone = ShardSet::below(users.population(&app).await.unwrap());
                for condition in &conditions {
                    let found = index.resolve(&app, condition, Shard(0), &everyone).await.unwrap();
                    // Ordinals that no user has satisfy a negation; no contact will ever be found there.
                    let existing: ShardSet = stored.iter().map(|user| user.ordinal.low()).collect();
                    let scanned: ShardSet = stored
                        .iter()
                        .filter(|user| condition.matches(&|term| user.terms().contains(term)))
                        .map(|user| user.ordinal.low())
                        .collect();
                    assert_eq!(found & &existing, scanned, "{condition:?}");
                }
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_on_its_way_does_not_bring_back_who_was_deleted_meanwhile() {
    let stack = a_stack().await;
    let (client, tables) = stack.store().await;
    let stores = Stores::new(client.clone(), &tables.audience);
    let app = AppId::try_from("app").unwrap();
    let gold = Tag::try_from("gold".to_owned()).unwrap();
    take(&stores, &app, &Step::Import(vec![0])).await;
    let before = stored(&stores.users, &app).await.remove(0);

    // It has read the account. Before it writes, another with the name is there, and of the same version.
    let (held, is_held) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let config = client.config().to_builder().interceptor(HoldBack(Mutex::new(Some((held, released))))).build();
    let late = Stores::new(Client::from_conf(config), &tables.audience);
    let edit = tokio::spawn({
        let (app, edits) = (app.clone(), vec![(0, Edit::AddTags(vec![gold.clone()]))]);
        async move { take(&late, &app, &Step::Edit(edits)).await }
    });
    tokio::task::block_in_place(|| is_held.recv()).unwrap();
    take(&stores, &app, &Step::Delete(vec![0])).await;
    take(&stores, &app, &Step::Import(vec![0])).await;
    release.send(()).unwrap();
    edit.await.unwrap();

    let after = stored(&stores.users, &app).await.remove(0);
    assert!(after.ordinal > before.ordinal, "{:?} after {:?}", after.ordinal, before.ordinal);
    assert_eq!(after.tags, std::slice::from_ref(&gold), "it was done to who has the name now");
    let members = IndexStore::new(client, &tables.audience).members(&app, &Term::Tag(gold), Shard(0)).await.unwrap();
    assert_eq!(members, ShardSet::from_iter([after.ordinal.low()]));
}

/// Holds the first transaction of a client back, once it has told so, until it is released.
#[derive(Debug)]
struct HoldBack(Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>);

impl Intercept for HoldBack {
    fn name(&self) -> &'static str {
        "hold back"
    }

    fn read_before_execution(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.input().downcast_ref::<TransactWriteItemsInput>().is_some()
            && let Some((held, released)) = self.0.lock().unwrap().take()
        {
            held.send(())?;
            tokio::task::block_in_place(|| released.recv())?;
        }
        Ok(())
    }
}

async fn take(stores: &Stores, app: &AppId, step: &Step) {
    match step {
        Step::Import(numbers) => {
            let imported: Vec<_> = numbers.iter().map(|number| (id(*number), Profile::default())).collect();
            stores.users.import(app, &imported, &Admission::default()).await.unwrap();
        }
        Step::Edit(edits) => {
            let edits: Vec<_> = edits.iter().map(|(number, edit)| (id(*number), edit.clone())).collect();
            stores.users.edit(app, &edits).await.unwrap();
        }
        Step::EditOrCreate(edits) => {
            let edits: Vec<_> = edits.iter().map(|(number, edit)| (id(*number), edit.clone())).collect();
            stores.users.edit_or_create(app, &edits, &Admission::default()).await.unwrap();
        }
        Step::Delete(numbers) => {
            let ids: Vec<_> = numbers.iter().map(|number| id(*number)).collect();
            for remains in stores.deletions.delete(app, &ids, Clock::system().now()).await.unwrap() {
                stores.deletions.complete(app, &remains).await.unwrap();
            }
        }
    }
}

/// What the calls mean, without any index.
fn follow(model: &mut BTreeMap<UserId, BTreeSet<Term>>, step: &Step) {
    match step {
        Step::Import(numbers) => numbers.iter().for_each(|number| {
            model.entry(id(*number)).or_default();
        }),
        Step::Delete(numbers) => numbers.iter().for_each(|number| {
            model.remove(&id(*number));
        }),
        Step::EditOrCreate(edits) => {
            follow(model, &Step::Import(edits.iter().map(|(number, _)| *number).collect()));
            follow(model, &Step::Edit(edits.clone()));
        }
        Step::Edit(edits) => {
            let before = model.clone();
            for (number, edit) in edits {
                if let Some(terms) = model.get_mut(&id(*number)) {
                    apply(terms, edit);
                }
            }
            // Who would have too many tags in the end is left as before.
            for (user, terms) in model {
                if terms.iter().filter(|term| matches!(term, Term::Tag(_))).count() > limits::TAGS_PER_USER {
                    *terms = before[user].clone();
                }
            }
        }
    }
}

fn apply(terms: &mut BTreeSet<Term>, edit: &Edit) {
    match edit {
        Edit::AddTags(tags) => terms.extend(tags.iter().cloned().map(Term::Tag)),
        Edit::RemoveTags(tags) => terms.retain(|term| !tags.iter().any(|tag| *term == Term::Tag(tag.clone()))),
        Edit::ReplaceTags(tags) => {
            terms.retain(|term| matches!(term, Term::Attribute(..)));
            terms.extend(tags.iter().cloned().map(Term::Tag));
        }
        Edit::ClearTags => terms.retain(|term| matches!(term, Term::Attribute(..))),
        Edit::SetAttributes(attributes) => {
            terms.retain(|term| !matches!(term, Term::Attribute(slot, _) if attributes.contains_key(slot)));
            terms.extend(attributes.iter().map(|(slot, value)| Term::Attribute(*slot, value.clone())));
        }
        Edit::RemoveAttributes(slots) => {
            terms.retain(|term| !matches!(term, Term::Attribute(slot, _) if slots.contains(slot)));
        }
    }
}

async fn stored(users: &UserStore, app: &AppId) -> Vec<User> {
    let ids: Vec<UserId> = (0..USERS).map(id).collect();
    users.get(app, &ids).await.unwrap().into_values().collect()
}

/// Every term that the steps can have made true of anyone, but for those of which there are many.
fn terms(stored: &[User]) -> BTreeSet<Term> {
    let tags = (0..5).map(|number| Term::Tag(tag(number)));
    let attributes = (0..3).flat_map(|slot| (0..3).map(move |number| Term::Attribute(self::slot(slot), value(number))));
    tags.chain(attributes).chain(stored.iter().flat_map(User::terms)).collect()
}

fn id(number: u8) -> UserId {
    UserId::try_from(format!("user{number}")).unwrap()
}

fn steps() -> impl Strategy<Value = Step> {
    let users = || prop::collection::vec(0..USERS, 1..12);
    let changes = || prop::collection::vec((0..USERS, edits()), 1..12);
    prop_oneof![
        2 => users().prop_map(Step::Import),
        3 => changes().prop_map(Step::Edit),
        1 => changes().prop_map(Step::EditOrCreate),
        1 => users().prop_map(Step::Delete),
    ]
}

fn edits() -> impl Strategy<Value = Edit> {
    let tags = || prop::collection::vec(tags(), 0..4);
    let attributes = prop::collection::btree_map(slots(), values(), 0..3);
    prop_oneof![
        4 => tags().prop_map(Edit::AddTags),
        2 => tags().prop_map(Edit::RemoveTags),
        2 => tags().prop_map(Edit::ReplaceTags),
        1 => Just(Edit::ClearTags),
        4 => attributes.prop_map(Edit::SetAttributes),
        2 => prop::collection::btree_set(slots(), 0..3).prop_map(Edit::RemoveAttributes),
        // More changes than one transaction carries.
        1 => (0_u8..2).prop_map(|half| {
            let tag = |number| Tag::try_from(format!("many {half} {number}")).unwrap();
            Edit::AddTags((0..45).map(tag).collect())
        }),
        // Up to a hundred go and another hundred come.
        1 => (0_u8..2).prop_map(|half| {
            let tag = |number| Tag::try_from(format!("whole {half} {number}")).unwrap();
            Edit::ReplaceTags((0..100).map(tag).collect())
        }),
    ]
}

fn tags() -> impl Strategy<Value = Tag> {
    (0_u8..5).prop_map(tag)
}

fn tag(number: u8) -> Tag {
    Tag::try_from(format!("tag #{number}")).unwrap()
}

fn slots() -> impl Strategy<Value = AttributeSlot> {
    (0_u8..3).prop_map(slot)
}

fn slot(number: u8) -> AttributeSlot {
    AttributeSlot::try_from(number).unwrap()
}

fn values() -> impl Strategy<Value = AttributeValue> {
    (0_u8..3).prop_map(value)
}

fn value(number: u8) -> AttributeValue {
    AttributeValue::try_from(format!("value {number}")).unwrap()
}

fn conditions() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        tags().prop_map(|tag| Condition::Term(Term::Tag(tag))),
        (slots(), values()).prop_map(|(slot, value)| Condition::Term(Term::Attribute(slot, value))),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Condition::All),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Condition::Any),
            inner.prop_map(|part| Condition::Not(Box::new(part))),
        ]
    })
}
