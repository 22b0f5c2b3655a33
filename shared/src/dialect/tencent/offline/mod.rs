//! `OfflinePushInfo`: what the vendors show to those who are not connected.

mod android;
mod apns;
mod harmony;
mod members;

use super::body::Field;
use super::elements::Element;
use super::{Code, Error};
use crate::domain::notification::{Badge, Template, Translation, is_language};
use crate::domain::{Notification, limits};
use members::Members;

/// What `ApnsInfo.BadgeMode` says of the number on the icon of Apple's devices, if `BadgeAddNum` and `BadgeSetNum` say
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadgeMode {
    /// The message counts. If it is absent, so it is for calls that have a `MsgBody`.
    Count,
    /// It does not. If it is absent, so it is for calls that have none.
    Leave,
}

impl BadgeMode {
    fn badge(self) -> Option<Badge> {
        match self {
            Self::Count => Some(COUNTED),
            Self::Leave => None,
        }
    }
}

/// One message is one more.
const COUNTED: Badge = Badge::Add(1);

/// What a request says to the system bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offline {
    /// Whether it may go to vendors at all: `PushFlag` is not 1.
    pub is_pushed: bool,
    /// What they show, whether it may go to them or not; `None` if that is nothing.
    pub notification: Option<Notification>,
}

/// The notification of a message, or `None` if nothing goes to the vendors: because `PushFlag` is 1, because the message is
/// for online users only, or because there is nothing to show ([`read`]).
pub(super) fn notification(
    info: Option<&Field<'_>>,
    elements: &[Element],
    online_only: bool,
    absent: BadgeMode,
) -> Result<Option<Notification>, Error> {
    let offline = read(info, elements, absent)?;
    Ok(offline.notification.filter(|_| offline.is_pushed && !online_only))
}

/// Reads an `OfflinePushInfo`, and what the elements of the message add to it. `absent` is what a `BadgeMode` that is not
/// there means.
///
/// Without a `Desc`, the text is that of the elements, one after the other with nothing between; without those, that of the
/// first language that has one. Only if there is none at all is there nothing to show, unless `ContentAvailable` wants Apple's
/// devices woken all the same. Texts that are too long for the vendors are shortened; whatever leaves no room for them is
/// refused. Members that the page does not know are let pass. An `Ext` and a `Sound` of an element count only without any
/// `OfflinePushInfo`.
pub(super) fn read(info: Option<&Field<'_>>, elements: &[Element], absent: BadgeMode) -> Result<Offline, Error> {
    let mut offline = match info {
        Some(info) => read_info(&Members::of(info.clone())?, absent)?,
        None => Offline { is_pushed: true, notification: Some(of_elements(elements, absent)?) },
    };
    let Some(mut notification) = offline.notification.take() else { return Ok(offline) };
    if notification.text.is_empty() {
        notification.text = elements.iter().map(|element| element.text.as_str()).collect();
    }
    if notification.text.is_empty()
        && let Some(words) = notification.translations.iter().find(|words| words.text.is_some())
    {
        notification.text = words.text.clone().unwrap_or_default();
        notification.title = notification.title.take().or_else(|| words.title.clone());
    }
    if notification.text.is_empty() && notification.ios.wake.is_none() {
        return Ok(offline);
    }
    let fitting = notification.fitting();
    let too_long = |error| Error::new(Code::OfflinePushInfo, format!("OfflinePushInfo is too long: {error}"));
    offline.notification = Some(fitting.map_err(too_long)?);
    Ok(offline)
}

fn read_info(info: &Members<'_>, absent: BadgeMode) -> Result<Offline, Error> {
    let is_pushed = !info.flag("PushFlag")?;
    let set = info.number("BadgeSetNum", 0..=999)?.and_then(|number| u16::try_from(number).ok()).map(Badge::Set);
    let add = info.number("BadgeAddNum", 1..=99)?.and_then(|number| u8::try_from(number).ok()).map(Badge::Add);
    let badge = set.or(add);
    let parameters = info.object("PushTemplateParam")?;
    let mut notification = Notification {
        title: info.text("Title")?,
        text: info.text("Desc")?.unwrap_or_default(),
        ext: info.text("Ext")?,
        text_forced: false,
        translations: translations(info)?,
        template: info.text("PushTemplateId")?.map(|id| Template { id, parameters }),
        ios: apns::read(info.part("ApnsInfo")?.as_ref(), badge, absent)?,
        android: android::read(info.part("AndroidInfo")?.as_ref(), badge.or(Some(COUNTED)))?,
        harmony: harmony::read(info.part("HarmonyInfo")?.as_ref(), badge.or(Some(COUNTED)))?,
    };
    // Only the app can add, and only its extension runs in time.
    notification.ios.mutable_content |= matches!(badge, Some(Badge::Add(_)));
    Ok(Offline { is_pushed, notification: Some(notification) })
}

