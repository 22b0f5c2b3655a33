//! The calls on accounts: who exists, and whose UserSigs are good.
//!
//! Whatever is wrong with a request, JSON included, is 70402: the only number for it on the pages of these calls.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};

use super::body::{self, Field};
use super::{Code, Error, Reply, terms};
use crate::domain::{Profile, User, UserId, limits};

const PARAMETER: Code = Code::AccountParameter;

/// Accounts to import together, and those of the request that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Those to import, each once.
    pub users: Vec<(UserId, Profile)>,
    failed: Vec<String>,
}

/// The accounts that a call asks about: their names, and which can exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check(Vec<(String, Option<UserId>)>);

/// The accounts to delete: their names, and which can exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion(Vec<(String, Option<UserId>)>);

/// What the service itself says of an account that does not exist.
const NO_ACCOUNT: &str = "Err_TLS_PT_Open_Login_Account_Not_Exist";

/// The account of a name, where a call or a client names just one.
pub fn account(name: &str) -> Result<UserId, Error> {
    terms::account(name).ok_or_else(|| {
        let info = format!("an account has 1 to {} printable ASCII characters", limits::ACCOUNT_BYTES);
        Error::new(PARAMETER, info)
    })
}

/// `account_import`. An edition of 2020 calls the account `Identifier`.
pub fn import(bytes: &[u8]) -> Result<(UserId, Profile), Error> {
    let json = body::parse(bytes, PARAMETER)?;
    let request = Field::root(&json);
    let name = request.member("UserID").or_else(|| request.member("Identifier"));
    let name = name.map_or_else(|| request.required("UserID", PARAMETER), Ok)?;
    let rule = format!("must have 1 to {} printable ASCII characters", limits::ACCOUNT_BYTES);
    let id = terms::account(name.text(PARAMETER)?).ok_or_else(|| name.error(PARAMETER, &rule))?;
    Ok((id, profile(&request)?))
}

/// `multiaccount_import`: names alone (`Accounts`), or with profiles (`AccountList`), or both.
///
/// An account that cannot be imported fails alone. Of one that is named twice, what its profile says last counts.
pub fn import_many(bytes: &[u8]) -> Result<Import, Error> {
    let json = body::parse(bytes, PARAMETER)?;
    let request = Field::root(&json);
    let names = request.member("Accounts").map(|list| list.items(PARAMETER)).transpose()?.unwrap_or_default();
    let described = request.member("AccountList").map(|list| list.items(PARAMETER)).transpose()?.unwrap_or_default();
    check_count(names.len() + described.len(), "Accounts")?;

    let mut wanted: BTreeMap<UserId, Profile> = BTreeMap::new();
    let mut failed = Vec::new();
    let mut want = |name: &str, profile: Result<Profile, Error>| match (terms::account(name), profile) {
        (Some(id), Ok(profile)) => {
            let known = wanted.entry(id).or_default();
            known.nick = profile.nick.or(known.nick.take());
            known.face_url = profile.face_url.or(known.face_url.take());
        }
        _ => failed.push(name.to_owned()),
    };
    for name in names {
        want(name.text(PARAMETER)?, Ok(Profile::default()));
    }
    for entry in described {
        want(entry.required("UserID", PARAMETER)?.text(PARAMETER)?, profile(&entry));
    }
    Ok(Import { users: wanted.into_iter().collect(), failed })
}

/// `account_check`: the accounts that are asked about.
pub fn check(bytes: &[u8]) -> Result<Check, Error> {
    let json = body::parse(bytes, PARAMETER)?;
    Ok(Check(named(&Field::root(&json), "CheckItem")?))
}

/// `account_delete`: the accounts to delete, if the app may.
pub fn delete(bytes: &[u8], is_allowed: bool) -> Result<Deletion, Error> {
    let json = body::parse(bytes, PARAMETER)?;
    if !is_allowed {
        return Err(Error::new(Code::DeletionNotAllowed, "deleting accounts is not switched on for the app"));
    }
    Ok(Deletion(named(&Field::root(&json), "DeleteItem")?))
}

/// `kick`: the account whose UserSigs are to be void.
pub fn kick(bytes: &[u8]) -> Result<UserId, Error> {
    let json = body::parse(bytes, PARAMETER)?;
    account(Field::root(&json).required("UserID", PARAMETER)?.text(PARAMETER)?)
}

/// The answer about an account that does not exist, where a call names just one.
pub fn unknown() -> Error {
    Error::new(Code::UnknownAccount, NO_ACCOUNT)
}

/// The answer about an account that was deleted, and may not come back yet.
pub fn barred() -> Error {
    Error::new(Code::ReimportForbidden, "the account was deleted, and may not come back yet")
}

impl Import {
    /// The answer, once `users` are imported but for those who may not come back yet: a success that names those who
    /// failed.
    pub fn answer(mut self, barred: &[UserId]) -> Reply {
        self.failed.extend(barred.iter().map(UserId::to_string));
        Reply::ok().with("FailAccounts", self.failed)
    }
}

