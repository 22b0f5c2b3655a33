//! A backend that was written for Tencent's contract calls us, and client apps tell us their devices.
//!
//! Everything goes over HTTP. Whatever is refused is refused in the contract's shape and has changed nothing, as the
//! calls that read tell.

use fanfare::dialect::tencent::usersig;
use reqwest::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::{ADMIN, SDK_APP_ID, Socket, Stack};

use crate::{KEY, a_stack, a_stack_of, app, text};

const ERRORS: &str = include_str!("../../docs/ERRORS.md");

/// Every call of the contract that there is.
const CALLS: [&str; 17] = [
    "im_open_login_svc/account_import",
    "im_open_login_svc/multiaccount_import",
    "im_open_login_svc/account_check",
    "all_member_push/im_set_attr_name",
    "all_member_push/im_get_attr_name",
    "all_member_push/im_set_attr",
    "all_member_push/im_get_attr",
    "all_member_push/im_remove_attr",
    "all_member_push/im_add_tag",
    "all_member_push/im_get_tag",
    "all_member_push/im_remove_tag",
    "all_member_push/im_remove_all_tags",
    "all_member_push/im_push",
    "im_open_login_svc/account_delete",
    "im_open_login_svc/kick",
    "openim/query_online_status",
    "openim/querystate",
];

#[tokio::test]
async fn every_call_answers_in_the_shape_of_the_contract() {
    let demo = &Backend::demo(a_stack().await);
    let done = json!({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""});
    let with = |name: &str, value: Value| {
        let mut answer = done.clone();
        answer[name] = value;
        answer
    };
    let unknown =
        |account: &str| json!({"To_Account": account, "ErrorCode": 70107, "ErrorInfo": "the account does not exist"});

    let story = [
        // Accounts.
        (
            "im_open_login_svc/account_import",
            json!({"UserID": "alice", "Nick": "Alice", "FaceUrl": "https://x"}),
            done.clone(),
        ),
        ("im_open_login_svc/account_import", json!({"UserID": "alice"}), done.clone()),
        ("im_open_login_svc/account_import", json!({"Identifier": "old edition"}), done.clone()),
        (
            "im_open_login_svc/multiaccount_import",
            json!({"Accounts": ["bob", "carol"]}),
            with("FailAccounts", json!([])),
        ),
        (
            "im_open_login_svc/multiaccount_import",
            json!({"Accounts": ["bob", "小明"], "AccountList": [{"UserID": "dora", "Nick": "D"}, {"UserID": ""}]}),
            with("FailAccounts", json!(["小明", ""])),
        ),
        (
            "im_open_login_svc/account_check",
            json!({"CheckItem": [{"UserID": "dora"}, {"UserID": "nobody"}, {"UserID": "小明"}, {"UserID": "old edition"}]}),
            with(
                "ResultItem",
                json!([
                    {"UserID": "dora", "ResultCode": 0, "ResultInfo": "", "AccountStatus": "Imported"},
                    {"UserID": "nobody", "ResultCode": 0, "ResultInfo": "", "AccountStatus": "NotImported"},
                    {"UserID": "小明", "ResultCode": 0, "ResultInfo": "", "AccountStatus": "NotImported"},
                    {"UserID": "old edition", "ResultCode": 0, "ResultInfo": "", "AccountStatus": "Imported"},
                ]),
            ),
        ),
        // Attributes.
        ("all_member_push/im_get_attr_name", json!([]), with("AttrNames", json!({}))),
        ("all_member_push/im_set_attr_name", json!({"AttrNames": ["sex", "town"]}), done.clone()),
        ("all_member_push/im_set_attr_name", json!({"AttrNames": {"1": "city", "9": "level"}}), done.clone()),
        (
            "all_member_push/im_get_attr_name",
            json!({}),
            with("AttrNames", json!({"0": "sex", "1": "city", "9": "level"})),
        ),
        (
            "all_member_push/im_set_attr",
            json!({"UserAttrs": [{"To_Account": "alice", "Attrs": {"sex": "f", "city": "深圳"}}, {"To_Account": "nobody", "Attrs": {"sex": "f"}}]}),
            with("ErrorList", json!([unknown("nobody")])),
        ),
        (
            "all_member_push/im_set_attr",
            json!({"Attrs": [{"To_Account": "bob", "Attrs": {"level": "1"}}]}),
            done.clone(),
        ),
        (
            "all_member_push/im_set_attr",
            json!({"UserAttrs": [{"To_Account": "alice", "Attrs": {"level": "2"}}]}),
            done.clone(),
        ),
        ("all_member_push/im_get_attr", json!({"To_Account": ["bob", "nobody", "alice", "carol"]}), {
            let mut answer = with(
                "UserAttrs",
                json!([
                    {"To_Account": "bob", "Attrs": {"level": "1"}},
                    {"To_Account": "alice", "Attrs": {"sex": "f", "city": "深圳", "level": "2"}},
                    {"To_Account": "carol", "Attrs": {}},
                ]),
            );
            answer["ErrorList"] = json!([unknown("nobody")]);
            answer
        }),
        (
            "all_member_push/im_remove_attr",
            json!({"UserAttrs": [{"To_Account": "alice", "Attrs": ["sex", "level"]}]}),
            done.clone(),
        ),
        ("all_member_push/im_remove_attr", json!({"Attrs": [{"To_Account": "alice", "Attrs": ["sex"]}]}), done.clone()),
        (
            "all_member_push/im_get_attr",
            json!({"To_Account": ["alice"]}),
            with("UserAttrs", json!([{"To_Account": "alice", "Attrs": {"city": "深圳"}}])),
        ),
        // Tags.
        (
            "all_member_push/im_add_tag",
            json!({"UserTags": [{"To_Account": "alice", "Tags": ["b", "a", "b"]}, {"To_Account": "小明", "Tags": ["a"]}]}),
            with("ErrorList", json!([unknown("小明")])),
        ),
        ("all_member_push/im_add_tag", json!({"Tags": [{"To_Account": "bob", "Tags": ["a"]}]}), done.clone()),
        (
            "all_member_push/im_get_tag",
            json!({"To_Account": ["alice", "bob", "alice", "carol"]}),
            with(
                "UserTags",
                json!([
                    {"To_Account": "alice", "Tags": ["b", "a"]},
                    {"To_Account": "bob", "Tags": ["a"]},
                    {"To_Account": "carol", "Tags": []},
                ]),
            ),
        ),
        (
            "all_member_push/im_remove_tag",
            json!({"UserTags": [{"To_Account": "alice", "Tags": ["b", "none"]}]}),
            done.clone(),
        ),
        ("all_member_push/im_remove_tag", json!({"Tags": [{"To_Account": "alice", "Tags": ["b"]}]}), done.clone()),
        (
            "all_member_push/im_remove_all_tags",
            json!({"To_Account": ["bob", "nobody"]}),
            with("ErrorList", json!([unknown("nobody")])),
        ),
        (
            "all_member_push/im_get_tag",
            json!({"To_Account": ["alice", "bob"]}),
            with("UserTags", json!([{"To_Account": "alice", "Tags": ["a"]}, {"To_Account": "bob", "Tags": []}])),
        ),
        ("all_member_push/im_get_tag", json!({"To_Account": ["nobody"]}), {
            let mut answer = with("UserTags", json!([]));
            answer["ErrorList"] = json!([unknown("nobody")]);
            answer
        }),
    ];
    for (call, request, expected) in story {
        assert_eq!(demo.call(call, request.to_string()).await, expected, "{call} {request}");
    }

    // Clients in Go send what they do not ask for as null, and `random` is any number or none.
    let request = json!({"MsgRandom": u32::MAX, "From_Account": null, "MsgBody": text("hi"),
        "Condition": {"TagsAnd": ["a"], "TagsOr": null, "AttrsAnd": null, "AttrsOr": null}});
    let signature = demo.user_sig(ADMIN);
    let query = format!("usersig={signature}&contenttype=json&identifier={ADMIN}&sdkappid={SDK_APP_ID}");
    let answer = demo.send("all_member_push/im_push", &query, request.to_string()).await;
    let task_id = answer["TaskId"].as_str().unwrap();
    assert_eq!(answer, with("TaskId", json!(task_id)));
    assert!(task_id.starts_with(&format!("{SDK_APP_ID}_")) && task_id.split('_').count() == 4, "{task_id}");
}

