//! Inputs from a stream: JSON Lines, or plain lines as strings.

use std::io::{BufRead, BufReader, Read};

use super::bind::{Binder, Misfit};
use super::{InputError, Piece, Text};
use crate::cli::json::{Fault, Problem};

/// Longest line of stdin by default, in bytes: the limit of a call's input.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 20;

/// The error for a stdin that nobody meant: a terminal where JSON Lines are expected.
///
/// # Errors
///
/// If `is_terminal`.
pub(crate) fn refuse_terminal(is_terminal: bool) -> Result<(), InputError> {
    if !is_terminal {
        return Ok(());
    }
    Err(InputError::Refused(
        "no inputs, and stdin is a terminal; give INPUTs after the task, or pipe JSON Lines in (`cat |` to type them)"
            .to_owned(),
    ))
}

/// Reads one call per line, holding one line at a time; ends after the first error.
///
/// JSON Lines may end in CRLF, and blank lines are skipped. Of plain lines (`Text::Strings`) each is a string, also
/// an empty one, so that line i of the output belongs to line i of the input.
#[derive(Debug)]
pub(crate) struct JsonLines<'a, R> {
    source: R,
    binder: &'a Binder<'a>,
    line_bytes_max: usize,
    line: Vec<u8>,
    line_number: u64,
    ended: bool,
}

impl<'a, R: BufRead> JsonLines<'a, R> {
    /// Lines longer than `line_bytes_max`, the line's end not counted, are an error.
    pub(crate) fn new(source: R, binder: &'a Binder<'a>, line_bytes_max: usize) -> Self {
        Self { source, binder, line_bytes_max, line: Vec::new(), line_number: 0, ended: false }
    }

    fn piece(&mut self) -> Result<Option<Piece>, InputError> {
        while self.read_line()? {
            let line = trimmed_end(&self.line);
            let line =
                if self.line_number == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
            let text = text(line).map_err(|(column, message)| self.refused(Some(column), &message))?;
            let blank = text.bytes().all(|byte| byte.is_ascii_whitespace());
            if blank && self.binder.text() == Text::Json {
                continue;
            }
            return self.binder.line(text).map(Some).map_err(|misfit| self.misfit(misfit));
        }
        Ok(None)
    }

    /// Reads the next line with its end; `false` at the end of the stream.
    fn read_line(&mut self) -> Result<bool, InputError> {
        self.line.clear();
        self.line_number += 1;
        let with_end = self.line_bytes_max.saturating_add(2) as u64;
        (&mut self.source)
            .take(with_end)
            .read_until(b'\n', &mut self.line)
            .map_err(InputError::Unreadable)?;
        if trimmed_end(&self.line).len() > self.line_bytes_max {
            let message = format!("longer than {} bytes, the limit of an input", self.line_bytes_max);
            return Err(self.refused(None, &message));
        }
        Ok(!self.line.is_empty())
    }

    fn misfit(&self, misfit: Misfit) -> InputError {
        match misfit {
            Misfit::Unbindable(message) => self.refused(None, &message),
            Misfit::NotJson(Fault { problem: Problem::EndsEarly, column, .. }) => {
                let message =
                    "the value does not end on its line; give one JSON value a line (`jq -c .` does)";
                self.refused(Some(column), message)
            }
            Misfit::NotJson(Fault { problem, column, .. }) => {
                let structured = matches!(self.line.trim_ascii_start(), [b'[' | b'{' | b'"', ..]);
                let remedy = if structured { "" } else { "; --strings takes plain lines" };
                self.refused(Some(column), &format!("{problem}{remedy}"))
            }
        }
    }

    fn refused(&self, column: Option<usize>, message: &str) -> InputError {
        let column = column.map(|column| format!(", column {column}")).unwrap_or_default();
        InputError::Refused(format!("stdin line {}{column}: {message}", self.line_number))
    }
}

impl<R: Read> JsonLines<'_, BufReader<R>> {
    /// Whether a whole line is buffered, so that the next input needs no waiting for the source.
    pub(crate) fn has_line(&self) -> bool {
        self.source.buffer().contains(&b'\n')
    }
}

impl<R: BufRead> Iterator for JsonLines<'_, R> {
    type Item = Result<Piece, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.piece().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn trimmed_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The line as text, or the column and the reason why it is none.
