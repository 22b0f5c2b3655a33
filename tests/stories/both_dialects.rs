//! One audience, two contracts: whatever is said of a user in one holds in the other.

use fanfare::domain::{AppId, Channel, UserId};
use fanfare::store::UserStore;
use reqwest::Method;
use serde_json::{Value, json};
use support::{APP_KEY, APP_SECRET, SDK_APP_ID, Socket, Stack};

use crate::{a_stack, a_stack_of, app, text};

const SET_TAGS: &str = "/user/tag/set.json";
const BATCH_SET_TAGS: &str = "/user/tag/batch/set.json";
const GET_TAGS: &str = "/user/tags/get.json";
const GET_TOKEN: &str = "/user/getToken.json";
const SET_QUIET: &str = "/user/blockPushPeriod/set.json";
const GET_QUIET: &str = "/user/blockPushPeriod/get.json";
const DELETE_QUIET: &str = "/user/blockPushPeriod/delete.json";

#[tokio::test]
async fn tags_of_one_contract_are_tags_of_the_other() {
    let stack = &a_stack().await;
    // Never seen before, and there by being tagged.
    succeeds(stack, SET_TAGS, &json!({"userId": "anne", "tags": ["gold", "男"]})).await;
    assert!(exists(stack, "anne").await);
    assert_eq!(tencent_tags(stack, "anne").await, json!(["gold", "男"]));

    stack.ok("im_open_login_svc/account_import", json!({"UserID": "ben"})).await;
    stack.ok("all_member_push/im_set_attr_name", json!({"AttrNames": {"0": "city"}})).await;
    let attributes = json!({"UserAttrs": [{"To_Account": "ben", "Attrs": {"city": "x"}}]});
    stack.ok("all_member_push/im_set_attr", attributes).await;
    add_tags(stack, "ben", &["gold", "silver"]).await;
    let found = get_tags(stack, &["anne", "nobody", "ben", "anne"]).await;
    assert_eq!(found, json!({"anne": ["gold", "男"], "nobody": [], "ben": ["gold", "silver"]}));
    assert!(!exists(stack, "nobody").await, "a question makes nobody");

    stack.register("anne", "phone", "apns", &token_of("anne")).await;
    stack.register("ben", "phone", "apns", &token_of("ben")).await;
    push(stack, 1, &["gold", "silver"]).await;
    reached(stack, &["ben"]).await;

    // All that they had is replaced, and nothing but tags.
    succeeds(stack, BATCH_SET_TAGS, &json!({"userIds": ["ben", "anne", "carl"], "tags": ["bronze"]})).await;
    let found = get_tags(stack, &["anne", "ben", "carl"]).await;
    assert_eq!(found, json!({"anne": ["bronze"], "ben": ["bronze"], "carl": ["bronze"]}));
    let attributes = stack.ok("all_member_push/im_get_attr", json!({"To_Account": ["ben"]})).await;
    assert_eq!(attributes["UserAttrs"][0]["Attrs"], json!({"city": "x"}));
    stack.advance(2).await;
    let to_no_one = push(stack, 2, &["gold"]).await;
    stack.idle().await;
    assert!(stack.account(&to_no_one).await.values().all(|account| account.targeted == 0), "nobody is gold any more");
    stack.advance(2).await;
    push(stack, 3, &["bronze"]).await;
    reached(stack, &["anne", "ben", "ben"]).await;

    for (path, cleared) in [
        (SET_TAGS, json!({"userId": "anne", "tags": null})),
        (BATCH_SET_TAGS, json!({"userIds": ["ben", "carl"], "tags": []})),
    ] {
        succeeds(stack, path, &cleared).await;
    }
    assert_eq!(get_tags(stack, &["anne", "ben", "carl"]).await, json!({"anne": [], "ben": [], "carl": []}));
}

#[tokio::test]
async fn a_push_of_one_contract_goes_to_those_tagged_in_the_other() {
    let stack = &a_stack().await;
    for (user, tags) in [("anne", &["gold", "silver"][..]), ("ben", &["gold"]), ("carl", &["silver"])] {
        stack.ok("im_open_login_svc/account_import", json!({"UserID": user})).await;
        add_tags(stack, user, tags).await;
        stack.register(user, "phone", "apns", &token_of(user)).await;
    }
    let push = json!({"platform": ["ios"], "audience": {"tag": ["gold", "silver"], "is_to_all": false}, "notification": {"alert": "hi"}});
    let (status, answer) = stack.signed_json("/push.json", &push).await;
    assert_eq!((status, &answer["code"]), (200, &json!(200)), "{answer}");
    reached(stack, &["anne"]).await;
}

