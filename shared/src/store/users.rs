//! Users, and with them the index: a user and the blocks it belongs to change in one transaction.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValue, TransactWriteItem};
use futures::{StreamExt, TryStreamExt, stream};

use crate::domain::{
    AppId, AttributeNames, AttributeSlot, Block, Edit, EditError, NameError, Ordinal, Profile, Shard, Tag, Term, User,
    UserId, limits,
};

use super::error::unless_refused;
use super::index::{self, Bitmap, BlockPlace, IndexStore};
use super::item::{self, Item, backoff, n, number, s, text};
use super::standing::{Admission, Barred, Standing, StandingStore};
use super::{StoreError, keys};

/// Most writes of one transaction (DynamoDB service quotas).
pub(super) const WRITES_PER_TRANSACTION: usize = 100;
/// Terms by which a user changes in one step of several: room for the user's own item, and for the other half of
/// an attribute whose old or new value is in the step.
const TERMS_PER_STEP: usize = WRITES_PER_TRANSACTION - 1 - limits::ATTRIBUTE_SLOTS as usize;
/// Transactions under way side by side for one call.
pub(super) const TRANSACTIONS_AT_ONCE: usize = 4;
/// How often a lost race is run again.
pub(super) const ROUNDS: u32 = 12;

/// Reads and changes users.
#[derive(Clone)]
pub struct UserStore {
    client: Client,
    table: String,
    index: IndexStore,
    standing: StandingStore,
}

/// A user with the version that its next write is conditional on.
#[derive(Clone)]
pub(super) struct Versioned {
    pub user: User,
    pub version: u64,
}

