//! The commands of the contract: their paths, what they do, and how often an app may call them.

use super::Code;
use crate::domain::Quotas;

/// A command, by its path.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Service and name: what follows `/v4/`.
    pub path: &'static str,
    /// What it does.
    pub call: Call,
    /// How often an app may call it in a second, unless the app's settings say otherwise ("Use limits", and each
    /// command's page).
    pub calls_per_second: u32,
}

/// What a command does. The older and the newer push service have most in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `im_push`.
    ImPush,
    /// `push` of the newer service.
    Push,
    /// `batch`: a push to named users.
    Batch,
    /// Names some of the app's attributes.
    SetAttrName,
    /// The same, in the newer service: with `AttrTypes`.
    SetTypedAttrName,
    /// The app's attributes.
    GetAttrName,
    /// Sets attributes of accounts.
    SetAttr,
    /// The attributes of accounts.
    GetAttr,
    /// Removes attributes of accounts.
    RemoveAttr,
    /// Adds tags to accounts.
    AddTag,
    /// The same, in the newer service: with `Replace`.
    AddOrReplaceTag,
    /// The tags of accounts.
    GetTag,
    /// Removes tags of accounts.
    RemoveTag,
    /// Removes all tags of accounts.
    ClearTags,
    /// Creates an account.
    AccountImport,
    /// Creates accounts.
    MultiaccountImport,
    /// Deletes accounts.
    AccountDelete,
    /// Whether accounts exist.
    AccountCheck,
    /// Makes the UserSigs of an account worthless.
    Kick,
    /// Whether accounts are online.
    QueryOnlineStatus,
    /// The same, as it was called before.
    QueryState,
}

const fn command(path: &'static str, call: Call, calls_per_second: u32) -> Command {
    Command { path, call, calls_per_second }
}

const COMMANDS: &[Command] = &[
    // Pushing to all users is bound by its own quota long before this.
    command("all_member_push/im_push", Call::ImPush, 200),
    command("all_member_push/im_set_attr_name", Call::SetAttrName, 100),
    command("all_member_push/im_get_attr_name", Call::GetAttrName, 100),
    command("all_member_push/im_set_attr", Call::SetAttr, 100),
    command("all_member_push/im_get_attr", Call::GetAttr, 100),
    command("all_member_push/im_remove_attr", Call::RemoveAttr, 100),
    command("all_member_push/im_add_tag", Call::AddTag, 100),
    command("all_member_push/im_get_tag", Call::GetTag, 100),
    command("all_member_push/im_remove_tag", Call::RemoveTag, 100),
    command("all_member_push/im_remove_all_tags", Call::ClearTags, 100),
    command("timpush/push", Call::Push, 200),
    command("timpush/batch", Call::Batch, 30),
    command("timpush/set_attr_name", Call::SetTypedAttrName, 100),
    command("timpush/get_attr_name", Call::GetAttrName, 100),
    command("timpush/set_attr", Call::SetAttr, 100),
    command("timpush/get_attr", Call::GetAttr, 100),
    command("timpush/remove_attr", Call::RemoveAttr, 100),
    command("timpush/add_tag", Call::AddOrReplaceTag, 100),
    command("timpush/get_tag", Call::GetTag, 100),
    command("timpush/remove_tag", Call::RemoveTag, 100),
    command("timpush/clear_all_tags", Call::ClearTags, 100),
    command("im_open_login_svc/account_import", Call::AccountImport, 200),
    command("im_open_login_svc/multiaccount_import", Call::MultiaccountImport, 100),
    command("im_open_login_svc/account_delete", Call::AccountDelete, 100),
    command("im_open_login_svc/account_check", Call::AccountCheck, 100),
    command("im_open_login_svc/kick", Call::Kick, 200),
    command("openim/query_online_status", Call::QueryOnlineStatus, 200),
    command("openim/querystate", Call::QueryState, 200),
];

impl Command {
    /// All commands.
    pub const ALL: &[Self] = COMMANDS;

    /// The command of a URL's path.
    pub fn of(path: &str) -> Option<&'static Self> {
        let path = path.strip_prefix("/v4/")?;
        COMMANDS.iter().find(|command| command.path == path)
    }

    /// How often an app may call it in a second: as its settings say, or else as the contract does.
    pub fn limit(&self, quotas: &Quotas) -> u32 {
        quotas.calls_per_second.get(self.path).copied().unwrap_or(self.calls_per_second)
    }
}

impl Call {
    /// Whether it asks for a push. The others are about the audience.
    pub fn is_push(self) -> bool {
        matches!(self, Self::ImPush | Self::Push | Self::Batch)
    }

    /// The number for a failure of ours: each family of calls has its own.
    pub fn internal(self) -> Code {
        match self {
            Self::AccountImport | Self::MultiaccountImport | Self::AccountDelete | Self::AccountCheck | Self::Kick => {
                Code::AccountInternal
            }
            _ => Code::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_one_path() {
        for command in Command::ALL {
            assert_eq!(Command::of(&format!("/v4/{}", command.path)), Some(command));
            assert_eq!(Command::of(&format!("/v4/{}/", command.path)), None);
        }
        for path in ["/", "", "/v4/", "/v3/timpush/push", "v4/timpush/push", "/v4/timpush"] {
            assert_eq!(Command::of(path), None, "{path}");
        }
    }

    #[test]
    fn an_app_may_have_limits_of_its_own() {
        let command = Command::of("/v4/timpush/batch").unwrap();
        assert_eq!(command.limit(&Quotas::default()), 30);
        let own = Quotas { calls_per_second: [("timpush/batch".to_owned(), 40)].into(), ..Quotas::default() };
        assert_eq!((command.limit(&own), Command::of("/v4/timpush/push").unwrap().limit(&own)), (40, 200));
    }

    #[test]
    fn what_is_ours_fails_with_the_number_of_its_family() {
        assert_eq!(Call::Kick.internal(), Code::AccountInternal);
        assert_eq!(Call::AddTag.internal(), Code::Internal);
        assert!(Call::Batch.is_push() && !Call::GetTag.is_push());
    }
}
