//! Apps on one stack see nothing of each other, though everything in them has the same name.
//!
//! One app is furnished, and all that the tables hold is written down. Then the same is done to two more, one after the
//! other: every call of both contracts, devices, sockets, pushes to the same tokens. What the second is answered must be
//! what the first was, whatever is in the others, and what was written down must still stand there.

use std::collections::BTreeSet;
use std::time::Duration;

use fanfare::dialect::rongcloud;
use fanfare::dialect::tencent::{Command, usersig};
use fanfare::domain::{App, AppName};
use fanfare::store::AppStore;
use reqwest::{Client, Method};
use serde_json::{Map, Value, json};
use support::{ADMIN, SDK_APP_ID, Socket, Stack, form, signature};

use crate::{a_stack, text};

/// The same for all of them: a UserSig is still one app's.
const KEY: &str = "the key of every app";
const TOKEN: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";
const JSON: &str = "application/json";
/// A message to everyone.
const MESSAGE: &[(&str, &str)] =
    &[("fromUserId", "boss"), ("objectName", "RC:TxtMsg"), ("content", "{}"), ("pushContent", "hi")];
/// Long enough for what was sent by mistake to arrive.
const A_MOMENT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn whatever_is_done_to_one_app_the_other_stays_as_it_was() {
    let stack = &a_stack().await;
    let [kept, first, second] = &apps(stack).await;

    kept.furnish().await;
    let of_kept = kept.push(json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")})).await;
    let message_of_kept = kept.signed("/message/broadcast.json", &form(MESSAGE)).await;
    stack.idle().await;
    let mut socket = kept.socket("alice", "phone").await;
    let kept_pushes = socket.sync().await;
    assert_eq!((kept_pushes.len(), &kept_pushes[0]["task_id"]), (2, &of_kept["TaskId"]));
    let proof_of_bob = kept.user_sig("bob");
    stack.idle().await;
    let kept_tables = tables(stack).await;
    let kept_deliveries = stack.delivered("apns").await;
    assert_eq!(kept_deliveries, [TOKEN, TOKEN], "bob of the kept app was reached");

    let done_to_first = first.do_everything().await;
    let done_to_second = second.do_everything().await;
    // A message is withdrawn by its own app alone.
    let uid = message_of_kept["messageUID"].as_str().unwrap();
    let recall = form(&[("fromUserId", "boss"), ("messageUID", uid), ("isAdmin", "1")]);
    assert_eq!(first.signed("/message/broadcast/recall.json", &recall).await["code"], 1002);
    // Nor is it told of any other's push, not even that it is there: neither by its own proofs nor by signature.
    for id in [of_kept["TaskId"].as_str().unwrap(), uid] {
        assert_eq!(kept.account(id).await["state"], "done");
        for stranger in [first.account(id).await, first.signed_account(id).await] {
            assert_eq!(stranger, first.account("0000000000000000000000").await);
            assert_eq!(stranger["error"]["code"], "not_found", "{stranger}");
        }
        assert_eq!(kept.signed_account(id).await, kept.account(id).await);
    }
    for (of_first, of_second) in done_to_first.iter().zip(&done_to_second) {
        assert_eq!(of_first, of_second, "what is in other apps shows");
    }
    assert_eq!(done_to_first.len(), done_to_second.len());

    // Nothing of it reached the kept app, and nothing of the kept app is gone or changed.
    stack.idle().await;
    let now = tables(stack).await;
    let gone_or_changed: Vec<&String> = kept_tables.difference(&now).collect();
    assert!(gone_or_changed.is_empty(), "{gone_or_changed:#?}");
    assert!(now.len() > kept_tables.len() + 20, "things were done");
    assert_eq!(socket.hear_within(A_MOMENT).await, None, "a push of another app came");
    assert_eq!(socket.sync().await, kept_pushes);
    let listed = kept.device(&proof_of_bob, Method::GET, "", None).await;
    assert_eq!(listed["devices"].as_array().map(Vec::len), Some(1), "{listed}");
}

#[tokio::test]
async fn a_proof_is_of_one_app() {
    let stack = &a_stack().await;
    let [one, two, _] = &apps(stack).await;
    one.furnish().await;
    two.furnish().await;
    stack.idle().await;
    let before = tables(stack).await;

    // The keys are the same, so that only what the UserSig says of its app tells them apart.
    for command in Command::ALL {
        for (sdk_app_id, signed_for) in [(one.sdk_app_id, two), (two.sdk_app_id, one)] {
            let answer = one.send(command.path, sdk_app_id, &signed_for.user_sig(ADMIN), &json!({})).await;
            assert_eq!(answer["ErrorCode"], 70014, "{}: {answer}", command.path);
        }
    }
    // And what a signature was made with.
    for command in rongcloud::Command::ALL {
        for (app_key, secret_of) in [(&one.app_key, two), (&two.app_key, one)] {
            let answer = stack.signed_as(app_key, &secret_of.app_secret, command.path, "{}", JSON, &[]).await;
            assert_eq!((answer.0, &answer.1["code"]), (401, &json!(1004)), "{}: {}", command.path, answer.1);
        }
    }
    // Who bears a UserSig of an app is its user, and no other app's.
    let stranger = two.device(&two.user_sig("carol"), Method::GET, "", None).await;
    assert_eq!(stranger["devices"], json!([]));
    one.device(
        &one.user_sig("carol"),
        Method::PUT,
        "/phone",
        Some(json!({"platform": "ios", "channel": "apns", "token": "ef".repeat(32)})),
    )
    .await;
    let stranger = two.device(&two.user_sig("carol"), Method::GET, "", None).await;
    assert_eq!(stranger["devices"], json!([]), "a device of another app's carol");
    two.device(&two.user_sig("carol"), Method::DELETE, "/phone", None).await;
    let own = one.device(&one.user_sig("carol"), Method::GET, "", None).await;
    assert_eq!(own["devices"].as_array().map(Vec::len), Some(1), "{own}");

    let after = tables(stack).await;
    assert_eq!(before.difference(&after).count(), 0, "a call that was refused changed something");
}

/// Three apps with the channels of the demo app. Their ids begin alike, which must not be enough for anything.
async fn apps(stack: &Stack) -> [Backend<'_>; 3] {
    let (client, tables) = stack.store().await;
    let store = AppStore::new(client, tables.apps);
    let demo = store.by_name(&AppName::SdkAppId(SDK_APP_ID)).await.unwrap().unwrap();
    let backend = async |id: &str, sdk_app_id: u64| {
        let mut app = serde_json::to_value(&*demo).unwrap();
        app["id"] = id.into();
        app["tencent"] = json!({"sdk_app_id": sdk_app_id, "secret_key": KEY, "admins": [ADMIN],
            // Each call is tried with a proof that is wrong, and none of them is to be refused unheard.
            "wrong_user_sigs_per_minute": 1_000});
        app["quotas"] = json!({"push_interval_ms": 0});
        let (app_key, app_secret) = (format!("key of {id}"), format!("secret of {id}"));
        let as_often_as_it_likes: Map<String, Value> =
            rongcloud::Command::ALL.iter().map(|command| (command.path.to_owned(), json!({}))).collect();
        app["rongcloud"] = json!({"app_key": app_key, "app_secret": app_secret, "rates": as_often_as_it_likes});
        store.put(&serde_json::from_value::<App>(app).unwrap()).await.unwrap();
        Backend { stack, http: Client::new(), sdk_app_id, app_key, app_secret }
    };
    [backend("app", 1).await, backend("app-1", 11).await, backend("ap", 111).await]
}

/// One app's backend, and the clients of its users.
struct Backend<'s> {
    stack: &'s Stack,
    http: Client,
    sdk_app_id: u64,
    app_key: String,
    app_secret: String,
}

