//! The calls on tags and attributes: what is true of users.
//!
//! A call either is malformed and does nothing, or succeeds and names, in `ErrorList`, the accounts that it did nothing for.
//! The pages of these calls document no partial failure; those of the same calls of the newer push service do.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::body::{self, Field};
use super::{Code, Error, Refusal, Reply, criteria, terms};
use crate::domain::{AttributeNames, AttributeSlot, Edit, EditError, NameError, Tag, User, UserId, limits};

/// What a call changes: of each account it names, and which of them can be no account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edits {
    /// The changes, in the order of the request. An account may occur several times.
    pub edits: Vec<(UserId, Edit)>,
    refused: Vec<Refusal>,
}

/// The accounts that a call asks about, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// Those that may exist.
    pub ids: Vec<UserId>,
    refused: Vec<Refusal>,
}

/// `im_set_attr_name`: names for some of the app's attributes; the others keep theirs.
///
/// A PHP client sends the ten numbers 0, 1, 2 … as an array. A number beyond them and a name that is no text are 90033.
pub fn set_attribute_names(bytes: &[u8]) -> Result<BTreeMap<AttributeSlot, String>, Error> {
    let json = body::parse(bytes, Code::Json)?;
    attribute_names_of(&Field::root(&json))
}

/// `set_attr_name` of the newer service. Its `AttrTypes` says of each number whose attribute it is: 0, that of accounts, is
/// what there is. 1, that of devices by their registration ids, is refused: there is no user of that kind here.
pub fn set_typed_attribute_names(bytes: &[u8]) -> Result<BTreeMap<AttributeSlot, String>, Error> {
    let json = body::parse(bytes, Code::Json)?;
    let request = Field::root(&json);
    let names = attribute_names_of(&request)?;
    if let Some(types) = request.member("AttrTypes") {
        for (_, kind) in by_slot(&types, Code::Attribute)? {
            match kind.value.as_u64() {
                Some(0) => {}
                Some(1) => {
                    return Err(kind.error(Code::Attribute, "must be 0: registration ids have no attributes here"));
                }
                _ => return Err(kind.error(Code::Attribute, "must be 0")),
            }
        }
    }
    Ok(names)
}

fn attribute_names_of(request: &Field<'_>) -> Result<BTreeMap<AttributeSlot, String>, Error> {
    let list = request.required("AttrNames", Code::Json)?;
    let named = by_slot(&list, Code::Json)?;
    if named.is_empty() {
        return Err(list.error(Code::Json, "must not be empty"));
    }
    named.into_iter().map(|(slot, name)| Ok((slot, name.text(Code::Attribute)?.to_owned()))).collect()
}

/// What an object, or an array, says of attributes by their numbers.
fn by_slot<'a>(list: &Field<'a>, not_a_list: Code) -> Result<Vec<(AttributeSlot, Field<'a>)>, Error> {
    let named: Vec<(String, Field<'_>)> = if list.value.is_array() {
        let items = list.items(not_a_list)?.into_iter().enumerate();
        items.map(|(number, value)| (number.to_string(), value)).collect()
    } else {
        list.members(not_a_list)?.into_iter().map(|(number, value)| (number.to_owned(), value)).collect()
    };
    let slot = |(number, value): (String, Field<'a>)| {
        let slot = AttributeSlot::all().find(|slot| slot.to_string() == number);
        slot.map(|slot| (slot, value.clone()))
            .ok_or_else(|| value.error(Code::Attribute, "is none of the attributes 0 to 9"))
    };
    named.into_iter().map(slot).collect()
}

/// The answer to `im_set_attr_name`.
pub fn attribute_names_set(result: Result<AttributeNames, NameError>) -> Reply {
    match result {
        Ok(_) => Reply::ok(),
        Err(error) => Error::new(Code::Attribute, error.to_string()).into(),
    }
}

/// `im_get_attr_name`: asks nothing more.
pub fn get_attribute_names(bytes: &[u8]) -> Result<(), Error> {
    body::parse(bytes, Code::Json).map(drop)
}

