//! Notifications that vendors take: none of them takes a long one.

use serde_json::{Map, Value};

use super::super::limits;
use super::{Android, Harmony, Ios, Notification};

/// A heading, data and settings that leave no room for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "titles, data, addresses and names together must be shorter than {} bytes",
    limits::NOTIFICATION_BYTES - SHORTEST_TEXT
)]
pub struct TooLong;

/// A text is not shortened below this many bytes.
const SHORTEST_TEXT: usize = 256;

impl Notification {
    /// The notification as every vendor takes it, on every platform and in every language: texts are shortened as far as
    /// what goes with them needs it. No system bar shows that much of them anyway; a notification that is too long would be
    /// shown to no one.
    ///
    /// # Errors
    ///
    /// [`TooLong`] if somewhere fewer than 256 bytes would be left for the text.
    pub fn fitting(mut self) -> Result<Self, TooLong> {
        let settings = self.ios.bytes().max(self.android.bytes()).max(self.harmony.bytes());
        let beside = self.ext.as_deref().map_or(0, written) + settings;
        let of_platforms = [&self.ios.title, &self.android.title, &self.harmony.title].into_iter().flatten();
        let of_platforms = of_platforms.map(|title| written(title)).max().unwrap_or(0);
        let room = |title: Option<&str>| {
            let title = title.map_or(0, written).max(of_platforms);
            limits::NOTIFICATION_BYTES.checked_sub(beside + title).filter(|room| *room >= SHORTEST_TEXT).ok_or(TooLong)
        };
        // A translation without a text of its own is a heading more for the text that stands for all languages.
        let mut common = room(self.title.as_deref())?;
        for words in &mut self.translations {
            let room = room(words.title.as_deref().or(self.title.as_deref()))?;
            match words.text.take() {
                Some(text) => words.text = Some(shortened(text, room)),
                None => common = common.min(room),
            }
        }
        for text in [&mut self.ios.text, &mut self.android.text, &mut self.harmony.text] {
            *text = text.take().map(|text| shortened(text, common));
        }
        self.text = shortened(self.text, common);
        Ok(self)
    }
}

impl Ios {
    /// Bytes that its texts take in a message, beside headings and texts.
    fn bytes(&self) -> usize {
        all([&self.subtitle, &self.sound, &self.image, &self.thread_id, &self.category]) + extras(&self.extras)
    }
}

impl Android {
    /// The same for the vendor who needs most.
    fn bytes(&self) -> usize {
        let Self { fcm, huawei, honor, xiaomi, oppo, vivo, .. } = self;
        let vendors = [
            all([&fcm.notification_channel, &fcm.image, &fcm.collapse_key]),
            all([&huawei.notification_channel, &huawei.category, &huawei.image]),
            all([&honor.image]),
            all([&xiaomi.notification_channel, &xiaomi.large_icon]),
            all([&oppo.notification_channel, &oppo.category]),
            all([&vivo.category]),
        ];
        all([&self.sound]) + extras(&self.extras) + vendors.into_iter().max().unwrap_or(0)
    }
}

impl Harmony {
    fn bytes(&self) -> usize {
        let sound = self.sound.as_ref().map_or(0, |sound| written(&sound.file));
        all([&self.category, &self.image]) + sound + extras(&self.extras)
    }
}

fn all<const N: usize>(texts: [&Option<String>; N]) -> usize {
    texts.into_iter().flatten().map(|text| written(text)).sum()
}

/// Bytes of more data, as a vendor has it who wants a text for every value: `"name":"value",`.
fn extras(extras: &Map<String, Value>) -> usize {
    let bytes = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| written(&value.to_string()), written);
        written(name) + value + 6
    };
    extras.iter().map(bytes).sum()
}

/// The text, or as much of it as fits with an ellipsis into so many bytes of JSON.
pub fn shortened(text: String, room: usize) -> String {
    if written(&text) <= room {
        return text;
    }
    let mut left = room.saturating_sub('…'.len_utf8());
    let kept = text.chars().take_while(|character| {
        let size = written(character.encode_utf8(&mut [0; 4]));
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    kept.chain(['…']).collect()
}

/// Bytes that a text takes in JSON, between its quotes.
pub fn written(text: &str) -> usize {
    text.chars()
        .map(|character| match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            character if character < ' ' => 6,
            character => character.len_utf8(),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Fcm, Translation};
    use super::*;

    const ROOM: usize = limits::NOTIFICATION_BYTES - SHORTEST_TEXT;

    fn some(length: usize) -> Option<String> {
        Some("x".repeat(length))
    }

    fn a_notification(title: usize, text: usize, ext: usize) -> Notification {
        Notification { title: some(title), text: "x".repeat(text), ext: some(ext), ..Notification::default() }
    }

    #[test]
    fn a_long_text_is_shortened_and_long_data_refused() {
        let fitting = |title, text, ext| a_notification(title, text, ext).fitting();
        assert_eq!(fitting(50, 1_000, 1_000).unwrap().text.len(), 1_000);
        let shortened = fitting(50, 9_000, 1_000).unwrap().text;
        assert_eq!((shortened.len(), shortened.ends_with("x…")), (limits::NOTIFICATION_BYTES - 1_050, true));
        assert!(fitting(0, 1, ROOM).is_ok());
        assert_eq!(fitting(1, 1, ROOM), Err(TooLong));
    }

    #[test]
    fn the_fullest_platform_and_vendor_counts_and_not_all_together() {
        let mut notification = a_notification(0, 9_000, 0);
        notification.ios.image = some(1_000);
        notification.android.fcm = Fcm { image: some(900), notification_channel: some(200), ..Fcm::default() };
        notification.android.huawei.image = some(800);
        assert_eq!(notification.fitting().unwrap().text.len(), limits::NOTIFICATION_BYTES - 1_100);
        let mut notification = a_notification(0, 1, 0);
        notification.ios.extras.insert("k".repeat(10), Value::from("\"".repeat((ROOM - 16) / 2)));
        assert!(notification.clone().fitting().is_ok());
        notification.ios.subtitle = some(1);
        assert_eq!(notification.fitting(), Err(TooLong));
    }

    #[test]
    fn every_language_has_its_own_room() {
        let translation =
            |title: Option<String>, text: Option<String>| Translation { language: "de".to_owned(), title, text };
        let mut notification = a_notification(100, 3_000, 0);
        notification.translations = vec![translation(some(500), some(5_000)), translation(None, some(10))];
        let fitting = notification.clone().fitting().unwrap();
        assert_eq!(fitting.text.len(), limits::NOTIFICATION_BYTES - 100);
        let lengths: Vec<usize> = fitting.translations.iter().map(|words| words.text.as_ref().unwrap().len()).collect();
        assert_eq!(lengths, [limits::NOTIFICATION_BYTES - 500, 10]);
        notification.translations.push(translation(some(ROOM + 1), some(1)));
        assert_eq!(notification.clone().fitting(), Err(TooLong));
        notification.translations = vec![translation(some(500), None)];
        assert_eq!(notification.fitting().unwrap().text.len(), limits::NOTIFICATION_BYTES - 500);
    }

    proptest! {
        #[test]
        fn what_fits_is_as_long_as_it_is_written(text in any::<String>(), long in 0_usize..400) {
            let text = text.repeat(long);
            let notification = Notification { text: text.clone(), ..Notification::default() }.fitting().unwrap();
            prop_assert!(text.starts_with(notification.text.trim_end_matches('…')) || text == notification.text);
            let json = serde_json::to_string(&notification.text).unwrap();
            prop_assert!(json.len() - 2 <= limits::NOTIFICATION_BYTES);
        }
    }
}
