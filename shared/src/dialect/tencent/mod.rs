//! Tencent Chat's REST contract: pushing to all users, tags and attributes, accounts.
//!
//! Every call is checked in one order: URL parameters, UserSig, administrator, JSON, feature, fields, quota.
//! Tencent does not document one; this is the order in which a gateway before a service would come to them.

pub mod caller;
mod error;
mod reply;
pub mod usersig;

pub use error::{Code, Error};
pub use reply::{Refusal, Reply};