/// The answer to `im_get_attr_name`: the attributes that have a name.
pub fn attribute_names(names: &AttributeNames) -> Reply {
    let names: Map<String, Value> = names.iter().map(|(slot, name)| (slot.to_string(), name.into())).collect();
    Reply::ok().with("AttrNames", names)
}

/// `im_set_attr`: values for some attributes of each account; the others stay.
pub fn set_attributes(bytes: &[u8], names: &AttributeNames) -> Result<Edits, Error> {
    edits(bytes, ["UserAttrs", "Attrs"], |entry| {
        let attributes = entry.required("Attrs", Code::Attribute)?.members(Code::Attribute)?;
        let value = |(name, value): (&str, Field<'_>)| {
            Ok((criteria::slot(names, name, &value.path)?, terms::attribute_value(&value)?))
        };
        Ok(Edit::SetAttributes(attributes.into_iter().map(value).collect::<Result<_, Error>>()?))
    })
}

/// `im_remove_attr`: attributes, by name, that each account is to have no more.
pub fn remove_attributes(bytes: &[u8], names: &AttributeNames) -> Result<Edits, Error> {
    edits(bytes, ["UserAttrs", "Attrs"], |entry| {
        let attributes = entry.required("Attrs", Code::Attribute)?.items(Code::Attribute)?;
        let slot = |name: &Field<'_>| criteria::slot(names, name.text(Code::Attribute)?, &name.path);
        Ok(Edit::RemoveAttributes(attributes.iter().map(slot).collect::<Result<_, Error>>()?))
    })
}

/// `im_add_tag`: up to ten tags to add to each account.
pub fn add_tags(bytes: &[u8]) -> Result<Edits, Error> {
    edits(bytes, ["UserTags", "Tags"], |entry| Ok(Edit::AddTags(tags(entry, limits::TAGS_PER_REQUEST)?)))
}

/// `add_tag` of the newer service: the same, or with `Replace` 1 up to a hundred tags in place of all that each account has.
/// No tags then take away all.
pub fn add_or_replace_tags(bytes: &[u8]) -> Result<Edits, Error> {
    let json = body::parse(bytes, Code::Json)?;
    if !Field::root(&json).flag("Replace", Code::Json)? {
        return add_tags(bytes);
    }
    edits(bytes, ["UserTags", "Tags"], |entry| Ok(Edit::ReplaceTags(tags(entry, limits::TAGS_PER_USER)?)))
}

/// `im_remove_tag`: tags that each account is to have no more. As many may be named as an account may have.
pub fn remove_tags(bytes: &[u8]) -> Result<Edits, Error> {
    edits(bytes, ["UserTags", "Tags"], |entry| Ok(Edit::RemoveTags(tags(entry, limits::TAGS_PER_USER)?)))
}

/// `im_remove_all_tags`.
pub fn remove_all_tags(bytes: &[u8]) -> Result<Edits, Error> {
    let Accounts { ids, refused } = accounts(bytes)?;
    Ok(Edits { edits: ids.into_iter().map(|id| (id, Edit::ClearTags)).collect(), refused })
}

/// `im_get_attr`, `im_get_tag`: the accounts that are asked about.
pub fn accounts(bytes: &[u8]) -> Result<Accounts, Error> {
    let json = body::parse(bytes, Code::Json)?;
    let list = Field::root(&json).required("To_Account", Code::ToAccount)?;
    Accounts::read(&terms::account_list(&list, Code::ToAccount)?)
}

impl Edits {
    /// The answer, once the changes were made except those of the accounts in `refused`.
    ///
    /// Tencent documents no number for the tag beyond an account's hundred: it is 90032, which stands for too many tags
    /// elsewhere.
    pub fn answer(self, refused: Vec<(UserId, EditError)>) -> Reply {
        let refusal = |(id, error): (UserId, EditError)| match error {
            EditError::UnknownUser => Refusal::unknown(id),
            EditError::TooManyTags => {
                Refusal { account: id.into(), error: Error::new(Code::TooManyTags, error.to_string()) }
            }
        };
        Reply::ok().with_refusals(&self.refused.into_iter().chain(refused.into_iter().map(refusal)).collect::<Vec<_>>())
    }
}

