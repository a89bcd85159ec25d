//! Shared objects without a pool, so that tasks can be tested as the ordinary functions that they are.

use std::sync::Arc;

use wasmpool_abi::shared::Kind;

use super::element::Element;
use super::host::{Body, World};

/// Objects in this process, in place of those that a pool grants.
///
/// Inside of [`run`](Self::run), `open` finds them by their names. Threads that run the same `TestPool` share them, as
/// calls do. It does what a pool does, with these exceptions: nothing is given back when a call ends, and every object may
/// be written.
///
/// # Examples
///
/// ```
/// use wasmpool_guest::shared::testing::TestPool;
/// use wasmpool_guest::shared::{SharedError, Value};
/// use wasmpool_guest::task;
///
/// #[task]
/// fn count() -> Result<i64, SharedError> {
///     Value::<i64>::open("counter")?.fetch_add(1)
/// }
///
/// let pool = TestPool::new().value("counter", 0_i64);
/// pool.run(|| {
///     assert_eq!(count(), Ok(0));
///     assert_eq!(count(), Ok(1));
/// });
/// ```
#[derive(Clone, Debug, Default)]
pub struct TestPool {
    world: Arc<World>,
}

impl TestPool {
    /// A pool without objects.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls a function to which the objects are granted.
    pub fn run<R>(&self, call: impl FnOnce() -> R) -> R {
        super::host::within(&self.world, call)
    }

    /// Adds a [`Value`](super::Value).
    #[must_use]
    pub fn value<T: Element>(self, name: &str, initial: T) -> Self {
        self.with(name, Kind::Value, Body::numbers(&[initial]))
    }

    /// Adds an [`Array`](super::Array) of these numbers.
    #[must_use]
    pub fn array<T: Element>(self, name: &str, initial: &[T]) -> Self {
        self.with(name, Kind::Array, Body::numbers(initial))
    }

    /// Adds a [`Lock`](super::Lock).
    #[must_use]
    pub fn lock(self, name: &str) -> Self {
        self.with(name, Kind::Lock, Body::lock())
    }

    /// Adds an [`RLock`](super::RLock).
    #[must_use]
    pub fn rlock(self, name: &str) -> Self {
        self.with(name, Kind::RLock, Body::lock())
    }

    /// Adds a [`Semaphore`](super::Semaphore).
    #[must_use]
    pub fn semaphore(self, name: &str, permits: u32) -> Self {
        self.with(name, Kind::Semaphore, Body::permits(permits))
    }

    /// Adds a [`BoundedSemaphore`](super::BoundedSemaphore).
    #[must_use]
    pub fn bounded_semaphore(self, name: &str, permits: u32) -> Self {
        self.with(name, Kind::BoundedSemaphore, Body::permits(permits))
    }

    /// Adds a [`Condition`](super::Condition).
    #[must_use]
    pub fn condition(self, name: &str) -> Self {
        self.with(name, Kind::Condition, Body::lock())
    }

    /// Adds an [`Event`](super::Event) that is not set.
    #[must_use]
    pub fn event(self, name: &str) -> Self {
        self.with(name, Kind::Event, Body::Event(false))
    }

    /// Adds a [`Barrier`](super::Barrier).
    #[must_use]
    pub fn barrier(self, name: &str, parties: u32) -> Self {
        self.with(name, Kind::Barrier, Body::barrier(parties))
    }

    /// Adds a [`Queue`](super::Queue) for so many items.
    #[must_use]
    pub fn queue(self, name: &str, capacity: usize) -> Self {
        self.with(name, Kind::Queue, Body::items(capacity))
    }

    /// Adds a [`JoinableQueue`](super::JoinableQueue) for so many items.
    #[must_use]
    pub fn joinable_queue(self, name: &str, capacity: usize) -> Self {
        self.with(name, Kind::JoinableQueue, Body::items(capacity))
    }

    /// Adds both [ends of a pipe](super::PipeEnd).
    #[must_use]
    pub fn pipe(self, left: &str, right: &str) -> Self {
        self.with(left, Kind::Pipe, Body::end_of_pipe(right)).with(right, Kind::Pipe, Body::end_of_pipe(left))
    }

    /// Adds a [`List`](super::List).
    #[must_use]
    pub fn list(self, name: &str) -> Self {
        self.with(name, Kind::List, Body::records())
    }

    /// Adds a [`Dict`](super::Dict).
    #[must_use]
    pub fn dict(self, name: &str) -> Self {
        self.with(name, Kind::Dict, Body::records())
    }

    /// Adds a [`Namespace`](super::Namespace).
    #[must_use]
    pub fn namespace(self, name: &str) -> Self {
        self.with(name, Kind::Namespace, Body::records())
    }

    fn with(self, name: &str, kind: Kind, body: Body) -> Self {
        self.world.add(name, kind, body);
        self
    }
}
