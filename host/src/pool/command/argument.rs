//! An argument of a program, with places for what differs from call to call.

use crate::channel::invocation::Writer;

/// An argument as somebody wrote it, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `{}`
    Input,
    /// `{#}`
    Index,
}

/// What stands for something else, longest first, and for what: a pair of braces more is how to write it as it is.
const PLACES: [(&str, Option<Piece>); 4] =
    [("{{#}}", None), ("{{}}", None), ("{#}", Some(Piece::Index)), ("{}", Some(Piece::Input))];

impl Argument {
    /// Takes a text apart.
    pub(crate) fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let place = PLACES.iter().find(|(place, _)| rest.starts_with(place));
            let length = place.map_or(character.len_utf8(), |(place, _)| place.len());
            match place {
                Some((_, Some(piece))) => {
                    flush(&mut plain, &mut pieces);
                    pieces.push(piece.clone());
                }
                Some((place, None)) => plain.push_str(&place[1..place.len() - 1]),
                None => plain.push(character),
            }
            rest = &rest[length..];
        }
        flush(&mut plain, &mut pieces);
        Self(pieces)
    }

    /// Whether it differs from call to call.
    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the command line asks"))]
    pub(crate) fn varies(&self) -> bool {
        self.0.iter().any(|piece| !matches!(piece, Piece::Text(_)))
    }

    /// Writes it for one call, without its end.
    pub(super) fn write(&self, index: u64, input: &[u8], into: &mut Writer<'_>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => into.push(text.as_bytes()),
                Piece::Input => into.push(input),
                Piece::Index => into.push(itoa::Buffer::new().format(index).as_bytes()),
            }
        }
    }
}

fn flush(plain: &mut String, pieces: &mut Vec<Piece>) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(std::mem::take(plain)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(argument: &str) -> String {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        Argument::parse(argument).write(7, b"in", &mut writer);
        writer.end_argument().unwrap();
        writer.finish(b"").unwrap();
        let text = &bytes[crate::channel::invocation::HEAD_BYTES..];
        String::from_utf8(text.strip_suffix(b"\0").unwrap().to_vec()).unwrap()
    }

    #[test]
    fn places_are_filled_wherever_they_stand() {
        for (argument, expected) in [
            ("", ""),
            ("-n", "-n"),
            ("{}", "in"),
            ("a{}b{}c", "ainbinc"),
            ("--out=ü{#}.txt", "--out=ü7.txt"),
            ("{#}{}", "7in"),
            ("{ }{", "{ }{"),
            ("{{}}", "{}"),
            ("{{#}} {{}}", "{#} {}"),
            ("{{{}}}", "{{}}"),
            ("{{x}}", "{{x}}"),
        ] {
            assert_eq!(written(argument), expected, "{argument}");
        }
    }

    #[test]
    fn it_is_known_whether_an_argument_differs_from_call_to_call() {
        for (argument, varies) in [("x", false), ("{}", true), ("{#}", true), ("{{}}", false)] {
            assert_eq!(Argument::parse(argument).varies(), varies, "{argument}");
        }
    }
}
