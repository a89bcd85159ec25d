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
//! # Calls that wait for calls
//!
//! A call may ask for further calls ([`request`]) and stand still until they have ended. Then it is *parked*: it leaves
//! its slot, so that the worker can be given other orders, which it serves further up on the same stack. The call comes
//! back as an order of its own, of a new generation, with the answer as its input.
//!
//! ```text
//! supervisor                                   worker
//!                       ◄───────               request: order g, call c waits for submission n
//! takes what is finished below c,
//! takes back everything behind it
//! parked = g            (SYNC parked) ───────►  serves orders g + 1 ... on top of the waiting call
//! order r with the answer, `resumes` set ─────►  the waiting call goes on as call 0 of order r
//! ```
//!
//! Between the request and `parked = g` the worker touches nothing, so that an order which was there before can be
//! emptied: on top of a waiting call only what it waits for may run. Calls resume in the reverse order of their
//! parking, for they lie on one stack. A worker that goes on without being told, or names another call, only gets its
//! own calls wrong: the ledger of order r has one call in it, whatever the worker does.
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
pub(crate) mod request;
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
