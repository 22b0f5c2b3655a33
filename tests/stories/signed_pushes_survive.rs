//! Any process may die at any step of RongCloud's pushes too. They differ from those of the other contract in how they are
//! accepted, in what is kept of them, and in that they can be withdrawn while they go out.

use std::time::Duration;

use fanfare::dialect::rongcloud::Command;
use fanfare::domain::{AppId, Channel};
use fanfare::store::{ContactStore, UserStore};
use reqwest::Method;
use serde_json::{Value, json};
use support::{APP_KEY, APP_SECRET, SDK_APP_ID, Socket, Stack};

use crate::any_process_may_die::{come_to_rest, populate};
use crate::{a_stack_of, app};

/// Function, service and operation at which a process dies, how often it comes before it does, and on which side of it.
type Death = (&'static str, &'static str, &'static str, u64, &'static str);

const BROADCAST: &str = "/message/broadcast.json";
const RECALL: &str = "/message/broadcast/recall.json";

/// A stack of the demo app, which may call as often as it likes.
async fn an_eager_stack() -> Stack {
    let rates: Value = Command::ALL.iter().map(|command| (command.path, json!({}))).collect();
    let mut app = app(SDK_APP_ID, json!({}), json!({}));
    app["rongcloud"] = json!({"app_key": APP_KEY, "app_secret": APP_SECRET, "rates": rates});
    app["channels"] = "sandbox".into();
    a_stack_of(&[app]).await
}

#[tokio::test]
async fn a_death_at_any_step_loses_no_message_and_no_notification() {
    let stack = &an_eager_stack().await;
    let tokens = populate(stack, 10).await;
    let notification =
        |text: &str| json!({"platform": ["ios"], "audience": {"tag": ["reader"]}, "notification": {"alert": text}});
    let message = |text: &str| {
        let mut push = notification(text);
        push["fromuserid"] = "u0".into();
        push["message"] = json!({"objectName": "app:x", "content": text});
        push
    };
    let deaths: [(bool, Death); 8] = [
        (true, ("push-intake", "dynamodb", "TransactWriteItems", 1, "after")),
        (true, ("push-intake", "sqs", "SendMessage", 1, "after")),
        (true, ("fan-out", "dynamodb", "PutItem", 1, "after")),
        (true, ("deliver-apns", "dynamodb", "PutItem", 2, "before")),
        (false, ("push-intake", "dynamodb", "TransactWriteItems", 1, "after")),
        (false, ("push-intake", "sqs", "SendMessage", 1, "before")),
        (false, ("fan-out", "dynamodb", "DeleteItem", 1, "before")),
        (false, ("deliver-apns", "dynamodb", "PutItem", 2, "after")),
    ];
    let mut messages = Vec::new();
    for (is_message, death) in deaths {
        let what = format!("{} {death:?}", if is_message { "message" } else { "notification" });
        let push = if is_message { message(&what) } else { notification(&what) };
        stack.local(Method::DELETE, "deliveries", None).await;
        let answer = survive(stack, death, "/push.json", &push.to_string()).await;
        if is_message {
            messages.push(answer["messageUID"].clone());
        }

        let mut delivered = stack.delivered("apns").await;
        let twice = delivered.len() - tokens.len().min(delivered.len());
        delivered.dedup();
        assert_eq!(delivered, tokens, "{what}: not everyone was reached");
        let is_between = death == ("deliver-apns", "dynamodb", "PutItem", 2, "before");
        assert_eq!(twice > 0, is_between, "{what}: {twice} were reached twice");
        let account = &stack.account(answer["id"].as_str().unwrap()).await[&Channel::Apns];
        let all = tokens.len() as u32;
        assert_eq!(
            (account.targeted, account.settled.delivered, account.pending),
            (all, all, 0),
            "{what}: {account:?}"
        );
        // Each message has a number, and takes one: its repeats do not, nor does a notification.
        assert_eq!(stack.spent("1400000000").await, (0, messages.len() as u64), "{what}");
    }
    let kept = stack.socket("user0", "tablet").await.sync().await;
    let ids: Vec<Value> = kept.iter().map(|frame| frame["id"].clone()).collect();
    assert_eq!(ids, messages, "what is kept, in the order of its acceptance");
}

