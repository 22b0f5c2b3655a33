//! What every Fanfare function shares.
//!
//! Arrows point down only: [`dialect`], [`store`], [`queue`] and [`channel`] use [`domain`], and not each other;
//! [`domain`] uses none of them; [`gate`] stands above `dialect` and `store`; [`runtime`] serves all.

pub mod channel;
pub mod dialect;
pub mod domain;
pub mod gate;
pub mod queue;
pub mod runtime;
pub mod store;
#[cfg(test)]
mod wire_tests;
