//! Tencent Chat's REST contract: pushing to all users, tags and attributes, accounts.
//!
//! Every call is checked in one order: URL parameters, UserSig, administrator, JSON, feature, fields, quota.
//! Tencent does not document one; this is the order in which a gateway before a service would come to them.

pub mod accounts;
pub mod audience;
mod body;
pub mod caller;
pub mod command;
mod criteria;
mod elements;
mod error;
mod offline;
pub mod push;
mod reply;
pub mod task_id;
mod terms;
pub mod usersig;

pub use command::{Call, Command};
pub use criteria::Criteria;
pub use error::{Code, Error};
pub use push::PushRequest;
pub use reply::{Refusal, Reply};
