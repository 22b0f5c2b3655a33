//! Stories of users, told to a whole stack each: the program that `cargo run` starts.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends there")]

mod accepted_is_kept;
mod any_process_may_die;
mod audience_is_index;
mod catch_up;
mod contract;
mod dead_devices;
mod documented_api;
mod seed_page;
mod sockets;
mod start_and_stop;

use support::Stack;

/// A stack of one's own.
async fn a_stack() -> Stack {
    Stack::start(env!("CARGO_BIN_EXE_stack")).await
}

/// A plain text message, as `im_push` takes it.
fn text(text: &str) -> serde_json::Value {
    serde_json::json!([{"MsgType": "TIMTextElem", "MsgContent": {"Text": text}}])
}
