//! A channel of an app that does not work is stopped for the app: what is to go there waits, nothing is forgotten, and it
//! goes on by itself once what was wrong is set right.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use fanfare::domain::{App, AppName, Channel};
use fanfare::runtime::metrics::MetricName;
use fanfare::store::{Account, AppStore};
use futures::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::{ADMIN, SDK_APP_ID, Stack};

use crate::{KEY, a_stack, a_stack_of, app, sign, text, url};

/// An app beside the one that the stories are about.
const OTHER: u64 = 1_400_000_001;
/// Whose channels go wrong: one that names a device a request and signs its own proof, one with access tokens, and one that
/// names many devices.
const BAD: [Channel; 3] = [Channel::Apns, Channel::Fcm, Channel::Huawei];
/// What the vendors call a quota of the day that is used up, where it is the app's.
const QUOTAS: [(Channel, &str); 4] =
    [(Channel::Xiaomi, "200001"), (Channel::Oppo, "33"), (Channel::Vivo, "10070"), (Channel::Meizu, "110051")];
const WEEK: u32 = 604_800;

#[tokio::test]
async fn a_vendor_that_calls_every_token_bad_is_let_alone_until_it_does_no_more() {
    let stack = &two_apps_on_a_stack().await;
    furnish(stack, SDK_APP_ID, 0..40, &[&BAD[..], &[Channel::Xiaomi]].concat()).await;
    furnish(stack, OTHER, 100..103, &BAD).await;
    push(stack, SDK_APP_ID, 1, WEEK).await;
    stack.idle().await;
    for channel in BAD {
        assert_eq!(stack.delivered(channel.name()).await, tokens(channel, 0..40), "{channel}");
    }

    behave(stack, &BAD, json!({"all_tokens_bad": true})).await;
    let task = push(stack, SDK_APP_ID, 2, WEEK).await;
    for channel in BAD {
        is_stopped(stack, &task, channel, "every token is called invalid").await;
    }
    tried_again(stack, &BAD, 40).await;
    for channel in BAD {
        let account = of(stack, &task, channel).await;
        assert_eq!((account.targeted, account.pending, account.settled.total()), (40, 40, 0), "{channel}");
        assert_eq!(stack.counted(MetricName::Stopped, channel).await, 1, "{channel}: for one person to come, once");
        assert_eq!(stack.counted(MetricName::Forgotten, channel).await, 0, "{channel}");
    }
    assert_eq!(stack.delivered("xiaomi").await.len(), 80, "the app's other channels go on");

    // Wrong for the one app only: the same channels of the other go on, while those of the one are stopped still.
    for channel in BAD {
        behave(stack, &[channel], json!({"dead_tokens": tokens(channel, 0..40)})).await;
    }
    let of_other = push(stack, OTHER, 1, WEEK).await;
    for channel in BAD {
        reaches(stack, &of_other, channel, 3).await;
        let ours = of(stack, &task, channel).await;
        assert!(ours.stopped.is_some() && ours.pending == 40, "{channel}: {ours:?}");
        assert_eq!(of(stack, &of_other, channel).await.stopped, None, "{channel}");
    }
    set_right(stack, &task, 0..40, 2, 40 + 3).await;
    keep_their_devices(stack, 0..40, 4).await;
}

#[tokio::test]
async fn so_is_one_that_begins_with_it_however_small_the_app() {
    for users in [3, 7] {
        let stack = &two_apps_on_a_stack().await;
        furnish(stack, SDK_APP_ID, 0..users, &BAD).await;
        behave(stack, &BAD, json!({"all_tokens_bad": true})).await;
        let task = push(stack, SDK_APP_ID, 1, WEEK).await;
        for channel in BAD {
            is_stopped(stack, &task, channel, "every token is called invalid").await;
        }
        tried_again(stack, &BAD, users as usize).await;
        for channel in BAD {
            let account = of(stack, &task, channel).await;
            assert_eq!((account.pending, account.settled.total()), (users, 0), "{channel}");
        }
        set_right(stack, &task, 0..users, 1, users as usize).await;
        keep_their_devices(stack, 0..users, 3).await;
    }
}

