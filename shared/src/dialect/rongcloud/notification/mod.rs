//! `notification`: what the vendors show.
//!
//! The names are those of the page "Send push by tag", and the same in the types of the SDK for Java
//! (`PlatformNotification`, `HarmonyOSPlatformNotification`).

mod android;
mod ios;
mod part;

use super::{Code, Error};
use crate::dialect::field::Field;
use crate::domain::notification::Android;
use crate::domain::{Channel, Notification, Wording};

pub(super) use part::Part;

/// Longest title, in characters (`notification.title`).
const TITLE_CHARS: usize = 50;

/// Reads a `notification`, whose text for all platforms is called `alert` or, for named users, `pushContent`.
///
/// `None` if there is nothing to show anywhere and no one to wake. A platform's own `alert` and `title` speak before those
/// for all; one that has neither its own text nor that for all is not pushed to.
///
/// # Errors
///
/// 1002 for what has another type or value than it may, 1005 for what is too long.
pub(super) fn read(field: &Field<'_>, alert: &str) -> Result<Option<Notification>, Error> {
    let whole = Part::of(field.clone())?;
    let text = whole.text(alert)?.unwrap_or_default();
    let notification = Notification {
        title: title(&whole)?,
        text_forced: whole.flag("forceShowPushContent")?,
        ios: ios::read(&whole.part("ios")?, !text.is_empty())?,
        android: android::read(&whole.part("android")?)?,
        harmony: android::harmony(&whole.part("harmonyOS")?)?,
        text,
        ..Notification::default()
    };
    finished(&field.path, notification)
}

/// What a message says to the vendors beside itself.
pub(super) struct Beside<'a> {
    /// `pushContent`: the text.
    pub text: &'a str,
    /// `pushData`: the caller's own data.
    pub data: Option<&'a str>,
    /// `contentAvailable`: whether Apple's devices are woken.
    pub wakes: bool,
    /// `pushExt`: the rest.
    pub ext: Part<'a>,
}

/// Reads what a message in a form says to the vendors: `pushExt` has the vendors' settings in a list, `pushConfigs`, each
/// under the vendor's name. The names are those that the SDK for Java writes (`PushExt`), where a vendor's settings have
/// the names that they have in a `notification`. A `templateId` is let pass: there are no templates here.
pub(super) fn read_beside(beside: &Beside<'_>) -> Result<Option<Notification>, Error> {
    let Beside { text, data, wakes, ext } = beside;
    let none = Part::absent();
    let mut notification = Notification {
        title: title(ext)?,
        text: (*text).to_owned(),
        text_forced: ext.flag("forceShowPushContent")?,
        ext: data.map(str::to_owned),
        ios: ios::read(&none, !text.is_empty())?,
        ..Notification::default()
    };
    for item in ext.items("pushConfigs")? {
        let Android { fcm, huawei, honor, xiaomi, oppo, vivo, .. } = &mut notification.android;
        for (name, member) in item.members(Code::Parameter)? {
            let part = || Part::of(member.clone());
            match name {
                "APNs" => notification.ios = ios::settings(&part()?)?,
                "FCM" => *fcm = android::fcm(&part()?)?,
                "HW" => *huawei = android::huawei(&part()?)?,
                "HONOR" => *honor = android::honor(&part()?)?,
                "MI" => *xiaomi = android::xiaomi(&part()?)?,
                "OPPO" => *oppo = android::oppo(&part()?)?,
                "VIVO" => *vivo = android::vivo(&part()?)?,
                "OHOS" => notification.harmony = android::ohos(&part()?)?,
                _ => {}
            }
        }
    }
    notification.ios.wake = wakes.then_some(ios::wake(!text.is_empty()));
    finished("pushExt", notification)
}

fn title(whole: &Part<'_>) -> Result<Option<String>, Error> {
    let title = whole.text("title")?;
    if title.as_ref().is_some_and(|title| title.chars().count() > TITLE_CHARS) {
        return whole.failed(Code::TooLong, "title", &format!("must not be longer than {TITLE_CHARS} characters"));
    }
    Ok(title)
}

