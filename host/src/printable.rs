//! Text that others wrote, made fit for one line of a terminal.
//!
//! Names, messages and inputs may come from a hostile module. Printed raw they could move the cursor, recolour the
//! terminal, reorder what is read or pretend to be a line of ours.

use std::fmt;

/// Shows `text` on one line: control and formatting characters escaped, at most `characters_max` characters.
///
/// What is cut off is replaced by `…`. Escaping costs no part of the budget, which thus bounds the output to ten
/// times as many characters.
pub(crate) fn printable(text: &str, characters_max: usize) -> Printable<'_> {
    Printable { text, characters_max }
}

/// Shows a name that stands within a message, see [`printable`].
pub(crate) fn printable_name(name: &str) -> Printable<'_> {
    printable(name, 80)
}

/// A line that a guest printed, made fit for a terminal; tabulators stay.
pub(crate) fn line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let columns = text.split('\t').map(|column| printable(column, usize::MAX).to_string());
    columns.collect::<Vec<_>>().join("\t")
}

/// See [`printable`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printable<'a> {
    text: &'a str,
    characters_max: usize,
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, character) in self.text.chars().enumerate() {
            if position == self.characters_max {
                return f.write_str("…");
            }
            match character {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                hidden if is_hidden(hidden) => write!(f, "{}", hidden.escape_unicode())?,
                visible => write!(f, "{visible}")?,
            }
        }
        Ok(())
    }
}

/// Characters that act on a terminal or on the reading direction instead of being seen.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(printable(text, 12).to_string(), expected);
    }

    #[test]
    fn only_what_can_be_seen_reaches_the_terminal() {
        check("", "");
        check("plain — ü 💥", "plain — ü 💥");
        check("two\nlines\r\t", "two\\nlines\\r\\t");
        check("\u{1b}[31mred", "\\u{1b}[31mred");
        check("\u{9b}31m", "\\u{9b}31m");
        check("a\u{202e}b", "a\\u{202e}b");
        check("a\u{200b}\u{feff}b", "a\\u{200b}\\u{feff}b");
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        check("ääääääääääää", "ääääääääääää");
        check("äääääääääääää", "ääääääääääää…");
        assert_eq!(printable("abc", 0).to_string(), "…");
    }
}
