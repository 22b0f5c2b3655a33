//! The commands of the contract: their paths, and how often an app may call them.

use std::borrow::Cow;

/// A command, by its path.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// The path.
    pub path: &'static str,
    /// What it does.
    pub call: Call,
    /// How often an app may call it, unless the app's settings say otherwise.
    pub rates: &'static [Rate],
}

/// So many calls in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub calls: u32,
    /// In which time.
    pub per: Per,
}

/// The time over which calls are counted: a whole one by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day, as the app's clock has it.
    Day,
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

const PUSH: &[Rate] = &[Rate { calls: 2, per: Per::Hour }, Rate { calls: 3, per: Per::Day }];
const PUSH_PLUS: &[Rate] = &[Rate { calls: 20, per: Per::Hour }, Rate { calls: 100, per: Per::Day }];
const A_SECOND: &[Rate] = &[Rate { calls: 100, per: Per::Second }];

const fn command(path: &'static str, call: Call, rates: &'static [Rate]) -> Command {
    Command { path, call, rates }
}

const COMMANDS: &[Command] = &[
    command("/push.json", Call::Push, PUSH),
    // Counted by the recipient, not by the call.
    command("/push/user.json", Call::PushUser, A_SECOND),
    command("/push/custom.json", Call::PushCustom, PUSH_PLUS),
    command("/message/broadcast.json", Call::Broadcast, PUSH),
    command("/message/online/broadcast.json", Call::OnlineBroadcast, &[Rate { calls: 60, per: Per::Minute }]),
    command("/message/broadcast/recall.json", Call::RecallBroadcast, PUSH),
    command("/user/tag/set.json", Call::SetTags, A_SECOND),
    command("/user/tag/batch/set.json", Call::BatchSetTags, &[Rate { calls: 10, per: Per::Second }]),
    command("/user/tags/get.json", Call::GetTags, A_SECOND),
    command("/user/getToken.json", Call::GetToken, A_SECOND),
    command("/user/blockPushPeriod/set.json", Call::SetQuietHours, A_SECOND),
    command("/user/blockPushPeriod/get.json", Call::GetQuietHours, A_SECOND),
    command("/user/blockPushPeriod/delete.json", Call::DeleteQuietHours, A_SECOND),
];

impl Command {
    /// All commands.
    pub const ALL: &[Self] = COMMANDS;

    /// The command of a URL's path. The SDK for PHP calls `//push/user.json`: slashes in a row are one.
    pub fn of(path: &str) -> Option<&'static Self> {
        let path = if path.contains("//") { Cow::Owned(collapsed(path)) } else { Cow::Borrowed(path) };
        COMMANDS.iter().find(|command| command.path == path)
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
    use super::*;

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
}
