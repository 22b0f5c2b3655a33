//! A request in which everything is wrong is told its first fault. Whoever mends one at a time is told them all, in the
//! order that the documentation has, and nothing has happened before the last is mended.

use std::collections::BTreeSet;

use fanfare::domain::{AppId, Timestamp, UserId};
use fanfare::store::StandingStore;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::{ADMIN, Stack};

use crate::{KEY, a_stack_of, app, sign, text};

/// May call nothing, not push, and has no pushes a day.
const TIED: u64 = 1;
/// May call, but not push, and has no pushes a day.
const MUTE: u64 = 2;
/// May push, but has no pushes a day.
const POOR: u64 = 3;
/// May do all.
const FREE: u64 = 4;
/// Is none.
const NO_APP: u64 = 5;

const PUSH: &str = "all_member_push/im_push";
const ADD_TAG: &str = "all_member_push/im_add_tag";

/// A request, and the first of its faults.
struct Step {
    method: Method,
    app: Option<u64>,
    identifier: &'static str,
    user_sig: String,
    body: String,
    code: u64,
}

#[tokio::test]
async fn the_first_fault_is_told_and_nothing_is_done() {
    let none = json!({PUSH: 0, ADD_TAG: 0});
    let no_push = json!({"push_enabled": false});
    let stack = &a_stack_of(&[
        app(TIED, no_push.clone(), json!({"pushes_per_day": 0, "calls_per_second": none})),
        app(MUTE, no_push, json!({"pushes_per_day": 0})),
        app(POOR, json!({}), json!({"pushes_per_day": 0})),
        app(FREE, json!({}), json!({})),
    ])
    .await;
    for sdk_app_id in [TIED, MUTE, POOR, FREE] {
        let imported = json!({"UserID": "alice"}).to_string();
        let signature = sign(sdk_app_id, KEY, ADMIN, stack.now());
        let url = crate::url(stack, "im_open_login_svc/account_import", sdk_app_id, ADMIN, &signature);
        assert_eq!(stack.post(&url, imported).await["ErrorCode"], 0);
    }
    let void_until = make_void(stack, "kicked").await;

    let (good_push, good_tags) = (
        json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")}),
        json!({"UserTags": [{"To_Account": "alice", "Tags": ["gold"]}]}),
    );
    let mut bad_push = good_push.clone();
    bad_push["MsgLifeTime"] = json!(-1);
    let bad_tags = json!({"UserTags": [{"To_Account": "alice", "Tags": ["gold", "x".repeat(51)]}]});

    lock_out(stack, "locked").await;
    let mut walk = entrance(stack, PUSH, void_until);
    walk.extend([
        // What is wrong with a field does not matter to an app that may not push, nor its quota.
        administrated(MUTE, stack, "{".to_owned(), 90001),
        administrated(MUTE, stack, bad_push.to_string(), 90045),
        administrated(POOR, stack, bad_push.to_string(), 90026),
        administrated(POOR, stack, good_push.to_string(), 90047),
        administrated(FREE, stack, good_push.to_string(), 0),
    ]);
    follow(stack, PUSH, walk).await;
    stack.idle().await;

    lock_out(stack, "locked").await;
    let mut walk = entrance(stack, ADD_TAG, void_until);
    walk.extend([
        administrated(MUTE, stack, "{".to_owned(), 90001),
        administrated(MUTE, stack, bad_tags.to_string(), 90020),
        administrated(MUTE, stack, good_tags.to_string(), 0),
    ]);
    follow(stack, ADD_TAG, walk).await;

    // The push is the app's first, and its message the only one.
    let url = format!(
        "{}/ws?usersig={}&device_id=phone",
        stack.base().replacen("http", "ws", 1),
        sign(FREE, KEY, "alice", stack.now())
    );
    let pushes = support::Socket::open(&url).await.sync().await;
    assert_eq!(pushes.iter().map(|push| (&push["seq"], &push["body"])).collect::<Vec<_>>(), [(&json!(1), &text("hi"))]);
}

