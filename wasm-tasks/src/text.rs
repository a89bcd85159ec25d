//! Texts, in and out.

use std::collections::BTreeMap;

use wasmpool_guest::task;

/// Greets somebody.
#[task]
pub fn greet(name: &str) -> String {
    format!("Hello, {name}!")
}

/// Counts how often each word of a text occurs.
#[task(name = "word-count")]
pub fn word_count(text: &str) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

/// The first word of a text, if there is one.
#[task]
pub fn first_word(text: &str) -> Option<&str> {
    text.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_names_its_addressee() {
        assert_eq!(greet("Ada"), "Hello, Ada!");
    }

    #[test]
    fn words_are_counted_whatever_their_case() {
        let counts = word_count("The cat and the hat");
        assert_eq!(counts["the"], 2);
        assert_eq!(counts.len(), 4);
        assert_eq!(first_word("  The cat"), Some("The"));
        assert_eq!(first_word(" "), None);
    }
}
