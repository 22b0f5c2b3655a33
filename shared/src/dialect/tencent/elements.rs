//! `MsgBody`: the elements of a message, and the text that stands for them where they cannot be shown.

use super::body::Field;
use super::{Code, Error};

/// One element of a message, as far as anyone but the receiving app needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// The text that stands for it in the system bar. It may be empty.
    pub text: String,
    /// The data that an element of the app's own kind adds to the notification.
    pub ext: Option<String>,
    /// The sound that it wants on Apple's devices.
    pub sound: Option<String>,
}

/// Checks a `MsgBody` and reads its elements.
///
/// A body that is no array is 90007 and a bad element 90002, both of which Tencent gives for either; a bad content is 90010.
/// Elements in the shapes of the SDK before version 4, without addresses to download from, are refused.
pub(super) fn read(body: &Field<'_>) -> Result<Vec<Element>, Error> {
    let items = body.items(Code::MsgBodyNotArray)?;
    if items.is_empty() {
        return Err(body.error(Code::MsgBody, "must have at least one element"));
    }
    let mut elements = Vec::with_capacity(items.len());
    let mut customs = 0;
    for item in &items {
        item.members(Code::MsgBody)?;
        let name = item.required("MsgType", Code::MsgBody)?;
        let text = name.text(Code::MsgBody)?;
        let kind = KINDS
            .iter()
            .find(|kind| kind.name == text)
            .ok_or_else(|| name.error(Code::MsgBody, "is none of the types that can be pushed"))?;
        customs += usize::from(kind.name == CUSTOM);
        if customs > 1 {
            return Err(item.error(Code::MsgBody, "is a second TIMCustomElem: a message has at most one"));
        }
        elements.push(kind.read(&item.required("MsgContent", Code::MsgContent)?)?);
    }
    Ok(elements)
}

/// A type of element, as Tencent's page "Message Formats" has it.
struct Kind {
    name: &'static str,
    shown: Shown,
    members: &'static [Member],
}

