//! Bounded queues.

use std::borrow::Borrow;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmpool_abi::shared::{Kind, NO_LIMIT, Op};

use super::buffers::with_encoded;
use super::error::{InTime, SharedError, SharedErrorKind};
use super::handle::{Handle, decode, encode, limit, object};

/// A bounded queue (Python's `Queue`).
///
/// `put` returns after the item is in the queue, and `get` right after it finds it. [`len`](Self::len) is exact.
///
/// # The item in hand
///
/// An item that was taken stays *in hand* until the call takes the next one, [acknowledges](Self::acknowledge) it, or
/// ends well. If the call fails, traps or loses its worker before, the item is given back to the front of the queue, or
/// reported as lost, as the host program has chosen. An item that cannot be decoded is in hand, too.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Queue, SharedError};
/// use wasmpool_guest::task;
///
/// /// Squares numbers until there are no more.
/// #[task]
/// fn square_all() -> Result<u64, SharedError> {
///     let jobs = Queue::<i64>::open("jobs")?;
///     let results = Queue::<i64>::open("results")?;
///     let mut count = 0;
///     for number in &jobs {
///         let number = number?;
///         results.put(&(number * number))?;
///         count += 1;
///     }
///     Ok(count)
/// }
/// ```
#[derive(Debug)]
pub struct Queue<T> {
    handle: Handle,
    items: PhantomData<fn() -> T>,
}

object!(Queue<T>);

impl<T> Queue<T> {
    /// Opens the queue that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no queue of this name was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Self::open_as(name, Kind::Queue)
    }

    fn open_as(name: &str, kind: Kind) -> Result<Self, SharedError> {
        Ok(Self { handle: Handle::open(name, kind, None)?, items: PhantomData })
    }

    /// Puts an item; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// When the queue is closed, or the item cannot be encoded or can never fit.
    pub fn put<Q: Serialize + ?Sized>(&self, item: &Q) -> Result<(), SharedError>
    where
        T: Borrow<Q>,
    {
        self.put_within(item, NO_LIMIT)
    }

    /// Puts an item if there is room; says whether it did (Python's `put_nowait`).
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn try_put<Q: Serialize + ?Sized>(&self, item: &Q) -> Result<bool, SharedError>
    where
        T: Borrow<Q>,
    {
        Ok(self.put_within(item, 0).in_time()?.is_some())
    }

    /// Puts an item if there is room in time; says whether it did.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn put_for<Q: Serialize + ?Sized>(&self, item: &Q, duration: Duration) -> Result<bool, SharedError>
    where
        T: Borrow<Q>,
    {
        Ok(self.put_within(item, limit(duration)).in_time()?.is_some())
    }

    fn put_within<Q: Serialize + ?Sized>(&self, item: &Q, limit: i64) -> Result<(), SharedError> {
        with_encoded(|bytes| {
            encode(&self.handle, item, bytes)?;
            self.handle.put(bytes, limit)
        })
    }

    /// Takes the first item; waits while the queue is empty.
    ///
    /// # Errors
    ///
    /// When the queue is closed and empty, or the item cannot be decoded: it is then [in hand](Self#the-item-in-hand).
    pub fn get(&self) -> Result<T, SharedError>
    where
        T: DeserializeOwned,
    {
        self.get_within(NO_LIMIT)
    }

    /// Takes the first item if there is one (Python's `get_nowait`).
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn try_get(&self) -> Result<Option<T>, SharedError>
    where
        T: DeserializeOwned,
    {
        self.get_within(0).in_time()
    }

    /// Takes the first item, or returns nothing if there is none in time.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn get_for(&self, duration: Duration) -> Result<Option<T>, SharedError>
    where
        T: DeserializeOwned,
    {
        self.get_within(limit(duration)).in_time()
    }

    fn get_within(&self, limit: i64) -> Result<T, SharedError>
    where
        T: DeserializeOwned,
    {
        self.handle.get(limit, |bytes| decode(&self.handle, "an item", bytes))?
    }

    /// Takes items, waiting for them, until the queue is closed and empty.
    ///
    /// The iterator ends after an error.
    pub fn iter(&self) -> Items<'_, T>
    where
        T: DeserializeOwned,
    {
        Items { queue: self, ended: false }
    }

    /// Says that the item in hand is dealt with, before the next is taken or the call ends.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn acknowledge(&self) -> Result<(), SharedError> {
        self.handle.ask(Op::Acknowledge).map(|_| ())
    }

    /// Closes the queue for everyone: nothing more can be put, and what is in it can still be taken.
    ///
    /// # Errors
    ///
    /// When the queue was granted for reading only.
    pub fn close(&self) -> Result<(), SharedError> {
        self.handle.ask(Op::Close).map(|_| ())
    }

    /// How many items are in it (Python's `qsize`), not counting those in hand.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    #[allow(clippy::len_without_is_empty, reason = "there is one, which can fail as well")]
    pub fn len(&self) -> Result<usize, SharedError> {
        self.handle.count(Op::Length)
    }

    /// Whether there are no items in it.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_empty(&self) -> Result<bool, SharedError> {
        Ok(self.len()? == 0)
    }

    /// Whether there are as many items as there can be: whoever puts one more has to wait.
    ///
    /// Also a queue that is not full makes one wait whose item finds no room among the bytes of the others; how large
    /// an item may be depends on all of them, so that only [`try_put`](Self::try_put) can tell.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_full(&self) -> Result<bool, SharedError> {
        Ok(self.len()? >= self.capacity()?)
    }

    /// How many items there can be (Python's `maxsize`).
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn capacity(&self) -> Result<usize, SharedError> {
        self.handle.count(Op::Capacity)
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// The items of a [`Queue`], taken one by one until it is closed and empty.
#[derive(Debug)]
pub struct Items<'a, T> {
    queue: &'a Queue<T>,
    ended: bool,
}

