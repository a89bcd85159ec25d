//! JSON and MessagePack, in and out.
//!
//! An argument may nest 128 deep in either. MessagePack is bounded here; JSON comes checked from the host, which bounds
//! the size of inputs, too.

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, SeqAccess};
use serde::{Deserialize, Serialize};
use wasmpool_abi::Codec;

use crate::arguments::{Arguments, List};
use crate::json_floats::{FloatsAsText, FloatsFromText};

/// Deepest nesting of an argument.
const DEPTH_MAX: usize = 128;

/// Reads a call's arguments.
///
/// # Errors
///
/// What is wrong with the input, in words for whoever made the call.
pub(crate) fn decode<A: Arguments>(codec: Codec, names: &[&str], input: &[u8]) -> Result<A, String> {
    match codec {
        Codec::Json => decode_json(names, input).map_err(|error| without_position(&error)),
        Codec::MessagePack => decode_message_pack(names, input).map_err(|error| without_marker(&error)),
    }
}

fn decode_json<A: Arguments>(names: &[&str], input: &[u8]) -> serde_json::Result<A> {
    let mut json = serde_json::Deserializer::from_slice(input);
    // Its own limit is 127 levels, of which the array around the arguments takes one.
    json.disable_recursion_limit();
    let arguments = FloatsFromText(&mut json).deserialize_seq(List::new(names))?;
    json.end()?;
    Ok(arguments)
}

type MessagePack<'de> = rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'de, [u8]>>;
type MessagePackError = rmp_serde::decode::Error;

fn decode_message_pack<A: Arguments>(names: &[&str], input: &[u8]) -> Result<A, MessagePackError> {
    let Some((count, items)) = array_head(input) else {
        return Err(Error::custom("expected an array of the task's arguments"));
    };
    let mut message_pack = MessagePack::from_read_ref(items);
    // It counts what is below the innermost array, too.
    message_pack.set_max_depth(DEPTH_MAX + 1);
    let arguments = A::read(&mut Items { left: count, message_pack: &mut message_pack }, names, 0)?;
    // The deserializer does not tell its place, but at the end there is no further marker to read.
    match IgnoredAny::deserialize(&mut message_pack) {
        Err(MessagePackError::InvalidMarkerRead(_)) => Ok(arguments),
        _ => Err(Error::custom("trailing bytes behind the arguments")),
    }
}

/// Reads one value out of MessagePack: an item of a shared object.
///
/// # Errors
///
/// What is wrong with the bytes, in words.
pub(crate) fn decode_value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut message_pack = MessagePack::from_read_ref(bytes);
    message_pack.set_max_depth(DEPTH_MAX + 1);
    let value = T::deserialize(&mut message_pack).map_err(|error| without_marker(&error))?;
    // The deserializer tells no place, but at the end there is no further marker to read.
    match IgnoredAny::deserialize(&mut message_pack) {
        Err(MessagePackError::InvalidMarkerRead(_)) => Ok(value),
        _ => Err("trailing bytes behind the value".to_owned()),
    }
}

/// The length of a MessagePack array, and what follows.
fn array_head(input: &[u8]) -> Option<(u32, &[u8])> {
    match *input {
        [head @ 0x90..=0x9f, ref items @ ..] => Some((u32::from(head & 0x0f), items)),
        [0xdc, a, b, ref items @ ..] => Some((u32::from(u16::from_be_bytes([a, b])), items)),
        [0xdd, a, b, c, d, ref items @ ..] => Some((u32::from_be_bytes([a, b, c, d]), items)),
        _ => None,
    }
}

/// The arguments in a MessagePack array.
///
/// `rmp_serde` has the like, but through it every task would compile the code for all that an array is not: a fifth of
/// a module of small tasks.
struct Items<'a, 'de> {
    left: u32,
    message_pack: &'a mut MessagePack<'de>,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = MessagePackError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Self::Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.message_pack).map(Some)
    }
}

/// The error's text without its line and column: the host has put the argument into an array, so they would tell
/// the caller of places that he has not written.
fn without_position(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    if text.ends_with(&position) {
        text.truncate(text.len() - position.len());
    }
    text
}

