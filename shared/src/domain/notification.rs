//! What the system bar shows.

use serde::{Deserialize, Serialize};

use super::limits;

/// What a vendor shows for a push on a device whose app is not connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The heading. Without one, the platform shows the app's name.
    pub title: Option<String>,
    /// The text.
    pub text: String,
    /// The caller's own data for the app that opens it, passed through as it is.
    pub ext: Option<String>,
}

/// A heading and data that leave no room for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the title and the data together must be shorter than {} bytes", limits::NOTIFICATION_BYTES - SHORTEST_TEXT)]
pub struct TooLong;

/// A text is not shortened below this many bytes.
const SHORTEST_TEXT: usize = 256;

impl Notification {
    /// A notification that every vendor takes: the text is shortened as far as its heading and data need it.
    /// No system bar shows that much of it anyway; a notification that is too long would be shown to no one.
    pub fn fitting(title: Option<String>, text: String, ext: Option<String>) -> Result<Self, TooLong> {
        let taken = [&title, &ext].into_iter().flatten().map(|text| written(text)).sum::<usize>();
        let room =
            limits::NOTIFICATION_BYTES.checked_sub(taken).filter(|room| *room >= SHORTEST_TEXT).ok_or(TooLong)?;
        Ok(Self { title, text: shortened(text, room), ext })
    }
}

/// The text, or as much of it as fits with an ellipsis.
fn shortened(text: String, room: usize) -> String {
    if written(&text) <= room {
        return text;
    }
    let mut left = room - '…'.len_utf8();
    let kept = text.chars().take_while(|character| {
        let size = written(character.encode_utf8(&mut [0; 4]));
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    kept.chain(['…']).collect()
}

/// Bytes that a text takes in JSON, between its quotes.
fn written(text: &str) -> usize {
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

    use super::*;

    #[test]
    fn a_long_text_is_shortened_and_long_data_refused() {
        let fitting = |title: usize, text: usize, ext: usize| {
            Notification::fitting(Some("t".repeat(title)), "x".repeat(text), Some("e".repeat(ext)))
        };
        assert_eq!(fitting(50, 1_000, 1_000).unwrap().text.len(), 1_000);
        let shortened = fitting(50, 9_000, 1_000).unwrap().text;
        assert_eq!((shortened.len(), shortened.ends_with("x…")), (limits::NOTIFICATION_BYTES - 1_050, true));
        assert!(fitting(0, 1, limits::NOTIFICATION_BYTES - SHORTEST_TEXT).is_ok());
        assert_eq!(fitting(1, 1, limits::NOTIFICATION_BYTES - SHORTEST_TEXT), Err(TooLong));
    }

    proptest! {
        #[test]
        fn what_fits_is_as_long_as_it_is_written(text in any::<String>(), long in 0_usize..400) {
            let text = text.repeat(long);
            let notification = Notification::fitting(None, text.clone(), None).unwrap();
            prop_assert!(text.starts_with(notification.text.trim_end_matches('…')) || text == notification.text);
            let json = serde_json::to_string(&notification.text).unwrap();
            prop_assert!(json.len() - 2 <= limits::NOTIFICATION_BYTES);
        }
    }
}