#[tokio::test]
async fn limits_are_kept_to_the_last_one() {
    let demo = &Backend::demo(a_stack().await);
    let names = |count: usize| (0..count).map(|n| format!("user{n}")).collect::<Vec<_>>();
    let (hundred, more) = (names(100), names(101));
    let tags = |from: usize, count: usize| (from..from + count).map(|n| format!("tag{n}")).collect::<Vec<_>>();
    let (fits, too_long) = ("é".repeat(25), "é".repeat(25) + "x");

    let check =
        |names: &[String]| json!({"CheckItem": names.iter().map(|name| json!({"UserID": name})).collect::<Vec<_>>()});
    demo.refused("im_open_login_svc/multiaccount_import", json!({"Accounts": more}), 70402).await;
    let answer = demo.ok("im_open_login_svc/account_check", check(&hundred)).await;
    assert!(answer["ResultItem"].as_array().unwrap().iter().all(|item| item["AccountStatus"] == "NotImported"));
    demo.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": hundred})).await;
    demo.refused("im_open_login_svc/account_check", check(&more), 70402).await;
    demo.refused("im_open_login_svc/account_import", json!({"UserID": "x".repeat(33)}), 70402).await;
    demo.ok("im_open_login_svc/account_import", json!({"UserID": "x".repeat(32)})).await;
    demo.refused("im_open_login_svc/account_import", json!({"UserID": "user0", "Nick": "x".repeat(501)}), 40601).await;
    demo.ok("im_open_login_svc/account_import", json!({"UserID": "user0", "Nick": "x".repeat(500)})).await;

    demo.refused("all_member_push/im_set_attr_name", json!({"AttrNames": {"0": too_long}}), 90033).await;
    demo.refused("all_member_push/im_set_attr_name", json!({"AttrNames": {"10": "city"}}), 90033).await;
    demo.refused("all_member_push/im_set_attr_name", json!({"AttrNames": {"0": "city", "9": "city"}}), 90033).await;
    assert_eq!(demo.ok("all_member_push/im_get_attr_name", json!({})).await["AttrNames"], json!({}));
    demo.ok("all_member_push/im_set_attr_name", json!({"AttrNames": {"0": fits, "9": "city"}})).await;

    // One more than a hundred users, and each of the first hundred stays as it was.
    let each = |names: &[String], member: &str, value: Value| {
        names.iter().map(|name| json!({"To_Account": name, member: value})).collect::<Vec<_>>()
    };
    let (user_tags, user_attrs) = ("UserTags", "UserAttrs");
    for (call, list, member, value) in [
        ("im_add_tag", user_tags, "Tags", json!(["a"])),
        ("im_remove_tag", user_tags, "Tags", json!(["a"])),
        ("im_set_attr", user_attrs, "Attrs", json!({"city": "x"})),
        ("im_remove_attr", user_attrs, "Attrs", json!(["city"])),
    ] {
        let call = format!("all_member_push/{call}");
        let before = demo.about(&hundred).await;
        demo.refused(&call, json!({ list: each(&more, member, value.clone()) }), 90018).await;
        assert_eq!(demo.about(&hundred).await, before, "{call}");
        let answer = demo.ok(&call, json!({ list: each(&hundred, member, value) })).await;
        assert_eq!(answer.get("ErrorList"), None);
        assert_ne!(demo.about(&hundred).await, before, "{call}");
    }
    for call in ["im_get_tag", "im_get_attr", "im_remove_all_tags"] {
        let call = format!("all_member_push/{call}");
        demo.refused(&call, json!({"To_Account": more}), 90018).await;
        demo.ok(&call, json!({"To_Account": hundred})).await;
    }

    let add = |user: &str, tags: Value| json!({"UserTags": [{"To_Account": user, "Tags": tags}]});
    let call = "all_member_push/im_add_tag";
    demo.refused(call, add("user0", json!(tags(0, 11))), 90032).await;
    demo.refused(call, add("user0", json!([too_long])), 90020).await;
    assert_eq!(demo.tags("user0").await, json!([]));
    demo.ok(call, add("user0", json!([fits]))).await;
    assert_eq!(demo.tags("user0").await, json!([fits]));
    for from in (0..90).step_by(10) {
        demo.ok(call, add("user0", json!(tags(from, 10)))).await;
    }
    demo.ok(call, add("user0", json!(tags(90, 9)))).await;
    let full = demo.tags("user0").await;
    assert_eq!(full.as_array().unwrap().len(), 100);
    let both = json!({"UserTags": [{"To_Account": "user0", "Tags": ["one more"]}, {"To_Account": "user1", "Tags": ["one more"]}]});
    let answer = demo.ok(call, both).await;
    assert_eq!(answer["ErrorList"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&answer["ErrorList"][0]["To_Account"], &answer["ErrorList"][0]["ErrorCode"]),
        (&json!("user0"), &json!(90032))
    );
    assert_eq!((demo.tags("user0").await, demo.tags("user1").await), (full, json!(["one more"])));
    demo.ok(call, add("user0", json!(["tag5"]))).await;

    let set = |value: &str| json!({"UserAttrs": [{"To_Account": "user0", "Attrs": {"city": value}}]});
    demo.refused("all_member_push/im_set_attr", set(&too_long), 90033).await;
    demo.refused("all_member_push/im_set_attr", set(""), 90033).await;
    demo.ok("all_member_push/im_set_attr", set(&fits)).await;

    let push = |body: &str, condition: Value| json!({"MsgRandom": 1, "MsgBody": text(body), "Condition": condition});
    let call = "all_member_push/im_push";
    let room = 12 * 1024 - json!({"MsgRandom": 1, "MsgBody": text("")}).to_string().len();
    demo.refused(call, push(&"x".repeat(room + 1), json!(null)), 93000).await;
    demo.refused(call, push("hi", json!({"TagsOr": tags(0, 11)})), 90032).await;
    demo.refused(call, json!({"MsgRandom": 1, "MsgBody": text("hi"), "MsgLifeTime": 604_801}), 90026).await;
    demo.ok(call, push(&"x".repeat(room), json!(null))).await;
    demo.refused(call, push("hi", json!({"TagsOr": tags(0, 10)})), 90024).await;
    demo.stack.advance(2).await;
    demo.ok(call, push("hi", json!({"TagsOr": tags(0, 10), "TagsAnd": tags(0, 10)}))).await;
}

