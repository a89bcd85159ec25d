//! Wrong arguments of the attribute, and wrong names.

use wasmpool_guest::task;

#[task(name = "has space")]
fn spaced() {}

#[task(name = "")]
fn nameless() {}

#[task(name = 3)]
fn numbered() {}

#[task(name)]
fn unfinished() {}

#[task("cube")]
fn bare() {}

#[task(timeout = 5)]
fn unknown() {}

#[task(name = "one", name = "two")]
fn named_twice() {}

#[task]
fn größe() {}

#[task]
#[task]
fn marked_twice() {}

fn main() {}
