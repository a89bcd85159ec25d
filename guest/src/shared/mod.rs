//! Objects that all calls of a job share: Python's `Value`, `Queue`, `Lock` and their kin.
//!
//! An object is made by whoever starts the job, and granted to it under a name; nothing is shared that was not granted.
//! A task opens it by that name:
//!
//! ```no_run
//! use wasmpool_guest::shared::{SharedError, Value};
//! use wasmpool_guest::task;
//!
//! /// Counts its calls.
//! #[task]
//! fn count(_input: i64) -> Result<(), SharedError> {
//!     let counter = Value::<i64>::open("counter")?;
//!     counter.fetch_add(1)?;
//!     Ok(())
//! }
//! ```
//!
//! ```text
//! $ wasmpool map . count 0..100 --value counter=i64:0 --print counter
//! counter = 100
//! ```
//!
//! | object | in Python |
//! |---|---|
//! | [`Value`], [`Array`] | `Value`, `Array` |
//! | [`Lock`], [`RLock`], [`Semaphore`], [`BoundedSemaphore`], [`Condition`], [`Event`], [`Barrier`] | the same |
//! | [`Queue`], [`JoinableQueue`], [`PipeEnd`], [`wait_any`] | `Queue`, `JoinableQueue`, `Connection`, `connection.wait` |
//! | [`List`], [`Dict`], [`Namespace`] | a manager's `list`, `dict`, `Namespace` |
//!
//! # Handles
//!
//! What `open` returns is a handle. It is good until the call ends; then the host forgets it. One that is kept for the
//! next call, in a `thread_local`, answers an [error](SharedErrorKind::EarlierCall): open it in each call, which costs
//! less than a microsecond. Other `static`s do not take handles.
//!
//! A handle can be sent: as an item of a queue, or in a result. It travels as its name, `{"wasmpool:shared": "counter"}`,
//! and whoever receives it opens the object, which must have been granted to him, too. So a task can have objects as
//! parameters:
//!
//! ```no_run
//! use wasmpool_guest::shared::{SharedError, Value};
//! use wasmpool_guest::task;
//!
//! /// Adds to any counter: `wasmpool apply . add '{"wasmpool:shared": "counter"}' 5 --value counter=i64:0`
//! #[task]
//! fn add(counter: &Value<i64>, number: i64) -> Result<i64, SharedError> {
//!     counter.fetch_add(number)
//! }
//! ```
//!
//! # Endings
//!
//! A call that fails, traps, or loses its worker does not hang anyone: locks and permits that it holds are given back,
//! and the next holder of a lock is told ([`LockGuard::owner_died`]); an item that it has taken from a queue goes
//! back; a barrier that it has opened breaks.
//!
//! # Waiting
//!
//! Operations that may have to wait come in threes: `get` waits for as long as the call may run, `try_get` does not wait,
//! and `get_for` waits for so long at most. The latter two answer `None` or `false` when it took too long, not an error.
//!
//! # Other targets
//!
//! Natively there is no pool, and `open` answers [`NotInAPool`](SharedErrorKind::NotInAPool); tests make one of their own, a
//! `testing::TestPool`.

mod array;
mod barrier;
mod buffers;
pub(crate) mod call;
mod cells;
mod condition;
mod dict;
mod element;
mod error;
mod event;
mod handle;
#[cfg_attr(not(target_family = "wasm"), path = "stand_in/mod.rs")]
mod host;
mod lease;
mod list;
mod lock;
mod namespace;
mod pipe;
mod queue;
mod records;
mod semaphore;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod value;
mod view;
mod wait;

pub use array::{Array, Iter};
pub use barrier::Barrier;
pub use condition::{Condition, ConditionGuard};
pub use dict::Dict;
pub use element::{Bits, Element, Number};
pub use error::{SharedError, SharedErrorKind};
pub use event::Event;
pub use lease::{Leased, LeasedMut};
pub use list::List;
pub use lock::{Lock, LockGuard, RLock};
pub use namespace::Namespace;
pub use pipe::PipeEnd;
pub use queue::{Items, JoinableQueue, Queue};
pub use semaphore::{BoundedSemaphore, Permit, Semaphore};
pub use value::Value;
pub use view::SharedView;
pub use wait::{Shared, wait_any};
