//! What goes in comes out; and results of any size and depth.

use serde::{Deserialize, Serialize};
use wasmpool_guest::task;

/// Returns a text unchanged.
#[task]
pub fn echo_text(text: String) -> String {
    text
}

/// Returns bytes unchanged.
#[task]
pub fn echo_bytes(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// Returns integers unchanged.
#[task]
pub fn echo_numbers(numbers: Vec<i64>) -> Vec<i64> {
    numbers
}

/// Returns floats unchanged.
#[task]
pub fn echo_floats(floats: Vec<f64>) -> Vec<f64> {
    floats
}

/// Returns lists of lists unchanged, however deep.
#[task]
pub fn echo_nested(nested: Nested) -> Nested {
    nested
}

/// A text of so many bytes.
#[task]
pub fn big_result(bytes: u64) -> Result<String, String> {
    let bytes = usize::try_from(bytes).map_err(|_| format!("{bytes} bytes are more than an instance has"))?;
    Ok("x".repeat(bytes))
}

/// So many bytes.
#[task]
pub fn big_bytes(length: u64) -> Result<Vec<u8>, String> {
    big_result(length).map(String::into_bytes)
}

/// How long a text is, in bytes.
#[task]
pub fn count_text(text: &str) -> u64 {
    text.len() as u64
}

/// How many bytes there are.
#[task]
pub fn count_bytes(bytes: Vec<u8>) -> u64 {
    bytes.len() as u64
}

/// Lists within lists, so many.
#[task]
pub fn deep_result(depth: u32) -> Nested {
    (1..depth).fold(Nested(Vec::new()), |inside, _| Nested(vec![inside]))
}

/// A list of lists.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Nested(pub Vec<Nested>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_as_large_and_as_deep_as_asked_for() {
        assert_eq!(big_result(3).as_deref(), Ok("xxx"));
        assert_eq!(big_bytes(3).as_deref(), Ok(&b"xxx"[..]));
        assert_eq!((count_text("one"), count_bytes(vec![1, 2])), (3, 2));
        assert_eq!(deep_result(1), Nested(vec![]));
        assert_eq!(deep_result(3), Nested(vec![Nested(vec![Nested(vec![])])]));
    }
}
