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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::super::{Array, Barrier, Leased, SharedErrorKind, SharedView, Value};
    use super::*;

    #[test]
    fn who_is_impatient_breaks_a_barrier_for_all() {
        let pool = TestPool::new().barrier("b", 3);
        thread::scope(|threads| {
            let patient = threads.spawn(|| pool.run(|| Barrier::open("b").unwrap().wait()));
            let impatient =
                threads.spawn(|| pool.run(|| Barrier::open("b").unwrap().wait_for(Duration::from_millis(1))));
            for waited in [patient, impatient] {
                assert_eq!(waited.join().unwrap().unwrap_err().kind(), SharedErrorKind::Broken);
            }
        });
        pool.run(|| {
            let barrier = Barrier::open("b").unwrap();
            assert_eq!((barrier.is_broken(), barrier.n_waiting()), (Ok(true), Ok(0)));
        });
    }

    /// However many meetings there have been before one of those who met looks.
    #[test]
    fn whoever_has_met_has_met() {
        const ENOUGH: usize = 1000;
        let pool = TestPool::new().barrier("b", 2);
        let met = AtomicUsize::new(0);
        let meet_often = || {
            let barrier = Barrier::open("b").unwrap();
            while barrier.wait().is_ok() {
                // Somebody has to end it for all: the last one would be left alone.
                if met.fetch_add(1, Ordering::Relaxed) + 1 >= ENOUGH {
                    barrier.abort().unwrap();
                }
            }
            assert!(met.load(Ordering::Relaxed) >= ENOUGH, "broken before anybody broke it");
        };
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| pool.run(meet_often));
            }
        });
        assert!(met.into_inner().is_multiple_of(2), "who meets, meets another");
    }

    thread_local! {
        static KEPT: RefCell<Option<(Value<i64>, SharedView<'static, i64>)>> = const { RefCell::new(None) };
    }

    #[test]
    fn what_is_kept_of_an_earlier_call_is_refused() {
        let pool = TestPool::new().value("v", 1_i64).array("a", &[1_i64, 2]);
        pool.run(|| {
            let value = Value::open("v").unwrap();
            for _ in 0..1000 {
                value.fetch_add(1).unwrap();
            }
            let array: &Array<i64> = Box::leak(Box::new(Array::open("a").unwrap()));
            let view = array.view().unwrap();
            assert_eq!((view.get(1), view.is_mapped()), (Ok(2), true));
            KEPT.set(Some((value, view)));
        });
        pool.run(|| {
            let (value, view) = KEPT.take().unwrap();
            let kinds = [value.get(), view.get(1), view.fetch_add(1, 1)].map(|got| got.unwrap_err().kind());
            assert_eq!(kinds, [SharedErrorKind::EarlierCall; 3]);
        });
        pool.run(|| {
            assert_eq!(Value::<i64>::open("v").unwrap().get(), Ok(1001));
            assert_eq!(Array::<i64>::open("a").unwrap().to_vec(), Ok(vec![1, 2]));
        });
    }

    #[test]
    fn a_lease_that_is_leaked_keeps_its_memory() {
        let pool = TestPool::new().array("a", &[1_i64, 2]);
        let slice: &'static [i64] = pool.run(|| {
            let array: &'static Array<i64> = Box::leak(Box::new(Array::open("a").unwrap()));
            let lease: &'static Leased<'static, i64> = Box::leak(Box::new(array.read_lease(..).unwrap()));
            lease
        });
        drop(pool);
        assert_eq!(slice, [1, 2]);
    }
}
