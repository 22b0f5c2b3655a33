//! Reading a request's body.

use serde_json::{Map, Value};

use super::{Code, Error};
use crate::dialect::field::Fault;
pub(super) use crate::dialect::field::Field;
use crate::domain::limits;

/// The text that the service itself answers to a body that is not JSON. What is wrong with it comes after.
const UNREADABLE: &str = "Fail to Parse json data of body, Please check it";

impl Fault for Code {
    type Error = Error;

    fn of(self, info: String) -> Error {
        Error::new(self, info)
    }
}

/// A request's body: a JSON object. Anything else, and nothing, is refused with `unreadable`, and so is one that is too deep.
pub(super) fn parse(bytes: &[u8], unreadable: Code) -> Result<Value, Error> {
    if bytes.len() > limits::REQUEST_BYTES {
        let info = format!("the body is longer than {} bytes", limits::REQUEST_BYTES);
        return Err(Error::new(Code::BodyTooLong, info));
    }
    let why_not = |reason: &str| Error::new(unreadable, format!("{UNREADABLE}: {reason}"));
    if bytes.is_empty() {
        return Err(why_not("it is empty, and an empty object is {}"));
    }
    let body = match serde_json::from_slice(bytes) {
        Ok(object @ Value::Object(_)) => object,
        Ok(Value::Array(items)) if items.is_empty() => Value::Object(Map::new()),
        Ok(_) => return Err(why_not("it is no object")),
        // What the parser says of JSON of any kind has places in it, and nothing of the body.
        Err(error) => return Err(why_not(&error.to_string())),
    };
    if levels(&body) > limits::REQUEST_LEVELS {
        let info = format!("the body has lists and objects more than {} levels deep", limits::REQUEST_LEVELS);
        return Err(Error::new(unreadable, info));
    }
    Ok(body)
}

/// How deep lists and objects stand in each other. The parser lets no more than 127 levels through.
fn levels(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_object_is_unreadable() {
        let deep = "[".repeat(100_000);
        let bodies: [&[u8]; 11] = [
            b"",
            b" ",
            b"{",
            b"null",
            b"3",
            b"\"x\"",
            b"[1]",
            b"{}{}",
            b"{\"a\":1e999}",
            b"{\"a\":\"\xff\"}",
            deep.as_bytes(),
        ];
        for body in bodies {
            let error = parse(body, Code::Json).unwrap_err();
            assert!(
                error.code == Code::Json
                    && error.info.starts_with("Fail to Parse json data of body, Please check it: ")
            );
        }
        assert_eq!(parse(b"x", Code::AccountParameter).unwrap_err().code, Code::AccountParameter);
    }

    #[test]
    fn an_empty_array_is_an_empty_object() {
        assert_eq!(parse(b"[]", Code::Json), Ok(json!({})));
        assert_eq!(parse(b" { } ", Code::Json), Ok(json!({})));
    }

    #[test]
    fn a_body_beyond_the_limit_is_not_read() {
        let body = |length: usize| format!("{{}}{}", " ".repeat(length - 2)).into_bytes();
        assert!(parse(&body(limits::REQUEST_BYTES), Code::Json).is_ok());
        assert_eq!(parse(&body(limits::REQUEST_BYTES + 1), Code::Json).unwrap_err().code, Code::BodyTooLong);
    }

    #[test]
    fn a_body_is_read_up_to_its_deepest_level() {
        for (lists, is_read) in [(limits::REQUEST_LEVELS - 1, true), (limits::REQUEST_LEVELS, false), (126, false)] {
            let body = format!("{{\"a\":1,\"b\":{}{}}}", "[".repeat(lists), "]".repeat(lists));
            let read = parse(body.as_bytes(), Code::AccountParameter);
            assert_eq!(read.is_ok(), is_read, "{lists}");
            let error = read.err().map(|error| (error.code, error.info));
            let info = "the body has lists and objects more than 64 levels deep".to_owned();
            assert_eq!(error, (!is_read).then_some((Code::AccountParameter, info)));
        }
    }

    #[test]
    fn an_integer_may_be_larger_than_any_that_is_counted_with() {
        for (text, integer) in [
            ("5", Some(5)),
            ("-5", Some(-5)),
            ("18446744073709551615", Some(i64::MAX)),
            ("1000000000000000000000000000000", Some(i64::MAX)),
            ("-9223372036854775809", Some(i64::MIN)),
            ("1.5", None),
            ("1.0", None),
            ("\"5\"", None),
            ("null", None),
        ] {
            let value = serde_json::from_str(text).unwrap();
            assert_eq!(Field { path: "N".to_owned(), value: &value }.integer(Code::Json).ok(), integer, "{text}");
        }
    }

    #[test]
    fn errors_say_where() {
        let body = json!({"A": [{"B": 3}], "N": null});
        let element = &Field::root(&body).required("A", Code::Json).unwrap().items(Code::Json).unwrap()[0];
        let error = element.member("B").unwrap().text(Code::Json).unwrap_err();
        assert_eq!(error.info, "A[0].B must be a string");
        assert_eq!(element.required("C", Code::Json).unwrap_err().info, "A[0].C is missing");
        assert_eq!(Field::root(&body).required("N", Code::Json).unwrap_err().info, "N is missing");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(value) = parse(&bytes, Code::Json) {
                prop_assert!(value.is_object());
            }
        }
    }
}
