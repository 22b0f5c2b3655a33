//! RongCloud's contract: who is pushed to, what is kept, and what is withdrawn.

use std::collections::BTreeSet;
use std::time::Duration;

use fanfare::dialect::rongcloud::Command;
use fanfare::domain::{PushId, Shard};
use fanfare::store::LedgerStore;
use futures::future::join_all;
use reqwest::Method;
use reqwest::header::ALLOW;
use serde_json::{Value, json};
use support::{APP_KEY, APP_SECRET, SDK_APP_ID, Stack};

use crate::{a_stack, a_stack_of, app};

const PAGE_EXAMPLE: &str = include_str!("../fixtures/rongcloud/page_example.json");
const FORM: &str = "application/x-www-form-urlencoded";

/// A stack of the demo app, which may call as often as it likes.
async fn an_eager_stack() -> Stack {
    a_stack_of(&[eager(SDK_APP_ID, APP_KEY)]).await
}

fn eager(sdk_app_id: u64, app_key: &str) -> Value {
    let rates: serde_json::Map<String, Value> =
        Command::ALL.iter().map(|command| (command.path.to_owned(), json!({}))).collect();
    let mut app = app(sdk_app_id, json!({}), json!({}));
    app["rongcloud"] = json!({"app_key": app_key, "app_secret": APP_SECRET, "rates": rates});
    app["channels"] = "sandbox".into();
    app
}

async fn import(stack: &Stack, users: &[&str]) {
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": users})).await;
}

async fn tag(stack: &Stack, user: &str, tags: &[&str]) {
    stack.ok("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": user, "Tags": tags}]})).await;
}

/// A call that succeeds: the answer.
async fn good(stack: &Stack, path: &str, body: &Value) -> Value {
    let (status, answer) = stack.signed_json(path, body).await;
    assert_eq!((status, &answer["code"]), (200, &json!(200)), "{path}: {answer}");
    answer
}

/// The same with a form.
async fn good_form(stack: &Stack, path: &str, fields: &[(&str, &str)]) -> Value {
    let (status, answer) = stack.signed_form(path, fields).await;
    assert_eq!((status, &answer["code"]), (200, &json!(200)), "{path}: {answer}");
    answer
}

