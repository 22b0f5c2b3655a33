//! Tags, attribute values and accounts: the rules that hold wherever a call names them.

use super::body::Field;
use super::{Code, Error};
use crate::domain::{AttributeValue, InvalidTerm, Tag, UserId, limits};

/// A tag. `null` and an empty one have a number of their own.
///
/// One that is too long is 90020, as the page of the push says; the general tables give 90034 for the same.
pub(super) fn tag(field: &Field<'_>) -> Result<Tag, Error> {
    if field.value.is_null() {
        return Err(field.error(Code::TagEmpty, "must be a tag, not null"));
    }
    Tag::try_from(field.text(Code::Json)?.to_owned()).map_err(|invalid| match invalid {
        InvalidTerm::Empty => field.error(Code::TagEmpty, "must not be an empty tag"),
        InvalidTerm::TooLong(limit) => field.error(Code::TagTooLong, &format!("must not be longer than {limit} bytes")),
    })
}

/// An attribute's value: a text of 1 to 50 bytes.
///
/// An empty one is refused rather than taken for a deletion: an older table has "length 0" as a fault of its own,
/// and there is a call that removes attributes.
pub(super) fn attribute_value(field: &Field<'_>) -> Result<AttributeValue, Error> {
    AttributeValue::try_from(field.text(Code::Attribute)?.to_owned()).map_err(|invalid| {
        let fault = match invalid {
            InvalidTerm::Empty => "must not be empty".to_owned(),
            InvalidTerm::TooLong(limit) => format!("must not be longer than {limit} bytes"),
        };
        field.error(Code::Attribute, &fault)
    })
}

/// A list that names 1 to 100 accounts, or says something of each.
///
/// More are 90018. For none Tencent documents nothing here; the call for online states gives 90001.
pub(super) fn account_list<'a>(list: &Field<'a>, not_a_list: Code) -> Result<Vec<Field<'a>>, Error> {
    let items = list.items(not_a_list)?;
    match items.len() {
        0 => Err(list.error(Code::Json, "must not be empty")),
        count if count > limits::ACCOUNTS_PER_REQUEST => {
            let fault = format!("must not have more than {} elements", limits::ACCOUNTS_PER_REQUEST);
            Err(list.error(Code::TooManyAccounts, &fault))
        }
        _ => Ok(items),
    }
}

/// The account of a name: 1 to 32 characters of printable ASCII, the widest of the three wordings on Tencent's pages.
/// `None` if there can be no such account.
pub(super) fn account(name: &str) -> Option<UserId> {
    let printable = name.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    (printable && name.len() <= limits::ACCOUNT_BYTES).then(|| UserId::try_from(name).ok()).flatten()
}