/// The error's text without the markers that `rmp_serde` tells of where a number or a boolean should be.
fn without_marker(error: &MessagePackError) -> String {
    let text = error.to_string();
    match text.split_once("wrong msgpack marker ") {
        Some((argument, marker)) => format!("{argument}invalid type: {}", kind_of(marker)),
        None => text,
    }
}

/// What begins with this marker, in the words of serde's other messages; scalars come here from 128-bit integers only.
fn kind_of(marker: &str) -> &'static str {
    let name = marker.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
    match name {
        "Null" => "null",
        "True" | "False" => "boolean",
        "F" => "floating point number",
        "FixStr" | "Str" => "string",
        "Bin" => "byte array",
        "FixArray" | "Array" => "sequence",
        "FixMap" | "Map" => "map",
        _ => "something unknown",
    }
}

/// Appends a result to `output`.
///
/// # Errors
///
/// Why the codec cannot express the value: JSON has no keys but strings, for example. `output` then holds a part.
pub(crate) fn encode<T: Serialize + ?Sized>(
    codec: Codec,
    value: &T,
    output: &mut Vec<u8>,
) -> Result<(), String> {
    match codec {
        Codec::Json => value
            .serialize(FloatsAsText(&mut serde_json::Serializer::new(output)))
            .map_err(|error| error.to_string()),
        Codec::MessagePack => value
            .serialize(&mut rmp_serde::Serializer::new(output).with_struct_map())
            .map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Two = (i64, (Vec<f64>, ()));

    const NAMES: &[&str] = &["a", "b"];

    /// Decodes the same JSON text in both codecs.
    fn decode_both<A: Arguments>(names: &[&str], json: &str) -> [Result<A, String>; 2] {
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        let message_pack = rmp_serde::to_vec_named(&value).unwrap();
        [decode(Codec::Json, names, json.as_bytes()), decode(Codec::MessagePack, names, &message_pack)]
    }

    fn refusals<A: Arguments>(names: &[&str], json: &str) -> [String; 2] {
        decode_both::<A>(names, json).map(|decoded| decoded.err().unwrap_or_else(|| "accepted".to_owned()))
    }

    #[test]
    fn arguments_are_read_in_order() {
        for decoded in decode_both::<Two>(NAMES, "[7, [0.5, 2]]") {
            assert_eq!(decoded, Ok((7, (vec![0.5, 2.0], ()))));
        }
        assert_eq!(decode_both::<()>(&[], "[]"), [Ok(()), Ok(())]);
    }

    #[test]
    fn a_refusal_names_the_argument_and_no_column() {
        for (input, expected) in [
            ("[]", "missing argument `a` (1 of 2)"),
            ("[1]", "missing argument `b` (2 of 2)"),
            ("[1, [], 3, [4]]", "too many arguments: 4 given, the task takes 2"),
        ] {
            assert_eq!(refusals::<Two>(NAMES, input), [expected, expected], "{input}");
        }
        for (input, found) in [("7", "integer `7`"), (r#"{"a": 1}"#, "map")] {
            let expected = "expected an array of the task's arguments";
            let json = format!("invalid type: {found}, {expected}");
            assert_eq!(refusals::<Two>(NAMES, input), [json, expected.to_owned()], "{input}");
        }
        let none = "too many arguments: 1 given, the task takes none";
        assert_eq!(refusals::<()>(&[], "[null]"), [none, none]);
    }

    #[test]
    fn a_number_that_is_none_is_told_by_its_kind() {
        for (input, json, message_pack) in [
            (r#"["x", []]"#, r#"argument `a`: invalid type: string "x", expected i64"#, "string"),
            ("[null, []]", "argument `a`: invalid type: null, expected i64", "unit value, expected i64"),
            ("[[1, 2], []]", "argument `a`: invalid type: sequence, expected i64", "sequence"),
            (r#"[{"b": 1}, []]"#, "argument `a`: invalid type: map, expected i64", "map"),
        ] {
            let message_pack = format!("argument `a`: invalid type: {message_pack}");
            assert_eq!(refusals::<Two>(NAMES, input), [json.to_owned(), message_pack], "{input}");
        }
        for (input, why) in [
            ("[1.5, []]", "argument `a`: invalid type: floating point `1.5`, expected i64"),
            ("[1, [true]]", "argument `b`: invalid type: boolean `true`, expected f64"),
            (
                "[18446744073709551615, []]",
                "argument `a`: invalid value: integer `18446744073709551615`, expected i64",
            ),
        ] {
            assert_eq!(refusals::<Two>(NAMES, input), [why, why], "{input}");
        }
    }

    #[test]
    fn what_is_wrong_inside_an_argument_is_told_with_its_name() {
        #[derive(Deserialize)]
        struct Point {
            #[expect(dead_code, reason = "only its name matters")]
            x: f64,
        }
        let expected = "argument `point`: missing field `x`";
        assert_eq!(refusals::<(Point, ())>(&["point"], r#"[{"y": 1}]"#), [expected, expected]);
    }

    #[test]
    fn input_that_is_cut_or_too_long_is_refused() {
        let json = br#"[1, [0.5]]"#;
        let message_pack = rmp_serde::to_vec(&(1, [0.5])).unwrap();
        for (codec, input) in [(Codec::Json, &json[..]), (Codec::MessagePack, &message_pack)] {
            for length in 0..input.len() {
                assert!(decode::<Two>(codec, NAMES, &input[..length]).is_err(), "{codec:?} cut at {length}");
            }
            let longer = [input, b"1"].concat();
            assert!(decode::<Two>(codec, NAMES, &longer).is_err(), "{codec:?} with a byte too many");
        }
    }

    #[test]
    fn arrays_of_every_length_are_recognised() {
        for count in [0, 15, 16, 65_535, 65_536] {
            let array = rmp_serde::to_vec(&vec![0u8; count]).unwrap();
            let (read, items) = array_head(&array).unwrap();
            assert_eq!((read as usize, items.len()), (count, count));
        }
        assert_eq!(array_head(b"\x80"), None);
    }

    #[test]
    fn an_argument_may_nest_as_deep_as_the_limit() {
        for depth in [1, DEPTH_MAX] {
            let json = format!("[{}{}]", "[".repeat(depth), "]".repeat(depth));
            let message_pack = [vec![0x91; depth], vec![0x90]].concat();
            for (codec, input) in [(Codec::Json, json.as_bytes()), (Codec::MessagePack, &message_pack)] {
                let decoded = decode::<(serde_json::Value, ())>(codec, &["value"], input);
                assert!(decoded.is_ok(), "{codec:?} at {depth}: {decoded:?}");
            }
        }
    }

    #[test]
    fn message_pack_that_nests_deeper_is_refused() {
        for depth in [DEPTH_MAX + 1, 2 * DEPTH_MAX] {
            let message_pack = [vec![0x91; depth], vec![0x90]].concat();
            let decoded = decode::<(serde_json::Value, ())>(Codec::MessagePack, &["value"], &message_pack);
            assert!(decoded.is_err_and(|why| why.contains("limit exceeded")), "at {depth}");
        }
    }

    #[test]
    fn json_numbers_of_any_width_are_exact() {
        let mut output = Vec::new();
        encode(Codec::Json, &(u64::MAX, i128::MIN, 0.1 + 0.2), &mut output).unwrap();
        let text = "[18446744073709551615,-170141183460469231731687303715884105728,0.30000000000000004]";
        assert_eq!(String::from_utf8_lossy(&output), text);
        let read = decode::<(u64, (i128, (f64, ())))>(Codec::Json, &["a", "b", "c"], &output);
        assert_eq!(read, Ok((u64::MAX, (i128::MIN, (0.1 + 0.2, ())))));
    }

    #[test]
    fn structures_carry_their_field_names_in_message_pack() {
        #[derive(Serialize)]
        struct Point {
            x: u8,
        }
        let mut output = Vec::new();
        encode(Codec::MessagePack, &Point { x: 3 }, &mut output).unwrap();
        assert_eq!(output, b"\x81\xa1x\x03");
    }

    #[test]
    fn a_value_that_json_lacks_is_an_error_in_words() {
        let keyed = BTreeMap::from([(vec![1], 2)]);
        let why = encode(Codec::Json, &keyed, &mut Vec::new());
        assert_eq!(why, Err("key must be a string".to_owned()));
        assert_eq!(encode(Codec::MessagePack, &keyed, &mut Vec::new()), Ok(()));
    }
}