fn id(answer: &Value, member: &str) -> String {
    let id = answer[member].as_str().unwrap();
    assert!(id.len() == 22 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{answer}");
    id.to_owned()
}

fn to_all(text: &str) -> Value {
    json!({"platform": ["ios", "android"], "audience": {"is_to_all": true}, "notification": {"alert": text}})
}

fn message(text: &str, audience: Value) -> Value {
    json!({"platform": ["ios", "android"], "fromuserid": "u0", "audience": audience,
        "message": {"objectName": "RC:TxtMsg", "content": json!({"content": text}).to_string()},
        "notification": {"alert": text}})
}

/// What apps get of it.
fn body(text: &str) -> Value {
    json!({"objectName": "RC:TxtMsg", "content": json!({"content": text}).to_string()})
}

const PLAIN: [(&str, &str); 3] = [("fromUserId", "u0"), ("objectName", "app:note"), ("content", "hello")];

fn recall(message: &str) -> [(&'static str, &str); 2] {
    [("fromUserId", "u0"), ("messageUID", message)]
}

#[tokio::test]
async fn the_request_of_the_page_reaches_every_device_of_its_platforms() {
    let stack = a_stack().await;
    stack.register("anne", "phone", "apns", &token(1)).await;
    stack.register("ben", "phone", "fcm", &fcm("ben")).await;
    let harmony = json!({"platform": "harmony", "channel": "harmony", "token": fcm("cleo"), "package": "com.example.app",
        "push_enabled": true});
    let (status, answer) = stack.as_user("cleo", Method::PUT, "/v1/devices/phone", Some(harmony)).await;
    assert_eq!(status, 200, "{answer}");
    // She is connected, and has the app open: it goes to her notification bar all the same, and not to the socket.
    let mut socket = stack.socket("anne", "phone").await;

    let (status, answer) = stack.signed("/push.json", PAGE_EXAMPLE, "application/json").await;
    assert_eq!(status, 200);
    assert_eq!(answer, json!({"code": 200, "id": id(&answer, "id")}));
    stack.idle().await;
    assert_eq!((stack.delivered("apns").await, stack.delivered("fcm").await), (vec![token(1)], vec![fcm("ben")]));
    assert_eq!(stack.deliveries("apns").await[0]["request"]["body"]["aps"]["alert"]["body"], "override alert");
    assert_eq!(socket.hear_within(Duration::from_millis(200)).await, None);
    let account = stack.account(&id(&answer, "id")).await;
    let all: u32 = account.values().map(|account| account.targeted).sum();
    assert_eq!(all, 3, "the device without a sender is accounted for: {account:?}");
    assert!(socket.sync().await.is_empty(), "nothing of it is kept");
    assert_eq!(stack.spent("1400000000").await, (0, 0));
}

/// A token of Google's.
fn fcm(user: &str) -> String {
    format!("{user}:registered-with-google")
}

/// A token of Apple's.
fn token(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

#[tokio::test]
async fn what_the_sdks_send_is_accepted_as_it_is() {
    let stack = an_eager_stack().await;
    import(&stack, &["u1", "u2"]).await;
    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../fixtures/rongcloud/", $name))
        };
    }
    const JSON: &str = "application/json";
    for (path, body, kind, members) in [
        ("/push.json", fixture!("go_push.json"), JSON, &["id"][..]),
        ("/push.json", fixture!("go_broadcast.json"), JSON, &["id", "messageUID"]),
        ("/push.json", fixture!("node_message.json"), JSON, &["id", "messageUID"]),
        ("/push.json", fixture!("python_message.json"), JSON, &["id", "messageUID"]),
        ("/push/custom.json", fixture!("go_push_custom.json"), JSON, &["id"]),
        // The SDK for PHP calls it with two slashes.
        ("//push/user.json", fixture!("go_push_user.json"), JSON, &["id"]),
        // And every SDK, whose host ends in a slash, calls everything so.
        ("//user/tag/set.json", r#"{"userId":"u1","tags":["x"]}"#, JSON, &[]),
        ("//message/online/broadcast.json", fixture!("python_broadcast.form"), FORM, &["messageUID"]),
        ("/message/broadcast.json", fixture!("python_broadcast.form"), FORM, &["messageUID"]),
        ("/message/online/broadcast.json", fixture!("python_broadcast.form"), FORM, &["messageUID"]),
    ] {
        let (status, answer) = stack.signed(path, body, kind).await;
        let mut expected = json!({"code": 200});
        for member in members {
            expected[*member] = id(&answer, member).into();
        }
        assert_eq!((status, &answer), (200, &expected), "{path}");
    }
    stack.idle().await;
}

#[tokio::test]
async fn a_message_comes_at_once_to_who_is_online_by_vendor_to_who_is_not_and_waits() {
    let stack = an_eager_stack().await;
    import(&stack, &["anne", "ben", "cleo"]).await;
    for user in ["anne", "ben"] {
        tag(&stack, user, &["gold"]).await;
        stack.register(user, "phone", "fcm", &fcm(user)).await;
    }
    let mut anne = stack.socket("anne", "phone").await;
    let answer = good(&stack, "/push.json", &message("hi", json!({"tag": ["gold"], "is_to_all": false}))).await;
    assert_eq!(answer["id"], answer["messageUID"]);
    let frame = anne.hear().await;
    assert_eq!((&frame["type"], &frame["from"], &frame["body"]), (&json!("push"), &json!("u0"), &body("hi")));
    assert_eq!((&frame["id"], &frame["task_id"], &frame["seq"]), (&answer["id"], &answer["id"], &json!(1)));
    stack.idle().await;
    assert_eq!(stack.delivered("fcm").await, [fcm("ben")]);
    let account = stack.account(&id(&answer, "id")).await;
    assert_eq!(account.values().map(|account| account.settled.delivered).sum::<u32>(), 2, "{account:?}");

    let to_everyone = good_form(&stack, "/message/broadcast.json", &PLAIN).await;
    assert_eq!(to_everyone, json!({"code": 200, "messageUID": id(&to_everyone, "messageUID")}));
    stack.idle().await;
    // Not for vendors: there is no pushContent.
    assert_eq!(stack.delivered("fcm").await, [fcm("ben")]);
    let ids = |frames: &[Value]| frames.iter().map(|frame| frame["id"].clone()).collect::<Vec<_>>();
    let mut ben = stack.socket("ben", "phone").await;
    assert_eq!(ids(&ben.sync().await), [answer["id"].clone(), to_everyone["messageUID"].clone()]);
    let mut cleo = stack.socket("cleo", "phone").await;
    assert_eq!(ids(&cleo.sync().await), [to_everyone["messageUID"].clone()]);

    // For those who are online, or are within ten minutes, and no vendor hears of it.
    let fields = [PLAIN.as_slice(), &[("pushContent", "look")]].concat();
    let online = good_form(&stack, "/message/online/broadcast.json", &fields).await;
    assert_eq!(cleo.hear().await["id"], online["messageUID"]);
    stack.idle().await;
    assert_eq!(stack.delivered("fcm").await, [fcm("ben")]);
    cleo.close().await;
    stack.advance(540).await;
    let mut cleo = stack.socket("cleo", "tablet").await;
    assert_eq!(ids(&cleo.sync().await), [&to_everyone["messageUID"], &online["messageUID"]].map(Value::clone));
    stack.advance(120).await;
    assert_eq!(ids(&cleo.sync().await), [to_everyone["messageUID"].clone()]);
    assert_eq!(
        stack.spent("1400000000").await,
        (0, 3),
        "kept ones are numbered, and spend nothing of the other contract's"
    );
}

#[tokio::test]
async fn named_users_are_those_who_are_known_and_repeats_of_them_are_meant() {
    let stack = an_eager_stack().await;
    for user in ["anne", "ben", "cleo"] {
        stack.register(user, "phone", "fcm", &fcm(user)).await;
    }
    let named = json!({"userIds": ["ben", "nobody", "anne", "ben"], "notification": {"pushContent": "c"}});
    let first = good(&stack, "/push/user.json", &named).await;
    let second = good(&stack, "/push/user.json", &named).await;
    assert_ne!(first, second);
    stack.idle().await;
    assert_eq!(stack.delivered("fcm").await, [fcm("anne"), fcm("anne"), fcm("ben"), fcm("ben")]);

    // Unless the caller says by its request id that it is the same.
    let with_id = |request_id: &'static str| {
        let body = named.to_string();
        let (stack, path, kind) = (&stack, "/push/user.json", "application/json");
        async move { stack.signed_as(APP_KEY, APP_SECRET, path, body, kind, &[("X-Request-Id", request_id)]).await.1 }
    };
    let third = with_id("a").await;
    assert_eq!(with_id("a").await, third);
    assert_ne!(with_id("b").await, third);
    stack.idle().await;
    assert_eq!(stack.delivered("fcm").await.len(), 8);

    let audience = json!({"userid": ["cleo", "nobody"], "tag": ["none"], "packageName": "other"});
    good(&stack, "/push.json", &json!({"audience": audience, "notification": {"alert": "a"}})).await;
    let nobody = json!({"userIds": ["nobody"], "notification": {"pushContent": "c"}});
    let to_nobody = good(&stack, "/push/user.json", &nobody).await;
    let kept = good(&stack, "/push.json", &message("x", json!({"userid": ["nobody"]}))).await;
    stack.idle().await;
    let delivered = stack.delivered("fcm").await;
    assert_eq!((delivered.len(), delivered.last()), (9, Some(&fcm("cleo"))));
    for answer in [to_nobody, kept] {
        assert!(stack.account(&id(&answer, "id")).await.is_empty(), "it goes nowhere");
    }
}

#[tokio::test]
async fn an_expression_over_tags_says_who_is_meant() {
    let stack = an_eager_stack().await;
    for (user, tags) in [("anne", &["a", "b"][..]), ("ben", &["a"]), ("cleo", &["c"]), ("dora", &["d"])] {
        import(&stack, &[user]).await;
        tag(&stack, user, tags).await;
        stack.register(user, "phone", "fcm", &fcm(user)).await;
    }
    let items = json!([{"tags": ["a", "b"], "tagsOperator": "AND"}, {"tags": ["c"], "itemsOperator": "OR"},
        {"tags": ["d"], "isNot": true, "itemsOperator": "AND"}]);
    let push = json!({"platform": ["android"], "audience": {"tagItems": items}, "notification": {"alert": "a"}});
    let answer = good(&stack, "/push/custom.json", &push).await;
    stack.idle().await;
    assert_eq!(stack.delivered("fcm").await, [fcm("anne"), fcm("cleo")]);
    assert_eq!(
        stack.account(&id(&answer, "id")).await.values().map(|account| account.settled.delivered).sum::<u32>(),
        2
    );
}

#[tokio::test]
async fn the_same_again_is_the_same_push_for_as_long_as_repeats_are_known() {
    let stack = an_eager_stack().await;
    stack.register("anne", "phone", "fcm", &fcm("anne")).await;
    let mut anne = stack.socket("anne", "tablet").await;
    // Eight at once, in two spellings.
    let spelled = |n: usize| match n % 2 {
        0 => to_all("a").to_string(),
        _ => r#"{"notification":{"alert":"a"},"audience":{"tag":null,"is_to_all":true},"platform":["ios","android"]}"#
            .to_owned(),
    };
    let answers = join_all((0..8).map(|n| stack.signed("/push.json", spelled(n), "application/json"))).await;
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 200), "{answers:?}");
    let kept = good_form(&stack, "/message/broadcast.json", &PLAIN).await;
    assert_eq!(good_form(&stack, "/message/broadcast.json", &PLAIN).await, kept);
    assert_eq!(anne.hear().await["id"], kept["messageUID"]);
    stack.idle().await;
    assert_eq!(stack.delivered("fcm").await, [fcm("anne")]);
    assert_eq!(anne.hear_within(Duration::from_millis(200)).await, None);
    // The same under another path is another call.
    let custom = good(&stack, "/push/custom.json", &to_all("a")).await;
    assert_ne!(id(&custom, "id"), id(&answers[0].1, "id"));
    stack.advance(301).await;
    assert_ne!(id(&good(&stack, "/push.json", &to_all("a")).await, "id"), id(&answers[0].1, "id"));
    assert_eq!(stack.spent("1400000000").await, (0, 1));
}

