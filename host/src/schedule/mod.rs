//! Scheduling: who gets which calls, decided from values.
//!
//! Everything here is about numbers: ranges of calls, how long they take, who has none. There are no processes, no
//! shared memory and no clocks, so that each decision is tested by itself. [`ledger`] is the supervisor's book of
//! what a worker has, [`spans`] that of what a job is through with; [`cut`] says how much to hand out, [`deques`]
//! where to look for more, [`turns`] which class of calls goes first, [`affinity`] when a worker changes its module,
//! [`back_off`] how long a call rests before it is tried again.

pub(crate) mod affinity;
pub(crate) mod back_off;
#[cfg(test)]
mod crash_model;
pub(crate) mod cut;
pub(crate) mod deques;
pub(crate) mod ledger;
pub(crate) mod spans;
pub(crate) mod turns;
