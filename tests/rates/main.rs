//! Rates are kept, and used, over any second and however many environments send. A program of its own, and one test at a
//! time: what is measured is time, and nothing else is to run beside it.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on ends there")]

use fanfare::domain::{App, AppId, Channel};
use fanfare::store::AppStore;
use serde_json::json;
use support::{SDK_APP_ID, Stack};

/// How many environments send at most.
const ENVIRONMENTS: &str = "8";
/// Devices of one user.
const DEVICES_PER_USER: u32 = 10;
const SECOND: i64 = 1_000;

/// One request a device, over HTTP/2; and many devices a request.
#[tokio::test(flavor = "multi_thread")]
async fn no_second_has_more_than_the_rate_and_nine_tenths_of_it_are_used() {
    for (channel, devices, rate) in [(Channel::Apns, 20_000, 2_000), (Channel::Huawei, 10_000, 2_000)] {
        let stack = Stack::start_with(env!("CARGO_BIN_EXE_stack"), &["--concurrency", ENVIRONMENTS]).await;
        set_rate(&stack, channel, rate).await;
        let token = |n: u32, device: u32| format!("{:064x}", n * DEVICES_PER_USER + device);
        let phone = |n, device| stack.phone(&format!("phone{device}"), channel, &token(n, device));
        stack.populate(devices / DEVICES_PER_USER, &[], |n| (0..DEVICES_PER_USER).map(|d| phone(n, d)).collect()).await;
        let push = json!({"MsgRandom": 1, "MsgLifeTime": 86_400, "MsgBody":
            [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "hello, everyone"}}]});
        stack.ok("all_member_push/im_push", push).await;
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

/// The demo app, allowed so many units a second.
async fn set_rate(stack: &Stack, channel: Channel, rate: u32) {
    let (client, tables) = stack.store().await;
    let apps = AppStore::new(client, tables.apps);
    let app = apps.get(&AppId::try_from(SDK_APP_ID.to_string()).unwrap()).await.unwrap().unwrap();
    let mut app: App = App::clone(&app);
    match channel {
        Channel::Apns => app.channels.apns.as_mut().unwrap().rate = Some(rate),
        Channel::Huawei => app.channels.huawei.as_mut().unwrap().rate = Some(rate),
        _ => unreachable!("no test is for it"),
    }
    apps.put(&app).await.unwrap();
}

fn most_in_a_second(times: &[i64]) -> usize {
    let in_the_second_from = |first: usize| times[first..].partition_point(|time| *time < times[first] + SECOND);
    (0..times.len()).map(in_the_second_from).max().unwrap_or(0)
}