#[tokio::test]
async fn what_is_refused_has_changed_nothing() {
    // Each wrong UserSig is tried on every call: together more than would be heard within a minute.
    let patient = app(SDK_APP_ID, json!({"wrong_user_sigs_per_minute": 1_000}), json!({}));
    let demo = &Backend::demo(a_stack_of(&[patient]).await);
    let users = ["alice".to_owned(), "bob".to_owned()];
    demo.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": users})).await;
    demo.ok("all_member_push/im_set_attr_name", json!({"AttrNames": {"0": "city"}})).await;
    demo.ok("all_member_push/im_set_attr", json!({"UserAttrs": [{"To_Account": "alice", "Attrs": {"city": "x"}}]}))
        .await;
    demo.ok("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": "alice", "Tags": ["a"]}]})).await;
    let before = demo.about(&users).await;

    // Good requests, by those who may not send them.
    let now = demo.stack.now();
    let sign =
        |key: &str, app: u64, user: &str, from: i64| usersig::sign(&key.to_owned().into(), app, user, from, 60, None);
    let query = |app: &str, user: &str, signature: &str| {
        format!("sdkappid={app}&identifier={user}&usersig={signature}&random=1&contenttype=json")
    };
    let app = SDK_APP_ID.to_string();
    let good = query(&app, ADMIN, &demo.user_sig(ADMIN));
    let callers = [
        (String::new(), 60012),
        (good.replace("sdkappid=", "SdkAppId="), 60012),
        (query("fanfare", ADMIN, "x"), 60025),
        (good.replace("contenttype=json", "contenttype=xml"), 60025),
        (good.replace("identifier=", "user="), 60025),
        (good.replace("usersig=", "sig="), 60025),
        (query("1400000009", ADMIN, &sign(KEY, 1_400_000_009, ADMIN, now)), 70020),
        (query(&app, ADMIN, ""), 70002),
        (query(&app, ADMIN, "no-user-sig"), 70003),
        (query(&app, ADMIN, "%3Cscript%3E"), 70003),
        (query(&app, ADMIN, &sign(KEY, SDK_APP_ID, ADMIN, now - 61)), 70001),
        (query(&app, ADMIN, &sign("another key", SDK_APP_ID, ADMIN, now)), 70009),
        (query(&app, ADMIN, &sign(KEY, SDK_APP_ID, "alice", now)), 70013),
        (query(&app, ADMIN, &sign(KEY, 1_400_000_009, ADMIN, now)), 70014),
        (query(&app, "alice", &sign(KEY, SDK_APP_ID, "alice", now)), 60010),
    ];
    let requests: Vec<(&str, Value)> = CALLS
        .iter()
        .copied()
        .zip([
            json!({"UserID": "carol"}),
            json!({"Accounts": ["carol"]}),
            json!({"CheckItem": [{"UserID": "alice"}]}),
            json!({"AttrNames": {"1": "level"}}),
            json!({}),
            json!({"UserAttrs": [{"To_Account": "alice", "Attrs": {"city": "y"}}]}),
            json!({"To_Account": ["alice"]}),
            json!({"UserAttrs": [{"To_Account": "alice", "Attrs": ["city"]}]}),
            json!({"UserTags": [{"To_Account": "alice", "Tags": ["b"]}]}),
            json!({"To_Account": ["alice"]}),
            json!({"UserTags": [{"To_Account": "alice", "Tags": ["a"]}]}),
            json!({"To_Account": ["alice"]}),
            json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")}),
            json!({"DeleteItem": [{"UserID": "alice"}]}),
            json!({"UserID": "alice"}),
            json!({"To_Account": ["alice"]}),
            json!({"To_Account": ["alice"]}),
        ])
        .collect();
    for (query, code) in &callers {
        for (call, request) in &requests {
            let answer = demo.send(call, query, request.to_string()).await;
            assert_refused(&answer, *code, &format!("{call}?{query}"));
        }
    }
    assert_eq!(demo.about(&users).await, before);

    // Good requests, to where there is none of our calls, or in another way.
    for (call, request) in &requests {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
            let url = format!("{}/v4/{call}?{good}", demo.stack.base());
            let answer = demo.answered(demo.http.request(method.clone(), url).body(request.to_string())).await;
            assert_refused(&answer, 60009, &format!("{method} {call}"));
        }
    }
    for path in [
        "v4/",
        "v4/openim/sendmsg",
        "v4/all_member_push",
        "v4/all_member_push/im_add_tag/",
        "v4/all_member_push/IM_ADD_TAG",
        "v4/im_open_login_svc/im_add_tag",
        "v4/all_member_push/%3C%22%3E",
    ] {
        let url = format!("{}/{path}?{good}", demo.stack.base());
        let answer = demo.answered(demo.http.post(url).body(requests[8].1.to_string())).await;
        assert_refused(&answer, 60009, path);
    }
    // What is not below /v4/ is none of this contract's.
    for path in ["", "v4", "V4/all_member_push/im_add_tag", "v2"] {
        let url = format!("{}/{path}?{good}", demo.stack.base());
        let answer = demo.http.post(url).body(requests[8].1.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], 404, "{path}");
    }
    let url = format!("{}/v4/all_member_push/im_add_tag", demo.stack.base());
    let answer = demo.answered(demo.http.post(url).header(HOST, "<a>").body("{}")).await;
    assert_refused(&answer, 60012, "a host that is none");
    assert_eq!(demo.about(&users).await, before);

    // What is no request at all.
    let too_long = format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024));
    let bodies: [(&[u8], u32); 9] = [
        (b"", 0),
        (b" ", 0),
        (b"{", 0),
        (b"null", 0),
        (b"[{}]", 0),
        (b"{\"To_Account\":[\"alice\"],}", 0),
        (b"{\"UserID\":\"caf\xe9\"}", 0),
        (b"\xff\xfe{\x00}\x00", 0),
        (too_long.as_bytes(), 80002),
    ];
    for call in CALLS {
        let unreadable = if call.starts_with("im_open_login_svc") { 70402 } else { 90001 };
        for (body, code) in bodies {
            for kind in [Some("application/json"), Some("application/x-www-form-urlencoded"), None] {
                let request = demo.http.post(demo.stack.server_url(call)).body(body.to_vec());
                let request = kind.into_iter().fold(request, |request, kind| request.header(CONTENT_TYPE, kind));
                let code = if code == 0 { unreadable } else { code };
                let what = format!("{call} {} {kind:?}", String::from_utf8_lossy(&body[..body.len().min(40)]));
                assert_refused(&demo.answered(request).await, code, &what);
            }
        }
    }
    // Requests of which one part is bad: the good part is not done either.
    let bad_parts = [
        ("im_open_login_svc/multiaccount_import", json!({"Accounts": ["carol", 5]}), 70402),
        ("im_open_login_svc/account_check", json!({"CheckItem": []}), 70402),
        ("im_open_login_svc/account_delete", json!({"DeleteItem": [{"UserID": "alice"}, {"UserID": 5}]}), 70402),
        ("im_open_login_svc/kick", json!({"UserID": ["alice"]}), 70402),
        ("openim/query_online_status", json!({"To_Account": ["alice", 5]}), 90003),
        ("all_member_push/im_set_attr_name", json!({"AttrNames": {"1": "level", "2": 5}}), 90033),
        (
            "all_member_push/im_set_attr",
            json!({"UserAttrs": [{"To_Account": "alice", "Attrs": {"city": "y", "town": "z"}}]}),
            90033,
        ),
        (
            "all_member_push/im_set_attr",
            json!({"UserAttrs": [{"To_Account": "alice", "Attrs": {"city": "y"}}, {"Attrs": {"city": "y"}}]}),
            90003,
        ),
        (
            "all_member_push/im_remove_attr",
            json!({"UserAttrs": [{"To_Account": "alice", "Attrs": ["city", "town"]}]}),
            90033,
        ),
        ("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": "alice", "Tags": ["b", ""]}]}), 90040),
        (
            "all_member_push/im_add_tag",
            json!({"UserTags": [{"To_Account": "alice", "Tags": ["b"]}, {"To_Account": "bob"}]}),
            90001,
        ),
        ("all_member_push/im_remove_tag", json!({"UserTags": [{"To_Account": "alice", "Tags": ["a", 5]}]}), 90001),
        ("all_member_push/im_remove_all_tags", json!({"To_Account": ["alice", 5]}), 90003),
        ("all_member_push/im_remove_all_tags", json!({}), 90003),
        ("all_member_push/im_get_tag", json!({"To_Account": []}), 90001),
        ("all_member_push/im_get_attr", json!({"To_Account": "alice"}), 90003),
        (
            "all_member_push/im_push",
            json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi"), "Condition": {}}),
            90040,
        ),
        (
            "all_member_push/im_push",
            json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi"), "Condition": {"AttrsOr": {"town": "x"}}}),
            90033,
        ),
        (
            "all_member_push/im_push",
            json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi"), "Condition": {"TagsNot": ["a"]}}),
            90001,
        ),
    ];
    for (call, request, code) in bad_parts {
        demo.refused(call, request, code).await;
    }
    assert_eq!(demo.about(&users).await, before);
    let check = demo.ok("im_open_login_svc/account_check", json!({"CheckItem": [{"UserID": "carol"}]})).await;
    assert_eq!(check["ResultItem"][0]["AccountStatus"], "NotImported");

    // None of all those pushes was one, and none has spent the interval.
    demo.ok("all_member_push/im_push", json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("the first")})).await;
    demo.stack.idle().await;
    let pushes = demo.stack.socket("alice", "phone").await.sync().await;
    let told: Vec<_> = pushes.iter().map(|push| (&push["seq"], &push["body"])).collect();
    assert_eq!(told, [(&json!(1), &text("the first"))]);
}

