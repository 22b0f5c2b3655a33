//! Reading the members of an `OfflinePushInfo` and of the objects in it: each is optional, and each has its values.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::super::body::Field;
use super::super::{Code, Error};

const CODE: Code = Code::OfflinePushInfo;

/// One of those objects. A member that is `null` or an empty text is absent: clients that know no absent texts send it so.
pub(super) struct Members<'a>(Field<'a>);

impl<'a> Members<'a> {
    pub(super) fn of(field: Field<'a>) -> Result<Self, Error> {
        field.members(CODE)?;
        Ok(Self(field))
    }

    pub(super) fn given(&self, name: &str) -> Option<Field<'a>> {
        self.0.member(name).filter(|member| member.value.as_str() != Some(""))
    }

    /// A member that must be there.
    pub(super) fn required(&self, name: &str) -> Result<Field<'a>, Error> {
        match self.given(name) {
            Some(member) => Ok(member),
            None => Err(self.0.error(CODE, &format!("needs {name}"))),
        }
    }

    /// An error about the object as a whole.
    pub(super) fn error(&self, fault: &str) -> Error {
        self.0.error(CODE, fault)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(member) = self.given(name) else { return Ok(None) };
        Ok(Some(member.text(CODE)?.to_owned()))
    }

    /// An address of which the page says that it must be of this scheme.
    pub(super) fn https(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let is_https = text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        let is_address = text.len() > 8 && !text.contains(|char: char| char.is_whitespace() || char.is_control());
        if is_https && is_address { Ok(Some(text)) } else { self.fault(name, "must be an https:// address") }
    }

    pub(super) fn number(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Error> {
        let Some(member) = self.given(name) else { return Ok(None) };
        let number = member.integer(CODE)?;
        if range.contains(&number) {
            return Ok(Some(number));
        }
        Err(member.error(CODE, &format!("must be {} to {}", range.start(), range.end())))
    }

    /// 1 for yes; 0 or absent for no.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Error> {
        Ok(self.code(name, &[(0, false), (1, true)])?.unwrap_or(false))
    }

    /// A number that stands for something.
    pub(super) fn code<T: Copy>(&self, name: &str, codes: &[(i64, T)]) -> Result<Option<T>, Error> {
        let Some(member) = self.given(name) else { return Ok(None) };
        let number = member.integer(CODE)?;
        match codes.iter().find(|(code, _)| *code == number) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => Err(member.error(CODE, &format!("must be {}", listed(codes.iter().map(|(code, _)| code))))),
        }
    }

    /// The same, where the number may come as a text.
    pub(super) fn code_or_text<T: Copy>(&self, name: &str, codes: &[(i64, T)]) -> Result<Option<T>, Error> {
        let Some(text) = self.given(name).and_then(|member| member.value.as_str()) else {
            return self.code(name, codes);
        };
        match codes.iter().find(|(code, _)| code.to_string() == text) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => self.fault(name, &format!("must be {}", listed(codes.iter().map(|(code, _)| code)))),
        }
    }

    /// A word that stands for something, in either case.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(member) = self.given(name) else { return Ok(None) };
        let text = member.text(CODE)?;
        match words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => Err(member.error(CODE, &format!("must be {}", listed(words.iter().map(|(word, _)| word))))),
        }
    }

    /// An object whose members are the caller's own; an absent one is empty.
    pub(super) fn object(&self, name: &str) -> Result<Map<String, Value>, Error> {
        let Some(member) = self.given(name) else { return Ok(Map::new()) };
        member.members(CODE)?;
        Ok(member.value.as_object().cloned().unwrap_or_default())
    }

    /// An object with members of the contract's.
    pub(super) fn part(&self, name: &str) -> Result<Option<Members<'a>>, Error> {
        self.given(name).map(Members::of).transpose()
    }

    /// An error about a member that is there.
    pub(super) fn fault<T>(&self, name: &str, fault: &str) -> Result<T, Error> {
        Err(self.required(name)?.error(CODE, fault))
    }
}

/// "1, 2 or 16".
fn listed<T: ToString>(values: impl Iterator<Item = T>) -> String {
    let mut values: Vec<String> = values.map(|value| value.to_string()).collect();
    let last = values.pop().unwrap_or_default();
    if values.is_empty() { last } else { format!("{} or {last}", values.join(", ")) }
}
