//! Whom a push of RongCloud's contract is for: what of its audience takes precedence over what, as a naive evaluation of
//! the contract's rule has it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use support::{APP_KEY, APP_SECRET, SDK_APP_ID, Socket, Stack};

use crate::{a_stack_of, app};

/// The apps that the sandbox knows.
const SCHOOL: &str = "com.example.app";
const TEACHER: &str = "com.example.teacher";
/// Nobody has it.
const NOBODYS: &str = "com.example.nobody";

/// One installation of a user.
struct Device {
    user: usize,
    id: String,
    platform: &'static str,
    package: Option<&'static str>,
    token: String,
    push_enabled: bool,
    /// Whether it was seen within thirty days.
    is_active: bool,
}

impl Device {
    fn channel(&self) -> &'static str {
        if self.platform == "ios" { "apns" } else { "fcm" }
    }

    fn is_reachable(&self) -> bool {
        self.push_enabled && self.is_active
    }

    async fn register(&self, stack: &Stack) {
        let mut body = json!({"platform": self.platform, "channel": self.channel(), "token": self.token,
            "push_enabled": self.push_enabled});
        if let Some(package) = self.package {
            body["package"] = package.into();
        }
        let path = format!("/v1/devices/{}", self.id);
        let (status, answer) = stack.as_user(&name(self.user), Method::PUT, &path, Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// What a push asks for, when all that says nothing is left out.
#[derive(Debug, Clone)]
struct Asked {
    is_to_all: bool,
    users: Vec<usize>,
    all_of: Vec<&'static str>,
    any_of: Vec<&'static str>,
    package: Option<&'static str>,
    platforms: Vec<&'static str>,
}

impl Asked {
    /// Whether it is understood at all: what is not to all and names no user must have some criterion, and whatever
    /// names no user must have a platform.
    fn is_valid(&self) -> bool {
        let has_criterion = !self.all_of.is_empty() || !self.any_of.is_empty() || self.package.is_some();
        let is_named = !self.is_to_all && !self.users.is_empty();
        is_named || (!self.platforms.is_empty() && (self.is_to_all || has_criterion))
    }

    /// The rule, as the contract has it: whether it is for an installation of a user that runs this and has this package.
    fn is_for(&self, user: usize, platform: &str, package: Option<&str>) -> bool {
        let is_platform = self.platforms.iter().any(|asked| asked.eq_ignore_ascii_case(platform));
        if self.is_to_all {
            is_platform
        } else if !self.users.is_empty() {
            self.users.contains(&user)
        } else {
            is_platform
                && self.all_of.iter().all(|tag| has_tag(user, tag))
                && (self.any_of.is_empty() || self.any_of.iter().any(|tag| has_tag(user, tag)))
                && self.package.is_none_or(|asked| package == Some(asked))
        }
    }

    /// The request. What is absent is left out, null or empty, as the number of the request has it; and what it says is
    /// another each time, so that none is a repeat.
    fn request(&self, number: usize) -> Value {
        let mut turn = number;
        let mut absent = |object: &mut Value, name: &str, empty: Value| {
            match turn % 3 {
                0 => {}
                1 => object[name] = Value::Null,
                _ => object[name] = empty,
            }
            turn /= 3;
        };
        let mut request = json!({"notification": {"alert": format!("number {number}")}});
        let mut audience = json!({});
        for (name, list) in [("tag", &self.all_of), ("tag_or", &self.any_of)] {
            if list.is_empty() { absent(&mut audience, name, json!([])) } else { audience[name] = json!(list) }
        }
        match self.package {
            Some(package) => audience["packageName"] = package.into(),
            None => absent(&mut audience, "packageName", json!("")),
        }
        if self.users.is_empty() {
            absent(&mut audience, "userid", json!([]));
        } else {
            let names = self.users.iter().map(|user| name(*user)).chain(["unknown".to_owned()]);
            audience["userid"] = names.collect();
        }
        if self.is_to_all {
            audience["is_to_all"] = true.into()
        } else {
            absent(&mut audience, "is_to_all", json!(false))
        }
        if self.platforms.is_empty() {
            absent(&mut request, "platform", json!([]));
        } else {
            request["platform"] = json!(self.platforms);
        }
        request["audience"] = audience;
        request
    }
}

fn name(user: usize) -> String {
    format!("user{user:03}")
}

fn has_tag(user: usize, tag: &str) -> bool {
    match tag {
        "two" => user.is_multiple_of(2),
        "three" => user.is_multiple_of(3),
        "five" => user.is_multiple_of(5),
        _ => false,
    }
}

/// A stack with one app that pushes as often as it likes, and some users with their tags.
async fn a_stack_with(users: usize) -> Stack {
    let mut app = app(SDK_APP_ID, json!({}), json!({}));
    let rates = json!({"/push.json": {}});
    app["rongcloud"] = json!({"app_key": APP_KEY, "app_secret": APP_SECRET, "rates": rates});
    app["channels"] = "sandbox".into();
    let stack = a_stack_of(&[app]).await;
    let all: Vec<usize> = (0..users).collect();
    for some in all.chunks(100) {
        let names: Vec<String> = some.iter().map(|user| name(*user)).collect();
        stack.ok("im_open_login_svc/multiaccount_import", json!({"Accounts": names})).await;
        let tags = |user: &usize| ["two", "three", "five"].into_iter().filter(|tag| has_tag(*user, tag)).collect();
        let tagged = some.iter().map(|user| (user, tags(user))).filter(|(_, tags): &(_, Vec<_>)| !tags.is_empty());
        let edits: Vec<Value> = tagged.map(|(user, tags)| json!({"To_Account": name(*user), "Tags": tags})).collect();
        stack.ok("all_member_push/im_add_tag", json!({"UserTags": edits})).await;
    }
    stack
}

async fn register(stack: &Stack, devices: impl Iterator<Item = &Device>) {
    stream::iter(devices).for_each_concurrent(8, async |device| device.register(stack).await).await;
}

/// Pushes, and returns the push's id; `None` if it is refused for its parameters.
async fn push(stack: &Stack, request: &Value) -> Option<String> {
    let (status, answer) = stack.signed_json("/push.json", request).await;
    match status {
        200 => Some(answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()),
        _ => {
            assert_eq!((status, &answer["code"]), (400, &json!(1002)), "{request}: {answer}");
            None
        }
    }
}

/// The tokens that the vendors were told of, by push.
async fn delivered(stack: &Stack) -> BTreeMap<String, Vec<String>> {
    let mut delivered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for channel in ["apns", "fcm"] {
        for delivery in stack.deliveries(channel).await {
            let body = &delivery["request"]["body"];
            let id = if channel == "apns" { &body["push_id"] } else { &body["message"]["data"]["push_id"] };
            assert_eq!(delivery["accepted"], true, "{delivery}");
            let token = delivery["token"].as_str().unwrap().to_owned();
            delivered.entry(id.as_str().unwrap().to_owned()).or_default().push(token);
        }
    }
    delivered.values_mut().for_each(|tokens| tokens.sort_unstable());
    delivered
}

const USERS: usize = 160;

/// One to three devices a user: iOS and Android in turn, of two packages or none, some of whose users want no pushes, some
/// not seen for long.
fn devices() -> Vec<Device> {
    let of_user = |user: usize| {
        (0..=user % 3).map(move |place| {
            let platform = ["ios", "android"][(user + place) % 2];
            let token = if platform == "ios" {
                format!("{:064x}", user * 10 + place)
            } else {
                format!("{:a<140}", format!("token{user}_{place}_"))
            };
            Device {
                user,
                id: format!("device{place}"),
                platform,
                package: [None, Some(SCHOOL), Some(TEACHER)][(user / 2 + place) % 3],
                token,
                push_enabled: !(user * 7 + place).is_multiple_of(11),
                is_active: !(user + 3 * place).is_multiple_of(7),
            }
        })
    };
    (0..USERS).flat_map(of_user).collect()
}

/// All combinations of what a push that is not to all can ask for; of one that is, all combinations of what is there and
/// what is not.
fn questions() -> Vec<Asked> {
    let mut questions = Vec::new();
    for is_to_all in [false, true] {
        for users in [&[][..], &[7, 12, 13, 20, 35]] {
            for all_of in [&[][..], &["two"], &["two", "three"]] {
                for any_of in [&[][..], &["five"], &["three", "five", "none"]] {
                    for package in [None, Some(SCHOOL), Some(NOBODYS)] {
                        for platforms in [&[][..], &["ios"], &["android"], &["iOS", "Android"]] {
                            if is_to_all && (all_of.len() == 1 || any_of.len() == 1 || package == Some(NOBODYS)) {
                                continue;
                            }
                            let (users, platforms) = (users.to_vec(), platforms.to_vec());
                            let (all_of, any_of) = (all_of.to_vec(), any_of.to_vec());
                            questions.push(Asked { is_to_all, users, all_of, any_of, package, platforms });
                        }
                    }
                }
            }
        }
    }
    questions
}

#[tokio::test]
async fn every_combination_of_criteria_reaches_exactly_whom_the_contract_says() {
    let mut devices = devices();
    assert!(devices.len() >= 300 && devices.iter().filter(|device| device.is_reachable()).count() >= 200);
    let stack = a_stack_with(USERS).await;
    register(&stack, devices.iter().filter(|device| !device.is_active)).await;
    stack.advance(31 * 86_400).await;
    register(&stack, devices.iter().filter(|device| device.is_active)).await;
    // Who is connected is shown a notification as everyone is. Whoever was away and connects has been seen again.
    let mut sockets = Vec::new();
    for user in (0..USERS).step_by(14) {
        sockets.push(stack.socket(&name(user), "device0").await);
        let device = devices.iter_mut().find(|device| device.user == user && device.id == "device0").unwrap();
        assert!(!device.is_active, "one that comes back");
        device.is_active = true;
    }

    let asked = questions();
    assert_eq!(asked.len(), 216 + 64);
    let mut pushes: Vec<(usize, Option<String>)> = stream::iter(asked.iter().enumerate())
        .map(async |(number, asked)| (number, push(&stack, &asked.request(number)).await))
        .buffer_unordered(4)
        .collect()
        .await;
    pushes.sort_unstable();
    stack.idle().await;
    let mut delivered = delivered(&stack).await;
    for ((number, id), asked) in pushes.into_iter().zip(&asked) {
        let request = asked.request(number);
        assert_eq!(id.is_some(), asked.is_valid(), "{request}");
        let Some(id) = id else { continue };
        let meant = devices.iter().filter(|device| asked.is_for(device.user, device.platform, device.package));
        let mut expected: Vec<&str> =
            meant.filter(|device| device.is_reachable()).map(|device| device.token.as_str()).collect();
        expected.sort_unstable();
        assert_eq!(delivered.remove(&id).unwrap_or_default(), expected, "{request}");
    }
    assert!(delivered.is_empty(), "{:?}", delivered.keys());
    for socket in &mut sockets {
        assert_eq!(socket.hear_within(Duration::from_millis(10)).await, None, "what is a notification only");
    }
}

/// Of each user a phone (iOS), a tablet (Android) and a desk that is not registered; which of them are connected, the
/// number of the user says, bit by bit.
const HOUSEHOLD: usize = 16;

fn household() -> Vec<Device> {
    let of_user = |user: usize| {
        let device = move |id: &str, platform, package, token| Device {
            user,
            id: id.to_owned(),
            platform,
            package,
            token,
            push_enabled: true,
            is_active: true,
        };
        let package = Some(if user < 8 { SCHOOL } else { TEACHER });
        [
            device("phone", "ios", package, format!("{user:064x}")),
            device("tablet", "android", None, format!("{:a<140}", format!("token{user}_"))),
        ]
    };
    (0..HOUSEHOLD).flat_map(of_user).collect()
}

fn is_connected(user: usize, device: &str) -> bool {
    ["phone", "tablet", "desk"].iter().position(|id| *id == device).is_some_and(|bit| user >> bit & 1 == 1)
}

#[tokio::test]
async fn a_message_goes_to_the_sockets_that_are_meant_and_to_the_phones_of_those_who_have_none() {
    let stack = a_stack_with(HOUSEHOLD).await;
    let devices = household();
    register(&stack, devices.iter()).await;
    let mut sockets: BTreeMap<(usize, &str), Socket> = BTreeMap::new();
    for user in 0..HOUSEHOLD {
        for id in ["phone", "tablet", "desk"] {
            if is_connected(user, id) {
                sockets.insert((user, id), stack.socket(&name(user), id).await);
            }
        }
    }

    let none = Asked {
        is_to_all: false,
        users: vec![],
        all_of: vec![],
        any_of: vec![],
        package: None,
        platforms: vec!["ios", "android"],
    };
    let mut asked = Vec::new();
    for platforms in [vec!["ios"], vec!["android"], vec!["ios", "android"]] {
        let of = Asked { platforms, ..none.clone() };
        asked.extend([
            Asked { is_to_all: true, package: Some(SCHOOL), ..of.clone() },
            Asked { users: vec![1, 4, 6, 9], all_of: vec!["five"], package: Some(TEACHER), ..of.clone() },
            Asked { all_of: vec!["two"], ..of.clone() },
            Asked { any_of: vec!["three", "five"], package: Some(SCHOOL), ..of.clone() },
            Asked { package: Some(TEACHER), ..of.clone() },
        ]);
    }
    // A message goes to browsers too, unless it is for those who have a package; whoever has not registered is one.
    let is_for = |asked: &Asked, user: usize, id: &str| {
        let device = devices.iter().find(|device| device.user == user && device.id == id);
        match device {
            Some(device) => asked.is_for(user, device.platform, device.package),
            None => {
                let asks_package = !asked.is_to_all && asked.users.is_empty() && asked.package.is_some();
                !asks_package
                    && Asked { platforms: vec!["web"], package: None, ..asked.clone() }.is_for(user, "web", None)
            }
        }
    };

    let mut ids = Vec::new();
    for (number, asked) in asked.iter().enumerate() {
        let mut request = asked.request(number);
        request["fromuserid"] = "school".into();
        request["message"] = json!({"objectName": "RC:TxtMsg", "content": r#"{"content":"hi"}"#});
        ids.push(push(&stack, &request).await.unwrap());
    }
    stack.idle().await;

    let mut by_vendor = delivered(&stack).await;
    let mut by_socket: BTreeMap<(usize, &str), BTreeSet<String>> = BTreeMap::new();
    for (asked, id) in asked.iter().zip(&ids) {
        let mut phones = Vec::new();
        for user in 0..HOUSEHOLD {
            let meant = ["phone", "tablet", "desk"].into_iter().filter(|device| is_for(asked, user, device));
            let (connected, offline): (Vec<_>, Vec<_>) = meant.partition(|device| is_connected(user, device));
            for device in &connected {
                by_socket.entry((user, device)).or_default().insert(id.clone());
            }
            if connected.is_empty() {
                let of_user = devices.iter().filter(|device| device.user == user);
                let meant = of_user.filter(|device| offline.contains(&device.id.as_str()));
                phones.extend(meant.map(|device| device.token.clone()));
            }
        }
        phones.sort_unstable();
        assert_eq!(by_vendor.remove(id).unwrap_or_default(), phones, "{asked:?}");
    }
    assert!(by_vendor.is_empty());
    for (place, socket) in &mut sockets {
        let mut heard = BTreeSet::new();
        let expected = by_socket.remove(place).unwrap_or_default();
        while heard.len() < expected.len() {
            let frame = socket.hear().await;
            assert!(heard.insert(frame["id"].as_str().unwrap().to_owned()), "{place:?} twice: {frame}");
        }
        assert_eq!(heard, expected, "{place:?}");
        assert_eq!(socket.hear_within(Duration::from_millis(10)).await, None, "{place:?}");
    }
    assert!(by_socket.is_empty());

    // Whoever was not connected finds what was for the device, and nothing else. What only a phone gets, an installation
    // that has not registered finds once it has.
    let of_device = |user: usize, id: &str| -> Vec<&String> {
        asked.iter().zip(&ids).filter(|(asked, _)| is_for(asked, user, id)).map(|(_, push)| push).collect()
    };
    for user in [0, 1, 4, 8, 10] {
        for id in ["phone", "tablet", "desk"] {
            let missed = stack.socket(&name(user), id).await.sync().await;
            let missed: Vec<_> = missed.iter().map(|push| push["id"].as_str().unwrap()).collect();
            assert_eq!(missed, of_device(user, id), "{id} of user {user}");
        }
    }
    let mut desk = stack.socket(&name(12), "desk").await;
    let missed = desk.sync().await;
    desk.ack(&missed).await;
    stack.idle().await;
    assert_eq!(desk.sync().await, Vec::<Value>::new());
    let token = format!("{:064x}", 0xdead);
    let late = Device {
        user: 12,
        id: "desk".to_owned(),
        platform: "ios",
        package: Some(TEACHER),
        token,
        push_enabled: true,
        is_active: true,
    };
    late.register(&stack).await;
    let found = desk.sync().await;
    let found: BTreeSet<&str> = found.iter().map(|push| push["id"].as_str().unwrap()).collect();
    let of_phone: BTreeSet<&str> = of_device(12, "phone").into_iter().map(String::as_str).collect();
    let had: BTreeSet<&str> = missed.iter().map(|push| push["id"].as_str().unwrap()).collect();
    assert_eq!(found, of_phone.difference(&had).copied().collect());
    assert!(!found.is_empty());
    // And its socket is a phone's from now on.
    let mut request = Asked { package: Some(TEACHER), ..none }.request(99);
    request["fromuserid"] = "school".into();
    request["message"] = json!({"objectName": "RC:TxtMsg", "content": r#"{"content":"hi"}"#});
    let id = push(&stack, &request).await.unwrap();
    assert_eq!(desk.hear().await["id"], json!(id));
}
