//! Every number that pushes, tags and attributes can come back with, and every limit on both of its sides.
//!
//! Each row is a request that must be refused, or a request that must pass. What is refused has changed nothing: not the
//! users, not the quota, and not one item of the tables.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanfare::dialect::tencent::{Code, usersig};
use reqwest::Method;
use serde_json::{Value, json};
use support::{ADMIN, SDK_APP_ID, Stack};

use crate::{a_stack, text};

const KEY: &str = "fanfare-local-secret-key";

/// Numbers of other calls, and who shows them.
const ELSEWHERE: &[(u32, &str)] = &[
    (40601, "contract: profiles"),
    (60007, "the calls of a second"),
    (70016, "contract: an app without a key"),
    (70050, "wrong UserSigs"),
    (70399, "accounts that were deleted"),
    (70402, "contract: accounts"),
    (70500, "contract: accounts that cannot be stored"),
    (71000, "accounts that may not be deleted"),
];
/// Numbers that are documented and never answered: who is no administrator gets 60010 before a service would say it.
const NEVER: &[u32] = &[90009];

/// A request, and the number that it comes back with: 0 if it passes.
struct Row(&'static str, Value, u32);

/// A good push with one member changed.
fn push(name: &str, value: Value) -> Value {
    let mut push = json!({"MsgRandom": 1, "MsgBody": text("hi")});
    push[name] = value;
    push
}

/// What a batch has in its `To_Account`, which is no part of its message.
const UNCOUNTED: usize = r#"["anne"]"#.len();

/// A good batch with one member changed.
fn batch(name: &str, value: Value) -> Value {
    let mut batch = json!({"To_Account": ["anne"], "MsgRandom": 1, "OfflinePushInfo": {"Desc": "d"}});
    batch[name] = value;
    batch
}

fn named(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user{n}")).collect()
}

fn each(accounts: &[String], member: &str, value: &Value) -> Value {
    accounts.iter().map(|account| json!({"To_Account": account, member: value})).collect()
}

/// 50 bytes of text that is not ASCII.
fn fifty() -> String {
    format!("{}xx", "中".repeat(16))
}

fn fifty_one() -> String {
    "中".repeat(17)
}

fn tags(count: usize) -> Value {
    (0..count).map(|n| format!("tag{n}")).collect()
}

/// A push of so many bytes, counted as they are counted.
fn of_bytes(mut request: Value, count: usize) -> Value {
    request["New"] = "".into();
    let room = count - request.to_string().len();
    request["New"] = "x".repeat(room).into();
    request
}

fn add(tags: Value) -> Value {
    json!({"UserTags": [{"To_Account": "anne", "Tags": tags}]})
}

fn set(value: Value) -> Value {
    json!({"UserAttrs": [{"To_Account": "anne", "Attrs": {"city": value}}]})
}

/// What must be refused. All of it was allowed to say, and nothing of it may be done.
fn refused() -> Vec<Row> {
    let im_push = "all_member_push/im_push";
    let (newer, to_named) = ("timpush/push", "timpush/batch");
    let mut rows = Vec::new();
    // What the calls that push have in common.
    for call in [im_push, newer] {
        rows.extend([
            Row(call, push("MsgRandom", Value::Null), 90005),
            Row(call, push("MsgRandom", json!("1")), 90005),
            Row(call, push("MsgRandom", json!(-1)), 90005),
            Row(call, push("MsgRandom", json!(1.5)), 90005),
            Row(call, push("MsgRandom", json!(4_294_967_296_u64)), 90005),
            Row(call, push("MsgBody", json!([])), 90002),
            Row(call, push("MsgBody", json!([{"MsgType": "TIMTextElem "}])), 90002),
            Row(call, push("MsgBody", json!({"MsgType": "TIMTextElem"})), 90007),
            Row(call, push("MsgBody", json!([{"MsgType": "TIMTextElem", "MsgContent": {}}])), 90010),
            Row(call, push("From_Account", json!("小明")), 90008),
            Row(call, push("From_Account", json!("x".repeat(33))), 90008),
            Row(call, push("From_Account", json!("nobody")), 90048),
            Row(call, push("OfflinePushInfo", json!([1])), 90043),
            Row(call, push("OfflinePushInfo", json!({"PushFlag": 2})), 90043),
            Row(call, push("Condition", json!({})), 90040),
            Row(call, push("Condition", json!({"TagsOr": ["gold", ""]})), 90040),
            Row(call, push("Condition", json!({"TagsAnd": [null]})), 90040),
            Row(call, push("Condition", json!({"TagsOr": ["gold", "gold"]})), 90022),
            Row(call, push("Condition", json!({"TagsAnd": [fifty_one()]})), 90020),
            Row(call, push("Condition", json!({"TagsOr": tags(11)})), 90032),
            Row(call, push("Condition", json!({"TagsAnd": tags(11)})), 90032),
            Row(call, push("Condition", json!({"AttrsOr": {"town": "x"}})), 90033),
            Row(call, push("Condition", json!({"AttrsAnd": {"city": fifty_one()}})), 90033),
            Row(call, push("Condition", json!({"AttrsAnd": {"city": "x"}, "TagsOr": ["gold"]})), 90039),
            Row(call, push("Condition", json!({"TagsOr": "gold"})), 90001),
            Row(call, push("Condition", json!({"AttrsNot": {"city": "x"}})), 90001),
            Row(call, of_bytes(push("MsgRandom", json!(1)), 12 * 1024 + 1), 93000),
        ]);
    }
    rows.extend([
        Row(im_push, push("MsgBody", Value::Null), 90002),
        Row(im_push, push("MsgLifeTime", json!(604_801)), 90026),
        Row(im_push, push("MsgLifeTime", json!(-1)), 90026),
        Row(im_push, push("MsgLifeTime", json!("60")), 90044),
        Row(im_push, push("Condition", json!({"TagsOr": ["gold"], "TagsNot": ["silver"]})), 90001),
        Row(newer, push("MsgBody", Value::Null), 90043),
        Row(newer, push("OnlineOnlyFlag", json!(2)), 90001),
        Row(newer, push("DataId", json!("中".repeat(21) + "xx")), 90057),
        Row(newer, push("Condition", json!({"TagsNot": []})), 90040),
        Row(newer, push("Condition", json!({"TagsNot": tags(11)})), 90032),
        Row(newer, push("Condition", json!({"TagsNot": ["gold", "gold"]})), 90022),
        Row(newer, push("Condition", json!({"TagsNot": [fifty_one()]})), 90020),
        Row(newer, push("Condition", json!({"TagsNot": ["gold"], "AttrsOr": {"city": "x"}})), 90039),
        Row(to_named, batch("MsgRandom", Value::Null), 90001),
        Row(to_named, batch("MsgRandom", json!(4_294_967_296_u64)), 90001),
        Row(to_named, batch("To_Account", Value::Null), 90003),
        Row(to_named, batch("To_Account", json!(["anne", 5])), 90003),
        Row(to_named, batch("To_Account", json!([])), 90001),
        Row(to_named, batch("To_Account", json!(named(501))), 90011),
        Row(to_named, batch("To_Account", json!(["nobody", "小明"])), 70107),
        Row(to_named, batch("OfflinePushInfo", Value::Null), 90043),
        Row(to_named, batch("OfflinePushInfo", json!({"Title": "alone"})), 90043),
        Row(to_named, batch("From_Account", json!("nobody")), 90048),
        Row(to_named, batch("From_Account", json!("小明")), 90008),
        Row(to_named, batch("DataId", json!("x".repeat(65))), 90057),
        Row(to_named, of_bytes(batch("MsgRandom", json!(1)), 12 * 1024 + 1 + UNCOUNTED), 93000),
    ]);
    // Tags and attributes, by both their names.
    let more = named(101);
    for (service, im, clear) in [("all_member_push", "im_", "remove_all_tags"), ("timpush", "", "clear_all_tags")] {
        let call = |name: &str| -> &'static str { format!("{service}/{im}{name}").leak() };
        rows.extend([
            Row(call("add_tag"), add(tags(11)), 90032),
            Row(call("add_tag"), add(json!([fifty_one()])), 90020),
            Row(call("add_tag"), add(json!(["new", ""])), 90040),
            Row(call("add_tag"), add(json!(["new", null])), 90040),
            Row(call("add_tag"), add(json!(["new", 5])), 90001),
            Row(call("add_tag"), json!({"UserTags": each(&more, "Tags", &json!(["new"]))}), 90018),
            Row(call("add_tag"), json!({"UserTags": []}), 90001),
            Row(call("add_tag"), json!({"UserTags": [{"Tags": ["new"]}]}), 90003),
            Row(call("remove_tag"), add(json!([fifty_one()])), 90020),
            Row(call("remove_tag"), add(json!([""])), 90040),
            Row(call("remove_tag"), add(tags(101)), 90032),
            Row(call("remove_tag"), json!({"UserTags": each(&more, "Tags", &json!(["gold"]))}), 90018),
            Row(call(clear), json!({"To_Account": more}), 90018),
            Row(call(clear), json!({"To_Account": ["anne", 5]}), 90003),
            Row(call(clear), json!({"To_Account": []}), 90001),
            Row(call("get_tag"), json!({"To_Account": more}), 90018),
            Row(call("get_attr"), json!({"To_Account": more}), 90018),
            Row(call("get_attr"), json!({}), 90003),
            Row(call("set_attr"), set(json!(fifty_one())), 90033),
            Row(call("set_attr"), set(json!("")), 90033),
            Row(call("set_attr"), set(json!(5)), 90033),
            Row(call("set_attr"), json!({"UserAttrs": [{"To_Account": "anne", "Attrs": {"town": "x"}}]}), 90033),
            Row(call("set_attr"), json!({"UserAttrs": each(&more, "Attrs", &json!({"city": "y"}))}), 90018),
            Row(call("remove_attr"), json!({"UserAttrs": each(&more, "Attrs", &json!(["city"]))}), 90018),
            Row(call("remove_attr"), json!({"UserAttrs": [{"To_Account": "anne", "Attrs": ["city", "town"]}]}), 90033),
            Row(call("set_attr_name"), json!({"AttrNames": {"1": fifty_one()}}), 90033),
            Row(call("set_attr_name"), json!({"AttrNames": {"1": ""}}), 90033),
            Row(call("set_attr_name"), json!({"AttrNames": {"10": "level"}}), 90033),
            Row(call("set_attr_name"), json!({"AttrNames": {"1": "level", "2": "level"}}), 90033),
            Row(call("set_attr_name"), json!({"AttrNames": {"1": "city"}}), 90033),
            Row(call("set_attr_name"), json!({"AttrNames": {"0": "level", "1": "level"}}), 90033),
            Row(call("set_attr_name"), json!({"AttrNames": {}}), 90001),
        ]);
    }
    rows.extend([
        Row("timpush/set_attr_name", json!({"AttrNames": {"1": "level"}, "AttrTypes": {"1": 1}}), 90033),
        Row("timpush/add_tag", json!({"Replace": 1, "UserTags": [{"To_Account": "anne", "Tags": tags(101)}]}), 90032),
        Row("timpush/add_tag", json!({"Replace": 2, "UserTags": [{"To_Account": "anne", "Tags": ["new"]}]}), 90001),
    ]);
    rows
}

/// Calls that the rows name.
fn calls(rows: &[Row]) -> BTreeSet<&'static str> {
    rows.iter().map(|row| row.0).collect()
}