impl Backend<'_> {
    /// Users, what is true of them, and how to reach them: alice is online later, bob has a phone.
    async fn furnish(&self) {
        for (call, request) in [
            ("im_open_login_svc/multiaccount_import", json!({"Accounts": ["alice", "bob", "carol"]})),
            ("all_member_push/im_set_attr_name", json!({"AttrNames": {"0": "city"}})),
            ("all_member_push/im_set_attr", json!({"UserAttrs": [{"To_Account": "bob", "Attrs": {"city": "x"}}]})),
            ("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": "bob", "Tags": ["gold"]}]})),
        ] {
            let answer = self.call(call, &request).await;
            assert_eq!(answer["ErrorCode"], 0, "{call}: {answer}");
        }
        self.register("bob").await;
    }

    /// All that can be done to an app, and what came of each step.
    async fn do_everything(&self) -> Vec<Value> {
        let delivered_before = self.stack.delivered("apns").await.len();
        let mut seen = self.call_everything(&before_anyone()).await;
        seen.extend(self.sign_everything(&signed_before_anyone()).await);
        self.furnish().await;
        let mut alice = self.socket("alice", "phone").await;
        seen.extend(self.call_everything(&with_everyone()).await);
        seen.extend(self.sign_everything(&signed_with_everyone()).await);
        let message = self
            .signed(
                "/message/broadcast.json",
                &form(&[("msgRandom", "1")].iter().chain(MESSAGE).copied().collect::<Vec<_>>()),
            )
            .await;
        self.stack.idle().await;
        let uid = message["messageUID"].as_str().unwrap();
        seen.push(
            self.signed("/message/broadcast/recall.json", &form(&[("fromUserId", "boss"), ("messageUID", uid)])).await,
        );
        self.stack.idle().await;
        seen.push(self.device(&self.user_sig("bob"), Method::GET, "", None).await);
        self.stack.idle().await;

        // The same numbers, texts and conditions as in the other apps.
        for push in [
            json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")}),
            json!({"MsgRandom": 2, "MsgLifeTime": 600, "MsgBody": text("gold"), "Condition": {"TagsAnd": ["gold"]}}),
            json!({"MsgRandom": 3, "MsgLifeTime": 600, "MsgBody": text("x"), "Condition": {"AttrsAnd": {"city": "x"}}}),
            json!({"MsgRandom": 3, "MsgLifeTime": 600, "MsgBody": text("x"), "Condition": {"AttrsAnd": {"city": "x"}}}),
        ] {
            let answer = self.push(push).await;
            self.stack.idle().await;
            let task_id = answer["TaskId"].as_str().unwrap();
            assert!(task_id.starts_with(&format!("{}_", self.sdk_app_id)), "{answer}");
            seen.push(json!(format!("{:?}", self.stack.account(task_id).await)));
            seen.push(self.account(task_id).await);
        }
        while let Some(frame) = alice.hear_within(A_MOMENT).await {
            seen.push(json!({"heard": frame}));
        }
        let missed = alice.sync().await;
        seen.push(json!({"missed": missed.clone()}));
        alice.ack(&missed).await;
        seen.push(json!({"delivered": self.stack.delivered("apns").await.len() - delivered_before}));

        seen.extend(self.call_everything(&undoing()).await);
        seen.extend(self.sign_everything(&signed_undoing()).await);
        self.device(&self.user_sig("bob"), Method::DELETE, "/phone", None).await;
        seen.push(self.device(&self.user_sig("bob"), Method::GET, "", None).await);
        self.register("alice").await;
        alice.close().await;
        self.stack.idle().await;
        seen.into_iter().map(masked).collect()
    }

    /// Each call of the contract with the request that `requests` has for its name.
    async fn call_everything(&self, requests: &[(&str, Value)]) -> Vec<Value> {
        let mut answers = Vec::new();
        for (name, request) in requests {
            let commands = Command::ALL.iter().filter(|command| command.path.ends_with(&format!("/{name}")));
            for command in commands {
                let answer = self.call(command.path, request).await;
                answers.push(json!({"call": command.path, "answer": answer}));
                self.stack.idle().await;
            }
        }
        answers
    }

    /// The same for calls of the other contract, by their whole path.
    async fn sign_everything(&self, requests: &[(&str, String)]) -> Vec<Value> {
        let mut answers = Vec::new();
        for (path, request) in requests {
            let answer = self.signed(path, request).await;
            answers.push(json!({"call": path, "answer": answer}));
            self.stack.idle().await;
        }
        answers
    }

    async fn signed(&self, path: &str, body: &str) -> Value {
        let content_type = if body.starts_with('{') { JSON } else { "application/x-www-form-urlencoded" };
        let (key, secret) = (&self.app_key, &self.app_secret);
        self.stack.signed_as(key, secret, path, body.to_owned(), content_type, &[]).await.1
    }

    fn user_sig(&self, user: &str) -> String {
        // Made a moment ago, and so before anything that makes older ones worthless.
        usersig::sign(&KEY.to_owned().into(), self.sdk_app_id, user, self.stack.now() + 1, 600, None)
    }

    async fn push(&self, request: Value) -> Value {
        let answer = self.call("all_member_push/im_push", &request).await;
        assert_eq!(answer["ErrorCode"], 0, "{answer}");
        answer
    }

    async fn call(&self, path: &str, request: &Value) -> Value {
        self.send(path, self.sdk_app_id, &self.user_sig(ADMIN), request).await
    }

    async fn send(&self, path: &str, sdk_app_id: u64, user_sig: &str, request: &Value) -> Value {
        let url = format!(
            "{}/v4/{path}?sdkappid={sdk_app_id}&identifier={ADMIN}&usersig={user_sig}&random=1",
            self.stack.base()
        );
        self.stack.post(&url, request.to_string()).await
    }

    async fn register(&self, user: &str) {
        let form = json!({"platform": "ios", "channel": "apns", "token": TOKEN, "package": "com.example.app"});
        let answer = self.device(&self.user_sig(user), Method::PUT, "/phone", Some(form)).await;
        assert_eq!(answer["device_id"], "phone", "{answer}");
    }

    async fn device(&self, user_sig: &str, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/v1/devices{path}", self.stack.base());
        let request = self.http.request(method, url).bearer_auth(user_sig);
        let request = body.iter().fold(request, |request, body| request.json(body));
        request.send().await.unwrap().json().await.unwrap_or_default()
    }

    /// What came of a push, as the app's administrator is told.
    async fn account(&self, id: &str) -> Value {
        let request = self.http.get(format!("{}/v1/pushes/{id}", self.stack.base())).bearer_auth(self.user_sig(ADMIN));
        request.send().await.unwrap().json().await.unwrap()
    }

    /// What came of a push, as whoever has the app's secret is told.
    async fn signed_account(&self, id: &str) -> Value {
        let timestamp = self.stack.now().to_string();
        let request = self
            .http
            .get(format!("{}/v1/pushes/{id}", self.stack.base()))
            .header("App-Key", &self.app_key)
            .header("Nonce", "1")
            .header("Timestamp", &timestamp)
            .header("Signature", signature(&self.app_secret, "1", &timestamp));
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn socket(&self, user: &str, device: &str) -> Socket {
        let base = self.stack.base().replacen("http", "ws", 1);
        Socket::open(&format!("{base}/ws?usersig={}&device_id={device}", self.user_sig(user))).await
    }
}