#[tokio::test]
async fn credentials_that_are_refused_stop_their_channel_until_they_are_right() {
    let stack = &two_apps_on_a_stack().await;
    let right = settings(stack).await;
    let mut wrong = right.clone();
    wrong["channels"]["apns"]["team_id"] = "ANOTHERTEA".into();
    wrong["channels"]["huawei"]["client_secret"] = "of yesterday".into();
    set(stack, wrong).await;
    furnish(stack, SDK_APP_ID, 0..10, &BAD).await;

    let refused = [(Channel::Apns, "InvalidProviderToken"), (Channel::Huawei, "the app is refused")];
    let task = push(stack, SDK_APP_ID, 1, WEEK).await;
    for (channel, why) in refused {
        is_stopped(stack, &task, channel, why).await;
        is_stopped(stack, &task, channel, "the app is refused").await;
    }
    reaches(stack, &task, Channel::Fcm, 10).await;
    let second = push(stack, SDK_APP_ID, 2, WEEK).await;
    reaches(stack, &second, Channel::Fcm, 10).await;
    for (channel, _) in refused {
        for task in [&task, &second] {
            let account = of(stack, task, channel).await;
            assert_eq!((account.targeted, account.pending), (10, 10), "{channel}");
        }
        assert_eq!(stack.counted(MetricName::Stopped, channel).await, 1, "{channel}");
        assert_eq!(stack.delivered(channel.name()).await, [""; 0], "{channel}");
    }

    // A person comes, and nothing is started again.
    set(stack, right).await;
    for (channel, _) in refused {
        for task in [&task, &second] {
            reaches(stack, task, channel, 10).await;
            assert_eq!(of(stack, task, channel).await.stopped, None, "{channel}");
        }
        assert_eq!(stack.delivered(channel.name()).await, twice(&tokens(channel, 0..10)), "{channel}: once a push");
    }
    keep_their_devices(stack, 0..10, 3).await;
}

#[tokio::test]
async fn settings_that_cannot_be_read_stop_their_channel_and_nothing_else() {
    let stack = &a_stack().await;
    let right = settings(stack).await;
    let mut wrong = right.clone();
    wrong["channels"]["apns"]["rate"] = (-1).into();
    furnish(stack, SDK_APP_ID, 0..3, &[Channel::Apns, Channel::Huawei]).await;
    mistype(stack, &wrong).await;

    let task = push(stack, SDK_APP_ID, 1, WEEK).await;
    reaches(stack, &task, Channel::Huawei, 3).await;
    is_stopped(stack, &task, Channel::Apns, "the app is refused: `channels.apns.rate` cannot be read").await;
    assert_eq!(stack.counted(MetricName::Stopped, Channel::Apns).await, 1, "for a person to come");
    set(stack, right).await;
    reaches(stack, &task, Channel::Apns, 3).await;
}

