//! How the end of one call is written.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::Duration;

/// The form of the whole output.
///
/// The variants' first lines are what `--help` says about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// One JSON value a line
    Lines,
    /// One JSON array
    Array,
    /// One JSON object a call and line: index, outcome, value or error, attempt, worker, time
    Records,
}

/// How results that are strings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strings {
    /// As JSON.
    Quoted,
    /// Decoded and without quotes; in `Shape::Lines` only.
    Raw,
}

/// The form of one job's output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) shape: Shape,
    pub(crate) strings: Strings,
    /// Without a result, only records say anything about a call.
    pub(crate) task_has_result: bool,
    /// Records tell attempt, worker and time, which differ from run to run.
    pub(crate) tells_circumstances: bool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended<'a> {
    /// `json` is one valid JSON value on one line, checked by whoever took it from the worker; empty for no result.
    Returned { json: &'a [u8] },
    /// `kind` is the outcome's name; the guest may have chosen the message.
    Failed { kind: &'static str, message: &'a str },
}

/// Which call, and what it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) index: u64,
    /// From 1.
    pub(crate) attempt: u32,
    pub(crate) worker: u32,
    pub(crate) time: Duration,
}

impl Format {
    /// Appends what stdout gets for this call, for a [`ResultStream`](super::ResultStream) of the same shape.
    ///
    /// A value of an array has its separator in front; the stream turns the first one into the bracket.
    pub(crate) fn write(self, call: &Call, ended: &Ended<'_>, out: &mut Vec<u8>) {
        if self.shape == Shape::Records {
            write_record(call, ended, self.tells_circumstances, out);
            return;
        }
        if !self.task_has_result {
            return;
        }
        let value = match ended {
            Ended::Returned { json } => or_null(json),
            Ended::Failed { .. } => b"null",
        };
        match (self.shape, self.strings) {
            (Shape::Array, _) => {
                out.push(b',');
                out.extend_from_slice(value);
            }
            (_, Strings::Quoted) => {
                out.extend_from_slice(value);
                out.push(b'\n');
            }
            (_, Strings::Raw) => {
                out.extend_from_slice(&unquoted(value));
                out.push(b'\n');
            }
        }
    }
}

fn write_record(call: &Call, ended: &Ended<'_>, tells_circumstances: bool, out: &mut Vec<u8>) {
    let outcome = match ended {
        Ended::Returned { .. } => "returned",
        Ended::Failed { kind, .. } => kind,
    };
    let Call { index, attempt, worker, time } = *call;
    write_text(out, format_args!(r#"{{"index":{index},"outcome":{},"#, serde_json::Value::from(outcome)));
    match ended {
        Ended::Returned { json } => {
            out.extend_from_slice(b"\"value\":");
            out.extend_from_slice(or_null(json));
        }
        Ended::Failed { message, .. } => {
            let error = serde_json::json!({ "kind": outcome, "message": message });
            write_text(out, format_args!("\"error\":{error}"));
        }
    }
    if tells_circumstances {
        let time_us = time.as_nanos() as f64 / 1e3;
        let circumstances =
            format_args!(",\"attempt\":{attempt},\"worker\":{worker},\"time_us\":{time_us:.1}");
        write_text(out, circumstances);
    }
    out.extend_from_slice(b"}\n");
}

fn write_text(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes every write");
}

fn or_null(json: &[u8]) -> &[u8] {
    if json.is_empty() { b"null" } else { json }
}

/// The text of a JSON string; any other value, and a string that no text can hold, as it is.
fn unquoted(json: &[u8]) -> Cow<'_, [u8]> {
    let decoded: Option<String> =
        json.starts_with(b"\"").then(|| serde_json::from_slice(json).ok()).flatten();
    decoded.map_or(Cow::Borrowed(json), |text| Cow::Owned(text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call = Call { index: 3, attempt: 1, worker: 2, time: Duration::from_nanos(12_345) };
    const FAILED: Ended<'static> = Ended::Failed { kind: "trapped", message: "say \"no\"\n\u{1b}" };
    const LINES: Format = Format {
        shape: Shape::Lines,
        strings: Strings::Quoted,
        task_has_result: true,
        tells_circumstances: true,
    };
    const RAW: Format = Format { strings: Strings::Raw, ..LINES };
    const ARRAY: Format = Format { shape: Shape::Array, ..LINES };
    const RECORDS: Format = Format { shape: Shape::Records, ..LINES };

    fn check(format: Format, ended: Ended<'_>, expected: &str) {
        let mut out = Vec::new();
        format.write(&CALL, &ended, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{format:?} {ended:?}");
    }

    fn returned(json: &str) -> Ended<'_> {
        Ended::Returned { json: json.as_bytes() }
    }

    #[test]
    fn lines_and_arrays_keep_a_place_for_every_call() {
        check(LINES, returned("{\"a\": 1e400}"), "{\"a\": 1e400}\n");
        check(LINES, returned("\"a\\nb\""), "\"a\\nb\"\n");
        check(LINES, FAILED, "null\n");
        check(ARRAY, returned("[1]"), ",[1]");
        check(ARRAY, FAILED, ",null");
    }

    #[test]
    fn raw_strings_lose_their_quotes_and_nothing_else() {
        check(RAW, returned(r#""a\nb\u00e9""#), "a\nbé\n");
        check(RAW, returned("42"), "42\n");
        check(RAW, returned("[\"a\"]"), "[\"a\"]\n");
        check(RAW, returned(r#""\ud800""#), "\"\\ud800\"\n");
        check(RAW, FAILED, "null\n");
    }

    #[test]
    fn tasks_without_a_result_say_nothing_but_in_records() {
        for format in [LINES, RAW, ARRAY] {
            let format = Format { task_has_result: false, ..format };
            check(format, returned(""), "");
            check(format, FAILED, "");
        }
        check(
            Format { task_has_result: false, ..RECORDS },
            returned(""),
            "{\"index\":3,\"outcome\":\"returned\",\"value\":null,\"attempt\":1,\"worker\":2,\"time_us\":12.3}\n",
        );
    }

    #[test]
    fn records_that_are_to_be_the_same_each_time_tell_no_circumstances() {
        let format = Format { tells_circumstances: false, ..RECORDS };
        check(format, returned("9"), "{\"index\":3,\"outcome\":\"returned\",\"value\":9}\n");
    }

    #[test]
    fn records_tell_everything_on_one_line() {
        check(
            RECORDS,
            returned("9"),
            "{\"index\":3,\"outcome\":\"returned\",\"value\":9,\"attempt\":1,\"worker\":2,\"time_us\":12.3}\n",
        );
        check(
            RECORDS,
            FAILED,
            "{\"index\":3,\"outcome\":\"trapped\",\"error\":{\"kind\":\"trapped\",\"message\":\"say \\\"no\\\"\\n\\u001b\"},\
             \"attempt\":1,\"worker\":2,\"time_us\":12.3}\n",
        );
    }
}
