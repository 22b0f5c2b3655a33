//! Accounts end, are kicked, and are asked about.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use fanfare::dialect::tencent::usersig;
use fanfare::domain::{
    AppId, Channel, ConnectionId, Device, DeviceId, DeviceToken, Ordinal, Platform, Timestamp, User, UserId,
};
use fanfare::store::{Connection, ConnectionStore, ContactStore, UserStore};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Socket, Stack};

use crate::{a_stack, text};

const DELETE: &str = "im_open_login_svc/account_delete";
const IMPORT: &str = "im_open_login_svc/account_import";
const KICK: &str = "im_open_login_svc/kick";
const STATUS: &str = "openim/query_online_status";
const NORMAL_CLOSURE: Option<u16> = Some(1000);

#[tokio::test]
async fn a_deleted_account_is_gone_whole_and_its_name_comes_back_as_someone_new() {
    let stack = a_stack().await;
    let token = "ab".repeat(32);
    stack.register("anne", "phone", "apns", &token).await;
    stack.ok(IMPORT, json!({"UserID": "ben"})).await;
    add_tag(&stack, &["anne"], "gold").await;
    let mut socket = stack.socket("anne", "phone").await;
    let (old_url, old_sig) = (stack.socket_url("anne", "phone"), stack.user_sig("anne"));
    push(&stack, 1, json!({"TagsOr": ["gold"]})).await;
    let kept = socket.hear().await;
    socket.ack(&[kept]).await;
    stack.idle().await;
    let anne = user(&stack, "anne").await.unwrap();

    let answer = stack.ok(DELETE, delete(&["anne", "nobody", "小明"])).await;
    let result = |name: &str, code: u32, info: &str| json!({"UserID": name, "ResultCode": code, "ResultInfo": info});
    let unknown = |name: &str| result(name, 70107, "Err_TLS_PT_Open_Login_Account_Not_Exist");
    assert_eq!(answer["ResultItem"], json!([result("anne", 0, ""), unknown("nobody"), unknown("小明")]));
    assert_eq!(socket.closed().await, NORMAL_CLOSURE);
    stack.idle().await;
    assert_eq!(stack.ok(DELETE, delete(&["anne"])).await["ResultItem"], json!([unknown("anne")]), "once is enough");
    assert_eq!(left_behind(&stack).await, Vec::<String>::new());
    let tags = stack.ok("all_member_push/im_get_tag", json!({"To_Account": ["anne"]})).await;
    assert_eq!((&tags["UserTags"], &tags["ErrorList"][0]["ErrorCode"]), (&json!([]), &json!(70107)));

    // No audience has her any more.
    for (random, condition) in [(2, json!({"TagsOr": ["gold"]})), (3, json!(null))] {
        stack.advance(2).await;
        let task = push(&stack, random, condition).await;
        stack.idle().await;
        assert!(stack.account(&task).await.values().all(|account| account.targeted == 0), "push {random}");
    }
    assert_eq!(stack.delivered("apns").await, [""; 0]);

    // Her old UserSig neither lets her in nor brings the account back, and who was on the way comes too late.
    assert_eq!(Socket::try_open(&old_url).await.err(), Some(401));
    assert_eq!(list_devices(&stack, &old_sig).await, (401, json!("70001")));
    let (client, tables) = stack.store().await;
    let contacts = ContactStore::new(client, &tables.audience);
    let phone = "phone".try_into().unwrap();
    assert_eq!(contacts.connect(&app(), &anne, &"late=".try_into().unwrap(), &phone).await.unwrap(), None);
    assert_eq!(contacts.register(&app(), &anne, a_device(&token)).await.unwrap(), None);
    let check = stack.ok("im_open_login_svc/account_check", json!({"CheckItem": [{"UserID": "anne"}]})).await;
    assert_eq!(check["ResultItem"][0]["AccountStatus"], "NotImported");

    // Her phone is someone else's now.
    stack.register("ben", "phone", "apns", &token).await;
    stack.advance(2).await;
    push(&stack, 4, json!(null)).await;
    stack.until("ben is reached on her phone", async || stack.delivered("apns").await == [token.clone()]).await;
    stack.idle().await;

    // The name comes back as someone new.
    stack.ok(IMPORT, json!({"UserID": "anne"})).await;
    let again = user(&stack, "anne").await.unwrap();
    assert!(again.ordinal > anne.ordinal, "{:?} after {:?}", again.ordinal, anne.ordinal);
    let tags = stack.ok("all_member_push/im_get_tag", json!({"To_Account": ["anne"]})).await;
    assert_eq!(tags["UserTags"], json!([{"To_Account": "anne", "Tags": []}]));
    assert_eq!(Socket::try_open(&old_url).await.err(), Some(401), "old UserSigs stay void");
    assert_eq!(list_devices(&stack, &stack.user_sig("anne")).await, (200, json!([])));
    let mut socket = stack.socket("anne", "phone").await;
    assert_eq!(socket.sync().await, Vec::<Value>::new(), "pushes of before are not for her");
    stack.advance(2).await;
    push(&stack, 5, json!(null)).await;
    assert_eq!(socket.hear().await["type"], "push");
}

