//! What the system bar shows.

#[macro_use]
mod optional;
mod android;
mod apple;
mod badge;
mod fitting;
mod harmony;
mod language;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Channel;

pub use android::{
    Android, Fcm, Honor, Huawei, Importance, Meizu, MeizuKind, NotifyLevel, NotifyType, Oppo, OppoTemplate, Priority,
    Vivo, VivoClass, Xiaomi,
};
pub use apple::{Activity, ActivityEvent, InterruptionLevel, Ios, Wake};
pub use badge::Badge;
pub use fitting::{TooLong, shortened, written};
pub use harmony::{Harmony, HarmonySound};
pub use language::{Languages, Translation, Wording, is_language};

optional! {
    /// What vendors show for a push on a device whose app is not connected.
    ///
    /// Whatever a caller can say has its place here once: what holds everywhere on top, what holds for one platform below,
    /// what one vendor alone knows below that. Each sender takes its own; what is absent is left to the vendor. A dialect makes
    /// it [`fitting`](Notification::fitting) before it is accepted.
    Notification {
        /// The heading. Without one, the platform shows the app's name.
        title: Option<String>,
        /// The text. Where it is empty, nothing is shown, except on a platform or in a language that has its own.
        text: String,
        /// The caller's own data for the app that opens it, passed through as it is.
        ext: Option<String>,
        /// Whether the text is shown even on a device that is set to show a bare reminder in place of texts (RongCloud,
        /// `forceShowPushContent`).
        text_forced: bool,
        /// The same in other languages, each once.
        translations: Vec<Translation>,
        /// A template that the caller names. Kept, and not applied: templates are made in consoles that are not ours.
        template: Option<Template>,
        /// On iOS and iPadOS.
        ios: Ios,
        /// On Android, of any maker.
        android: Android,
        /// On HarmonyOS.
        harmony: Harmony,
    }
}

/// A template of the caller's, and what to fill it with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its name.
    pub id: String,
    /// Its variables.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
}

/// What one device shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The heading.
    pub title: Option<&'a str>,
    /// The text. Never empty.
    pub text: &'a str,
}

impl Notification {
    /// What a device shows that is reached through a channel, in the given wording; `None` if that is nothing.
    ///
    /// A translation speaks before what the platform has of its own: a title in one language does not go with a text in
    /// another. What a translation leaves out it takes from the platform, and that from the notification.
    pub fn shown(&self, channel: Channel, wording: Wording) -> Option<Shown<'_>> {
        if channel == Channel::Apns && self.ios.wake == Some(Wake::Silently) {
            return None;
        }
        let (own_title, own_text) = match channel {
            Channel::Apns => (&self.ios.title, &self.ios.text),
            Channel::Harmony => (&self.harmony.title, &self.harmony.text),
            Channel::Fcm
            | Channel::Huawei
            | Channel::Honor
            | Channel::Xiaomi
            | Channel::Oppo
            | Channel::Vivo
            | Channel::Meizu => (&self.android.title, &self.android.text),
            Channel::Ws | Channel::Webpush => (&None, &None),
        };
        let translation = wording.of(&self.translations);
        let (title, text) = translation.map_or((None, None), |words| (words.title.as_deref(), words.text.as_deref()));
        let title = title.or(own_title.as_deref()).or(self.title.as_deref());
        let text = text.or(own_text.as_deref()).unwrap_or(&self.text);
        (!text.is_empty()).then_some(Shown { title, text })
    }

    /// Whether a device that is reached through a channel gets anything: something to show, or a silent wake-up.
    pub fn is_for(&self, channel: Channel, wording: Wording) -> bool {
        let wakes = channel == Channel::Apns && self.ios.wake.is_some();
        wakes || self.shown(channel, wording).is_some()
    }

    /// The languages that it has, to choose by.
    pub fn languages(&self) -> Languages {
        Languages::of(&self.translations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(language: &str, title: Option<&str>, text: Option<&str>) -> Translation {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Translation { language: language.to_owned(), title: owned(title), text: owned(text) }
    }

    fn a_notification() -> Notification {
        Notification {
            title: Some("title".to_owned()),
            text: "text".to_owned(),
            text_forced: true,
            translations: vec![words("de", Some("Titel"), Some("Worte")), words("fr", None, Some("mots"))],
            ios: Ios { title: Some("on iOS".to_owned()), ..Ios::default() },
            android: Android { text: Some("on Android".to_owned()), ..Android::default() },
            ..Notification::default()
        }
    }

    #[test]
    fn a_translation_speaks_before_a_platform_and_a_platform_before_the_rest() {
        let notification = a_notification();
        for (channel, wording, title, text) in [
            (Channel::Apns, 0, "on iOS", "text"),
            (Channel::Apns, 1, "Titel", "Worte"),
            (Channel::Apns, 2, "on iOS", "mots"),
            (Channel::Fcm, 0, "title", "on Android"),
            (Channel::Vivo, 2, "title", "mots"),
            (Channel::Harmony, 0, "title", "text"),
            (Channel::Webpush, 3, "title", "text"),
        ] {
            let shown = notification.shown(channel, Wording(wording));
            assert_eq!(shown, Some(Shown { title: Some(title), text }), "{channel} {wording}");
        }
    }

    #[test]
    fn nothing_is_shown_without_a_text_and_a_silent_one_wakes_apples_devices_only() {
        let mut notification = Notification { title: Some("title".to_owned()), ..Notification::default() };
        assert!(Channel::ALL.iter().all(|channel| !notification.is_for(*channel, Wording::default())));
        notification.ios.wake = Some(Wake::Silently);
        let reached = |notification: &Notification| -> Vec<Channel> {
            Channel::ALL.iter().copied().filter(|channel| notification.is_for(*channel, Wording::default())).collect()
        };
        assert_eq!(reached(&notification), [Channel::Apns]);
        notification.text = "text".to_owned();
        assert_eq!(reached(&notification), Channel::ALL);
        assert_eq!(notification.shown(Channel::Apns, Wording::default()), None);
        notification.ios.wake = Some(Wake::AndShow);
        assert!(notification.shown(Channel::Apns, Wording::default()).is_some());
    }

    #[test]
    fn what_is_absent_takes_no_room() {
        let plain = Notification { text: "hi".to_owned(), ..Notification::default() };
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"text":"hi"}"#);
        let rich = a_notification();
        let stored = serde_json::to_string(&rich).unwrap();
        assert_eq!(serde_json::from_str::<Notification>(&stored).unwrap(), rich);
    }
}