#[test]
fn every_number_has_a_row() {
    let rows = refused().into_iter().map(|row| row.2);
    let of_callers = CALLERS.iter().copied();
    let shown: BTreeSet<u32> = rows.chain(of_callers).chain(IN_OTHER_STORIES_HERE.iter().copied()).collect();
    let elsewhere: BTreeSet<u32> = ELSEWHERE.iter().map(|(number, _)| *number).chain(NEVER.iter().copied()).collect();
    assert_eq!(shown.intersection(&elsewhere).collect::<Vec<_>>(), [&0_u32; 0], "a number is shown here or elsewhere");
    let all: BTreeSet<u32> = Code::ALL.iter().map(|code| code.number()).collect();
    assert_eq!(shown.union(&elsewhere).copied().collect::<BTreeSet<_>>(), all, "a number without a row");
}

/// What the URL of a call can be refused for; see `whoever_may_not_call_is_told_why`.
const CALLERS: &[u32] = &[60009, 60010, 60012, 60025, 70001, 70002, 70003, 70009, 70013, 70014, 70020];
/// Shown by the other stories of this file.
const IN_OTHER_STORIES_HERE: &[u32] = &[80002, 90024, 90045, 90047, 91000];

#[tokio::test]
async fn what_is_refused_is_refused_with_its_number_and_changes_nothing() {
    let stack = populated().await;
    let before = state(&stack).await;
    let rows = refused();
    stack.local(Method::DELETE, "usage", None).await;
    let mut calls_made = 0;
    for Row(call, request, code) in &rows {
        assert_refused(call, &stack.call(call, request.clone()).await, *code, &request.to_string());
        calls_made += 1;
    }
    // What is no JSON, in the words of the service itself; and what is more than is read.
    let too_long = format!("{{\"New\":\"{}\"}}", "x".repeat(1024 * 1024));
    for call in calls(&rows) {
        for body in ["", "{", "[1]", "null", "{\"MsgRandom\":1e999}"] {
            let answer = stack.post(&stack.server_url(call), body).await;
            assert_refused(call, &answer, 90001, body);
            let info = answer["ErrorInfo"].as_str().unwrap();
            assert!(info.starts_with("Fail to Parse json data of body, Please check it: "), "{info}");
        }
        assert_refused(call, &stack.post(&stack.server_url(call), too_long.clone()).await, 80002, "1 MiB");
        calls_made += 6;
    }
    let answer = stack.call("timpush/batch", batch("MsgRandom", json!("1"))).await;
    assert_eq!(answer["ErrorInfo"], "Invalid format of MsgRandom");
    let answer = stack.call("timpush/set_attr_name", json!({"AttrNames": {"1": "city"}})).await;
    assert_eq!(answer["ErrorInfo"], "attrName:city already exists at index:0");
    calls_made += 2;

    // One unit counts the call; nothing else is written.
    let usage = stack.local(Method::GET, "usage", None).await;
    assert_eq!(usage["dynamodb"]["write_units"], f64::from(calls_made), "{usage:#}");
    assert_eq!(usage["sqs"]["messages"], 0, "{usage:#}");
    assert_eq!(state(&stack).await, before);
}

