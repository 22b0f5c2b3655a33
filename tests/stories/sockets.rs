//! Two hundred people are online.

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use support::Socket;

use crate::{a_stack, text};

#[tokio::test]
async fn two_hundred_sockets_each_get_a_push_once_and_after_the_ack_never_again() {
    let stack = a_stack().await;
    let users: Vec<String> = (0..200).map(|n| format!("user{n}")).collect();
    for accounts in users.chunks(100) {
        stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": accounts})).await;
    }
    let mut sockets = Vec::new();
    for users in users.chunks(20) {
        sockets.extend(join_all(users.iter().map(|user| stack.socket(user, "phone"))).await);
    }

    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")});
    let answer = stack.ok("all_member_push/im_push", push).await;

    let pushes = join_all(sockets.iter_mut().map(Socket::hear)).await;
    for push in &pushes {
        assert_eq!((&push["type"], &push["body"]), (&json!("push"), &text("hi")));
        assert_eq!((&push["from"], &push["task_id"]), (&json!("administrator"), &answer["TaskId"]));
        assert_eq!(push["seq"], 1);
        let (sent_at, expires_at) = (push["sent_at"].as_i64().unwrap(), push["expires_at"].as_i64().unwrap());
        assert_eq!(expires_at, sent_at / 1_000 + 600);
    }
    stack.idle().await;
    // Acknowledged on the wire, then seen to be: a sync right behind the ack could overtake it.
    join_all(sockets.iter_mut().zip(&pushes).map(|(socket, push)| socket.ack(std::slice::from_ref(push)))).await;
    stack.idle().await;
    let again = join_all(sockets.iter_mut().map(Socket::sync)).await;
    assert!(again.iter().all(Vec::is_empty), "acknowledged pushes came again");
    let late = join_all(sockets.iter_mut().map(|socket| socket.hear_within(Duration::from_millis(300)))).await;
    assert!(late.iter().all(Option::is_none), "a push came twice: {late:?}");
}

#[tokio::test]
async fn the_socket_protocol_is_kept() {
    let stack = a_stack().await;
    let mut socket = stack.socket("anne", "phone").await;
    socket.say(json!({"type": "ping"})).await;
    assert_eq!(socket.hear().await, json!({"type": "pong"}));
    socket.say(json!({"type": "dance"})).await;
    let error = socket.hear().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("bad_frame")));
    socket.say(json!({"type": "sync"})).await;
    assert_eq!(socket.hear().await, json!({"type": "synced", "delivered": 0, "more": false}));

    let url = stack.socket_url("anne", "phone");
    assert_eq!(Socket::try_open(&url.replace("usersig=", "usersig=x")).await.err(), Some(401));
    assert_eq!(Socket::try_open(&url.replace("device_id=phone", "device_id=")).await.err(), Some(400));
}

#[tokio::test]
async fn a_socket_that_vanished_unseen_is_found_gone_and_its_user_reached_by_vendor() {
    let stack = a_stack().await;
    stack.register("anne", "phone", "apns", &"ab".repeat(32)).await;
    // What a lost `$disconnect` leaves behind: a connection in the contact that is no more.
    let socket = stack.socket("anne", "phone").await;
    let (client, tables) = stack.store().await;
    let contacts = fanfare::store::ContactStore::new(client.clone(), &tables.audience);
    let users = fanfare::store::UserStore::new(client, &tables.audience);
    let app = fanfare::domain::AppId::try_from("1400000000").unwrap();
    let anne = users.get(&app, &["anne".try_into().unwrap()]).await.unwrap().into_values().next().unwrap();
    socket.close().await;
    stack.idle().await;
    contacts.connect(&app, &anne, &"vanished=".try_into().unwrap(), &"phone".try_into().unwrap()).await.unwrap();

    let push = json!({"MsgRandom": 1, "MsgLifeTime": 600, "MsgBody": text("hi")});
    stack.ok("all_member_push/im_push", push).await;
    stack.until("the phone is reached", async || stack.delivered("apns").await.len() == 1).await;
    let everyone = [0].into_iter().collect();
    let left = contacts.of_members(&app, fanfare::domain::Shard(0), &everyone).await.unwrap();
    assert!(left[0].connections.is_empty(), "the dead connection is forgotten");
}

#[tokio::test]
async fn who_leaves_before_a_repeat_of_the_fan_out_is_reached_by_vendor() {
    let stack = a_stack().await;
    stack.register("anne", "phone", "apns", &"ab".repeat(32)).await;
    stack.register("ben", "phone", "apns", &"cd".repeat(32)).await;
    let socket = stack.socket("anne", "phone").await;
    // It dies once it has written that she is to be reached by socket, and before any batch is sent.
    let kill = json!({"function": "fan-out", "service": "dynamodb", "operation": "PutItem", "nth": 1, "when": "after"});
    stack.local(Method::PUT, "faults", Some(json!({"kill": [kill]}))).await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 86_400, "MsgBody": text("hi")});
    let answer = stack.ok("all_member_push/im_push", push).await;
    let died = async || stack.local(Method::GET, "faults", None).await["kill"][0]["calls"].as_u64() >= Some(1);
    stack.until("the fan-out dies", died).await;
    stack.local(Method::PUT, "faults", Some(json!({}))).await;
    socket.close().await;
    while !stack.is_idle_within(3_000).await {
        stack.nothing_runs().await;
        stack.advance(400).await;
    }
    assert_eq!(stack.delivered("apns").await, ["ab".repeat(32), "cd".repeat(32)]);
    let account = stack.account(answer["TaskId"].as_str().unwrap()).await;
    assert!(account.values().all(|account| account.pending == 0), "{account:?}");
}

#[tokio::test]
async fn an_unfinished_socket_batch_is_tried_again_only_where_it_failed() {
    let stack = a_stack().await;
    let mut phone = stack.socket("anne", "phone").await;
    let mut tablet = stack.socket("anne", "tablet").await;
    let fail = json!({"service": "execute-api", "operation": "PostToConnection", "nth": 1, "times": 1,
        "error": "LimitExceededException"});
    stack.local(Method::PUT, "faults", Some(json!({"fail": [fail]}))).await;
    let push = json!({"MsgRandom": 1, "MsgLifeTime": 86_400, "MsgBody": text("hi")});
    stack.ok("all_member_push/im_push", push).await;
    assert_eq!(phone.hear().await["body"], text("hi"));
    assert_eq!(tablet.hear().await["body"], text("hi"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    stack.idle().await;
    for socket in [&mut phone, &mut tablet] {
        assert_eq!(socket.hear_within(Duration::from_millis(300)).await, None, "it came twice");
    }
}
