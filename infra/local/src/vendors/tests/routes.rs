use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use super::{START_MS, Sandbox, client::Client};

fn device(number: u32) -> String {
    format!("{number:064x}")
}

async fn push(client: &Client, provider_token: &str, device: &str) {
    let request = Request::post(format!("https://localhost/3/device/{device}"))
        .header("authorization", format!("bearer {provider_token}"))
        .header("apns-topic", "com.example.app")
        .header("apns-push-type", "alert")
        .body(Bytes::from_static(br#"{"aps":{"alert":"A"}}"#))
        .unwrap();
    client.call(request).await.unwrap();
}

#[tokio::test]
async fn deliveries_are_listed_in_order_and_by_filter_until_they_are_deleted() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("apns").await;
    let token = sandbox.provider_token(0);
    let dead = device(2);
    sandbox.behave("apns", json!({"dead_tokens": [dead]})).await;
    for number in 1..=3 {
        push(&client, &token, &device(number)).await;
        sandbox.advance(1);
    }

    let all = sandbox.get("/deliveries").await;
    let tokens: Vec<_> = all.as_array().unwrap().iter().map(|d| &d["token"]).collect();
    assert_eq!(tokens, [&json!(device(1)), &json!(device(2)), &json!(device(3))]);

    let path = format!("/3/device/{dead}");
    let query = format!("/deliveries?channel=apns&token={dead}");
    assert_eq!(
        sandbox.get(&query).await,
        json!([{
            "channel": "apns", "token": dead, "accepted": false, "answered": true, "at": START_MS + 1000,
            "request": {
                "path": path,
                "headers": {
                    "authorization": "bearer ***",
                    "apns-topic": "com.example.app",
                    "apns-push-type": "alert",
                },
                "body": {"aps": {"alert": "A"}},
            },
            "answer": {
                "status": 410,
                "body": {"reason": "Unregistered", "timestamp": START_MS + 1000},
            },
        }])
    );
    assert_eq!(sandbox.get("/deliveries?channel=fcm").await, json!([]));
    assert_eq!(sandbox.get("/deliveries/count?channel=apns").await, json!({"accepted": 2, "refused": 1}));

    let delete = sandbox.http.delete(format!("{}/deliveries", sandbox.routes));
    assert!(delete.send().await.unwrap().status().is_success());
    assert_eq!(sandbox.get("/deliveries").await, json!([]));
    assert_eq!(sandbox.get("/deliveries/count").await, json!({"accepted": 0, "refused": 0}));
}

#[tokio::test]
async fn a_list_longer_than_one_piece_is_one_array() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("apns").await;
    let token = sandbox.provider_token(0);
    for number in 0..1001 {
        push(&client, &token, &device(number)).await;
    }
    let all: Value = sandbox.get("/deliveries").await;
    assert_eq!(all.as_array().unwrap().len(), 1001);
    assert_eq!(all[1000]["token"], device(1000));
}

#[tokio::test]
async fn behaviours_that_make_no_sense_are_refused() {
    let sandbox = Sandbox::start().await;
    let error = |more: Value| {
        let mut error = json!({"status": 503, "reason": "ServiceUnavailable"});
        error.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "errors": [error] })
    };
    for behaviour in [
        json!({"latency": 5}),
        json!({"latency_ms": -5}),
        json!({"goaway_after": 0}),
        json!([]),
        error(json!({})),
        error(json!({"share": 1.5})),
        error(json!({"share": 0.5, "first": 1})),
        error(json!({"first": 1, "status": 199})),
        error(json!({"first": 1, "retry-after": 30})),
    ] {
        assert_eq!(sandbox.behave("apns", behaviour.clone()).await, 400, "{behaviour}");
    }
    assert_eq!(sandbox.behave("carrier-pigeon", json!({})).await, 404);
    assert_eq!(sandbox.behave("apns", error(json!({"first": 1}))).await, 204);
    let unknown = sandbox.http.get(format!("{}/deliveries?channel=pigeon", sandbox.routes));
    assert_eq!(unknown.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn latency_holds_answers_back_and_not_deliveries() {
    let sandbox = Sandbox::start().await;
    let client = sandbox.connect("apns").await;
    sandbox.behave("apns", json!({"latency_ms": 300})).await;
    let (token, device) = (sandbox.provider_token(0), device(1));
    let began = Instant::now();
    let gives_up = tokio::time::timeout(Duration::from_millis(100), push(&client, &token, &device));
    assert!(gives_up.await.is_err());
    assert_eq!(sandbox.get("/deliveries/count").await["accepted"], 1);
    push(&client, &token, &device).await;
    assert!(began.elapsed() >= Duration::from_millis(300));
}