/// As the vendors take it, if it is for any of them.
fn finished(place: &str, notification: Notification) -> Result<Option<Notification>, Error> {
    let vendors = [Channel::Apns, Channel::Fcm, Channel::Harmony];
    if !vendors.iter().any(|channel| notification.is_for(*channel, Wording::default())) {
        return Ok(None);
    }
    let fitting = notification.fitting();
    fitting.map(Some).map_err(|error| Error::new(Code::TooLong, format!("{place} is too long: {error}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::notification::{Badge, Wake};

    fn of(value: &Value) -> Result<Option<Notification>, Error> {
        read(&Field { path: "notification".to_owned(), value }, "alert")
    }

    fn shown(value: &Value) -> Notification {
        of(value).unwrap().unwrap()
    }

    /// Every member of the page, with a value of its own.
    fn everything() -> Value {
        json!({
            "title": "t", "alert": "a", "forceShowPushContent": 1,
            "ios": {
                "title": "it", "alert": "ia", "contentAvailable": 1, "badge": 5, "thread-id": "223", "apns-collapse-id": "111",
                "category": "c", "richMediaUri": "https://example.com/i.png", "interruption-level": "time-sensitive",
                "extras": {"id": "1", "deep": {"n": [1]}}},
            "android": {
                "alert": "aa",
                "honor": {"importance": "LOW", "image": "https://example.com/o.png"},
                "hw": {"channelId": "hw", "importance": "NORMAL", "image": "https://example.com/h.png", "category": "IM"},
                "mi": {"channelId": "mi", "large_icon_uri": "https://example.com/m.png"},
                "oppo": {"channelId": "op", "category": "IM", "notify_level": 16},
                "vivo": {"classification": "1", "category": "IM"},
                "fcm": {"channelId": "f", "collapse_key": "k", "imageUrl": "https://example.com/f.png"},
                "extras": {"id": "2"}},
            "harmonyOS": {"alert": "ha", "ohos": {"category": "IM", "image": "https://example.com/a.png"}, "extras": {"id": "3"}}
        })
    }

    #[test]
    fn every_member_has_its_place() {
        let vendor = json!({
            "fcm": {"notification_channel": "f", "image": "https://example.com/f.png", "collapse_key": "k"},
            "huawei": {"notification_channel": "hw", "importance": "normal", "category": "IM", "image": "https://example.com/h.png"},
            "honor": {"importance": "low", "image": "https://example.com/o.png"},
            "xiaomi": {"notification_channel": "mi", "large_icon": "https://example.com/m.png"},
            "oppo": {"notification_channel": "op", "category": "IM", "notify_level": "banner"},
            "vivo": {"classification": "system", "category": "IM"},
            "text": "aa", "extras": {"id": "2"}
        });
        let ios = json!({
            "title": "it", "text": "ia", "badge": {"set": 5}, "image": "https://example.com/i.png", "mutable_content": true,
            "wake": "and_show", "interruption_level": "time-sensitive", "thread_id": "223", "category": "c",
            "collapse_id": "111", "extras": {"id": "1", "deep": {"n": [1]}}
        });
        let harmony =
            json!({"text": "ha", "category": "IM", "image": "https://example.com/a.png", "extras": {"id": "3"}});
        let whole = json!({
            "title": "t", "text": "a", "text_forced": true, "ios": ios, "android": vendor, "harmony": harmony
        });
        assert_eq!(serde_json::to_value(shown(&everything())).unwrap(), whole);
    }

    #[test]
    fn a_platform_without_a_text_is_not_pushed_to_and_nothing_is_none() {
        let channels = |value: Value| -> Vec<Channel> {
            let all = [Channel::Apns, Channel::Fcm, Channel::Harmony];
            let read = of(&value).unwrap();
            all.into_iter()
                .filter(|channel| read.as_ref().is_some_and(|n| n.is_for(*channel, Wording::default())))
                .collect()
        };
        let alert = |platform: &str| json!({"title": "t", "alert": "", platform: {"alert": "x"}});
        assert_eq!(
            channels(json!({"alert": "a", "ios": {}, "android": []})),
            [Channel::Apns, Channel::Fcm, Channel::Harmony]
        );
        assert_eq!(channels(alert("ios")), [Channel::Apns]);
        assert_eq!(channels(alert("android")), [Channel::Fcm]);
        assert_eq!(channels(alert("harmonyOS")), [Channel::Harmony]);
        assert_eq!(channels(json!({"title": "t", "alert": "", "ios": {"alert": ""}, "android": {}})), []);
        assert_eq!(channels(json!({"ios": {"contentAvailable": 1}})), [Channel::Apns]);
    }

    #[test]
    fn a_wake_up_is_silent_only_where_there_is_nothing_to_show() {
        let wake = |value: Value| shown(&value).ios.wake;
        assert_eq!(wake(json!({"alert": "a", "ios": {"contentAvailable": 0}})), None);
        assert_eq!(wake(json!({"alert": "a", "ios": {"contentAvailable": 1}})), Some(Wake::AndShow));
        assert_eq!(wake(json!({"ios": {"alert": "a", "contentAvailable": 1}})), Some(Wake::AndShow));
        assert_eq!(wake(json!({"android": {"alert": "a"}, "ios": {"contentAvailable": 1}})), Some(Wake::Silently));
    }

    #[test]
    fn every_range_has_its_ends() {
        let ios = |name: &str, value: Value| json!({"alert": "a", "ios": {name: value}});
        let android = |vendor: &str, value: Value| json!({"alert": "a", "android": {vendor: value}});
        for (badge, set) in [(i64::MIN, 0), (-1, 0), (0, 0), (1, 1), (9_999, 9_999)] {
            assert_eq!(shown(&ios("badge", badge.into())).ios.badge, Some(Badge::Set(set)), "{badge}");
        }
        assert_eq!(shown(&ios("threadId", "go".into())).ios.thread_id.as_deref(), Some("go"));
        assert_eq!(shown(&android("oppo", json!({"notify_level": 2}))).android.oppo.notify_level, None);
        for good in [
            json!({"alert": "a", "title": "题".repeat(50)}),
            json!({"alert": "a", "ios": [], "android": null, "harmonyOS": {"extras": []}}),
            ios("apns-collapse-id", "x".repeat(64).into()),
            ios("interruption-level", "Critical".into()),
            android("oppo", json!({"notify_level": "16", "category": "IM"})),
            android("vivo", json!({"classification": 0})),
            android("hw", json!({"category": "PLAY_VOICE", "importance": "low"})),
            android("new", json!(5)),
        ] {
            assert!(of(&good).is_ok(), "{good}");
        }
        for (bad, code, path, fault) in [
            (json!("a"), 1002, "", "must be an object"),
            (json!({"alert": 5}), 1002, ".alert", "must be a string"),
            (json!({"title": "题".repeat(51)}), 1005, ".title", "must not be longer than 50 characters"),
            (json!({"forceShowPushContent": 2}), 1002, ".forceShowPushContent", "must be 0 or 1"),
            (json!({"forceShowPushContent": true}), 1002, ".forceShowPushContent", "must be 0 or 1"),
            (json!({"ios": "x"}), 1002, ".ios", "must be an object"),
            (ios("badge", json!(10_000)), 1002, ".ios.badge", "must not be more than 9999"),
            (ios("badge", json!(i64::MAX)), 1002, ".ios.badge", "must not be more than 9999"),
            (ios("badge", json!("5")), 1002, ".ios.badge", "must be an integer"),
            (ios("badge", json!(1.5)), 1002, ".ios.badge", "must be an integer"),
            (ios("contentAvailable", json!(2)), 1002, ".ios.contentAvailable", "must be 0 or 1"),
            (ios("extras", json!("{}")), 1002, ".ios.extras", "must be an object"),
            (
                ios("apns-collapse-id", json!("x".repeat(65))),
                1005,
                ".ios.apns-collapse-id",
                "must not be longer than 64 bytes",
            ),
            (
                ios("apns-collapse-id", json!("a b")),
                1002,
                ".ios.apns-collapse-id",
                "must be visible ASCII: it is sent as a header",
            ),
            (
                ios("interruption-level", json!("loud")),
                1002,
                ".ios.interruption-level",
                "must be one of passive, active, time-sensitive, critical",
            ),
            (
                android("hw", json!({"importance": "HIGH"})),
                1002,
                ".android.hw.importance",
                "must be one of NORMAL, LOW",
            ),
            (android("hw", json!({"category": "im"})), 1002, ".android.hw.category", "must be in capitals"),
            (android("hw", json!({"image": "http://x/y"})), 1002, ".android.hw.image", "must be an https:// address"),
            (
                android("honor", json!({"image": "https://"})),
                1002,
                ".android.honor.image",
                "must be an https:// address",
            ),
            (
                android("oppo", json!({"notify_level": 3})),
                1002,
                ".android.oppo.notify_level",
                "must be one of 1, 2, 16",
            ),
            (
                android("vivo", json!({"classification": "2"})),
                1002,
                ".android.vivo.classification",
                "must be one of 0, 1",
            ),
            (
                android("vivo", json!({"classification": true})),
                1002,
                ".android.vivo.classification",
                "must be one of 0, 1",
            ),
            (
                json!({"harmonyOS": {"ohos": {"image": "x"}}}),
                1002,
                ".harmonyOS.ohos.image",
                "must be an https:// address",
            ),
        ] {
            let error = of(&bad).unwrap_err();
            assert_eq!((error.code.number(), error.info), (code, format!("notification{path} {fault}")), "{bad}");
        }
        let long = of(&json!({"alert": "a", "ios": {"extras": {"x": "y".repeat(3_000)}}})).unwrap_err();
        assert_eq!(long.code, Code::TooLong);
        assert!(long.info.starts_with("notification is too long: "), "{}", long.info);
        assert!(shown(&json!({"alert": "x".repeat(9_000)})).text.ends_with('…'));
    }

    /// The paths of all members, parents before their children.
    fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
        for (name, child) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            found.push(path.clone());
            if !path.ends_with("extras") {
                paths(child, &path, found);
            }
        }
    }

    #[test]
    fn every_member_may_be_null_and_none_may_be_odd() {
        let mut all = Vec::new();
        paths(&everything(), "", &mut all);
        assert_eq!(all.len(), 45);
        for path in all {
            let with = |value: Value| {
                let mut changed = everything();
                *changed.pointer_mut(&path).unwrap() = value;
                of(&changed)
            };
            assert!(with(Value::Null).is_ok(), "{path}");
            for odd in [json!(true), json!(1.5), json!([1])] {
                let error = with(odd).unwrap_err();
                assert!(error.info.starts_with(&format!("notification{}", path.replace('/', "."))), "{}", error.info);
            }
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-1_i64..20).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop_oneof!["\\PC{0,30}", "https://[a-z]{1,9}", "[0-2]", "LOW|active", "x{2000,4000}"]
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 5, |inner| {
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
            changes in prop::collection::vec((0_usize..45, any_json()), 0..4),
        ) {
            let mut changed = everything();
            let mut all = Vec::new();
            paths(&changed, "", &mut all);
            for (at, value) in changes {
                if let Some(place) = changed.pointer_mut(&all[at]) {
                    *place = value;
                }
            }
            for value in [whole, changed] {
                match of(&value) {
                    Ok(Some(read)) => prop_assert_eq!(read.clone().fitting(), Ok(read)),
                    Ok(None) => {}
                    Err(error) => {
                        prop_assert!(matches!(error.code, Code::Parameter | Code::TooLong));
                        prop_assert!(error.info.starts_with("notification"), "{}", error.info);
                    }
                }
            }
        }
    }
}
