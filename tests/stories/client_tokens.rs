//! Whoever has a token of RongCloud's contract is let in like one who has a UserSig, and refused like one.

use fanfare::dialect::rongcloud::token;
use fanfare::domain::{Rongcloud, Timestamp, UserId};
use reqwest::Client;
use serde_json::{Value, json};
use support::{ADMIN, SDK_APP_ID, Socket, Stack};

use crate::{KEY, a_stack_of, sign};

const SECRET: &str = "the secret of the app";

/// An app that has both contracts, under the demo app's number, and one that has RongCloud's alone.
async fn a_stack() -> Stack {
    let rongcloud = |app_key: &str| json!({"app_key": app_key, "app_secret": SECRET});
    let tencent = json!({"sdk_app_id": SDK_APP_ID, "secret_key": KEY, "admins": [ADMIN], "reimport_after_days": 1,
        "wrong_user_sigs_per_minute": 3});
    a_stack_of(&[
        json!({"id": SDK_APP_ID.to_string(), "tencent": tencent, "rongcloud": rongcloud("both")}),
        json!({"id": "2", "rongcloud": rongcloud("alone")}),
        json!({"id": "3", "rongcloud": {"app_key": "none", "app_secret": ""}}),
    ])
    .await
}

fn token_of(app_key: &str, secret: &str, user: &str, now: i64) -> String {
    let app: Rongcloud = serde_json::from_value(json!({"app_key": app_key, "app_secret": secret})).unwrap();
    token::sign(&app, &UserId::try_from(user).unwrap(), Timestamp::from_secs(now))
}

/// Registers a device, and says how that ended.
async fn register(stack: &Stack, credential: &str) -> (u16, Value) {
    let url = format!("{}/v1/devices/phone", stack.base());
    let device = json!({"platform": "ios", "channel": "apns", "token": "ab".repeat(32)});
    let answer = Client::new().put(url).bearer_auth(credential).json(&device).send().await.unwrap();
    (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["error"]["code"].clone())
}

/// Opens a socket; the status if it is refused.
async fn open(stack: &Stack, parameters: &str) -> Option<u16> {
    let url = format!("{}/ws?{parameters}&device_id=phone", stack.base().replacen("http", "ws", 1));
    match Socket::try_open(&url).await {
        Ok(socket) => {
            socket.close().await;
            None
        }
        Err(status) => Some(status),
    }
}

