//! What an error says to the developer who called.

/// Longest sentence, in characters.
const CHARS: usize = 200;

/// A sentence that does not grow with what it quotes: it can hold a name that the caller chose.
pub(in crate::dialect) fn sentence(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_does_not_grow_with_what_it_quotes() {
        assert_eq!(sentence("é".repeat(200)), "é".repeat(200));
        assert_eq!(sentence("é".repeat(9_000)), "é".repeat(200) + "…");
    }
}
