//! A push that a vendor does not take is refused before it is accepted, by each call of both contracts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fanfare::domain::{AppName, Channel};
use fanfare::store::AppStore;
use serde_json::{Value, json};
use support::{ADMIN, APP_KEY, APP_SECRET, SDK_APP_ID, Stack, form};

use crate::two_apps::tables;
use crate::{KEY, a_stack_of, app, sign, text, url};

const VIVO: &str = "15513410784181118114099";
const HUAWEI: &str = "AAWWHI94sgUR2RU5_anne";
/// Most characters of data that vivo takes (`clientCustomMap`), but for `push_id` and its value, and the name `ext`.
const VIVOS_ROOM: usize = 1_024 - 7 - 22 - 3;

/// A call that carries so many characters of data for the app, and the number with which it is refused.
struct Row {
    call: &'static str,
    body: fn(usize) -> Value,
    room: usize,
    code: u32,
}

/// Each call that vendors are told of.
const ROWS: &[Row] = &[
    Row {
        call: "all_member_push/im_push",
        body: |length| json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi"), "OfflinePushInfo": {"Ext": data(length)}}),
        room: VIVOS_ROOM,
        code: 90043,
    },
    // Without an `OfflinePushInfo`.
    Row {
        call: "all_member_push/im_push",
        body: |length| {
            let body =
                json!([{"MsgType": "TIMCustomElem", "MsgContent": {"Data": "d", "Desc": "hi", "Ext": data(length)}}]);
            json!({"MsgRandom": 4, "MsgLifeTime": 600, "MsgBody": body})
        },
        room: VIVOS_ROOM,
        code: 90043,
    },
    Row { call: NEWER, body: newer, room: VIVOS_ROOM, code: 90043 },
    Row {
        call: "timpush/batch",
        body: |length| {
            json!({"MsgRandom": 3, "MsgLifeTime": 600, "To_Account": ["anne"],
                "OfflinePushInfo": {"Desc": "hi", "Ext": data(length)}})
        },
        room: VIVOS_ROOM,
        code: 90043,
    },
    Row { call: "/push.json", body: |length| notification(length, json!({})), room: VIVOS_ROOM + 2, code: 1005 },
    Row {
        call: "/push.json",
        body: |length| {
            let message = json!({"fromuserid": "boss", "message": {"content": "{}", "objectName": "RC:TxtMsg"}});
            notification(length, message)
        },
        room: VIVOS_ROOM + 2,
        code: 1005,
    },
    Row { call: "/push/custom.json", body: |length| notification(length, json!({})), room: VIVOS_ROOM + 2, code: 1005 },
    Row {
        call: "/push/user.json",
        body: |length| json!({"userIds": ["anne"], "notification": {"pushContent": "hi", "android": {"extras": {"k": data(length)}}}}),
        room: VIVOS_ROOM + 2,
        code: 1005,
    },
    Row { call: "/message/broadcast.json", body: broadcast, room: VIVOS_ROOM, code: 1005 },
];

/// The call of the newer service that pushes to everyone.
const NEWER: &str = "timpush/push";

fn newer(length: usize) -> Value {
    json!({"MsgRandom": 2, "MsgLifeTime": 600, "OfflinePushInfo": {"Desc": "hi", "Ext": data(length)}})
}

fn data(length: usize) -> String {
    "d".repeat(length)
}

/// A push of RongCloud's, to Android, with so many characters under a name of one.
fn notification(length: usize, more: Value) -> Value {
    let mut push = json!({"platform": ["android"], "audience": {"is_to_all": true},
        "notification": {"alert": "hi", "android": {"extras": {"k": data(length)}}}});
    push.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    push
}

/// The fields of a form.
fn broadcast(length: usize) -> Value {
    json!({"fromUserId": "boss", "objectName": "RC:TxtMsg", "content": "{}", "pushContent": "hi", "pushData": data(length)})
}

/// An app with all vendors, which may call as often as it likes, one with none, and one with all that may not push; in the
/// first a user with two phones.
async fn furnished() -> Stack {
    let quotas = json!({"push_interval_ms": 0});
    let mut one = app(SDK_APP_ID, json!({}), quotas.clone());
    let signed = ROWS.iter().map(|row| row.call).filter(|call| call.starts_with('/'));
    let rates: BTreeMap<&str, Value> = signed.map(|call| (call, json!({}))).collect();
    one["rongcloud"] = json!({"app_key": APP_KEY, "app_secret": APP_SECRET, "rates": rates});
    one["channels"] = json!("sandbox");
    let mut other = app(SDK_APP_ID + 1, json!({}), quotas);
    other["rongcloud"] = json!({"app_key": "another", "app_secret": APP_SECRET});
    let mut poor = app(SDK_APP_ID + 2, json!({}), json!({"pushes_per_day": 0}));
    poor["channels"] = json!("sandbox");
    let stack = a_stack_of(&[one, other, poor]).await;
    stack.register("anne", "x100", "vivo", VIVO).await;
    stack.register("anne", "p40", "huawei", HUAWEI).await;
    stack
}

