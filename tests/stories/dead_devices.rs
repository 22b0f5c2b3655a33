//! Devices come, move and die.

use reqwest::Method;
use serde_json::json;

use crate::{a_stack, text};

#[tokio::test]
async fn a_dead_token_is_forgotten_and_a_failing_vendor_tried_again() {
    let stack = a_stack().await;
    let (dead, alive) = ("aa".repeat(32), "bb".repeat(32));
    stack.register("anne", "phone", "apns", &dead).await;
    stack.register("ben", "phone", "apns", &alive).await;
    stack.register("cleo", "phone", "fcm", &"c".repeat(140)).await;
    stack.local(Method::PUT, "vendors/apns", Some(json!({"dead_tokens": [dead]}))).await;
    let unavailable = json!({"errors": [{"first": 1, "status": 503, "reason": "UNAVAILABLE"}]});
    stack.local(Method::PUT, "vendors/fcm", Some(unavailable)).await;

    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")});
    stack.ok("all_member_push/im_push", push).await;
    stack.until("fcm is tried again", async || stack.delivered("fcm").await.len() == 1).await;
    stack.until("apns has answered", async || stack.deliveries("apns").await.len() == 2).await;
    stack.idle().await;
    assert_eq!(stack.delivered("apns").await, [alive]);
    let devices = async |user| stack.as_user(user, Method::GET, "/v1/devices", None).await.1["devices"].clone();
    assert_eq!(devices("anne").await, json!([]));
    assert_eq!(devices("ben").await.as_array().unwrap().len(), 1);
    assert_eq!(devices("cleo").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_belongs_to_the_device_that_registered_it_last() {
    let stack = a_stack().await;
    let token = "ab".repeat(32);
    stack.register("anne", "phone", "apns", &token).await;
    stack.register("ben", "phone", "apns", &token).await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")});
    stack.ok("all_member_push/im_push", push).await;
    stack.until("the phone is reached", async || !stack.delivered("apns").await.is_empty()).await;
    stack.idle().await;
    assert_eq!(stack.delivered("apns").await, [token], "once, for the one who has it now");
    assert_eq!(stack.as_user("anne", Method::GET, "/v1/devices", None).await.1["devices"], json!([]));
    assert_eq!(stack.as_user("ben", Method::DELETE, "/v1/devices/phone", None).await.0, 204);
    assert_eq!(stack.as_user("ben", Method::DELETE, "/v1/devices/phone", None).await.0, 204);
}

#[tokio::test]
async fn a_store_that_fails_after_the_send_does_not_make_it_be_sent_again() {
    let stack = a_stack().await;
    let (dead, alive) = ("aa".repeat(32), "bb".repeat(32));
    stack.register("anne", "phone", "apns", &dead).await;
    stack.register("ben", "phone", "apns", &alive).await;
    stack.local(Method::PUT, "vendors/apns", Some(json!({"dead_tokens": [dead]}))).await;
    let fail = |operation, nth, times| {
        json!({"function": "deliver-apns", "service": "dynamodb", "operation": operation, "nth": nth, "times": times,
            "error": "ProvisionedThroughputExceededException"})
    };
    // The dead device cannot be forgotten, and the ledger takes the end of the batch only at the sixth try.
    let faults = json!({"fail": [fail("TransactWriteItems", 1, 1_000), fail("PutItem", 2, 5)]});
    stack.local(Method::PUT, "faults", Some(faults)).await;

    let push = json!({"MsgRandom": 1, "MsgLifeTime": 86_400, "MsgBody": text("hi")});
    stack.ok("all_member_push/im_push", push).await;
    stack.until("the batch is sent", async || stack.deliveries("apns").await.len() == 2).await;
    stack.idle().await;
    stack.local(Method::PUT, "faults", Some(json!({}))).await;
    for _ in 0..2 {
        stack.advance(400).await;
        stack.idle().await;
    }
    assert_eq!(stack.deliveries("apns").await.len(), 2, "each once");
    assert_eq!(stack.delivered("apns").await, [alive]);
}
