//! Wire contracts, one folder each: how requests are authenticated and read, and what is answered.
//!
//! A dialect translates to and from the domain, without I/O. Nothing past here knows a dialect.

mod answers;
mod canonical;
mod field;
mod issued;
pub mod rongcloud;
mod sentence;
pub mod tencent;

pub use answers::{failed, too_slow, unknown};