#[tokio::test]
async fn a_recall_reaches_who_has_the_message_and_keeps_it_from_the_others() {
    let stack = an_eager_stack().await;
    import(&stack, &["anne", "ben", "cleo"]).await;
    for user in ["anne", "ben"] {
        tag(&stack, user, &["gold"]).await;
    }
    let (mut anne, mut cleo) = (stack.socket("anne", "phone").await, stack.socket("cleo", "phone").await);
    let sent = good(&stack, "/push.json", &message("oops", json!({"tag": ["gold"]}))).await;
    let message_id = id(&sent, "messageUID");
    assert_eq!(anne.hear().await["id"], sent["id"]);
    stack.idle().await;
    // She is no longer one of those who match, but has the message.
    let tags = json!({"UserTags": [{"To_Account": "anne", "Tags": ["gold"]}]});
    stack.ok("all_member_push/im_remove_tag", tags).await;

    let fields = [recall(&message_id).as_slice(), &[("isAdmin", "1"), ("sentTime", "1700000000000")]].concat();
    // Eight at once are one.
    let calls = (0..8).map(|_| good_form(&stack, "/message/broadcast/recall.json", &fields));
    assert!(join_all(calls).await.iter().all(|answer| *answer == json!({"code": 200})));
    let revoke = anne.hear().await;
    assert_eq!((&revoke["type"], &revoke["id"], &revoke["seq"]), (&json!("revoke"), &sent["id"], &json!(2)));
    assert_eq!((&revoke["from"], &revoke["body"]), (&json!("u0"), &json!({"isAdmin": 1, "isDelete": 0})));
    stack.idle().await;
    assert_eq!(cleo.hear_within(Duration::from_millis(200)).await, None, "she never had it");

    // Who was offline never gets the message. A second device of who was online is told too.
    let types = |frames: &[Value]| frames.iter().map(|frame| frame["type"].clone()).collect::<Vec<_>>();
    let mut ben = stack.socket("ben", "phone").await;
    let missed = ben.sync().await;
    assert_eq!(types(&missed), ["revoke"]);
    ben.ack(&missed).await;
    stack.idle().await;
    assert!(ben.sync().await.is_empty(), "acknowledged like a push");

    // Again, and by the older form: the same recall.
    good_form(&stack, "/message/broadcast/recall.json", &recall(&message_id)).await;
    let content = json!({"messageUId": message_id, "conversationType": 6, "isAdmin": 0, "isDelete": 0}).to_string();
    let older = [("fromUserId", "u0"), ("objectName", "RC:RcCmd"), ("content", content.as_str())];
    let answer = good_form(&stack, "/message/broadcast.json", &older).await;
    assert_eq!(answer["messageUID"], revoke["task_id"]);
    stack.idle().await;
    assert_eq!(anne.hear_within(Duration::from_millis(200)).await, None, "once is enough");
    assert_eq!(stack.spent("1400000000").await, (0, 2));

    // It is kept as long as the message would have been, and no longer.
    stack.advance(604_700).await;
    assert_eq!(types(&stack.socket("ben", "tablet").await.sync().await), ["revoke"]);
    stack.advance(101).await;
    assert!(stack.socket("ben", "laptop").await.sync().await.is_empty());
}