impl UserStore {
    /// Over the table of the audience.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let table = table.into();
        let index = IndexStore::new(client.clone(), table.clone());
        Self { standing: StandingStore::new(client.clone(), table.clone()), index, client, table }
    }

    /// Users by id, strongly consistent. Those who do not exist are absent.
    pub async fn get(&self, app: &AppId, ids: &[UserId]) -> Result<HashMap<UserId, User>, StoreError> {
        let users = self.read(app, ids.iter()).await?;
        Ok(users.into_iter().map(|(id, versioned)| (id, versioned.user)).collect())
    }

    /// Creates those who do not exist yet; of the others, updates what their profiles say anew.
    /// Returns who was not created because their standing bars it, and why; all others are there.
    pub async fn import(
        &self,
        app: &AppId,
        users: &[(UserId, Profile)],
        admission: &Admission,
    ) -> Result<Vec<(UserId, Barred)>, StoreError> {
        let mut wanted: BTreeMap<UserId, Profile> = users.iter().cloned().collect();
        let mut ordinals: Vec<Ordinal> = Vec::new();
        let mut barred = Vec::new();
        for round in 0..ROUNDS {
            if round > 0 {
                backoff(round).await;
            }
            let known = self.read(app, wanted.keys()).await?;
            let (old, mut new): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|(id, _)| known.contains_key(id));
            for (id, profile) in old {
                if let Some(known) = known.get(&id) {
                    self.update_profile(app, &known.user, profile).await?;
                }
            }
            if !new.is_empty() && admission.asks_anything() {
                let standings = self.standing.get_all(app, new.iter().map(|(id, _)| id)).await?;
                new.retain(|(id, _)| {
                    match standings.get(id).and_then(|standing: &Standing| admission.verdict(standing)) {
                        None => true,
                        Some(verdict) => {
                            barred.push((id.clone(), verdict));
                            false
                        }
                    }
                });
            }
            if new.is_empty() {
                return Ok(barred);
            }
            if ordinals.len() < new.len() {
                ordinals.extend(self.allot(app, new.len() - ordinals.len()).await?);
            }
            let created: Vec<User> = new
                .iter()
                .zip(&ordinals)
                .map(|((id, profile), ordinal)| User::new(id.clone(), *ordinal, profile.clone()))
                .collect();
            wanted = BTreeMap::new();
            let writes_each = if admission.asks_anything() { 2 } else { 1 };
            for users in created.chunks(WRITES_PER_TRANSACTION / writes_each) {
                let mut writes = Vec::with_capacity(users.len() * writes_each);
                for user in users {
                    writes.push(self.write(app, user, None)?);
                    writes.extend(admission.check(&self.table, app, &user.id)?);
                }
                if !item::transact(&self.client, writes).await? {
                    // Someone created or deleted one of them first. Read again; ordinals that stay unused are no harm.
                    wanted.extend(users.iter().map(|user| (user.id.clone(), user.profile.clone())));
                }
            }
            if wanted.is_empty() {
                return Ok(barred);
            }
            let used: BTreeSet<_> =
                created.iter().filter(|user| !wanted.contains_key(&user.id)).map(|user| user.ordinal).collect();
            ordinals.retain(|ordinal| !used.contains(ordinal));
        }
        Err(StoreError::Contended(ROUNDS))
    }

    /// The user of an id, created if need be and if its standing lets it: an account exists once it has logged in.
    pub async fn ensure(
        &self,
        app: &AppId,
        id: &UserId,
        admission: &Admission,
    ) -> Result<Result<User, Barred>, StoreError> {
        for _ in 0..2 {
            if let Some(user) = self.get(app, std::slice::from_ref(id)).await?.remove(id) {
                return Ok(Ok(user));
            }
            let barred = self.import(app, &[(id.clone(), Profile::default())], admission).await?;
            if let Some((_, verdict)) = barred.into_iter().next() {
                return Ok(Err(verdict));
            }
        }
        Err(StoreError::Contended(1))
    }

    /// How many ordinals an app has given out: every user's is below it.
    pub async fn population(&self, app: &AppId) -> Result<u32, StoreError> {
        let item = item::get(&self.client, &self.table, &keys::ordinals(app)).await?;
        item.as_ref().map_or(Ok(0), read_count)
    }

    /// Changes users, and the index with them. A user may occur several times: its edits apply in order.
    /// Returns whose edits were refused, and why; all others are done.
    pub async fn edit(&self, app: &AppId, edits: &[(UserId, Edit)]) -> Result<Vec<(UserId, EditError)>, StoreError> {
        let mut pending: BTreeMap<UserId, Vec<&Edit>> = BTreeMap::new();
        for (id, edit) in edits {
            pending.entry(id.clone()).or_default().push(edit);
        }
        let mut refused = Vec::new();
        let mut lost = 0;
        while !pending.is_empty() {
            let users = self.read(app, pending.keys()).await?;
            let mut changes = Vec::new();
            pending.retain(|id, edits| match users.get(id).map(|versioned| versioned.user.edited(edits)) {
                None => {
                    refused.push((id.clone(), EditError::UnknownUser));
                    false
                }
                Some(Err(error)) => {
                    refused.push((id.clone(), error));
                    false
                }
                Some(Ok(wanted)) => match users.get(id) {
                    Some(read) if read.user != wanted => {
                        changes.push(Change::towards(read, &wanted));
                        true
                    }
                    _ => false,
                },
            });
            if changes.is_empty() {
                break;
            }
            let complete: Vec<UserId> =
                changes.iter().filter(|change| change.complete).map(|change| change.after.id.clone()).collect();
            if self.apply(app, changes).await? {
                pending.retain(|id, _| !complete.contains(id));
            } else {
                // Some may have been made: the next read finds those done.
                lost += 1;
                if lost == ROUNDS {
                    return Err(StoreError::Contended(ROUNDS));
                }
                backoff(lost).await;
            }
        }
        Ok(refused)
    }

    /// Changes users as [`Self::edit`] does, and creates those who do not exist yet. If the standing of one bars it,
    /// nothing is changed, and those who are barred are returned as unknown.
    pub async fn edit_or_create(
        &self,
        app: &AppId,
        edits: &[(UserId, Edit)],
        admission: &Admission,
    ) -> Result<Vec<(UserId, EditError)>, StoreError> {
        if admission.asks_anything() {
            let barred = self.barred(app, edits.iter().map(|(id, _)| id), admission).await?;
            if !barred.is_empty() {
                return Ok(barred.into_iter().map(|id| (id, EditError::UnknownUser)).collect());
            }
        }
        // Most exist, so that they are looked for once. Whoever is missing has its edits made after the others'.
        let mut edits = Cow::Borrowed(edits);
        let mut refused = Vec::new();
        for _ in 0..ROUNDS {
            let (unknown, others): (Vec<_>, Vec<_>) =
                self.edit(app, &edits).await?.into_iter().partition(|(_, error)| *error == EditError::UnknownUser);
            refused.extend(others);
            if unknown.is_empty() {
                return Ok(refused);
            }
            let missing: BTreeSet<UserId> = unknown.into_iter().map(|(id, _)| id).collect();
            let new: Vec<_> = missing.iter().map(|id| (id.clone(), Profile::default())).collect();
            // Deleted since they were looked at.
            let barred = self.import(app, &new, admission).await?;
            if !barred.is_empty() {
                refused.extend(barred.into_iter().map(|(id, _)| (id, EditError::UnknownUser)));
                return Ok(refused);
            }
            edits.to_mut().retain(|(id, _)| missing.contains(id));
        }
        Err(StoreError::Contended(ROUNDS))
    }

    /// Those who do not exist, and whose standing bars them.
    async fn barred(
        &self,
        app: &AppId,
        ids: impl Iterator<Item = &UserId>,
        admission: &Admission,
    ) -> Result<Vec<UserId>, StoreError> {
        let mut missing: BTreeSet<&UserId> = ids.collect();
        let known = self.read(app, missing.iter().copied()).await?;
        missing.retain(|id| !known.contains_key(*id));
        let standings = self.standing.get_all(app, missing.iter().copied()).await?;
        let is_barred = |id: &&UserId| standings.get(*id).is_some_and(|standing| admission.verdict(standing).is_some());
        Ok(missing.into_iter().filter(is_barred).cloned().collect())
    }

    /// What an app calls its attributes, strongly consistent.
    pub async fn attribute_names(&self, app: &AppId) -> Result<AttributeNames, StoreError> {
        let item = item::get(&self.client, &self.table, &keys::attribute_names(app)).await?;
        item.as_ref().map_or_else(|| Ok(AttributeNames::default()), read_names)
    }

    /// Names some of an app's attributes; the others keep their names.
    pub async fn name_attributes(
        &self,
        app: &AppId,
        names: BTreeMap<AttributeSlot, String>,
    ) -> Result<Result<AttributeNames, NameError>, StoreError> {
        let key = keys::attribute_names(app);
        for round in 0..ROUNDS {
            let item = item::get(&self.client, &self.table, &key).await?.unwrap_or_default();
            let named = match read_names(&item)?.named(names.clone()) {
                Ok(named) => named,
                Err(error) => return Ok(Err(error)),
            };
            let version: u64 = number(&item, "v").unwrap_or(0);
            let by_slot = named.iter().map(|(slot, name)| (slot.to_string(), s(name))).collect();
            let mut item = key.item();
            item.extend([("a".to_owned(), AttributeValue::M(by_slot)), ("v".to_owned(), n(version + 1))]);
            let put = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(pk) OR v = :v")
                .expression_attribute_values(":v", n(version));
            if unless_refused(put.send().await)?.is_some() {
                return Ok(Ok(named));
            }
            backoff(round).await;
        }
        Err(StoreError::Contended(ROUNDS))
    }

    pub(super) async fn read(
        &self,
        app: &AppId,
        ids: impl Iterator<Item = &UserId>,
    ) -> Result<HashMap<UserId, Versioned>, StoreError> {
        let ids: BTreeSet<&UserId> = ids.collect();
        let keys: Vec<_> = ids.into_iter().map(|id| keys::user(app, id)).collect();
        let items = item::get_all(&self.client, &self.table, &keys).await?;
        items.iter().map(|item| read_user(item).map(|read| (read.user.id.clone(), read))).collect()
    }

    /// Takes the next ordinals, so that no one else can.
    async fn allot(&self, app: &AppId, count: usize) -> Result<impl Iterator<Item = Ordinal> + use<>, StoreError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::ordinals(app).item()))
            .update_expression("ADD n :count")
            .expression_attribute_values(":count", n(count))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await?;
        let end = read_count(&answer.attributes.unwrap_or_default())?;
        Ok((end - count as u32..end).map(Ordinal))
    }

    async fn update_profile(&self, app: &AppId, known: &User, wanted: Profile) -> Result<(), StoreError> {
        let wanted = Profile {
            nick: wanted.nick.or_else(|| known.profile.nick.clone()),
            face_url: wanted.face_url.or_else(|| known.profile.face_url.clone()),
        };
        if wanted == known.profile {
            return Ok(());
        }
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::user(app, &known.id).item()))
            .update_expression("SET p = :p ADD v :one")
            .condition_expression("n = :n")
            .expression_attribute_values(":n", n(known.ordinal.0))
            .expression_attribute_values(":p", profile_value(&wanted))
            .expression_attribute_values(":one", n(1));
        // Refused if the user is gone since it was read: then there is no profile to update.
        unless_refused(update.send().await).map(drop)
    }

    /// Makes changes, those of one block of users together. Says whether all were made.
    async fn apply(&self, app: &AppId, changes: Vec<Change>) -> Result<bool, StoreError> {
        let mut by_block: BTreeMap<(Shard, Block), Vec<Change>> = BTreeMap::new();
        for change in changes {
            by_block.entry((change.after.ordinal.shard(), change.after.ordinal.block())).or_default().push(change);
        }
        let outcomes: Vec<bool> = stream::iter(by_block.into_values())
            .map(|changes| self.apply_to_block(app, changes))
            .buffer_unordered(TRANSACTIONS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(outcomes.into_iter().all(|made| made))
    }

    async fn apply_to_block(&self, app: &AppId, changes: Vec<Change>) -> Result<bool, StoreError> {
        let places: BTreeSet<BlockPlace> = changes.iter().flat_map(Change::places).collect();
        let mut blocks = self.index.blocks(app, places.into_iter().collect()).await?;
        for changes in fitting(changes) {
            let mut wanted: BTreeMap<BlockPlace, Bitmap> = BTreeMap::new();
            for change in &changes {
                for (place, member) in change.memberships() {
                    let read = blocks.get(&place).copied().unwrap_or_default();
                    wanted.entry(place).or_insert(read).set(change.after.ordinal.bit(), member);
                }
            }
            let mut writes = Vec::with_capacity(changes.len() + wanted.len());
            for change in &changes {
                writes.push(self.write(app, &change.after, Some(change.version))?);
            }
            for (place, wanted) in &wanted {
                let read = blocks.get(place).copied().unwrap_or_default();
                if read != *wanted {
                    writes.push(index::write(&self.table, app, place, read, *wanted)?);
                }
            }
            if !item::transact(&self.client, writes).await? {
                return Ok(false);
            }
            blocks.extend(wanted);
        }
        Ok(true)
    }

    /// The write of a user: of a new one, or over the version that was read.
    fn write(&self, app: &AppId, user: &User, read: Option<u64>) -> Result<TransactWriteItem, StoreError> {
        let mut item = keys::user(app, &user.id).item();
        item.extend([
            ("i".to_owned(), s(user.id.as_str())),
            ("n".to_owned(), n(user.ordinal.0)),
            ("v".to_owned(), n(read.unwrap_or(0) + 1)),
        ]);
        if !user.tags.is_empty() {
            item.insert("t".to_owned(), AttributeValue::L(user.tags.iter().map(|tag| s(tag.as_str())).collect()));
        }
        if !user.attributes.is_empty() {
            let attributes = user.attributes.iter().map(|(slot, value)| (slot.to_string(), s(value.as_str())));
            item.insert("a".to_owned(), AttributeValue::M(attributes.collect()));
        }
        if user.profile != Profile::default() {
            item.insert("p".to_owned(), profile_value(&user.profile));
        }
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = match read {
            None => put.condition_expression("attribute_not_exists(pk)"),
            // The ordinal too: a user who was deleted and came back counts versions anew.
            Some(version) => put
                .condition_expression("v = :v AND n = :n")
                .expression_attribute_values(":v", n(version))
                .expression_attribute_values(":n", n(user.ordinal.0)),
        };
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }
}

