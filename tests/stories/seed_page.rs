//! The request bodies of Tencent's own page on pushing to all users, as they stand there, to ten thousand users.
//! Who should have got each push is told by a naive scan.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use support::Socket;

use crate::a_stack;

const USERS: usize = 10_000;
const LEVELS: [&str; 3] = ["Platinum Premier members", "Platinum Premier users", "guest"];
const CITIES: [&str; 4] = ["Shenzhen", "Guangzhou", "Shanghai", "Beijing"];

/// One of the page's bodies, and whom it is for.
struct Page {
    body: &'static str,
    is_for: fn(usize) -> bool,
}

const PAGES: [Page; 8] = [
    Page { body: include_str!("../fixtures/im_push/to_all.json"), is_for: |_| true },
    Page { body: include_str!("../fixtures/im_push/to_all_from_an_account.json"), is_for: |_| true },
    Page { body: include_str!("../fixtures/im_push/to_all_with_offline_push_info.json"), is_for: |_| true },
    Page { body: include_str!("../fixtures/im_push/to_all_again.json"), is_for: |_| true },
    Page { body: include_str!("../fixtures/im_push/by_tags_and.json"), is_for: |n| follows_a(n) && follows_b(n) },
    Page { body: include_str!("../fixtures/im_push/by_tags_or.json"), is_for: |n| follows_a(n) || follows_b(n) },
    Page {
        body: include_str!("../fixtures/im_push/by_attributes.json"),
        is_for: |n| level(n) == Some(LEVELS[0]) && city(n) == "Shenzhen",
    },
    Page {
        body: include_str!("../fixtures/im_push/by_other_attributes.json"),
        is_for: |n| level(n) == Some(LEVELS[1]) && city(n) == "Shenzhen",
    },
];

fn name(n: usize) -> String {
    format!("user{n:05}")
}

fn follows_a(n: usize) -> bool {
    n.is_multiple_of(3)
}

fn follows_b(n: usize) -> bool {
    n.is_multiple_of(7)
}

fn level(n: usize) -> Option<&'static str> {
    LEVELS.get(n % 5).copied()
}

fn city(n: usize) -> &'static str {
    CITIES[(n / 5) % 4]
}

fn is_online(n: usize) -> bool {
    n % 50 == 7
}

fn apple_token(n: usize) -> Option<String> {
    (n % 21 == 7).then(|| format!("{n:064x}"))
}

fn google_token(n: usize) -> Option<String> {
    (n % 25 == 7).then(|| format!("{:a<140}", format!("token{n}_")))
}

