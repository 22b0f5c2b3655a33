//! `OfflinePushInfo`: what the vendors show to those who are not connected.

use super::body::Field;
use super::elements::Element;
use super::{Code, Error};
use crate::domain::Notification;

/// The notification of a message, or `None` if nothing is to be shown.
///
/// Nothing is, if `PushFlag` is 1, if the message is for online users only, or if neither `Desc` nor any element gives a
/// text. Without a `Desc`, the text is that of the elements, one after the other with nothing between. A text that is too
/// long for the vendors is shortened; a `Title` and an `Ext` that leave no room for one are refused. Members beyond those
/// that are used are let pass.
pub(super) fn notification(
    info: Option<&Field<'_>>,
    elements: &[Element],
    online_only: bool,
) -> Result<Option<Notification>, Error> {
    let (shown, title, desc, ext) = match info {
        Some(info) => read(info)?,
        // The notification's data comes from the element only if the request does not speak of notifications itself.
        None => (true, None, None, elements.iter().find_map(|element| element.ext.clone())),
    };
    let text = desc.unwrap_or_else(|| elements.iter().map(|element| element.text.as_str()).collect());
    if online_only || !shown || text.is_empty() {
        return Ok(None);
    }
    let notification = Notification { title, text, ext, ..Notification::default() };
    notification
        .fitting()
        .map(Some)
        .map_err(|error| Error::new(Code::OfflinePushInfo, format!("OfflinePushInfo is too long: {error}")))
}

type Info = (bool, Option<String>, Option<String>, Option<String>);

fn read(info: &Field<'_>) -> Result<Info, Error> {
    info.members(Code::OfflinePushInfo)?;
    let shown = match info.member("PushFlag") {
        None => true,
        Some(flag) => match flag.integer(Code::OfflinePushInfo)? {
            0 => true,
            1 => false,
            _ => return Err(flag.error(Code::OfflinePushInfo, "must be 0 or 1")),
        },
    };
    Ok((shown, text(info, "Title")?, text(info, "Desc")?, text(info, "Ext")?))
}

/// A text that says something: an empty one is an absent one.
fn text(info: &Field<'_>, name: &str) -> Result<Option<String>, Error> {
    let text = info.member(name).map(|member| member.text(Code::OfflinePushInfo)).transpose()?;
    Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(info: Value, texts: &[&str], online_only: bool) -> Result<Option<Notification>, Error> {
        let element = |text: &&str| Element { text: (*text).to_owned(), ext: Some("of the element".to_owned()) };
        let elements: Vec<Element> = texts.iter().map(element).collect();
        let field = Field { path: "OfflinePushInfo".to_owned(), value: &info };
        notification((!info.is_null()).then_some(&field), &elements, online_only)
    }

    fn shown(title: Option<&str>, text: &str, ext: Option<&str>) -> Option<Notification> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(Notification { title: owned(title), text: text.to_owned(), ext: owned(ext), ..Notification::default() })
    }

    #[test]
    fn the_request_speaks_for_the_elements() {
        let info =
            json!({"PushFlag": 0, "Title": "t", "Desc": "d", "Ext": "e", "AndroidInfo": {"Sound": "s"}, "New": 1});
        assert_eq!(of(info, &["hi"], false), Ok(shown(Some("t"), "d", Some("e"))));
        assert_eq!(
            of(json!({"Title": "", "Desc": "", "Ext": null}), &["hi", "[Face]"], false),
            Ok(shown(None, "hi[Face]", None))
        );
    }

    #[test]
    fn without_it_the_elements_speak() {
        assert_eq!(of(Value::Null, &["hi", "[Image]"], false), Ok(shown(None, "hi[Image]", Some("of the element"))));
    }

    #[test]
    fn nothing_is_shown_where_nothing_may_or_can_be() {
        assert_eq!(of(json!({"PushFlag": 1, "Desc": "d"}), &["hi"], false), Ok(None));
        assert_eq!(of(json!({"Desc": "d"}), &["hi"], true), Ok(None));
        assert_eq!(of(json!({"Title": "t"}), &[""], false), Ok(None));
        assert_eq!(of(json!({"Desc": "d"}), &[""], false), Ok(shown(None, "d", None)));
    }

    #[test]
    fn a_malformed_one_is_refused_even_where_nothing_would_be_shown() {
        for info in [
            json!("d"),
            json!([1]),
            json!({"PushFlag": 2}),
            json!({"PushFlag": "1"}),
            json!({"Title": 1}),
            json!({"Desc": {}}),
            json!({"Ext": {"a": 1}}),
        ] {
            assert_eq!(of(info.clone(), &["hi"], true).unwrap_err().code.number(), 90043, "{info}");
        }
    }
}
