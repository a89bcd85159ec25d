//! What stderr says about a failed call.

use crate::printable::printable;

/// One line without its end: `wasmpool: call 3 (input 7) trapped: unreachable`; `ending` is kind and message.
///
/// `index` counts from 0, as in records. Input and message are cut to a length that a terminal can show, and every
/// control character of theirs is escaped: the guest chose them.
pub(crate) fn failure_line(index: u64, input: Option<&str>, ending: &str) -> String {
    const INPUT_CHARACTERS_MAX: usize = 60;
    const MESSAGE_CHARACTERS_MAX: usize = 500;
    let input = match input {
        Some(input) => format!(" (input {})", printable(input, INPUT_CHARACTERS_MAX)),
        None => String::new(),
    };
    format!("wasmpool: call {index}{input} {}", printable(ending.trim(), MESSAGE_CHARACTERS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_takes_one_harmless_line() {
        let check = |input, ending, expected| assert_eq!(failure_line(3, input, ending), expected);
        check(None, "timed out", "wasmpool: call 3 timed out");
        check(Some("7"), "trapped: unreachable\n", "wasmpool: call 3 (input 7) trapped: unreachable");
        check(None, "failed: a\u{1b}[2J\nb", "wasmpool: call 3 failed: a\\u{1b}[2J\\nb");
        let long =
            failure_line(u64::MAX, Some(&"i".repeat(10_000)), &"\n".repeat(10_000).replace('\n', "\u{1b}m"));
        assert!(long.len() < 5_000);
    }
}
