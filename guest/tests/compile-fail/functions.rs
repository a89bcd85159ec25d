//! Functions that cannot be tasks, one reason each.
#![allow(unused_variables, varargs_without_pattern)]

use wasmpool_guest::task;

#[task]
async fn waits() {}

#[task]
unsafe fn trusts() {}

#[task]
extern "C" fn foreign() {}

#[task]
unsafe extern "C" fn variadic(count: i32, ...) {}

#[task]
fn generic<T>(value: T) {}

#[task]
fn sized<const N: usize>(values: [u8; N]) {}

#[task]
fn named<'a>(text: &'a str) -> &'a str {
    text
}

#[task]
fn for_ever(text: &'static str) {}

#[task]
fn bounded()
where
    String: Clone,
{
}

#[task]
fn never() -> ! {
    panic!()
}

fn main() {}
