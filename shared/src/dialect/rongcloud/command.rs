//! The commands of the contract: their paths, how often an app may call them, and what must be switched on for it.

use std::borrow::Cow;

use super::{Code, Error, user};
use crate::domain::{Per, Rate, Rongcloud, Service};

/// A command, by its path.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// The path.
    pub path: &'static str,
    /// What it does.
    pub call: Call,
    /// How often an app may call it, unless its settings say otherwise ("API list and rates"); the shortest time first.
    /// All that a path does is counted together: `/push.json` in both its forms.
    rates: &'static [Rate],
}

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A notification, or a message, to everyone or to those who match.
    Push,
    /// A notification to named users.
    PushUser,
    /// A notification to those whose tags satisfy an expression.
    PushCustom,
    /// A message to everyone.
    Broadcast,
    /// A message to everyone who is online.
    OnlineBroadcast,
    /// Withdraws a message.
    RecallBroadcast,
    /// Replaces the tags of a user.
    SetTags,
    /// Replaces the tags of users.
    BatchSetTags,
    /// The tags of users.
    GetTags,
    /// Creates a user, and a token by which its app proves it.
    GetToken,
    /// Sets a user's quiet hours.
    SetQuietHours,
    /// A user's quiet hours.
    GetQuietHours,
    /// Ends a user's quiet hours.
    DeleteQuietHours,
}

impl Call {
    /// Whether it is about users, and not one that pushes to them.
    pub const fn is_about_users(self) -> bool {
        match self {
            Self::Push
            | Self::PushUser
            | Self::PushCustom
            | Self::Broadcast
            | Self::OnlineBroadcast
            | Self::RecallBroadcast => false,
            Self::SetTags
            | Self::BatchSetTags
            | Self::GetTags
            | Self::GetToken
            | Self::SetQuietHours
            | Self::GetQuietHours
            | Self::DeleteQuietHours => true,
        }
    }

    /// What must be switched on for the app, if anything.
    pub fn service(self) -> Option<Service> {
        match self {
            Self::Push | Self::PushUser => Some(Service::Push),
            Self::PushCustom => Some(Service::PushPlus),
            Self::Broadcast => Some(Service::Broadcast),
            Self::OnlineBroadcast => Some(Service::OnlineBroadcast),
            Self::RecallBroadcast
            | Self::SetTags
            | Self::BatchSetTags
            | Self::GetTags
            | Self::GetToken
            | Self::SetQuietHours
            | Self::GetQuietHours
            | Self::DeleteQuietHours => None,
        }
    }
}

const PUSH: &[Rate] = &[Rate { times: 2, per: Per::Hour }, Rate { times: 3, per: Per::Day }];
const PUSH_PLUS: &[Rate] = &[Rate { times: 20, per: Per::Hour }, Rate { times: 100, per: Per::Day }];
const A_SECOND: &[Rate] = &[Rate { times: 100, per: Per::Second }];

const fn command(path: &'static str, call: Call, rates: &'static [Rate]) -> Command {
    Command { path, call, rates }
}

const COMMANDS: &[Command] = &[
    command("/push.json", Call::Push, PUSH),
    // Counted by the recipient, not by the call.
    command("/push/user.json", Call::PushUser, A_SECOND),
    command("/push/custom.json", Call::PushCustom, PUSH_PLUS),
    command("/message/broadcast.json", Call::Broadcast, PUSH),
    command("/message/online/broadcast.json", Call::OnlineBroadcast, &[Rate { times: 60, per: Per::Minute }]),
    command("/message/broadcast/recall.json", Call::RecallBroadcast, PUSH),
    command("/user/tag/set.json", Call::SetTags, A_SECOND),
    command("/user/tag/batch/set.json", Call::BatchSetTags, &[Rate { times: 10, per: Per::Second }]),
    command("/user/tags/get.json", Call::GetTags, A_SECOND),
    command("/user/getToken.json", Call::GetToken, A_SECOND),
    command("/user/blockPushPeriod/set.json", Call::SetQuietHours, A_SECOND),
    command("/user/blockPushPeriod/get.json", Call::GetQuietHours, A_SECOND),
    command("/user/blockPushPeriod/delete.json", Call::DeleteQuietHours, A_SECOND),
];

impl Command {
    /// All commands.
    pub const ALL: &[Self] = COMMANDS;

    /// The command of a URL's path. The SDK for PHP calls `//push/user.json`: slashes in a row are one. Which function hears
    /// such a path is the gateway's to say: it knows only the plain ones, and hands all others to the one that takes pushes.
    pub fn of(path: &str) -> Option<&'static Self> {
        let path = if path.contains("//") { Cow::Owned(collapsed(path)) } else { Cow::Borrowed(path) };
        COMMANDS.iter().find(|command| command.path == path)
    }

    /// How often an app may call it: as its settings say, or else as the contract does. None: as often as it likes.
    pub fn rates(&self, app: &Rongcloud) -> Cow<'static, [Rate]> {
        app.rates.get(self.path).map_or(Cow::Borrowed(self.rates), |own| Cow::Owned(own.rates()))
    }

    /// As how many calls one with this body counts. A notification to named users counts as one for each of them ("Push
    /// to users": 100 messages a second).
    pub fn weight(&self, body: &[u8]) -> u32 {
        match self.call {
            Call::PushUser => user::named(body),
            _ => 1,
        }
    }

    /// Refuses a call that names more users than ever may be pushed to in one of its times: to try it again would not
    /// help, now or later. A call that may never come is another matter, however few it names.
    ///
    /// # Errors
    ///
    /// 1002, which says how many fit.
    pub fn fits(&self, weight: u32, rates: &[Rate]) -> Result<(), Error> {
        match rates.iter().min_by_key(|rate| rate.times) {
            Some(Rate { times, per }) if (1..weight).contains(times) => {
                let fault = format!(
                    "userIds names too many users: at most {times} fit, for the app may push to no more in one {per}"
                );
                Err(Error::new(Code::Parameter, fault))
            }
            _ => Ok(()),
        }
    }
}