#[tokio::test]
async fn a_hundred_accounts_end_in_one_call_however_full_they_are() {
    let stack = a_stack().await;
    let names: Vec<String> = (0..100).map(|n| format!("user{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": names})).await;
    add_tag(&stack, &names, "all").await;
    // The fullest that an account can be.
    let slots: BTreeMap<String, String> = (0..10).map(|n| (n.to_string(), format!("name{n}"))).collect();
    stack.ok("all_member_push/im_set_attr_name", json!({"AttrNames": slots})).await;
    let attributes: BTreeMap<String, &str> = (0..10).map(|n| (format!("name{n}"), "x")).collect();
    let attributes = json!({"UserAttrs": [{"To_Account": "user7", "Attrs": attributes}]});
    stack.ok("all_member_push/im_set_attr", attributes).await;
    for ten in 0..10 {
        let tags: Vec<String> = (0..if ten == 9 { 9 } else { 10 }).map(|n| format!("tag {ten} {n}")).collect();
        let tags = json!({"UserTags": [{"To_Account": "user7", "Tags": tags}]});
        stack.ok("all_member_push/im_add_tag", tags).await;
        stack.register("user7", &format!("phone{ten}"), "apns", &format!("{ten:064x}")).await;
    }

    let answer = stack.ok(DELETE, delete(&names)).await;
    let results = answer["ResultItem"].as_array().unwrap();
    assert_eq!(results.len(), 100);
    assert!(results.iter().zip(&names).all(|(item, name)| item["ResultCode"] == 0 && item["UserID"] == *name));
    assert_eq!(left_behind(&stack).await, Vec::<String>::new());
    let more: Vec<&str> = names.iter().copied().chain(["one more"]).collect();
    assert_eq!(stack.call(DELETE, delete(&more)).await["ErrorCode"], 70402);
}

