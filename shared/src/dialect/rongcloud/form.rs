//! Bodies that are forms: most of the contract's.

use percent_encoding::percent_decode;

use super::{Code, Error};
use crate::domain::limits;

/// The fields of a form, in the order of the request.
///
/// The SDK for Python does not escape what it sends (`userIds=u 2`, `objectName=RC:TxtMsg`): a reader of forms takes
/// those as they are, so nothing is to be done for it but to refuse nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// 1003 when there is none, 1005 when it is longer than is read, 1002 when some of it is no UTF-8: a reader of forms
    /// replaces what it cannot read, and two users whose ids are in another encoding would be one.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Err(Error::new(Code::NoBody, "there is no body"));
        }
        if bytes.len() > limits::REQUEST_BYTES {
            return Err(Error::new(Code::TooLong, format!("the body is longer than {} bytes", limits::REQUEST_BYTES)));
        }
        if percent_decode(bytes).decode_utf8().is_err() {
            return Err(Error::new(Code::Parameter, "the body must be UTF-8, escaped or not"));
        }
        let fields = form_urlencoded::parse(bytes);
        Ok(Self(fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }

    /// A field, if it is there and not empty. Of a name that stands twice the first counts.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// A field that must be there.
    ///
    /// # Errors
    ///
    /// 1002 when it is not.
    pub fn required(&self, name: &str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| Error::new(Code::Parameter, format!("{name} is missing")))
    }

    /// All values of a name that may stand several times.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All fields, with their names, in the order of the request.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A field that is 0 or 1; absent it is 0.
    ///
    /// # Errors
    ///
    /// 1002 when it is another.
    pub fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(_) => Err(Error::new(Code::Parameter, format!("{name} must be 0 or 1"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        Form::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn escaped_or_not_a_form_says_the_same() {
        for text in ["userIds=u1&userIds=u 2&x=RC:TxtMsg", "userIds=u1&userIds=u+2&x=RC%3ATxtMsg"] {
            assert_eq!(form(text).all("userIds").collect::<Vec<_>>(), ["u1", "u 2"]);
            assert_eq!(form(text).get("x"), Some("RC:TxtMsg"));
        }
    }

    #[test]
    fn what_is_empty_is_absent() {
        let form = form("a=&b=1&b=2&c");
        assert_eq!((form.get("a"), form.get("b"), form.get("c"), form.get("d")), (None, Some("1"), None, None));
        assert_eq!(form.required("a").unwrap_err(), Error::new(Code::Parameter, "a is missing"));
    }

    #[test]
    fn flags_are_zero_or_one() {
        let form = form("yes=1&no=False&odd=2");
        assert_eq!((form.flag("yes"), form.flag("no"), form.flag("absent")), (Ok(true), Ok(false), Ok(false)));
        assert_eq!(form.flag("odd").unwrap_err().code, Code::Parameter);
    }

    #[test]
    fn no_body_and_one_too_long_have_their_codes() {
        assert_eq!(Form::parse(b"").unwrap_err().code, Code::NoBody);
        assert_eq!(Form::parse(&vec![b'a'; limits::REQUEST_BYTES + 1]).unwrap_err().code, Code::TooLong);
        assert!(Form::parse(b"\xc3\xa9=%zz&&=%C3%A9").is_ok());
        for foreign in [&b"a=\xff"[..], b"a=%ff", b"a=%C4%E3", b"%fe=a", b"a=\xc3&b=%A9"] {
            assert_eq!(Form::parse(foreign).unwrap_err().code, Code::Parameter);
        }
    }
}
