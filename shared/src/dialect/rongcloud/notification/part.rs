//! Reading an object of a notification, one member at a time.

use serde_json::{Map, Value};

use super::super::body::{said, text};
use super::super::{Code, Error};
use crate::dialect::field::Field;

/// An object of a notification, or the lack of one: that says nothing.
pub(in crate::dialect::rongcloud) struct Part<'a>(Option<Field<'a>>);

impl<'a> Part<'a> {
    /// An object. `[]` is an empty one.
    pub fn of(field: Field<'a>) -> Result<Self, Error> {
        field.members(Code::Parameter)?;
        Ok(Self(Some(field)))
    }

    /// One that is not there.
    pub const fn absent() -> Self {
        Self(None)
    }

    /// An object in this one.
    pub fn part(&self, name: &str) -> Result<Part<'a>, Error> {
        self.0.as_ref().and_then(|field| said(field, name)).map_or(Ok(Part(None)), Part::of)
    }

    /// A text that says something.
    pub fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(field) = &self.0 else { return Ok(None) };
        Ok(text(field, name)?.map(str::to_owned))
    }

    /// The address of a picture, of which the page says that it must be https.
    pub fn https(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let is_https = text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        let is_address = text.len() > 8 && !text.contains(|char: char| char.is_whitespace() || char.is_control());
        if is_https && is_address { Ok(Some(text)) } else { self.fault(name, "must be an https:// address") }
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Error> {
        self.said(name).map(|member| member.integer(Code::Parameter)).transpose()
    }

    /// 1 for yes; 0 or absent for no.
    pub fn flag(&self, name: &str) -> Result<bool, Error> {
        self.0.as_ref().map_or(Ok(false), |field| field.flag(name, Code::Parameter))
    }

    /// The caller's own data.
    pub fn object(&self, name: &str) -> Result<Map<String, Value>, Error> {
        let Some(member) = self.said(name) else { return Ok(Map::new()) };
        member.members(Code::Parameter)?;
        Ok(member.value.as_object().cloned().unwrap_or_default())
    }

    /// The elements of a list.
    pub fn items(&self, name: &str) -> Result<Vec<Field<'a>>, Error> {
        self.said(name).map_or(Ok(Vec::new()), |member| member.items(Code::Parameter))
    }

    /// One of a few words, whatever its case. A word that is a number may come as one.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(member) = self.said(name) else { return Ok(None) };
        let word = match member.value {
            Value::String(word) => word.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        if let Some((_, choice)) = choices.iter().find(|(known, _)| known.eq_ignore_ascii_case(&word)) {
            return Ok(Some(*choice));
        }
        let known: Vec<&str> = choices.iter().map(|(known, _)| *known).collect();
        Err(member.error(Code::Parameter, &format!("must be one of {}", known.join(", "))))
    }

    /// An error about a member.
    pub fn fault<T>(&self, name: &str, fault: &str) -> Result<T, Error> {
        self.failed(Code::Parameter, name, fault)
    }

    /// An error about a member, of another kind.
    pub fn failed<T>(&self, code: Code, name: &str, fault: &str) -> Result<T, Error> {
        let member = self.0.as_ref().and_then(|field| field.member(name));
        Err(member.map_or_else(|| Error::new(code, format!("{name} {fault}")), |member| member.error(code, fault)))
    }

    fn said(&self, name: &str) -> Option<Field<'a>> {
        said(self.0.as_ref()?, name)
    }
}
