//! RongCloud's callers sign their calls; as many as may come in a time pass, and what is switched off does not.

use futures::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::{APP_KEY, APP_SECRET, Stack};

use crate::order_of_checks::stored;
use crate::{a_stack, a_stack_of};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const GET_TAGS: &str = "/user/tags/get.json";
const PUSH: &str = "/push.json";

/// An app with RongCloud's contract alone, of which its key is the id too.
fn app(key: &str, secret: &str, settings: &Value, quotas: Value) -> Value {
    let mut rongcloud = json!({"app_key": key, "app_secret": secret});
    rongcloud.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    json!({"id": key, "rongcloud": rongcloud, "quotas": quotas})
}

/// Minutes to add to UTC so that it is about noon now: no day ends while a story is told.
fn noon() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    720 - i64::try_from(now / 60 % 1_440).unwrap()
}

fn everyone(alert: &str) -> Value {
    json!({"platform": ["ios"], "audience": {"is_to_all": true}, "notification": {"alert": alert}})
}

/// A call with just these headers: the HTTP status, the number, and the sentence if it failed.
async fn call(stack: &Stack, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, u64, String) {
    let request = Client::new().post(format!("{}{path}", stack.base())).body(body.to_owned());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.unwrap();
    let (status, answer) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
    let told = answer["errorMessage"].as_str().unwrap_or_default().to_owned();
    (status, answer["code"].as_u64().unwrap(), told)
}

async fn code(stack: &Stack, key: &str, path: &str, body: &str) -> (u16, u64) {
    let kind = if body.starts_with('{') { JSON } else { FORM };
    let (status, answer) = stack.signed_as(key, APP_SECRET, path, body.to_owned(), kind, &[]).await;
    (status, answer["code"].as_u64().unwrap())
}

#[tokio::test]
async fn published_signatures_are_let_in_under_either_name_of_the_headers() {
    let stack = &a_stack_of(&[
        app("millis", "Y1W2MeFwwwRxa0", &json!({}), json!({})),
        app("seconds", "uwd1c0sxdlx2", &json!({}), json!({})),
    ])
    .await;
    for (key, timestamp, signature) in [
        ("millis", "1408710653000", "30be0bbca9c9b2e27578701e9fda2358a814c88f"),
        ("seconds", "1408706337", "45beb7cc7307889a8e711219a47b7cf6a5b000e8"),
    ] {
        let upper = signature.to_uppercase();
        for headers in [
            [("App-Key", key), ("Nonce", "14314"), ("Timestamp", timestamp), ("Signature", signature)],
            [("RC-App-Key", key), ("RC-Nonce", "14314"), ("RC-Timestamp", timestamp), ("RC-Signature", signature)],
            [("app-key", key), ("RC-NONCE", "14314"), ("timestamp", timestamp), ("rc-signature", &upper)],
        ] {
            assert_eq!(call(stack, GET_TAGS, &headers, "userIds=u").await, (200, 200, String::new()), "{headers:?}");
        }
        let other = [("App-Key", key), ("Nonce", "14315"), ("Timestamp", timestamp), ("Signature", signature)];
        assert_eq!(call(stack, GET_TAGS, &other, "userIds=u").await.1, 1004);
    }
}