/// What is asked of an app that no one is in, by the last part of the call's path.
fn before_anyone() -> Vec<(&'static str, Value)> {
    let everyone = json!({"To_Account": ["alice", "bob", "carol"]});
    vec![
        ("account_check", json!({"CheckItem": [{"UserID": "alice"}, {"UserID": "bob"}, {"UserID": "carol"}]})),
        ("im_get_attr_name", json!({})),
        ("get_attr_name", json!({})),
        ("im_get_attr", everyone.clone()),
        ("get_attr", everyone.clone()),
        ("im_get_tag", everyone.clone()),
        ("get_tag", everyone.clone()),
        ("query_online_status", everyone.clone()),
        ("querystate", everyone.clone()),
        ("im_add_tag", json!({"UserTags": [{"To_Account": "alice", "Tags": ["gold"]}]})),
        ("im_set_attr", json!({"UserAttrs": [{"To_Account": "alice", "Attrs": {"city": "x"}}]})),
        ("im_remove_all_tags", everyone.clone()),
        ("batch", offline_push(json!({"To_Account": ["alice", "bob"]}), 10)),
    ]
}

/// What is asked of an app that is furnished, and said to its users.
fn with_everyone() -> Vec<(&'static str, Value)> {
    let tags = |tags: &[&str]| json!({"UserTags": [{"To_Account": "alice", "Tags": tags}, {"To_Account": "bob", "Tags": tags}]});
    let mut requests = vec![
        ("account_import", json!({"UserID": "alice", "Nick": "Alice"})),
        ("multiaccount_import", json!({"Accounts": ["alice", "bob", "carol"]})),
        ("set_attr_name", json!({"AttrNames": {"1": "level"}})),
        ("im_set_attr_name", json!({"AttrNames": {"1": "level"}})),
        ("set_attr", json!({"UserAttrs": [{"To_Account": "alice", "Attrs": {"city": "y"}}]})),
        ("add_tag", tags(&["silver"])),
        ("im_add_tag", tags(&["bronze"])),
        ("im_push", json!({"MsgRandom": 9, "MsgBody": text("bronze"), "Condition": {"TagsAnd": ["bronze"]}})),
        ("push", offline_push(json!({"Condition": {"TagsOr": ["silver"]}}), 11)),
    ];
    requests.extend(before_anyone());
    requests
}

