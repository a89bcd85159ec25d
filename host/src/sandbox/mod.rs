//! The sandbox.
pub(crate) mod driver;
pub(crate) mod engine;
