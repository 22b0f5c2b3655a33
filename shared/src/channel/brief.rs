//! The words of a notification, for vendors that demand a heading and count characters.

use std::borrow::Cow;

use super::shorten::shortened;
use crate::domain::notification::Shown;

/// A heading and a text, neither of them empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Brief<'a> {
    /// The heading.
    pub(super) title: Cow<'a, str>,
    /// The text.
    pub(super) text: Cow<'a, str>,
}

impl<'a> Brief<'a> {
    /// What is shown, in no more than so many characters each; `None` if the text is nothing but blanks. A vendor would
    /// refuse what is longer: it is cut, with an ellipsis at its end. Where there is no heading, the app's own stands in for
    /// it, or else the text.
    pub(super) fn of(
        shown: Shown<'a>,
        default_title: Option<&'a str>,
        title_chars: usize,
        text_chars: usize,
    ) -> Option<Self> {
        let is_blank = |words: &str| words.chars().all(char::is_whitespace);
        if is_blank(shown.text) {
            return None;
        }
        let title = [shown.title, default_title].into_iter().flatten().find(|title| !is_blank(title));
        let title = title.unwrap_or(shown.text);
        Some(Self { title: shortened(title, title_chars), text: shortened(shown.text, text_chars) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_found_and_both_are_cut() {
        let words = |title, default, text| {
            let words = Brief::of(Shown { title, text }, default, 6, 10).unwrap();
            (words.title.into_owned(), words.text.into_owned())
        };
        for (title, default, text, expected) in [
            (Some("title"), Some("app"), "text", ("title", "text")),
            (Some("long title"), None, "a text too long", ("long …", "a text to…")),
            (Some(" \n"), Some("app"), "text", ("app", "text")),
            (None, Some(" "), "some text", ("some …", "some text")),
            (None, None, "text", ("text", "text")),
        ] {
            assert_eq!(words(title, default, text), (expected.0.to_owned(), expected.1.to_owned()));
        }
    }

    #[test]
    fn blanks_are_nothing_to_show() {
        assert_eq!(Brief::of(Shown { title: Some("title"), text: " \u{3000}" }, Some("app"), 6, 10), None);
    }
}
