//! Shared objects: numbers, locks, queues and records that host and tasks work on together.
//!
//! An object is made by a [`Pool`](crate::Pool) under a name, and nobody but the host program can reach it until it is
//! granted to a module or a task. A task opens it by that name:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! wasmpool::init();
//! let pool = wasmpool::Pool::builder().build()?;
//! let counter = pool.value("counter", 0i64)?;
//! let tasks = pool.load("tasks.wasm")?.grant(&counter);
//! // #[task] fn count(_n: i64) -> Result<(), SharedError> { Value::<i64>::open("counter")?.fetch_add(1).map(|_| ()) }
//! tasks.task::<i64, ()>("count")?.map(0..100)?;
//! assert_eq!(counter.get()?, 100);
//! # Ok(())
//! # }
//! ```
//!
//! | object | in Python | made by |
//! |---|---|---|
//! | [`Value`] | `Value` | [`value`](crate::Pool::value) |
//! | [`Array`] | `Array` | [`array`](crate::Pool::array), [`array_of`](crate::Pool::array_of) |
//! | [`Lock`], [`RLock`] | the same | [`lock`](crate::Pool::lock), [`rlock`](crate::Pool::rlock) |
//! | [`Semaphore`], [`BoundedSemaphore`] | the same | [`semaphore`](crate::Pool::semaphore), [`bounded_semaphore`](crate::Pool::bounded_semaphore) |
//! | [`Condition`], [`Event`], [`Barrier`] | the same | [`condition`](crate::Pool::condition), [`event`](crate::Pool::event), [`barrier`](crate::Pool::barrier) |
//! | [`Queue`], [`JoinableQueue`] | the same | [`queue`](crate::Pool::queue), [`joinable_queue`](crate::Pool::joinable_queue) |
//! | [`PipeEnd`] | `Connection` | [`pipe`](crate::Pool::pipe), [`one_way_pipe`](crate::Pool::one_way_pipe) |
//! | [`List`], [`Dict`], [`Namespace`] | a manager's | [`list`](crate::Pool::list), [`dict`](crate::Pool::dict), [`namespace`](crate::Pool::namespace) |
//!
//! # Handles
//!
//! What the pool returns is a handle. Copies are cheap and may go to any thread. An object lives as long as a handle or
//! a module or task to which it is granted; it may outlive its pool. While it lives, its name is taken.
//!
//! A handle can be an argument of a call or an item of a queue. It travels as its name, `{"wasmpool:shared": "counter"}`,
//! and the task that receives it opens the object, which must have been granted to it, too.
//!
//! # Memory
//!
//! An object's memory is reserved when it is made, so that no later operation can fail for want of it: that is an error
//! of kind [`SetUp`](crate::ErrorKind::SetUp). A value, lock or event takes a page or two; an array its elements; a queue,
//! pipe, list or dictionary its bytes and a few for each item or record. See [`QueueOptions`], [`PipeOptions`] and
//! [`RecordOptions`].
//!
//! # Endings
//!
//! Nobody can be hung by a death. When a worker dies or a call fails, locks and permits that it held are given back, and
//! the next holder of a lock is told ([`LockGuard::owner_died`]); an item that it had taken from a queue goes back to
//! the front, or is reported ([`QueueOptions::report_orphans`]); a barrier that it had opened breaks.
//!
//! A thread of the host program is a party like a worker: a guard stays in its thread, and what a thread still holds when
//! it ends is given back.
//!
//! # Waiting
//!
//! Operations that may have to wait come in threes: `get` waits for as long as it takes, `try_get` does not wait, and
//! `get_for` waits for so long at most. The latter two answer `None` or `false` when it took too long, not an error.

pub use crate::pool::objects::{
    Array, Barrier, Bits, BoundedSemaphore, Condition, ConditionGuard, Dict, Element, Event, Items, Iter,
    JoinableQueue, List, Lock, LockGuard, Namespace, Number, PIPE_BYTES_DEFAULT, Permit, Pipe, PipeEnd,
    PipeOptions, QUEUE_BYTES_DEFAULT, QUEUE_ITEM_BYTES_DEFAULT, Queue, QueueOptions, RECORD_BYTES_DEFAULT,
    RECORDS_DEFAULT, RLock, RecordOptions, Semaphore, Shareable, SharedError, SharedErrorKind, Value,
    wait_any,
};
