//! Parameters that a task cannot have.
#![allow(unused_variables, varargs_without_pattern)]

use wasmpool_guest::task;

#[task]
fn changes(values: &mut Vec<f64>) {}

#[task]
fn any(value: impl Into<f64>, values: Vec<impl Copy>) {}

#[task]
fn borrows_inside(value: Option<&str>, values: &[&str], map: std::collections::HashMap<String, (u8, &[u8])>) {}

#[task]
fn pattern((x, y): (f64, f64), _: i64, [a, b]: [u8; 2]) {}

fn main() {}
