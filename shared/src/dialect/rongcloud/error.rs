//! The contract's error numbers, and the HTTP status of each.

use std::fmt;

use http::StatusCode;

use crate::dialect::field::Fault;
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

    /// A call that failed here.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "internal error: try again")
    }

    /// A call that took too long here. What it asked for may have been done.
    pub fn too_slow() -> Self {
        Self::new(Code::Timeout, "it took too long here, and may have been done: try again")
    }
}

impl Fault for Code {
    type Error = Error;

    fn of(self, info: String) -> Error {
        Error::new(self, info)
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $status:literal),+ $(,)?) => {
        /// An error number of the contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name = $number),+
        }

        impl Code {
            /// All that are used, by number.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The HTTP status that goes with it ("Server status codes"; 430 is the contract's own).
            pub fn status(self) -> StatusCode {
                let status: u16 = match self {
                    $(Self::$name => $status),+
                };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    };
}

codes! {
    /// There is no such path.
    NotFound = 404, 404,
    /// The path is there, but not with this method.
    MethodNotAllowed = 405, 405,
    /// The call failed here: it may be tried again.
    Internal = 1000, 500,
    /// The app has no secret to check signatures with.
    NoSecret = 1001, 401,
    /// A parameter is missing or malformed, or there is no such app.
    Parameter = 1002, 400,
    /// There is no body.
    NoBody = 1003, 400,
    /// The request was not signed with the app's secret.
    Signature = 1004, 401,
    /// A parameter is longer than it may be.
    TooLong = 1005, 400,
    /// More calls than the app may make.
    TooFrequent = 1008, 429,
    /// The service is not switched on for the app.
    NotEnabled = 1009, 430,
    /// The call took too long here: what it asked for may have been done.
    Timeout = 1050, 504,
}

impl Code {
    /// The number, as `code` carries it.
    pub const fn number(self) -> u32 {
        self as u32
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
    fn codes_stand_in_the_order_of_their_numbers_each_with_its_status() {
        assert!(Code::ALL.is_sorted());
        let statuses: Vec<u16> = Code::ALL.iter().map(|code| code.status().as_u16()).collect();
        assert_eq!(statuses, [404, 405, 500, 401, 400, 400, 401, 400, 429, 430, 504]);
    }

    #[test]
    fn every_code_is_explained_with_its_status_and_no_other_is() {
        let page = include_str!("../../../../docs/ERRORS.md");
        let table = page.split("\n## ").find(|part| part.starts_with("Numbers of RongCloud's contract")).unwrap();
        let numbers = table.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ").map(str::parse);
            Some((cells.next()?.ok()?, cells.next()?.ok()?))
        });
        let explained: Vec<(u32, u32)> = numbers.collect();
        let used = Code::ALL.iter().map(|code| (code.number(), u32::from(code.status().as_u16())));
        assert_eq!(explained, used.collect::<Vec<_>>());
    }
}
