//! Parameters of every kind: none, many, owned, borrowed, and with names that could collide with the expansion's.
//!
//! Most of the test is that this compiles, natively and for wasm, without a warning.
#![forbid(unsafe_code)]
#![deny(warnings)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use wasmpool_guest::task;

/// Does not implement `Clone`.
#[derive(Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

#[task]
fn none() {}

#[task]
#[allow(clippy::borrowed_box, reason = "it may be written")]
fn borrowed(
    text: &str,
    numbers: &[f64],
    bytes: &'_ [u8],
    path: &Path,
    point: &Point,
    word: &Box<str>,
) -> usize {
    text.len()
        + numbers.len()
        + bytes.len()
        + path.as_os_str().len()
        + word.len()
        + (point.x + point.y) as usize
}

#[task]
fn owned(mut list: Vec<Option<Point>>, map: HashMap<String, (u8, i128)>, text: Cow<'_, str>) -> usize {
    list.clear();
    list.len() + map.len() + text.len()
}

#[task]
#[allow(clippy::too_many_arguments)]
fn many(
    a: u8,
    b: u16,
    c: u32,
    d: u64,
    e: u128,
    f: i8,
    g: i16,
    h: i32,
    i: i64,
    j: i128,
    k: f32,
    l: f64,
    m: bool,
    n: char,
    o: (),
    p: String,
    q: Box<str>,
    r: [u8; 4],
) -> bool {
    let _ = (a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q, r);
    m
}

/// Named as its own parameter, and as things that the expansion mentions.
#[task]
fn answer(answer: i64, codec: i32, result: i64, r#type: i64) -> i64 {
    answer + i64::from(codec) + result + r#type
}

#[task]
fn result(result: i64) -> i64 {
    result
}

#[task]
fn codec(codec: i64) -> i64 {
    codec
}

#[task(name = "with-another.name")]
const fn r#loop(value: i64) -> i64 {
    value
}

mod inner {
    #[wasmpool_guest::task]
    pub(super) fn by_path(point: super::Point) -> f64 {
        point.x
    }
}

macro_rules! identity {
    ($name:ident, $kind:ty) => {
        #[task]
        fn $name(value: $kind) -> $kind {
            value
        }
    };
}

identity!(from_a_macro, i64);
identity!(list_from_a_macro, Vec<i64>);

#[task]
#[cfg(any())]
fn left_out(value: ThisTypeDoesNotExist) {}

#[test]
fn the_functions_stay_as_they_are() {
    none();
    let point = Point { x: 1.0, y: 2.0 };
    assert_eq!(borrowed("ab", &[0.5], &[1, 2], Path::new("p"), &point, &Box::from("word")), 13);
    assert_eq!(owned(vec![Some(point), None], HashMap::new(), "abc".into()), 3);
    let text = String::new();
    assert!(many(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, true, 'n', (), text, "q".into(), [0; 4]));
    assert_eq!(answer(1, 2, 3, 4), 10);
    assert_eq!(result(5), 5);
    assert_eq!(codec(5), 5);
    assert_eq!(r#loop(6), 6);
    assert_eq!(inner::by_path(Point { x: 7.0, y: 0.0 }), 7.0);
    assert_eq!(from_a_macro(8), 8);
    assert_eq!(list_from_a_macro(vec![9]), [9]);
}
