//! What becomes of a push that is withdrawn.
//!
//! A push never changes, for many remember it: a mark stands beside it. The mark is what makes another request for the
//! same a repeat, so it is written where requests are accepted.

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};

use crate::domain::{Push, limits};

use super::{StoreError, keys};

/// The write after which a push is no longer kept for those who are offline, or `None` if it never was.
pub(super) fn forget(table: &str, push: &Push) -> Result<Option<TransactWriteItem>, StoreError> {
    let Some((seq, _)) = push.kept() else { return Ok(None) };
    let key = keys::offline_push(&push.app, seq);
    let delete = Delete::builder().table_name(table).set_key(Some(key.item())).build()?;
    Ok(Some(TransactWriteItem::builder().delete(delete).build()))
}

/// When the mark ends, in seconds since the epoch: with the push itself, so that whoever finds the push finds the mark.
pub(super) fn marked_until(push: &Push) -> i64 {
    push.accepted_at.secs() + limits::PUSH_RETENTION_SECS
}
