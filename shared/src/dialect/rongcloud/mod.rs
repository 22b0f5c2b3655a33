//! RongCloud's server contract: `/push.json` and what surrounds it.
//!
//! Every call is checked in one order: path and method, app, signature, rate, feature, body and fields. Only the rate's place is
//! hinted at by RongCloud: calls that the feature's lack refuses count against it.

mod audience;
mod body;
mod broadcast;
pub mod command;
mod custom;
mod error;
pub mod form;
mod message;
mod names;
mod notification;
mod push;
pub mod quiet;
mod recall;
mod repeat;
mod reply;
#[cfg(test)]
mod sdks;
pub mod signature;
pub mod tags;
pub mod token;
mod user;

pub use audience::{Receivers, Users};
pub use broadcast::{Broadcast, ONLINE_SECS};
pub use command::{Call, Command};
pub use error::{Code, Error};
pub use message::SystemMessage;
pub use push::PushRequest;
pub use quiet::QuietRequest;
pub use recall::Recall;
pub use repeat::Repeat;
pub use reply::Reply;
pub use tags::TagsRequest;
pub use token::TokenRequest;