#[tokio::test]
async fn a_deletion_that_died_half_way_is_completed_by_a_repeat() {
    let stack = a_stack().await;
    let deaths = [
        ("dynamodb", "TransactWriteItems", "before"),
        ("dynamodb", "TransactWriteItems", "after"),
        ("execute-api", "DeleteConnection", "before"),
        ("execute-api", "DeleteConnection", "after"),
        ("dynamodb", "DeleteItem", "before"),
        ("dynamodb", "DeleteItem", "after"),
        ("dynamodb", "UpdateItem", "before"),
        ("dynamodb", "UpdateItem", "after"),
    ];
    for (number, (service, operation, when)) in deaths.into_iter().enumerate() {
        let death = format!("it dies {when} {operation}");
        let (anne, token) = (format!("anne{number}"), format!("{number:064x}"));
        stack.register(&anne, "phone", "apns", &token).await;
        add_tag(&stack, &[&anne], "gold").await;
        let mut socket = stack.socket(&anne, "phone").await;
        stack.advance(2).await;
        push(&stack, number, json!({"TagsOr": ["gold"]})).await;
        let heard = socket.hear().await;
        socket.ack(&[heard]).await;
        stack.idle().await;

        // The first update only counts the call.
        let nth = if operation == "UpdateItem" { 2 } else { 1 };
        let rule =
            json!({"function": "audience", "service": service, "operation": operation, "when": when, "nth": nth});
        stack.local(Method::PUT, "faults", Some(json!({"kill": [rule]}))).await;
        let request = reqwest::Client::new().post(stack.server_url(DELETE)).body(delete(&[&anne]).to_string());
        let status = request.send().await.unwrap().status();
        assert!(status.is_server_error(), "{death}: {status}");
        stack.local(Method::PUT, "faults", Some(json!({}))).await;
        stack.idle().await;
        // Whatever it had come to, a push goes to all of the account or to nothing of it.
        let was_done = (operation, when) != ("TransactWriteItems", "before");
        assert_eq!(user(&stack, &anne).await.is_none(), was_done, "{death}");
        if was_done {
            stack.advance(2).await;
            let task = push(&stack, 100 + number, json!(null)).await;
            stack.idle().await;
            assert!(stack.account(&task).await.values().all(|account| account.targeted == 0), "{death}");
        }

        let repeat = stack.ok(DELETE, delete(&[&anne])).await;
        // All was done but the answer, or the rest was.
        let expected = if (operation, when) == ("UpdateItem", "after") { 70107 } else { 0 };
        assert_eq!(repeat["ResultItem"][0]["ResultCode"], expected, "{death}");
        assert_eq!(stack.ok(DELETE, delete(&[&anne])).await["ResultItem"][0]["ResultCode"], 70107, "{death}");
        assert_eq!(socket.closed().await, NORMAL_CLOSURE, "{death}");
        stack.idle().await;
        assert_eq!(left_behind(&stack).await, Vec::<String>::new(), "{death}");
    }
}

#[tokio::test]
async fn who_was_deleted_stays_away_for_as_long_as_the_app_has_it() {
    let app = |number: u64, more: Value| {
        let mut tencent =
            json!({"sdk_app_id": number, "secret_key": "fanfare-local-secret-key", "admins": ["administrator"]});
        tencent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"id": number.to_string(), "tencent": tencent})
    };
    let apps = json!([
        app(support::SDK_APP_ID, json!({"reimport_after_days": 2})),
        app(2, json!({"deletion_enabled": false}))
    ]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("apps.json");
    std::fs::write(&file, apps.to_string()).unwrap();
    let stack = Stack::start_with(env!("CARGO_BIN_EXE_stack"), &["--apps", file.to_str().unwrap()]).await;

    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": ["anne", "ben"]})).await;
    stack.ok(DELETE, delete(&["anne", "ben"])).await;
    stack.advance(2 * 86_400 - 60).await;
    assert_eq!(stack.call(IMPORT, json!({"UserID": "anne"})).await["ErrorCode"], 70399);
    let answer = stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": ["anne", "cleo"]})).await;
    assert_eq!(answer["FailAccounts"], json!(["anne"]));
    assert_eq!(list_devices(&stack, &stack.user_sig("ben")).await, (403, json!("70399")));
    assert_eq!(Socket::try_open(&stack.socket_url("ben", "phone")).await.err(), Some(403));
    let accounts = json!({"CheckItem": [{"UserID": "anne"}, {"UserID": "ben"}, {"UserID": "cleo"}]});
    let check = stack.ok("im_open_login_svc/account_check", accounts).await;
    let status = |place: usize| check["ResultItem"][place]["AccountStatus"].as_str().unwrap();
    assert_eq!([status(0), status(1), status(2)], ["NotImported", "NotImported", "Imported"]);

    stack.advance(60).await;
    stack.ok(IMPORT, json!({"UserID": "anne"})).await;
    assert_eq!(list_devices(&stack, &stack.user_sig("ben")).await, (200, json!([])));

    // Another app may not delete at all. That is told before what is wrong with the request.
    let signature = usersig::sign(&"fanfare-local-secret-key".into(), 2, "administrator", stack.now(), 600, None);
    let url = format!("{}/v4/{DELETE}?sdkappid=2&identifier=administrator&usersig={signature}", stack.base());
    assert_eq!(stack.post(&url, delete(&["anne"]).to_string()).await["ErrorCode"], 71000);
    assert_eq!(stack.post(&url, "{}").await["ErrorCode"], 71000);
    assert_eq!(stack.post(&url, "{").await["ErrorCode"], 70402);
}