#[tokio::test]
async fn devices_come_and_go() {
    let demo = &Backend::demo(a_stack().await);
    let token = "0123456789abcdef".repeat(4);
    let form = json!({"platform": "ios", "channel": "apns", "token": token, "package": "com.example.app", "language": "en", "x": 1});
    let (status, stored) = demo.device("alice", Method::PUT, "/phone", Some(form.clone())).await;
    let expected = json!({"device_id": "phone", "platform": "ios", "channel": "apns", "token": "…cdef", "package": "com.example.app",
        "push_enabled": true, "language": "en", "registered_at": stored["registered_at"], "active_at": stored["active_at"]});
    assert_eq!((status, &stored), (200, &expected));
    assert!((stored["active_at"].as_i64().unwrap() / 1_000 - demo.stack.now()).abs() < 60, "{stored}");
    assert_eq!(demo.device("alice", Method::GET, "", None).await, (200, json!({"devices": [stored]})));
    assert_eq!(demo.device("bob", Method::GET, "", None).await, (200, json!({"devices": []})));

    // What is refused changes nothing.
    let with = |member: &str, value: Value| {
        let mut form = form.clone();
        form[member] = value;
        Some(form)
    };
    for (path, body, code) in [
        ("/phone", Some(json!([])), "invalid_body"),
        ("/phone", None, "invalid_body"),
        ("/phone", with("x", json!("x".repeat(9_000))), "body_too_long"),
        ("/a%20b", Some(form.clone()), "invalid_device_id"),
        ("/%3C%22%3E", Some(form.clone()), "invalid_device_id"),
        ("/phone", with("platform", json!("symbian")), "invalid_platform"),
        ("/phone", with("channel", json!("ws")), "invalid_channel"),
        ("/phone", with("platform", json!("android")), "invalid_channel"),
        ("/phone", with("token", json!("short")), "invalid_token"),
        ("/phone", with("package", json!("com/example")), "invalid_package"),
        ("/phone", with("push_enabled", json!("yes")), "invalid_push_enabled"),
        ("/phone", with("language", json!("")), "invalid_language"),
    ] {
        assert_told(&demo.device("alice", Method::PUT, path, body).await, 400, code);
    }
    for (method, path) in [(Method::POST, ""), (Method::PUT, ""), (Method::GET, "/phone"), (Method::PATCH, "/phone")] {
        assert_told(&demo.device("alice", method.clone(), path, None).await, 405, "method_not_allowed");
        let url = format!("{}/v1/devices{path}", demo.stack.base());
        let answer = demo.http.request(method, url).send().await.unwrap();
        let allowed = if path.is_empty() { "GET" } else { "PUT, DELETE" };
        assert_eq!((answer.status().as_u16(), answer.headers()[ALLOW].to_str().unwrap()), (405, allowed));
    }
    for path in ["/a/b", "/a%2Fb", "x"] {
        assert_told(&demo.device("alice", Method::PUT, path, None).await, 404, "not_found");
    }
    let now = demo.stack.now();
    let sign =
        |key: &str, app: u64, user: &str, from: i64| usersig::sign(&key.to_owned().into(), app, user, from, 60, None);
    for (proof, code) in [
        ("Bearer ".to_owned(), "70002"),
        ("Basic YTpi".to_owned(), "70002"),
        ("Bearer no-user-sig".to_owned(), "70003"),
        (format!("Bearer {}", sign(KEY, SDK_APP_ID, "alice", now - 61)), "70001"),
        (format!("Bearer {}", sign("another key", SDK_APP_ID, "alice", now)), "70009"),
        (format!("Bearer {}", sign(KEY, 1_400_000_009, "alice", now)), "70020"),
        (format!("Bearer {}", sign(KEY, SDK_APP_ID, "小明", now)), "70402"),
    ] {
        for (method, path) in [(Method::GET, ""), (Method::PUT, "/phone"), (Method::DELETE, "/phone")] {
            let url = format!("{}/v1/devices{path}", demo.stack.base());
            let answer = demo
                .http
                .request(method, url)
                .header(AUTHORIZATION, &proof)
                .body(form.to_string())
                .send()
                .await
                .unwrap();
            let told = (answer.status().as_u16(), answer.json().await.unwrap());
            assert_told(&told, 401, code);
        }
    }
    assert_eq!(demo.device("alice", Method::GET, "", None).await.1, json!({"devices": [stored]}));

    // A token is one device's.
    let (_, moved) = demo.device("bob", Method::PUT, "/phone", with("token", json!(token.to_uppercase()))).await;
    assert_eq!(demo.device("alice", Method::GET, "", None).await.1, json!({"devices": []}));
    assert_eq!(demo.device("bob", Method::GET, "", None).await.1, json!({"devices": [moved]}));

    // Of eleven devices the one unseen longest has made room; the first was seen again.
    for n in 0..10 {
        let form = json!({"platform": "android", "channel": "fcm", "token": format!("token-of-a-device-{n:03}")});
        demo.device("alice", Method::PUT, &format!("/d{n}"), Some(form)).await;
        demo.stack.advance(1).await;
    }
    let again = json!({"platform": "android", "channel": "fcm", "token": "token-of-a-device-000"});
    demo.device("alice", Method::PUT, "/d0", Some(again)).await;
    demo.device("alice", Method::PUT, "/d10", Some(form.clone())).await;
    let (_, devices) = demo.device("alice", Method::GET, "", None).await;
    let mut ids: Vec<_> =
        devices["devices"].as_array().unwrap().iter().map(|device| device["device_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["d0", "d10", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9"]);

    for _ in 0..2 {
        assert_eq!(demo.device("alice", Method::DELETE, "/d10", None).await, (204, Value::Null));
    }
    assert_eq!(demo.device("alice", Method::GET, "", None).await.1["devices"].as_array().unwrap().len(), 9);
}