#[tokio::test]
async fn a_thousand_users_are_tagged_in_one_call_known_or_not() {
    let mut app = app(SDK_APP_ID, json!({}), json!({}));
    app["rongcloud"] = json!({"app_key": APP_KEY, "app_secret": APP_SECRET, "rates": {GET_TAGS: {}}});
    let stack = &a_stack_of(&[app]).await;
    let names: Vec<String> = (0..1_000).map(|n| format!("user{n}")).collect();
    let tags = |round: usize| (0..20).map(|n| format!("tag {round} {n}")).collect::<Vec<_>>();
    // A user who has as many tags as can be takes the twenty in their place.
    let many: Vec<String> = (0..100).map(|n| format!("one of many {n}")).collect();
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "user7"})).await;
    for tags in many.chunks(10) {
        add_tags(stack, "user7", &tags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    for round in 0..3 {
        stack.local(Method::DELETE, "usage", None).await;
        succeeds(stack, BATCH_SET_TAGS, &json!({"userIds": names, "tags": tags(round)})).await;
        let usage = stack.local(Method::GET, "usage", None).await;
        // Ninety-eight users to a transaction, and what a term's block costs once for each: one by one it would be a
        // thousand transactions, and more time than a function has.
        let transactions = &usage["dynamodb"]["tables"]["AudienceTable"]["TransactWriteItems"];
        assert!(transactions["requests"].as_u64().unwrap() <= 30, "{usage}");
        assert!(transactions["write_units"].as_f64().unwrap() <= 5_000.0, "{usage}");
        for fifty in names.chunks(50) {
            let fifty: Vec<&str> = fifty.iter().map(String::as_str).collect();
            let found = get_tags(stack, &fifty).await;
            assert!(fifty.iter().all(|name| found[name] == json!(tags(round))), "{found}");
        }
    }
    let (client, tables) = stack.store().await;
    let population = UserStore::new(client, &tables.audience).population(&demo()).await.unwrap();
    assert_eq!(population, 1_000, "each is one user");

    let (status, answer) = stack.signed_json(BATCH_SET_TAGS, &json!({"userIds": vec!["u"; 1_001], "tags": []})).await;
    assert_eq!((status, &answer["code"]), (400, &json!(1002)), "{answer}");
}

#[tokio::test]
async fn who_was_deleted_comes_back_when_the_days_are_over_in_either_contract() {
    let mut app = app(SDK_APP_ID, json!({"reimport_after_days": 2}), json!({}));
    app["rongcloud"] = json!({"app_key": APP_KEY, "app_secret": APP_SECRET});
    let stack = &a_stack_of(&[app]).await;
    for user in ["anne", "ben"] {
        succeeds(stack, SET_TAGS, &json!({"userId": user, "tags": ["gold"]})).await;
    }
    stack.ok("im_open_login_svc/account_delete", json!({"DeleteItem": [{"UserID": "anne"}]})).await;

    let quiet = [("userId", "anne"), ("startTime", "23:00:00"), ("period", "60"), ("level", "1")];
    for (status, answer) in [
        stack.signed_json(SET_TAGS, &json!({"userId": "anne", "tags": ["a"]})).await,
        stack.signed_json(BATCH_SET_TAGS, &json!({"userIds": ["ben", "anne", "new"], "tags": ["a"]})).await,
        stack.signed_form(GET_TOKEN, &[("userId", "anne")]).await,
        stack.signed_form(SET_QUIET, &quiet).await,
    ] {
        assert_eq!((status, &answer["code"]), (400, &json!(1002)), "{answer}");
        assert_eq!(answer["errorMessage"], "the user anne was deleted, and may not come back yet");
    }
    // Refused as a whole.
    assert_eq!(get_tags(stack, &["anne", "ben", "new"]).await, json!({"anne": [], "ben": ["gold"], "new": []}));
    assert!(!exists(stack, "anne").await && !exists(stack, "new").await);

    stack.advance(2 * 86_400).await;
    succeeds(stack, BATCH_SET_TAGS, &json!({"userIds": ["ben", "anne", "new"], "tags": ["a"]})).await;
    assert_eq!(get_tags(stack, &["anne", "ben", "new"]).await, json!({"anne": ["a"], "ben": ["a"], "new": ["a"]}));
}

#[tokio::test]
async fn quiet_hours_are_a_users_own_and_go_with_it() {
    let stack = &a_stack().await;
    let none = json!({"code": 200, "data": {"startTime": "", "period": 0, "unPushLevel": 0}});
    assert_eq!(quiet_hours(stack, "anne").await, none);
    let (_, answer) = stack.signed_form(DELETE_QUIET, &[("userId", "anne")]).await;
    assert_eq!(answer, json!({"code": 200}));
    assert!(!exists(stack, "anne").await, "questions and what is taken away make nobody");

    // Of a user never seen, before any device.
    set_quiet_hours(stack, "anne", "23:59:59", "120", "1").await;
    assert!(exists(stack, "anne").await);
    let set = |start: &str, period: u32, level: u32| json!({"code": 200, "data": {"startTime": start, "period": period, "unPushLevel": level}});
    assert_eq!(quiet_hours(stack, "anne").await, set("23:59:59", 120, 1));
    assert_eq!(quiet_hours(stack, "ben").await, none);
    stack.register("anne", "phone", "apns", &token_of("anne")).await;
    let mut socket = stack.socket("anne", "phone").await;
    assert_eq!(quiet_hours(stack, "anne").await, set("23:59:59", 120, 1), "devices and sockets leave them alone");

    // And they leave devices and sockets alone.
    set_quiet_hours(stack, "anne", "00:00:00", "1439", "5").await;
    assert_eq!(quiet_hours(stack, "anne").await, set("00:00:00", 1_439, 5));
    let (_, devices) = stack.as_user("anne", Method::GET, "/v1/devices", None).await;
    assert_eq!(devices["devices"][0]["device_id"], "phone");
    let online = stack.ok("openim/query_online_status", json!({"To_Account": ["anne"]})).await;
    assert_eq!(online["QueryResult"][0]["Status"], "Online");
    socket.say(json!({"type": "ping"})).await;
    assert_eq!(socket.hear().await["type"], "pong");
    socket.close().await;

    // They end by their own call, or where their length is set to nothing.
    let (_, answer) = stack.signed_form(DELETE_QUIET, &[("userId", "anne")]).await;
    assert_eq!((answer, quiet_hours(stack, "anne").await), (json!({"code": 200}), none.clone()));
    set_quiet_hours(stack, "anne", "22:00:00", "60", "5").await;
    set_quiet_hours(stack, "anne", "22:00:00", "0", "5").await;
    assert_eq!(quiet_hours(stack, "anne").await, none);

    set_quiet_hours(stack, "anne", "22:00:00", "60", "5").await;
    stack.idle().await;
    stack.ok("im_open_login_svc/account_delete", json!({"DeleteItem": [{"UserID": "anne"}]})).await;
    assert_eq!(quiet_hours(stack, "anne").await, none);
    succeeds(stack, SET_TAGS, &json!({"userId": "anne", "tags": []})).await;
    assert_eq!(quiet_hours(stack, "anne").await, none, "who comes back is someone new");
}

#[tokio::test]
async fn a_token_makes_a_user_and_says_what_is_new_of_it() {
    let stack = &a_stack().await;
    let first =
        token(stack, &[("userId", "anne"), ("name", "Anne"), ("portraitUri", "https://example.com/a.png")]).await;
    assert!(exists(stack, "anne").await);
    let profile = profile(stack, "anne").await;
    assert_eq!(profile, (Some("Anne".to_owned()), Some("https://example.com/a.png".to_owned())));
    add_tags(stack, "anne", &["gold"]).await;
    let second = token(stack, &[("userId", "anne"), ("name", "Anne B.")]).await;
    let profile = self::profile(stack, "anne").await;
    assert_eq!(profile, (Some("Anne B.".to_owned()), Some("https://example.com/a.png".to_owned())));
    assert_eq!(get_tags(stack, &["anne"]).await, json!({"anne": ["gold"]}));
    assert!(!first.is_empty() && !second.is_empty());
    assert_ne!(first, token(stack, &[("userId", "ben")]).await);
}

#[tokio::test]
async fn a_token_lets_its_user_in_until_it_is_kicked() {
    let stack = &a_stack().await;
    let anne = token(stack, &[("userId", "anne")]).await;
    assert_eq!(devices(stack, &anne).await, (200, json!([])));
    let mut socket = Socket::open(&socket_url(stack, &anne)).await;
    assert_eq!(socket.sync().await, Vec::<Value>::new());

    // One that is asked for in the moment of the kick is good, and those before it are not.
    stack.ok("im_open_login_svc/kick", json!({"UserID": "anne"})).await;
    let again = token(stack, &[("userId", "anne")]).await;
    assert_eq!(devices(stack, &anne).await.0, 401);
    assert_eq!(Socket::try_open(&socket_url(stack, &anne)).await.err(), Some(401));
    assert_eq!(devices(stack, &again).await, (200, json!([])));
    let mut socket = Socket::open(&socket_url(stack, &again)).await;
    assert_eq!(socket.sync().await, Vec::<Value>::new());

    stack.ok("im_open_login_svc/account_delete", json!({"DeleteItem": [{"UserID": "anne"}]})).await;
    assert_eq!(devices(stack, &again).await.0, 401);
    assert!(!exists(stack, "anne").await);
    let new = token(stack, &[("userId", "anne")]).await;
    assert_eq!(devices(stack, &new).await, (200, json!([])));
}

#[tokio::test]
async fn quiet_hours_hold_back_what_vendors_would_show() {
    let mut app = app(SDK_APP_ID, json!({}), json!({"utc_offset_minutes": 0, "push_interval_ms": 0}));
    app["rongcloud"] = json!({"app_key": APP_KEY, "app_secret": APP_SECRET});
    app["channels"] = json!("sandbox");
    let stack = &a_stack_of(&[app]).await;
    let names = ["anne", "ben", "carl"];
    for name in names {
        stack.register(name, "phone", "apns", &token_of(name)).await;
    }
    // An hour that has begun, for one of them, and one that is over, for another.
    let clock = |secs: i64| {
        let secs = secs.rem_euclid(86_400);
        format!("{:02}:{:02}:{:02}", secs / 3_600, secs / 60 % 60, secs % 60)
    };
    set_quiet_hours(stack, "anne", &clock(stack.now() - 600), "60", "1").await;
    set_quiet_hours(stack, "ben", &clock(stack.now() - 7_200), "60", "5").await;

    let push = |random: u32| json!({"MsgRandom": random, "MsgLifeTime": 86_400, "MsgBody": text("hi"), "OfflinePushInfo": {"PushFlag": 0, "Title": "t", "Desc": "hi"}});
    let answer = stack.ok("all_member_push/im_push", push(1)).await;
    reached(stack, &["ben", "carl"]).await;
    let account = &stack.account(answer["TaskId"].as_str().unwrap()).await[&Channel::Apns];
    assert_eq!((account.targeted, account.settled.suppressed), (3, 1));
    // She finds it all the same, and gets those of the next day's other hours.
    let mut socket = stack.socket("anne", "phone").await;
    assert_eq!(socket.sync().await.len(), 1);
    socket.close().await;
    stack.idle().await;
    stack.advance(3_600).await;
    stack.ok("all_member_push/im_push", push(2)).await;
    reached(stack, &["anne", "ben", "ben", "carl", "carl"]).await;
}

#[tokio::test]
async fn the_stack_hands_out_headers_that_sign_a_call() {
    let stack = &a_stack().await;
    let http = reqwest::Client::new();
    let url = format!("{}/_local/signature", stack.base());
    let headers = http.get(&url).send().await.unwrap().text().await.unwrap();
    let names: Vec<&str> = headers.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert_eq!(names, ["App-Key", "Nonce", "Timestamp", "Signature"]);
    let call = http.post(format!("{}{GET_TAGS}", stack.base())).body("userIds=anne");
    let call = headers
        .lines()
        .filter_map(|line| line.split_once(": "))
        .fold(call, |call, (name, value)| call.header(name, value));
    let answer: Value = call.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer, json!({"code": 200, "result": {"anne": []}}));
    assert_eq!(http.get(format!("{url}?app_key=nobody")).send().await.unwrap().status(), 404);
}