impl<T: DeserializeOwned> Iterator for Items<'_, T> {
    type Item = Result<T, SharedError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.queue.get();
        self.ended = item.is_err();
        match item {
            Err(error) if error.kind() == SharedErrorKind::Closed => None,
            item => Some(item),
        }
    }
}

impl<T: DeserializeOwned> FusedIterator for Items<'_, T> {}

impl<'a, T: DeserializeOwned> IntoIterator for &'a Queue<T> {
    type Item = Result<T, SharedError>;
    type IntoIter = Items<'a, T>;

    fn into_iter(self) -> Items<'a, T> {
        self.iter()
    }
}

/// A [`Queue`] that counts unfinished work (Python's `JoinableQueue`).
///
/// Whoever takes an item says [`task_done`](Self::task_done) when he has dealt with it;
/// [`join`](Self::join) waits until that is so for every item that was ever put.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{JoinableQueue, SharedError};
/// use wasmpool_guest::task;
///
/// /// Works until there is no more to do.
/// #[task]
/// fn work() -> Result<(), SharedError> {
///     let jobs = JoinableQueue::<String>::open("jobs")?;
///     for job in jobs.iter() {
///         println!("doing {}", job?);
///         jobs.task_done()?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct JoinableQueue<T> {
    queue: Queue<T>,
}

object!(JoinableQueue<T>);

impl<T> JoinableQueue<T> {
    /// Opens the queue that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no joinable queue of this name was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Ok(Self { queue: Queue::open_as(name, Kind::JoinableQueue)? })
    }

    /// Says that one taken item is done.
    ///
    /// # Errors
    ///
    /// When it was said more often than items were put.
    pub fn task_done(&self) -> Result<(), SharedError> {
        self.handle().ask(Op::TaskDone).map(|_| ())
    }

    /// Waits until every item is done.
    ///
    /// # Errors
    ///
    /// When the wait could never end.
    pub fn join(&self) -> Result<(), SharedError> {
        self.handle().op(Op::Join, 0, NO_LIMIT).map(|_| ())
    }

    /// The same for so long at most; says whether every item is done.
    ///
    /// # Errors
    ///
    /// Those of [`join`](Self::join).
    pub fn join_for(&self, duration: Duration) -> Result<bool, SharedError> {
        Ok(self.handle().op(Op::Join, 0, limit(duration)).in_time()?.is_some())
    }

    fn handle(&self) -> &Handle {
        &self.queue.handle
    }
}

impl<T> Deref for JoinableQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.queue
    }
}

impl<'a, T: DeserializeOwned> IntoIterator for &'a JoinableQueue<T> {
    type Item = Result<T, SharedError>;
    type IntoIter = Items<'a, T>;

    fn into_iter(self) -> Items<'a, T> {
        self.iter()
    }
}
