//! What the stories share: a whole stack of their own, the calls of a backend, the socket of a client app.
//!
//! A story that cannot go on panics, with what it saw: that is its result.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends there")]

mod client;
mod population;
mod stack;

pub use client::Socket;
pub use stack::{ADMIN, APP_KEY, APP_SECRET, SDK_APP_ID, Stack, form, signature};