/// What takes things away.
fn undoing() -> Vec<(&'static str, Value)> {
    let bob = json!({"To_Account": ["bob"]});
    let mut requests = vec![
        ("im_remove_attr", json!({"UserAttrs": [{"To_Account": "bob", "Attrs": ["city"]}]})),
        ("remove_attr", json!({"UserAttrs": [{"To_Account": "alice", "Attrs": ["city"]}]})),
        ("im_remove_tag", json!({"UserTags": [{"To_Account": "bob", "Tags": ["gold"]}]})),
        ("remove_tag", json!({"UserTags": [{"To_Account": "alice", "Tags": ["silver"]}]})),
        ("clear_all_tags", bob.clone()),
        ("im_remove_all_tags", bob),
        ("kick", json!({"UserID": "carol"})),
        ("account_delete", json!({"DeleteItem": [{"UserID": "carol"}]})),
    ];
    requests.extend(before_anyone());
    requests
}

/// What is asked of an app that no one is in, through the other contract.
fn signed_before_anyone() -> Vec<(&'static str, String)> {
    let alice = || form(&[("userId", "alice")]);
    let hi = json!({"alert": "hi"});
    let everyone = json!({"platform": ["ios"], "audience": {"is_to_all": true}, "notification": hi});
    vec![
        ("/user/tags/get.json", form(&[("userIds", "alice"), ("userIds", "bob"), ("userIds", "carol")])),
        ("/user/blockPushPeriod/get.json", alice()),
        ("/user/blockPushPeriod/delete.json", alice()),
        ("/push.json", everyone.to_string()),
        ("/push/user.json", json!({"userIds": ["alice", "bob"], "notification": {"pushContent": "hi"}}).to_string()),
        // Of no message.
        ("/message/broadcast/recall.json", form(&[("fromUserId", "boss"), ("messageUID", "0000000000000000000001")])),
    ]
}

