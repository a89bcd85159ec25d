//! What a supervisor and one worker exchange.
//!
//! Two regions and a socket join them. The *down* region is written by the supervisor alone: orders and inputs. The
//! *up* region is written by the worker: answers, results, printed lines. [`layout`] draws both. [`post`] is the
//! supervisor's end, [`desk`] the worker's; [`control`] is the socket, which carries descriptors and the few words
//! that are said once. [`range_word`] is the one word that both sides change, and the protocol around it.
//!
//! Absent here: which call goes where and why (`schedule`, `pool`), and what a call does (`sandbox`).
//!
//! # Two slots
//!
//! A worker has two chunk slots, so that the next chunk is there when one ends. Orders are numbered by a generation
//! that starts at 1 and grows by one; order `g` stands in slot `g % 2` and is served after order `g - 1`. The
//! supervisor writes order `g` only when order `g - 2` is settled.
//!
//! ```text
//! supervisor                                   worker
//! inputs, range word, order fields
//! posted = g            (SYNC order)  ───────►
//! ring the worker's bell                       claims calls from the range word's front
//!                                              progress = (g, index + 1); runs; result
//!                       ◄───────  (SYNC done)  finished = (g, count)
//! takes results below `finished`               ...
//!                       ◄───────  (SYNC done)  ended = g
//!                                              rings the feeder's bell
//! ```
//!
//! What the worker wrote is taken at most once, in order, inside the supervisor's own ledger; a worker that lies
//! gets its own calls wrong and nothing else.

pub(crate) mod control;
pub(crate) mod desk;
pub(crate) mod ending;
pub(crate) mod invocation;
pub(crate) mod layout;
pub(crate) mod order;
pub(crate) mod post;
pub(crate) mod range_word;
pub(crate) mod ring;

/// The atomics that the protocols are built on; a model checker puts its own in their place.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
}

#[cfg(test)]
#[allow(dead_code, reason = "a model runs only the calls it needs")]
mod model;
#[cfg(test)]
mod range_word_tests;
