//! Stories of users, told to a whole stack each: the program that `cargo run` starts.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends there")]

mod accepted_is_kept;
mod accounts;
mod any_process_may_die;
mod anything_comes;
mod audience_is_index;
mod both_dialects;
mod catch_up;
mod client_tokens;
mod contract;
mod dead_devices;
mod documented_api;
mod every_channel;
mod every_error;
mod every_signed_error;
mod forms_and_signatures;
mod ids_and_secrets;
mod notifications;
mod order_of_checks;
mod precedence;
mod push_accounts;
mod quiet_hours;
mod quota;
mod requests_as_they_come;
mod rongcloud_push;
mod seed_page;
mod short_of_time;
mod signed_calls;
mod signed_pushes_survive;
mod sockets;
mod start_and_stop;
mod stopped_channels;
mod timpush;
mod too_large;
mod two_apps;
mod vendor_errors;
mod vendors_that_fail;
mod webhooks;
mod who_is_let_in;

use fanfare::dialect::tencent::usersig;
use serde_json::{Value, json};
use support::{ADMIN, Stack};

/// What UserSigs of the demo app, and of those of `app`, are signed with.
const KEY: &str = "fanfare-local-secret-key";

/// A stack of one's own.
async fn a_stack() -> Stack {
    Stack::start(env!("CARGO_BIN_EXE_stack")).await
}

/// A stack of other apps than the demo app.
async fn a_stack_of(apps: &[Value]) -> Stack {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!(apps).to_string()).unwrap();
    Stack::start_with(env!("CARGO_BIN_EXE_stack"), &["--apps", file.path().to_str().unwrap()]).await
}

/// An app with settings of its own. Under the demo app's number it is called like the demo app.
fn app(sdk_app_id: u64, tencent: Value, quotas: Value) -> Value {
    let mut identity = json!({"sdk_app_id": sdk_app_id, "secret_key": KEY, "admins": [ADMIN]});
    identity.as_object_mut().unwrap().extend(tencent.as_object().unwrap().clone());
    json!({"id": sdk_app_id.to_string(), "tencent": identity, "quotas": quotas})
}

/// A UserSig that is good for ten minutes from `now` on.
fn sign(sdk_app_id: u64, key: &str, user: &str, now: i64) -> String {
    usersig::sign(&key.to_owned().into(), sdk_app_id, user, now, 600, None)
}

/// The URL of a call of an app's backend.
fn url(stack: &Stack, call: &str, sdk_app_id: u64, identifier: &str, user_sig: &str) -> String {
    format!("{}/v4/{call}?sdkappid={sdk_app_id}&identifier={identifier}&usersig={user_sig}&random=1", stack.base())
}

/// A plain text message, as `im_push` takes it.
fn text(text: &str) -> Value {
    json!([{"MsgType": "TIMTextElem", "MsgContent": {"Text": text}}])
}
