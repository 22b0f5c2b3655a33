//! An app's backend asks what came of a push.

use reqwest::header::ALLOW;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use support::{ADMIN, APP_KEY, APP_SECRET, SDK_APP_ID, Stack, signature};

use crate::{a_stack_of, app, text};

#[tokio::test]
async fn a_push_is_accepted_and_sent_and_done_and_its_account_always_adds_up() {
    let stack = &a_furnished_stack(json!({"push_interval_ms": 0})).await;
    for user in ["anne", "ben", "cleo"] {
        stack.register(user, "p40", "huawei", &format!("token-of-{user}")).await;
    }
    stack.register("anne", "pixel", "fcm", "anne:registered-with-google").await;

    // Its fan-out is not enqueued before the minute is over.
    let lost =
        json!({"fail": [{"function": "push-intake", "service": "sqs", "times": 1_000, "error": "ServiceUnavailable"}]});
    stack.local(Method::PUT, "faults", Some(lost)).await;
    stack.local(Method::PUT, "vendors/huawei", Some(json!({"all_tokens_bad": true}))).await;
    let task = push(stack, 1).await;
    let account = of(stack, &task).await;
    assert_eq!((&account["state"], &account["channels"]), (&json!("accepted"), &json!({})));
    assert_eq!(account["total"], counts(0, 0, 0));
    assert_eq!(account["task_id"], task.as_str());
    let lives = account["expires_at"].as_i64().unwrap() - account["accepted_at"].as_i64().unwrap();
    assert_eq!(lives, 86_400_000);

    stack.local(Method::PUT, "faults", Some(json!({}))).await;
    stack.advance(120).await;
    let is_stopped = async || {
        let account = of(stack, &task).await;
        account["channels"]["fcm"]["delivered"] == 1 && account["channels"]["huawei"]["stopped"].is_object()
    };
    stack.until("it is sent where it can be", is_stopped).await;
    let account = of(stack, &task).await;
    assert_eq!((&account["state"], &account["total"]), (&json!("sending"), &counts(4, 1, 3)));
    assert_eq!(account["channels"]["fcm"], counts(1, 1, 0));
    let stopped = &account["channels"]["huawei"]["stopped"];
    assert_eq!(stopped["why"], "every token is called invalid");
    assert!(stopped["since"].as_i64() < stopped["until"].as_i64(), "{stopped}");
    assert_eq!(account["channels"]["huawei"]["pending"], 3);

    stack.local(Method::PUT, "vendors/huawei", Some(json!({}))).await;
    stack.until("all is well", async || of(stack, &task).await["state"] == "done").await;
    let account = of(stack, &task).await;
    assert_eq!((&account["total"], &account["channels"]["huawei"]), (&counts(4, 4, 0), &counts(3, 3, 0)));
    // By its other id it is the same.
    assert_eq!(of(stack, account["push_id"].as_str().unwrap()).await, account);
    let to_nobody = json!({"userIds": ["nobody"], "notification": {"pushContent": "hi"}});
    let nobody = stack.signed_json("/push/user.json", &to_nobody).await.1;
    let nobody = nobody["id"].as_str().unwrap().to_owned();
    let account = of(stack, &nobody).await;
    assert_eq!((&account["state"], &account["total"]), (&json!("done"), &counts(0, 0, 0)), "{account}");
}

#[tokio::test]
async fn only_the_backend_of_its_app_is_told() {
    let calls = json!({"v1/pushes": 3});
    let stack = &a_furnished_stack(json!({"push_interval_ms": 0, "calls_per_second": calls})).await;
    let task = push(stack, 1).await;
    let http = Client::new();
    let url = format!("{}/v1/pushes/{task}", stack.base());
    let get = || http.get(&url);
    let now = stack.now().to_string();
    let signed = |secret: &str| {
        let headers = [("App-Key", APP_KEY), ("Nonce", "1"), ("Timestamp", &now)];
        let request = headers.iter().fold(get(), |request, (name, value)| request.header(*name, *value));
        request.header("Signature", signature(secret, "1", &now))
    };
    for (what, request, expected) in [
        ("nothing", get(), (401, "70002")),
        ("no UserSig", get().bearer_auth("none"), (401, "70003")),
        ("a user's", get().bearer_auth(stack.user_sig("anne")), (403, "60010")),
        ("a wrong signature", signed("another secret"), (401, "1004")),
        ("an unknown app", get().header("App-Key", "none"), (401, "1002")),
        ("another method", http.post(&url).bearer_auth(stack.user_sig(ADMIN)), (405, "method_not_allowed")),
    ] {
        let (status, answer) = answer(request).await;
        assert_eq!((status, answer["error"]["code"].as_str()), (expected.0, Some(expected.1)), "{what}: {answer}");
    }
    assert_eq!(answer(signed(APP_SECRET)).await.0, 200);
    for id in ["0", "0000000000000000000000", "1400000000_1_2_3", &format!("{task}0"), "%00"] {
        let request = http.get(format!("{}/v1/pushes/{id}", stack.base())).bearer_auth(stack.user_sig(ADMIN));
        let mut status = 429;
        while status == 429 {
            status = answer(request.try_clone().unwrap()).await.0;
        }
        assert_eq!(status, 404, "{id}");
    }
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(answer(get().bearer_auth(stack.user_sig(ADMIN))));
    }
    let statuses: Vec<u16> = futures::future::join_all(statuses).await.into_iter().map(|(status, _)| status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
}

async fn a_furnished_stack(quotas: Value) -> Stack {
    let mut app = app(SDK_APP_ID, json!({}), quotas);
    app["channels"] = "sandbox".into();
    app["rongcloud"] = json!({"app_key": APP_KEY, "app_secret": APP_SECRET});
    a_stack_of(&[app]).await
}

async fn push(stack: &Stack, random: u32) -> String {
    let push = json!({"MsgRandom": random, "MsgLifeTime": 86_400, "MsgBody": text("hi")});
    stack.ok("all_member_push/im_push", push).await["TaskId"].as_str().unwrap().to_owned()
}

/// What the administrator is told, whose numbers add up.
async fn of(stack: &Stack, id: &str) -> Value {
    let request = Client::new().get(format!("{}/v1/pushes/{id}", stack.base())).bearer_auth(stack.user_sig(ADMIN));
    let (status, account) = answer(request).await;
    assert_eq!(status, 200, "{account}");
    for part in account["channels"].as_object().unwrap().values().chain([&account["total"]]) {
        let number = |name: &str| part[name].as_u64().unwrap();
        let parts = ["delivered", "failed", "invalid", "suppressed", "expired", "pending"].map(number);
        assert_eq!(number("targeted"), parts.iter().sum::<u64>(), "{account}");
    }
    account
}

fn counts(targeted: u32, delivered: u32, pending: u32) -> Value {
    json!({"targeted": targeted, "delivered": delivered, "failed": 0, "invalid": 0, "suppressed": 0, "expired": 0,
        "pending": pending})
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let allowed = answer.headers().get(ALLOW).map(|methods| methods.to_str().unwrap());
    assert_eq!(allowed, (answer.status() == 405).then_some("GET"));
    (answer.status().as_u16(), answer.json().await.unwrap())
}
