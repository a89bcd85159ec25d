//! How `#[task]` refuses what cannot be a task: every mistake at its own place, all at once.
//!
//! What it takes is in `parameters.rs` and `results.rs`, which are also compiled for wasm when that is linted.

#[test]
fn mistakes_are_told_where_they_are_made() {
    trybuild::TestCases::new().compile_fail("tests/compile-fail/*.rs");
}
