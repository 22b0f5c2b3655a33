//! All of Fanfare on one machine.

pub mod vendors;