fn text(line: &[u8]) -> Result<&str, (usize, String)> {
    if let Some(offset) = line.iter().position(|byte| *byte == 0) {
        return Err((offset + 1, "a NUL byte; stdin must be UTF-8 text".to_owned()));
    }
    std::str::from_utf8(line).map_err(|error| {
        let offset = error.valid_up_to();
        (offset + 1, format!("byte {:#04x} is not UTF-8; stdin must be UTF-8 text", line[offset]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::inputs::{Binding, Parameters};

    const NAMES: [Option<String>; 1] = [None];

    fn with_binder<T>(text: Text, then: impl FnOnce(&Binder<'_>) -> T) -> T {
        let kinds = ["Thing".to_owned()];
        let parameters = Parameters { task: "work", names: &NAMES, kinds: &kinds };
        then(&Binder::new(Binding::One, text, parameters).expect("one parameter"))
    }

    fn read(source: &[u8], text: Text, line_bytes_max: usize) -> Vec<String> {
        with_binder(text, |binder| {
            JsonLines::new(BufReader::with_capacity(3, source), binder, line_bytes_max)
                .map(|piece| match piece {
                    Ok(Piece::Json(json)) => json,
                    Ok(range) => panic!("{range:?}"),
                    Err(error) => error.to_string(),
                })
                .collect()
        })
    }

    fn check(source: &[u8], expected: &[&str]) {
        assert_eq!(read(source, Text::Json, 100), expected, "{}", source.escape_ascii());
    }

    #[test]
    fn one_call_a_line_and_blank_lines_are_skipped() {
        check(b"", &[]);
        check(b"\n \t\n\r\n", &[]);
        check(b"1\n\n{\"a\": [ ]}\r\n  \"x\"  ", &["[1]", "[{\"a\": [ ]}]", "[\"x\"]"]);
        check(b"\xef\xbb\xbf1\n2\n", &["[1]", "[2]"]);
        check(b"0..3\n", &["stdin line 1, column 3: not JSON: invalid number; --strings takes plain lines"]);
    }

    #[test]
    fn errors_name_line_and_column_and_end_the_stream() {
        let stops = |source: &[u8], expected: &str| check(source, &["[1]", expected]);
        stops(
            b"1\n\nabc\n2\n",
            "stdin line 3, column 1: not JSON: expected value; --strings takes plain lines",
        );
        stops(b"1\n[1,]\n", "stdin line 2, column 4: not JSON: expected value");
        stops(
            b"1\n{\n\"a\": 1}\n",
            "stdin line 2, column 1: the value does not end on its line; give one JSON value a line (`jq -c .` does)",
        );
        stops(b"1\n\"a\0b\"\n", "stdin line 2, column 3: a NUL byte; stdin must be UTF-8 text");
        stops(b"1\n\"\xff\"\n", "stdin line 2, column 2: byte 0xff is not UTF-8; stdin must be UTF-8 text");
    }

    #[test]
    fn long_lines_are_refused_without_reading_them_whole() {
        struct Endless;
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                buffer.fill(b'1');
                Ok(buffer.len())
            }
        }
        let expected = "stdin line 1: longer than 5 bytes, the limit of an input";
        assert_eq!(read(b"12345\r\n12345\n12345", Text::Json, 5), ["[12345]"; 3]);
        assert_eq!(read(b"12345\r\n1\n", Text::Strings, 5), [r#"["12345"]"#, r#"["1"]"#]);
        assert_eq!(read(b"123456\n1\n", Text::Json, 5), [expected]);
        assert_eq!(read(b"123456", Text::Json, 5), [expected]);
        with_binder(Text::Json, |binder| {
            let mut lines = JsonLines::new(BufReader::new(Endless), binder, 5);
            assert!(lines.next().is_some_and(|piece| piece.is_err()));
            assert!(lines.next().is_none());
        });
    }

    #[test]
    fn a_deeply_nested_line_is_refused() {
        let source = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        let read = read(source.as_bytes(), Text::Json, LINE_BYTES_MAX);
        assert_eq!(read, ["stdin line 1, column 129: nested deeper than 128 levels"]);
    }

    #[test]
    fn plain_lines_are_strings_and_keep_their_places() {
        let read = read(b"a \"b\"\r\n\n 7\n\\", Text::Strings, 100);
        assert_eq!(read, [r#"["a \"b\""]"#, r#"[""]"#, r#"[" 7"]"#, r#"["\\"]"#]);
    }

    #[test]
    fn a_failing_source_is_not_the_users_mistake() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _buffer: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::IsADirectory.into())
            }
        }
        with_binder(Text::Json, |binder| {
            let mut lines = JsonLines::new(BufReader::new(Broken), binder, 5);
            assert!(matches!(lines.next(), Some(Err(InputError::Unreadable(_)))));
            assert!(lines.next().is_none());
        });
    }

    #[test]
    fn buffered_lines_are_known_without_reading() {
        with_binder(Text::Json, |binder| {
            let mut lines = JsonLines::new(BufReader::new(&b"1\n2\n3"[..]), binder, 100);
            assert!(!lines.has_line());
            assert!(lines.next().is_some() && lines.has_line());
            assert!(lines.next().is_some() && !lines.has_line());
            assert!(lines.next().is_some() && lines.next().is_none());
        });
    }

    #[test]
    fn a_terminal_is_no_source() {
        assert!(refuse_terminal(false).is_ok());
        assert!(refuse_terminal(true).is_err_and(|error| error.to_string().starts_with("no inputs")));
    }

    /// Whatever comes in, lines are answered in order with valid JSON, and at most one error comes last.
    #[test]
    fn garbage_never_gets_past_the_reader() {
        const TOKENS: [&[u8]; 16] = [
            b"\n", b"\r\n", b"1", b"-", b"\"", b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b" ",
            b"\xff", b"\0",
        ];
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % 16).expect("small")
        };
        for round in 0..20_000 {
            let length = 1 + random();
            let source: Vec<u8> = (0..length).flat_map(|_| TOKENS[random()].to_vec()).collect();
            let read = read(&source, Text::Json, 20);
            for (position, piece) in read.iter().enumerate() {
                let is_call = serde_json::from_str::<[serde_json::Value; 1]>(piece).is_ok();
                let is_last_error = piece.starts_with("stdin line ") && position + 1 == read.len();
                assert!(is_call || is_last_error, "round {round}: {} gave {piece}", source.escape_ascii());
            }
        }
    }
}