#[tokio::test]
async fn what_outlives_its_push_while_the_channel_is_stopped_expires_and_says_why() {
    let stack = &two_apps_on_a_stack().await;
    furnish(stack, SDK_APP_ID, 0..6, &BAD).await;
    behave(stack, &BAD, json!({"all_tokens_bad": true})).await;
    let task = push(stack, SDK_APP_ID, 1, 600).await;
    for channel in BAD {
        is_stopped(stack, &task, channel, "every token is called invalid").await;
    }
    stack.idle().await;
    stack.advance(601).await;
    for channel in BAD {
        stack.until("it is over", async || of(stack, &task, channel).await.pending == 0).await;
        let account = of(stack, &task, channel).await;
        assert_eq!((account.settled.expired, account.settled.total()), (6, 6), "{channel}: {account:?}");
        let complaints: Vec<_> = account.complaints.iter().collect();
        assert_eq!(complaints, ["every token is called invalid"], "{channel}");
    }
    keep_their_devices(stack, 0..6, 3).await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_parks_what_lives_as_long_until_tomorrow() {
    let stack = &two_apps_on_a_stack().await;
    let channels = QUOTAS.map(|(channel, _)| channel);
    far_from_midnight(stack).await;
    furnish(stack, SDK_APP_ID, 0..5, &channels).await;
    // Delays are real time, and a day too long for a story.
    stack.local(Method::PUT, "queues", Some(json!({"longest_delay_seconds": 1}))).await;
    for (channel, code) in QUOTAS {
        behave(stack, &[channel], json!({"errors": [{"share": 1.0, "status": 200, "reason": code}]})).await;
    }
    let (long, short) = (push(stack, SDK_APP_ID, 1, 2 * 86_400).await, push(stack, SDK_APP_ID, 2, 600).await);
    for channel in channels {
        is_stopped(stack, &long, channel, "the quota of the day is used up").await;
        stack.until("it expires", async || of(stack, &short, channel).await.pending == 0).await;
        let account = of(stack, &short, channel).await;
        assert_eq!((account.settled.expired, account.targeted), (5, 5), "{channel}");
        assert!(account.complaints.contains("the quota of the day is used up"), "{channel}: {account:?}");
        assert_eq!(of(stack, &long, channel).await.pending, 5, "{channel}");
    }
    let asked = asked_of(stack, &channels).await;
    stack.advance(1_800).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(asked_of(stack, &channels).await, asked, "nobody is asked before");

    behave(stack, &channels, json!({})).await;
    stack.idle().await;
    stack.advance(until_tomorrow(stack)).await;
    for channel in channels {
        reaches(stack, &long, channel, 5).await;
        assert_eq!(stack.delivered(channel.name()).await, tokens(channel, 0..5), "{channel}");
        assert_eq!(stack.counted(MetricName::Stopped, channel).await, 0, "{channel}: nothing for a person to mend");
        assert_eq!(of(stack, &long, channel).await.stopped, None, "{channel}");
    }
}

#[tokio::test]
async fn a_device_that_has_had_its_share_of_the_day_waits_alone() {
    let stack = &two_apps_on_a_stack().await;
    far_from_midnight(stack).await;
    furnish(stack, SDK_APP_ID, 0..5, &[Channel::Meizu]).await;
    stack.local(Method::PUT, "queues", Some(json!({"longest_delay_seconds": 1}))).await;
    let full = tokens(Channel::Meizu, 0..1);
    let errors = json!({"errors": [{"tokens": full, "status": 200, "reason": "110011"}]});
    behave(stack, &[Channel::Meizu], errors).await;
    let (long, short) = (push(stack, SDK_APP_ID, 1, 86_400).await, push(stack, SDK_APP_ID, 2, 600).await);
    reaches(stack, &long, Channel::Meizu, 4).await;
    reaches(stack, &short, Channel::Meizu, 4).await;
    stack.idle().await;
    let (waits, over) = (of(stack, &long, Channel::Meizu).await, of(stack, &short, Channel::Meizu).await);
    assert_eq!((waits.pending, waits.stopped), (1, None));
    assert_eq!((over.pending, over.settled.expired), (0, 1));

    behave(stack, &[Channel::Meizu], json!({})).await;
    stack.advance(until_tomorrow(stack)).await;
    reaches(stack, &long, Channel::Meizu, 5).await;
    let twice_but_one = [&full, &*twice(&tokens(Channel::Meizu, 1..5))].concat();
    assert_eq!(stack.delivered("meizu").await, twice_but_one);
}

#[tokio::test]
async fn a_vendor_that_asks_for_time_gets_it_from_what_was_reserved_before_too() {
    let stack = &two_apps_on_a_stack().await;
    let mut slow = settings(stack).await;
    slow["channels"]["huawei"]["rate"] = 20.into();
    set(stack, slow).await;
    furnish(stack, SDK_APP_ID, 0..250, &[Channel::Huawei]).await;
    let wait = json!({"errors": [{"first": 1, "status": 503, "reason": "503", "retry_after": 8}]});
    behave(stack, &[Channel::Huawei], wait).await;
    let task = push(stack, SDK_APP_ID, 1, WEEK).await;
    reaches(stack, &task, Channel::Huawei, 250).await;
    assert_eq!(stack.delivered("huawei").await, tokens(Channel::Huawei, 0..250));
    let mut at: Vec<i64> = stack.deliveries("huawei").await.iter().map(|sent| sent["at"].as_i64().unwrap()).collect();
    at.sort_unstable();
    let after: Vec<i64> = at.iter().skip(1).map(|at_| at_ - at[0]).collect();
    assert_eq!(after.len(), 250, "one was refused, and all others taken");
    // What had left already when the answer came cannot be held.
    let too_early: Vec<&i64> = after.iter().filter(|millis| (300..8_000).contains(*millis)).collect();
    assert!(too_early.is_empty(), "{too_early:?}");
    assert!(after.iter().filter(|millis| **millis < 300).count() < 10, "{after:?}");
}

#[tokio::test]
async fn dead_devices_that_are_held_do_not_stop_their_channel_for_ever() {
    let stack = &a_stack().await;
    furnish(stack, SDK_APP_ID, 0..10, &[Channel::Huawei]).await;
    let dead = tokens(Channel::Huawei, 0..5);
    behave(stack, &[Channel::Huawei], json!({"dead_tokens": dead})).await;
    let to_the_dead = push_to(stack, 0..5).await;
    is_stopped(stack, &to_the_dead, Channel::Huawei, "every token is called invalid").await;
    let to_the_others = push_to(stack, 5..10).await;
    reaches(stack, &to_the_others, Channel::Huawei, 5).await;

    // It was not the channel, and so it was them.
    let of_the_dead = async || of(stack, &to_the_dead, Channel::Huawei).await;
    stack.until("it is over", async || of_the_dead().await.pending == 0).await;
    let account = of_the_dead().await;
    assert_eq!((account.settled.invalid, account.stopped.as_ref()), (5, None), "{account:?}");
    keep_their_devices(stack, 0..10, 1).await;
    assert_eq!(stack.counted(MetricName::Stopped, Channel::Huawei).await, 1);

    // Beside living ones their vendor is believed.
    let to_all = push(stack, SDK_APP_ID, 1, WEEK).await;
    reaches(stack, &to_all, Channel::Huawei, 5).await;
    stack.idle().await;
    keep_their_devices(stack, 0..5, 0).await;
    keep_their_devices(stack, 5..10, 1).await;
}

#[tokio::test]
async fn one_good_answer_does_not_make_a_vendor_be_believed_of_all_the_others() {
    let stack = &a_stack().await;
    furnish(stack, SDK_APP_ID, 0..90, &[Channel::Huawei]).await;
    behave(stack, &[Channel::Huawei], json!({"dead_tokens": tokens(Channel::Huawei, 1..90)})).await;
    let task = push(stack, SDK_APP_ID, 1, WEEK).await;
    reaches(stack, &task, Channel::Huawei, 1).await;
    stack.idle().await;
    let account = of(stack, &task, Channel::Huawei).await;
    assert_eq!((account.settled.invalid, account.stopped.as_ref()), (89, None), "{account:?}");
    keep_their_devices(stack, 0..90, 1).await;
    assert_eq!(stack.counted(MetricName::Doubted, Channel::Huawei).await, 89);
    assert_eq!(stack.counted(MetricName::Forgotten, Channel::Huawei).await, 0);
}

/// A stack with an app whose channels go wrong, and another one with the same vendors.
async fn two_apps_on_a_stack() -> Stack {
    let furnished = |sdk_app_id| {
        let mut app = app(sdk_app_id, json!({}), json!({"push_interval_ms": 0}));
        app["channels"] = "sandbox".into();
        app
    };
    a_stack_of(&[furnished(SDK_APP_ID), furnished(OTHER)]).await
}

/// Users with a device on each of the channels.
async fn furnish(stack: &Stack, sdk_app_id: u64, users: Range<u32>, channels: &[Channel]) {
    let http = &Client::new();
    let pairs = users.flat_map(|user| channels.iter().map(move |channel| (user, *channel)));
    let registrations = pairs.map(|(user, channel)| async move {
        let platform = if channel == Channel::Apns { "ios" } else { "android" };
        let body = json!({"platform": platform, "channel": channel.name(), "token": token(channel, user),
            "package": "com.example.app"});
        let proof = sign(sdk_app_id, KEY, &name(user), stack.now());
        let put = http.put(format!("{}/v1/devices/{channel}", stack.base())).bearer_auth(proof).json(&body);
        assert_eq!(put.send().await.unwrap().status(), 200, "{channel} of {user}");
    });
    let registrations: Vec<_> = registrations.collect();
    let mut registrations = registrations.into_iter();
    loop {
        let some: Vec<_> = registrations.by_ref().take(20).collect();
        if some.is_empty() {
            return;
        }
        join_all(some).await;
    }
}

fn name(user: u32) -> String {
    format!("user{user:03}")
}

/// Unlike anyone else's, and in the order of the users.
fn token(channel: Channel, user: u32) -> String {
    match channel {
        Channel::Apns => format!("{user:064x}"),
        _ => format!("{channel}-token-of-the-user-{user:03}"),
    }
}

fn tokens(channel: Channel, users: Range<u32>) -> Vec<String> {
    users.map(|user| token(channel, user)).collect()
}

fn twice(tokens: &[String]) -> Vec<String> {
    tokens.iter().flat_map(|token| [token.clone(), token.clone()]).collect()
}

/// A push to everyone of an app.
async fn push(stack: &Stack, sdk_app_id: u64, random: u32, lifetime_secs: u32) -> String {
    let body = json!({"MsgRandom": random, "MsgLifeTime": lifetime_secs, "MsgBody": text("hi")});
    let proof = sign(sdk_app_id, KEY, ADMIN, stack.now());
    let url = url(stack, "all_member_push/im_push", sdk_app_id, ADMIN, &proof);
    let answer = stack.post(&url, body.to_string()).await;
    answer["TaskId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// A push to users of the demo app.
async fn push_to(stack: &Stack, users: Range<u32>) -> String {
    let users: Vec<String> = users.map(name).collect();
    let body = json!({"userIds": users, "notification": {"title": "Title", "pushContent": "Content"}});
    let (status, answer) = stack.signed_json("/push/user.json", &body).await;
    assert_eq!(status, 200, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn behave(stack: &Stack, channels: &[Channel], behaviour: Value) {
    for channel in channels {
        stack.local(Method::PUT, &format!("vendors/{channel}"), Some(behaviour.clone())).await;
    }
}

/// What came of a push on a channel.
async fn of(stack: &Stack, task: &str, channel: Channel) -> Account {
    stack.account(task).await.remove(&channel).unwrap_or_default()
}

async fn is_stopped(stack: &Stack, task: &str, channel: Channel, why: &str) {
    let says_why = async || of(stack, task, channel).await.stopped.is_some_and(|stopped| stopped.why.contains(why));
    stack.until(&format!("{channel} is stopped: {why}"), says_why).await;
}

async fn reaches(stack: &Stack, task: &str, channel: Channel, devices: u32) {
    let reached = async || of(stack, task, channel).await.settled.delivered == devices;
    stack.until(&format!("{channel} takes {devices}"), reached).await;
}

/// Waits until vendors have refused so many devices more than once.
async fn tried_again(stack: &Stack, channels: &[Channel], devices: usize) {
    for channel in channels {
        let refused = async || {
            let all = stack.deliveries(channel.name()).await;
            all.iter().filter(|delivery| delivery["accepted"] == false).count()
        };
        stack.until("it is tried again", async || refused().await > devices).await;
    }
}

/// What was asked of vendors in all.
async fn asked_of(stack: &Stack, channels: &[Channel]) -> Vec<usize> {
    let mut asked = Vec::new();
    for channel in channels {
        asked.push(stack.deliveries(channel.name()).await.len());
    }
    asked
}

/// Sets the vendors right: the push reaches each of its users once, so that each has had so many, and the vendors took
/// so many in all.
async fn set_right(stack: &Stack, task: &str, users: Range<u32>, each: usize, last: usize) {
    behave(stack, &BAD, json!({})).await;
    for channel in BAD {
        reaches(stack, task, channel, users.len() as u32).await;
    }
    stack.idle().await;
    for channel in BAD {
        let account = of(stack, task, channel).await;
        assert_eq!((account.pending, account.settled.total(), account.stopped), (0, users.len() as u32, None));
        let delivered = stack.delivered(channel.name()).await;
        for user in users.clone() {
            let token = token(channel, user);
            assert_eq!(delivered.iter().filter(|one| **one == token).count(), each, "{channel}: {token}");
        }
        assert_eq!(delivered.len(), (each - 1) * users.len() + last, "{channel}");
    }
}

/// The users have so many devices each.
async fn keep_their_devices(stack: &Stack, users: Range<u32>, each: usize) {
    for user in users {
        let (_, listed) = stack.as_user(&name(user), Method::GET, "/v1/devices", None).await;
        assert_eq!(listed["devices"].as_array().map(Vec::len), Some(each), "{user}: {listed}");
    }
}

/// The app, as its item has it.
async fn settings(stack: &Stack) -> Value {
    let (client, tables) = stack.store().await;
    let app = AppStore::new(client, tables.apps).by_name(&AppName::SdkAppId(SDK_APP_ID)).await.unwrap().unwrap();
    serde_json::to_value(&*app).unwrap()
}

/// What an operator does.
async fn set(stack: &Stack, settings: Value) {
    let (client, tables) = stack.store().await;
    let app: App = serde_json::from_value(settings).unwrap();
    AppStore::new(client, tables.apps).put(&app).await.unwrap();
}

/// What an operator does whom nothing keeps from a mistake. Waits until it is seen by all functions, which is ten seconds.
async fn mistype(stack: &Stack, settings: &Value) {
    let (client, tables) = stack.store().await;
    for mut item in client.scan().table_name(&tables.apps).send().await.unwrap().items.unwrap() {
        item.insert("app".to_owned(), AttributeValue::S(settings.to_string()));
        client.put_item().table_name(&tables.apps).set_item(Some(item)).send().await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(11)).await;
}

/// The vendors' days begin at midnight in China.
fn until_tomorrow(stack: &Stack) -> i64 {
    let day = 86_400;
    day - (stack.now() + 8 * 3_600) % day + 62
}

/// A story that needs a day's rest does not begin in its last hours.
async fn far_from_midnight(stack: &Stack) {
    if until_tomorrow(stack) < 4 * 3_600 {
        stack.advance(4 * 3_600).await;
    }
}