async fn succeeds(stack: &Stack, path: &str, body: &Value) {
    let answer = stack.signed_json(path, body).await;
    assert_eq!(answer, (200, json!({"code": 200})), "{path}");
}

async fn get_tags(stack: &Stack, users: &[&str]) -> Value {
    let fields: Vec<(&str, &str)> = users.iter().map(|user| ("userIds", *user)).collect();
    let (status, answer) = stack.signed_form(GET_TAGS, &fields).await;
    assert_eq!((status, &answer["code"]), (200, &json!(200)), "{answer}");
    answer["result"].clone()
}

async fn quiet_hours(stack: &Stack, user: &str) -> Value {
    stack.signed_form(GET_QUIET, &[("userId", user)]).await.1
}

async fn set_quiet_hours(stack: &Stack, user: &str, start: &str, period: &str, level: &str) {
    let fields = [("userId", user), ("startTime", start), ("period", period), ("level", level)];
    assert_eq!(stack.signed_form(SET_QUIET, &fields).await, (200, json!({"code": 200})));
}

async fn token(stack: &Stack, fields: &[(&str, &str)]) -> String {
    let (status, answer) = stack.signed_form(GET_TOKEN, fields).await;
    assert_eq!((status, &answer["code"], &answer["userId"]), (200, &json!(200), &json!(fields[0].1)), "{answer}");
    answer["token"].as_str().unwrap().to_owned()
}

