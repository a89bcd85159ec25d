//! Numbers out of numbers: what is computed from measurements, and how it is shown. Nothing here measures.
//!
//! The benchmark uses it as a module. It is the root of a test target as well, `bench-numbers`, because a benchmark
//! with a `main` of its own cannot hold tests: `cargo test` checks here what `cargo bench` reckons with.

#![cfg_attr(
    test,
    allow(dead_code, unused_imports, reason = "cargo checks a benchmark as a test, but without its tests")
)]

pub(crate) mod bound;
pub(crate) mod curve;
pub(crate) mod grain;
pub(crate) mod makespan;
pub(crate) mod plot;
pub(crate) mod samples;
pub(crate) mod unit;