/// One step of one user from what was read to what it shall be.
struct Change {
    before: BTreeSet<Term>,
    after: User,
    version: u64,
    /// Whether it is the last step.
    complete: bool,
}

impl Change {
    /// A step towards `wanted` that fits one transaction with the user's own item.
    /// A user can change by more terms than that (clearing a hundred tags, say): then it takes several steps,
    /// and the index agrees with the user after each. What goes goes first, so that the user never has more than
    /// before or than wanted.
    fn towards(read: &Versioned, wanted: &User) -> Self {
        let before = read.user.terms();
        let goal = wanted.terms();
        let terms: Vec<&Term> = before.difference(&goal).chain(goal.difference(&before)).collect();
        let complete = terms.len() < WRITES_PER_TRANSACTION;
        let after = if complete {
            wanted.clone()
        } else {
            let step = terms.into_iter().take(TERMS_PER_STEP).cloned().collect();
            partly(&read.user, wanted, &step)
        };
        Self { before, after, version: read.version, complete }
    }

    /// The blocks it enters or leaves, and which.
    fn memberships(&self) -> Vec<(BlockPlace, bool)> {
        let after = self.after.terms();
        let place = |term: &Term| BlockPlace::of(term.clone(), self.after.ordinal);
        let left = self.before.difference(&after).map(|term| (place(term), false));
        let entered = after.difference(&self.before).map(|term| (place(term), true));
        left.chain(entered).collect()
    }