#[tokio::test]
async fn every_body_of_the_page_reaches_exactly_the_right_users() {
    let stack = a_stack().await;
    populate(&stack).await;
    let mut sockets = connect(&stack).await;

    let mut expected: BTreeMap<&str, Vec<String>> = BTreeMap::from([("apns", vec![]), ("fcm", vec![])]);
    for (seq, page) in (1..).zip(&PAGES) {
        stack.advance(2).await;
        let answer = stack.post(&stack.server_url("all_member_push/im_push"), page.body).await;
        assert_eq!((&answer["ActionStatus"], &answer["ErrorCode"]), (&json!("OK"), &json!(0)), "{answer}");
        stack.idle().await;
        for n in (0..USERS).filter(|n| (page.is_for)(*n) && !is_online(*n)) {
            expected.get_mut("apns").unwrap().extend(apple_token(n));
            expected.get_mut("fcm").unwrap().extend(google_token(n));
        }
        for (n, socket) in &mut sockets {
            if (page.is_for)(*n) {
                let push = socket.hear().await;
                assert_eq!((push["seq"].as_u64(), &push["task_id"]), (Some(seq), &answer["TaskId"]), "user {n}");
                socket.ack(&[push]).await;
            }
        }
    }
    stack.idle().await;
    for (channel, tokens) in &mut expected {
        tokens.sort_unstable();
        let delivered = stack.delivered(channel).await;
        assert_eq!(delivered.len(), tokens.len(), "{channel}");
        assert!(delivered == *tokens, "{channel}: the right number, and the wrong devices");
    }
    for (n, socket) in &mut sockets {
        let more = socket.hear_within(Duration::from_millis(20)).await;
        assert!(more.is_none(), "user {n} got {more:?} as well");
    }

    // Those who were offline find all that was for them, and nothing else; those who acknowledged find nothing.
    let offline: Vec<usize> = (0..USERS).step_by(101).filter(|n| !is_online(*n)).collect();
    for n in &offline {
        let missed = stack.socket(&name(*n), "phone").await.sync().await;
        let seqs: Vec<u64> = missed.iter().map(|push| push["seq"].as_u64().unwrap()).collect();
        let meant: Vec<u64> = (1..).zip(&PAGES).filter(|(_, page)| (page.is_for)(*n)).map(|(seq, _)| seq).collect();
        assert_eq!(seqs, meant, "user {n}");
    }
    for (n, socket) in &mut sockets {
        assert!(socket.sync().await.is_empty(), "user {n} had acknowledged");
    }
    stack.advance(121).await;
    for n in &offline {
        assert!(stack.socket(&name(*n), "tablet").await.sync().await.is_empty(), "user {n}: their lifetime is over");
    }
}

/// Imports and tags everyone through the contract's own calls, and registers devices.
async fn populate(stack: &support::Stack) {
    let everyone: Vec<usize> = (0..USERS).collect();
    let names = json!({"AttrNames": {"0": "Membership Level", "1": "city"}});
    stack.ok("all_member_push/im_set_attr_name", names).await;
    for users in everyone.chunks(100) {
        let accounts: Vec<String> = users.iter().map(|n| name(*n)).collect();
        let answer = stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": accounts})).await;
        assert_eq!(answer["FailAccounts"], json!([]));
    }
    // Whom the page has for senders: they have no devices, and are never online.
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": ["admin", "xiaoming"]})).await;
    stream::iter(everyone.chunks(100))
        .map(async |users| {
            let tags: Vec<Value> = users
                .iter()
                .map(|n| {
                    let tags = [(follows_a(*n), "Stock A"), (follows_b(*n), "Stock B"), (true, "reader")];
                    let tags: Vec<_> = tags.iter().filter(|(has, _)| *has).map(|(_, tag)| tag).collect();
                    json!({"To_Account": name(*n), "Tags": tags})
                })
                .collect();
            let answer = stack.ok("all_member_push/im_add_tag", json!({"UserTags": tags})).await;
            assert_eq!(answer.get("ErrorList"), None);
            let attributes: Vec<Value> = users
                .iter()
                .map(|n| {
                    let mut attributes = json!({"city": city(*n)});
                    if let Some(level) = level(*n) {
                        attributes["Membership Level"] = level.into();
                    }
                    json!({"To_Account": name(*n), "Attrs": attributes})
                })
                .collect();
            let answer = stack.ok("all_member_push/im_set_attr", json!({"UserAttrs": attributes})).await;
            assert_eq!(answer.get("ErrorList"), None);
        })
        .buffer_unordered(4)
        .collect::<()>()
        .await;
    stream::iter(everyone)
        .map(async |n| {
            if let Some(token) = apple_token(n) {
                stack.register(&name(n), "iphone", "apns", &token).await;
            }
            if let Some(token) = google_token(n) {
                stack.register(&name(n), "pixel", "fcm", &token).await;
            }
        })
        .buffer_unordered(8)
        .collect::<()>()
        .await;
}

async fn connect(stack: &support::Stack) -> Vec<(usize, Socket)> {
    stream::iter((0..USERS).filter(|n| is_online(*n)))
        .map(async |n| (n, stack.socket(&name(n), "iphone").await))
        .buffered(8)
        .collect()
        .await
}