impl Check {
    /// Those of the accounts that can exist.
    pub fn ids(&self) -> Vec<UserId> {
        self.0.iter().filter_map(|(_, id)| id.clone()).collect()
    }

    /// The answer. Of a name that can be no account it is simply true that it is not imported.
    pub fn answer(self, users: &HashMap<UserId, User>) -> Reply {
        let result = |(name, id): (String, Option<UserId>)| {
            let known = id.is_some_and(|id| users.contains_key(&id));
            let status = if known { "Imported" } else { "NotImported" };
            json!({"UserID": name, "ResultCode": 0, "ResultInfo": "", "AccountStatus": status})
        };
        Reply::ok().with("ResultItem", self.0.into_iter().map(result).collect::<Vec<Value>>())
    }
}

impl Deletion {
    /// Those of the accounts that can exist.
    pub fn ids(&self) -> Vec<UserId> {
        self.0.iter().filter_map(|(_, id)| id.clone()).collect()
    }

    /// The answer: which of the accounts were there to be deleted, in the order asked.
    pub fn answer(self, deleted: &HashSet<UserId>) -> Reply {
        let result = |(name, id): (String, Option<UserId>)| {
            let was_there = id.is_some_and(|id| deleted.contains(&id));
            let (code, info) = if was_there { (0, "") } else { (Code::UnknownAccount.number(), NO_ACCOUNT) };
            json!({"UserID": name, "ResultCode": code, "ResultInfo": info})
        };
        Reply::ok().with("ResultItem", self.0.into_iter().map(result).collect::<Vec<Value>>())
    }
}

/// A list of 1 to 100 objects that each name an account.
fn named(request: &Field<'_>, list: &str) -> Result<Vec<(String, Option<UserId>)>, Error> {
    let items = request.required(list, PARAMETER)?.items(PARAMETER)?;
    check_count(items.len(), list)?;
    let name = |item: &Field<'_>| {
        let name = item.required("UserID", PARAMETER)?.text(PARAMETER)?;
        Ok((name.to_owned(), terms::account(name)))
    };
    items.iter().map(name).collect()
}

fn profile(entry: &Field<'_>) -> Result<Profile, Error> {
    let text = |name: &str| {
        let Some(field) = entry.member(name) else { return Ok(None) };
        let text = field.text(PARAMETER)?;
        if text.len() > limits::PROFILE_VALUE_BYTES {
            let fault = format!("must not be longer than {} bytes", limits::PROFILE_VALUE_BYTES);
            return Err(field.error(Code::ProfileTooLong, &fault));
        }
        Ok(Some(text.to_owned()))
    };
    Ok(Profile { nick: text("Nick")?, face_url: text("FaceUrl")? })
}

