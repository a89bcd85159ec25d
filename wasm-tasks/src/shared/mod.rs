//! Tasks that share objects.
//!
//! [`tutorial`] has the programs of the `multiprocessing` tutorials and shows what such tasks look like; [`faults`] ends
//! badly while it holds something; [`script`] does any operation on any object, for tests that are tables; [`load`]
//! is for benchmarks.

pub mod faults;
pub mod load;
pub mod script;
pub mod tutorial;