/// Makes void what a user of the first app has. Returns until when.
async fn make_void(stack: &Stack, user: &str) -> i64 {
    let (client, tables) = stack.store().await;
    let (app, user) = (AppId::try_from(TIED.to_string()).unwrap(), UserId::try_from(user).unwrap());
    let until = stack.now();
    StandingStore::new(client, tables.audience).void(&app, &user, Timestamp::from_secs(until)).await.unwrap();
    until
}

/// Locks a caller out of the first app, for a minute.
async fn lock_out(stack: &Stack, identifier: &str) {
    let forged = sign(TIED, "another key", identifier, stack.now());
    let url = crate::url(stack, PUSH, TIED, identifier, &forged);
    let mut failures = 0;
    while stack.post(&url, "{}").await["ErrorCode"] != 70050 {
        failures += 1;
        assert!(failures <= 20, "never locked out");
    }
}

/// Up to the frequency all calls are checked alike. Each request has all the faults of those after it.
fn entrance(stack: &Stack, call: &str, void_until: i64) -> Vec<Step> {
    let now = stack.now();
    let step = |method: &Method, app: Option<u64>, identifier: &'static str, user_sig: String, code: u64| Step {
        method: method.clone(),
        app,
        identifier,
        user_sig,
        body: "{".to_owned(),
        code,
    };
    let forged = |user: &str| sign(TIED, "another key", user, void_until);
    let (get, post) = (Method::GET, Method::POST);
    assert!(call == PUSH || call == ADD_TAG, "the first app may not do it");
    vec![
        step(&get, None, "locked", forged("locked"), 60009),
        step(&post, None, "locked", forged("locked"), 60012),
        step(&post, Some(NO_APP), "", forged("locked"), 60025),
        step(&post, Some(NO_APP), "locked", forged("locked"), 70020),
        step(&post, Some(TIED), "locked", forged("locked"), 70050),
        step(&post, Some(TIED), "kicked", forged("kicked"), 70009),
        step(&post, Some(TIED), "kicked", sign(TIED, KEY, "kicked", void_until), 70001),
        step(&post, Some(TIED), "kicked", sign(TIED, KEY, "kicked", void_until + 1), 60010),
        step(&post, Some(TIED), ADMIN, sign(TIED, KEY, ADMIN, now), 60007),
    ]
}

fn administrated(app: u64, stack: &Stack, body: String, code: u64) -> Step {
    let user_sig = sign(app, KEY, ADMIN, stack.now());
    Step { method: Method::POST, app: Some(app), identifier: ADMIN, user_sig, body, code }
}

async fn follow(stack: &Stack, call: &str, walk: Vec<Step>) {
    let http = Client::new();
    let before = stored(stack).await;
    let mut told = BTreeSet::new();
    for step in walk {
        assert!(told.insert(step.code), "{} twice", step.code);
        let app = step.app.map(|app| format!("sdkappid={app}&")).unwrap_or_default();
        let (identifier, user_sig) = (step.identifier, step.user_sig);
        let url = format!("{}/v4/{call}?{app}identifier={identifier}&usersig={user_sig}", stack.base());
        let answer = http.request(step.method, url).body(step.body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["ErrorCode"], step.code, "{call}: {answer}");
        assert_eq!(stored(stack).await == before, step.code != 0, "{call}, {}: what is stored", step.code);
    }
}

/// All that is stored, but for the counters of calls and of wrong UserSigs.
pub async fn stored(stack: &Stack) -> BTreeSet<String> {
    let (client, tables) = stack.store().await;
    let mut items = BTreeSet::new();
    for table in [tables.audience, tables.pushes] {
        let page = client.scan().table_name(&table).send().await.unwrap();
        assert_eq!(page.last_evaluated_key, None);
        let counts = |pk: &str| pk.contains("#f#") || pk.contains("#r#");
        for item in page.items.unwrap_or_default() {
            let pk = item["pk"].as_s().unwrap();
            if !counts(pk) {
                let mut attributes: Vec<_> = item.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                attributes.sort_unstable();
                items.insert(attributes.join(" "));
            }
        }
    }
    items
}
