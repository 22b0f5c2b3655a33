//! A table is played: every row, or a row of rows where the vendor answers each device by itself, is an app with a push of
//! its own, so that a channel which stops or slows down is that row's alone.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfare::dialect::tencent::task_id::push_id_of;
use fanfare::domain::{App, AppName, Channel, PushId, Timestamp};
use fanfare::runtime::metrics::MetricName;
use fanfare::store::{Account, AccountStore, AppStore, LedgerStore, PushStore, RestStore, SnapshotStore};
use futures::{StreamExt, stream};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::{ADMIN, SDK_APP_ID, Stack};

use super::row::{Meaning, Row, Said};
use super::tables::Table;
use crate::{KEY, a_stack, sign, text, url};

/// Apps that are furnished side by side.
const AT_ONCE: usize = 4;
/// Long enough for the retries of days.
const LIFETIME_SECS: u32 = 500_000;
/// Queues delay no longer than this, in seconds, so that what waits is seen soon after the clock has moved.
const LONGEST_DELAY_SECS: u64 = 2;
/// How much later than it is due something may come, on machines that are busy.
const LATE_MILLIS: i64 = 12_000;
const DAY_MILLIS: i64 = 86_400_000;
/// Vendors' days are China's.
const CHINA_MILLIS: i64 = 8 * 3_600_000;

/// An app, and the rows that its push is for.
struct Case {
    id: String,
    sdk_app_id: u64,
    devices: Vec<Device>,
}

/// A user's only device.
struct Device {
    user: String,
    token: String,
    /// What the vendor has against it, if anything.
    row: Option<Row>,
}

/// A request for a device: when, in milliseconds, and whether it was taken.
type Request = (i64, bool);

/// A stack, and what it takes to look into it more than once.
pub(super) struct Theatre {
    stack: Stack,
    http: Client,
    apps: AppStore,
    pushes: PushStore,
    accounts: AccountStore,
    /// The demo app, as the others are to be.
    demo: Value,
}

impl Theatre {
    pub(super) async fn open() -> Self {
        let stack = a_stack().await;
        let haste = json!({"longest_delay_seconds": LONGEST_DELAY_SECS});
        stack.local(Method::PUT, "queues", Some(haste)).await;
        let (client, tables) = stack.store().await;
        let apps = AppStore::new(client.clone(), tables.apps);
        let demo = apps.by_name(&AppName::SdkAppId(SDK_APP_ID)).await.unwrap().unwrap();
        let mut demo = serde_json::to_value(&*demo).unwrap();
        demo.as_object_mut().unwrap().remove("rongcloud");
        let accounts = AccountStore::new(
            LedgerStore::new(client.clone(), &tables.pushes),
            SnapshotStore::new(client.clone(), &tables.pushes),
            RestStore::new(client.clone(), &tables.pushes),
        );
        let pushes = PushStore::new(client, &tables.pushes);
        Self { stack, http: Client::new(), apps, pushes, accounts, demo }
    }

    /// Waits until nothing is pending of the pushes of some cases.
    async fn all_end(&self, cases: &[Case], pushes: &[PushId], channel: Channel, meant: impl Fn(&Case) -> bool) {
        for (case, push) in cases.iter().zip(pushes).filter(|(case, _)| meant(case)) {
            let what = format!("{} ends", case.devices[0].name());
            self.stack.until(&what, async || self.account(*push, channel).await.pending == 0).await;
        }
    }

    async fn account(&self, push: PushId, channel: Channel) -> Account {
        let push = self.pushes.get(push).await.unwrap().unwrap();
        let now = Timestamp::from_secs(self.stack.now());
        self.accounts
            .of(&push, now)
            .await
            .unwrap()
            .channels
            .remove(&channel)
            .unwrap_or_else(|| panic!("{push:?} has no account"))
    }
}

