//! All of Fanfare on one machine.