    fn places(&self) -> impl Iterator<Item = BlockPlace> + use<> {
        self.memberships().into_iter().map(|(place, _)| place)
    }
}

/// The user with only those changes made that are in `step`.
fn partly(read: &User, wanted: &User, step: &BTreeSet<Term>) -> User {
    let mut user = read.clone();
    let in_step = |tag: &Tag| step.contains(&Term::Tag(tag.clone()));
    user.tags.retain(|tag| wanted.tags.contains(tag) || !in_step(tag));
    user.tags.extend(wanted.tags.iter().filter(|tag| !read.tags.contains(tag) && in_step(tag)).cloned());
    for slot in AttributeSlot::all() {
        let terms = |user: &User| user.attributes.get(&slot).map(|value| Term::Attribute(slot, value.clone()));
        if [terms(read), terms(wanted)].into_iter().flatten().any(|term| step.contains(&term)) {
            user.attributes.remove(&slot);
            if let Some(value) = wanted.attributes.get(&slot) {
                user.attributes.insert(slot, value.clone());
            }
        }
    }
    user
}

/// Splits the changes of one block so that each part fits one transaction.
fn fitting(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut parts: Vec<Vec<Change>> = Vec::new();
    let mut places: BTreeSet<BlockPlace> = BTreeSet::new();
    for change in changes {
        let grown: BTreeSet<BlockPlace> = places.iter().cloned().chain(change.places()).collect();
        match parts.last_mut() {
            Some(part) if part.len() + 1 + grown.len() <= WRITES_PER_TRANSACTION => {
                part.push(change);
                places = grown;
            }
            _ => {
                places = change.places().collect();
                parts.push(vec![change]);
            }
        }
    }
    parts
}

