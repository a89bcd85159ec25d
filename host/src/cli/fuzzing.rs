//! Fuzz targets: what people type, what modules say of themselves, what guests leave in shared objects.

use std::ffi::OsString;
use std::io::BufReader;
use std::os::unix::ffi::OsStringExt;

use super::inputs::{Binder, Binding, JsonLines, Parameters, Piece, Text};
use super::objects::{write_key, write_value};
use super::request::Request;
use super::{args, deliver, describe, json};
use crate::fuzzing::Bytes;
use crate::pool::limits::Limits;
use crate::pool::read_catalog;

/// Longest line of the inputs here.
const LINE_BYTES_MAX: usize = 200;

/// Deepest nesting of results here.
const DEPTH_MAX: usize = 128;

/// Whatever a module says of itself, `inspect` shows it in lines of visible characters, and as JSON.
pub(crate) fn module(data: &[u8]) {
    let (wasm, catalog) = match read_catalog("`fuzz`", data, u64::MAX) {
        Ok(read) => read,
        Err(_) => return,
    };
    for task in &catalog.tasks {
        let found = catalog.task(&task.name).map(|(_, found)| &found.name);
        assert_eq!(found, Some(&task.name), "a listed task is not found");
    }
    drop(catalog.nearest("cub"));
    let catalogue = describe::describe("fuzz.wasm", &wasm, &catalog, &Limits::default());
    let text = catalogue.to_string();
    let hidden = |shown: char| shown.is_control() && shown != '\n';
    assert!(!text.contains(hidden), "{text:?}");
    let json = catalogue.json();
    let _: serde_json::Value = serde_json::from_str(&json).expect("JSON");
}

/// The same for a module with an export or two whose task section is these bytes.
pub(crate) fn task_section(data: &[u8]) {
    for record in wasmpool_abi::section::records(data).flatten() {
        let texts = record.name.len() + record.result.len() + record.documentation.len();
        let parameters: usize = record.parameters().map(|(name, kind)| name.len() + kind.len()).sum();
        assert!(texts + parameters <= data.len(), "more text than there are bytes");
    }
    let mut wasm = wat::parse_str(
        r#"(module (memory (export "memory") 1)
            (func (export "wasmpool:task:find") (param i32)) (func (export "wasmpool:task:cube") (param i32))
            (func (export "wasmpool:numeric:cube") (param i64) (result i64) (local.get 0)))"#,
    )
    .expect("a module");
    let name = wasmpool_abi::TASK_SECTION.as_bytes();
    wasm.push(0);
    let length = 1 + name.len() + data.len();
    wasm.extend([
        (length & 0x7f) as u8 | 0x80,
        (length >> 7 & 0x7f) as u8 | 0x80,
        (length >> 14) as u8 & 0x7f,
    ]);
    wasm.push(name.len() as u8);
    wasm.extend(name);
    wasm.extend(data);
    module(&wasm);
}

/// A whole command line, its words set apart by zero bytes.
pub(crate) fn command_line(data: &[u8]) {
    let words = data.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    let words = std::iter::once(OsString::from("wasmpool")).chain(words);
    let Ok(arguments) = args::parse(words) else { return };
    if let Err(message) = Request::new(arguments, |_| None) {
        assert!(!message.is_empty());
    }
}

pub(crate) fn command_lines() -> Vec<Vec<u8>> {
    let lines = [
        "map m.wasm cube 0..10 -j 2 --timeout 1.5s --max-memory 64MiB --retries 3 --format records",
        "starmap m.wasm add [1,2] --on-error continue --unordered --deadline 1m --max-output 1MiB --fresh",
        "apply m.wasm f 1 x --env NAME=value --strings --raw",
        "map m.wasm f --value counter=i32:0 --array grid=f64:1000 --array a=u8:[1,2,255] --queue jobs=64 --lock l",
        "map m.wasm f --semaphore s=3 --bounded-semaphore t=1 --event e --barrier b=4 --list log --dict seen --print log",
        "map m.wasm f --pipe p --rlock r --condition c --joinable-queue j=9 --namespace n --value v=bool:1 --print v",
        "run m.wasm -- -x y",
        "inspect m.wasm --json",
    ];
    lines.map(|line| line.split(' ').collect::<Vec<_>>().join("\0").into_bytes()).into()
}

