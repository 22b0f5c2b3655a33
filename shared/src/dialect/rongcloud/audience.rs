//! `platform` and `audience`: the users that a push is for, and which of their devices.

use std::collections::BTreeSet;

use super::body::{said, text, texts};
use super::names::{not_longer, tag, users};
use super::{Code, Error, custom};
use crate::dialect::field::Field;
use crate::domain::{Condition, DeviceFilter, Platform, Term, UserId, limits};

/// Users that `userid` may name.
const USERS: usize = 1_000;
/// Tags in `tag`, and in `tag_or`.
const TAGS: usize = 20;

/// The users that a push is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Users {
    /// All of the app's.
    Everyone,
    /// Those who are named.
    Named(BTreeSet<UserId>),
    /// Those whose tags satisfy a condition.
    Matching(Condition),
}

/// Whom a push is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receivers {
    /// The users.
    pub users: Users,
    /// Which of their devices.
    pub devices: DeviceFilter,
}

impl Receivers {
    /// Reads `platform` and `audience` of a request.
    ///
    /// What takes precedence is the contract's: `is_to_all` over everything but `platform`, `userid` over everything
    /// else, `platform` included. What is overruled is not looked at, so that it may be anything: the contract's own
    /// example has all of it at once.
    ///
    /// # Errors
    ///
    /// 1002 for what is missing, malformed or too many, 1005 for a tag that is too long. Among what is missing is a
    /// criterion: an `audience` that asks nothing and does not say `is_to_all` could only mean everyone by mistake.
    pub(super) fn read(request: &Field<'_>) -> Result<Self, Error> {
        let audience = audience(request)?;
        if let Some(everyone) = Self::everyone(request, &audience)? {
            return Ok(everyone);
        }
        let named = texts(&audience, "userid", USERS)?;
        if !named.is_empty() {
            return Ok(Self::named(users(&named)?));
        }
        Self::matching(request, &audience, condition(&audience)?)
    }

    /// Reads `platform` and `audience` of a request of Push Plus, which knows no `userid`. A `tagItems` that says
    /// something overrules `tag` and `tag_or`.
    ///
    /// # Errors
    ///
    /// The same.
    pub(super) fn read_custom(request: &Field<'_>) -> Result<Self, Error> {
        let audience = audience(request)?;
        if let Some(everyone) = Self::everyone(request, &audience)? {
            return Ok(everyone);
        }
        let items = custom::tag_items(&audience)?;
        let condition = if items.is_some() { items } else { condition(&audience)? };
        Self::matching(request, &audience, condition)
    }

    /// All devices of users who are named.
    pub(super) fn named(users: BTreeSet<UserId>) -> Self {
        Self { users: Users::Named(users), devices: DeviceFilter::default() }
    }

    fn everyone(request: &Field<'_>, audience: &Field<'_>) -> Result<Option<Self>, Error> {
        if !is_to_all(audience)? {
            return Ok(None);
        }
        let devices = DeviceFilter { platforms: platforms(request)?, package: None };
        Ok(Some(Self { users: Users::Everyone, devices }))
    }

    fn matching(request: &Field<'_>, audience: &Field<'_>, condition: Option<Condition>) -> Result<Self, Error> {
        let package = text(audience, "packageName")?;
        if let Some(package) = package {
            // No device has a longer one.
            not_longer("audience.packageName", package, limits::PACKAGE_BYTES)?;
        }
        let package = package.map(str::to_owned);
        let devices = DeviceFilter { platforms: platforms(request)?, package };
        let users = match condition {
            Some(condition) => Users::Matching(condition),
            // Whoever has the package: that is a criterion too, though one of devices.
            None if devices.package.is_some() => Users::Everyone,
            None => {
                let fault = "asks nothing: to push to everyone, is_to_all must be true";
                return Err(audience.error(Code::Parameter, fault));
            }
        };
        Ok(Self { users, devices })
    }
}

fn audience<'a>(request: &Field<'a>) -> Result<Field<'a>, Error> {
    let audience = request.required("audience", Code::Parameter)?;
    audience.members(Code::Parameter)?;
    Ok(audience)
}

fn is_to_all(audience: &Field<'_>) -> Result<bool, Error> {
    match audience.member("is_to_all") {
        None => Ok(false),
        Some(flag) => flag.value.as_bool().ok_or_else(|| flag.error(Code::Parameter, "must be true or false")),
    }
}

/// The platforms, compared without case: the pages write `iOS`, the SDKs `ios`.
fn platforms(request: &Field<'_>) -> Result<BTreeSet<Platform>, Error> {
    if said(request, "platform").is_none() {
        return Err(Error::new(Code::Parameter, "platform must name at least one of ios and android"));
    }
    let platform = |(field, name): &(Field<'_>, &str)| match name.to_ascii_lowercase().as_str() {
        "ios" => Ok(Platform::Ios),
        "android" => Ok(Platform::Android),
        "harmonyos" => Ok(Platform::Harmony),
        _ => Err(field.error(Code::Parameter, "must be ios, android or HarmonyOS")),
    };
    texts(request, "platform", usize::MAX)?.iter().map(platform).collect()
}

