//! Smaller decoders: codes, lines; and what honest encoders write for several targets.

use wasmpool_abi::section::{FLAG_FALLIBLE, FLAG_NUMERIC, TaskDescription};
use wasmpool_abi::shared::{CellOp, Element, Kind, Refusal, ViewMode, split_first};
use wasmpool_abi::{Codec, Done, is_task_name};

use super::Bytes;
use crate::printable;

/// Every code reads back as what it was written from, or as nothing.
pub(super) fn codes(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let code = bytes.u32().cast_signed();
    assert!(Codec::from_code(code).is_none_or(|codec| codec as i32 == code));
    assert!(Done::from_code(code).is_none_or(|done| done as i32 == code));
    assert!(Kind::from_code(code).is_none_or(|kind| kind as i32 == code));
    assert!(Element::from_code(code).is_none_or(|element| element as i32 == code));
    assert!(CellOp::from_code(code).is_none_or(|op| op as i32 == code));
    assert!(ViewMode::from_code(code).is_none_or(|mode| mode as i32 == code));
    assert!(Refusal::from_code(code).is_none_or(|refusal| refusal as i32 == code));
    let mut rest = bytes.take(usize::MAX);
    if let Ok(name) = std::str::from_utf8(rest) {
        assert!(!is_task_name(name) || (name.is_ascii() && !name.is_empty()));
    }
    while let Some((first, behind)) = split_first(rest) {
        assert!(first.len() + behind.len() < rest.len());
        rest = behind;
    }
}

pub(super) fn code_seeds() -> Vec<Vec<u8>> {
    let mut sequence = 2u32.to_le_bytes().to_vec();
    for value in [&b"one"[..], b"", b"three"] {
        sequence.extend((value.len() as u32).to_le_bytes());
        sequence.extend(value);
    }
    vec![vec![0; 4], vec![0xff; 4], sequence, [&[1, 0, 0, 0][..], b"resize-image.v2"].concat()]
}

/// A line that a guest printed moves no cursor.
pub(super) fn printed(data: &[u8]) {
    let shown = printable::line(data);
    assert!(!shown.contains(|shown: char| shown.is_control() && shown != '\t'), "{shown:?}");
    let name = printable::printable_name(&String::from_utf8_lossy(data)).to_string();
    assert!(name.len() <= 80 * 12, "{} bytes of a name", name.len());
    assert!(!name.contains(char::is_control), "{name:?}");
}

pub(super) fn lines() -> Vec<Vec<u8>> {
    let texts =
        ["plain", "tab\tstops", "\x1b[31mred\x1b[0m", "\u{202e}gnp.exe", "größer \u{1f980}", "a\r\nb"];
    let mut lines: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).into();
    lines.push(vec![0xff, 0xfe, b'x', 0xc3]);
    lines
}

/// Task sections of one record and of several.
pub(super) fn sections() -> Vec<Vec<u8>> {
    const CUBE: TaskDescription<'_> = TaskDescription {
        name: "cube",
        result: "i64",
        documentation: "The third power of a number.",
        flags: FLAG_NUMERIC,
        parameters: &[("number", "i64")],
    };
    const FIND: TaskDescription<'_> = TaskDescription {
        name: "find",
        result: "Vec<Match>",
        documentation: "",
        flags: FLAG_FALLIBLE,
        parameters: &[("text", "&str"), ("pattern", "String")],
    };
    let cube = CUBE.record::<{ CUBE.record_bytes() }>();
    let find = FIND.record::<{ FIND.record_bytes() }>();
    vec![cube.to_vec(), find.to_vec(), [&cube[..], &find].concat()]
}

/// Modules, binary and as text.
pub(super) fn modules() -> Vec<Vec<u8>> {
    let texts = [
        "(module)",
        r#"(module (func (export "cube") (param $n i64) (result i64) (i64.mul (local.get 0) (local.get 0))))"#,
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1 4) (table 3 funcref) (global (mut i32) (i32.const 7))
            (func (export "_start")) (func (export "two") (param f32 f64) (result f64 i32)
            (f64.const 1) (i32.const 2)) (data (i32.const 8) "text"))"#,
        r#"(module (import "env" "\1b[2J" (func)) (func (export "a\n") (param $\u{202e} i32)))"#,
    ];
    let mut modules: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).into();
    modules.extend(texts.iter().filter_map(|text| wat::parse_str(text).ok()));
    modules
}

/// Values in MessagePack and in JSON.
pub(super) fn results() -> Vec<Vec<u8>> {
    let values = [
        r#"null"#,
        r#"-129"#,
        r#"18446744073709551615"#,
        r#"1.5"#,
        r#"["a", true, {"name": [1, 2, 3], "other": {}}]"#,
        r#""a text with \u0000 and é""#,
    ];
    let mut seeds: Vec<Vec<u8>> = values.map(|value| value.as_bytes().to_vec()).into();
    let decoded = values.iter().filter_map(|value| serde_json::from_str::<serde_json::Value>(value).ok());
    seeds.extend(decoded.filter_map(|value| rmp_serde::to_vec_named(&value).ok()));
    // Bytes, an extension, keys that are no strings, floats that are no numbers.
    seeds.push(vec![0xc4, 3, 1, 2, 3]);
    seeds.push(vec![0xd4, 7, 1]);
    seeds.push(vec![0x82, 0x01, 0xc3, 0x91, 0xc0, 0xca, 0x7f, 0xc0, 0, 0]);
    seeds.push([&[0x91; 130][..], &[0xc0]].concat());
    seeds
}