#[tokio::test]
async fn the_first_fault_is_told_and_nothing_is_done() {
    let never = json!({"rates": {PUSH: {"day": 0}}, "services": []});
    let often = json!({"rates": {PUSH: {}}});
    let stack = &a_stack_of(&[
        app("tied", APP_SECRET, &never, json!({})),
        app("mute", APP_SECRET, &json!({"rates": {PUSH: {}}, "services": []}), json!({})),
        app("free", APP_SECRET, &often, json!({})),
        app("none", "", &never, json!({})),
    ])
    .await;
    let before = stored(stack).await;
    let long = "x".repeat(4_000);
    // Each call has all the faults of those after it.
    let (nonce, time, forged) = (("Nonce", "1"), ("Timestamp", "2"), ("Signature", "3"));
    for (headers, status, expected, told) in [
        (vec![], 400, 1002, "invalid App-Key."),
        (vec![("App-Key", "")], 400, 1002, "invalid App-Key."),
        (vec![("App-Key", "nobody")], 400, 1002, "invalid App-Key."),
        (vec![("App-Key", long.as_str())], 400, 1002, "invalid App-Key."),
        (vec![("App-Key", "none")], 401, 1001, "the app has no secret to check signatures with"),
        (vec![("App-Key", "tied")], 401, 1004, "the header nonce is missing"),
        (vec![("App-Key", "tied"), nonce], 401, 1004, "the header timestamp is missing"),
        (vec![("App-Key", "tied"), nonce, time], 401, 1004, "the header signature is missing"),
        (vec![("App-Key", "tied"), nonce, time, forged], 401, 1004, "the signature was not made with the app's secret"),
    ] {
        let answer = call(stack, PUSH, &headers, "{").await;
        assert_eq!((answer.0, answer.1, answer.2.as_str()), (status, expected, told), "{headers:?}");
    }
    let empty = support_signature("", "1", "2");
    let by_nothing = [("App-Key", "none"), nonce, time, ("Signature", empty.as_str())];
    assert_eq!(call(stack, PUSH, &by_nothing, "{").await.1, 1001);

    assert_eq!(code(stack, "tied", PUSH, "{").await, (429, 1008));
    assert_eq!(code(stack, "mute", PUSH, "{").await, (430, 1009));
    assert_eq!(code(stack, "free", PUSH, "{").await, (400, 1002));
    assert_eq!(stored(stack).await, before, "nothing has changed");
    assert_eq!(code(stack, "free", PUSH, &everyone("hi").to_string()).await, (200, 200));
    assert_ne!(stored(stack).await, before);
}

fn support_signature(secret: &str, nonce: &str, timestamp: &str) -> String {
    fanfare::dialect::rongcloud::signature::sign(&secret.to_owned().into(), nonce, timestamp)
}

#[tokio::test]
async fn a_signature_is_as_old_as_the_app_lets_it_be() {
    let stack = &a_stack_of(&[
        app("strict", APP_SECRET, &json!({"signature_max_age_secs": 60}), json!({})),
        app("lax", APP_SECRET, &json!({}), json!({})),
    ])
    .await;
    let made = stack.now();
    let with = async |key: &str, timestamp: String| {
        let signature = support_signature(APP_SECRET, "1", &timestamp);
        let headers = [("App-Key", key), ("Nonce", "1"), ("Timestamp", &timestamp), ("Signature", &signature)];
        call(stack, GET_TAGS, &headers, "userIds=u").await.1
    };
    let (seconds, millis) = (made.to_string(), (made * 1_000).to_string());
    // The same headers again and again, as the SDKs send them.
    for _ in 0..2 {
        assert_eq!((with("strict", seconds.clone()).await, with("strict", millis.clone()).await), (200, 200));
    }
    assert_eq!(with("strict", (made + 3_600).to_string()).await, 1004, "from the future");
    assert_eq!(with("strict", "24270.8".to_owned()).await, 1004, "no time");
    assert_eq!((with("lax", (made + 3_600).to_string()).await, with("lax", "24270.8".to_owned()).await), (200, 200));
    stack.advance(120).await;
    assert_eq!((with("strict", seconds.clone()).await, with("strict", millis.clone()).await), (1004, 1004));
    assert_eq!((with("lax", seconds).await, with("lax", millis).await), (200, 200));
    assert_eq!(with("strict", stack.now().to_string()).await, 200);
}

