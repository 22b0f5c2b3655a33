//! Titles and texts, as short as a vendor wants them.

use std::borrow::Cow;

/// A text of at most so many characters: cut before the first that is too many, with an ellipsis as the last. To be read
/// in part is better than not to be shown.
///
/// A character outside Unicode's first plane counts as two, as it does where strings are UTF-16: whoever counts it once
/// takes what is shorter.
pub(super) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if units(text) <= most {
        return text.into();
    }
    let mut room = most.saturating_sub(1);
    let fits = |c: &char| match room.checked_sub(c.len_utf16()) {
        Some(rest) => {
            room = rest;
            true
        }
        None => false,
    };
    text.chars().take_while(fits).chain(['…']).collect::<String>().into()
}

/// How long a text is, as [`shortened`] counts.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, most, expected) in [
            ("", 1, ""),
            ("four", 4, "four"),
            ("fives", 4, "fiv…"),
            ("你被邀请了", 5, "你被邀请了"),
            ("你被邀请了吗", 5, "你被邀请…"),
            ("a😀b", 4, "a😀b"),
            ("a😀bc", 4, "a😀…"),
            ("ab😀c", 4, "ab…"),
        ] {
            assert_eq!(shortened(text, most), expected, "{text} {most}");
        }
    }

    proptest! {
        #[test]
        fn it_is_never_longer_and_only_then_another(text in ".{0,60}", most in 1_usize..60) {
            let short = shortened(&text, most);
            prop_assert!(units(&short) <= most);
            prop_assert_eq!(units(&text) <= most, short == text.as_str());
            prop_assert!(short == text.as_str() || text.starts_with(short.trim_end_matches('…')));
        }
    }
}