#[tokio::test]
async fn what_was_withdrawn_can_be_sent_again() {
    let stack = an_eager_stack().await;
    let mut anne = stack.socket("anne", "phone").await;
    let message = message("oops", json!({"is_to_all": true}));
    let first = id(&good(&stack, "/push.json", &message).await, "messageUID");
    assert_eq!(anne.hear().await["id"], first);
    good_form(&stack, "/message/broadcast/recall.json", &recall(&first)).await;
    assert_eq!(anne.hear().await["type"], "revoke");

    // Meant, and no repeat of what is no more. Of eight at once, seven are.
    let calls = (0..8).map(|_| good(&stack, "/push.json", &message));
    let ids: BTreeSet<String> = join_all(calls).await.iter().map(|answer| id(answer, "messageUID")).collect();
    assert_eq!((ids.len(), ids.contains(&first)), (1, false));
    assert_eq!(anne.hear().await["id"], ids.first().unwrap().as_str());
    stack.idle().await;
    assert_eq!(anne.hear_within(Duration::from_millis(200)).await, None);
}

#[tokio::test]
async fn a_message_that_is_withdrawn_before_it_is_sent_is_not_sent() {
    let stack = an_eager_stack().await;
    for n in 0..3 {
        stack.register(&format!("u{n}"), "phone", "fcm", &fcm(&n.to_string())).await;
    }
    let mut socket = stack.socket("u9", "phone").await;
    // The function dies after it has accepted the message, and before it starts it.
    let hold =
        json!({"kill": [{"function": "push-intake", "service": "sqs", "operation": "SendMessage", "when": "before"}]});
    stack.local(Method::PUT, "faults", Some(hold.clone())).await;
    let fields = [PLAIN.as_slice(), &[("pushContent", "look")]].concat();
    let (status, answer) = stack.signed_form("/message/broadcast.json", &fields).await;
    assert!(status >= 500, "{answer}");
    let (client, tables) = stack.store().await;
    let items = client.scan().table_name(tables.pushes).send().await.unwrap().items.unwrap_or_default();
    let keys = items.iter().filter_map(|item| item["pk"].as_s().ok()?.strip_prefix("push#"));
    let [sent] = keys.map(str::to_owned).collect::<Vec<_>>().try_into().expect("it is the only push");
    // And so it is with the recall; but that is repeated.
    stack.local(Method::PUT, "faults", Some(hold)).await;
    let (status, answer) = stack.signed_form("/message/broadcast/recall.json", &recall(&sent)).await;
    assert!(status >= 500, "{answer}");
    stack.local(Method::PUT, "faults", Some(json!({}))).await;
    good_form(&stack, "/message/broadcast/recall.json", &recall(&sent)).await;
    stack.idle().await;
    stack.advance(61).await;
    let revoke = socket.hear().await;
    assert_eq!((&revoke["type"], &revoke["id"]), (&json!("revoke"), &json!(sent)));
    stack.idle().await;
    assert_eq!(stack.delivered("fcm").await, [""; 0]);
    assert_eq!(socket.hear_within(Duration::from_millis(200)).await, None);
    let account = stack.account(&sent).await;
    let (targeted, expired) = account
        .values()
        .fold((0, 0), |(targeted, expired), account| (targeted + account.targeted, expired + account.settled.expired));
    assert_eq!((targeted, expired), (4, 4), "{account:?}");
    let usage = stack.local(Method::GET, "usage", None).await;
    assert_eq!(usage["sqs"]["queues"].get("DeliverFcmQueue"), None, "what is withdrawn takes nothing of a channel");
}

