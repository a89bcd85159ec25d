//! JSON text that is checked and taken apart, but never converted.
//!
//! Values stay slices of what the user wrote: integers of 128 bits, exact decimals and the order of keys reach the
//! task unharmed. Nothing here recurses, so that no nesting of brackets can exhaust the stack.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Deepest nesting of arrays and objects in one value.
pub(crate) const DEPTH_MAX: usize = 128;

/// What JSON allows between its tokens.
pub(crate) const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Why, and where, a text is not one JSON value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) problem: Problem,
    /// From 1.
    pub(crate) line: usize,
    /// In bytes, from 1.
    pub(crate) column: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Something stands where it must not.
    Syntax(String),
    /// It ends before the value does.
    EndsEarly,
    /// It is nested deeper than so many levels.
    TooDeep(usize),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(message) => write!(f, "not JSON: {message}"),
            Self::EndsEarly => f.write_str("not JSON: the value does not end"),
            Self::TooDeep(most) => write!(f, "nested deeper than {most} levels"),
        }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line().max(1), error.column().max(1));
        if error.is_eof() {
            return Self { problem: Problem::EndsEarly, line, column };
        }
        let message = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&position).unwrap_or(&message).to_owned();
        Self { problem: Problem::Syntax(message), line, column }
    }
}

/// Checks that `text` is exactly one JSON value, nested no deeper than [`DEPTH_MAX`].
pub(crate) fn check(text: &str) -> Result<(), Fault> {
    check_within(text, DEPTH_MAX)
}

/// The same, nested no deeper than `depth_max`.
pub(crate) fn check_within(text: &str, depth_max: usize) -> Result<(), Fault> {
    let _: &RawValue = serde_json::from_str(text)?;
    match first_too_deep(text.as_bytes(), depth_max) {
        None => Ok(()),
        Some(offset) => {
            let before = &text.as_bytes()[..offset];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
            Err(Fault { problem: Problem::TooDeep(depth_max), line, column })
        }
    }
}

/// The first `kept_max` elements of an array, as written, and how many there are.
///
/// The limit keeps a line of brackets and commas from taking eight times its size.
pub(crate) fn elements(array: &str, kept_max: usize) -> Result<(Vec<&RawValue>, usize), Fault> {
    let mut deserializer = serde_json::Deserializer::from_str(array);
    let elements = deserializer.deserialize_seq(Elements { kept_max })?;
    deserializer.end()?;
    Ok(elements)
}

/// The first `kept_max` members of an object in their order, names decoded and values as written.
///
/// A name may occur twice.
pub(crate) fn members(object: &str, kept_max: usize) -> Result<Vec<(String, &RawValue)>, Fault> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let members = deserializer.deserialize_map(Members { kept_max })?;
    deserializer.end()?;
    Ok(members)
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Where valid JSON first goes too deep.
fn first_too_deep(json: &[u8], depth_max: usize) -> Option<usize> {
    if json.len() <= depth_max {
        return None;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (offset, byte) in json.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' if depth == depth_max => return Some(offset),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

struct Elements {
    kept_max: usize,
}

impl<'de> Visitor<'de> for Elements {
    type Value = (Vec<&'de RawValue>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.kept_max {
            match array.next_element()? {
                Some(element) => kept.push(element),
                None => break,
            }
        }
        let mut count = kept.len();
        while array.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok((kept, count))
    }
}

struct Members {
    kept_max: usize,
}

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.kept_max {
            match map.next_entry()? {
                Some(member) => kept.push(member),
                None => return Ok(kept),
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_fault(text: &str, problem: Problem, line: usize, column: usize) {
        assert_eq!(check(text), Err(Fault { problem, line, column }), "{text}");
    }

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn one_value_and_nothing_else_passes() {
        for text in
            ["1", " [1, {\"a\": null}] ", "\"\\u00e9\"", "1e999", "123456789012345678901234567890123456789"]
        {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        let syntax = |message: &str| Problem::Syntax(message.to_owned());
        check_fault("abc", syntax("expected value"), 1, 1);
        check_fault("1 2", syntax("trailing characters"), 1, 3);
        check_fault("[1,\n2,]", syntax("expected value"), 2, 3);
        check_fault("", Problem::EndsEarly, 1, 1);
        check_fault("[1, ", Problem::EndsEarly, 1, 4);
    }

    #[test]
    fn depth_is_limited_and_brackets_in_strings_do_not_count() {
        assert_eq!(check(&nested(DEPTH_MAX)), Ok(()));
        check_fault(&nested(DEPTH_MAX + 1), Problem::TooDeep(DEPTH_MAX), 1, DEPTH_MAX + 1);
        check_fault(&format!("[\n{}]", nested(DEPTH_MAX)), Problem::TooDeep(DEPTH_MAX), 2, DEPTH_MAX);
        check_fault(&nested(2_000_000), Problem::TooDeep(DEPTH_MAX), 1, DEPTH_MAX + 1);
        assert_eq!(check(&format!("\"\\\"{}\"", "[".repeat(1000))), Ok(()));
        assert_eq!(check(&"{\"\\\\\":[]}".replace("[]", &nested(DEPTH_MAX - 1))), Ok(()));
    }

    #[test]
    fn members_keep_their_text_their_order_and_their_duplicates() {
        let object = r#"{"b": 1e400, "\u0061" :[1, 2], "b":170141183460469231731687303715884105727, "c": 0}"#;
        let members = members(object, 3).expect("an object");
        let members: Vec<(&str, &str)> =
            members.iter().map(|(name, value)| (name.as_str(), value.get())).collect();
        assert_eq!(
            members,
            [("b", "1e400"), ("a", "[1, 2]"), ("b", "170141183460469231731687303715884105727")]
        );
    }

    #[test]
    fn elements_are_counted_without_being_kept() {
        let kept_and_count = |array: &str, kept_max| {
            let (kept, count) = elements(array, kept_max).expect("an array");
            (kept.iter().map(|element| element.get().to_owned()).collect::<Vec<String>>(), count)
        };
        assert_eq!(kept_and_count("[ 1e400 ,[2],3]", 2), (vec!["1e400".to_owned(), "[2]".to_owned()], 3));
        assert_eq!(kept_and_count("[1,2,3]", 0), (vec![], 3));
        assert_eq!(kept_and_count("[]", 5), (vec![], 0));
        for wrong in ["{}", "[1", "[1] 2", "1"] {
            assert!(elements(wrong, 5).is_err(), "{wrong}");
        }
    }

    #[test]
    fn quoting_escapes() {
        assert_eq!(quoted("say \"ü\"\n"), r#""say \"ü\"\n""#);
    }
}