#[tokio::test]
async fn apps_see_nothing_of_each_other() {
    let app = |id: &str, sdk_app_id: u64, key: &str, push_enabled: bool| {
        let tencent =
            json!({"sdk_app_id": sdk_app_id, "secret_key": key, "admins": [ADMIN], "push_enabled": push_enabled});
        json!({"id": id, "tencent": tencent})
    };
    let apps = json!([
        app("one", 1, "key of one", true),
        app("two", 2, "key of two", true),
        app("mute", 3, "key of mute", false),
        app("keyless", 4, "", true)
    ]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("apps.json");
    std::fs::write(&file, apps.to_string()).unwrap();
    let stack = Stack::start_with(env!("CARGO_BIN_EXE_stack"), &["--apps", file.to_str().unwrap()]).await;
    let one = &Backend { stack, http: Client::new(), sdk_app_id: 1, key: "key of one" };
    let stack = &one.stack;
    let as_app = |sdk_app_id: u64, key: &str, user: &str| {
        usersig::sign(&key.to_owned().into(), sdk_app_id, user, stack.now(), 600, None)
    };
    let query =
        |sdk_app_id: u64, signature: &str| format!("sdkappid={sdk_app_id}&identifier={ADMIN}&usersig={signature}");
    let two = |call: &'static str, request: Value| async move {
        let signature = as_app(2, "key of two", ADMIN);
        one.send(call, &query(2, &signature), request.to_string()).await
    };

    // The same names mean something else in each.
    one.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": ["alice", "bob"]})).await;
    one.ok("all_member_push/im_set_attr_name", json!({"AttrNames": {"0": "city"}})).await;
    one.ok("all_member_push/im_set_attr", json!({"UserAttrs": [{"To_Account": "alice", "Attrs": {"city": "x"}}]}))
        .await;
    one.ok("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": "alice", "Tags": ["gold"]}]})).await;
    let about_one = one.about(&["alice".to_owned(), "bob".to_owned()]).await;

    let check = two("im_open_login_svc/account_check", json!({"CheckItem": [{"UserID": "alice"}]})).await;
    assert_eq!(check["ResultItem"][0]["AccountStatus"], "NotImported");
    assert_eq!(two("all_member_push/im_get_attr_name", json!({})).await["AttrNames"], json!({}));
    let tags = two("all_member_push/im_get_tag", json!({"To_Account": ["alice"]})).await;
    assert_eq!((&tags["UserTags"], &tags["ErrorList"][0]["ErrorCode"]), (&json!([]), &json!(70107)));
    two("im_open_login_svc/account_import", json!({"UserID": "alice"})).await;
    two("all_member_push/im_set_attr_name", json!({"AttrNames": {"0": "level"}})).await;
    two("all_member_push/im_set_attr", json!({"UserAttrs": [{"To_Account": "alice", "Attrs": {"level": "1"}}]})).await;
    two("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": "alice", "Tags": ["gold", "two"]}]})).await;
    two("all_member_push/im_remove_all_tags", json!({"To_Account": ["alice"]})).await;
    two("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": "alice", "Tags": ["two"]}]})).await;
    assert_eq!(one.about(&["alice".to_owned(), "bob".to_owned()]).await, about_one);

    // The same token is a device of each.
    let form = json!({"platform": "ios", "channel": "apns", "token": "ab".repeat(32)}).to_string();
    let url = format!("{}/v1/devices", stack.base());
    let (alice_of_one, alice_of_two) = (as_app(1, "key of one", "alice"), as_app(2, "key of two", "alice"));
    for alice in [&alice_of_one, &alice_of_two] {
        let put = one.http.put(format!("{url}/phone")).bearer_auth(alice).body(form.clone()).send().await.unwrap();
        assert_eq!(put.status(), 200);
    }
    one.http.delete(format!("{url}/phone")).bearer_auth(&alice_of_two).send().await.unwrap();
    let left: Value = one.http.get(&url).bearer_auth(&alice_of_one).send().await.unwrap().json().await.unwrap();
    assert_eq!(left["devices"].as_array().unwrap().len(), 1);

    // A push is for the users of its app. Neither its number nor its moment is in another app's way.
    let socket = |alice: &str, device: &str| {
        format!("{}/ws?usersig={alice}&device_id={device}", stack.base().replacen("http", "ws", 1))
    };
    let mut socket_of_one = Socket::open(&socket(&alice_of_one, "phone")).await;
    let mut socket_of_two = Socket::open(&socket(&alice_of_two, "phone")).await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi"), "Condition": {"TagsAnd": ["gold"]}});
    let of_one = one.ok("all_member_push/im_push", push.clone()).await;
    let of_two = two("all_member_push/im_push", push).await;
    assert_eq!(of_two["ErrorCode"], 0, "{of_two}");
    assert!(
        of_one["TaskId"].as_str().unwrap().starts_with("1_") && of_two["TaskId"].as_str().unwrap().starts_with("2_")
    );
    assert_eq!(socket_of_one.hear().await["task_id"], of_one["TaskId"]);
    stack.idle().await;
    assert!(socket_of_two.sync().await.is_empty(), "she is not gold there");
    stack.advance(2).await;
    let everyone =
        two("all_member_push/im_push", json!({"MsgRandom": 2, "MsgLifeTime": 600, "MsgBody": text("all")})).await;
    assert_eq!(socket_of_two.hear().await["task_id"], everyone["TaskId"]);
    stack.idle().await;
    let seen: Vec<Value> = socket_of_one.sync().await.iter().map(|push| push["task_id"].clone()).collect();
    assert_eq!(seen, [of_one["TaskId"].clone()]);

    // A key opens its own app only, and some apps may not push.
    let push = json!({"MsgRandom": 3, "MsgBody": text("hi")}).to_string();
    for (sdk_app_id, signature, code) in [
        (2, as_app(1, "key of one", ADMIN), 70014),
        (2, as_app(2, "key of one", ADMIN), 70009),
        (3, as_app(3, "key of mute", ADMIN), 90045),
        (4, as_app(4, "", ADMIN), 70016),
    ] {
        let answer = one.send("all_member_push/im_push", &query(sdk_app_id, &signature), push.clone()).await;
        assert_refused(&answer, code, &format!("app {sdk_app_id}"));
    }
    assert_eq!(Socket::try_open(&socket(&as_app(2, "key of one", "alice"), "phone")).await.err(), Some(401));
}

