//! Everything that lasts, in three DynamoDB tables. The only module that names the DynamoDB SDK.
//!
//! Keys are built in [`keys`] and nowhere else. TTL deletion is late by up to days, so whoever cares about
//! an item's end compares `expires_at` with the clock.

mod account;
mod acks;
mod apps;
mod attempts;
mod calls;
mod connections;
mod contacts;
mod deletion;
mod devices;
mod due;
mod error;
mod index;
mod intake;
mod item;
mod keys;
mod ledger;
mod offline;
mod pace;
mod pushes;
mod quiet;
mod recall;
mod rests;
mod snapshots;
mod standing;
mod tokens;
mod users;

pub use account::{Account, AccountStore, Progress, PushAccount, Stopped};
pub use acks::{AckStore, Acknowledged};
pub use apps::AppStore;
pub use attempts::{Attempt, AttemptStore};
pub use calls::{CallStore, Counted};
pub use connections::{Connection, ConnectionStore};
pub use contacts::{Contact, ContactStore};
pub use deletion::DeletionStore;
pub use due::{Due, DueStore};
pub use error::StoreError;
pub use index::IndexStore;
pub use intake::{Accepted, Intake, IntakeStore, Number, Refusal, Repeated};
pub use ledger::{BatchKey, Done, Lease, LedgerStore, Readdressed, Record};
pub use offline::{Offline, OfflineStore};
pub use pace::{PaceStore, Paced};
pub use pushes::PushStore;
pub use quiet::QuietStore;
pub use rests::{Rest, RestStore};
pub use snapshots::{Cuts, SnapshotStore};
pub use standing::{Admission, Barred, Remains, Standing, StandingStore};
pub use tokens::{Token, TokenStore};
pub use users::UserStore;

pub use aws_sdk_dynamodb::Client;