fn check_count(count: usize, list: &str) -> Result<(), Error> {
    if (1..=limits::ACCOUNTS_PER_REQUEST).contains(&count) {
        return Ok(());
    }
    Err(Error::new(PARAMETER, format!("{list} must have 1 to {} elements", limits::ACCOUNTS_PER_REQUEST)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Ordinal;

    fn id(name: &str) -> UserId {
        UserId::try_from(name).unwrap()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn profile_of(nick: Option<&str>, face_url: Option<&str>) -> Profile {
        Profile { nick: nick.map(str::to_owned), face_url: face_url.map(str::to_owned) }
    }

    #[test]
    fn an_account_comes_with_what_is_known_of_it() {
        let request = json!({"UserID": "test", "Nick": "小明", "FaceUrl": null});
        assert_eq!(import(&bytes(&request)), Ok((id("test"), profile_of(Some("小明"), None))));
        assert_eq!(import(br#"{"Identifier":"test"}"#), Ok((id("test"), Profile::default())));
    }

    #[test]
    fn every_faulty_account_has_its_code() {
        assert!(import(&bytes(&json!({"UserID": "x".repeat(32), "Nick": "x".repeat(500)}))).is_ok());
        for (request, code) in [
            (json!({}), 70402),
            (json!({"UserID": null}), 70402),
            (json!({"UserID": 5}), 70402),
            (json!({"UserID": ""}), 70402),
            (json!({"UserID": "x".repeat(33)}), 70402),
            (json!({"UserID": "tab\t"}), 70402),
            (json!({"UserID": "小明"}), 70402),
            (json!({"UserID": "u", "Nick": 5}), 70402),
            (json!({"UserID": "u", "FaceUrl": "x".repeat(501)}), 40601),
        ] {
            assert_eq!(import(&bytes(&request)).unwrap_err().code.number(), code, "{request}");
        }
        assert_eq!(import(b"").unwrap_err().code.number(), 70402);
    }

    #[test]
    fn accounts_that_cannot_be_imported_fail_alone() {
        let request = json!({"Accounts": ["b", "小明", "a", ""], "AccountList": [
            {"UserID": "a", "Nick": "n"}, {"UserID": "a", "FaceUrl": "f"}, {"UserID": "c", "Nick": "x".repeat(501)}]});
        let import = import_many(&bytes(&request)).unwrap();
        assert_eq!(import.users, [(id("a"), profile_of(Some("n"), Some("f"))), (id("b"), Profile::default())]);
        let reply = import.answer(&[id("b")]).to_json();
        assert_eq!((&reply["ErrorCode"], &reply["FailAccounts"]), (&json!(0), &json!(["小明", "", "c", "b"])));
    }

    #[test]
    fn every_faulty_import_has_its_code() {
        let names = |count: usize| -> Value { (0..count).map(|n| n.to_string()).collect() };
        assert_eq!(import_many(&bytes(&json!({"Accounts": names(100)}))).unwrap().users.len(), 100);
        for request in [
            json!({}),
            json!({"Accounts": []}),
            json!({"Accounts": names(101)}),
            json!({"Accounts": names(60), "AccountList": (0..41).map(|n| json!({"UserID": n.to_string()})).collect::<Value>()}),
            json!({"Accounts": "u"}),
            json!({"Accounts": [5]}),
            json!({"AccountList": ["u"]}),
            json!({"AccountList": [{"Nick": "n"}]}),
        ] {
            assert_eq!(import_many(&bytes(&request)).unwrap_err().code.number(), 70402, "{request}");
        }
    }

    #[test]
    fn accounts_are_imported_or_not() {
        let request = json!({"CheckItem": [{"UserID": "u"}, {"UserID": "gone"}, {"UserID": "小明"}]});
        let check = check(&bytes(&request)).unwrap();
        assert_eq!(check.ids(), [id("u"), id("gone")]);
        let user = User::new(id("u"), Ordinal(0), Profile::default());
        let reply = check.answer(&HashMap::from([(id("u"), user)])).to_json();
        let item = |name: &str, status: &str| json!({"UserID": name, "ResultCode": 0, "ResultInfo": "", "AccountStatus": status});
        let expected = [item("u", "Imported"), item("gone", "NotImported"), item("小明", "NotImported")];
        assert_eq!(reply["ResultItem"], json!(expected));
    }

    #[test]
    fn every_faulty_check_has_its_code() {
        let items = |count: usize| -> Value { (0..count).map(|n| json!({"UserID": n.to_string()})).collect() };
        assert!(check(&bytes(&json!({"CheckItem": items(100)}))).is_ok());
        for request in [
            json!({}),
            json!({"CheckItem": []}),
            json!({"CheckItem": items(101)}),
            json!({"CheckItem": ["u"]}),
            json!({"CheckItem": [{"UserID": 5}]}),
        ] {
            assert_eq!(check(&bytes(&request)).unwrap_err().code.number(), 70402, "{request}");
        }
    }

    #[test]
    fn accounts_are_deleted_or_were_not_there() {
        let request = json!({"DeleteItem": [{"UserID": "u"}, {"UserID": "小明"}, {"UserID": "gone"}, {"UserID": "u"}]});
        let deletion = delete(&bytes(&request), true).unwrap();
        assert_eq!(deletion.ids(), [id("u"), id("gone"), id("u")]);
        let reply = deletion.answer(&HashSet::from([id("u")])).to_json();
        let item = |name: &str, code: u32, info: &str| json!({"UserID": name, "ResultCode": code, "ResultInfo": info});
        let unknown = |name: &str| item(name, 70107, "Err_TLS_PT_Open_Login_Account_Not_Exist");
        let expected = [item("u", 0, ""), unknown("小明"), unknown("gone"), item("u", 0, "")];
        assert_eq!((&reply["ErrorCode"], &reply["ResultItem"]), (&json!(0), &json!(expected)));
    }

    #[test]
    fn every_faulty_deletion_has_its_code() {
        let items = |count: usize| -> Value { (0..count).map(|n| json!({"UserID": n.to_string()})).collect() };
        assert!(delete(&bytes(&json!({"DeleteItem": items(100)})), true).is_ok());
        for request in [
            json!({}),
            json!({"DeleteItem": []}),
            json!({"DeleteItem": items(101)}),
            json!({"DeleteItem": "u"}),
            json!({"DeleteItem": ["u"]}),
            json!({"DeleteItem": [{"UserID": "u"}, {"UserID": 5}]}),
        ] {
            assert_eq!(delete(&bytes(&request), true).unwrap_err().code.number(), 70402, "{request}");
            assert_eq!(
                delete(&bytes(&request), false).unwrap_err().code.number(),
                71000,
                "the feature before the fields"
            );
        }
        assert_eq!(delete(b"{", false).unwrap_err().code.number(), 70402, "the JSON before the feature");
    }

    #[test]
    fn one_account_is_kicked() {
        assert_eq!(kick(br#"{"UserID":"u"}"#), Ok(id("u")));
        for request in [json!({}), json!({"UserID": 5}), json!({"UserID": ""}), json!({"UserID": ["u"]})] {
            assert_eq!(kick(&bytes(&request)).unwrap_err().code.number(), 70402, "{request}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(import(&bytes).is_err());
            prop_assert!(import_many(&bytes).is_err());
            prop_assert!(check(&bytes).is_err());
            prop_assert!(delete(&bytes, true).is_err());
            prop_assert!(kick(&bytes).is_err());
        }
    }
}