/// One app's backend.
struct Backend {
    stack: Stack,
    http: Client,
    sdk_app_id: u64,
    key: &'static str,
}

impl Backend {
    fn demo(stack: Stack) -> Self {
        Self { stack, http: Client::new(), sdk_app_id: SDK_APP_ID, key: KEY }
    }

    fn user_sig(&self, user: &str) -> String {
        usersig::sign(&self.key.to_owned().into(), self.sdk_app_id, user, self.stack.now(), 600, None)
    }

    async fn call(&self, call: &str, body: String) -> Value {
        let query = format!(
            "sdkappid={}&identifier={ADMIN}&usersig={}&random=1&contenttype=json",
            self.sdk_app_id,
            self.user_sig(ADMIN)
        );
        self.send(call, &query, body).await
    }

    async fn send(&self, call: &str, query: &str, body: String) -> Value {
        self.answered(self.http.post(format!("{}/v4/{call}?{query}", self.stack.base())).body(body)).await
    }

    /// The answer, which is JSON with status 200 and has three members, whatever was asked.
    async fn answered(&self, request: reqwest::RequestBuilder) -> Value {
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[CONTENT_TYPE]),
            (200, &"application/json".parse().unwrap())
        );
        let answer: Value = response.json().await.unwrap();
        let is_ok = answer["ErrorCode"] == 0;
        assert_eq!(answer["ActionStatus"], if is_ok { "OK" } else { "FAIL" }, "{answer}");
        assert_eq!(answer["ErrorInfo"].as_str().map(str::is_empty), Some(is_ok), "{answer}");
        answer
    }

    async fn ok(&self, call: &str, request: Value) -> Value {
        let answer = self.call(call, request.to_string()).await;
        assert_eq!(answer["ErrorCode"], 0, "{call} {request}: {answer}");
        answer
    }

    async fn refused(&self, call: &str, request: Value, code: u32) {
        let answer = self.call(call, request.to_string()).await;
        assert_refused(&answer, code, &format!("{call} {request}"));
    }

    /// All that the calls that read tell of some users.
    async fn about(&self, users: &[String]) -> [Value; 4] {
        let items: Vec<_> = users.iter().map(|user| json!({"UserID": user})).collect();
        [
            self.ok("im_open_login_svc/account_check", json!({"CheckItem": items})).await,
            self.ok("all_member_push/im_get_attr_name", json!({})).await,
            self.ok("all_member_push/im_get_attr", json!({"To_Account": users})).await,
            self.ok("all_member_push/im_get_tag", json!({"To_Account": users})).await,
        ]
    }

    async fn tags(&self, user: &str) -> Value {
        let answer = self.ok("all_member_push/im_get_tag", json!({"To_Account": [user]})).await;
        answer["UserTags"][0]["Tags"].clone()
    }

    async fn device(&self, user: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        self.stack.as_user(user, method, &format!("/v1/devices{path}"), body).await
    }
}

/// A refusal has the contract's three members and no others.
fn assert_refused(answer: &Value, code: u32, what: &str) {
    let info = answer["ErrorInfo"].as_str().unwrap_or_default();
    assert_eq!(*answer, json!({"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": info}), "{what}");
}

/// A device call was refused, with a code that is explained.
fn assert_told((status, answer): &(u16, Value), expected: u16, code: &str) {
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert_eq!((*status, answer), (expected, &json!({"error": {"code": code, "message": message}})));
    assert!(!message.is_empty(), "{answer}");
    let explained =
        ERRORS.lines().any(|line| line.starts_with(&format!("| {expected} |")) && line.contains(&format!("`{code}`")));
    assert!(explained, "docs/ERRORS.md lacks {expected} {code}");
}
