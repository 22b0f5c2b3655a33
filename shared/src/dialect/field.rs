//! Reading a request's JSON, one field at a time, each with the error that the dialect has for it.
//!
//! Three habits of real clients are let pass everywhere: a member that is `null` is absent (clients in Go), an empty
//! object may come as `[]` (clients in PHP), and unknown members are ignored.

use serde_json::Value;

/// What a dialect calls a fault in a request: its number.
pub(in crate::dialect) trait Fault {
    /// The failure of a call.
    type Error;

    /// The failure, with its sentence.
    fn of(self, info: String) -> Self::Error;
}

/// A value, and where in the request it stands: errors say so.
#[derive(Debug, Clone)]
pub(in crate::dialect) struct Field<'a> {
    pub path: String,
    pub value: &'a Value,
}

impl<'a> Field<'a> {
    /// The whole body.
    pub fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    /// An error about this field: its path, and `fault`, such as "must be a string".
    pub fn error<C: Fault>(&self, code: C, fault: &str) -> C::Error {
        code.of(format!("{} {fault}", self.path))
    }

    pub fn text<C: Fault>(&self, code: C) -> Result<&'a str, C::Error> {
        self.value.as_str().ok_or_else(|| self.error(code, "must be a string"))
    }

    pub fn integer<C: Fault>(&self, code: C) -> Result<i64, C::Error> {
        // What is beyond 64 bits is an integer all the same, and out of whatever range there is.
        let beyond = |number: f64| (number.abs() >= i64::MAX as f64).then_some(number as i64);
        let integer = self.value.as_i64().or_else(|| self.value.as_f64().and_then(beyond));
        integer.ok_or_else(|| self.error(code, "must be an integer"))
    }

    /// The elements of an array.
    pub fn items<C: Fault>(&self, code: C) -> Result<Vec<Field<'a>>, C::Error> {
        let items = self.value.as_array().ok_or_else(|| self.error(code, "must be an array"))?;
        let item = |(index, value)| Field { path: format!("{}[{index}]", self.path), value };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The members of an object. Those that are `null` are among them: what they mean depends on the object.
    pub fn members<C: Fault>(&self, code: C) -> Result<Vec<(&'a str, Field<'a>)>, C::Error> {
        let members = match self.value {
            Value::Object(members) => members.iter(),
            Value::Array(items) if items.is_empty() => return Ok(Vec::new()),
            _ => return Err(self.error(code, "must be an object")),
        };
        let member =
            |(name, value): (&'a String, &'a Value)| (name.as_str(), Field { path: self.path_of(name), value });
        Ok(members.map(member).collect())
    }

    /// A member of an object, if it is there and not `null`.
    pub fn member(&self, name: &str) -> Option<Field<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Field { path: self.path_of(name), value })
    }

    /// A member that must be there.
    pub fn required<C: Fault>(&self, name: &str, code: C) -> Result<Field<'a>, C::Error> {
        let is_object = matches!(self.value, Value::Object(_)) || self.value.as_array().is_some_and(Vec::is_empty);
        if !is_object {
            return Err(self.error(code, "must be an object"));
        }
        self.member(name).ok_or_else(|| code.of(format!("{} is missing", self.path_of(name))))
    }

    /// A member that is 0 or 1; 0 if it is absent.
    pub fn flag<C: Fault>(&self, name: &str, code: C) -> Result<bool, C::Error> {
        let Some(field) = self.member(name) else { return Ok(false) };
        match field.value.as_u64() {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(field.error(code, "must be 0 or 1")),
        }
    }

    fn path_of(&self, member: &str) -> String {
        if self.path.is_empty() { member.to_owned() } else { format!("{}.{member}", self.path) }
    }
}
