//! Types without the serde traits, told at the type as it is written.
#![allow(unused_variables, varargs_without_pattern)]

use wasmpool_guest::task;

struct Opaque;

#[task]
fn takes(first: i64, second: Opaque) {}

#[task]
fn takes_many(values: Vec<Opaque>) {}

#[task]
fn borrows(value: &Opaque) {}

#[task]
fn borrows_what_nobody_owns(value: &dyn Send) {}

#[task]
fn returns() -> Opaque {
    Opaque
}

#[task]
fn returns_many() -> Result<Vec<Opaque>, String> {
    Ok(Vec::new())
}

#[task]
fn fails() -> Result<i64, Opaque> {
    Err(Opaque)
}

fn main() {}
