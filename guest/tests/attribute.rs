//! What `#[task]` takes, and how it refuses the rest: every mistake at its own place, all at once.

#[test]
fn tasks_of_every_kind_compile() {
    trybuild::TestCases::new().pass("tests/compile-pass/*.rs");
}

#[test]
fn mistakes_are_told_where_they_are_made() {
    trybuild::TestCases::new().compile_fail("tests/compile-fail/*.rs");
}