/// A message whose only device is tried once in vain, and again some seconds later; withdrawn in between.
async fn withdrawn_between_two_attempts(stack: &Stack, faults: Value) -> String {
    stack.register("anne", "phone", "fcm", &fcm("anne")).await;
    let later = json!({"errors": [{"first": 1, "status": 503, "reason": "UNAVAILABLE", "retry_after": 6}]});
    stack.local(Method::PUT, "vendors/fcm", Some(later)).await;
    let fields = [PLAIN.as_slice(), &[("pushContent", "look")]].concat();
    let sent = id(&good_form(stack, "/message/broadcast.json", &fields).await, "messageUID");
    stack.until("it is tried", async || stack.deliveries("fcm").await.len() == 1).await;
    good_form(stack, "/message/broadcast/recall.json", &recall(&sent)).await;
    stack.local(Method::PUT, "faults", Some(faults)).await;
    sent
}

#[tokio::test]
async fn a_message_that_is_withdrawn_between_two_attempts_is_not_tried_again() {
    let stack = an_eager_stack().await;
    let sent = withdrawn_between_two_attempts(&stack, json!({})).await;
    let expired = async || stack.account(&sent).await.values().map(|account| account.settled.expired).sum::<u32>() == 1;
    stack.until("it has expired", expired).await;
    assert_eq!(stack.deliveries("fcm").await.len(), 1);
}

