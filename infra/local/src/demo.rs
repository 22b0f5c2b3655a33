//! The apps that the stack knows from the start, and what to try with them.

use std::io;
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::Client;
use fanfare::dialect::tencent::usersig;
use fanfare::domain::App;
use fanfare::store::{AppStore, StoreError};
use serde_json::{Value, json};

/// The demo app's id, and its `SDKAppID`.
const SDK_APP_ID: u64 = 1_400_000_000;
const ADMINISTRATOR: &str = "administrator";
const SECRET_KEY: &str = "fanfare-local-secret-key";
const APP_KEY: &str = "fanfare-local";
const APP_SECRET: &str = "fanfare-local-app-secret";

const DAY: i64 = 86_400;

/// Why there are no apps.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file does not hold apps.
    #[error("{origin} holds no list of apps")]
    Parse {
        /// Where they are from.
        origin: String,
        /// What is wrong with them.
        source: serde_json::Error,
    },
    /// The table does not take them.
    #[error("cannot store an app")]
    Store(#[from] Box<StoreError>),
}

/// The apps of a file, or the demo app with its channels configured to the sandbox.
///
/// # Errors
///
/// When the file holds none.
pub fn apps(file: Option<&Path>, channels: &Value) -> Result<Vec<App>, Error> {
    let (origin, apps) = match file {
        Some(path) => {
            let text = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
            (path.display().to_string(), serde_json::from_slice(&text))
        }
        None => ("the demo app".to_owned(), serde_json::from_value(json!([demo(channels)]))),
    };
    apps.map_err(|source| Error::Parse { origin, source })
}

/// Writes the apps as the service's own store does.
///
/// # Errors
///
/// When the table does not take one.
pub async fn store(client: Client, table: &str, apps: &[App]) -> Result<(), Error> {
    let store = AppStore::new(client, table);
    for app in apps {
        store.put(app).await.map_err(Box::new)?;
    }
    Ok(())
}

fn demo(channels: &Value) -> Value {
    json!({
        "id": SDK_APP_ID.to_string(),
        "tencent": {"sdk_app_id": SDK_APP_ID, "secret_key": SECRET_KEY, "admins": [ADMINISTRATOR]},
        "rongcloud": {"app_key": APP_KEY, "app_secret": APP_SECRET},
        "channels": channels,
    })
}

/// What to know and to try, for a stack with the demo app at `address`.
pub fn greeting(address: &str, now: u64) -> String {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let sign = |user| usersig::sign(&SECRET_KEY.to_owned().into(), SDK_APP_ID, user, now, DAY, None);
    let query = format!(
        "sdkappid={SDK_APP_ID}&identifier={ADMINISTRATOR}&usersig={}&random='$RANDOM'&contenttype=json",
        sign(ADMINISTRATOR)
    );
    let call = |path: &str, body: &str| {
        format!("  curl 'http://{address}/v4/{path}?{query}' -H 'Content-Type: application/json' -d '{body}'\n")
    };
    let import = call("im_open_login_svc/account_import", r#"{"UserID":"alice"}"#);
    let tag = call("all_member_push/im_add_tag", r#"{"UserTags":[{"To_Account":"alice","Tags":["gold"]}]}"#);
    let push = call(
        "all_member_push/im_push",
        r#"{"From_Account":"administrator","MsgRandom":'$RANDOM',"MsgLifeTime":120,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello, everyone"}}]}"#,
    );
    let port = address.rsplit(':').next().unwrap_or_default();
    let port = if port == "3000" { String::new() } else { format!(" --port {port}") };
    let socket = format!(
        "  cargo run --{port} --listen alice\n  ws://{address}/ws?usersig={}&device_id=laptop\n",
        sign("alice")
    );
    format!(
        "Demo app    SDKAppID {SDK_APP_ID}, administrator `{ADMINISTRATOR}`, secret key `{SECRET_KEY}`\n\
         \x20           App-Key `{APP_KEY}`, App-Secret `{APP_SECRET}`\n\n\
         Import a user, tag her, and push to everyone (the signatures are good for a day):\n\n{import}{tag}{push}\n\
         Listen as that user, in another terminal or by any WebSocket client:\n\n{socket}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_app_is_an_app() {
        let apps = apps(None, &json!({})).unwrap();
        assert_eq!(apps[0].id.to_string(), "1400000000");
    }

    #[test]
    fn what_is_to_be_pasted_survives_the_shell() {
        let greeting = greeting("127.0.0.1:3000", 1_700_000_000);
        for line in greeting.lines().filter(|line| line.trim_start().starts_with("curl")) {
            assert_eq!(line.matches('\'').count() % 2, 0, "{line}");
            let outside: String = line.split('\'').step_by(2).collect();
            assert!(!outside.contains(['{', '"', '&']), "{outside}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let error = apps(Some(Path::new("/nowhere/apps.json")), &json!({})).unwrap_err();
        assert!(error.to_string().contains("/nowhere/apps.json"));
    }
}
