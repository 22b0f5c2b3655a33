//! Tencent Chat's REST contract: pushing to all users, tags and attributes, accounts.
//!
//! Every call is checked in one order: path and method, URL parameters, app, lock-out, UserSig, whether it is void,
//! administrator, frequency, JSON, feature, fields, quota. Tencent does not document one; this is the order in which a
//! gateway before a service would come to them. Up to the frequency it is the same for all calls: the `gate` of this crate.

pub mod accounts;
pub mod audience;
mod body;
pub mod caller;
pub mod command;
mod criteria;
mod elements;
mod error;
mod offline;
pub mod online;
pub mod push;
mod reply;
pub mod task_id;
mod terms;
mod timpush;
pub mod usersig;
pub mod webhook;

pub use command::{Call, Command};
pub use criteria::Criteria;
pub use error::{Code, Error};
pub use push::{PushRequest, Recipients};
pub use reply::{Refusal, Reply};