/// What a client app that bears a token is told of its user's devices.
async fn devices(stack: &Stack, token: &str) -> (u16, Value) {
    let answer =
        reqwest::Client::new().get(format!("{}/v1/devices", stack.base())).bearer_auth(token).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json::<Value>().await.unwrap()["devices"].clone())
}

fn socket_url(stack: &Stack, token: &str) -> String {
    format!("{}/ws?token={token}&device_id=phone", stack.base().replacen("http", "ws", 1))
}

async fn exists(stack: &Stack, user: &str) -> bool {
    let check = stack.ok("im_open_login_svc/account_check", json!({"CheckItem": [{"UserID": user}]})).await;
    check["ResultItem"][0]["AccountStatus"] == "Imported"
}

async fn profile(stack: &Stack, user: &str) -> (Option<String>, Option<String>) {
    let (client, tables) = stack.store().await;
    let id = UserId::try_from(user).unwrap();
    let users = UserStore::new(client, &tables.audience).get(&demo(), std::slice::from_ref(&id)).await.unwrap();
    let profile = users[&id].profile.clone();
    (profile.nick, profile.face_url)
}

fn demo() -> AppId {
    AppId::try_from(SDK_APP_ID.to_string()).unwrap()
}

async fn tencent_tags(stack: &Stack, user: &str) -> Value {
    let answer = stack.ok("all_member_push/im_get_tag", json!({"To_Account": [user]})).await;
    answer["UserTags"][0]["Tags"].clone()
}

async fn add_tags(stack: &Stack, user: &str, tags: &[&str]) {
    stack.ok("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": user, "Tags": tags}]})).await;
}

/// Waits until the phones of these have been sent to, each as often as its user is named.
async fn reached(stack: &Stack, users: &[&str]) {
    let mut expected: Vec<String> = users.iter().map(|user| token_of(user)).collect();
    expected.sort_unstable();
    stack.until("all are reached", async || stack.delivered("apns").await.len() >= expected.len()).await;
    stack.idle().await;
    assert_eq!(stack.delivered("apns").await, expected);
}

/// Pushes to those who have all of the tags, through Tencent's contract. Returns the task.
async fn push(stack: &Stack, random: u32, tags: &[&str]) -> String {
    let push = json!({"MsgRandom": random, "MsgLifeTime": 600, "MsgBody": text("hi"), "Condition": {"TagsAnd": tags},
        "OfflinePushInfo": {"PushFlag": 0, "Title": "t", "Desc": "hi"}});
    let answer = stack.ok("all_member_push/im_push", push).await;
    answer["TaskId"].as_str().unwrap().to_owned()
}

/// The device token of a user's phone.
fn token_of(user: &str) -> String {
    let digits: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0>64}")
}
