//! Title and text, for the vendors that demand a title and count the bytes of the whole: Huawei and Honor, who can show a
//! long text beside its short form, and HarmonyOS.

use std::borrow::Cow;

use super::shorten::shortened as cut;
use crate::domain::notification::{Shown, shortened, written};

/// Characters of a text that stand for a title where the caller gave none.
const TITLE_CHARS: usize = 40;
/// Characters of a text that show before it is unfolded: more than fit on a line.
const FOLDED_CHARS: usize = 100;
/// A text is not shortened below this many bytes.
const SHORTEST_TEXT: usize = 64;

/// What a device shows.
pub(super) struct Words<'a> {
    /// The heading. Where the caller gave none it is the beginning of the text: the vendor demands one, and we do not know
    /// the app's name.
    pub(super) title: Cow<'a, str>,
    /// The text, or its beginning if there is more to unfold.
    pub(super) text: Cow<'a, str>,
    /// The whole of a text that can be unfolded.
    pub(super) unfolded: Option<Cow<'a, str>>,
}

impl<'a> Words<'a> {
    /// What is shown; with `big_text` a long text can be unfolded.
    pub(super) fn new(shown: Shown<'a>, big_text: bool) -> Self {
        let title = shown.title.filter(|title| !title.trim().is_empty());
        let title = title.map_or_else(|| cut(shown.text, TITLE_CHARS), Cow::from);
        match big_text {
            true => Self { title, text: cut(shown.text, FOLDED_CHARS), unfolded: Some(shown.text.into()) },
            false => Self { title, text: shown.text.into(), unfolded: None },
        }
    }

    /// By how many bytes of JSON the text may be made shorter.
    pub(super) fn spare(&self) -> usize {
        written(self.unfolded.as_ref().unwrap_or(&self.text)).saturating_sub(SHORTEST_TEXT)
    }

    /// Makes the text shorter by so many bytes of JSON, with an ellipsis, if it is long enough for that; says whether it was.
    pub(super) fn shorten(&mut self, excess: usize) -> bool {
        let can = excess <= self.spare();
        if can {
            let text = self.unfolded.as_mut().unwrap_or(&mut self.text);
            *text = shortened(text.to_string(), written(text) - excess).into();
        }
        can
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_without_a_title_begins_with_its_text() {
        let text = "好".repeat(41);
        for title in [None, Some(""), Some(" \u{3000}")] {
            let words = Words::new(Shown { title, text: &text }, false);
            assert_eq!(words.title, "好".repeat(39) + "…");
            assert_eq!((words.text.as_ref(), words.unfolded), (text.as_str(), None));
        }
    }

    #[test]
    fn a_text_that_can_be_unfolded_shows_its_beginning_first() {
        let text = "好".repeat(101);
        let words = Words::new(Shown { title: Some("T"), text: &text }, true);
        assert_eq!((words.title.as_ref(), words.text.as_ref()), ("T", ("好".repeat(99) + "…").as_str()));
        assert_eq!(words.unfolded.as_deref(), Some(text.as_str()));
    }

    #[test]
    fn a_text_is_shortened_as_it_is_written_in_json() {
        for big_text in [false, true] {
            // A line feed has two bytes there.
            let text = "\n".repeat(100);
            let mut words = Words::new(Shown { title: Some("T"), text: &text }, big_text);
            assert!(words.shorten(20));
            let text = words.unfolded.as_ref().unwrap_or(&words.text).clone();
            assert_eq!(text, "\n".repeat(88) + "…");
            assert!(!words.shorten(180 - SHORTEST_TEXT));
            assert_eq!(*words.unfolded.as_ref().unwrap_or(&words.text), text);
        }
    }
}
