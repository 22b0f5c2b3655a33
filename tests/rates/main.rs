//! Rates are kept, and used, over any second and however many environments send. A program of its own, and one test at a
//! time: what is measured is time, and nothing else is to run beside it.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends there")]

use std::time::Duration;

use fanfare::domain::{App, AppId, Channel};
use fanfare::store::AppStore;
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;
use support::{SDK_APP_ID, Socket, Stack};
use tokio::sync::Mutex;

/// How many environments send at most.
const ENVIRONMENTS: &str = "8";
/// Devices of one user.
const DEVICES_PER_USER: u32 = 10;
const SECOND: i64 = 1_000;

/// One test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// One request a device; and many devices a request, to a vendor that takes its time to answer.
#[tokio::test(flavor = "multi_thread")]
async fn no_second_has_more_than_the_rate_and_nine_tenths_of_it_are_used() {
    let _alone = ALONE.lock().await;
    for (channel, devices, rate, latency) in [(Channel::Apns, 20_000, 2_000, 0), (Channel::Huawei, 10_000, 2_000, 200)]
    {
        let stack = Stack::start_with(env!("CARGO_BIN_EXE_stack"), &["--concurrency", ENVIRONMENTS]).await;
        set_rate(&stack, channel, rate).await;
        stack.local(Method::PUT, &format!("vendors/{channel}"), Some(json!({"latency_ms": latency}))).await;
        let token = |n: u32, device: u32| format!("{:064x}", n * DEVICES_PER_USER + device);
        let phone = |n, device| stack.phone(&format!("phone{device}"), channel, &token(n, device));
        stack.populate(devices / DEVICES_PER_USER, &[], |n| (0..DEVICES_PER_USER).map(|d| phone(n, d)).collect()).await;
        push_to_everyone(&stack, 1).await;
        stack.idle().await;

        let deliveries = stack.deliveries(channel.name()).await;
        let accepted = deliveries.iter().filter(|delivery| delivery["accepted"] == true);
        let mut times: Vec<i64> = accepted.map(|delivery| delivery["at"].as_i64().unwrap()).collect();
        times.sort_unstable();
        assert_eq!(times.len(), devices as usize, "{channel}");
        let most = most_in_a_second(&times);
        let length = times[times.len() - 1] - times[0];
        let used = i64::from(devices) * SECOND / length;
        eprintln!("{channel}: {most} in the fullest second and {used} a second on average, of {rate}");
        assert!(most <= rate as usize, "{channel}: {most} in a second");
        assert!(used >= i64::from(rate) * 9 / 10, "{channel}: {used} a second");
    }
}

/// Environments that are new have no connections yet, and each of many small pushes is a batch of its own.
#[tokio::test(flavor = "multi_thread")]
async fn no_second_has_more_than_the_rate_while_connections_are_new() {
    const PUSHES: u32 = 50;
    const RATE: u32 = 10;
    let _alone = ALONE.lock().await;
    let stack = Stack::start_with(env!("CARGO_BIN_EXE_stack"), &["--concurrency", ENVIRONMENTS]).await;
    set_rate(&stack, Channel::Meizu, RATE).await;
    let phone = |n| stack.phone("phone", Channel::Meizu, &format!("{n:032x}"));
    stack.populate(PUSHES, &[], |n| vec![phone(n)]).await;
    let push = async |n: u32| {
        // An app may call so thirty times a second.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let push = json!({"To_Account": [format!("user{n:07}")], "MsgRandom": n, "MsgLifeTime": 3_600,
            "OfflinePushInfo": {"Title": "hello", "Desc": "to you"}});
        stack.ok("timpush/batch", push).await;
    };
    stream::iter(0..PUSHES).map(push).buffer_unordered(2).collect::<()>().await;
    stack.idle().await;

    let deliveries = stack.deliveries("meizu").await;
    let mut times: Vec<i64> = deliveries.iter().map(|delivery| delivery["at"].as_i64().unwrap()).collect();
    times.sort_unstable();
    let most = most_in_a_second(&times);
    eprintln!("meizu: {most} in the fullest second, of {RATE}");
    assert_eq!(times.len(), PUSHES as usize, "each is sent once");
    // One that this machine lets arrive half a turn late is one too many in its second. Handshakes were four.
    assert!(most <= RATE as usize + 1, "{most} in a second");
}

