//! Parameters of every kind: none, many, owned, borrowed, and with names that could collide with the expansion's.
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
fn borrowed(text: &str, numbers: &[f64], bytes: &'_ [u8], path: &Path, point: &Point, word: &String) -> usize {
    text.len() + numbers.len() + bytes.len() + path.as_os_str().len() + word.len() + (point.x + point.y) as usize
}

#[task]
fn owned(mut list: Vec<Option<Point>>, map: HashMap<String, (u8, i128)>, text: Cow<'_, str>) -> usize {
    list.clear();
    list.len() + map.len() + text.len()
}

#[task]
#[allow(clippy::too_many_arguments)]
fn many(
    a: u8, b: u16, c: u32, d: u64, e: u128, f: i8, g: i16, h: i32, i: i64, j: i128,
    k: f32, l: f64, m: bool, n: char, o: (), p: String, q: Box<str>, r: [u8; 4],
) -> bool {
    let _ = (a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q, r);
    m
}

/// Named as its own parameter, and as things that the expansion mentions.
#[task]
fn answer(answer: i64, codec: i32, result: i64, r#type: i64) -> i64 {
    answer + i64::from(codec) + result + r#type
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

fn main() {}
