//! Integer ranges as Rust writes them: `0..10`, `0..=9`, `-5..5`.

/// A range with both ends known; empty where the end does not lie behind the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) length: u64,
}

impl Range {
    /// Reads a range; `None` when `text` is something else.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let (start, end) = text.split_once("..")?;
        let (end, beyond) = match end.strip_prefix('=') {
            Some(end) => (end, 1),
            None => (end, 0),
        };
        (is_integer(start) && is_integer(end)).then(|| Self::between(start, end, beyond))
    }

    /// The last integer, if there is one.
    pub(super) fn last(self) -> Option<i128> {
        (self.length > 0).then(|| i128::from(self.start) + i128::from(self.length) - 1)
    }

    fn between(start: &str, end: &str, beyond: i128) -> Result<Self, String> {
        let (start, end) = (end_of_range(start)?, end_of_range(end)?);
        let length = (i128::from(end) + beyond - i128::from(start)).max(0);
        match u64::try_from(length) {
            Ok(length) => Ok(Self { start, length }),
            Err(_) => Err(format!("{start}..={end} has more than {} integers", u64::MAX)),
        }
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn end_of_range(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text} is out of range; ranges run within {}..={}", i64::MIN, i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, start: i64, length: u64) {
        assert_eq!(Range::parse(text), Some(Ok(Range { start, length })), "{text}");
    }

    #[test]
    fn both_spellings_and_both_signs_are_read() {
        check("0..10", 0, 10);
        check("0..=9", 0, 10);
        check("-5..5", -5, 10);
        check("-5..-3", -5, 2);
        check("3..=3", 3, 1);
        check("007..9", 7, 2);
        check("-9223372036854775808..9223372036854775807", i64::MIN, u64::MAX);
        check("9223372036854775807..=9223372036854775807", i64::MAX, 1);
    }

    #[test]
    fn a_range_whose_end_is_not_behind_its_start_is_empty() {
        check("0..0", 0, 0);
        check("5..0", 5, 0);
        check("5..=4", 5, 0);
        check("9223372036854775807..-9223372036854775808", i64::MAX, 0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for text in ["0..9223372036854775808", "-99999999999999999999..0"] {
            let refused = Range::parse(text).expect("a range");
            assert!(refused.is_err_and(|error| error.contains("out of range")), "{text}");
        }
        let everything = Range::parse("-9223372036854775808..=9223372036854775807").expect("a range");
        assert!(everything.is_err_and(|error| error.contains("more than")));
    }

    #[test]
    fn other_texts_are_no_ranges() {
        for text in [
            "", "..", "0..", "..5", "a..b", "1.5..2", "0...3", "0..+3", "0 ..3", "--1..2", "-..3", "\"0..3\"",
        ] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }
}