#[tokio::test]
async fn what_is_at_its_limit_passes() {
    let stack = populated().await;
    let hundred = named(100);
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": hundred})).await;
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": ["x".repeat(32)]})).await;
    for (service, im) in [("all_member_push", "im_"), ("timpush", "")] {
        let call = |name: &str| format!("{service}/{im}{name}");
        let clear = if im.is_empty() { "timpush/clear_all_tags" } else { "all_member_push/im_remove_all_tags" };
        for (call, request) in [
            (call("set_attr_name"), json!({"AttrNames": {"9": fifty()}})),
            (call("set_attr_name"), json!({"AttrNames": {"9": "last"}})),
            (call("set_attr"), json!({"UserAttrs": each(&hundred, "Attrs", &json!({"city": fifty()}))})),
            (call("get_attr"), json!({"To_Account": hundred})),
            (call("remove_attr"), json!({"UserAttrs": each(&hundred, "Attrs", &json!(["city"]))})),
            (call("add_tag"), json!({"UserTags": each(&hundred, "Tags", &json!([fifty()]))})),
            (call("get_tag"), json!({"To_Account": hundred})),
            (call("remove_tag"), json!({"UserTags": each(&hundred, "Tags", &tags(100))})),
            (clear.to_owned(), json!({"To_Account": hundred})),
        ] {
            let answer = stack.ok(&call, request).await;
            assert_eq!(answer.get("ErrorList"), None, "{call}");
        }
        // A user takes a hundred tags, by tens, and no more.
        stack.ok(clear, json!({"To_Account": ["anne"]})).await;
        for from in (0..100).step_by(10) {
            let ten: Value = (from..from + 10).map(|n| format!("tag{n}")).collect();
            assert_eq!(stack.ok(&call("add_tag"), add(ten)).await.get("ErrorList"), None);
        }
        let answer = stack.ok(&call("add_tag"), add(json!(["one more"]))).await;
        assert_eq!(answer["ErrorList"][0]["ErrorCode"], 90032);
        let told = stack.ok(&call("get_tag"), json!({"To_Account": ["anne"]})).await;
        assert_eq!(told["UserTags"][0]["Tags"], tags(100));
    }
    let whole = json!({"Replace": 1, "UserTags": [{"To_Account": "anne", "Tags": tags(100)}]});
    assert_eq!(stack.ok("timpush/add_tag", whole).await.get("ErrorList"), None);
    stack.ok("all_member_push/im_set_attr_name", json!({"AttrNames": {"1": "level"}})).await;

    let (sender, bytes) = ("x".repeat(32), 12 * 1024);
    for (call, request) in [
        ("all_member_push/im_push", push("MsgRandom", json!(0))),
        ("all_member_push/im_push", push("MsgRandom", json!(4_294_967_295_u32))),
        ("all_member_push/im_push", push("MsgLifeTime", json!(604_800))),
        ("all_member_push/im_push", push("MsgLifeTime", json!(0))),
        ("all_member_push/im_push", push("From_Account", json!(sender))),
        ("all_member_push/im_push", push("Condition", json!({"TagsOr": tags(10), "TagsAnd": tags(10)}))),
        ("all_member_push/im_push", push("Condition", json!({"TagsOr": [fifty()]}))),
        (
            "all_member_push/im_push",
            push("Condition", json!({"AttrsOr": {"city": fifty()}, "AttrsAnd": {"level": "1"}})),
        ),
        ("all_member_push/im_push", of_bytes(push("MsgRandom", json!(2)), bytes)),
        ("timpush/push", push("MsgRandom", json!(0))),
        ("timpush/push", push("MsgRandom", json!(4_294_967_295_u32))),
        ("timpush/push", push("From_Account", json!(sender))),
        ("timpush/push", push("Condition", json!({"TagsOr": tags(10), "TagsAnd": tags(10), "TagsNot": tags(10)}))),
        ("timpush/push", push("DataId", json!("中".repeat(21) + "x"))),
        ("timpush/push", of_bytes(push("MsgRandom", json!(2)), bytes)),
        ("timpush/batch", batch("MsgRandom", json!(0))),
        ("timpush/batch", batch("MsgRandom", json!(4_294_967_295_u32))),
        ("timpush/batch", batch("DataId", json!("x".repeat(64)))),
        ("timpush/batch", batch("From_Account", json!(sender))),
        ("timpush/batch", of_bytes(batch("MsgRandom", json!(2)), bytes + UNCOUNTED)),
        ("timpush/batch", batch("To_Account", json!(named(500)))),
    ] {
        stack.idle().await;
        stack.advance(2).await;
        // Of five hundred there is a hundred.
        let unknown = request["To_Account"].as_array().map_or(0, |accounts| accounts.len() - accounts.len().min(100));
        let answer = stack.ok(call, request).await;
        assert_eq!(answer["ErrorList"].as_array().map_or(0, Vec::len), unknown);
        assert!(!answer["TaskId"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn whoever_may_not_call_is_told_why() {
    let stack = populated().await;
    let before = state(&stack).await;
    let now = stack.now();
    let sign =
        |key: &str, app: u64, user: &str, from: i64| usersig::sign(&key.to_owned().into(), app, user, from, 60, None);
    let query = |app: &str, user: &str, signature: &str| {
        format!("sdkappid={app}&identifier={user}&usersig={signature}&random=1&contenttype=json")
    };
    let app = SDK_APP_ID.to_string();
    let good = query(&app, ADMIN, &stack.user_sig(ADMIN));
    let callers = [
        (good.replace("sdkappid", "app"), 60012),
        (good.replace("contenttype=json", "contenttype=xml"), 60025),
        (query("1400000009", ADMIN, &sign(KEY, 1_400_000_009, ADMIN, now)), 70020),
        (query(&app, ADMIN, ""), 70002),
        (query(&app, ADMIN, "no-user-sig"), 70003),
        (query(&app, ADMIN, &sign(KEY, SDK_APP_ID, ADMIN, now - 61)), 70001),
        (query(&app, ADMIN, &sign("another key", SDK_APP_ID, ADMIN, now)), 70009),
        (query(&app, ADMIN, &sign(KEY, SDK_APP_ID, "anne", now)), 70013),
        (query(&app, ADMIN, &sign(KEY, 1_400_000_009, ADMIN, now)), 70014),
        // 90009 in the tables of the services: the gateway's number comes first.
        (query(&app, "anne", &sign(KEY, SDK_APP_ID, "anne", now)), 60010),
    ];
    let codes: BTreeSet<u32> = callers.iter().map(|(_, code)| *code).chain([60009]).collect();
    assert_eq!(codes, CALLERS.iter().copied().collect());
    for (query, code) in &callers {
        for call in ["all_member_push/im_push", "timpush/batch", "timpush/add_tag"] {
            let request =
                if call.ends_with("batch") { batch("DataId", json!("x")) } else { push("DataId", json!("x")) };
            let answer = stack.post(&format!("{}/v4/{call}?{query}", stack.base()), request.to_string()).await;
            assert_refused(call, &answer, *code, query);
        }
    }
    for call in [
        "timpush/pushes",
        "timpush",
        "timpush/im_push",
        "all_member_push/push",
        "all_member_push/batch",
        "timpush/batch/",
    ] {
        assert_refused("", &stack.call(call, push("DataId", json!("x"))).await, 60009, call);
    }
    assert_eq!(state(&stack).await, before);
}

#[tokio::test]
async fn the_quota_is_kept_to_the_last_push_and_its_failures_cost_nothing() {
    // Its noon is now, so that no day ends meanwhile.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 60;
    let offset = 720 - i64::try_from(now % 1_440).unwrap();
    let mut app = json!({"id": "one", "tencent": {"sdk_app_id": SDK_APP_ID, "secret_key": KEY, "admins": [ADMIN]},
        "quotas": {"push_interval_ms": 0, "utc_offset_minutes": offset}});
    let stack = with_apps(json!([app])).await;
    // The interval is not in the way here: pushes are told apart by the millisecond.
    let mut random = 0;
    for n in 1..=100 {
        let call = if n % 2 == 0 { "timpush/push" } else { "all_member_push/im_push" };
        loop {
            random += 1;
            let answer = stack.call(call, push("MsgRandom", json!(random))).await;
            if answer["ErrorCode"] == 0 {
                break;
            }
            assert_eq!(answer["ErrorCode"], 90024, "{answer}");
        }
        assert_eq!(stack.spent("one").await, (n, n.into()));
    }
    for call in ["timpush/push", "all_member_push/im_push"] {
        assert_refused(call, &stack.call(call, push("MsgRandom", json!(0))).await, 90047, "the 101st push of the day");
    }
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "anne"})).await;
    stack.ok("timpush/batch", batch("MsgRandom", json!(0))).await;
    assert_eq!(stack.spent("one").await, (100, 100));
    stack.idle().await;
    stack.advance(86_400).await;
    stack.ok("timpush/push", push("MsgRandom", json!(0))).await;
    assert_eq!(stack.spent("one").await, (1, 101));
    drop(stack);

    // A second, as the contract has it: refused within it, and passed after it.
    app["quotas"] = json!({});
    let stack = with_apps(json!([app])).await;
    stack.ok("all_member_push/im_push", push("MsgRandom", json!(1))).await;
    for call in ["timpush/push", "all_member_push/im_push"] {
        assert_refused(call, &stack.call(call, push("MsgRandom", json!(2))).await, 90024, "not a second later");
    }
    assert_eq!(stack.spent("one").await, (1, 1));
    stack.idle().await;
    stack.advance(1).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    stack.ok("timpush/push", push("MsgRandom", json!(2))).await;
    assert_eq!(stack.spent("one").await, (2, 2));
    drop(stack);

    app["tencent"]["push_enabled"] = json!(false);
    let stack = with_apps(json!([app])).await;
    for call in ["timpush/push", "timpush/batch", "all_member_push/im_push"] {
        assert_refused(call, &stack.call(call, json!({})).await, 90045, "before any field");
        assert_refused(call, &stack.post(&stack.server_url(call), "{").await, 90001, "after the JSON");
    }
    assert_eq!(stack.spent("one").await, (0, 0));
}

#[tokio::test]
async fn a_table_that_fails_is_an_internal_error_and_the_same_request_passes_later() {
    let stack = populated().await;
    let before = state(&stack).await;
    for (call, request, operation) in [
        ("all_member_push/im_push", push("MsgRandom", json!(1)), "TransactWriteItems"),
        ("timpush/push", push("From_Account", json!("anne")), "BatchGetItem"),
        ("timpush/push", push("Condition", json!({"AttrsOr": {"city": "x"}})), "GetItem"),
        ("timpush/batch", batch("MsgRandom", json!(1)), "TransactWriteItems"),
        ("timpush/batch", batch("MsgRandom", json!(2)), "BatchGetItem"),
        ("timpush/add_tag", add(json!(["new"])), "TransactWriteItems"),
        ("all_member_push/im_set_attr", set(json!("y")), "GetItem"),
        ("all_member_push/im_set_attr_name", json!({"AttrNames": {"1": "level"}}), "PutItem"),
    ] {
        let fail = json!({"fail": [{"service": "dynamodb", "operation": operation, "times": 1_000, "error": "InternalServerError"}]});
        stack.local(Method::PUT, "faults", Some(fail)).await;
        let answer = stack.call(call, request.clone()).await;
        stack.local(Method::PUT, "faults", Some(json!({}))).await;
        assert_refused(call, &answer, 91000, &format!("{operation} fails"));
        assert_eq!(state(&stack).await, before, "{call} with {operation}");
    }
    stack.ok("timpush/push", push("From_Account", json!("anne"))).await;
    stack.ok("timpush/batch", batch("MsgRandom", json!(2))).await;
    stack.ok("timpush/add_tag", add(json!(["new"]))).await;
}

/// A user with a tag, an attribute and a device.
async fn populated() -> Stack {
    let stack = a_stack().await;
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "anne"})).await;
    stack.ok("all_member_push/im_set_attr_name", json!({"AttrNames": {"0": "city"}})).await;
    stack.ok("all_member_push/im_set_attr", set(json!("x"))).await;
    stack.ok("all_member_push/im_add_tag", add(json!(["gold"]))).await;
    stack.register("anne", "iphone", "apns", &"ab".repeat(32)).await;
    stack.idle().await;
    stack
}

