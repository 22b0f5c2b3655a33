//! Bodies that are JSON, and the habits of those who send them: `""`, `[]` and `null` are absent (clients in Go).

use serde_json::Value;

use super::{Code, Error};
use crate::dialect::field::Field;
use crate::domain::limits;

/// A request's body: a JSON object.
///
/// # Errors
///
/// 1003 when there is none, 1005 when it is longer than is read, 1002 when it is anything else.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Error> {
    if bytes.is_empty() {
        return Err(Error::new(Code::NoBody, "there is no body"));
    }
    if bytes.len() > limits::REQUEST_BYTES {
        return Err(Error::new(Code::TooLong, format!("the body is longer than {} bytes", limits::REQUEST_BYTES)));
    }
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    value.filter(Value::is_object).ok_or_else(|| Error::new(Code::Parameter, "the body must be a JSON object"))
}

/// A member that says something.
pub(super) fn said<'a>(parent: &Field<'a>, name: &str) -> Option<Field<'a>> {
    parent.member(name).filter(|member| match member.value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    })
}

/// A text that says something.
pub(super) fn text<'a>(parent: &Field<'a>, name: &str) -> Result<Option<&'a str>, Error> {
    said(parent, name).map(|member| member.text(Code::Parameter)).transpose()
}

/// A text of a list, each with its place; none, if the list says nothing.
pub(super) fn texts<'a>(parent: &Field<'a>, name: &str, most: usize) -> Result<Vec<(Field<'a>, &'a str)>, Error> {
    let Some(list) = said(parent, name) else { return Ok(Vec::new()) };
    let items = list.items(Code::Parameter)?;
    if items.len() > most {
        return Err(list.error(Code::Parameter, &format!("must not have more than {most} elements")));
    }
    items.into_iter().map(|item| item.text(Code::Parameter).map(|text| (item.clone(), text))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_object_has_its_code() {
        for (bytes, code) in [
            (&b""[..], 1003),
            (b" ", 1002),
            (b"[]", 1002),
            (b"{", 1002),
            (b"\xff", 1002),
            (&vec![b' '; limits::REQUEST_BYTES + 1], 1005),
        ] {
            assert_eq!(parse(bytes).unwrap_err().code.number(), code);
        }
        assert_eq!(parse(b"{}"), Ok(json!({})));
    }

    #[test]
    fn null_and_what_is_empty_are_absent() {
        let value = json!({"a": null, "b": "", "c": [], "d": "x", "e": ["x", "y"], "f": 0, "g": [1]});
        let root = Field::root(&value);
        for name in ["a", "b", "c", "z"] {
            assert!(said(&root, name).is_none(), "{name}");
            assert_eq!(texts(&root, name, 1).unwrap().len(), 0);
        }
        assert!(said(&root, "f").is_some());
        assert_eq!(text(&root, "d"), Ok(Some("x")));
        assert_eq!(text(&root, "f").unwrap_err().info, "f must be a string");
        assert_eq!(texts(&root, "e", 2).unwrap().len(), 2);
        assert_eq!(texts(&root, "e", 1).unwrap_err().code, Code::Parameter);
        assert_eq!(texts(&root, "g", 1).unwrap_err().info, "g[0] must be a string");
    }
}
