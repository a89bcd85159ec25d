//! Bounded queues.

use std::borrow::Borrow;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{decode, encode};
use super::error::{SharedError, SharedErrorKind};
use super::handle::{Handle, for_ever, handle, within};
use crate::shm::object::Outcome;
use crate::shm::object::patience::Patience;
use crate::shm::object::queue::Queue as Inner;

/// A bounded queue (Python's `Queue`).
///
/// `put` returns after the item is in the queue, and `get` right after it finds it. [`len`](Self::len) is exact.
///
/// Made by [`Pool::queue`](crate::Pool::queue), or with [`QueueOptions`](super::QueueOptions).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let jobs = pool.queue::<String>("jobs", 64)?;
/// jobs.put("sweep")?;
/// jobs.put("mop")?;
/// assert_eq!(jobs.len()?, 2);
/// jobs.close()?;
/// let jobs: Result<Vec<String>, _> = jobs.iter().collect();
/// assert_eq!(jobs?, ["sweep", "mop"]);
/// # Ok(())
/// # }
/// ```
///
/// # Differences from Python
///
/// - The queue lies in shared memory of a fixed size: there is a longest item, and no unbounded queue.
/// - There is no thread that sends items later: an item that cannot be encoded is an error of `put`.
/// - A task that has taken an item has it *in hand* until it takes the next, acknowledges it, or ends well. If it fails
///   or dies before, the item goes back to the front of the queue, or is [reported](Self::take_reported), as the
///   [options](super::QueueOptions::report_orphans) say. The host program does not die separately: what it takes is gone.
/// - [`close`](Self::close) is for everyone, and lets those who take items come to their end.
/// - "Empty" and "full" are no exceptions: `try_get` and `get_for` answer `None`, `try_put` and `put_for` answer `false`.
pub struct Queue<T> {
    handle: Handle,
    items: PhantomData<fn() -> T>,
}

handle!(Queue<T> { handle, items }, Queue(Inner));

impl<T> Queue<T> {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, items: PhantomData }
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
        let put = self.put_within(item, &for_ever())?;
        self.handle.said(put)
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
        let put = self.put_within(item, &Patience::NONE)?;
        Ok(self.handle.in_time(put)?.is_some())
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
        let put = self.put_within(item, &within(duration))?;
        Ok(self.handle.in_time(put)?.is_some())
    }

    fn put_within<Q: Serialize + ?Sized>(
        &self,
        item: &Q,
        patience: &Patience<'_>,
    ) -> Result<Outcome<()>, SharedError> {
        let item = encode(&self.handle, item)?;
        Ok(self.inner().put(self.handle.party()?, &item, patience))
    }

    /// Takes the first item; waits while the queue is empty.
    ///
    /// # Errors
    ///
    /// When the queue is closed and empty, or the item cannot be decoded, which loses it.
    pub fn get(&self) -> Result<T, SharedError>
    where
        T: DeserializeOwned,
    {
        let taken = self.take(&for_ever())?;
        decode(&self.handle, &self.handle.said(taken)?)
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
        self.get_within(&Patience::NONE)
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
        self.get_within(&within(duration))
    }

    fn get_within(&self, patience: &Patience<'_>) -> Result<Option<T>, SharedError>
    where
        T: DeserializeOwned,
    {
        let taken = self.take(patience)?;
        match self.handle.in_time(taken)? {
            Some(item) => decode(&self.handle, &item).map(Some),
            None => Ok(None),
        }
    }

    /// Takes an item and acknowledges it at once: what this process does with it, it does not do half.
    fn take(&self, patience: &Patience<'_>) -> Result<Outcome<Vec<u8>>, SharedError> {
        let party = self.handle.party()?;
        let mut item = Vec::new();
        let taken = self.inner().get(party, patience, &mut item);
        Ok(taken.and_then(|()| self.inner().acknowledge(party)).map(|()| item))
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

    /// Takes out the items that were lost with the tasks that had them in hand, oldest first.
    ///
    /// There are none unless the queue was made to [report](super::QueueOptions::report_orphans) them.
    ///
    /// # Errors
    ///
    /// When the object is poisoned. Each item is an error of its own that cannot be decoded.
    pub fn take_reported(&self) -> Result<Vec<Result<T, SharedError>>, SharedError>
    where
        T: DeserializeOwned,
    {
        let party = self.handle.party()?;
        let items = self.handle.said(self.inner().take_reported(party))?;
        Ok(items.iter().map(|item| decode(&self.handle, item)).collect())
    }

    /// Closes the queue for everyone: nothing more can be put, and what is in it can still be taken.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn close(&self) -> Result<(), SharedError> {
        let party = self.handle.party()?;
        self.handle.said(self.inner().close(party))
    }

    /// Whether the queue was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner().is_closed()
    }

    /// How many items are in it (Python's `qsize`), not counting those in hand.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn len(&self) -> Result<usize, SharedError> {
        Ok(self.handle.said(self.inner().len())? as usize)
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
    /// Also a queue that is not full makes one wait whose item finds no room among the bytes of the others, of those in
    /// hand, and of those that were [reported](Self::take_reported) and not collected; how large an item may be depends
    /// on all of them, so that only [`try_put`](Self::try_put) can tell.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn is_full(&self) -> Result<bool, SharedError> {
        Ok(self.len()? >= self.capacity())
    }

    /// How many items there can be (Python's `maxsize`).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.inner().shape().items_max as usize
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
/// Whoever takes an item says [`task_done`](Self::task_done) when he has dealt with it; [`join`](Self::join) waits until
/// that is so for every item that was ever put.
///
/// Made by [`Pool::joinable_queue`](crate::Pool::joinable_queue), or with [`QueueOptions`](super::QueueOptions).
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let jobs = pool.joinable_queue::<i64>("jobs", 64)?;
/// jobs.put(&1)?;
/// std::thread::scope(|threads| {
///     threads.spawn(|| {
///         assert_eq!(jobs.get(), Ok(1));
///         jobs.task_done()
///     });
///     jobs.join()
/// })?;
/// assert_eq!(jobs.unfinished()?, 0);
/// # Ok(())
/// # }
/// ```
pub struct JoinableQueue<T> {
    queue: Queue<T>,
}

impl<T> JoinableQueue<T> {
    pub(super) fn new(handle: Handle) -> Self {
        Self { queue: Queue::new(handle) }
    }

    /// Says that one taken item is done.
    ///
    /// # Errors
    ///
    /// When it was said more often than items were put.
    pub fn task_done(&self) -> Result<(), SharedError> {
        let party = self.handle().party()?;
        self.handle().said(self.queue.inner().task_done(party))
    }

    /// Waits until every item is done.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn join(&self) -> Result<(), SharedError> {
        self.handle().said(self.queue.inner().join(&for_ever()))
    }

    /// The same for so long at most; says whether every item is done.
    ///
    /// # Errors
    ///
    /// Those of [`join`](Self::join).
    pub fn join_for(&self, duration: Duration) -> Result<bool, SharedError> {
        Ok(self.handle().in_time(self.queue.inner().join(&within(duration)))?.is_some())
    }

    /// How many items were put and are not done.
    ///
    /// # Errors
    ///
    /// When the object is poisoned.
    pub fn unfinished(&self) -> Result<u64, SharedError> {
        self.handle().said(self.queue.inner().unfinished())
    }

    fn handle(&self) -> &Handle {
        &self.queue.handle
    }
}

handle!(JoinableQueue<T> { queue });

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
