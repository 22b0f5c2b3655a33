//! Someone was offline.

use serde_json::json;

use crate::{a_stack, text};

#[tokio::test]
async fn a_kept_push_waits_for_its_users_until_its_lifetime_ends() {
    let stack = a_stack().await;
    stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": ["anne", "ben", "cleo"]})).await;
    stack.ok("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": "anne", "Tags": ["gold"]}]})).await;
    let push = |random, lifetime, condition: serde_json::Value, body: &str| json!({"MsgRandom": random, "MsgLifeTime": lifetime, "Condition": condition, "MsgBody": text(body)});
    stack.ok("all_member_push/im_push", push(1, 604_800, json!(null), "for all")).await;
    stack.advance(2).await;
    stack.ok("all_member_push/im_push", push(2, 3_600, json!({"TagsAnd": ["gold"]}), "for gold")).await;
    stack.advance(2).await;
    stack.ok("all_member_push/im_push", push(3, 0, json!(null), "for those online")).await;
    stack.idle().await;
    // A tag that comes after the push does not make one of its users.
    stack.ok("all_member_push/im_add_tag", json!({"UserTags": [{"To_Account": "ben", "Tags": ["gold"]}]})).await;
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "dora"})).await;

    let bodies = |pushes: &[serde_json::Value]| pushes.iter().map(|push| push["body"].clone()).collect::<Vec<_>>();
    let mut anne = stack.socket("anne", "phone").await;
    let missed = anne.sync().await;
    assert_eq!(bodies(&missed), [text("for all"), text("for gold")]);
    assert_eq!(bodies(&anne.sync().await), bodies(&missed), "what is not acknowledged comes again");
    anne.ack(&missed[..1]).await;
    stack.idle().await;
    assert_eq!(bodies(&anne.sync().await), [text("for gold")]);
    let mut tablet = stack.socket("anne", "tablet").await;
    assert_eq!(bodies(&tablet.sync().await), bodies(&missed), "each device acknowledges for itself");
    assert_eq!(bodies(&stack.socket("ben", "phone").await.sync().await), [text("for all")]);
    assert!(stack.socket("dora", "phone").await.sync().await.is_empty(), "she came after the pushes");

    stack.advance(3_600).await;
    assert!(anne.sync().await.is_empty(), "its hour is over");
    stack.advance(604_800 - 3_600 - 60).await;
    assert_eq!(bodies(&stack.socket("cleo", "phone").await.sync().await), [text("for all")], "still within seven days");
    stack.advance(120).await;
    assert!(stack.socket("cleo", "phone").await.sync().await.is_empty(), "seven days are over");
}

#[tokio::test]
async fn a_long_absence_is_caught_up_in_parts() {
    let stack = a_stack().await;
    stack.ok("im_open_login_svc/account_import", json!({"UserID": "anne"})).await;
    for random in 0..60 {
        let push = json!({"MsgRandom": random, "MsgLifeTime": 604_800, "MsgBody": text(&random.to_string())});
        stack.ok("all_member_push/im_push", push).await;
        stack.advance(2).await;
    }
    stack.idle().await;
    let mut anne = stack.socket("anne", "phone").await;
    let first = anne.sync().await;
    assert_eq!(first.len(), 50);
    anne.ack(&first).await;
    stack.idle().await;
    let second = anne.sync().await;
    let seqs: Vec<_> = first.iter().chain(&second).map(|push| push["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=60).collect::<Vec<_>>());
    anne.ack(&second).await;
    stack.idle().await;
    assert!(anne.sync().await.is_empty());
}