#[tokio::test]
async fn a_batch_of_which_it_cannot_be_known_whether_it_was_withdrawn_is_neither_sent_nor_held() {
    let stack = an_eager_stack().await;
    let fail = json!({"fail": [{"function": "deliver-fcm", "service": "dynamodb", "operation": "GetItem", "times": 1_000,
        "error": "ProvisionedThroughputExceededException"}]});
    let sent = withdrawn_between_two_attempts(&stack, fail).await;
    let was_read = async || stack.local(Method::GET, "faults", None).await["fail"][0]["calls"].as_u64() >= Some(1);
    stack.until("the mark is read", was_read).await;
    stack.nothing_runs().await;
    assert_eq!(stack.deliveries("fcm").await.len(), 1);
    let (client, tables) = stack.store().await;
    let ledger = LedgerStore::new(client, tables.pushes);
    let batches = ledger.batches(PushId::try_from(sent).unwrap(), Shard(0)).await.unwrap();
    assert_eq!(batches.iter().map(|(key, _)| key.attempt).collect::<Vec<_>>(), [0], "nobody has a lease");
}

#[tokio::test]
async fn only_a_message_of_the_caller_that_is_still_kept_can_be_withdrawn() {
    let stack = a_stack_of(&[eager(SDK_APP_ID, APP_KEY), eager(1_400_000_001, "other")]).await;
    import(&stack, &["anne"]).await;
    let push_only = good(&stack, "/push.json", &to_all("a")).await;
    let online = good_form(&stack, "/message/online/broadcast.json", &PLAIN).await;
    let tencent = json!({"MsgRandom": 1, "From_Account": "anne", "MsgLifeTime": 60, "MsgBody": crate::text("hi")});
    stack.ok("all_member_push/im_push", tencent).await;
    let sent = good_form(&stack, "/message/broadcast.json", &PLAIN).await;
    stack.idle().await;
    let sent = id(&sent, "messageUID");
    let no_message = async |fields: &[(&str, &str)]| {
        let (status, answer) = stack.signed_form("/message/broadcast/recall.json", fields).await;
        assert_eq!((status, &answer["code"]), (400, &json!(1002)), "{fields:?}: {answer}");
        assert!(answer["errorMessage"].as_str().unwrap().starts_with("messageUID is that of no message"), "{answer}");
    };
    no_message(&recall(&id(&push_only, "id"))).await;
    no_message(&recall(&id(&online, "messageUID"))).await;
    no_message(&recall("0000000000000000000001")).await;
    no_message(&recall("5FGT-7VA9-G4DD-4V5P")).await;
    no_message(&[("fromUserId", "u1"), ("messageUID", &sent)]).await;
    let (path, form) = ("/message/broadcast/recall.json", support::form(&recall(&sent)));
    let (status, answer) = stack.signed_as("other", APP_SECRET, path, form, FORM, &[]).await;
    assert_eq!((status, &answer["code"]), (400, &json!(1002)), "{answer}");
    stack.advance(604_801).await;
    no_message(&recall(&sent)).await;
}

