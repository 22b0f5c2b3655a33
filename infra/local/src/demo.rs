//! The apps that the stack knows from the start, and what to try with them.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::Client;
use fanfare::dialect::rongcloud::signature;
use fanfare::dialect::tencent::usersig;
use fanfare::domain::App;
use fanfare::store::{AppStore, StoreError};
use serde_json::{Value, json};

use crate::webhook::TOKEN;

/// The demo app's id, and its `SDKAppID`.
const SDK_APP_ID: u64 = 1_400_000_000;
const ADMINISTRATOR: &str = "administrator";
const SECRET_KEY: &str = "fanfare-local-secret-key";
const APP_KEY: &str = "fanfare-local";
const APP_SECRET: &str = "fanfare-local-app-secret";
/// What a signature of the greeting is made over, beside the time.
const NONCE: &str = "14314";

/// What stands in a file for the credentials of the sandbox, which are made anew at every start.
const SANDBOX: &str = "sandbox";

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
    /// Two of them cannot be told apart.
    #[error("{origin} has two apps of the {kind} `{value}`")]
    Twice {
        /// Where they are from.
        origin: String,
        /// Which of their names.
        kind: &'static str,
        /// What it is.
        value: String,
    },
    /// The table does not take them.
    #[error("cannot store an app")]
    Store(#[from] Box<StoreError>),
}

/// The apps of a file, or the demo app with its channels configured to the sandbox, and its webhook if there is a URL. In
/// a file, `"channels": "sandbox"` configures them so too, and `{"sandbox": true, "meizu": {"rate": 10}}` with what it says
/// instead.
///
/// # Errors
///
/// When the file holds none.
pub fn apps(file: Option<&Path>, channels: &Value, webhook: Option<&str>) -> Result<Vec<App>, Error> {
    let Some(path) = file else { return read("the demo app", json!([demo(channels, webhook)]), channels) };
    let text = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let origin = path.display().to_string();
    let apps = serde_json::from_slice(&text).map_err(|source| Error::Parse { origin: origin.clone(), source })?;
    read(&origin, apps, channels)
}

fn read(origin: &str, mut apps: Value, channels: &Value) -> Result<Vec<App>, Error> {
    for app in apps.as_array_mut().into_iter().flatten() {
        if app["channels"] == SANDBOX {
            app["channels"] = channels.clone();
        } else if app["channels"][SANDBOX] == true {
            let own = app["channels"].take();
            app["channels"] = channels.clone();
            overrule(&mut app["channels"], own);
        }
    }
    let apps: Vec<App> =
        serde_json::from_value(apps).map_err(|source| Error::Parse { origin: origin.to_owned(), source })?;
    let mut seen = HashSet::new();
    for app in &apps {
        for name in app.names() {
            if !seen.insert(name.clone()) {
                let (kind, value) = (name.kind(), name.to_string());
                return Err(Error::Twice { origin: origin.to_owned(), kind, value });
            }
        }
    }
    Ok(apps)
}