#[tokio::test]
async fn who_is_kicked_loses_the_sockets_and_needs_a_new_user_sig() {
    let stack = a_stack().await;
    stack.register("anne", "phone", "apns", &"ab".repeat(32)).await;
    let mut phone = stack.socket("anne", "phone").await;
    let mut tablet = stack.socket("anne", "tablet").await;
    let mut ben = stack.socket("ben", "phone").await;
    let (old_url, old_sig) = (stack.socket_url("anne", "phone"), stack.user_sig("anne"));

    let answer = stack.ok(KICK, json!({"UserID": "anne"})).await;
    assert_eq!(answer, json!({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""}));
    assert_eq!((phone.closed().await, tablet.closed().await), (NORMAL_CLOSURE, NORMAL_CLOSURE));
    assert_eq!(Socket::try_open(&old_url).await.err(), Some(401));
    assert_eq!(list_devices(&stack, &old_sig).await, (401, json!("70001")));
    ben.say(json!({"type": "ping"})).await;
    assert_eq!(ben.hear().await, json!({"type": "pong"}), "he was not meant");
    stack.idle().await;
    let contact = contact(&stack, user(&stack, "anne").await.unwrap().ordinal).await;
    assert_eq!((contact.connections.len(), contact.devices.len()), (0, 1));

    // One made from the next second on is good.
    stack.advance(1).await;
    let mut socket = stack.socket("anne", "phone").await;
    assert_eq!(socket.sync().await, Vec::<Value>::new());
    let (status, _) = list_devices(&stack, &stack.user_sig("anne")).await;
    assert_eq!(status, 200);
    assert_eq!(Socket::try_open(&old_url).await.err(), Some(401));

    for (request, code) in [(json!({"UserID": "nobody"}), 70107), (json!({}), 70402), (json!({"UserID": 5}), 70402)] {
        assert_eq!(stack.call(KICK, request).await["ErrorCode"], code);
    }
    let check = stack.ok("im_open_login_svc/account_check", json!({"CheckItem": [{"UserID": "nobody"}]})).await;
    assert_eq!(check["ResultItem"][0]["AccountStatus"], "NotImported");
}