#[tokio::test]
async fn what_no_frame_can_hold_is_refused_and_changes_nothing() {
    let stack = an_eager_stack().await;
    import(&stack, &["anne"]).await;
    let mut anne = stack.socket("anne", "phone").await;
    let sized = |bytes: usize| message(&"x".repeat(bytes), json!({"is_to_all": true}));
    let (status, answer) = stack.signed_json("/push.json", &sized(32_700)).await;
    assert_eq!((status, &answer["code"]), (400, &json!(1005)), "{answer}");
    let surplus: usize = answer["errorMessage"].as_str().unwrap().split(' ').nth(3).unwrap().parse().unwrap();
    let long = "x".repeat(32_768);
    for (path, fields) in [
        ("/message/broadcast.json", [("fromUserId", "u0"), ("objectName", "app:x"), ("content", &long)]),
        ("/message/online/broadcast.json", [("fromUserId", "u0"), ("objectName", "app:x"), ("content", &long)]),
    ] {
        let (status, answer) = stack.signed_form(path, &fields).await;
        assert_eq!((status, &answer["code"]), (400, &json!(1005)), "{path}: {answer}");
    }
    assert_eq!(stack.spent("1400000000").await, (0, 0));

    good(&stack, "/push.json", &sized(32_700 - surplus)).await;
    let frame = anne.hear().await;
    assert_eq!(frame["body"], body(&"x".repeat(32_700 - surplus)));
}

#[tokio::test]
async fn paths_that_nobody_has_are_answered_in_the_json_of_their_contract() {
    let stack = a_stack().await;
    let http = reqwest::Client::new();
    let call = async |method: Method, path: &str| {
        let answer = http.request(method, format!("{}{path}", stack.base())).send().await.unwrap();
        let allowed = answer.headers().get(ALLOW).map(|methods| methods.to_str().unwrap().to_owned());
        assert_eq!(allowed.as_deref(), (answer.status() == 405).then_some("POST"), "{path}");
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    for (method, path, code) in [
        (Method::POST, "/", 404),
        (Method::GET, "/nothing/here", 404),
        (Method::POST, "/push", 404),
        (Method::POST, "/push.json/", 404),
        (Method::POST, "/push/nothing.json", 404),
        (Method::POST, "/message/nothing/at/all.json", 404),
        (Method::POST, "//push/nothing.json", 404),
        (Method::POST, "//user/nothing.json", 404),
        (Method::GET, "//user/tag/set.json", 405),
        (Method::GET, "/push.json", 405),
        (Method::DELETE, "//push/user.json", 405),
        (Method::PUT, "/message/broadcast/recall.json", 405),
    ] {
        let (status, answer) = call(method.clone(), path).await;
        assert_eq!((u64::from(status), &answer["code"]), (code, &json!(code)), "{method} {path}: {answer}");
        assert_eq!((&answer["url"], answer["errorMessage"].is_string()), (&json!(path), true));
    }
    for path in ["/v4/nothing", "/v4/nothing/at/all", "/v4/all_member_push/nothing"] {
        let (status, answer) = call(Method::POST, path).await;
        assert_eq!((status, &answer["ErrorCode"]), (200, &json!(60009)), "{path}");
    }
    let (status, answer) = call(Method::GET, "/v1/nothing").await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("not_found")));
}
