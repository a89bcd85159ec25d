//! Example tasks for wasmpool, and hostile ones for its tests.
//!
//! Each file is a subject. [`tutorial`], [`numbers`], [`text`], [`shapes`] and [`orders`] show what tasks look like;
//! [`primes`] has something to prepare; [`shared`] works on shared objects and [`files`] in granted directories;
//! [`nesting`] calls other tasks; [`load`] keeps a core busy for benchmarks;
//! [`state`], [`echo`], [`faults`], [`hostile`] and [`canaries`] are there for the tests: what an instance remembers, what
//! comes through unchanged, every way in which a call can end badly, and what it leaves behind.

#![allow(clippy::print_stdout, reason = "a task's output is the pool's to show")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may"))]

pub mod canaries;
pub mod echo;
pub mod faults;
pub mod files;
pub mod hostile;
pub mod load;
pub mod nesting;
pub mod numbers;
pub mod orders;
pub mod primes;
pub mod shapes;
pub mod shared;
pub mod state;
pub mod text;
pub mod tutorial;