async fn with_apps(apps: Value) -> Stack {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("apps.json");
    std::fs::write(&file, apps.to_string()).unwrap();
    Stack::start_with(env!("CARGO_BIN_EXE_stack"), &["--apps", file.to_str().unwrap()]).await
}

/// All that a refused request could have changed.
async fn state(stack: &Stack) -> Value {
    stack.idle().await;
    let anne = json!({"To_Account": ["anne"]});
    json!([
        stack.ok("all_member_push/im_get_attr_name", json!({})).await,
        stack.ok("all_member_push/im_get_attr", anne.clone()).await,
        stack.ok("all_member_push/im_get_tag", anne).await,
        stack.spent("1400000000").await,
        stack.deliveries("apns").await,
    ])
}

/// A refusal has a sentence, and no more members than its call has for one.
fn assert_refused(call: &str, answer: &Value, code: u32, what: &str) {
    let mut expected = json!({"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": answer["ErrorInfo"]});
    if call == "timpush/batch" {
        expected["TaskId"] = json!("");
        if code == 70107 {
            expected["ErrorList"] = answer["ErrorList"].clone();
        }
    }
    assert_eq!(*answer, expected, "{call}: {what}");
    assert!(answer["ErrorInfo"].as_str().is_some_and(|info| !info.is_empty()), "{answer}");
}