#[tokio::test]
async fn a_recall_reaches_everyone_whatever_dies_while_it_goes_out() {
    let stack = &an_eager_stack().await;
    let users = ["anne", "ben", "cleo"];
    let deaths: [Death; 6] = [
        ("push-intake", "dynamodb", "TransactWriteItems", 1, "after"),
        ("push-intake", "sqs", "SendMessage", 1, "before"),
        ("fan-out", "sqs", "SendMessage", 1, "after"),
        ("fan-out", "dynamodb", "PutItem", 1, "after"),
        ("deliver-ws", "dynamodb", "PutItem", 2, "before"),
        ("deliver-ws", "dynamodb", "PutItem", 2, "after"),
    ];
    for (number, death) in deaths.into_iter().enumerate() {
        // A device of its own each time, which has acknowledged nothing.
        let device = format!("phone{number}");
        let mut sockets = Vec::new();
        for user in users {
            sockets.push(stack.socket(user, &device).await);
        }
        let sent = good(stack, BROADCAST, &broadcast(&format!("{death:?}"))).await["messageUID"].clone();
        for socket in &mut sockets {
            assert_eq!((&socket.hear().await["type"], &sent), (&json!("push"), &sent));
        }
        stack.idle().await;

        survive(stack, death, RECALL, &recall(&sent)).await;
        let is_between = death == ("deliver-ws", "dynamodb", "PutItem", 2, "before");
        let mut task = Value::Null;
        for (user, socket) in users.iter().zip(&mut sockets) {
            let heard = hear_all(socket).await;
            assert!(heard.iter().all(|frame| (&frame["type"], &frame["id"]) == (&json!("revoke"), &sent)), "{heard:?}");
            assert_eq!(heard.len(), if is_between { 2 } else { 1 }, "{death:?}: {user} heard {heard:?}");
            task = heard[0]["task_id"].clone();
        }
        let account = &stack.account(task.as_str().unwrap()).await[&Channel::Ws];
        assert_eq!((account.targeted, account.settled.delivered, account.pending), (3, 3, 0), "{death:?}: {account:?}");
        for socket in sockets {
            socket.close().await;
        }
        stack.idle().await;
    }
    // A message and a recall each, however often the recall was repeated; and of the messages nothing is kept.
    assert_eq!(stack.spent("1400000000").await, (0, 2 * deaths.len() as u64));
    let kept = stack.socket("anne", "laptop").await.sync().await;
    assert_eq!(kept.iter().filter(|frame| frame["type"] == "revoke").count(), deaths.len());
    assert_eq!(kept.len(), deaths.len());
}

#[tokio::test]
async fn what_is_to_be_tried_again_is_not_once_it_is_withdrawn() {
    let stack = &an_eager_stack().await;
    stack.register("anne", "phone", "fcm", "anne:registered-with-google").await;
    let unavailable = json!({"errors": [{"first": 1, "status": 503, "reason": "UNAVAILABLE"}]});
    stack.local(Method::PUT, "vendors/fcm", Some(unavailable)).await;
    // The vendor had no time, and the process dies before it enqueues the next try.
    kill(stack, ("deliver-fcm", "sqs", "SendMessage", 1, "before")).await;
    let sent = good(stack, BROADCAST, &broadcast("oops")).await["messageUID"].clone();
    until_dead(stack, 1).await;
    good(stack, RECALL, &recall(&sent)).await;
    come_to_rest(stack, "a try that was not enqueued").await;
    // The next try waits for its window, which a clock that jumps would miss again and again.
    let account = async || stack.account(sent.as_str().unwrap()).await[&Channel::Fcm].clone();
    stack.until("the next try is made", async || account().await.pending == 0).await;

    assert_eq!((stack.deliveries("fcm").await.len(), stack.delivered("fcm").await.len()), (1, 0));
    let account = account().await;
    assert_eq!((account.targeted, account.settled.expired), (1, 1), "{account:?}");
}

