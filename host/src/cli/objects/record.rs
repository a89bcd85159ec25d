//! Values as guests keep them in queues, lists and dictionaries, written as JSON.
//!
//! Guests write MessagePack, and may write anything at all. What JSON has no form for gets one: bytes are an array of
//! numbers, keys that are no strings are the text of their JSON, floats without a number are the strings `"NaN"`,
//! `"Infinity"` and `"-Infinity"`, and an extension is an array of its type and its bytes.

use std::fmt;
use std::io::Write as _;

use rmp_serde::decode::{Deserializer, Error};
use serde::de::{self, Deserialize as _, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::cells::write_float;
use super::super::json::DEPTH_MAX;

/// Appends a value as JSON.
///
/// # Errors
///
/// Why it is no value; `out` is then as before.
pub(in crate::cli) fn write_value(record: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let before = out.len();
    let written = transcode(record, Value { out, is_key: false });
    if written.is_err() {
        out.truncate(before);
    }
    written
}

/// Appends a value as the name of a JSON object's member.
///
/// # Errors
///
/// As [`write_value`].
pub(in crate::cli) fn write_key(record: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    transcode(record, Key { out, is_inner: false })
}

fn transcode<'a>(record: &'a [u8], seed: impl DeserializeSeed<'a, Value = ()>) -> Result<(), String> {
    let mut deserializer = Deserializer::from_read_ref(record);
    // It counts down to zero and refuses there.
    deserializer.set_max_depth(DEPTH_MAX + 1);
    seed.deserialize(&mut deserializer).map_err(|error| match error {
        Error::DepthLimitExceeded => format!("it is nested deeper than {DEPTH_MAX} levels"),
        Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) => {
            "it is not MessagePack: it ends early".to_owned()
        }
        error => format!("it is not MessagePack: {error}"),
    })?;
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(Error::InvalidMarkerRead(_)) => Ok(()),
        _ => Err("it is not MessagePack: bytes follow the value".to_owned()),
    }
}

/// Writes whatever comes.
struct Value<'a> {
    out: &'a mut Vec<u8>,
    /// Whether it is part of a key.
    is_key: bool,
}

impl Value<'_> {
    fn write(self, text: fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a vector takes every write");
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.write(format_args!("null"));
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.write(format_args!("{value}"));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.write(format_args!("{value}"));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.write(format_args!("{value}"));
        Ok(())
    }

    fn visit_f32<E>(self, value: f32) -> Result<(), E> {
        write_float(value, self.out);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        write_float(value, self.out);
        Ok(())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        serde_json::to_writer(self.out, value).map_err(E::custom)
    }

    fn visit_bytes<E: de::Error>(self, value: &[u8]) -> Result<(), E> {
        serde_json::to_writer(self.out, value).map_err(E::custom)
    }

    /// An extension.
    fn visit_newtype_struct<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        self.out.push(b'[');
        let mut is_first = true;
        // Where there is no next element, the comma goes again.
        loop {
            let before = self.out.len();
            if !is_first {
                self.out.push(b',');
            }
            if array.next_element_seed(Value { out: self.out, is_key: self.is_key })?.is_none() {
                self.out.truncate(before);
                break;
            }
            is_first = false;
        }
        self.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.out.push(b'{');
        let mut is_first = true;
        loop {
            let before = self.out.len();
            if !is_first {
                self.out.push(b',');
            }
            if map.next_key_seed(Key { out: self.out, is_inner: self.is_key })?.is_none() {
                self.out.truncate(before);
                break;
            }
            self.out.push(b':');
            map.next_value_seed(Value { out: self.out, is_key: self.is_key })?;
            is_first = false;
        }
        self.out.push(b'}');
        Ok(())
    }
}