/// What is asked of an app that is furnished, and said to its users.
fn signed_with_everyone() -> Vec<(&'static str, String)> {
    let push = |audience: Value, text: &str| json!({"platform": ["ios", "android"], "audience": audience, "notification": {"alert": text}});
    let mut message = push(json!({"tag_or": ["tin", "lead"], "is_to_all": false}), "a message");
    message["fromuserid"] = json!("boss");
    message["message"] = json!({"content": "{}", "objectName": "RC:TxtMsg"});
    let items = json!({"tagItems": [{"tags": ["tin"], "isNot": false, "tagsOperator": "AND", "itemsOperator": "OR"}]});
    let quiet = [("userId", "carol"), ("startTime", "23:00:00"), ("period", "60"), ("level", "5")];
    let mut requests = vec![
        ("/user/getToken.json", form(&[("userId", "carol"), ("name", "Carol")])),
        ("/user/tag/set.json", json!({"userId": "alice", "tags": ["tin"]}).to_string()),
        ("/user/tag/batch/set.json", json!({"userIds": ["bob", "carol"], "tags": ["tin", "lead"]}).to_string()),
        ("/user/blockPushPeriod/set.json", form(&quiet)),
        (
            "/push.json",
            push(json!({"tag": ["tin"], "packageName": "com.example.app", "is_to_all": false}), "tin").to_string(),
        ),
        ("/push.json", message.to_string()),
        ("/push/custom.json", push(items, "custom").to_string()),
        ("/message/broadcast.json", form(MESSAGE)),
        ("/message/online/broadcast.json", form(MESSAGE)),
    ];
    requests.extend(signed_before_anyone().into_iter().filter(|(path, _)| !path.contains("delete")));
    requests
}

