//! Pushes kept for those who are offline: one item a push, however many users.
//!
//! It holds what decides whether a user is to have it. What it says is in the push itself, read by those who are.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};

use crate::domain::{AppId, Audience, DeviceFilter, Platform, Push, PushId, Seq, Timestamp};

use super::item::{self, Item, n, number, s, text};
use super::{StoreError, keys};

/// A push that is kept for those who are offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offline {
    /// Its number in the app.
    pub seq: Seq,
    /// The push.
    pub push: PushId,
    /// Users from this ordinal on came after it.
    pub population: u32,
    /// Whether it is for everyone; if not, the snapshots tell.
    pub everyone: bool,
    /// Which of their devices it is for.
    pub devices: DeviceFilter,
    /// Whether it withdraws another.
    pub revokes: bool,
    /// The end of its lifetime.
    pub expires_at: Timestamp,
}

/// Reads what is kept.
#[derive(Clone)]
pub struct OfflineStore {
    client: Client,
    table: String,
}

impl OfflineStore {
    /// Over the table of pushes.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// What an app has kept after a push, oldest first, strongly consistent: so many at most, in one request, and
    /// whether there may be more. Some may be past their lifetime: TTL takes them days later.
    pub async fn after(&self, app: &AppId, floor: Seq, most: i32) -> Result<(Vec<Offline>, bool), StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk > :floor")
            .expression_attribute_values(":pk", s(keys::offline(app)))
            .expression_attribute_values(":floor", s(keys::offline_place(floor)))
            .consistent_read(true)
            .limit(most);
        let answer = query.send().await?;
        let kept = answer.items().iter().map(whole).collect::<Result<_, _>>()?;
        Ok((kept, answer.last_evaluated_key.is_some()))
    }

    /// What an app has kept among some of its pushes, strongly consistent, in no order.
    pub async fn among(&self, app: &AppId, seqs: &BTreeSet<Seq>) -> Result<Vec<Offline>, StoreError> {
        let keys: Vec<_> = seqs.iter().map(|seq| keys::offline_push(app, *seq)).collect();
        item::get_all(&self.client, &self.table, &keys).await?.iter().map(whole).collect()
    }
}

/// The write that keeps a push, or `None` if it is not kept.
pub(super) fn keep(table: &str, push: &Push) -> Result<Option<TransactWriteItem>, StoreError> {
    let Some((seq, end)) = push.kept() else { return Ok(None) };
    let mut item = keys::offline_push(&push.app, seq).item();
    item.extend([
        ("i".to_owned(), s(push.id.to_string())),
        ("p".to_owned(), n(push.population)),
        ("x".to_owned(), n(end.millis())),
        // Up to a second late, so that TTL never deletes what may still be read.
        ("expires_at".to_owned(), n(end.secs() + 1)),
    ]);
    match push.audience {
        Audience::Everyone => {}
        Audience::Matching(_) | Audience::Users(_) => {
            item.insert("c".to_owned(), AttributeValue::Bool(true));
        }
    }
    if !push.devices.platforms.is_empty() {
        let platforms = push.devices.platforms.iter().map(|platform| platform.name().to_owned()).collect();
        item.insert("f".to_owned(), AttributeValue::Ss(platforms));
    }
    if let Some(package) = &push.devices.package {
        item.insert("b".to_owned(), s(package));
    }
    if push.revokes.is_some() {
        item.insert("v".to_owned(), AttributeValue::Bool(true));
    }
    let put = Put::builder().table_name(table).set_item(Some(item)).build()?;
    Ok(Some(TransactWriteItem::builder().put(put).build()))
}

fn whole(item: &Item) -> Result<Offline, StoreError> {
    read(item).ok_or_else(|| StoreError::corrupt("offline", "not whole"))
}

fn read(item: &Item) -> Option<Offline> {
    Some(Offline {
        seq: Seq(text(item, "sk")?.parse().ok()?),
        push: PushId::try_from(text(item, "i")?.to_owned()).ok()?,
        population: number(item, "p")?,
        everyone: !item.contains_key("c"),
        devices: DeviceFilter { platforms: read_platforms(item)?, package: text(item, "b").map(str::to_owned) },
        revokes: item.contains_key("v"),
        expires_at: Timestamp::from_millis(number(item, "x")?),
    })
}

/// `None` if there is one that we do not know: to leave it out could mean all of them.
fn read_platforms(item: &Item) -> Option<BTreeSet<Platform>> {
    let Some(names) = item.get("f") else { return Some(BTreeSet::new()) };
    names.as_ss().ok()?.iter().map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Condition, Message, Ordinal, Tag, Term};

    fn a_push() -> Push {
        Push {
            id: PushId::from_u128(7),
            app: AppId::try_from("app").unwrap(),
            seq: Some(Seq(12)),
            accepted_at: Timestamp::from_secs(1_700_000_000),
            audience: Audience::Everyone,
            devices: DeviceFilter::default(),
            population: 10,
            message: Some(Message {
                sender: "admin".to_owned(),
                body: serde_json::json!([]),
                notification: None,
                kept: true,
                recallable: false,
            }),
            notification: None,
            lifetime_secs: 60,
            task_id: "task".to_owned(),
            revokes: None,
            data_id: None,
        }
    }

    fn kept(push: &Push) -> Option<Offline> {
        let item = keep("table", push).unwrap()?.put?.item;
        Some(whole(&item).unwrap())
    }

    #[test]
    fn what_is_kept_says_who_is_meant() {
        let push = a_push();
        let expected = Offline {
            seq: Seq(12),
            push: push.id,
            population: 10,
            everyone: true,
            devices: DeviceFilter::default(),
            revokes: false,
            expires_at: push.accepted_at.plus_secs(60),
        };
        assert_eq!(kept(&push), Some(expected.clone()));
        let gold = Condition::Term(Term::Tag(Tag::try_from("gold".to_owned()).unwrap()));
        for audience in [Audience::Matching(gold), Audience::Users(vec![Ordinal(3)])] {
            let push = Push { audience, ..a_push() };
            assert_eq!(kept(&push), Some(Offline { everyone: false, ..expected.clone() }));
        }
        for (platforms, package) in [
            (vec![Platform::Ios], None),
            (vec![Platform::Android, Platform::Web], Some("com.example.app")),
            (vec![], Some("com.example.app")),
        ] {
            let package = package.map(str::to_owned);
            let devices = DeviceFilter { platforms: platforms.into_iter().collect(), package };
            let push = Push { devices: devices.clone(), ..a_push() };
            assert_eq!(kept(&push), Some(Offline { devices, ..expected.clone() }));
        }
        let revoke = Push { revokes: Some(PushId::from_u128(6)), ..a_push() };
        assert_eq!(kept(&revoke), Some(Offline { revokes: true, ..expected }));
        assert_eq!(kept(&Push { message: None, ..a_push() }), None);
    }

    #[test]
    fn a_platform_that_is_not_known_does_not_make_it_everyones() {
        let push = Push { devices: DeviceFilter { platforms: [Platform::Ios].into(), package: None }, ..a_push() };
        let mut item = keep("table", &push).unwrap().unwrap().put.unwrap().item;
        item.insert("f".to_owned(), AttributeValue::Ss(vec!["ios".to_owned(), "toaster".to_owned()]));
        assert!(whole(&item).is_err());
    }
}
