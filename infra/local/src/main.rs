//! Starts the whole of Fanfare on this machine.

fn main() {}