/// All of `tag`, and any of `tag_or`.
fn condition(audience: &Field<'_>) -> Result<Option<Condition>, Error> {
    let mut parts = terms(audience, "tag")?;
    let any = terms(audience, "tag_or")?;
    if !any.is_empty() {
        parts.push(Condition::Any(any));
    }
    Ok((!parts.is_empty()).then_some(Condition::All(parts)))
}

/// The tags of a list, each as a condition.
pub(super) fn terms(parent: &Field<'_>, name: &str) -> Result<Vec<Condition>, Error> {
    let tags = texts(parent, name, TAGS)?;
    tags.iter().map(|(field, text)| Ok(Condition::Term(Term::Tag(tag(&field.path, text)?)))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::Tag;

    fn read(platform: Value, audience: Value) -> Result<Receivers, Error> {
        Receivers::read(&Field::root(&json!({"platform": platform, "audience": audience})))
    }

    fn term(name: &str) -> Condition {
        Condition::Term(Term::Tag(Tag::try_from(name.to_owned()).unwrap()))
    }

    fn users(audience: Value) -> Users {
        read(json!(["ios"]), audience).unwrap().users
    }

    #[test]
    fn everyone_takes_precedence_and_then_those_who_are_named() {
        let all = json!({"tag": ["female", "young"], "tag_or": ["Beijing"], "userid": ["123"], "is_to_all": true,
            "packageName": "p"});
        let receivers = read(json!(["iOS", "Android"]), all.clone()).unwrap();
        assert_eq!(receivers.users, Users::Everyone);
        let platforms = BTreeSet::from([Platform::Ios, Platform::Android]);
        assert_eq!(receivers.devices, DeviceFilter { platforms, package: None });

        let mut named = all;
        named["is_to_all"] = false.into();
        // `platform` is overruled too, whatever it says.
        let receivers = read(json!(["symbian"]), named).unwrap();
        let id = UserId::try_from("123").unwrap();
        assert_eq!(receivers, Receivers { users: Users::Named([id].into()), devices: DeviceFilter::default() });
    }

    #[test]
    fn tags_and_package_must_all_be_right() {
        let any = Condition::Any(vec![term("c"), term("d")]);
        for (audience, condition) in [
            (json!({"tag": ["a", "b"]}), vec![term("a"), term("b")]),
            (json!({"tag_or": ["c", "d"], "tag": null, "userid": []}), vec![any.clone()]),
            (json!({"tag": ["a"], "tag_or": ["c", "d"], "packageName": ""}), vec![term("a"), any]),
        ] {
            assert_eq!(users(audience.clone()), Users::Matching(Condition::All(condition)), "{audience}");
        }
        let receivers = read(json!(["ANDROID"]), json!({"is_to_all": false, "packageName": "p"})).unwrap();
        let devices = DeviceFilter { platforms: [Platform::Android].into(), package: Some("p".to_owned()) };
        assert_eq!(receivers, Receivers { users: Users::Everyone, devices });
    }

    #[test]
    fn every_faulty_audience_has_its_code() {
        let many = |count: usize| -> Value { (0..count).map(|n| n.to_string()).collect() };
        assert!(read(json!(["ios"]), json!({"userid": many(1_000)})).is_ok());
        assert!(read(json!(["ios"]), json!({"tag": many(20), "tag_or": many(20)})).is_ok());
        assert!(read(json!(["ios"]), json!({"tag": ["é".repeat(20)]})).is_ok());
        for (platform, audience, code) in [
            (json!(["ios"]), Value::Null, 1002),
            (json!(["ios"]), json!("all"), 1002),
            (json!(["ios"]), json!({}), 1002),
            (json!(["ios"]), json!({"is_to_all": false}), 1002),
            (json!(["ios"]), json!({"is_to_all": "true"}), 1002),
            (json!(["ios"]), json!({"userid": many(1_001)}), 1002),
            (json!(["ios"]), json!({"userid": [5]}), 1002),
            (json!(["ios"]), json!({"userid": [""]}), 1002),
            (json!(["ios"]), json!({"userid": ["x".repeat(65)]}), 1005),
            (json!(["ios"]), json!({"tag": many(21)}), 1002),
            (json!(["ios"]), json!({"tag_or": many(21)}), 1002),
            (json!(["ios"]), json!({"tag": "a"}), 1002),
            (json!(["ios"]), json!({"tag": [""]}), 1002),
            (json!(["ios"]), json!({"tag": ["é".repeat(25) + "x"]}), 1005),
            (json!(["ios"]), json!({"packageName": 5}), 1002),
            (json!(["ios"]), json!({"packageName": "x".repeat(129)}), 1005),
            (json!([]), json!({"is_to_all": true}), 1002),
            (Value::Null, json!({"tag": ["a"]}), 1002),
            (json!("ios"), json!({"tag": ["a"]}), 1002),
            (json!(["ios", "symbian"]), json!({"tag": ["a"]}), 1002),
            (json!([5]), json!({"tag": ["a"]}), 1002),
        ] {
            assert_eq!(
                read(platform.clone(), audience.clone()).unwrap_err().code.number(),
                code,
                "{platform} {audience}"
            );
        }
    }
}