#[tokio::test]
async fn a_token_lets_its_user_in_wherever_a_user_sig_does() {
    let stack = &a_stack().await;
    let long = "用".repeat(21) + "!";
    for (app_key, user) in [("both", "alice"), ("alone", "alice"), ("alone", &long)] {
        // A year old: it has no end.
        let token = token_of(app_key, SECRET, user, stack.now() - 365 * 86_400);
        assert_eq!(register(stack, &token).await, (200, Value::Null), "{app_key} {user}");
        for parameters in [format!("token={token}"), format!("usersig={token}"), format!("usersig=&token={token}")] {
            assert_eq!(open(stack, &parameters).await, None, "{parameters}");
        }
    }
    let user_sig = sign(SDK_APP_ID, KEY, "alice", stack.now());
    assert_eq!(open(stack, &format!("token={user_sig}")).await, None, "nor does a UserSig mind the name");

    // One audience: who has come with a token is an account to both.
    let known = json!({"CheckItem": [{"UserID": "alice"}]});
    let answer = stack.ok("im_open_login_svc/account_check", known).await;
    assert_eq!(answer["ResultItem"][0]["AccountStatus"], "Imported");
    // The app's own, not that of another with the same secret.
    let (client, tables) = stack.store().await;
    let users = fanfare::store::UserStore::new(client, tables.audience);
    let app = fanfare::domain::AppId::try_from("2").unwrap();
    assert_eq!(users.get(&app, &[UserId::try_from(long).unwrap()]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_that_proves_nothing_has_the_code_of_its_contract() {
    let stack = &a_stack().await;
    let now = stack.now();
    for (token, code) in [
        (token_of("alone", "another", "alice", now), "31004"),
        (token_of("nobody", SECRET, "alice", now), "31002"),
        (token_of(&"x".repeat(2_500), SECRET, "alice", now), "31002"),
        (token_of(&"x".repeat(10_000), SECRET, "alice", now), "31004"),
        (token_of("none", "", "alice", now), "1001"),
        ("a.b.c".to_owned(), "31004"),
    ] {
        assert_eq!(register(stack, &token).await, (401, json!(code)));
        assert_eq!(open(stack, &format!("token={token}")).await, Some(401));
    }
    assert_eq!(open(stack, "token=").await, Some(401));
    assert_eq!(open(stack, "x=y").await, Some(401));
}

#[tokio::test]
async fn wrong_tokens_and_wrong_user_sigs_are_counted_together() {
    let stack = &a_stack().await;
    let forged = || token_of("both", "another", "alice", stack.now());
    assert_eq!(register(stack, &forged()).await, (401, json!("31004")));
    assert_eq!(register(stack, &sign(SDK_APP_ID, "another", "alice", stack.now())).await, (401, json!("70009")));
    assert_eq!(open(stack, &format!("token={}", forged())).await, Some(401));
    // Whatever it brings now, it is not looked at.
    let good = || token_of("both", SECRET, "alice", stack.now());
    assert_eq!(register(stack, &good()).await, (429, json!("70050")));
    assert_eq!(register(stack, &stack.user_sig("alice")).await, (429, json!("70050")));
    assert_eq!(open(stack, &format!("token={}", good())).await, Some(429));
    // Others are: another user, and the same one of another app, where twenty may be wrong.
    assert_eq!(register(stack, &token_of("both", SECRET, "bob", stack.now())).await.0, 200);
    for _ in 0..20 {
        assert_eq!(register(stack, &token_of("alone", "another", "alice", stack.now())).await, (401, json!("31004")));
    }
    assert_eq!(register(stack, &token_of("alone", SECRET, "alice", stack.now())).await.0, 429);
    stack.advance(61).await;
    assert_eq!(register(stack, &good()).await.0, 200);
    assert_eq!(register(stack, &token_of("alone", SECRET, "alice", stack.now())).await.0, 200);
}

#[tokio::test]
async fn kicking_and_deleting_a_user_makes_its_tokens_void() {
    let stack = &a_stack().await;
    let token = |secs: i64| token_of("both", SECRET, "alice", stack.now() + secs);
    // Two from clocks that are fast: one a little, and one that says nothing of when it was made.
    let (old, later, never) = (token(0), token(250), token(86_400));
    for token in [&old, &later, &never] {
        assert_eq!(register(stack, token).await.0, 200);
    }
    stack.ok("im_open_login_svc/kick", json!({"UserID": "alice"})).await;
    assert_eq!(register(stack, &old).await, (401, json!("31020")));
    assert_eq!(open(stack, &format!("token={old}")).await, Some(401));
    assert_eq!(register(stack, &never).await, (401, json!("31020")));
    stack.advance(62).await;
    assert_eq!(register(stack, &later).await.0, 200);
    assert_eq!(register(stack, &token(0)).await.0, 200);

    stack.advance(1).await;
    stack.ok("im_open_login_svc/account_delete", json!({"DeleteItem": [{"UserID": "alice"}]})).await;
    assert_eq!(register(stack, &old).await, (401, json!("31020")));
    stack.advance(2).await;
    // A new one does not help before the day that the app lets pass.
    assert_eq!(register(stack, &token(0)).await, (403, json!("70399")));
    assert_eq!(open(stack, &format!("token={}", token(0))).await, Some(403));
    stack.advance(86_400).await;
    assert_eq!(register(stack, &token(0)).await.0, 200);
}