fn profile_value(profile: &Profile) -> AttributeValue {
    let fields = [("nick", &profile.nick), ("face", &profile.face_url)];
    AttributeValue::M(
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), s(value.as_ref()?)))).collect(),
    )
}

fn read_user(item: &Item) -> Result<Versioned, StoreError> {
    let corrupt = |reason| StoreError::corrupt("user", reason);
    let map = |name| item.get(name).and_then(|value| value.as_m().ok());
    let id = text(item, "i").and_then(|id| UserId::try_from(id).ok()).ok_or_else(|| corrupt("no id"))?;
    let ordinal = number(item, "n").map(Ordinal).ok_or_else(|| corrupt("no ordinal"))?;
    let tags = item.get("t").and_then(|value| value.as_l().ok()).map_or(&[][..], Vec::as_slice);
    let tags = tags
        .iter()
        .map(|value| value.as_s().ok().and_then(|tag| Tag::try_from(tag.clone()).ok()))
        .collect::<Option<_>>()
        .ok_or_else(|| corrupt("a tag that is none"))?;
    let attributes = map("a")
        .into_iter()
        .flatten()
        .map(|(slot, value)| {
            let slot = slot.parse::<u8>().ok().and_then(|slot| AttributeSlot::try_from(slot).ok())?;
            Some((slot, value.as_s().ok()?.clone().try_into().ok()?))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| corrupt("an attribute that is none"))?;
    let profile = map("p").cloned().unwrap_or_default();
    let field = |name: &str| text(&profile, name).map(str::to_owned);
    let profile = Profile { nick: field("nick"), face_url: field("face") };
    let version = number(item, "v").ok_or_else(|| corrupt("no version"))?;
    Ok(Versioned { user: User { id, ordinal, tags, attributes, profile }, version })
}

/// How many ordinals were given out. Pushes go to so many: one that cannot be read is not none.
fn read_count(item: &Item) -> Result<u32, StoreError> {
    number(item, "n").ok_or_else(|| StoreError::corrupt("ordinals", "no number below 2^32"))
}

fn read_names(item: &Item) -> Result<AttributeNames, StoreError> {
    let corrupt = || StoreError::corrupt("attribute names", "a slot that is none");
    let Some(by_slot) = item.get("a").and_then(|value| value.as_m().ok()) else {
        return Ok(AttributeNames::default());
    };
    let names = by_slot
        .iter()
        .map(|(slot, name)| {
            let slot = slot.parse::<u8>().ok().and_then(|slot| AttributeSlot::try_from(slot).ok())?;
            Some((slot, name.as_s().ok()?.clone()))
        })
        .collect::<Option<BTreeMap<_, _>>>()
        .ok_or_else(corrupt)?;
    AttributeNames::default().named(names).map_err(|_| corrupt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: usize) -> Tag {
        Tag::try_from(name.to_string()).unwrap()
    }

    fn versioned(user: User) -> Versioned {
        Versioned { user, version: 1 }
    }

    fn with_tags(names: std::ops::Range<usize>) -> User {
        let mut user = User::new(UserId::try_from("u").unwrap(), Ordinal(7), Profile::default());
        user.tags = names.map(tag).collect();
        user
    }

    #[test]
    fn a_change_too_large_for_a_transaction_takes_steps_that_each_fit_and_end_at_what_is_wanted() {
        let slot = |number| AttributeSlot::try_from(number).unwrap();
        let value = |text: &str| crate::domain::AttributeValue::try_from(text.to_owned()).unwrap();
        let mut user = with_tags(0..100);
        let mut wanted = with_tags(100..200);
        user.attributes = (0..10).map(|number| (slot(number), value("old"))).collect();
        wanted.attributes = (0..10).map(|number| (slot(number), value("new"))).collect();
        for _ in 0..3 {
            let change = Change::towards(&versioned(user.clone()), &wanted);
            assert!(change.memberships().len() < WRITES_PER_TRANSACTION);
            assert_ne!(change.after, user, "each step gets on");
            assert_eq!(change.complete, change.after == wanted);
            assert!(change.after.tags.len() <= limits::TAGS_PER_USER, "no step goes past what a user may have");
            user = change.after;
        }
        assert_eq!(user, wanted);
    }

    #[test]
    fn ordinals_that_cannot_be_counted_are_not_taken_for_none() {
        let counted = |count: &str| read_count(&Item::from([("n".to_owned(), n(count))]));
        assert_eq!(counted("4294967295").unwrap(), u32::MAX);
        assert!(counted("4294967296").is_err());
        assert!(read_count(&Item::new()).is_err());
    }

    #[test]
    fn changes_that_share_a_block_share_a_transaction_while_they_fit() {
        let mut changes = Vec::new();
        for number in 0..150_u32 {
            let mut before = with_tags(0..0);
            before.ordinal = Ordinal(number);
            let mut after = before.clone();
            after.tags = vec![tag(1), tag(2)];
            changes.push(Change::towards(&versioned(before), &after));
        }
        let parts = fitting(changes);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [98, 52]);
    }
}