#[tokio::test]
async fn accounts_are_online_reachable_or_away() {
    let stack = a_stack().await;
    stack.register("anne", "phone", "apns", &"ab".repeat(32)).await;
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": ["ben", "cleo"]})).await;
    let asked = json!({"To_Account": ["anne", "ben", "nobody"], "IsNeedDetail": 1, "IsReturnInstid": 1});
    let result = |name: &str, status: &str, detail: Value| json!({"To_Account": name, "Status": status, "State": status, "Detail": detail});
    let on = |platform: &str, status: &str| json!([{"Platform": platform, "Status": status}]);

    let answer = stack.ok(STATUS, asked.clone()).await;
    let pushed = result("anne", "PushOnline", on("iPhone", "PushOnline"));
    assert_eq!(answer["QueryResult"], json!([pushed, result("ben", "Offline", json!([]))]));
    assert_eq!(
        (&answer["ErrorList"][0]["To_Account"], &answer["ErrorList"][0]["ErrorCode"]),
        (&json!("nobody"), &json!(70107))
    );

    let phone = stack.socket("anne", "phone").await;
    let desk = stack.socket("ben", "desk").await;
    let answer = stack.ok(STATUS, asked.clone()).await;
    let expected = [result("anne", "Online", on("iPhone", "Online")), result("ben", "Online", on("Web", "Online"))];
    assert_eq!(answer["QueryResult"], json!(expected));
    let older = stack.ok("openim/querystate", json!({"To_Account": ["anne", "cleo"]})).await;
    let brief = |name: &str, status: &str| json!({"To_Account": name, "Status": status, "State": status});
    assert_eq!(older["QueryResult"], json!([brief("anne", "Online"), brief("cleo", "Offline")]));
    phone.close().await;
    desk.close().await;
    stack.idle().await;
    let gone = json!([pushed, result("ben", "Offline", json!([]))]);
    assert_eq!(stack.ok(STATUS, asked.clone()).await["QueryResult"], gone);

    // Sockets whose end was never told: one that only the contact knows, and one that is older than a socket gets.
    let (client, tables) = stack.store().await;
    let contacts = ContactStore::new(client.clone(), &tables.audience);
    let ben = user(&stack, "ben").await.unwrap();
    let device = DeviceId::try_from("desk").unwrap();
    contacts.connect(&app(), &ben, &"vanished=".try_into().unwrap(), &device).await.unwrap();
    assert_eq!(stack.ok(STATUS, asked.clone()).await["QueryResult"], gone);
    let id = ConnectionId::try_from("forgotten=").unwrap();
    contacts.connect(&app(), &ben, &id, &device).await.unwrap();
    let connection = Connection { id, app: app(), user: ben.id.clone(), ordinal: ben.ordinal, device };
    let connections = ConnectionStore::new(client, &tables.audience);
    connections.put(&connection, Timestamp::from_secs(stack.now())).await.unwrap();
    let status = async |place: usize| stack.ok(STATUS, asked.clone()).await["QueryResult"][place]["Status"].clone();
    assert_eq!(status(1).await, "Online");
    stack.advance(2 * 3_600).await;
    assert_eq!(status(1).await, "Offline");

    stack.advance(7 * 86_400 - 3 * 3_600).await;
    assert_eq!(status(0).await, "PushOnline");
    stack.advance(3_600).await;
    assert_eq!(status(0).await, "Offline");

    let answer = stack.call(STATUS, json!({"To_Account": ["nobody", "小明"]})).await;
    assert_eq!((&answer["ErrorCode"], &answer["QueryResult"]), (&json!(70107), &json!([])));
    assert_eq!(answer["ErrorList"].as_array().unwrap().len(), 2);
    let names = |count: usize| -> Value { (0..count).map(|n| format!("user{n}")).collect() };
    for (request, code) in [
        (json!({"To_Account": names(501)}), 90011),
        (json!({"To_Account": names(500)}), 70107),
        (json!({"To_Account": []}), 90001),
        (json!({"To_Account": "anne"}), 90003),
    ] {
        assert_eq!(stack.call(STATUS, request).await["ErrorCode"], code);
    }
}

#[tokio::test]
async fn a_contact_that_cannot_be_read_whole_is_deleted_all_the_same() {
    let stack = a_stack().await;
    stack.ok(IMPORT, json!({"UserID": "anne"})).await;
    let anne = user(&stack, "anne").await.unwrap();
    let (client, tables) = stack.store().await;
    let device = DeviceId::try_from("desk").unwrap();
    let contacts = ContactStore::new(client.clone(), &tables.audience);
    contacts.connect(&app(), &anne, &"vanished=".try_into().unwrap(), &device).await.unwrap();
    let key = AttributeValue::S;
    let without_device = AttributeValue::Ss(vec!["without-a-device=".to_owned()]);
    let update = client.update_item().table_name(&tables.audience).update_expression("ADD c :c");
    let update = update.key("pk", key(format!("{}#c#00000", app()))).key("sk", key(format!("{:05}", anne.ordinal.0)));
    update.expression_attribute_values(":c", without_device).send().await.unwrap();

    let answer = stack.ok(DELETE, delete(&["anne"])).await;
    assert_eq!(answer["ResultItem"][0]["ResultCode"], 0, "{answer}");
    assert!(user(&stack, "anne").await.is_none());
}