/// Inputs on the command line and on stdin, for tasks with several kinds of parameters.
///
/// What is bound is JSON: an array of the task's arguments, just as the guest will read it.
pub(crate) fn inputs(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let kinds = [&["i64"][..], &["u8"], &["&str"], &["f64", "String"], &["Vec<Point>", "bool", "i128"]];
    let kinds: Vec<String> =
        kinds[usize::from(bytes.u8()) % kinds.len()].iter().map(|&kind| kind.into()).collect();
    let how = bytes.u8();
    let binding = match how & 5 {
        0 => Binding::One,
        1 => Binding::Many,
        _ => Binding::Text,
    };
    let text = if how & 2 == 0 { Text::Json } else { Text::Strings };
    let names: Vec<Option<String>> = (0..kinds.len()).map(|number| Some(format!("p{number}"))).collect();
    let parameters = Parameters { task: "fuzz", names: &names, kinds: &kinds };
    let Ok(binder) = Binder::new(binding, text, parameters) else { return };
    let data = bytes.take(usize::MAX);
    if let Ok(text) = std::str::from_utf8(data) {
        check_piece(binder.input(1, text).ok(), kinds.len());
        let texts: Vec<String> = text.split(' ').map(str::to_owned).collect();
        check_piece(binder.call(&texts).ok(), kinds.len());
        let is_json = json::check(text).is_ok();
        let kept = json::elements(text, 8).map(|(kept, count)| (kept.len(), count));
        assert!(
            kept.is_ok_and(|(kept, count)| kept <= 8 && kept <= count)
                || !is_json
                || !text.trim_start().starts_with('[')
        );
        drop(json::members(text, 8));
    }
    for piece in JsonLines::new(BufReader::with_capacity(16, data), &binder, LINE_BYTES_MAX) {
        check_piece(piece.ok(), kinds.len());
    }
}

fn check_piece(piece: Option<Piece>, parameters: usize) {
    let Some(Piece::Json(array)) = piece else { return };
    let arguments: Vec<&serde_json::value::RawValue> = serde_json::from_str(&array).expect("an array");
    assert_eq!(arguments.len(), parameters, "{array}");
}

pub(crate) fn input_seeds() -> Vec<Vec<u8>> {
    let seeds: [&[u8]; 9] = [
        b"\x00\x00-5..=5",
        b"\x00\x001\n2\n\n-3\r\n9223372036854775808\n",
        b"\x02\x00Ada",
        b"\x02\x02plain lines\n\n\"quoted\"\n",
        b"\x03\x01[1.5, \"text\"]\n{\"p1\": \"b\", \"p0\": 2}\n",
        b"\x03\x011.5 word",
        b"\x04\x01[[{\"x\": 1, \"y\": [2, {}]}], true, 170141183460469231731687303715884105727]",
        b"\x01\x000..256",
        b"\x00\x00[[[[1]]]] \xef\xbb\xbf",
    ];
    seeds.map(<[u8]>::to_vec).into()
}

/// What a guest left in a queue, a list or a dictionary, as `--print` shows it: JSON, or a reason why not.
pub(crate) fn records(data: &[u8]) {
    let mut out = Vec::new();
    if write_value(data, &mut out).is_ok() {
        let text = std::str::from_utf8(&out).expect("text");
        // JSON escapes these and no others; it is for programs to read.
        assert!(!text.contains(|shown| shown < ' '), "{text:?}");
        let _: &serde_json::value::RawValue = serde_json::from_str(text).expect("JSON");
    }
    out.clear();
    if write_key(data, &mut out).is_ok() {
        let _: String = serde_json::from_slice(&out).expect("a name");
    }
    if deliver::check(data, DEPTH_MAX).is_ok() {
        let _: &serde_json::value::RawValue = serde_json::from_slice(data).expect("JSON");
        assert!(!data.contains(&b'\n'), "a result of two lines");
    }
}
