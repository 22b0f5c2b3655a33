//! What every Fanfare function shares.
//!
//! Arrows point down only: [`dialect`], [`store`], [`queue`] and [`channel`] use [`domain`], and not each other;
//! [`domain`] uses none of them; [`runtime`] serves all.

pub mod channel;
pub mod dialect;
pub mod domain;
pub mod queue;
pub mod runtime;
pub mod store;
