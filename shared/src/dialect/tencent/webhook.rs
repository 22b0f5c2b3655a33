//! Webhooks: what an app's own server is told, and how it says that it heard.
//!
//! Sources: "Webhook overview" for the call, its signature and the answer; "Callback of all-member push" and "Callback of
//! online status" for the bodies.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::{Channel, OutcomeClass, Platform, Push, SocketChange, StateChange, Tencent, Timestamp, UserId};

/// What one call tells, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// Which kind of call it is, as the URL says it.
    pub command: &'static str,
    /// From where the event came, if it came from a device.
    pub client_ip: String,
    /// On what platform it came about.
    pub platform: &'static str,
    /// The body, JSON.
    pub body: String,
}

/// Something that came of a push.
#[derive(Debug, Clone, Copy)]
pub struct PushEvent<'a> {
    /// The push.
    pub push: &'a Push,
    /// The user.
    pub user: &'a UserId,
    /// The way to the user's device.
    pub channel: Channel,
    /// When.
    pub at: Timestamp,
    /// How far it came.
    pub stage: Stage,
}

/// How far a push came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It was sent, or refused for good.
    Sent(OutcomeClass),
    /// The client has acknowledged it.
    Reached,
}

/// The call that tells of pushes, `Push.AllMemberPush`. The contract has 1 to 100 events in one
/// ([`EVENTS_PER_CALL`](crate::domain::limits::EVENTS_PER_CALL)).
pub fn pushes(events: &[PushEvent<'_>]) -> Telling {
    const COMMAND: &str = "Push.AllMemberPush";
    let events: Vec<Event<'_>> = events.iter().map(|event| Event::of(COMMAND, event)).collect();
    Telling { command: COMMAND, client_ip: String::new(), platform: "RESTAPI", body: json(&Pushes { events }) }
}

/// The call that tells of a user who came online or went, `State.StateChange`.
pub fn state(change: &StateChange) -> Telling {
    const COMMAND: &str = "State.StateChange";
    let (action, reason) = match change.change {
        SocketChange::Connected => ("Login", "Register"),
        SocketChange::Closed => ("Disconnect", "LinkClose"),
        SocketChange::TimedOut => ("Disconnect", "TimeOut"),
    };
    let info = Info { action, to_account: change.user.as_str(), reason };
    Telling {
        command: COMMAND,
        client_ip: change.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        platform: opt_platform(change.platform),
        body: json(&State { callback_command: COMMAND, event_time: change.at.millis(), info }),
    }
}

/// The parameters that are appended to the receiver's URL. Signed, if there is a token, at the moment of the call.
pub fn parameters(
    tencent: &Tencent,
    telling: &Telling,
    token: Option<&SecretString>,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let mut parameters = vec![
        ("SdkAppid", tencent.sdk_app_id.to_string()),
        ("CallbackCommand", telling.command.to_owned()),
        ("contenttype", "json".to_owned()),
        ("ClientIP", telling.client_ip.clone()),
        ("OptPlatform", telling.platform.to_owned()),
    ];
    if let Some(token) = token {
        let time = now.secs().to_string();
        parameters.extend([("Sign", sign(token, &time)), ("RequestTime", time)]);
    }
    parameters
}

/// Whether the receiver's answer, of status 200, says that it heard. Its `ErrorCode` tells; how it spells its
/// `ActionStatus` does not matter, for the pages spell it in two ways.
pub fn is_heard(answer: &[u8]) -> bool {
    serde_json::from_slice::<Value>(answer).is_ok_and(|answer| answer["ErrorCode"].as_i64() == Some(0))
}

/// `Sign`: the SHA-256 of the token and the time, in hexadecimal.
fn sign(token: &SecretString, time: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(token.expose_secret());
    hash.update(time);
    base16ct::lower::encode_string(&hash.finalize())
}

/// The number of a vendor in `PushPlatform` and `DeviceType`; 0 for a way that the contract does not know.
fn platform_number(channel: Channel) -> u8 {
    match channel {
        Channel::Apns => 1,
        Channel::Xiaomi => 2,
        Channel::Huawei => 3,
        Channel::Fcm => 4,
        Channel::Meizu => 5,
        Channel::Oppo => 6,
        Channel::Vivo => 7,
        Channel::Honor => 8,
        Channel::Ws | Channel::Harmony | Channel::Webpush => 0,
    }
}

/// `ErrCode` and `ErrInfo`. The contract documents 0 and nothing else: the other numbers and words are ours.
fn error_of(class: OutcomeClass) -> (u8, &'static str) {
    let number = match class {
        OutcomeClass::Delivered => return (0, "OK"),
        OutcomeClass::InvalidToken => 1,
        OutcomeClass::Suspended => 2,
        OutcomeClass::Permanent => 3,
        OutcomeClass::Throttled => 4,
        OutcomeClass::Transient => 5,
        OutcomeClass::Auth => 6,
        OutcomeClass::QuotaUntilTomorrow => 7,
        OutcomeClass::Config => 8,
    };
    (number, class.name())
}

fn opt_platform(platform: Option<Platform>) -> &'static str {
    match platform {
        Some(Platform::Ios) => "iOS",
        Some(Platform::Android) => "Android",
        Some(Platform::Web) => "Web",
        Some(Platform::Harmony) | None => "Unknown",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Pushes<'a> {
    events: Vec<Event<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    callback_command: &'static str,
    /// 1 by a vendor, 2 by socket.
    event_type: u8,
    task_id: &'a str,
    data_id: &'a str,
    /// Unix seconds.
    task_time: i64,
    /// Unix seconds.
    event_time: i64,
    #[serde(rename = "To_Account")]
    to_account: &'a str,
    push_platform: u8,
    device_type: u8,
    /// 1 sent, 2 reached.
    push_stage: u8,
    err_code: u8,
    err_info: &'static str,
}

impl<'a> Event<'a> {
    fn of(callback_command: &'static str, event: &PushEvent<'a>) -> Self {
        let platform = platform_number(event.channel);
        let (push_stage, (err_code, err_info)) = match event.stage {
            Stage::Sent(class) => (1, error_of(class)),
            Stage::Reached => (2, error_of(OutcomeClass::Delivered)),
        };
        Self {
            callback_command,
            event_type: if event.channel == Channel::Ws { 2 } else { 1 },
            task_id: &event.push.task_id,
            // Of the callers' requests only those of the newer push service can name one.
            data_id: event.push.data_id.as_deref().unwrap_or_default(),
            task_time: event.push.accepted_at.secs(),
            event_time: event.at.secs(),
            to_account: event.user.as_str(),
            push_platform: platform,
            device_type: platform,
            push_stage,
            err_code,
            err_info,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct State<'a> {
    callback_command: &'static str,
    /// Unix milliseconds.
    event_time: i64,
    info: Info<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Info<'a> {
    action: &'static str,
    #[serde(rename = "To_Account")]
    to_account: &'a str,
    reason: &'static str,
}

fn json(body: &impl Serialize) -> String {
    // Texts and numbers: nothing here can fail to be JSON.
    serde_json::to_string(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::domain::{AppId, Audience, DeviceFilter, PushId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_557_481_128_900);

    fn a_push() -> Push {
        Push {
            id: PushId::from_u128(1),
            app: AppId::try_from("app").unwrap(),
            seq: None,
            accepted_at: Timestamp::from_millis(1_557_481_127_001),
            audience: Audience::Everyone,
            devices: DeviceFilter::default(),
            population: 1,
            message: None,
            lifetime_secs: 60,
            notification: None,
            task_id: "1_2_3_4".to_owned(),
            revokes: None,
            data_id: Some("sale".to_owned()),
        }
    }

    fn tencent() -> Tencent {
        serde_json::from_str(r#"{"sdk_app_id": 1400000000, "secret_key": "k", "admins": []}"#).unwrap()
    }

    #[test]
    fn a_push_is_told_as_the_contract_shows_it() {
        let (push, user) = (a_push(), UserId::try_from("user2").unwrap());
        let event = |channel, stage| PushEvent { push: &push, user: &user, channel, at: NOW, stage };
        let telling = pushes(&[
            event(Channel::Apns, Stage::Sent(OutcomeClass::Delivered)),
            event(Channel::Fcm, Stage::Sent(OutcomeClass::InvalidToken)),
            event(Channel::Ws, Stage::Reached),
        ]);
        assert_eq!(
            (telling.command, telling.platform, telling.client_ip.as_str()),
            ("Push.AllMemberPush", "RESTAPI", "")
        );
        insta::assert_snapshot!(telling.body, @r#"{"Events":[{"CallbackCommand":"Push.AllMemberPush","EventType":1,"TaskId":"1_2_3_4","DataId":"sale","TaskTime":1557481127,"EventTime":1557481128,"To_Account":"user2","PushPlatform":1,"DeviceType":1,"PushStage":1,"ErrCode":0,"ErrInfo":"OK"},{"CallbackCommand":"Push.AllMemberPush","EventType":1,"TaskId":"1_2_3_4","DataId":"sale","TaskTime":1557481127,"EventTime":1557481128,"To_Account":"user2","PushPlatform":4,"DeviceType":4,"PushStage":1,"ErrCode":1,"ErrInfo":"invalid_token"},{"CallbackCommand":"Push.AllMemberPush","EventType":2,"TaskId":"1_2_3_4","DataId":"sale","TaskTime":1557481127,"EventTime":1557481128,"To_Account":"user2","PushPlatform":0,"DeviceType":0,"PushStage":2,"ErrCode":0,"ErrInfo":"OK"}]}"#);
    }

    #[test]
    fn a_state_is_told_as_the_contract_shows_it() {
        let changed = |change| StateChange {
            user: UserId::try_from("anne").unwrap(),
            change,
            at: NOW,
            platform: Some(Platform::Android),
            ip: Some([192, 0, 2, 7].into()),
        };
        let telling = state(&changed(SocketChange::Connected));
        assert_eq!((telling.platform, telling.client_ip.as_str()), ("Android", "192.0.2.7"));
        insta::assert_snapshot!(telling.body, @r#"{"CallbackCommand":"State.StateChange","EventTime":1557481128900,"Info":{"Action":"Login","To_Account":"anne","Reason":"Register"}}"#);
        for (change, reason) in [(SocketChange::Closed, "LinkClose"), (SocketChange::TimedOut, "TimeOut")] {
            let body = state(&changed(change)).body;
            assert!(
                body.contains(&format!(r#""Action":"Disconnect","To_Account":"anne","Reason":"{reason}""#)),
                "{body}"
            );
        }
    }

    /// The contract's own vector ("Webhook overview", newer edition).
    #[test]
    fn a_call_is_signed_as_in_the_contract() {
        let telling = pushes(&[]);
        let token = SecretString::from("xxxxyyyy".to_owned());
        let at = Timestamp::from_secs(1_669_872_112);
        let parameters = parameters(&tencent(), &telling, Some(&token), at);
        let text: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            text.join("&"),
            "SdkAppid=1400000000&CallbackCommand=Push.AllMemberPush&contenttype=json&ClientIP=&OptPlatform=RESTAPI\
             &Sign=17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061&RequestTime=1669872112"
        );
    }

    #[test]
    fn without_a_token_a_call_is_not_signed() {
        let parameters = parameters(&tencent(), &pushes(&[]), None, NOW);
        assert!(parameters.iter().all(|(name, _)| !["Sign", "RequestTime"].contains(name)));
    }

    #[test]
    fn only_an_error_code_of_zero_says_that_it_was_heard() {
        for (answer, heard) in [
            (r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#, true),
            (r#"{"ErrorCode":0}"#, true),
            (r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":1}"#, false),
            (r#"{"ActionStatus":"OK"}"#, false),
            (r#"{"ErrorCode":"0"}"#, false),
            ("[0]", false),
            ("", false),
            ("OK", false),
        ] {
            assert_eq!(is_heard(answer.as_bytes()), heard, "{answer}");
        }
    }

    /// The numbers and the words are ours, so the page that tells of them is the only one that does.
    #[test]
    fn every_error_is_documented() {
        let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/API.md"));
        for class in OutcomeClass::ALL {
            let (number, word) = error_of(class);
            assert!(page.contains(&format!("| {number} | `{word}` |")), "{number} {word}");
        }
    }
}