/// Of each vendor the members that an app has of its own, in place of the sandbox's.
fn overrule(channels: &mut Value, own: Value) {
    let Value::Object(own) = own else { return };
    for (vendor, settings) in own.into_iter().filter(|(name, _)| name != SANDBOX) {
        match (channels[&vendor].as_object_mut(), settings) {
            (Some(known), Value::Object(settings)) => known.extend(settings),
            (_, settings) => channels[&vendor] = settings,
        }
    }
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

fn demo(channels: &Value, webhook: Option<&str>) -> Value {
    // On this machine, which is as private as can be.
    let webhook = webhook.map(|url| json!({"url": url, "token": TOKEN, "allow_private": true}));
    json!({
        "id": SDK_APP_ID.to_string(),
        "tencent": {"sdk_app_id": SDK_APP_ID, "secret_key": SECRET_KEY, "admins": [ADMINISTRATOR]},
        "rongcloud": {"app_key": APP_KEY, "app_secret": APP_SECRET},
        "channels": channels,
        "webhook": webhook,
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
    // RongCloud's own clients make these once and send them with every call.
    let timestamp = now.to_string();
    let signature = signature::sign(&APP_SECRET.to_owned().into(), NONCE, &timestamp);
    let signed =
        format!("-H 'App-Key: {APP_KEY}' -H 'Nonce: {NONCE}' -H 'Timestamp: {timestamp}' -H 'Signature: {signature}'");
    let signed_call = |path: &str, body: &str| {
        format!("  curl 'http://{address}{path}' {signed} -H 'Content-Type: application/json' -d '{body}'\n")
    };
    let set_tags = signed_call("/user/tag/set.json", r#"{"userId":"alice","tags":["gold","silver"]}"#);
    let push_by_tag = signed_call(
        "/push.json",
        r#"{"platform":["ios","android"],"fromuserid":"administrator","audience":{"tag":["silver"],"is_to_all":false},"message":{"content":"{\"content\":\"hello, silver\"}","objectName":"RC:TxtMsg"},"notification":{"alert":"hello, silver"}}"#,
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
         The same in RongCloud's words: tag her, and push to a tag (twice an hour, as its contract has it):\n\n{set_tags}{push_by_tag}\n\
         Listen as that user, in another terminal or by any WebSocket client:\n\n{socket}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_app_is_an_app() {
        let without = apps(None, &json!({}), None).unwrap();
        assert_eq!(without[0].id.to_string(), "1400000000");
        assert!(without[0].webhook.is_none());
        let with = apps(None, &json!({}), Some("http://127.0.0.1:1/hook")).unwrap();
        assert!(with[0].webhook.as_ref().is_some_and(|webhook| webhook.token.is_some()));
    }

    #[test]
    fn apps_of_a_file_may_use_the_sandbox_and_may_not_be_mistaken_for_each_other() {
        let channels = json!({"fcm": {"endpoint": "https://sandbox", "service_account":
            {"project_id": "p", "client_email": "e", "private_key": "k"}}});
        let app = |id: &str, number: u64| {
            json!({"id": id, "channels": "sandbox",
                "tencent": {"sdk_app_id": number, "secret_key": "k", "admins": []}})
        };
        let apps = read("here", json!([app("a", 1), app("b", 2)]), &channels).unwrap();
        assert!(apps.iter().all(|app| app.channels.fcm.is_some()));
        let mut slower = app("a", 1);
        slower["channels"] = json!({"sandbox": true, "fcm": {"rate": 10}, "meizu": {"app_id": "1", "app_secret": "s"}});
        let slower = &read("here", json!([slower]), &channels).unwrap()[0].channels;
        assert_eq!(
            slower.fcm.as_ref().map(|fcm| (fcm.endpoint.as_str(), fcm.rate)),
            Some(("https://sandbox", Some(10)))
        );
        assert!(slower.meizu.is_some());
        let error = read("here", json!([app("a", 1), app("b", 1)]), &channels).unwrap_err();
        assert_eq!(error.to_string(), "here has two apps of the SDKAppID `1`");
        assert!(matches!(read("here", json!({}), &channels), Err(Error::Parse { .. })));
    }

    #[test]
    fn what_is_to_be_pasted_survives_the_shell() {
        let greeting = greeting("127.0.0.1:3000", 1_700_000_000);
        let lines: Vec<&str> = greeting.lines().filter(|line| line.trim_start().starts_with("curl")).collect();
        assert_eq!(lines.len(), 5);
        for line in lines {
            assert_eq!(line.matches('\'').count() % 2, 0, "{line}");
            let outside: String = line.split('\'').step_by(2).collect();
            assert!(!outside.contains(['{', '"', '&']), "{outside}");
            let body = line.rsplit("-d '").next().unwrap().trim_end_matches('\'').replace("'$RANDOM'", "1");
            assert!(serde_json::from_str::<Value>(&body).is_ok_and(|body| body.is_object()), "{body}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let error = apps(Some(Path::new("/nowhere/apps.json")), &json!({}), None).unwrap_err();
        assert!(error.to_string().contains("/nowhere/apps.json"));
    }
}