/// What takes things away.
fn signed_undoing() -> Vec<(&'static str, String)> {
    vec![
        ("/user/blockPushPeriod/delete.json", form(&[("userId", "carol")])),
        ("/user/blockPushPeriod/get.json", form(&[("userId", "carol")])),
        ("/user/tag/batch/set.json", json!({"userIds": ["alice", "bob"], "tags": []}).to_string()),
        ("/user/tags/get.json", form(&[("userIds", "alice"), ("userIds", "bob"), ("userIds", "carol")])),
    ]
}

fn offline_push(mut request: Value, random: u32) -> Value {
    request["From_Account"] = ADMIN.into();
    request["MsgRandom"] = random.into();
    request["MsgBody"] = text("to some");
    request["OfflinePushInfo"] = json!({"PushFlag": 0, "Title": "t", "Desc": "to some"});
    request
}

#[test]
fn every_call_is_among_them() {
    let requests: Vec<&str> =
        before_anyone().iter().chain(&with_everyone()).chain(&undoing()).map(|(name, _)| *name).collect();
    for command in Command::ALL {
        assert!(requests.contains(&command.path.rsplit('/').next().unwrap()), "{} is missing", command.path);
    }
    let requests = [signed_before_anyone(), signed_with_everyone(), signed_undoing()].concat();
    for command in rongcloud::Command::ALL {
        assert!(requests.iter().any(|(path, _)| *path == command.path), "{} is missing", command.path);
    }
}

/// An answer without what is of one push or one moment.
fn masked(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                let own = [
                    "TaskId",
                    "task_id",
                    "push_id",
                    "accepted_at",
                    "id",
                    "sent_at",
                    "expires_at",
                    "registered_at",
                    "active_at",
                    "messageUID",
                    "token",
                ];
                *member = match own.contains(&name.as_str()) && !member.is_null() && *member != "" {
                    true => json!("…"),
                    false => masked(member.take()),
                };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = masked(item.take())),
        _ => {}
    }
    value
}

/// Every item of every table, but for what belongs to no app: the channels' own pace, and what is due.
pub(crate) async fn tables(stack: &Stack) -> BTreeSet<String> {
    let (client, tables) = stack.store().await;
    let mut items = BTreeSet::new();
    for table in [tables.apps, tables.audience, tables.pushes] {
        let mut pages = client.scan().table_name(&table).into_paginator().send();
        while let Some(page) = pages.next().await {
            for item in page.unwrap().items.unwrap_or_default() {
                let pk = item["pk"].as_s().unwrap();
                if !pk.starts_with("*#") && !pk.starts_with("due#") {
                    let members: std::collections::BTreeMap<_, _> = item.iter().collect();
                    items.insert(format!("{table} {members:?}"));
                }
            }
        }
    }
    items
}