/// What a message says to the system bar by itself.
fn of_elements(elements: &[Element], absent: BadgeMode) -> Result<Notification, Error> {
    let mut notification = Notification {
        ext: elements.iter().find_map(|element| element.ext.clone()),
        ios: apns::read(None, None, absent)?,
        android: android::read(None, Some(COUNTED))?,
        harmony: harmony::read(None, Some(COUNTED))?,
        ..Notification::default()
    };
    notification.ios.sound = elements.iter().find_map(|element| element.sound.clone());
    Ok(notification)
}

/// `MultiLanguageContent`: each language once, with a title, a text, or both.
fn translations(info: &Members<'_>) -> Result<Vec<Translation>, Error> {
    let Some(field) = info.given("MultiLanguageContent") else { return Ok(Vec::new()) };
    let items = field.items(Code::OfflinePushInfo)?;
    if items.len() > limits::TRANSLATIONS {
        let fault = format!("must not have more than {} languages", limits::TRANSLATIONS);
        return Err(field.error(Code::OfflinePushInfo, &fault));
    }
    let mut translations: Vec<Translation> = Vec::with_capacity(items.len());
    for item in items {
        let words = Members::of(item)?;
        words.required("Language")?;
        let language = words.text("Language")?.unwrap_or_default();
        if !is_language(&language) {
            return words.fault("Language", "must be 1 to 35 of A-Z a-z 0-9 _ -");
        }
        if translations.iter().any(|other| same(&other.language, &language)) {
            return words.fault("Language", "is there already");
        }
        let (title, text) = (words.text("Title")?, words.text("Desc")?);
        if title.is_none() && text.is_none() {
            return Err(words.error("needs a Title or a Desc"));
        }
        translations.push(Translation { language, title, text });
    }
    Ok(translations)
}

