//! In whose language a notification is shown.

use serde::{Deserialize, Serialize};

/// A notification's words in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translation {
    /// The language, as a BCP 47 tag.
    pub language: String,
    /// The heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Which of a notification's words a device is shown: 0 for those that stand for all languages, n for its n-th translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wording(pub u8);

impl Wording {
    /// The translation that it is; `None` for those that stand for all languages.
    pub(super) fn of(self, translations: &[Translation]) -> Option<&Translation> {
        translations.get(usize::from(self.0.checked_sub(1)?))
    }
}

/// Whether a text can be the tag of a language: 1 to 35 of `A-Z a-z 0-9 _ -` (RFC 5646, 4.4.1: 35 holds any tag in use).
pub fn is_language(text: &str) -> bool {
    (1..=35).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// The languages of a notification. Made once for many devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Languages(Vec<String>);

impl Languages {
    pub(super) fn of(translations: &[Translation]) -> Self {
        Self(translations.iter().map(|words| plain(&words.language)).collect())
    }

    /// The wording for a device in this language, whatever the case of either, and with `_` as good as `-`: that of its very
    /// tag; else of what remains of the tag when parts are taken from its end (`zh-Hant-TW`, `zh-Hant`, `zh`; RFC 4647, 3.4);
    /// else the first in the same language at all (`pt-BR` for `pt-PT`); else the one for all languages.
    pub fn wording(&self, language: Option<&str>) -> Wording {
        let Some(language) = language.filter(|_| !self.0.is_empty()) else { return Wording::default() };
        let language = plain(language);
        let mut range = language.as_str();
        loop {
            if let Some(wording) = self.first(|own| own == range) {
                return wording;
            }
            match range.rfind('-') {
                Some(end) => range = &range[..end],
                None => break,
            }
        }
        self.first(|own| primary(own) == range).unwrap_or_default()
    }

    fn first(&self, is_meant: impl Fn(&str) -> bool) -> Option<Wording> {
        let index = self.0.iter().position(|own| is_meant(own))?;
        u8::try_from(index + 1).ok().map(Wording)
    }
}

/// A tag in the one spelling that is compared.
fn plain(tag: &str) -> String {
    tag.replace('_', "-").to_ascii_lowercase()
}

/// The language proper of a plain tag.
fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_language_is_chosen() {
        let translations = ["zh-Hans", "zh-hant", "en", "pt_BR", "pt-AO", "zh-Hant-HK"].map(|language| Translation {
            language: language.to_owned(),
            title: None,
            text: Some(language.to_owned()),
        });
        let languages = Languages::of(&translations);
        for (device, expected) in [
            (Some("zh-hans"), "zh-Hans"),
            (Some("ZH_HANT"), "zh-hant"),
            (Some("zh-Hant-TW"), "zh-hant"),
            (Some("zh-Hant-HK"), "zh-Hant-HK"),
            (Some("zh-Hant-HK-x-y"), "zh-Hant-HK"),
            (Some("zh"), "zh-Hans"),
            (Some("en-GB"), "en"),
            (Some("EN"), "en"),
            (Some("pt-BR"), "pt_BR"),
            (Some("pt-PT"), "pt_BR"),
            (Some("pt"), "pt_BR"),
            (Some("eng"), ""),
            (Some("de"), ""),
            (Some(""), ""),
            (Some("-"), ""),
            (None, ""),
        ] {
            let wording = languages.wording(device);
            let chosen = wording.of(&translations).map_or("", |words| words.language.as_str());
            assert_eq!(chosen, expected, "{device:?}");
        }
        assert_eq!(Languages::of(&[]).wording(Some("en")), Wording::default());
    }

    #[test]
    fn a_tag_has_its_letters() {
        for (text, is) in [("zh-Hant", true), ("en_US", true), ("", false), ("e n", false), ("en\n", false)] {
            assert_eq!(is_language(text), is, "{text:?}");
        }
        assert!(is_language(&"x".repeat(35)) && !is_language(&"x".repeat(36)));
    }
}