/// Calls, as its contract wants it; the number and the sentence of the answer.
async fn call(stack: &Stack, call: &str, body: &Value) -> (u32, String) {
    let (answer, number, sentence) = match call {
        _ if !call.starts_with('/') => (stack.call(call, body.clone()).await, "ErrorCode", "ErrorInfo"),
        _ if call.starts_with("/message/") => {
            let fields: Vec<(&str, &str)> = body
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect();
            (stack.signed(call, form(&fields), "application/x-www-form-urlencoded").await.1, "code", "errorMessage")
        }
        _ => (stack.signed_json(call, body).await.1, "code", "errorMessage"),
    };
    let number = answer[number].as_u64().unwrap_or_else(|| panic!("{call}: {answer}"));
    (u32::try_from(number).unwrap(), answer[sentence].as_str().unwrap_or_default().to_owned())
}

/// All that a refused push could have changed, but the counted calls.
async fn state(stack: &Stack) -> (BTreeSet<String>, usize) {
    stack.idle().await;
    let mut items = tables(stack).await;
    items.retain(|item| !item.contains("#r#"));
    (items, stack.deliveries("vivo").await.len() + stack.deliveries("huawei").await.len())
}

#[tokio::test]
async fn one_character_too_many_for_a_vendor_is_refused_by_each_call_and_one_less_arrives() {
    let stack = furnished().await;
    for Row { call: path, body, room, code } in ROWS {
        let (before, spent) = (state(&stack).await, stack.spent(&SDK_APP_ID.to_string()).await);
        let (number, sentence) = call(&stack, path, &body(room + 1)).await;
        assert_eq!(number, *code, "{path}: {sentence}");
        assert!(sentence.contains("too long for vivo: 1025 characters of data"), "{path}: {sentence}");
        assert!(sentence.contains("1024 are the most"), "{path}: {sentence}");
        assert_eq!(state(&stack).await, before, "{path}");
        assert_eq!(stack.spent(&SDK_APP_ID.to_string()).await, spent, "{path}");

        let (number, sentence) = call(&stack, path, &body(*room)).await;
        assert!([0, 200].contains(&number), "{path}: {number} {sentence}");
        stack.idle().await;
        let all = stack.deliveries("vivo").await;
        let last = all.last().unwrap_or_else(|| panic!("{path} arrives"));
        assert_eq!((&last["accepted"], &last["token"]), (&json!(true), &json!(VIVO)), "{path}");
        let custom = &last["request"]["body"]["clientCustomMap"];
        assert!(custom.as_object().unwrap().values().any(|value| *value == data(*room)), "{path}: {custom}");
        stack.local(reqwest::Method::DELETE, "deliveries", None).await;
    }
}