/// Plays all rows of a table.
pub(super) async fn play(theatre: &Theatre, table: &Table) {
    let (stack, channel) = (&theatre.stack, table.channel);
    let cases = cases(stack, table).await;
    let before = counts(stack, channel).await;
    let made = stream::iter(&cases).map(|case| furnish(theatre, channel, case)).buffer_unordered(AT_ONCE);
    made.collect::<()>().await;

    behave(stack, channel, &cases, |_| true).await;
    let mut pushes = Vec::new();
    for case in &cases {
        pushes.push(push(theatre, case).await);
        if channel == Channel::Vivo {
            // An app may ask vivo for ten access tokens a second, and all of these are one app to it.
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }
    let all_tried = async || {
        let all = all_requests(stack, channel).await;
        cases.iter().flat_map(|case| &case.devices).all(|device| all.contains_key(&device.token))
    };
    stack.until("all are sent to", all_tried).await;
    for (case, push) in cases.iter().zip(&pushes) {
        if case.stops() {
            let is_stopped = async || theatre.account(*push, channel).await.stopped.is_some();
            stack.until("the channel is stopped", is_stopped).await;
        }
        assert_stopped(channel, case, &theatre.account(*push, channel).await);
    }

    // What a person would mend is mended; vendors come to themselves on their own.
    behave(stack, channel, &[], |_| true).await;
    let waits =
        |case: &Case, meant: fn(&Option<u64>) -> bool| case.rows().flat_map(|row| row.waits()).any(|wait| meant(&wait));
    let (long, tomorrow) = (|wait: &Option<u64>| wait.is_some_and(|secs| secs > 30), Option::is_none);
    // The longest waits last, and the clock moves when there is nothing else to wait for.
    theatre.all_end(&cases, &pushes, channel, |case| !waits(case, long) && !waits(case, tomorrow)).await;
    for (meant, secs) in [(long as fn(&Option<u64>) -> bool, 60), (tomorrow, DAY_MILLIS / 1_000)] {
        if cases.iter().any(|case| waits(case, meant)) {
            stack.nothing_runs().await;
            stack.advance(secs).await;
            theatre.all_end(&cases, &pushes, channel, |case| waits(case, meant)).await;
        }
    }

    let all = all_requests(stack, channel).await;
    for (case, push) in cases.iter().zip(&pushes) {
        assert_account(channel, case, &theatre.account(*push, channel).await);
        for device in &case.devices {
            assert_requests(channel, device, &all[&device.token]);
        }
    }
    let listed = stream::iter(cases.iter().flat_map(|case| case.devices.iter().map(move |device| (case, device))));
    listed.for_each_concurrent(AT_ONCE, |(case, device)| assert_fate(theatre, case, device)).await;
    assert_told(stack, channel, &cases).await;
    assert_counts(stack, channel, &cases, &before).await;
    behave(stack, channel, &[], |_| true).await;
}

/// One case for all devices that a vendor answers one by one, of which none slows the others down; one a row for the rest.
async fn cases(stack: &Stack, table: &Table) -> Vec<Case> {
    let each_by_itself = matches!(table.channel, Channel::Apns | Channel::Fcm | Channel::Webpush);
    let (together, alone): (Vec<Row>, Vec<Row>) = table.rows.iter().partition(|row| {
        let is_of_one = matches!(row.said, Said::OfOne | Said::Dead | Said::Malformed);
        each_by_itself && is_of_one && row.retry_after.is_none()
    });
    let mut cases = Vec::new();
    if !together.is_empty() {
        // A verdict of invalidity is believed where as many devices live.
        let healthy = together.iter().filter(|row| row.meaning == Meaning::Gone).count();
        let rows = together.into_iter().map(Some).chain(vec![None; healthy]).collect();
        cases.push(case(stack, table.channel, 0, rows).await);
    }
    for row in alone {
        let rows = match row.said {
            Said::OfOne | Said::Dead | Said::Malformed => vec![Some(row), None],
            Said::OfAll if each_by_itself => vec![Some(row)],
            Said::OfAll | Said::AllDead => vec![Some(row); 2],
        };
        let number = cases.len();
        cases.push(case(stack, table.channel, number, rows).await);
    }
    cases
}

async fn case(stack: &Stack, channel: Channel, number: usize, rows: Vec<Option<Row>>) -> Case {
    let place = Channel::ALL.iter().position(|other| *other == channel).unwrap();
    let mut devices = Vec::new();
    for (n, row) in rows.into_iter().enumerate() {
        let user = format!("{channel}-{number}-{n}");
        let token = token(stack, channel, number * 1_000 + n, row.is_some_and(|row| row.said == Said::Malformed)).await;
        devices.push(Device { user, token, row });
    }
    Case { id: format!("{channel}-{number}"), sdk_app_id: (10_000 + place * 1_000 + number) as u64, devices }
}

/// A device token, in the spelling in which it is kept.
async fn token(stack: &Stack, channel: Channel, n: usize, malformed: bool) -> String {
    match channel {
        Channel::Apns => format!("{n:064}"),
        Channel::Webpush => {
            let path = format!("vendors/webpush/subscriptions/browser{n}");
            let mut subscription = stack.local(Method::GET, &path, None).await;
            subscription.as_object_mut().unwrap().remove("expirationTime");
            subscription.to_string()
        }
        _ if malformed => format!("a.token.of.nobody.{n:08}"),
        _ => format!("registration-token-{n:08}"),
    }
}

impl Case {
    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.devices.iter().filter_map(|device| device.row.as_ref())
    }

    /// Whether the vendor stops the app's channel.
    fn stops(&self) -> bool {
        self.rows().any(|row| row.meaning.stops())
    }
}

