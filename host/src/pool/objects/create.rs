//! How a pool makes shared objects.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};

use super::handle::Handle;
use super::{
    Array, Barrier, BoundedSemaphore, Condition, Dict, Element, Event, JoinableQueue, List, Lock, Namespace,
    Pipe, PipeEnd, PipeOptions, Queue, QueueOptions, RLock, RecordOptions, Semaphore, SharedError, Value,
};
use crate::pool::Pool;
use crate::pool::error::{Error, ErrorKind};
use crate::shm::object::spec::{RecordsShape, Spec};

/// Making shared objects.
///
/// Each has a name of its own among the living objects of the pool: 1 to 128 ASCII letters, digits, `_`, `-` and `.`.
///
/// # Errors
///
/// All of these fail in the same ways: [`ErrorKind::Setting`] for a name that cannot be or that is taken, and for sizes
/// that cannot be; [`ErrorKind::SetUp`] when there is not enough memory or no descriptor.
impl Pool {
    /// Makes a [`Value`]: a shared number.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn value<T: Element>(&self, name: &str, initial: T) -> Result<Value<T>, Error> {
        let value = Value::new(self.make(name, Spec::Value { element: T::CODE })?);
        value.set(initial).map_err(|error| unusable(name, error))?;
        Ok(value)
    }

    /// Makes an [`Array`] of so many zeros.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn array<T: Element>(&self, name: &str, length: usize) -> Result<Array<T>, Error> {
        Ok(Array::new(self.make(name, Spec::Array { element: T::CODE, length: length as u64 })?))
    }

    /// Makes an [`Array`] of these elements.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn array_of<T: Element>(&self, name: &str, elements: &[T]) -> Result<Array<T>, Error> {
        let array = self.array(name, elements.len())?;
        array.write(0, elements).map_err(|error| unusable(name, error))?;
        Ok(array)
    }

    /// Makes a [`Lock`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn lock(&self, name: &str) -> Result<Lock, Error> {
        Ok(Lock::new(self.make(name, Spec::Lock)?))
    }

    /// Makes an [`RLock`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn rlock(&self, name: &str) -> Result<RLock, Error> {
        Ok(RLock::new(self.make(name, Spec::RLock)?))
    }

    /// Makes a [`Semaphore`] of so many permits, 0 to `i32::MAX`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn semaphore(&self, name: &str, permits: u32) -> Result<Semaphore, Error> {
        Ok(Semaphore::new(self.make(name, Spec::Semaphore { permits, bounded: false })?))
    }

    /// Makes a [`BoundedSemaphore`] of so many permits, 0 to `i32::MAX`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn bounded_semaphore(&self, name: &str, permits: u32) -> Result<BoundedSemaphore, Error> {
        Ok(BoundedSemaphore::new(self.make(name, Spec::Semaphore { permits, bounded: true })?))
    }

    /// Makes a [`Condition`] with a lock of its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn condition(&self, name: &str) -> Result<Condition, Error> {
        Ok(Condition::new(self.make(name, Spec::Condition)?))
    }

    /// Makes an [`Event`] that is not set.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn event(&self, name: &str) -> Result<Event, Error> {
        Ok(Event::new(self.make(name, Spec::Event)?))
    }

    /// Makes a [`Barrier`] for so many parties, 1 to 1,023.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn barrier(&self, name: &str, parties: u32) -> Result<Barrier, Error> {
        Ok(Barrier::new(self.make(name, Spec::Barrier { parties })?))
    }

    /// Makes a [`Queue`] of at most so many items.
    ///
    /// They have 256 bytes each, and 1 MiB at least; [`Self::queue_with`] sets that, and more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn queue<T>(&self, name: &str, items: usize) -> Result<Queue<T>, Error> {
        self.queue_with(name, QueueOptions::new(items))
    }

    /// Makes a [`Queue`] of chosen sizes and rules.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn queue_with<T>(&self, name: &str, options: QueueOptions) -> Result<Queue<T>, Error> {
        Ok(Queue::new(self.make(name, Spec::Queue(options.shape(false)))?))
    }

    /// Makes a [`JoinableQueue`] of at most so many items; see [`Self::queue`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn joinable_queue<T>(&self, name: &str, items: usize) -> Result<JoinableQueue<T>, Error> {
        self.joinable_queue_with(name, QueueOptions::new(items))
    }

    /// Makes a [`JoinableQueue`] of chosen sizes and rules.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn joinable_queue_with<T>(
        &self,
        name: &str,
        options: QueueOptions,
    ) -> Result<JoinableQueue<T>, Error> {
        Ok(JoinableQueue::new(self.make(name, Spec::Queue(options.shape(true)))?))
    }

    /// Makes a pipe both of whose ends send; guests open them as `name.0` and `name.1`.
    ///
    /// The first end sends `A` and receives `B`, the second the other way round.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn pipe<A, B>(&self, name: &str) -> Result<Pipe<A, B>, Error> {
        self.pipe_with(name, PipeOptions::new())
    }

    /// Makes a pipe of chosen sizes both of whose ends send; see [`Self::pipe`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn pipe_with<A, B>(&self, name: &str, options: PipeOptions) -> Result<Pipe<A, B>, Error> {
        self.make_pipe(name, options, true)
    }

    /// Makes a pipe whose first end, `name.0`, receives what its second, `name.1`, sends (Python's `Pipe(False)`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn one_way_pipe<T>(&self, name: &str) -> Result<Pipe<Infallible, T>, Error> {
        self.one_way_pipe_with(name, PipeOptions::new())
    }

    /// Makes a pipe of chosen size from its second end to its first; see [`Self::one_way_pipe`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn one_way_pipe_with<T>(
        &self,
        name: &str,
        options: PipeOptions,
    ) -> Result<Pipe<Infallible, T>, Error> {
        self.make_pipe(name, options, false)
    }

    /// Makes an empty [`List`] for 65,536 values of 4 MiB together.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn list<T>(&self, name: &str) -> Result<List<T>, Error> {
        self.list_with(name, RecordOptions::new())
    }

    /// Makes an empty [`List`] of chosen sizes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn list_with<T>(&self, name: &str, options: RecordOptions) -> Result<List<T>, Error> {
        Ok(List::new(self.make(name, Spec::List(options.shape()))?))
    }

    /// Makes an empty [`Dict`] for 65,536 entries of 4 MiB together.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn dict<K, V>(&self, name: &str) -> Result<Dict<K, V>, Error> {
        self.dict_with(name, RecordOptions::new())
    }

    /// Makes an empty [`Dict`] of chosen sizes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn dict_with<K, V>(&self, name: &str, options: RecordOptions) -> Result<Dict<K, V>, Error> {
        Ok(Dict::new(self.make(name, dict(options.shape(), false))?))
    }

    /// Makes an empty [`Namespace`] for 65,536 values of 4 MiB together.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn namespace(&self, name: &str) -> Result<Namespace, Error> {
        self.namespace_with(name, RecordOptions::new())
    }

    /// Makes an empty [`Namespace`] of chosen sizes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`], [`ErrorKind::SetUp`]; see above.
    pub fn namespace_with(&self, name: &str, options: RecordOptions) -> Result<Namespace, Error> {
        Ok(Namespace::new(self.make(name, dict(options.shape(), true))?))
    }

    fn make(&self, name: &str, spec: Spec) -> Result<Handle, Error> {
        Ok(Handle::new(self.registry.create(name, spec)?))
    }

    fn make_pipe<A, B>(&self, name: &str, options: PipeOptions, duplex: bool) -> Result<Pipe<A, B>, Error> {
        let [first, second] = self.registry.create_pipe(name, options.shape(duplex))?;
        let first = PipeEnd::new(Handle::new(first)).map_err(|error| unusable(name, error))?;
        let second = PipeEnd::new(Handle::new(second)).map_err(|error| unusable(name, error))?;
        Ok((first, second))
    }
}

/// A dictionary whose keys are hashed in a way that nobody can foresee.
pub(crate) fn dict(shape: RecordsShape, is_namespace: bool) -> Spec {
    Spec::Dict { shape, seed: RandomState::new().hash_one(shape.records_max), is_namespace }
}

fn unusable(name: &str, error: SharedError) -> Error {
    Error::new(ErrorKind::SetUp, format!("shared object `{name}` cannot be prepared")).with_source(error)
}