impl Accounts {
    /// Reads names of accounts, each once.
    pub(super) fn read(items: &[Field<'_>]) -> Result<Self, Error> {
        let mut seen = BTreeSet::new();
        let mut accounts = Self { ids: Vec::new(), refused: Vec::new() };
        for item in items {
            let name = item.text(Code::ToAccount)?;
            if !seen.insert(name) {
                continue;
            }
            match terms::account(name) {
                Some(id) => accounts.ids.push(id),
                None => accounts.refused.push(Refusal::unknown(name)),
            }
        }
        Ok(accounts)
    }

    /// Those who do not exist, as a lookup found.
    pub fn refusals(&self, users: &HashMap<UserId, User>) -> Vec<Refusal> {
        let unknown = self.ids.iter().filter(|id| !users.contains_key(*id)).map(|id| Refusal::unknown(id.clone()));
        self.refused.iter().cloned().chain(unknown).collect()
    }

    /// The answer to `im_get_attr`: each known account with its attributes, by name.
    pub fn attributes(self, users: &HashMap<UserId, User>, names: &AttributeNames) -> Reply {
        self.answer("UserAttrs", users, |user| {
            let named =
                user.attributes.iter().filter_map(|(slot, value)| Some((names.name_of(*slot)?, value.as_str())));
            let attributes: Map<String, Value> = named.map(|(name, value)| (name.to_owned(), value.into())).collect();
            json!({"To_Account": user.id, "Attrs": attributes})
        })
    }

    /// The answer to `im_get_tag`: each known account with its tags.
    pub fn tags(self, users: &HashMap<UserId, User>) -> Reply {
        self.answer("UserTags", users, |user| json!({"To_Account": user.id, "Tags": user.tags}))
    }

    fn answer(self, member: &str, users: &HashMap<UserId, User>, tell: impl Fn(&User) -> Value) -> Reply {
        let told: Vec<Value> = self.ids.iter().filter_map(|id| users.get(id)).map(tell).collect();
        Reply::ok().with(member, told).with_refusals(&self.refusals(users))
    }
}

/// Reads a list of accounts with what is to change of each. The list has a name, and a second one by which a client in Go
/// sends it.
fn edits(
    bytes: &[u8],
    [name, other_name]: [&str; 2],
    edit: impl Fn(&Field<'_>) -> Result<Edit, Error>,
) -> Result<Edits, Error> {
    let json = body::parse(bytes, Code::Json)?;
    let request = Field::root(&json);
    let list = request.member(name).or_else(|| request.member(other_name));
    let list = list.map_or_else(|| request.required(name, Code::Json), Ok)?;
    let mut edits = Edits { edits: Vec::new(), refused: Vec::new() };
    for entry in terms::account_list(&list, Code::Json)? {
        let account = entry.required("To_Account", Code::ToAccount)?.text(Code::ToAccount)?;
        let edit = edit(&entry)?;
        match terms::account(account) {
            Some(id) => edits.edits.push((id, edit)),
            None => edits.refused.push(Refusal::unknown(account)),
        }
    }
    Ok(edits)
}

/// Up to `most` tags. A tag that stands twice is let pass, because it is then added or removed once.
fn tags(entry: &Field<'_>, most: usize) -> Result<Vec<Tag>, Error> {
    let list = entry.required("Tags", Code::Json)?;
    let items = list.items(Code::Json)?;
    if items.len() > most {
        return Err(list.error(Code::TooManyTags, &format!("must not have more than {most} tags")));
    }
    items.iter().map(terms::tag).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{AttributeValue, Ordinal, Profile};

    fn slot(number: u8) -> AttributeSlot {
        AttributeSlot::try_from(number).unwrap()
    }

    fn names() -> AttributeNames {
        let names = BTreeMap::from([(slot(0), "sex".to_owned()), (slot(7), "city".to_owned())]);
        AttributeNames::default().named(names).unwrap()
    }

    fn id(name: &str) -> UserId {
        UserId::try_from(name).unwrap()
    }

    fn tag(name: &str) -> Tag {
        Tag::try_from(name.to_owned()).unwrap()
    }

    fn value(text: &str) -> AttributeValue {
        AttributeValue::try_from(text.to_owned()).unwrap()
    }

    fn user(name: &str) -> User {
        let mut user = User::new(id(name), Ordinal(0), Profile::default());
        user.tags = vec![tag("b"), tag("a")];
        user.attributes = BTreeMap::from([(slot(7), value("Shenzhen")), (slot(3), value("of no name"))]);
        user
    }

    fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> u32 {
        result.unwrap_err().code.number()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    #[test]
    fn names_come_as_an_object_or_as_an_array() {
        let expected = BTreeMap::from([(slot(0), "sex".to_owned()), (slot(1), "city".to_owned())]);
        assert_eq!(set_attribute_names(br#"{"AttrNames":{"0":"sex","1":"city"}}"#), Ok(expected.clone()));
        assert_eq!(set_attribute_names(br#"{"AttrNames":["sex","city"]}"#), Ok(expected));
    }

    #[test]
    fn every_faulty_name_has_its_code() {
        for (request, expected) in [
            (json!({}), 90001),
            (json!({"AttrNames": {}}), 90001),
            (json!({"AttrNames": []}), 90001),
            (json!({"AttrNames": "sex"}), 90001),
            (json!({"AttrNames": {"10": "sex"}}), 90033),
            (json!({"AttrNames": {"00": "sex"}}), 90033),
            (json!({"AttrNames": {"-1": "sex"}}), 90033),
            (json!({"AttrNames": {"0": 5}}), 90033),
            (json!({"AttrNames": {"0": null}}), 90033),
            (json!({"AttrNames": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]}), 90033),
        ] {
            assert_eq!(code(set_attribute_names(&bytes(&request))), expected, "{request}");
        }
        let taken = names().named(BTreeMap::from([(slot(1), "city".to_owned())]));
        let reply = attribute_names_set(taken).to_json();
        assert_eq!(
            (&reply["ErrorCode"], &reply["ErrorInfo"]),
            (&json!(90033), &json!("attrName:city already exists at index:1"))
        );
        assert_eq!(attribute_names_set(Ok(names())), Reply::ok());
    }

    #[test]
    fn names_are_told_by_number() {
        assert_eq!(attribute_names(&names()).to_json()["AttrNames"], json!({"0": "sex", "7": "city"}));
        assert_eq!(get_attribute_names(b"[]"), Ok(()));
        assert_eq!(code(get_attribute_names(b"")), 90001);
    }

    #[test]
    fn attributes_go_to_their_slots() {
        let expected = [(id("u"), Edit::SetAttributes(BTreeMap::from([(slot(0), value("f")), (slot(7), value("é"))])))];
        for list in ["UserAttrs", "Attrs"] {
            let request = json!({ list: [{"To_Account": "u", "Attrs": {"sex": "f", "city": "é"}}] });
            assert_eq!(set_attributes(&bytes(&request), &names()).unwrap().edits, expected);
        }
        let request = json!({"UserAttrs": [{"To_Account": "u", "Attrs": ["city", "city"]}]});
        let expected = [(id("u"), Edit::RemoveAttributes(BTreeSet::from([slot(7)])))];
        assert_eq!(remove_attributes(&bytes(&request), &names()).unwrap().edits, expected);
    }

    #[test]
    fn every_faulty_attribute_has_its_code() {
        let (fits, too_long) = ("é".repeat(25), "é".repeat(25) + "x");
        let set = |attributes: Value| {
            let request = json!({"UserAttrs": [{"To_Account": "u", "Attrs": attributes}]});
            set_attributes(&bytes(&request), &names())
        };
        assert!(set(json!({"city": fits})).is_ok());
        for attributes in [
            json!({"city": too_long}),
            json!({"city": ""}),
            json!({"city": 5}),
            json!({"city": null}),
            json!({"town": "x"}),
            json!(["city"]),
            json!(null),
        ] {
            assert_eq!(code(set(attributes.clone())), 90033, "{attributes}");
        }
        for attributes in [json!(["town"]), json!([5]), json!({"city": "x"}), json!(null)] {
            let request = json!({"UserAttrs": [{"To_Account": "u", "Attrs": attributes}]});
            assert_eq!(code(remove_attributes(&bytes(&request), &names())), 90033, "{attributes}");
        }
    }

    #[test]
    fn tags_are_read_up_to_their_limits() {
        let tags = |count: usize| -> Value { (0..count).map(|n| n.to_string()).collect() };
        let request = |tags: Value| bytes(&json!({"UserTags": [{"To_Account": "u", "Tags": tags}]}));
        for (list, expected) in [
            (tags(11), 90032),
            (json!(["é".repeat(25) + "x"]), 90020),
            (json!([""]), 90040),
            (json!([null]), 90040),
            (json!([5]), 90001),
            (json!("a"), 90001),
            (json!(null), 90001),
        ] {
            assert_eq!(code(add_tags(&request(list.clone()))), expected, "{list}");
        }
        assert!(add_tags(&request(json!(["é".repeat(25)]))).is_ok());
        assert!(add_tags(&request(tags(10))).is_ok());
        assert!(remove_tags(&request(tags(100))).is_ok());
        assert_eq!(code(remove_tags(&request(tags(101)))), 90032);
        let twice = add_tags(br#"{"Tags":[{"To_Account":"u","Tags":["a","a"]}]}"#).unwrap().edits;
        assert_eq!(twice, [(id("u"), Edit::AddTags(vec![tag("a"), tag("a")]))]);
    }

    #[test]
    fn types_of_attributes_are_those_of_accounts() {
        let request = |types: Value| bytes(&json!({"AttrNames": {"0": "sex", "7": "city"}, "AttrTypes": types}));
        let expected = BTreeMap::from([(slot(0), "sex".to_owned()), (slot(7), "city".to_owned())]);
        for types in [json!(null), json!({}), json!([]), json!([0, 0]), json!({"0": 0, "9": 0})] {
            assert_eq!(set_typed_attribute_names(&request(types.clone())), Ok(expected.clone()), "{types}");
        }
        for types in
            [json!({"0": 1}), json!({"0": 2}), json!({"0": "0"}), json!({"0": null}), json!({"10": 0}), json!("0")]
        {
            assert_eq!(code(set_typed_attribute_names(&request(types.clone()))), 90033, "{types}");
            assert_eq!(set_attribute_names(&request(types)), Ok(expected.clone()), "the older call knows no types");
        }
        assert_eq!(code(set_typed_attribute_names(br#"{"AttrTypes":{}}"#)), 90001);
    }

    #[test]
    fn tags_are_added_or_replaced() {
        let tags = |count: usize| -> Vec<Tag> { (0..count).map(|n| tag(&n.to_string())).collect() };
        let request = |replace: Value, tags: &[Tag]| {
            bytes(&json!({"Replace": replace, "UserTags": [{"To_Account": "u", "Tags": tags}]}))
        };
        let read = |replace, count| add_or_replace_tags(&request(replace, &tags(count))).map(|edits| edits.edits);
        for replace in [json!(null), json!(0)] {
            assert_eq!(read(replace.clone(), 10), Ok(vec![(id("u"), Edit::AddTags(tags(10)))]));
            assert_eq!(code(read(replace, 11)), 90032);
        }
        for count in [0, 11, 100] {
            assert_eq!(read(json!(1), count), Ok(vec![(id("u"), Edit::ReplaceTags(tags(count)))]));
        }
        assert_eq!(code(read(json!(1), 101)), 90032);
        for replace in [json!(2), json!("1"), json!(true), json!(-1)] {
            assert_eq!(code(read(replace, 1)), 90001);
        }
        let older = add_tags(&request(json!(1), &tags(1))).unwrap().edits;
        assert_eq!(older, [(id("u"), Edit::AddTags(tags(1)))], "the older call knows no Replace");
    }

    #[test]
    fn every_faulty_list_of_accounts_has_its_code() {
        let hundred: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let more: Vec<String> = (0..101).map(|n| n.to_string()).collect();
        let entries = |accounts: &[String]| -> Value {
            accounts.iter().map(|account| json!({"To_Account": account, "Tags": ["a"]})).collect()
        };
        assert_eq!(accounts(&bytes(&json!({"To_Account": hundred}))).unwrap().ids.len(), 100);
        assert_eq!(add_tags(&bytes(&json!({"UserTags": entries(&hundred)}))).unwrap().edits.len(), 100);
        for (request, expected) in [
            (json!({"To_Account": more}), 90018),
            (json!({"To_Account": []}), 90001),
            (json!({"To_Account": "u"}), 90003),
            (json!({"To_Account": [5]}), 90003),
            (json!({"To_Account": null}), 90003),
        ] {
            assert_eq!(code(accounts(&bytes(&request))), expected, "{request}");
            assert_eq!(code(remove_all_tags(&bytes(&request))), expected, "{request}");
        }
        for (request, expected) in [
            (json!({"UserTags": entries(&more)}), 90018),
            (json!({"UserTags": []}), 90001),
            (json!({"UserTags": {"To_Account": "u"}}), 90001),
            (json!({"UserTags": null}), 90001),
            (json!({"UserTags": [5]}), 90003),
            (json!({"UserTags": [{"Tags": ["a"]}]}), 90003),
            (json!({"UserTags": [{"To_Account": ["u"], "Tags": ["a"]}]}), 90003),
        ] {
            assert_eq!(code(add_tags(&bytes(&request))), expected, "{request}");
        }
    }

    #[test]
    fn a_name_that_can_be_no_account_is_refused_like_an_unknown_one() {
        let asked = accounts(&bytes(&json!({"To_Account": ["u", "小明", "u", "gone", ""]}))).unwrap();
        assert_eq!(asked.ids, [id("u"), id("gone")]);
        let reply = asked.tags(&HashMap::from([(id("u"), user("u"))])).to_json();
        assert_eq!(reply["UserTags"], json!([{"To_Account": "u", "Tags": ["b", "a"]}]));
        let refused: Vec<_> =
            reply["ErrorList"].as_array().unwrap().iter().map(|refusal| &refusal["To_Account"]).collect();
        assert_eq!((&reply["ErrorCode"], json!(refused)), (&json!(0), json!(["小明", "", "gone"])));
    }

    #[test]
    fn attributes_are_told_by_name() {
        let asked = accounts(br#"{"To_Account":["u"]}"#).unwrap();
        let reply = asked.attributes(&HashMap::from([(id("u"), user("u"))]), &names()).to_json();
        assert_eq!(reply["UserAttrs"], json!([{"To_Account": "u", "Attrs": {"city": "Shenzhen"}}]));
        assert_eq!(reply.get("ErrorList"), None);
    }

    #[test]
    fn accounts_that_were_not_changed_are_named() {
        let edits = remove_all_tags(&bytes(&json!({"To_Account": ["u", "x".repeat(33)]}))).unwrap();
        assert_eq!(edits.edits, [(id("u"), Edit::ClearTags)]);
        let reply = edits.answer(vec![(id("u"), EditError::TooManyTags), (id("v"), EditError::UnknownUser)]).to_json();
        let codes: Vec<_> =
            reply["ErrorList"].as_array().unwrap().iter().map(|refusal| &refusal["ErrorCode"]).collect();
        assert_eq!((&reply["ActionStatus"], json!(codes)), (&json!("OK"), json!([70107, 90032, 70107])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(set_attribute_names(&bytes).is_err());
            prop_assert!(set_attributes(&bytes, &names()).is_err());
            prop_assert!(add_tags(&bytes).is_err());
            prop_assert!(accounts(&bytes).is_err());
        }
    }
}