impl Device {
    /// How the row is called in what a failure says.
    fn name(&self) -> String {
        match self.row {
            Some(row) => format!("{} {:?}", self.user, row),
            None => format!("{}, beside others", self.user),
        }
    }
}

/// An app with the credentials of the demo app, and its users with their devices.
async fn furnish(theatre: &Theatre, channel: Channel, case: &Case) {
    let mut app = theatre.demo.clone();
    app["id"] = case.id.as_str().into();
    app["tencent"] = json!({"sdk_app_id": case.sdk_app_id, "secret_key": KEY, "admins": [ADMIN]});
    app["quotas"] = json!({"push_interval_ms": 0});
    let server = format!("{}/_local/webhook/{channel}", theatre.stack.base());
    app["webhook"] = json!({"url": server, "events": ["push"], "allow_private": true});
    theatre.apps.put(&serde_json::from_value::<App>(app).unwrap()).await.unwrap();
    for device in &case.devices {
        let platform = match channel {
            Channel::Apns => "ios",
            Channel::Harmony => "harmony",
            Channel::Webpush => "web",
            _ => "android",
        };
        let body = json!({"platform": platform, "channel": channel.name(), "token": device.token,
            "package": "com.example.app", "language": "en"});
        let (status, answer) = devices(theatre, case, device, Method::PUT, "/phone", Some(body)).await;
        assert_eq!(status, 200, "{}: {answer}", device.name());
    }
}

