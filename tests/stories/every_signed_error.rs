//! Every number that a call of RongCloud's contract can come back with, and its limits on both of their sides.
//!
//! As with the other contract: what is refused has changed nothing, not one item of the tables but the counted calls.

use std::collections::BTreeSet;

use fanfare::dialect::rongcloud::{Code, Command};
use reqwest::Method;
use serde_json::{Map, Value, json};
use support::{APP_KEY, APP_SECRET, SDK_APP_ID, Stack, form};

use crate::{a_stack_of, app};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Numbers that no request of a test can bring about, and who shows them.
const ELSEWHERE: &[(u32, &str)] = &[(1050, "dialect::answers: a function that takes too long")];

/// A request, and the number that it comes back with.
struct Row(&'static str, String, u32);

/// A good push with one member changed: `null` takes it away.
fn push(name: &str, value: Value) -> String {
    let mut push = json!({"platform": ["ios", "android"], "audience": {"tag": ["gold"], "is_to_all": false}, "notification": {"alert": "hi"}});
    set(&mut push, name, value);
    push.to_string()
}

/// A good push that is a message as well.
fn message(name: &str, value: Value) -> String {
    let mut push = json!({"platform": ["ios"], "fromuserid": "boss", "audience": {"tag": ["gold"], "is_to_all": false},
        "message": {"content": "{}", "objectName": "RC:TxtMsg"}, "notification": {"alert": "hi"}});
    set(&mut push, name, value);
    push.to_string()
}

/// A good push to named users.
fn to_users(name: &str, value: Value) -> String {
    let mut push = json!({"userIds": ["anne"], "notification": {"pushContent": "hi"}});
    set(&mut push, name, value);
    push.to_string()
}

/// A good form with one field changed; an empty one is as good as none.
fn changed(fields: &[(&str, &str)], name: &str, value: &str) -> String {
    let others = fields.iter().copied().filter(|(known, _)| *known != name);
    form(&others.chain([(name, value)]).collect::<Vec<_>>())
}

const MESSAGE: &[(&str, &str)] = &[("fromUserId", "boss"), ("objectName", "RC:TxtMsg"), ("content", "{}")];
const QUIET: &[(&str, &str)] = &[("userId", "anne"), ("startTime", "00:00:00"), ("period", "60"), ("level", "1")];

/// Sets a member by its path, `a.b`.
fn set(json: &mut Value, path: &str, value: Value) {
    let place = path.split('.').fold(json, |json, name| &mut json[name]);
    *place = value;
}

fn many(count: usize) -> Value {
    (0..count).map(|n| format!("n{n}")).collect()
}

/// So many users, as `/user/tags/get.json` asks for them.
fn asked(count: usize) -> String {
    (0..count).map(|n| format!("userIds=n{n}")).collect::<Vec<_>>().join("&")
}

/// A message too long for a frame of a socket, of so many bytes of content.
fn long(bytes: usize) -> String {
    json!({"content": "x".repeat(bytes)}).to_string()
}

/// What must be refused, though whoever asks may.
fn refused() -> Vec<Row> {
    let mut rows = Vec::new();
    for command in Command::ALL {
        rows.push(Row(command.path, String::new(), 1003));
        rows.push(Row(command.path, "x".to_owned(), 1002));
        rows.push(Row(command.path, "[]".to_owned(), 1002));
        rows.push(Row(command.path, " ".repeat(1024 * 1024 + 1), 1005));
    }
    let tags = |tags: Value| json!({"userId": "anne", "tags": tags}).to_string();
    let batch = |users: Value, tags: Value| json!({"userIds": users, "tags": tags}).to_string();
    rows.extend([
        Row("/user/tag/set.json", json!({"tags": []}).to_string(), 1002),
        Row("/user/tag/set.json", json!({"userId": "anne"}).to_string(), 1002),
        Row("/user/tag/set.json", json!({"userId": "x".repeat(65), "tags": []}).to_string(), 1005),
        Row("/user/tag/set.json", tags(json!(["x".repeat(41)])), 1005),
        Row("/user/tag/set.json", tags(json!([""])), 1002),
        Row("/user/tag/set.json", tags(many(21)), 1002),
        Row("/user/tag/set.json", tags(json!("a")), 1002),
        Row("/user/tag/batch/set.json", batch(json!([]), json!(["a"])), 1002),
        Row("/user/tag/batch/set.json", batch(many(1_001), json!(["a"])), 1002),
        Row("/user/tag/batch/set.json", batch(json!(["anne", "x".repeat(65)]), json!(["a"])), 1005),
        Row("/user/tag/batch/set.json", batch(json!(["anne"]), many(21)), 1002),
        Row("/user/tags/get.json", asked(51), 1002),
        Row("/user/tags/get.json", form(&[("userIds", &"x".repeat(65))]), 1005),
        Row("/user/getToken.json", form(&[("name", "Anne")]), 1002),
        Row("/user/getToken.json", form(&[("userId", "a\nb")]), 1002),
        Row("/user/getToken.json", form(&[("userId", "anne"), ("name", &"x".repeat(1_025))]), 1005),
        Row("/user/blockPushPeriod/set.json", changed(QUIET, "startTime", "24:00:00"), 1002),
        Row("/user/blockPushPeriod/set.json", changed(QUIET, "period", "1440"), 1002),
        Row("/user/blockPushPeriod/set.json", changed(QUIET, "level", "2"), 1002),
        Row("/user/blockPushPeriod/set.json", changed(QUIET, "userId", ""), 1002),
        Row("/user/blockPushPeriod/get.json", form(&[("user", "anne")]), 1002),
        Row("/user/blockPushPeriod/delete.json", form(&[("userId", &"x".repeat(65))]), 1005),
    ]);
    for path in ["/push.json", "/push/custom.json"] {
        rows.extend([
            Row(path, push("platform", json!([])), 1002),
            Row(path, push("platform", json!(["web"])), 1002),
            Row(path, push("audience", Value::Null), 1002),
            Row(path, push("audience", json!({"is_to_all": false})), 1002),
            Row(path, push("audience.is_to_all", json!("true")), 1002),
            Row(path, push("audience.tag", json!("gold")), 1002),
            Row(path, push("audience.tag", many(21)), 1002),
            Row(path, push("audience.tag_or", json!(["x".repeat(51)])), 1005),
            Row(path, push("notification", Value::Null), 1002),
            Row(path, push("notification.alert", Value::Null), 1002),
            Row(path, push("notification.title", json!("中".repeat(51))), 1005),
            Row(path, push("notification.ios", json!({"badge": 10_000})), 1002),
            Row(path, push("notification.ios", json!({"interruption-level": "loud"})), 1002),
            Row(path, push("notification.android", json!([1])), 1002),
        ]);
    }
    rows.extend([
        Row("/push.json", push("audience.userid", many(1_001)), 1002),
        Row("/push.json", push("audience.userid", json!(["x".repeat(65)])), 1005),
        Row("/push.json", message("fromuserid", Value::Null), 1002),
        Row("/push.json", message("message", Value::Null), 1002),
        Row("/push.json", message("fromuserid", json!("x".repeat(65))), 1005),
        Row("/push.json", message("message.objectName", json!("x".repeat(33))), 1005),
        Row("/push.json", message("message.content", json!("no JSON")), 1002),
        Row("/push.json", message("message.content", json!(long(32 * 1024))), 1005),
        Row("/push/custom.json", push("audience.tagItems", json!([{"tags": [], "tagsOperator": "XOR"}])), 1002),
        Row("/push/user.json", to_users("userIds", many(101)), 1002),
        Row("/push/user.json", to_users("userIds", json!([])), 1002),
        Row("/push/user.json", to_users("userIds", json!(["x".repeat(65)])), 1005),
        Row("/push/user.json", to_users("notification", json!({"alert": "hi"})), 1002),
        Row(
            "/message/broadcast/recall.json",
            form(&[("fromUserId", "boss"), ("messageUID", "0000000000000000000001")]),
            1002,
        ),
        Row("/message/broadcast/recall.json", form(&[("fromUserId", "boss"), ("messageUID", "x")]), 1002),
    ]);
    for path in ["/message/broadcast.json", "/message/online/broadcast.json"] {
        rows.extend([
            Row(path, changed(MESSAGE, "fromUserId", ""), 1002),
            Row(path, changed(MESSAGE, "objectName", &"x".repeat(33)), 1005),
            Row(path, changed(MESSAGE, "content", "no JSON"), 1002),
            Row(path, changed(MESSAGE, "content", &long(32 * 1024)), 1005),
        ]);
    }
    rows
}

/// What must pass, at the very limit.
fn passed() -> Vec<(&'static str, String)> {
    let name = "x".repeat(64);
    let tag = "中".repeat(13) + "x";
    vec![
        ("/user/tag/set.json", json!({"userId": name, "tags": [tag]}).to_string()),
        ("/user/tag/set.json", json!({"userId": "anne", "tags": many(20)}).to_string()),
        ("/user/tag/batch/set.json", json!({"userIds": many(1_000), "tags": many(20)}).to_string()),
        ("/user/tags/get.json", asked(50)),
        ("/user/getToken.json", form(&[("userId", &name), ("name", &"x".repeat(1_024))])),
        ("/user/blockPushPeriod/set.json", changed(QUIET, "startTime", "23:59:59")),
        ("/user/blockPushPeriod/set.json", changed(QUIET, "period", "1439")),
        ("/user/blockPushPeriod/set.json", changed(QUIET, "level", "5")),
        ("/push.json", push("audience.tag", many(20))),
        ("/push.json", push("audience.tag_or", json!([tag]))),
        ("/push.json", push("audience.userid", many(1_000))),
        ("/push.json", push("notification.title", json!("中".repeat(50)))),
        ("/push.json", push("notification.ios", json!({"badge": 9_999}))),
        ("/push.json", message("fromuserid", json!(name))),
        ("/push.json", message("message.objectName", json!("x".repeat(32)))),
        ("/push.json", message("message.content", json!(long(24 * 1024)))),
        ("/push/user.json", to_users("userIds", many(100))),
        ("/message/broadcast.json", changed(MESSAGE, "content", &long(24 * 1024))),
        ("/message/online/broadcast.json", form(MESSAGE)),
    ]
}

#[test]
fn every_number_has_a_row() {
    let rows = refused().into_iter().map(|Row(_, _, code)| code);
    // The others are of callers, and of what is not there.
    let callers = [404, 405, 1000, 1001, 1004, 1008, 1009];
    let shown: BTreeSet<u32> = rows.chain(callers).chain(ELSEWHERE.iter().map(|(code, _)| *code)).collect();
    let all: BTreeSet<u32> = Code::ALL.iter().map(|code| code.number()).collect();
    assert_eq!(shown, all);
}

#[tokio::test]
async fn what_is_refused_has_its_number_and_changes_nothing() {
    let stack = &furnished(json!({})).await;
    let before = state(stack).await;
    for Row(path, body, code) in refused() {
        let answer = signed(stack, path, &body).await;
        assert_refused(path, answer, code, &body);
    }
    assert_eq!(state(stack).await, before);
}

#[tokio::test]
async fn what_is_at_the_limit_passes() {
    let stack = &furnished(json!({})).await;
    for (path, body) in passed() {
        let (status, answer) = signed(stack, path, &body).await;
        assert_eq!((status, &answer["code"]), (200, &json!(200)), "{path}: {answer}");
    }
}

#[tokio::test]
async fn whoever_may_not_call_is_told_why_before_the_body_is_looked_at() {
    let stack = &furnished(json!({"services": ["push"], "rates": {"/user/tags/get.json": {"minute": 0}}})).await;
    let before = state(stack).await;
    for command in Command::ALL {
        let path = command.path;
        for (key, secret, code) in
            [("nobody", APP_SECRET, 1002), (APP_KEY, "another secret", 1004), ("without a secret", "", 1001)]
        {
            let answer = stack.signed_as(key, secret, path, "{", content_type("{"), &[]).await;
            assert_refused(path, answer, code, key);
        }
        let unsigned = reqwest::Client::new().post(format!("{}{path}", stack.base())).header("App-Key", APP_KEY);
        let answer = unsigned.body("{").send().await.unwrap();
        let status = answer.status().as_u16();
        assert_refused(path, (status, answer.json().await.unwrap()), 1004, "no signature");
        let other_method = reqwest::Client::new().get(format!("{}{path}", stack.base())).send().await.unwrap();
        let status = other_method.status().as_u16();
        assert_refused(path, (status, other_method.json().await.unwrap()), 405, "GET");
        assert_refused(&format!("{path}/"), stack.signed(&format!("{path}/"), "{", JSON).await, 404, "one slash more");
    }
    for (path, code) in [
        ("/user/tags/get.json", 1008),
        ("/push/custom.json", 1009),
        ("/message/broadcast.json", 1009),
        ("/message/online/broadcast.json", 1009),
    ] {
        assert_refused(path, stack.signed(path, "{", JSON).await, code, "before the body");
    }
    for path in [
        "/user",
        "/user/",
        "/user/tags/set.json",
        "/push",
        "/push/tag.json",
        "/push/recall.json",
        "/message/",
        "/stat/getDayPushData.json",
        "/",
    ] {
        assert_refused(path, stack.signed(path, "{}", JSON).await, 404, "no such path");
    }
    assert_eq!(state(stack).await, before);
}

#[tokio::test]
async fn a_table_that_fails_is_an_internal_error_and_the_same_request_passes_later() {
    let stack = &furnished(json!({})).await;
    let before = state(stack).await;
    let rows = [
        ("/user/tag/set.json", json!({"userId": "anne", "tags": ["new"]}).to_string(), "TransactWriteItems"),
        ("/user/tag/batch/set.json", json!({"userIds": ["anne"], "tags": ["new"]}).to_string(), "BatchGetItem"),
        ("/user/tags/get.json", asked(2), "BatchGetItem"),
        ("/user/getToken.json", form(&[("userId", "anne"), ("name", "A")]), "BatchGetItem"),
        ("/user/blockPushPeriod/get.json", form(&[("userId", "anne")]), "GetItem"),
        ("/push.json", push("platform", json!(["ios"])), "TransactWriteItems"),
        ("/push/user.json", to_users("userIds", json!(["anne"])), "BatchGetItem"),
        ("/message/broadcast.json", form(MESSAGE), "TransactWriteItems"),
    ];
    for (path, body, operation) in &rows {
        // The gate has its own uses of the table: what fails is what comes after it.
        let fail = json!({"fail": [{"service": "dynamodb", "operation": operation, "times": 1_000, "error": "InternalServerError"}]});
        stack.local(Method::PUT, "faults", Some(fail)).await;
        let answer = signed(stack, path, body).await;
        stack.local(Method::PUT, "faults", Some(json!({}))).await;
        assert_refused(path, answer, 1000, operation);
        assert_eq!(state(stack).await, before, "{path} with {operation}");
    }
    for (path, body, _) in &rows {
        let (status, answer) = signed(stack, path, body).await;
        assert_eq!((status, &answer["code"]), (200, &json!(200)), "{path}: {answer}");
    }
}

/// An app that may call as often as it likes but for `changes`, with a user in it; and another without a secret.
async fn furnished(changes: Value) -> Stack {
    let mut rates: Map<String, Value> =
        Command::ALL.iter().map(|command| (command.path.to_owned(), json!({}))).collect();
    let mut rongcloud = json!({"app_key": APP_KEY, "app_secret": APP_SECRET});
    for (name, change) in changes.as_object().unwrap() {
        match change {
            Value::Object(changed) => rates.extend(changed.clone()),
            _ => rongcloud[name] = change.clone(),
        }
    }
    rongcloud["rates"] = rates.into();
    let mut one = app(SDK_APP_ID, json!({}), json!({}));
    one["rongcloud"] = rongcloud;
    one["channels"] = json!("sandbox");
    let other = json!({"id": "other", "rongcloud": {"app_key": "without a secret", "app_secret": ""}});
    let stack = a_stack_of(&[one, other]).await;
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "anne"})).await;
    stack.ok("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": "anne", "Tags": ["gold"]}]})).await;
    stack.register("anne", "phone", "apns", &"ab".repeat(32)).await;
    stack.idle().await;
    stack
}

async fn signed(stack: &Stack, path: &str, body: &str) -> (u16, Value) {
    stack.signed(path, body.to_owned(), content_type(body)).await
}

fn content_type(body: &str) -> &'static str {
    if body.starts_with('{') { JSON } else { FORM }
}

/// All that a refused request could have changed: every item but the counted calls, and what vendors were sent.
async fn state(stack: &Stack) -> (BTreeSet<String>, Vec<Value>) {
    stack.idle().await;
    let mut items = crate::two_apps::tables(stack).await;
    items.retain(|item| !item.contains("#r#"));
    (items, stack.deliveries("apns").await)
}

/// A refusal has the status of its number, and three members.
fn assert_refused(path: &str, (status, answer): (u16, Value), code: u32, what: &str) {
    let what = what.chars().take(100).collect::<String>();
    let known = Code::ALL.iter().find(|known| known.number() == code).unwrap();
    let expected = json!({"url": path, "code": code, "errorMessage": answer["errorMessage"]});
    assert_eq!((status, &answer), (known.status().as_u16(), &expected), "{path}: {what}");
    assert!(answer["errorMessage"].as_str().is_some_and(|info| (1..=201).contains(&info.chars().count())), "{answer}");
}
