//! Processes: starting them, hearing of their deaths, and what a process does before it turns to its role.
//!
//! This floor knows how a process comes and goes. It does not know what a worker works on.

pub(crate) mod child;
pub(crate) mod cores;
pub(crate) mod jail;
pub(crate) mod memory;
pub(crate) mod nursery;
pub(crate) mod reentry;
pub(crate) mod stack;