fn app() -> AppId {
    AppId::try_from(support::SDK_APP_ID.to_string()).unwrap()
}

fn delete(names: &[&str]) -> Value {
    json!({"DeleteItem": names.iter().map(|name| json!({"UserID": name})).collect::<Value>()})
}

fn a_device(token: &str) -> Device {
    Device {
        id: DeviceId::try_from("phone").unwrap(),
        platform: Platform::Ios,
        channel: Channel::Apns,
        token: DeviceToken::new(token),
        package: None,
        push_enabled: true,
        language: None,
        registered_at: Timestamp::from_secs(0),
        active_at: Timestamp::from_secs(0),
    }
}

async fn add_tag(stack: &Stack, users: &[&str], tag: &str) {
    let tags: Value = users.iter().map(|user| json!({"To_Account": user, "Tags": [tag]})).collect();
    stack.ok("all_member_push/im_add_tag", json!({"UserTags": tags})).await;
}

/// Pushes something that is kept for a day; its task id.
async fn push(stack: &Stack, random: usize, condition: Value) -> String {
    let push = json!({"MsgRandom": random, "MsgLifeTime": 86_400, "Condition": condition, "MsgBody": text("hi")});
    stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned()
}

/// The status of a device call with a given UserSig, and the devices or the error's code.
async fn list_devices(stack: &Stack, user_sig: &str) -> (u16, Value) {
    let request = reqwest::Client::new().get(format!("{}/v1/devices", stack.base())).bearer_auth(user_sig);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let answer: Value = answer.json().await.unwrap();
    (status, if status == 200 { answer["devices"].clone() } else { answer["error"]["code"].clone() })
}

async fn user(stack: &Stack, name: &str) -> Option<User> {
    let (client, tables) = stack.store().await;
    let id = UserId::try_from(name).unwrap();
    UserStore::new(client, &tables.audience).get(&app(), std::slice::from_ref(&id)).await.unwrap().remove(&id)
}

async fn contact(stack: &Stack, ordinal: Ordinal) -> fanfare::store::Contact {
    let (client, tables) = stack.store().await;
    ContactStore::new(client, &tables.audience).of_users(&app(), &[ordinal]).await.unwrap().remove(0)
}

/// The keys of what is stored of the app's audience, where no account is left, that should not be there: all but what
/// the app has, standings without a note, and marks where contacts were.
async fn left_behind(stack: &Stack) -> Vec<String> {
    let (client, tables) = stack.store().await;
    let answer = client.scan().table_name(&tables.audience).consistent_read(true).send().await.unwrap();
    assert!(answer.last_evaluated_key.is_none(), "one page");
    let mut left = Vec::new();
    for item in answer.items.unwrap_or_default() {
        let pk = item["pk"].as_s().unwrap().clone();
        let kind = pk.split('#').nth(1).unwrap_or_default();
        let is_expected = match kind {
            // Calls are counted by the app, and forgotten in a minute.
            "n" | "a" | "r" => true,
            "s" => item.contains_key("x") && !item.contains_key("l"),
            "c" => item.contains_key("x") && !item.contains_key("d") && !item.contains_key("c"),
            // Ben's, where he is there too.
            "u" => pk.ends_with("#ben"),
            _ => false,
        };
        if !is_expected {
            left.push(pk);
        }
    }
    left
}