#[tokio::test]
async fn as_many_calls_as_a_day_may_have_pass_and_on_the_next_as_many_again() {
    let noon = json!({"utc_offset_minutes": noon()});
    let rates = json!({"rates": {GET_TAGS: {"day": 7}, "/user/getToken.json": {"second": 0}}});
    let stack =
        &a_stack_of(&[app("a", APP_SECRET, &rates, noon.clone()), app("b", APP_SECRET, &json!({}), noon)]).await;
    let forty = async || {
        let codes = join_all((0..40).map(|_| code(stack, "a", GET_TAGS, "userIds=u"))).await;
        assert!(codes.iter().all(|code| matches!(code, (200, 200) | (429, 1008))), "{codes:?}");
        codes.iter().filter(|code| **code == (200, 200)).count()
    };
    assert_eq!(forty().await, 7);
    // Not who brings no good signature, nor another app, nor another call.
    let (_, answer) = stack.signed_as("a", "another", GET_TAGS, "userIds=u", FORM, &[]).await;
    assert_eq!(answer["code"], 1004);
    assert_eq!(code(stack, "b", GET_TAGS, "userIds=u").await.1, 200);
    assert_eq!(code(stack, "a", "/user/tag/set.json", r#"{"userId":"u","tags":["t"]}"#).await.1, 200);
    assert_eq!(code(stack, "a", "/user/getToken.json", "userId=u").await.1, 1008);
    let (_, answer) = stack.signed_as("a", APP_SECRET, GET_TAGS, "userIds=u", FORM, &[]).await;
    assert_eq!(answer["errorMessage"], "the app may call /user/tags/get.json 7 times in one day, and has in this one");

    // It began at about noon.
    stack.advance(11 * 3_600).await;
    assert_eq!(code(stack, "a", GET_TAGS, "userIds=u").await.1, 1008, "the same day");
    stack.advance(2 * 3_600).await;
    assert_eq!(forty().await, 7, "the next day");
}

#[tokio::test]
async fn pushes_may_come_twice_an_hour_and_three_times_a_day() {
    let noon = noon();
    let stack = &a_stack_of(&[app("a", APP_SECRET, &json!({}), json!({"utc_offset_minutes": noon}))]).await;
    // To where an hour begins, so that none ends meanwhile.
    stack.advance(3_600 - (stack.now() + noon * 60).rem_euclid(3_600)).await;
    let push = async |alert: &str| {
        let body = everyone(alert).to_string();
        let (_, answer) = stack.signed_as("a", APP_SECRET, PUSH, body, JSON, &[]).await;
        let told = answer["errorMessage"].as_str().unwrap_or_default();
        (answer["code"].as_u64().unwrap(), ["hour", "day"].into_iter().find(|per| told.contains(per)))
    };
    // What is refused for its content counts too; both forms of the path count together.
    assert_eq!(push("one").await, (200, None));
    assert_eq!(code(stack, "a", PUSH, "{").await, (400, 1002));
    assert_eq!(push("two").await, (1008, Some("hour")));
    // Others have counters of their own.
    let broadcast = "fromUserId=u&objectName=RC:TxtMsg&content={}";
    assert_eq!(code(stack, "a", "/message/broadcast.json", broadcast).await, (200, 200));
    let custom = json!({"platform": ["ios"], "audience": {"tag": ["t"]}, "notification": {"alert": "a"}}).to_string();
    assert_eq!(code(stack, "a", "/push/custom.json", &custom).await, (200, 200));

    stack.advance(3_600).await;
    // What the hour refused, the day has not counted.
    assert_eq!(push("three").await, (200, None));
    assert_eq!(push("four").await, (1008, Some("day")));
    stack.advance(86_400).await;
    assert_eq!(push("five").await, (200, None));
}

/// A stack of an app at the beginning of an hour at about noon, so that neither ends while a story is told.
async fn at_the_full_hour(rates: Value) -> Stack {
    let noon = noon();
    let stack =
        a_stack_of(&[app("a", APP_SECRET, &json!({"rates": rates}), json!({"utc_offset_minutes": noon}))]).await;
    stack.advance(3_600 - (stack.now() + noon * 60).rem_euclid(3_600)).await;
    stack
}

/// The answer to a call of `a`, without its status.
async fn answer(stack: &Stack, path: &str, body: &str, headers: &[(&str, &str)]) -> Value {
    let kind = if body.starts_with('{') { JSON } else { FORM };
    stack.signed_as("a", APP_SECRET, path, body.to_owned(), kind, headers).await.1
}

#[tokio::test]
async fn a_repeat_is_answered_when_no_more_calls_may_come() {
    let stack = &at_the_full_hour(json!({"/push/user.json": {"day": 2}})).await;
    let (broadcast, recall) = ("/message/broadcast.json", "/message/broadcast/recall.json");
    let message = |text: &str| format!("fromUserId=u&objectName=app:x&content={text}");
    let withdraw = |answer: &Value| format!("fromUserId=u&messageUID={}", answer["messageUID"].as_str().unwrap());
    let to_users = |text: &str| json!({"userIds": ["x", "y"], "notification": {"pushContent": text}}).to_string();
    let (one, two) = (&everyone("one").to_string(), &everyone("two").to_string());
    let (first, second) = (answer(stack, PUSH, one, &[]).await, answer(stack, PUSH, two, &[]).await);
    assert_eq!((&first["code"], &second["code"]), (&json!(200), &json!(200)));
    assert_ne!(first["id"], second["id"]);
    let to_named = answer(stack, "/push/user.json", &to_users("c"), &[("X-Request-ID", "1")]).await;
    let mut messages = Vec::new();
    for text in ["one", "two"] {
        messages.push(answer(stack, broadcast, &message(text), &[]).await);
    }
    assert_eq!(answer(stack, broadcast, &message("three"), &[]).await["code"], 1008);
    assert_eq!(answer(stack, broadcast, &message("two"), &[]).await, messages[1]);
    for sent in &messages {
        assert_eq!(answer(stack, recall, &withdraw(sent), &[]).await, json!({"code": 200}));
    }

    // No more of any may come, and an answer that was lost can be asked for.
    let other = everyone("three").to_string();
    for _ in 0..2 {
        assert_eq!(answer(stack, PUSH, &other, &[]).await["code"], 1008);
        assert_eq!(answer(stack, PUSH, "{", &[]).await["code"], 1008);
        assert_eq!(answer(stack, PUSH, two, &[]).await, second);
        assert_eq!(answer(stack, PUSH, one, &[("X-Request-ID", "another")]).await, first);
        // Withdrawn, it would be sent anew.
        assert_eq!(answer(stack, broadcast, &message("two"), &[]).await["code"], 1008);
        assert_eq!(answer(stack, recall, &withdraw(&messages[1]), &[]).await, json!({"code": 200}));
        let nothing = "fromUserId=u&messageUID=0000000000000000000001";
        assert_eq!(answer(stack, recall, nothing, &[]).await["code"], 1008);
        let again = answer(stack, "/push/user.json", &to_users("c"), &[("X-Request-ID", "1")]).await;
        assert_eq!((&again, &again["code"]), (&to_named, &json!(200)));
        assert_eq!(answer(stack, "/push/user.json", &to_users("c"), &[]).await["code"], 1008);
    }
    // Of nobody else.
    let (_, forged) = stack.signed_as("a", "another", PUSH, two.clone(), JSON, &[]).await;
    assert_eq!(forged["code"], 1004);
    stack.idle().await;
}

#[tokio::test]
async fn what_fails_here_does_not_count() {
    let stack = &at_the_full_hour(json!({"/push/custom.json": {"day": 1}, "/user/tag/set.json": {"hour": 1}})).await;
    let custom = |alert: &str| {
        json!({"platform": ["ios"], "audience": {"tag": ["t"]}, "notification": {"alert": alert}}).to_string()
    };
    let set_of = |tag: &str| json!({"userId": "u", "tags": [tag]}).to_string();
    for (path, body, another, function, times) in [
        (PUSH, everyone("one").to_string(), everyone("two").to_string(), "push-intake", 2),
        ("/push/custom.json", custom("one"), custom("two"), "push-intake", 1),
        ("/user/tag/set.json", set_of("one"), set_of("two"), "audience", 1),
    ] {
        for _ in 0..3 {
            // What is read after the count.
            let fail = json!({"function": function, "service": "dynamodb", "operation": "BatchGetItem",
                "error": "ValidationException"});
            stack.local(Method::PUT, "faults", Some(json!({"fail": [fail]}))).await;
            assert_eq!(answer(stack, path, &body, &[]).await["code"], 1000, "{path}");
        }
        stack.local(Method::PUT, "faults", Some(json!({}))).await;
        for _ in 0..times {
            // Of another content each time: what is refused for it counts.
            assert_eq!(answer(stack, path, "[]", &[]).await["code"], 1002, "{path}");
        }
        assert_eq!(answer(stack, path, &another, &[]).await["code"], 1008, "{path}");
    }
}

#[tokio::test]
async fn a_hundred_calls_in_a_second_are_counted_over_the_day_to_the_last() {
    let rates = json!({GET_TAGS: {"second": 1_000, "day": 60}, "/push/user.json": {"second": 30, "day": 1_000}});
    let stack = &at_the_full_hour(rates).await;
    stack.local(Method::DELETE, "usage", None).await;
    let told = join_all((0..100).map(|_| code(stack, "a", GET_TAGS, "userIds=u"))).await;
    let count = |code| told.iter().filter(|told| **told == code).count();
    assert_eq!((count((200, 200)), count((429, 1008))), (60, 40), "{told:?}");
    // In no transaction: they would be at the same item, and all but one of those that meet would lose.
    let usage = stack.local(Method::GET, "usage", None).await;
    let audience = &usage["dynamodb"]["tables"]["AudienceTable"];
    assert_eq!((&audience["TransactWriteItems"], &audience["UpdateItem"]["requests"]), (&Value::Null, &json!(200)));

    // Who names more than ever may be is not told to come again.
    let users: Vec<String> = (0..31).map(|user| user.to_string()).collect();
    let to = |count: usize| json!({"userIds": users[..count], "notification": {"pushContent": "c"}}).to_string();
    let told = answer(stack, "/push/user.json", &to(31), &[]).await;
    assert_eq!(
        (&told["code"], told["errorMessage"].as_str().unwrap()),
        (&json!(1002), "userIds names too many users: at most 30 fit, for the app may push to no more in one second")
    );
    assert_eq!(answer(stack, "/push/user.json", &to(30), &[]).await["code"], 200);
}

#[tokio::test]
async fn what_is_switched_off_counts_all_the_same() {
    let paths = [
        (PUSH, "push"),
        ("/push/user.json", "push"),
        ("/push/custom.json", "push_plus"),
        ("/message/broadcast.json", "broadcast"),
        ("/message/online/broadcast.json", "online_broadcast"),
    ];
    let rates = |rate: Value| Value::from_iter(paths.map(|(path, _)| (path, rate.clone())));
    let quotas = json!({"utc_offset_minutes": noon()});
    let services = ["push", "push_plus", "broadcast", "online_broadcast"];
    let mut apps = vec![app("none", APP_SECRET, &json!({"services": [], "rates": rates(json!({"day": 2}))}), quotas)];
    apps.extend(services.map(|missing| {
        let others: Vec<&str> = services.into_iter().filter(|service| *service != missing).collect();
        app(missing, APP_SECRET, &json!({"services": others, "rates": rates(json!({}))}), json!({}))
    }));
    let stack = &a_stack_of(&apps).await;
    for (path, service) in paths {
        let told = join_all((0..4).map(|_| code(stack, "none", path, "{"))).await;
        let count = |code| told.iter().filter(|told| **told == code).count();
        assert_eq!((count((430, 1009)), count((429, 1008))), (2, 2), "{path}: {told:?}");
        for missing in services {
            let expected = if missing == service { 1009 } else { 1002 };
            assert_eq!(code(stack, missing, path, "{").await.1, expected, "{path} without {missing}");
        }
    }
    assert_eq!(code(stack, "none", "/message/broadcast/recall.json", "x=y").await.1, 1002, "a recall needs none");
}

#[tokio::test]
async fn a_push_to_named_users_counts_as_one_for_each() {
    let rates = json!({"rates": {"/push/user.json": {"day": 100}}});
    let stack = &a_stack_of(&[app("a", APP_SECRET, &rates, json!({"utc_offset_minutes": noon()}))]).await;
    let to = async |users: usize| {
        let users: Vec<String> = (0..users).map(|user| user.to_string()).collect();
        let body = json!({"userIds": users, "notification": {"pushContent": "c"}}).to_string();
        let (_, answer) = stack.signed_as("a", APP_SECRET, "/push/user.json", body, JSON, &[]).await;
        (answer["code"].as_u64().unwrap(), answer["errorMessage"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(to(60).await.0, 200);
    let (code, told) = to(41).await;
    assert_eq!(code, 1008);
    assert_eq!(
        told,
        "the app may push to 100 users by /push/user.json in one day: 41 more would be too many in this one"
    );
    // What faulty ones count: as many as they name, up to a hundred, and one at least.
    assert_eq!((to(0).await.0, to(38).await.0, to(2).await.0, to(500).await.0), (1002, 200, 1008, 1008));
    assert_eq!(to(1).await.0, 200);
    assert_eq!(to(1).await.0, 1008);
}

#[tokio::test]
async fn letting_a_signed_call_in_costs_what_is_counted() {
    let stack = &a_stack().await;
    let used = async || {
        let usage = stack.local(Method::GET, "usage", None).await;
        let operations = usage["dynamodb"]["tables"]["AudienceTable"].as_object();
        let sum = |units: &str| -> f64 {
            operations.into_iter().flatten().map(|(_, operation)| operation[units].as_f64().unwrap()).sum()
        };
        (sum("read_units"), sum("write_units"))
    };
    for (path, body, reads, writes) in
        [("/user/tags/get.json", "", 0.0, 1.0), (PUSH, "{", 0.0, 4.0), ("/push/user.json", "{", 0.0, 1.0)]
    {
        let before = used().await;
        let (_, answer) = stack.signed_as(APP_KEY, APP_SECRET, path, body, JSON, &[]).await;
        assert!(matches!(answer["code"].as_u64(), Some(1002 | 1003)), "{path}: {answer}");
        let after = used().await;
        assert_eq!((after.0 - before.0, after.1 - before.1), (reads, writes), "{path}");
    }
}
