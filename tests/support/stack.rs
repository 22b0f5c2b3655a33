//! The local stack, for the stories.

fn main() {}