#[tokio::test]
async fn who_is_addressed_again_is_not_sent_what_was_withdrawn_meanwhile() {
    let stack = &an_eager_stack().await;
    stack.register("anne", "phone", "fcm", "anne:registered-with-google").await;
    // What a lost `$disconnect` leaves behind: a connection in the contact that is no more.
    let (client, tables) = stack.store().await;
    let app = AppId::try_from(SDK_APP_ID.to_string()).unwrap();
    let users = UserStore::new(client.clone(), &tables.audience);
    let anne = users.get(&app, &["anne".try_into().unwrap()]).await.unwrap().into_values().next().unwrap();
    let contacts = ContactStore::new(client, &tables.audience);
    contacts.connect(&app, &anne, &"vanished=".try_into().unwrap(), &"phone".try_into().unwrap()).await.unwrap();
    // The push's shard, her socket's batch, and then that of her phone: the process dies before it is enqueued.
    kill(stack, ("fan-out", "sqs", "SendMessage", 3, "before")).await;
    let sent = good(stack, BROADCAST, &broadcast("oops")).await["messageUID"].clone();
    until_dead(stack, 3).await;
    good(stack, RECALL, &recall(&sent)).await;
    come_to_rest(stack, "an addressing that was not done").await;

    assert_eq!(stack.deliveries("fcm").await.len(), 0);
    let account = &stack.account(sent.as_str().unwrap()).await;
    assert!(account.values().all(|account| (account.pending, account.settled.delivered) == (0, 0)), "{account:?}");
    assert_eq!(account[&Channel::Fcm].settled.expired, 1, "{account:?}");
    let missed = stack.socket("anne", "phone").await.sync().await;
    assert_eq!(missed.iter().map(|frame| &frame["type"]).collect::<Vec<_>>(), ["revoke"]);
}

/// Calls, has a process die of it, repeats the call, and waits for all that follows: the answer.
async fn survive(stack: &Stack, death: Death, path: &str, body: &str) -> Value {
    kill(stack, death).await;
    let (status, _) = raw(stack, path, body).await;
    assert_eq!(status >= 500, death.0 == "push-intake", "{death:?}: {status}");
    until_dead(stack, death.3).await;
    let answer = good(stack, path, body).await;
    come_to_rest(stack, &format!("{death:?}")).await;
    answer
}

async fn kill(stack: &Stack, (function, service, operation, nth, when): Death) {
    let rule = json!({"function": function, "service": service, "operation": operation, "nth": nth, "when": when});
    stack.local(Method::PUT, "faults", Some(json!({"kill": [rule]}))).await;
}

async fn until_dead(stack: &Stack, nth: u64) {
    let calls = async || stack.local(Method::GET, "faults", None).await["kill"][0]["calls"].as_u64();
    stack.until("it comes to that", async || calls().await >= Some(nth)).await;
    stack.local(Method::PUT, "faults", Some(json!({}))).await;
}

fn broadcast(text: &str) -> String {
    support::form(&[("fromUserId", "u0"), ("objectName", "app:x"), ("content", text), ("pushContent", "look")])
}

fn recall(message: &Value) -> String {
    support::form(&[("fromUserId", "u0"), ("messageUID", message.as_str().unwrap())])
}

async fn good(stack: &Stack, path: &str, body: &str) -> Value {
    let (status, answer) = raw(stack, path, body).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// The status of the answer, and its body, which the gateway may have written.
async fn raw(stack: &Stack, path: &str, body: &str) -> (u16, Value) {
    stack.signed(path, body.to_owned(), "application/x-www-form-urlencoded").await
}

/// All that a socket was sent.
async fn hear_all(socket: &mut Socket) -> Vec<Value> {
    let mut heard = Vec::new();
    while let Some(frame) = socket.hear_within(Duration::from_millis(200)).await {
        heard.push(frame);
    }
    heard
}