/// What stands for an element in the system bar.
enum Shown {
    /// The text of a member, if it has it.
    Member(&'static str),
    /// A word. The page gives those for a location and a face; the others are made alike.
    Word(&'static str),
}

struct Member {
    name: &'static str,
    value: Value,
    required: bool,
}

enum Value {
    Text,
    /// A text that is of no use when empty: an address, an id.
    Filled,
    Number,
    /// Download flags: 2 says that the address can be downloaded from as it is.
    Two,
    /// The sizes of an image.
    Images,
}

use Value::{Filled, Images, Number, Text, Two};

const fn must(name: &'static str, value: Value) -> Member {
    Member { name, value, required: true }
}

const fn may(name: &'static str, value: Value) -> Member {
    Member { name, value, required: false }
}

const CUSTOM: &str = "TIMCustomElem";

const KINDS: &[Kind] = &[
    Kind { name: "TIMTextElem", shown: Shown::Member("Text"), members: &[must("Text", Text)] },
    Kind {
        name: "TIMLocationElem",
        shown: Shown::Word("[Location]"),
        members: &[may("Desc", Text), must("Latitude", Number), must("Longitude", Number)],
    },
    Kind { name: "TIMFaceElem", shown: Shown::Word("[Face]"), members: &[must("Index", Number), may("Data", Text)] },
    Kind {
        name: CUSTOM,
        shown: Shown::Member("Desc"),
        members: &[may("Data", Text), may("Desc", Text), may("Ext", Text), may("Sound", Text)],
    },
    Kind {
        name: "TIMSoundElem",
        shown: Shown::Word("[Voice]"),
        members: &[
            must("Url", Filled),
            must("UUID", Filled),
            may("Size", Number),
            may("Second", Number),
            must("Download_Flag", Two),
        ],
    },
    Kind {
        name: "TIMImageElem",
        shown: Shown::Word("[Image]"),
        members: &[must("UUID", Filled), may("ImageFormat", Number), must("ImageInfoArray", Images)],
    },
    Kind {
        name: "TIMFileElem",
        shown: Shown::Word("[File]"),
        members: &[
            must("Url", Filled),
            must("UUID", Filled),
            may("FileSize", Number),
            may("FileName", Text),
            // So the page's table spells it; its sample, as above.
            may("fileName", Text),
            must("Download_Flag", Two),
        ],
    },
    Kind {
        name: "TIMVideoFileElem",
        shown: Shown::Word("[Video]"),
        members: &[
            must("VideoUrl", Filled),
            must("VideoUUID", Filled),
            may("VideoSize", Number),
            may("VideoSecond", Number),
            may("VideoFormat", Text),
            must("VideoDownloadFlag", Two),
            must("ThumbUrl", Filled),
            must("ThumbUUID", Filled),
            may("ThumbSize", Number),
            must("ThumbWidth", Number),
            must("ThumbHeight", Number),
            may("ThumbFormat", Text),
            must("ThumbDownloadFlag", Two),
        ],
    },
];

/// One size of an image. Of the original, width and height are asked for too.
const IMAGE: &[Member] =
    &[may("Type", Number), may("Size", Number), may("Width", Number), may("Height", Number), must("URL", Filled)];
const ORIGINAL: i64 = 1;

impl Kind {
    fn read(&self, content: &Field<'_>) -> Result<Element, Error> {
        content.members(Code::MsgContent)?;
        check(content, self.members)?;
        let text_of = |name| content.member(name).and_then(|member| member.value.as_str()).unwrap_or_default();
        let text = match self.shown {
            Shown::Member(name) => text_of(name),
            Shown::Word(word) => word,
        };
        let own = |name| Some(text_of(name)).filter(|own| self.name == CUSTOM && !own.is_empty()).map(str::to_owned);
        Ok(Element { text: text.to_owned(), ext: own("Ext"), sound: own("Sound") })
    }
}

fn check(content: &Field<'_>, members: &[Member]) -> Result<(), Error> {
    for member in members {
        match content.member(member.name) {
            Some(field) => member.value.check(&field)?,
            None if member.required => {
                content.required(member.name, Code::MsgContent)?;
            }
            None => {}
        }
    }
    Ok(())
}

impl Value {
    fn check(&self, field: &Field<'_>) -> Result<(), Error> {
        let fault = |fault| Err(field.error(Code::MsgContent, fault));
        match self {
            Text => field.text(Code::MsgContent).map(drop),
            Filled if field.text(Code::MsgContent)?.is_empty() => fault("must not be empty"),
            Number if !field.value.is_number() => fault("must be a number"),
            Two if field.value.as_i64() != Some(2) => fault("must be 2"),
            Images => check_images(field),
            Filled | Number | Two => Ok(()),
        }
    }
}

fn check_images(sizes: &Field<'_>) -> Result<(), Error> {
    let items = sizes.items(Code::MsgContent)?;
    if items.is_empty() {
        return Err(sizes.error(Code::MsgContent, "must have at least one element"));
    }
    for size in &items {
        check(size, IMAGE)?;
        if size.member("Type").and_then(|kind| kind.value.as_i64()) == Some(ORIGINAL) {
            check(size, &[must("Width", Number), must("Height", Number)])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read_body(body: &Value) -> Result<Vec<Element>, Error> {
        read(&Field { path: "MsgBody".to_owned(), value: body })
    }

    fn element(kind: &str, content: Value) -> Value {
        json!({"MsgType": kind, "MsgContent": content})
    }

    /// Every type, complete, and what stands for it.
    fn samples() -> Vec<(&'static str, Value, &'static str)> {
        let image = json!({"Type": 1, "Size": 9, "Width": 2, "Height": 3, "URL": "http://x/1"});
        let thumbnail = json!({"Type": 3, "URL": "http://x/3"});
        vec![
            ("TIMTextElem", json!({"Text": "hi"}), "hi"),
            ("TIMLocationElem", json!({"Desc": "d", "Latitude": 29.3, "Longitude": -106}), "[Location]"),
            ("TIMFaceElem", json!({"Index": 6, "Data": "d"}), "[Face]"),
            ("TIMCustomElem", json!({"Data": "m", "Desc": "news", "Ext": "e", "Sound": "s"}), "news"),
            (
                "TIMSoundElem",
                json!({"Url": "http://x", "UUID": "u", "Size": 6, "Second": 1, "Download_Flag": 2}),
                "[Voice]",
            ),
            ("TIMImageElem", json!({"UUID": "u", "ImageFormat": 1, "ImageInfoArray": [image, thumbnail]}), "[Image]"),
            (
                "TIMFileElem",
                json!({"Url": "http://x", "UUID": "u", "FileSize": 1, "FileName": "f", "fileName": "f", "Download_Flag": 2}),
                "[File]",
            ),
            (
                "TIMVideoFileElem",
                json!({"VideoUrl": "http://x", "VideoUUID": "u", "VideoSize": 1, "VideoSecond": 1, "VideoFormat": "mp4",
                    "VideoDownloadFlag": 2, "ThumbUrl": "http://x", "ThumbUUID": "t", "ThumbSize": 1, "ThumbWidth": 1,
                    "ThumbHeight": 1, "ThumbFormat": "JPG", "ThumbDownloadFlag": 2}),
                "[Video]",
            ),
        ]
    }

    #[test]
    fn every_type_has_a_text_that_stands_for_it() {
        let samples = samples();
        let body: Value = samples.iter().map(|(kind, content, _)| element(kind, content.clone())).collect();
        let texts: Vec<String> = read_body(&body).unwrap().into_iter().map(|element| element.text).collect();
        assert_eq!(texts, samples.iter().map(|(_, _, text)| *text).collect::<Vec<_>>());
        assert_eq!(samples.len(), KINDS.len());
    }

    #[test]
    fn only_an_element_of_the_apps_own_kind_has_data_and_a_sound() {
        let own = json!({"Text": "hi", "Desc": "d", "Ext": "e", "Sound": "s", "Index": 1});
        let body = json!([
            element("TIMTextElem", own.clone()),
            element("TIMCustomElem", own),
            element("TIMFaceElem", json!({"Index": 1}))
        ]);
        let read: Vec<_> = read_body(&body).unwrap().into_iter().map(|it| (it.text, it.ext, it.sound)).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read,
            [("hi".to_owned(), None, None), ("d".to_owned(), some("e"), some("s")), ("[Face]".to_owned(), None, None),]
        );
        let empty = read_body(&json!([element("TIMCustomElem", json!({"Ext": "", "Sound": ""}))])).unwrap();
        assert_eq!(empty, [Element { text: String::new(), ext: None, sound: None }]);
    }

    #[test]
    fn a_content_must_have_its_required_members_and_no_odd_ones() {
        for (kind, content, _) in samples() {
            let members = KINDS.iter().find(|known| known.name == kind).unwrap().members;
            for member in members {
                let mut absent = content.clone();
                absent[member.name] = Value::Null;
                let result = read_body(&json!([element(kind, absent)]));
                let expected = member.required.then_some(Code::MsgContent);
                assert_eq!(result.err().map(|error| error.code), expected, "{kind}.{}", member.name);

                let mut odd = content.clone();
                odd[member.name] = json!({"odd": true});
                let error = read_body(&json!([element(kind, odd)])).unwrap_err();
                assert_eq!(error.code, Code::MsgContent, "{kind}.{}", member.name);
            }
        }
    }

    #[test]
    fn a_content_that_says_nothing_may_come_as_an_array() {
        for content in [json!({}), json!([])] {
            assert!(read_body(&json!([element("TIMCustomElem", content)])).is_ok());
        }
    }

    #[test]
    fn every_faulty_body_has_its_code() {
        let custom = element("TIMCustomElem", json!({}));
        let sound = |flag: i32, url: &str| {
            json!([element("TIMSoundElem", json!({"Url": url, "UUID": "u", "Download_Flag": flag}))])
        };
        let image = |sizes: Value| json!([element("TIMImageElem", json!({"UUID": "u", "ImageInfoArray": sizes}))]);
        assert!(read_body(&json!([custom])).is_ok());
        for (body, code) in [
            (json!({}), 90007),
            (json!("hi"), 90007),
            (json!([]), 90002),
            (json!([3]), 90002),
            (json!([null]), 90002),
            (json!([{"MsgContent": {"Text": "hi"}}]), 90002),
            (json!([element("TIMRelayElem", json!({}))]), 90002),
            (json!([element("timtextelem", json!({"Text": "hi"}))]), 90002),
            (json!([custom, custom]), 90002),
            (json!([{"MsgType": "TIMTextElem"}]), 90010),
            (json!([element("TIMTextElem", json!("hi"))]), 90010),
            (json!([element("TIMTextElem", json!([]))]), 90010),
            (json!([element("TIMTextElem", json!(["x"]))]), 90010),
            (sound(1, "http://x"), 90010),
            (sound(2, ""), 90010),
            (image(json!([])), 90010),
            (image(json!([{"Type": 1, "URL": "http://x", "Width": 1}])), 90010),
            (image(json!([5])), 90010),
        ] {
            assert_eq!(read_body(&body).unwrap_err().code.number(), code, "{body}");
        }
        let error = read_body(&image(json!([{"URL": 3}]))).unwrap_err();
        assert_eq!(error.info, "MsgBody[0].MsgContent.ImageInfoArray[0].URL must be a string");
    }
}
