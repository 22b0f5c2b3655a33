//! Identifiers, and a user's place in the index.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that cannot be the identifier it was given as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct InvalidId {
    what: &'static str,
    rule: &'static str,
}

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { what: $what, rule: $rule })
                }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;

            fn try_from(text: &str) -> Result<Self, InvalidId> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A tenant. It opens every key of the tenant's items, so it never holds the separator `#`.
    AppId,
    "an app id",
    "1 to 32 characters of A-Z a-z 0-9 _ -",
    |text| (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
);

text_id!(
    /// An account of an app, as the app's own server names it. Dialects narrow this further.
    UserId,
    "a user id",
    "1 to 64 bytes without control characters",
    |text| (1..=64).contains(&text.len()) && !text.chars().any(char::is_control)
);

text_id!(
    /// One installation of an app on one device, named by the app and stable while it stays installed.
    DeviceId,
    "a device id",
    "1 to 64 characters of A-Z a-z 0-9 . _ -",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);

text_id!(
    /// One open socket, as API Gateway names it.
    ConnectionId,
    "a connection id",
    "1 to 128 printable characters",
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);

/// One accepted push. Later pushes sort after earlier ones.
///
/// Written as 22 base-62 digits, the length of the ids that RongCloud answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PushId(u128);

impl PushId {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const LENGTH: usize = 22;

    /// A new id, unlike any other.
    pub fn generate() -> Self {
        Self(Uuid::now_v7().as_u128())
    }

    /// The id as a number.
    pub fn as_u128(self) -> u128 {
        self.0
    }

    /// The id that [`as_u128`](Self::as_u128) gave.
    pub fn from_u128(number: u128) -> Self {
        Self(number)
    }
}

impl fmt::Display for PushId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut digits = [b'0'; Self::LENGTH];
        for digit in digits.iter_mut().rev() {
            *digit = Self::DIGITS[(rest % 62) as usize];
            rest /= 62;
        }
        digits.iter().try_for_each(|&digit| fmt::Write::write_char(f, char::from(digit)))
    }
}

impl TryFrom<String> for PushId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        let invalid = || InvalidId { what: "a push id", rule: "22 base-62 digits" };
        if text.len() != Self::LENGTH {
            return Err(invalid());
        }
        text.bytes()
            .try_fold(0_u128, |number, byte| {
                let digit = Self::DIGITS.iter().position(|&digit| digit == byte)?;
                number.checked_mul(62)?.checked_add(digit as u128)
            })
            .map(Self)
            .ok_or_else(invalid)
    }
}

impl From<PushId> for String {
    fn from(id: PushId) -> String {
        id.to_string()
    }
}

/// A push's number within its app: 1, 2, 3 … in the order of acceptance. Clients acknowledge by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The number of the push after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A user's dense number in its app, counted from 0 and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ordinal(pub u32);

impl Ordinal {
    /// The shard that the user is in.
    pub fn shard(self) -> Shard {
        Shard((self.0 >> 16) as u16)
    }

    /// The block, within its shard, that the user is in.
    pub fn block(self) -> Block {
        Block((self.0 >> 8) as u8)
    }

    /// The user's place within its block.
    pub fn bit(self) -> u8 {
        self.0 as u8
    }

    /// The user's place within its shard.
    pub fn low(self) -> u16 {
        self.0 as u16
    }
}

/// 65,536 consecutive ordinals: what one task holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shard(pub u16);

impl Shard {
    /// How many ordinals a shard spans.
    pub const SIZE: u32 = 65_536;

    /// The shards of a population, from the first to the last.
    pub fn of_population(population: u32) -> impl Iterator<Item = Shard> {
        (0..population.div_ceil(Self::SIZE)).map(|shard| Shard(shard as u16))
    }

    /// The ordinal at a place within the shard.
    pub fn ordinal(self, low: u16) -> Ordinal {
        Ordinal(u32::from(self.0) << 16 | u32::from(low))
    }
}

/// 256 consecutive ordinals within a shard: one index item a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Block(pub u8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_ids_survive_their_text_and_sort_by_age() {
        let first = PushId::generate();
        let second = PushId::generate();
        assert!(first < second);
        assert!(first.to_string() < second.to_string());
        assert_eq!(first.to_string().len(), 22);
        assert_eq!(PushId::try_from(first.to_string()), Ok(first));
        assert_eq!(PushId::try_from(PushId(u128::MAX).to_string()), Ok(PushId(u128::MAX)));
    }

    #[test]
    fn a_text_that_is_no_push_id_is_refused() {
        for text in ["", "0", "zzzzzzzzzzzzzzzzzzzzzz", "000000000000000000000!"] {
            assert!(PushId::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn an_app_id_cannot_hold_the_separator_of_keys() {
        assert!(AppId::try_from("a#u").is_err());
        assert!(AppId::try_from("1400000000").is_ok());
    }

    #[test]
    fn an_ordinal_splits_into_shard_block_and_bit() {
        let ordinal = Ordinal(0x0003_0A07);
        assert_eq!((ordinal.shard(), ordinal.block(), ordinal.bit()), (Shard(3), Block(0x0A), 7));
        assert_eq!(ordinal.shard().ordinal(ordinal.low()), ordinal);
    }

    #[test]
    fn a_population_has_as_many_shards_as_it_fills() {
        assert_eq!(Shard::of_population(0).count(), 0);
        assert_eq!(Shard::of_population(1).count(), 1);
        assert_eq!(Shard::of_population(65_536).count(), 1);
        assert_eq!(Shard::of_population(65_537).count(), 2);
    }
}