/// Whether two tags are of the same language: neither case nor `_` for `-` makes a difference.
fn same(one: &str, other: &str) -> bool {
    one.replace('_', "-").eq_ignore_ascii_case(&other.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::notification::{InterruptionLevel, NotifyLevel, VivoClass, Wake};

    /// What is read beside elements with these texts.
    fn of(info: &Value, texts: &[&str]) -> Result<Offline, Error> {
        let (ext, sound) = (Some("of the element".to_owned()), Some("element.caf".to_owned()));
        let element = |text: &&str| Element { text: (*text).to_owned(), ext: ext.clone(), sound: sound.clone() };
        let elements: Vec<Element> = texts.iter().map(element).collect();
        let field = Field { path: "OfflinePushInfo".to_owned(), value: info };
        read((!info.is_null()).then_some(&field), &elements, BadgeMode::Count)
    }

    fn shown(info: &Value, texts: &[&str]) -> Option<Notification> {
        of(info, texts).unwrap().notification
    }

    fn error(info: &Value) -> String {
        let error = of(info, &["hi"]).unwrap_err();
        assert_eq!(error.code.number(), 90043, "{info}");
        error.info
    }

    #[test]
    fn the_request_speaks_for_the_elements() {
        let info = json!({"PushFlag": 0, "Title": "t", "Desc": "d", "Ext": "e", "New": 1});
        let read = shown(&info, &["hi"]).unwrap();
        assert_eq!((read.title.as_deref(), read.text.as_str(), read.ext.as_deref()), (Some("t"), "d", Some("e")));
        assert_eq!(read.ios.sound, None);
        let read = shown(&json!({"Title": "", "Desc": "", "Ext": null}), &["hi", "[Face]"]).unwrap();
        assert_eq!((read.title, read.text.as_str(), read.ext, read.ios.sound), (None, "hi[Face]", None, None));
    }

    #[test]
    fn without_it_the_elements_speak() {
        let read = shown(&Value::Null, &["hi", "[Image]"]).unwrap();
        assert_eq!((read.text.as_str(), read.ext.as_deref()), ("hi[Image]", Some("of the element")));
        assert_eq!(read.ios.sound.as_deref(), Some("element.caf"));
    }

    #[test]
    fn nothing_is_shown_where_nothing_can_be() {
        assert_eq!(shown(&json!({"Title": "t"}), &[""]), None);
        assert_eq!(shown(&Value::Null, &[""]), None);
        assert!(shown(&json!({"Desc": "d"}), &[""]).is_some());
        let silent = shown(&json!({"ApnsInfo": {"ContentAvailable": 1}}), &[""]).unwrap();
        assert_eq!((silent.text.as_str(), silent.ios.wake), ("", Some(Wake::Silently)));
        let words = json!([{"Language": "en", "Title": "t"}, {"Language": "fr", "Title": "T", "Desc": "d"}]);
        let read = shown(&json!({"MultiLanguageContent": words}), &[""]).unwrap();
        assert_eq!((read.title.as_deref(), read.text.as_str()), (Some("T"), "d"));
    }

    #[test]
    fn nothing_goes_to_vendors_where_nothing_may() {
        let goes = |info: Value, online_only| {
            let field = Field { path: "OfflinePushInfo".to_owned(), value: &info };
            notification(Some(&field), &[], online_only, BadgeMode::Count).unwrap().is_some()
        };
        assert!(goes(json!({"Desc": "d"}), false));
        assert!(!goes(json!({"Desc": "d", "PushFlag": 1}), false));
        assert!(!goes(json!({"Desc": "d"}), true));
        let kept = of(&json!({"Desc": "d", "PushFlag": 1}), &[]).unwrap();
        assert_eq!((kept.is_pushed, kept.notification.unwrap().text.as_str()), (false, "d"));
    }

    /// Every member of the page, with a value of its own.
    fn everything() -> Value {
        json!({
            "PushFlag": 0, "Title": "t", "Desc": "d", "Ext": "{}", "BadgeAddNum": 2, "BadgeSetNum": 5,
            "MultiLanguageContent": [{"Language": "zh-hant", "Title": "標題", "Desc": "內容"}],
            "PushTemplateId": "1400000000-1", "PushTemplateParam": {"UserName": "a"},
            "AndroidInfo": {
                "Sound": "shake", "PushStyle": 1, "HuaWeiChannelID": "hw", "HuaWeiImportance": "NORMAL", "HuaWeiCategory": "IM",
                "HuaWeiImage": "https://example.com/h.png", "ExtAsHuaweiIntentParam": 1, "XiaoMiChannelID": "mi",
                "OPPOChannelID": "op", "OPPOCategory": "IM", "OPPONotifyLevel": 16, "OPPOPrivateMsgTemplateId": "ot",
                "OPPOPrivateTitleParameters": {"k1": "v1"}, "OPPOPrivateContentParameters": {"k2": "v2"},
                "VIVOClassification": 0, "VIVOCategory": "MARKETING", "VIVONotifyType": "3", "HonorImportance": "LOW",
                "HonorImage": "https://example.com/o.png", "GoogleChannelID": "gc", "GoogleImage": "https://example.com/g.png",
                "GooglePriority": "high", "MeiZuNoticeMsgType": 1},
            "ApnsInfo": {
                "Sound": "apns.mp3", "BadgeMode": 1, "Title": "at", "SubTitle": "as", "Image": "www.image.com",
                "MutableContent": 1, "InterruptionLevel": "time-sensitive", "ContentAvailable": 1, "IsVoipPush": 1,
                "LiveActivity": {"LaId": "la", "Event": "end", "ContentState": {"k": 1}, "DismissalDate": 1739502750}},
            "HarmonyInfo": {
                "Title": "ht", "Category": "IM", "Image": "https://example.com/a.png", "Sound": "alert.mp3", "SoundDuration": 60}
        })
    }

    #[test]
    fn every_member_has_its_place() {
        insta::assert_json_snapshot!(shown(&everything(), &["hi"]).unwrap(), @r#"
        {
          "title": "t",
          "text": "d",
          "ext": "{}",
          "translations": [
            {
              "language": "zh-hant",
              "title": "標題",
              "text": "內容"
            }
          ],
          "template": {
            "id": "1400000000-1",
            "parameters": {
              "UserName": "a"
            }
          },
          "ios": {
            "title": "at",
            "subtitle": "as",
            "sound": "apns.mp3",
            "badge": {
              "set": 5
            },
            "image": "www.image.com",
            "mutable_content": true,
            "wake": "silently",
            "interruption_level": "time-sensitive",
            "voip": true,
            "activity": {
              "id": "la",
              "event": "end",
              "state": {
                "k": 1
              },
              "dismissal": 1739502750
            }
          },
          "android": {
            "sound": "shake",
            "badge": {
              "set": 5
            },
            "big_text": true,
            "fcm": {
              "notification_channel": "gc",
              "image": "https://example.com/g.png",
              "priority": "high"
            },
            "huawei": {
              "notification_channel": "hw",
              "importance": "normal",
              "category": "IM",
              "image": "https://example.com/h.png",
              "ext_in_intent": true
            },
            "honor": {
              "importance": "low",
              "image": "https://example.com/o.png"
            },
            "xiaomi": {
              "notification_channel": "mi"
            },
            "oppo": {
              "notification_channel": "op",
              "category": "IM",
              "notify_level": "banner",
              "template": {
                "id": "ot",
                "title": {
                  "k1": "v1"
                },
                "content": {
                  "k2": "v2"
                }
              }
            },
            "vivo": {
              "classification": "operation",
              "category": "MARKETING",
              "notify_type": "vibrate"
            },
            "meizu": {
              "kind": "private"
            }
          },
          "harmony": {
            "title": "ht",
            "category": "IM",
            "image": "https://example.com/a.png",
            "sound": {
              "file": "alert.mp3",
              "secs": 60
            },
            "badge": {
              "set": 5
            }
          }
        }
        "#);
    }

    #[test]
    fn a_message_is_no_operators_to_vivo_unless_it_says_so() {
        for (info, class) in [
            (Value::Null, VivoClass::System),
            (json!({"Desc": "d"}), VivoClass::System),
            (json!({"AndroidInfo": {"VIVOClassification": null}}), VivoClass::System),
            (json!({"AndroidInfo": {"VIVOClassification": 1}}), VivoClass::System),
            (json!({"AndroidInfo": {"VIVOClassification": 0}}), VivoClass::Operation),
        ] {
            assert_eq!(shown(&info, &["hi"]).unwrap().android.vivo.classification, Some(class), "{info}");
        }
    }

    /// The paths of all members, parents before their children.
    fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
        for (name, child) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            found.push(path.clone());
            // What is in these is the caller's own.
            if !path.ends_with("Param") && !path.ends_with("Parameters") && !path.ends_with("State") {
                paths(child, &path, found);
            }
        }
    }

    #[test]
    fn every_member_may_be_null_or_empty_and_none_may_be_odd() {
        let mut all = Vec::new();
        paths(&everything(), "", &mut all);
        assert_eq!(all.len(), 54);
        for path in all {
            for absent in [Value::Null, json!("")] {
                let mut info = everything();
                *info.pointer_mut(&path).unwrap() = absent;
                let needed = ["/LaId", "/Event", "/ContentState", "/OPPOCategory", "HarmonyInfo/Sound"];
                let is_needed = needed.iter().any(|end| path.ends_with(end));
                assert_eq!(of(&info, &["hi"]).is_err(), is_needed, "{path}");
            }
            for odd in [json!(true), json!(-1), json!(1.5), json!([1])] {
                let mut info = everything();
                *info.pointer_mut(&path).unwrap() = odd;
                let expected = format!("OfflinePushInfo{}", path.replace('/', "."));
                assert!(error(&info).starts_with(&expected), "{path}: {}", error(&info));
            }
        }
    }

    #[test]
    fn every_range_has_its_ends() {
        let android = |name: &str, value: Value| json!({"AndroidInfo": {name: value, "OPPOCategory": "IM"}});
        let apns = |name: &str, value: Value| json!({"ApnsInfo": {name: value}});
        let activity = |id: &str, event: &str, date: i64| {
            apns("LiveActivity", json!({"LaId": id, "Event": event, "ContentState": {}, "DismissalDate": date}))
        };
        let language = |language: &str| json!({"MultiLanguageContent": [{"Language": language, "Desc": "d"}]});
        let languages = |count: usize| {
            let words = |n| json!({"Language": format!("x-{n}"), "Title": "t"});
            json!({"MultiLanguageContent": (0..count).map(words).collect::<Vec<_>>()})
        };
        let harmony = |secs: i64| json!({"HarmonyInfo": {"Sound": "s", "SoundDuration": secs}});
        for good in [
            json!({}),
            json!([]),
            json!({"PushFlag": 1}),
            json!({"BadgeAddNum": 1}),
            json!({"BadgeAddNum": 99}),
            json!({"BadgeSetNum": 0}),
            json!({"BadgeSetNum": 999}),
            json!({"AndroidInfo": [], "ApnsInfo": [], "HarmonyInfo": [], "MultiLanguageContent": []}),
            android("OPPONotifyLevel", json!(1)),
            android("OPPONotifyLevel", json!(2)),
            android("VIVONotifyType", json!(1)),
            android("VIVONotifyType", json!(4)),
            android("VIVONotifyType", json!("4")),
            android("HuaWeiImportance", json!("low")),
            android("GooglePriority", json!("HIGH")),
            android("GoogleImage", json!("anything")),
            android("HonorImage", json!("HTTPS://example.com/图.png")),
            apns("InterruptionLevel", json!("Critical")),
            activity(&"x".repeat(64), "update", 0),
            language("zh_Hant-TW"),
            languages(100),
            harmony(1),
        ] {
            assert!(of(&good, &["hi"]).is_ok(), "{good}");
        }
        for (bad, path, fault) in [
            (json!("d"), "", "must be an object"),
            (json!([1]), "", "must be an object"),
            (json!({"PushFlag": 2}), ".PushFlag", "must be 0 or 1"),
            (json!({"PushFlag": "1"}), ".PushFlag", "must be an integer"),
            (json!({"Ext": {"a": 1}}), ".Ext", "must be a string"),
            (json!({"BadgeAddNum": 0}), ".BadgeAddNum", "must be 1 to 99"),
            (json!({"BadgeAddNum": 100}), ".BadgeAddNum", "must be 1 to 99"),
            (json!({"BadgeSetNum": 1000}), ".BadgeSetNum", "must be 0 to 999"),
            (json!({"BadgeSetNum": 1, "BadgeAddNum": 0}), ".BadgeAddNum", "must be 1 to 99"),
            (json!({"AndroidInfo": "x"}), ".AndroidInfo", "must be an object"),
            (android("PushStyle", json!(2)), ".AndroidInfo.PushStyle", "must be 0 or 1"),
            (android("OPPONotifyLevel", json!(3)), ".AndroidInfo.OPPONotifyLevel", "must be 1, 2 or 16"),
            (
                json!({"AndroidInfo": {"OPPONotifyLevel": 1}}),
                ".AndroidInfo.OPPONotifyLevel",
                "needs an OPPOCategory beside it",
            ),
            (android("VIVOClassification", json!("1")), ".AndroidInfo.VIVOClassification", "must be an integer"),
            (android("VIVONotifyType", json!("5")), ".AndroidInfo.VIVONotifyType", "must be 1, 2, 3 or 4"),
            (android("VIVONotifyType", json!("01")), ".AndroidInfo.VIVONotifyType", "must be 1, 2, 3 or 4"),
            (android("HuaWeiImportance", json!("HIGH")), ".AndroidInfo.HuaWeiImportance", "must be LOW or NORMAL"),
            (android("GooglePriority", json!("max")), ".AndroidInfo.GooglePriority", "must be normal or high"),
            (android("HuaWeiImage", json!("http://x/y")), ".AndroidInfo.HuaWeiImage", "must be an https:// address"),
            (android("HonorImage", json!("https://")), ".AndroidInfo.HonorImage", "must be an https:// address"),
            (android("HonorImage", json!("https://a b")), ".AndroidInfo.HonorImage", "must be an https:// address"),
            (apns("BadgeMode", json!(2)), ".ApnsInfo.BadgeMode", "must be 0 or 1"),
            (
                apns("InterruptionLevel", json!("loud")),
                ".ApnsInfo.InterruptionLevel",
                "must be active, critical, passive or time-sensitive",
            ),
            (apns("LiveActivity", json!({})), ".ApnsInfo.LiveActivity", "needs LaId"),
            (activity(&"x".repeat(65), "end", 1), ".ApnsInfo.LiveActivity.LaId", "must not be longer than 64 bytes"),
            (activity("x", "start", 1), ".ApnsInfo.LiveActivity.Event", "must be update or end"),
            (activity("x", "end", -1), ".ApnsInfo.LiveActivity.DismissalDate", "must be 0 to 4294967295"),
            (json!({"HarmonyInfo": {"SoundDuration": 5}}), ".HarmonyInfo.SoundDuration", "needs a Sound beside it"),
            (harmony(61), ".HarmonyInfo.SoundDuration", "must be 1 to 60"),
            (language(""), ".MultiLanguageContent[0]", "needs Language"),
            (language("e n"), ".MultiLanguageContent[0].Language", "must be 1 to 35 of A-Z a-z 0-9 _ -"),
            (languages(101), ".MultiLanguageContent", "must not have more than 100 languages"),
            (
                json!({"MultiLanguageContent": [{"Language": "en"}]}),
                ".MultiLanguageContent[0]",
                "needs a Title or a Desc",
            ),
            (
                json!({"MultiLanguageContent": [{"Language": "zh-CN", "Desc": "1"}, {"Language": "ZH_cn", "Desc": "2"}]}),
                ".MultiLanguageContent[1].Language",
                "is there already",
            ),
            (json!({"MultiLanguageContent": [3]}), ".MultiLanguageContent[0]", "must be an object"),
        ] {
            assert_eq!(error(&bad), format!("OfflinePushInfo{path} {fault}"), "{bad}");
        }
        assert!(error(&json!({"Ext": "x".repeat(3_000)})).starts_with("OfflinePushInfo is too long: "));
    }

    #[test]
    fn the_badge_is_set_or_added_to_or_left_as_the_page_has_it() {
        let (one, two, five) = (Some(Badge::Add(1)), Some(Badge::Add(2)), Some(Badge::Set(5)));
        for (info, absent, ios, others) in [
            (json!({}), BadgeMode::Count, one, one),
            (json!({}), BadgeMode::Leave, None, one),
            (json!({"ApnsInfo": {"BadgeMode": 0}}), BadgeMode::Leave, one, one),
            (json!({"ApnsInfo": {"BadgeMode": 1}}), BadgeMode::Count, None, one),
            (json!({"BadgeAddNum": 2, "ApnsInfo": {"BadgeMode": 1}}), BadgeMode::Leave, two, two),
            (json!({"BadgeAddNum": 2, "BadgeSetNum": 5}), BadgeMode::Count, five, five),
        ] {
            let members = Members::of(Field { path: String::new(), value: &info }).unwrap();
            let read = read_info(&members, absent).unwrap().notification.unwrap();
            assert_eq!((read.ios.badge, read.android.badge, read.harmony.badge), (ios, others, others), "{info}");
            assert_eq!(read.ios.mutable_content, ios == two, "{info}");
        }
    }

    #[test]
    fn a_malformed_one_is_refused_even_where_nothing_would_be_shown() {
        let info = json!({"PushFlag": 1, "ApnsInfo": {"InterruptionLevel": 1}});
        let field = Field { path: "OfflinePushInfo".to_owned(), value: &info };
        assert!(notification(Some(&field), &[], true, BadgeMode::Count).is_err());
        let read = shown(&everything(), &[]).unwrap();
        assert_eq!(read.ios.interruption_level, Some(InterruptionLevel::TimeSensitive));
        assert_eq!(read.android.oppo.notify_level, Some(NotifyLevel::Banner));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-1_i64..20).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop_oneof![
                "\\PC{0,30}",
                "https://[a-z]{1,9}",
                "[1-5]",
                "LOW|active|update|high|en|zh-Hant",
                "x{2000,4000}"
            ]
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 30, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[A-Za-z]{1,8}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused_with_a_sentence(
            whole in any_json(),
            changes in prop::collection::vec((0_usize..54, any_json()), 0..4),
            text in "\\PC{0,9}",
        ) {
            let mut changed = everything();
            let mut all = Vec::new();
            paths(&changed, "", &mut all);
            for (at, value) in changes {
                if let Some(place) = changed.pointer_mut(&all[at]) {
                    *place = value;
                }
            }
            for info in [whole, changed] {
                match of(&info, &[&text]) {
                    Ok(offline) => prop_assert_eq!(
                        offline.notification.clone().map(|fitting| fitting.fitting().unwrap()),
                        offline.notification
                    ),
                    Err(error) => {
                        prop_assert_eq!(error.code, Code::OfflinePushInfo);
                        prop_assert!(error.info.starts_with("OfflinePushInfo"), "{}", error.info);
                    }
                }
            }
        }
    }
}
