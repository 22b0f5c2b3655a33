//! The contract's error numbers.

use std::fmt;

use crate::dialect::sentence::sentence;

/// A call that failed: the contract's number for it, and what was wrong and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {info}")]
pub struct Error {
    /// The number.
    pub code: Code,
    /// A sentence for the developer who called.
    pub info: String,
}

impl Error {
    /// A failure with its sentence.
    pub fn new(code: Code, info: impl Into<String>) -> Self {
        Self { code, info: sentence(info.into()) }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal),+ $(,)?) => {
        /// An error number of the contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name = $number),+
        }

        impl Code {
            /// All that are used, by number.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

codes! {
    /// A profile value is longer than 500 bytes.
    ProfileTooLong = 40601,

    /// More calls a second than the app may make.
    TooFrequent = 60007,
    /// The path or the method is none of the contract's.
    UnknownResource = 60009,
    /// The caller is not one of the app's administrators.
    NotAdmin = 60010,
    /// The URL does not say which app.
    SdkAppIdMissing = 60012,
    /// A URL parameter is missing or malformed.
    UrlParameter = 60025,

    /// The UserSig has expired.
    UserSigExpired = 70001,
    /// The UserSig is empty.
    UserSigEmpty = 70002,
    /// The UserSig cannot be decoded.
    UserSigMalformed = 70003,
    /// The UserSig was not signed with the app's key.
    UserSigForged = 70009,
    /// The UserSig is another user's.
    UserSigOfAnotherUser = 70013,
    /// The UserSig is another app's.
    UserSigOfAnotherApp = 70014,
    /// The app has no key to verify UserSigs with.
    NoKey = 70016,
    /// There is no such app.
    UnknownApp = 70020,
    /// Too many UserSigs of this caller were not good: it waits a minute.
    TooManyFailures = 70050,
    /// There is no such account.
    UnknownAccount = 70107,
    /// The account was deleted, and may not come back yet.
    ReimportForbidden = 70399,
    /// A parameter of an account call is missing or malformed.
    AccountParameter = 70402,
    /// An account call failed here: it may be tried again.
    AccountInternal = 70500,

    /// The app may not delete accounts.
    DeletionNotAllowed = 71000,

    /// The request's body is longer than the service reads.
    BodyTooLong = 80002,

    /// The body is not JSON, or a field is not of its type.
    Json = 90001,
    /// `MsgBody` is missing, or one of its elements is none.
    MsgBody = 90002,
    /// `To_Account` is missing or malformed.
    ToAccount = 90003,
    /// `MsgRandom` is missing or no 32-bit unsigned integer.
    MsgRandom = 90005,
    /// `MsgBody` is not an array.
    MsgBodyNotArray = 90007,
    /// `From_Account` can be no account.
    FromAccount = 90008,
    /// A service wants an administrator (the gateway says [`NotAdmin`](Self::NotAdmin) before it comes to that).
    AdminNeeded = 90009,
    /// The content of a message element does not fit its type.
    MsgContent = 90010,
    /// More accounts than a question about online states, or a push to named users, may name.
    TooManyTargets = 90011,
    /// More accounts than a request may name.
    TooManyAccounts = 90018,
    /// A tag is longer than 50 bytes.
    TagTooLong = 90020,
    /// A condition names a tag twice.
    TagRepeated = 90022,
    /// The push came too soon after the one before it.
    PushTooSoon = 90024,
    /// `MsgLifeTime` is negative or longer than seven days.
    MsgLifeTime = 90026,
    /// More tags than a condition, a request or a user may have.
    TooManyTags = 90032,
    /// An attribute is unknown, or its name or value malformed.
    Attribute = 90033,
    /// A condition mixes tags and attributes.
    TagsAndAttributes = 90039,
    /// A tag is empty, or a condition names nothing at all.
    TagEmpty = 90040,
    /// `OfflinePushInfo` is malformed.
    OfflinePushInfo = 90043,
    /// `MsgLifeTime` is not an integer.
    MsgLifeTimeType = 90044,
    /// Pushing to all users is not switched on for the app.
    PushNotEnabled = 90045,
    /// The day's pushes are used up.
    PushQuota = 90047,
    /// An account that the message names does not exist.
    AccountNotFound = 90048,
    /// `DataId` is longer than 64 bytes.
    DataIdTooLong = 90057,
    /// The call failed here: it may be tried again.
    Internal = 91000,
    /// The message is longer than 12 KB.
    MessageTooLong = 93000,
}

impl Code {
    /// The number, as `ErrorCode` carries it.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Whether it says that whoever calls brought a wrong UserSig: what is counted until the caller is locked out.
    pub fn is_wrong_user_sig(self) -> bool {
        matches!(
            self,
            Self::UserSigExpired
                | Self::UserSigEmpty
                | Self::UserSigMalformed
                | Self::UserSigForged
                | Self::UserSigOfAnotherUser
                | Self::UserSigOfAnotherApp
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_in_the_order_of_their_numbers() {
        assert!(Code::ALL.is_sorted());
        assert_eq!(Code::Json.number(), 90001);
        assert_eq!(Error::new(Code::NotAdmin, "no").to_string(), "60010: no");
    }

    #[test]
    fn every_code_is_explained_and_no_other_is() {
        let page = include_str!("../../../../docs/ERRORS.md");
        let first_cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        let mut explained: Vec<u32> =
            first_cells.filter(|cell| cell.len() == 5).filter_map(|cell| cell.parse().ok()).collect();
        explained.sort_unstable();
        assert_eq!(explained, Code::ALL.iter().map(|code| code.number()).collect::<Vec<_>>());
    }

    #[test]
    fn only_what_the_bearer_did_wrong_is_counted() {
        let counted: Vec<u32> =
            Code::ALL.iter().filter(|code| code.is_wrong_user_sig()).map(|code| code.number()).collect();
        // Neither that the app has no key, nor what the caller may not do once it is proven.
        assert_eq!(counted, [70001, 70002, 70003, 70009, 70013, 70014]);
    }
}
