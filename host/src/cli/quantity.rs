//! Durations, sizes and counts as people type them.
//!
//! The parsers' errors are the ends of clap's: `invalid value '0' for '--timeout <DURATION>': ` and then ours.

use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;
use std::time::Duration;

use crate::schedule::back_off::{BackOff, REST_MAX};

/// Most workers that may be asked for.
pub(crate) const WORKERS_MAX: u16 = 1024;

/// How many workers a pool gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workers {
    /// One for each core that this process may use.
    Auto,
    /// This many, at most [`WORKERS_MAX`].
    Count(NonZeroU16),
}

impl FromStr for Workers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let count: Option<NonZeroU16> = text.parse().ok();
        match count {
            Some(count) if count.get() <= WORKERS_MAX => Ok(Self::Count(count)),
            _ => Err(format!("give a number from 1 to {WORKERS_MAX}, or `auto` for one per usable core")),
        }
    }
}

/// A time of at least a nanosecond: `5s`, `250ms`, `1m`, `2h`, `1.5s`, or plain seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "give a duration such as 250ms, 5s, 1m or 2h";
    let (number, unit) = split_unit(text);
    let seconds_per_unit = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(EXPECTED.to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
    let duration =
        Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| "too long".to_owned())?;
    if duration.is_zero() {
        return Err("no call can end in no time; leave the flag away for the default".to_owned());
    }
    Ok(duration)
}

/// A number of calls, at least one.
pub(crate) fn calls(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("give a number of calls from 1 to {}", u32::MAX))
}

/// How long calls rest before they are tried again: the first rest, and behind two dots the longest one.
///
/// Without the latter it is a minute, or the first if that is longer.
pub(crate) fn rests(text: &str) -> Result<BackOff, String> {
    const MOST_DEFAULT: Duration = Duration::from_secs(60);
    const EXPECTED: &str = "give a duration such as 100ms, or two such as 100ms..10s, a day at most";
    let expected = |_| EXPECTED.to_owned();
    let rests = match text.split_once("..") {
        Some((first, most)) => {
            BackOff { first: duration(first).map_err(expected)?, most: duration(most).map_err(expected)? }
        }
        None => {
            let first = duration(text).map_err(expected)?;
            BackOff { first, most: first.max(MOST_DEFAULT) }
        }
    };
    if rests.first > rests.most {
        return Err("the first duration is longer than the longest; swap them".to_owned());
    }
    if rests.most > REST_MAX {
        return Err(EXPECTED.to_owned());
    }
    Ok(rests)
}

/// A number of bytes: `64MiB`, `1GiB`, `512KiB`, `1MB` (a million), or plain bytes. Units in any case.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "give a size such as 65536, 512KiB, 64MiB or 1GB";
    let (number, unit) = split_unit(text);
    let bytes_per_unit: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "k" | "m" | "g" | "t" => {
            return Err(format!(
                "`{unit}` may mean powers of 1000 or of 1024; write {number}{unit}B or {number}{unit}iB"
            ));
        }
        _ => return Err(EXPECTED.to_owned()),
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EXPECTED.to_owned());
    }
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(bytes_per_unit))
        .ok_or_else(|| "more bytes than a 64-bit number can count".to_owned())
}

/// A whole number.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("give a whole number such as 1000000".to_owned());
    }
    text.parse().map_err(|_| "more than a 64-bit number can count".to_owned())
}

/// Digits and dots in front, the unit behind; a sign or an exponent makes an unknown unit.
fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.');
    text.split_at(digits.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_are_a_first_and_a_longest_duration() {
        let ms = Duration::from_millis;
        let readable = [("100ms", (100, 60_000)), ("2m", (120_000, 120_000)), ("50ms..1s", (50, 1000))];
        for (text, (first, most)) in readable {
            assert_eq!(rests(text), Ok(BackOff { first: ms(first), most: ms(most) }), "{text}");
        }
        for (text, expected) in [
            ("", "give a duration"),
            ("soon", "give a duration"),
            ("1s..", "give a duration"),
            ("0..1s", "give a duration"),
            ("25h", "give a duration"),
            ("2s..1s", "the first duration is longer"),
        ] {
            let error = rests(text).expect_err(text);
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn durations_are_read_in_their_units() {
        let readable =
            [("5s", 5_000), ("250ms", 250), ("1m", 60_000), ("2h", 7_200_000), ("7", 7_000), ("1.5s", 1_500)];
        for (text, milliseconds) in readable {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "-5s", "5 s", "1d", "1e3", "five", "..", "1.2.3s", "+5s", "inf", "NaN"] {
            assert!(duration(text).is_err_and(|error| error.starts_with("give a duration")), "{text}");
        }
    }

    #[test]
    fn no_time_and_endless_time_are_refused() {
        for text in ["0", "0s", "0.0h", "0.0000000001s"] {
            assert!(duration(text).is_err_and(|error| error.starts_with("no call can end")), "{text}");
        }
        assert_eq!(duration(&"9".repeat(400)), Err("too long".to_owned()));
    }

    #[test]
    fn sizes_are_read_in_their_units() {
        let readable = [
            ("0", 0),
            ("65536", 65_536),
            ("12B", 12),
            ("512KiB", 512 << 10),
            ("64MiB", 64 << 20),
            ("64mib", 64 << 20),
            ("1GiB", 1 << 30),
            ("1MB", 1_000_000),
            ("1kB", 1_000),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in readable {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "64 MiB", "1EiB", "0x10", "+1"] {
            assert!(size(text).is_err_and(|error| error.starts_with("give a size")), "{text}");
        }
        assert!(size("64M").is_err_and(|error| error.contains("64MB or 64MiB")));
        for text in ["18446744073709551616", "99999999999TiB"] {
            assert!(size(text).is_err_and(|error| error.starts_with("more bytes")), "{text}");
        }
    }

    #[test]
    fn counts_are_whole_numbers() {
        assert_eq!(count("0"), Ok(0));
        assert_eq!(count("18446744073709551615"), Ok(u64::MAX));
        for text in ["", "-1", "+1", "1e6", "1.0", "1k", "0x10"] {
            assert!(count(text).is_err_and(|error| error.starts_with("give a whole number")), "{text}");
        }
        assert!(count("18446744073709551616").is_err_and(|error| error.starts_with("more than")));
    }

    #[test]
    fn workers_are_counted_within_their_range() {
        assert_eq!("auto".parse(), Ok(Workers::Auto));
        for count in [1, 2, WORKERS_MAX] {
            let expected = Workers::Count(NonZeroU16::new(count).expect("not zero"));
            assert_eq!(count.to_string().parse(), Ok(expected));
        }
        for text in ["0", "1025", "-1", "many", "", "1.5", "99999999999"] {
            let refused: Result<Workers, String> = text.parse();
            assert!(refused.is_err_and(|error| error.contains("from 1 to 1024")), "{text}");
        }
    }
}