/// Writes a string, or the text of what is none as a string.
struct Key<'a> {
    out: &'a mut Vec<u8>,
    /// Whether it is part of another key. Then it must be a string: each quoting doubles the backslashes of the one
    /// before, and a few bytes of keys within keys could fill all memory.
    is_inner: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let mut json = Vec::new();
        deserializer.deserialize_any(Value { out: &mut json, is_key: true })?;
        if json.starts_with(b"\"") {
            self.out.append(&mut json);
            return Ok(());
        }
        if self.is_inner {
            return Err(de::Error::custom("a key within a key is no string"));
        }
        let text = String::from_utf8_lossy(&json);
        serde_json::to_writer(self.out, &text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;

    fn json(record: &[u8]) -> Result<String, String> {
        let mut out = b"before".to_vec();
        let written = write_value(record, &mut out);
        let text = String::from_utf8(out).expect("text");
        let text = text.strip_prefix("before").expect("only appended to");
        assert!(written.is_ok() || text.is_empty());
        written.map(|()| text.to_owned())
    }

    fn check(value: impl Serialize, expected: &str) {
        let record = rmp_serde::to_vec_named(&value).expect("it can be written");
        assert_eq!(json(&record).as_deref(), Ok(expected));
        serde_json::from_str::<serde_json::Value>(expected).expect("JSON");
    }

    #[test]
    fn values_of_every_type_have_a_json_form() {
        check((), "null");
        check(Option::<u8>::None, "null");
        check(true, "true");
        check(u64::MAX, "18446744073709551615");
        check(i64::MIN, "-9223372036854775808");
        check(0.1_f32, "0.1");
        check(1.0_f64, "1.0");
        check([f64::NAN, f64::INFINITY, f64::NEG_INFINITY], r#"["NaN","Infinity","-Infinity"]"#);
        check("a \"b\"\n\u{1b}é", r#""a \"b\"\n\u001bé""#);
        check((1, "two", [3.5], Option::<u8>::None), r#"[1,"two",[3.5],null]"#);
        check(BTreeMap::from([("a", 1), ("b", 2)]), r#"{"a":1,"b":2}"#);
        check([Vec::<u8>::new(), vec![1]], "[[],[1]]");
        check(BTreeMap::<u8, u8>::new(), "{}");
    }

    #[test]
    fn what_json_has_no_form_for_gets_one() {
        check(BTreeMap::from([(1, "a"), (2, "b")]), r#"{"1":"a","2":"b"}"#);
        check(BTreeMap::from([((1, "x"), true)]), r#"{"[1,\"x\"]":true}"#);
        check(BTreeMap::from([(Option::<bool>::None, 0)]), r#"{"null":0}"#);
        // Bytes, an extension of type 5, and a string that is no text.
        for (record, expected) in [
            (&[0xc4, 3, 0, 127, 255][..], "[0,127,255]"),
            (&[0xc7, 2, 5, 8, 9], "[5,[8,9]]"),
            (&[0xa2, 0xff, b'a'], "[255,97]"),
        ] {
            assert_eq!(json(record).as_deref(), Ok(expected), "{record:?}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let early = "it is not MessagePack: it ends early";
        for record in
            [&[][..], &[0x92, 1], &[0xdd, 255, 255, 255, 255, 1], &[0xdb, 255, 255, 255, 255], &[0xcd, 1]]
        {
            assert_eq!(json(record), Err(early.to_owned()), "{record:?}");
        }
        assert_eq!(json(&[1, 2]), Err("it is not MessagePack: bytes follow the value".to_owned()));
        assert!(json(&[0xc1]).is_err_and(|reason| reason.starts_with("it is not MessagePack: ")));
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth| [vec![0x91; depth - 1], vec![0x90]].concat();
        let deepest = json(&nested(DEPTH_MAX)).expect("just deep enough");
        assert_eq!(deepest, "[".repeat(DEPTH_MAX) + &"]".repeat(DEPTH_MAX));
        for depth in [DEPTH_MAX + 1, 1_000_000] {
            assert_eq!(json(&nested(depth)), Err(format!("it is nested deeper than {DEPTH_MAX} levels")));
        }
        // Through keys, and behind a value.
        let keys = vec![0x81; 1_000_000];
        assert!(json(&keys).is_err());
        assert!(json(&[vec![0xc0], keys].concat()).is_err());
    }

    #[test]
    fn keys_within_keys_are_strings() {
        check(BTreeMap::from([(BTreeMap::from([("a", 1)]), 2)]), r#"{"{\"a\":1}":2}"#);
        let inner = BTreeMap::from([(BTreeMap::from([(BTreeMap::from([(1, 2)]), 3)]), 4)]);
        let record = rmp_serde::to_vec_named(&inner).expect("it can be written");
        let reason = "it is not MessagePack: a key within a key is no string";
        assert_eq!(json(&record), Err(reason.to_owned()));
    }

    #[test]
    fn keys_are_strings() {
        for (record, expected) in [(&[0xa1, b'a'][..], r#""a""#), (&[7], r#""7""#), (&[0xc2], r#""false""#)] {
            let mut out = Vec::new();
            write_key(record, &mut out).expect("a value");
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