fn collapsed(path: &str) -> String {
    let mut collapsed = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !collapsed.ends_with('/') {
            collapsed.push(character);
        }
    }
    collapsed
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings(rates: Value) -> Rongcloud {
        serde_json::from_value(json!({"app_key": "k", "app_secret": "s", "rates": rates})).unwrap()
    }

    fn rates(path: &str, own: Value) -> Vec<(u32, Per)> {
        let rates = Command::of(path).unwrap().rates(&settings(own));
        rates.iter().map(|rate| (rate.times, rate.per)).collect()
    }

    #[test]
    fn every_command_has_one_path_however_many_slashes_are_in_a_row() {
        for command in Command::ALL {
            assert_eq!(Command::of(command.path), Some(command));
            assert_eq!(Command::of(&command.path.replace('/', "//")), Some(command));
            assert_eq!(Command::of(&format!("{}/", command.path)), None);
        }
        for path in ["", "/", "push.json", "/push", "/push.json.json"] {
            assert_eq!(Command::of(path), None, "{path}");
        }
    }
    #[test]
    fn an_app_has_the_contracts_rates_or_its_own_in_their_place() {
        let (contract, plus) = ([(2, Per::Hour), (3, Per::Day)], [(20, Per::Hour), (100, Per::Day)]);
        for path in ["/push.json", "/message/broadcast.json", "/message/broadcast/recall.json"] {
            assert_eq!(rates(path, json!({})), contract, "{path}");
        }
        assert_eq!(rates("/push/custom.json", json!({})), plus);
        assert_eq!(rates("/push/user.json", json!({})), [(100, Per::Second)]);
        assert_eq!(rates("/message/online/broadcast.json", json!({})), [(60, Per::Minute)]);
        assert_eq!(rates("/user/tag/batch/set.json", json!({})), [(10, Per::Second)]);

        let own = json!({"/push.json": {"minute": 5}, "/push/custom.json": {}, "/push/user.json": {"second": 0}});
        assert_eq!(rates("/push.json", own.clone()), [(5, Per::Minute)]);
        assert_eq!(rates("/push/custom.json", own.clone()), []);
        assert_eq!(rates("/push/user.json", own.clone()), [(0, Per::Second)]);
        assert_eq!(rates("/message/broadcast.json", own), contract);
    }

    #[test]
    fn rates_go_from_the_shortest_time_to_the_longest() {
        for command in Command::ALL {
            assert!(command.rates.is_sorted_by(|one, next| one.per < next.per), "{}", command.path);
            assert!(command.rates.iter().all(|rate| rate.times > 0), "{}", command.path);
        }
    }

    #[test]
    fn only_a_push_to_named_users_counts_as_many() {
        let three = json!({"userIds": ["a", "b", "c"]}).to_string();
        for command in Command::ALL {
            let expected = if command.path == "/push/user.json" { 3 } else { 1 };
            assert_eq!(command.weight(three.as_bytes()), expected, "{}", command.path);
        }
    }

    #[test]
    fn who_names_more_users_than_ever_may_be_is_told_how_many_fit() {
        let command = Command::of("/push/user.json").unwrap();
        let fits = |weight, own: Value| {
            let fits = command.fits(weight, &command.rates(&settings(json!({"/push/user.json": own}))));
            fits.map_err(|error| (error.code, error.info))
        };
        for (weight, own) in [
            (100, json!({"second": 100})),
            (100, json!({})),
            (30, json!({"second": 30, "day": 1_000})),
            // Never: not too many at once.
            (1, json!({"second": 0})),
            (50, json!({"second": 10, "day": 0})),
        ] {
            assert_eq!(fits(weight, own.clone()), Ok(()), "{weight} {own}");
        }
        let told = "userIds names too many users: at most 30 fit, for the app may push to no more in one second";
        assert_eq!(fits(31, json!({"second": 30, "day": 1_000})), Err((Code::Parameter, told.to_owned())));
        assert!(fits(31, json!({"second": 40, "hour": 30})).unwrap_err().1.ends_with("in one hour"));
    }

    #[test]
    fn what_pushes_must_be_switched_on() {
        let service = |path| Command::of(path).unwrap().call.service();
        for (path, expected) in [
            ("/push.json", Some(Service::Push)),
            ("/push/user.json", Some(Service::Push)),
            ("/push/custom.json", Some(Service::PushPlus)),
            ("/message/broadcast.json", Some(Service::Broadcast)),
            ("/message/online/broadcast.json", Some(Service::OnlineBroadcast)),
            ("/message/broadcast/recall.json", None),
        ] {
            assert_eq!(service(path), expected, "{path}");
        }
        assert!(
            Command::ALL.iter().all(|command| command.path.starts_with("/user/") <= command.call.service().is_none())
        );
    }
}