/// A call of a user's device.
async fn devices(
    theatre: &Theatre,
    case: &Case,
    device: &Device,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let user_sig = sign(case.sdk_app_id, KEY, &device.user, theatre.stack.now());
    let url = format!("{}/v1/devices{path}", theatre.stack.base());
    let request = theatre.http.request(method, url).bearer_auth(user_sig);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

/// One push to all of an app.
async fn push(theatre: &Theatre, case: &Case) -> PushId {
    let (stack, number) = (&theatre.stack, case.sdk_app_id);
    let url = url(stack, "all_member_push/im_push", number, ADMIN, &sign(number, KEY, ADMIN, stack.now()));
    let push = json!({"MsgRandom": 1, "MsgLifeTime": LIFETIME_SECS, "MsgBody": text("hi")});
    let answer = stack.post(&url, push.to_string()).await;
    assert_eq!(answer["ErrorCode"], 0, "{answer}");
    push_id_of(answer["TaskId"].as_str().unwrap()).unwrap().1
}

/// Has the vendor answer as the rows say: those that are meant.
async fn behave(stack: &Stack, channel: Channel, cases: &[Case], is_meant: impl Fn(Meaning) -> bool) {
    let (mut errors, mut dead) = (Vec::new(), Vec::new());
    for case in cases {
        let mut tokens: BTreeMap<usize, (Row, Vec<&str>)> = BTreeMap::new();
        for (n, device) in case.devices.iter().enumerate() {
            match device.row {
                Some(row) if !is_meant(row.meaning) => {}
                Some(Row { said: Said::Dead | Said::AllDead, .. }) => dead.push(device.token.as_str()),
                // Those of a request share its error.
                Some(row @ Row { said: Said::OfAll, .. }) => {
                    tokens.entry(usize::MAX).or_insert((row, vec![])).1.push(&device.token);
                }
                Some(row @ Row { said: Said::OfOne, .. }) => {
                    tokens.insert(n, (row, vec![&device.token]));
                }
                Some(Row { said: Said::Malformed, .. }) | None => {}
            }
        }
        errors.extend(tokens.into_values().map(|(row, tokens)| {
            let mut error = json!({"tokens": tokens, "status": row.status, "reason": row.reason,
                "retry_after": row.retry_after, "whole": row.said == Said::OfAll});
            if !row.meaning.stops() {
                error["first"] = 1.into();
            }
            error
        }));
    }
    let behaviour = json!({"errors": errors, "dead_tokens": dead});
    stack.local(Method::PUT, &format!("vendors/{channel}"), Some(behaviour)).await;
}

/// What the vendor was sent, by device.
async fn all_requests(stack: &Stack, channel: Channel) -> BTreeMap<String, Vec<Request>> {
    let mut all: BTreeMap<String, Vec<Request>> = BTreeMap::new();
    for delivery in stack.deliveries(channel.name()).await {
        let request = (delivery["at"].as_i64().unwrap(), delivery["accepted"] == true);
        all.entry(delivery["token"].as_str().unwrap().to_owned()).or_default().push(request);
    }
    all
}

/// The account says that a channel is stopped, and why, while everything waits.
fn assert_stopped(channel: Channel, case: &Case, account: &Account) {
    let Some(row) = case.rows().next().filter(|_| case.stops()) else {
        assert_eq!(account.stopped, None, "{}: {account:?}", case.devices[0].name());
        return;
    };
    let name = case.devices[0].name();
    assert_eq!(account.pending as usize, case.devices.len(), "{name}: {account:?}");
    let stopped = account.stopped.as_ref().unwrap_or_else(|| panic!("{name}: {account:?}"));
    if row.meaning == Meaning::Quota {
        assert_eq!(stopped.why, "the quota of the day is used up", "{name}");
        assert_eq!(stopped.until.millis(), tomorrow(stopped.since.millis()), "{name}");
    } else {
        let why = format!("the app is refused: {}", complaint(channel, row));
        assert_eq!(stopped.why, if is_of_tokens(channel, row) { "the app is refused" } else { &why }, "{name}");
    }
}

/// Whether tokens stand in the answer, each for its own reason: then there is none for the request.
fn is_of_tokens(channel: Channel, row: &Row) -> bool {
    let is_word = row.reason.bytes().any(|byte| byte.is_ascii_alphabetic());
    matches!(channel, Channel::Harmony | Channel::Honor) && is_word || channel == Channel::Vivo && row.reason == "10302"
}

/// The status, and the vendor's word; push services have words of their own, which say nothing.
fn complaint(channel: Channel, row: &Row) -> String {
    let word = if channel == Channel::Webpush || row.reason.is_empty() { "?" } else { row.reason };
    format!("{} {word}", row.status)
}

/// A minute after the next midnight in China.
fn tomorrow(at: i64) -> i64 {
    let local = at + CHINA_MILLIS;
    (local.div_euclid(DAY_MILLIS) + 1) * DAY_MILLIS - CHINA_MILLIS + 60_000
}

/// In the end every device is in its column.
fn assert_account(channel: Channel, case: &Case, account: &Account) {
    let name = case.devices[0].name();
    let count =
        |meant: &[Meaning]| u32::try_from(case.rows().filter(|row| meant.contains(&row.meaning)).count()).unwrap();
    let settled = &account.settled;
    let invalid = count(&[Meaning::Gone, Meaning::Doubted]);
    let failed = count(&[Meaning::Permanent]);
    let suppressed = count(&[Meaning::Suspended]);
    let delivered = u32::try_from(case.devices.len()).unwrap() - invalid - failed - suppressed;
    assert_eq!(
        (settled.delivered, settled.invalid, settled.failed, settled.suppressed, settled.expired, account.pending),
        (delivered, invalid, failed, suppressed, 0, 0),
        "{name}: {account:?}"
    );
    assert_eq!(account.stopped, None, "{name}");
    // What was not about one device is said, if it was not only for a while that the vendor asked for.
    let Some(row) = case.rows().next().filter(|row| row.said == Said::OfAll) else { return };
    if matches!(row.meaning, Meaning::Permanent | Meaning::Transient) && !is_of_tokens(channel, row) {
        assert!(account.complaints.contains(&complaint(channel, row)), "{name}: {account:?}");
    }
}

/// The requests for a device came when they should, and no others.
fn assert_requests(channel: Channel, device: &Device, requests: &[Request]) {
    let name = device.name();
    let Some(row) = device.row else {
        assert_eq!(requests.iter().map(|request| request.1).collect::<Vec<_>>(), [true], "{name}: {requests:?}");
        return;
    };
    let gaps: Vec<i64> = requests.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let (last, refused) = requests.split_last().unwrap();
    assert!(refused.iter().all(|request| !request.1), "{name}: {requests:?}");
    assert_eq!(last.1, row.meaning.told() == "OK", "{name}: {requests:?}");
    if matches!(row.meaning, Meaning::Auth | Meaning::Config) {
        // A second time at once with another access token, where there is one to be had: Apple's and browsers' are signed
        // by ourselves, and the same for a while.
        let again = row.meaning == Meaning::Auth && !matches!(channel, Channel::Apns | Channel::Webpush);
        assert_eq!(gaps[0] < 2_000, again, "{name}: {requests:?}");
        assert!(!again || gaps[1] >= 2_000, "{name}: {requests:?}");
        return;
    }
    let waits = row.waits();
    assert_eq!(gaps.len(), waits.len(), "{name}: {requests:?}");
    for (gap, wait) in gaps.iter().zip(waits) {
        match wait {
            Some(secs) => {
                let wait = i64::try_from(secs).unwrap() * 1_000;
                assert!((wait..wait + LATE_MILLIS).contains(gap), "{name}: after {gap} ms, and not {wait}");
            }
            None => assert!(last.0 >= tomorrow(requests[0].0), "{name}: {requests:?}"),
        }
    }
}

/// Whoever is dead without doubt is forgotten, and nobody else.
async fn assert_fate(theatre: &Theatre, case: &Case, device: &Device) {
    let (status, answer) = devices(theatre, case, device, Method::GET, "", None).await;
    let kept = answer["devices"].as_array().map(Vec::len);
    let is_gone = device.row.is_some_and(|row| row.meaning == Meaning::Gone);
    assert_eq!((status, kept), (200, Some(usize::from(!is_gone))), "{}: {answer}", device.name());
}

/// The app's server was told once of each device, what came of it.
async fn assert_told(stack: &Stack, channel: Channel, cases: &[Case]) {
    let path = format!("webhook/{channel}");
    let told = async || {
        let mut told: Vec<(String, String)> = Vec::new();
        for call in stack.local(Method::GET, &path, None).await.as_array().unwrap() {
            for event in call["body"]["Events"].as_array().into_iter().flatten() {
                let word = |name: &str| event[name].as_str().unwrap().to_owned();
                told.push((word("To_Account"), word("ErrInfo")));
            }
        }
        told.sort();
        told
    };
    let devices = cases.iter().flat_map(|case| &case.devices);
    let mut expected: Vec<(String, String)> = devices
        .map(|device| {
            let word = device.row.map_or("OK", |row| row.meaning.told());
            (device.user.clone(), word.to_owned())
        })
        .collect();
    expected.sort();
    stack.until("all is told", async || told().await.len() >= expected.len()).await;
    assert_eq!(told().await, expected);
}

const COUNTED: [MetricName; 4] =
    [MetricName::Throttled, MetricName::Forgotten, MetricName::Doubted, MetricName::Stopped];

async fn counts(stack: &Stack, channel: Channel) -> [u64; 4] {
    let mut counts = [0; 4];
    for (count, metric) in counts.iter_mut().zip(COUNTED) {
        *count = stack.counted(metric, channel).await;
    }
    counts
}

/// It is counted how many were slowed down, forgotten and doubted, and how many apps stopped.
async fn assert_counts(stack: &Stack, channel: Channel, cases: &[Case], before: &[u64; 4]) {
    let rows = |meant: fn(Meaning) -> bool| {
        let rows = cases.iter().flat_map(Case::rows);
        rows.filter(|row| meant(row.meaning)).count() as u64
    };
    let stops = |case: &&Case| case.rows().any(|row| matches!(row.meaning, Meaning::Auth | Meaning::Config));
    let expected = [
        rows(|meaning| matches!(meaning, Meaning::Throttled(_))),
        rows(|meaning| meaning == Meaning::Gone),
        rows(|meaning| meaning == Meaning::Doubted),
        cases.iter().filter(stops).count() as u64,
    ];
    let now = async || {
        let now = counts(stack, channel).await;
        [0, 1, 2, 3].map(|n: usize| now[n] - before[n])
    };
    stack.until("all is counted", async || now().await.iter().sum::<u64>() >= expected.iter().sum()).await;
    assert_eq!(now().await, expected, "{channel}: {COUNTED:?}");
}