#[tokio::test]
async fn what_huawei_has_escaped_twice_is_measured_so() {
    const MORE: usize = 37;
    let stack = furnished().await;
    // Fewer characters than vivo takes, and more bytes than Huawei does.
    type Row = (&'static str, fn(String) -> Value, usize, u32);
    let rows: [Row; 2] = [
        (
            NEWER,
            |ext| json!({"MsgRandom": 1, "MsgLifeTime": 600, "OfflinePushInfo": {"Desc": "hi", "Ext": ext}}),
            940,
            90043,
        ),
        (
            "/push/user.json",
            |ext| json!({"userIds": ["anne"], "notification": {"pushContent": "hi", "android": {"extras": {"k": ext}}}}),
            955,
            1005,
        ),
    ];
    for (path, body, quotes, code) in rows {
        let quotes = "\"".repeat(quotes);
        let (number, sentence) = call(&stack, path, &body(quotes.clone() + &"x".repeat(MORE))).await;
        assert_eq!(number, code, "{path}: {sentence}");
        let size = sentence.split("too long for huawei: ").nth(1).and_then(|rest| rest.split(' ').next());
        let excess = size.unwrap_or_else(|| panic!("{path}: {sentence}")).parse::<usize>().unwrap() - 4_096;
        let fits = quotes.clone() + &"x".repeat(MORE - excess);
        let (number, sentence) = call(&stack, path, &body(fits.clone() + "x")).await;
        assert_eq!(number, code, "{path}: {sentence}");
        assert!(sentence.contains("too long for huawei: 4097 bytes"), "{path}: {sentence}");
        let (number, sentence) = call(&stack, path, &body(fits.clone())).await;
        assert!([0, 200].contains(&number), "{path}: {number} {sentence}");
        stack.idle().await;
        let all = stack.deliveries("huawei").await;
        let last = all.last().unwrap_or_else(|| panic!("{path} arrives"));
        assert_eq!((&last["accepted"], &last["token"]), (&json!(true), &json!(HUAWEI)), "{path}");
        let sent: Value = serde_json::from_str(last["request"]["body"]["message"]["data"].as_str().unwrap()).unwrap();
        assert!(sent.as_object().unwrap().values().any(|value| *value == fits), "{path}: {sent}");
    }
}

#[tokio::test]
async fn vendors_that_a_push_does_not_go_to_do_not_mind() {
    let stack = furnished().await;
    let too_much = 2_000;
    // Not for Android.
    let mut push = notification(too_much, json!({}));
    push["platform"] = json!(["ios"]);
    push["notification"]["ios"] = json!({"extras": {"k": data(too_much)}});
    let (number, sentence) = call(&stack, "/push.json", &push).await;
    assert_eq!(number, 200, "{sentence}");
    push["platform"] = json!(["ios", "android"]);
    assert_eq!(call(&stack, "/push.json", &push).await.0, 1005);
    // To no vendor at all.
    let mut online = (ROWS[0].body)(too_much);
    online["OfflinePushInfo"]["PushFlag"] = json!(1);
    let (number, sentence) = call(&stack, ROWS[0].call, &online).await;
    assert_eq!(number, 0, "{sentence}");
}

#[tokio::test]
async fn it_is_found_after_an_unknown_sender_and_before_the_quota() {
    let stack = furnished().await;
    let number = SDK_APP_ID + 2;
    let url = url(&stack, NEWER, number, ADMIN, &sign(number, KEY, ADMIN, stack.now()));
    for (length, sender, code) in
        [(VIVOS_ROOM + 1, "nobody", 90048), (VIVOS_ROOM + 1, ADMIN, 90043), (VIVOS_ROOM, ADMIN, 90047)]
    {
        let mut push = newer(length);
        push["From_Account"] = json!(sender);
        let answer = stack.post(&url, push.to_string()).await;
        assert_eq!(answer["ErrorCode"], code, "{answer}");
    }
}

#[tokio::test]
async fn an_app_is_bound_by_the_vendors_that_it_is_with_and_repeats_are_answered_as_before() {
    let stack = furnished().await;
    let number = SDK_APP_ID + 1;
    let url = url(&stack, NEWER, number, ADMIN, &sign(number, KEY, ADMIN, stack.now()));
    let push = |random: u32, length: usize| {
        let mut push = newer(length);
        push["MsgRandom"] = json!(random);
        push
    };
    let first = stack.post(&url, push(1, 2_000).to_string()).await;
    assert_eq!(first["ErrorCode"], 0, "{first}");
    let signed = async |length| {
        let body = notification(length, json!({})).to_string();
        stack.signed_as("another", APP_SECRET, "/push.json", body, "application/json", &[]).await.1
    };
    let first_signed = signed(2_000).await;
    assert_eq!(first_signed["code"], 200, "{first_signed}");

    // Now it is with vivo.
    let (client, tables) = stack.store().await;
    let apps = AppStore::new(client, tables.apps);
    let app = async |number| apps.by_name(&AppName::SdkAppId(number)).await.unwrap().unwrap();
    let mut changed = app(number).await.as_ref().clone();
    changed.channels.vivo = app(SDK_APP_ID).await.channels.vivo.clone();
    assert!(changed.channels.has(Channel::Vivo));
    apps.put(&changed).await.unwrap();
    // An environment remembers an app for ten seconds.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let refused = stack.post(&url, push(2, 2_000).to_string()).await;
    assert_eq!(refused["ErrorCode"], 90043, "{refused}");
    assert_eq!(signed(2_001).await["code"], 1005);
    let again = stack.post(&url, push(1, 2_000).to_string()).await;
    assert_eq!(again["TaskId"], first["TaskId"], "{again}");
    assert_eq!(signed(2_000).await["id"], first_signed["id"]);
}