/// Sockets of all apps share what the installation is set to, and several pushes do.
#[tokio::test(flavor = "multi_thread")]
async fn no_second_has_more_posts_to_sockets_than_the_installation_is_set_to() {
    const USERS: u32 = 25;
    const SOCKETS_PER_USER: u32 = 8;
    const PUSHES: u32 = 3;
    const RATE: i64 = 100;
    let _alone = ALONE.lock().await;
    let rate = format!("SocketPostsPerSecond={RATE}");
    let arguments = ["--concurrency", ENVIRONMENTS, "--parameter", &rate];
    let stack = Stack::start_with(env!("CARGO_BIN_EXE_stack"), &arguments).await;
    stack.populate(USERS, &[], |_| Vec::new()).await;
    let open = async |n: u32| {
        stack.socket(&format!("user{:07}", n / SOCKETS_PER_USER), &format!("desk{}", n % SOCKETS_PER_USER)).await
    };
    let sockets = stream::iter(0..USERS * SOCKETS_PER_USER).map(open).buffer_unordered(8);
    let mut sockets: Vec<Socket> = sockets.collect().await;
    stack.idle().await;
    let before = stack.local(Method::GET, "posts", None).await.as_array().unwrap().len();

    for number in 0..PUSHES {
        push_to_everyone(&stack, number).await;
        // An app may push once a second. Each takes two, so that they overlap.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    for socket in &mut sockets {
        let mut heard = Vec::new();
        for _ in 0..PUSHES {
            heard.push(socket.hear_within(Duration::from_secs(60)).await.unwrap()["seq"].as_i64().unwrap());
        }
        heard.sort_unstable();
        assert_eq!(heard, [1, 2, 3], "each push, once");
    }
    stack.idle().await;
    let posts = stack.local(Method::GET, "posts", None).await;
    let times: Vec<i64> = posts.as_array().unwrap()[before..].iter().map(|at| at.as_i64().unwrap()).collect();
    let most = most_in_a_second(&times);
    let (count, length) = (times.len() as i64, times[times.len() - 1] - times[0]);
    eprintln!("ws: {most} in the fullest second and {} a second on average, of {RATE}", count * SECOND / length);
    assert_eq!(count, i64::from(USERS * SOCKETS_PER_USER * PUSHES), "none was posted twice");
    assert!(most as i64 <= RATE, "{most} in a second");
    // Three batches that know nothing of each other, and come out of their queue by whole seconds.
    assert!(count * SECOND / length >= RATE / 2, "{length} ms");
}

async fn push_to_everyone(stack: &Stack, random: u32) {
    let push = json!({"MsgRandom": random, "MsgLifeTime": 86_400, "MsgBody":
        [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "hello, everyone"}}]});
    stack.ok("all_member_push/im_push", push).await;
}

/// The demo app, allowed so many units a second.
async fn set_rate(stack: &Stack, channel: Channel, rate: u32) {
    let (client, tables) = stack.store().await;
    let apps = AppStore::new(client, tables.apps);
    let app = apps.get(&AppId::try_from(SDK_APP_ID.to_string()).unwrap()).await.unwrap().unwrap();
    let mut app: App = App::clone(&app);
    match channel {
        Channel::Apns => app.channels.apns.as_mut().unwrap().rate = Some(rate),
        Channel::Huawei => app.channels.huawei.as_mut().unwrap().rate = Some(rate),
        Channel::Meizu => app.channels.meizu.as_mut().unwrap().rate = Some(rate),
        _ => unreachable!("no test is for it"),
    }
    apps.put(&app).await.unwrap();
}

fn most_in_a_second(times: &[i64]) -> usize {
    let in_the_second_from = |first: usize| times[first..].partition_point(|time| *time < times[first] + SECOND);
    (0..times.len()).map(in_the_second_from).max().unwrap_or(0)
}
