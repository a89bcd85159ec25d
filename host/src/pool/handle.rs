//! A handle: what a caller has of calls that run on without him.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::error::{Error, ErrorKind};
use super::job::Job;
use super::shared::Shared;
use super::slot::{Bulletin, Callback, Slot};

/// The job behind handles, and the pool that runs it.
pub(crate) struct Origin {
    pub(crate) shared: Arc<Shared>,
    pub(crate) job: Arc<Job>,
}

impl Origin {
    /// Gives up one call, or without one the whole job: what runs of it is stopped, what does not is not begun.
    pub(crate) fn cancel(&self, call: Option<u64>) {
        match call {
            Some(call) => self.job.withdraw(call),
            None => self.job.cancel(None),
        }
        self.shared.ring_feeders();
        self.shared.lobby.ring();
    }
}

/// The outcome of a call or a job that runs on, like Python's `AsyncResult` and `Future`.
///
/// It comes from [`Task::apply_async`](crate::Task::apply_async), [`map_async`](crate::Task::map_async) and
/// [`starmap_async`](crate::Task::starmap_async). It always comes to an outcome: the result, the failure of a call, or an
/// error when the pool ends first, the module is not run any more, or somebody cancels it.
///
/// It is a [`Future`] for any executor. Dropping it changes nothing: as in Python, the calls go on, and so do its
/// callbacks. Use [`cancel`](Self::cancel) to stop them.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), wasmpool::Error> {
/// # let pool = wasmpool::Pool::builder().workers(2).build()?;
/// # let text = br#"(module (func (export "double") (param i64) (result i64)
/// #     (i64.mul (local.get 0) (i64.const 2))))"#;
/// let double = pool.load_bytes("numbers", text)?.task::<i64, i64>("double")?;
/// let handle = double.apply_async(21)?;
/// assert_eq!(handle.get(None)?, 42);
/// # Ok(())
/// # }
/// ```
#[must_use = "the calls go on without it; take their outcome, or drop it on purpose"]
pub struct Handle<R> {
    slot: Arc<Slot<R>>,
    origin: Arc<Origin>,
    /// Index of its call in its job; without one it stands for the whole job.
    call: Option<u64>,
}

impl<R> Handle<R> {
    pub(crate) fn new(slot: Arc<Slot<R>>, origin: Arc<Origin>, call: Option<u64>) -> Self {
        Self { slot, origin, call }
    }

    /// Takes the outcome, waiting for it at most so long; without a duration, for as long as it takes.
    ///
    /// The result can be taken once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Call`] when a call failed: [`Error::failure`] has its index, attempt, message and backtrace.
    /// [`ErrorKind::Cancelled`] when it was cancelled, [`ErrorKind::Closed`] when the pool ended first.
    /// [`ErrorKind::TimedOut`] when the time is over: the call goes on, and the handle stays as it is.
    /// [`ErrorKind::Misuse`] when the result was taken before.
    pub fn get(&self, timeout: Option<Duration>) -> Result<R, Error> {
        let until = deadline(timeout);
        loop {
            if !self.slot.wait(until) {
                return Err(timed_out(timeout, "the result is not there"));
            }
            // Nobody else has the handle, but for the callbacks it may not be there after all.
            if let Some(outcome) = self.slot.take() {
                return outcome;
            }
        }
    }

    /// Waits until there is an outcome, at most so long; says whether there is.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        self.slot.wait(deadline(timeout))
    }

    /// Whether there is an outcome.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.slot.is_ready()
    }

    /// Whether the outcome is a result.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] before there is an outcome.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// # let text = br#"(module (func (export "fail") unreachable))"#;
    /// let fail = pool.load_bytes("faults", text)?.task::<(), ()>("fail")?;
    /// let handle = fail.apply_async(())?;
    /// assert!(handle.wait(None) && handle.ready());
    /// assert!(!handle.successful()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn successful(&self) -> Result<bool, Error> {
        let text = "nobody knows whether the call succeeds before it has ended: wait for it first";
        self.slot.is_success().ok_or_else(|| Error::new(ErrorKind::Misuse, text))
    }
}

impl<R: Send + 'static> Handle<R> {
    /// Stops the calls, whether they wait or run; says whether there was no outcome yet.
    ///
    /// The outcome is an error of kind [`ErrorKind::Cancelled`] from now on. A call that has not been given to a worker
    /// is never begun. One that runs is stopped within about ten milliseconds, also when it sleeps on a shared object,
    /// by ending its worker, which is replaced; other calls that the worker had are run again elsewhere.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// # let text = br#"(module (func (export "spin") (loop br 0)))"#;
    /// let spin = pool.load_bytes("hostile", text)?.task::<(), ()>("spin")?;
    /// let handle = spin.apply_async(())?;
    /// assert!(handle.cancel());
    /// let error = handle.get(None).unwrap_err();
    /// assert_eq!(error.kind(), wasmpool::ErrorKind::Cancelled);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) -> bool {
        let what = if self.call.is_some() { "the call" } else { "the job" };
        let error = Error::new(ErrorKind::Cancelled, format!("{what} was cancelled through its handle"));
        let is_first = self.slot.fill(Err(error));
        if is_first {
            self.origin.cancel(self.call);
        }
        is_first
    }

    /// Runs something with the result, when there is one.
    ///
    /// As in Python it runs before anybody can take the result, on a thread that the pool keeps for callbacks alone. It
    /// runs even if the handle is dropped. One that panics harms nobody. Callbacks run one after the other: one that
    /// waits holds up those behind it, and never ends if it waits for a handle with a callback of its own. When 65,536
    /// callbacks wait to be run, whoever registers another one waits.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(1).build()?;
    /// # let text = br#"(module (func (export "double") (param i64) (result i64)
    /// #     (i64.mul (local.get 0) (i64.const 2))))"#;
    /// # let double = pool.load_bytes("numbers", text)?.task::<i64, i64>("double")?;
    /// let (tell, told) = std::sync::mpsc::channel();
    /// let handle = double
    ///     .apply_async(4)?
    ///     .on_result(move |doubled| tell.send(*doubled).unwrap())
    ///     .on_error(|error| eprintln!("{error}"));
    /// handle.wait(None);
    /// assert_eq!(told.recv().unwrap(), 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_result(self, call: impl FnOnce(&R) + Send + 'static) -> Self {
        self.slot.call_back(&self.origin.shared.callbacks, Callback::Result(Box::new(call)));
        self
    }

    /// Runs something with the error, when there is no result; else as [`on_result`](Self::on_result).
    pub fn on_error(self, call: impl FnOnce(&Error) + Send + 'static) -> Self {
        self.slot.call_back(&self.origin.shared.callbacks, Callback::Error(Box::new(call)));
        self
    }
}

/// Ready when there is an outcome, whichever executor polls it on whichever thread; the last waker is the one that is
/// woken. The outcome is taken, so that polling again gives an error of kind [`ErrorKind::Misuse`].
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// use std::task::{Context, Poll, Waker};
///
/// # fn main() -> Result<(), wasmpool::Error> {
/// # let pool = wasmpool::Pool::builder().workers(1).build()?;
/// # let text = br#"(module (func (export "one") (result i32) (i32.const 1)))"#;
/// # let one = pool.load_bytes("numbers", text)?.task::<(), i32>("one")?;
/// let sum = async {
///     let (left, right) = (one.apply_async(())?, one.apply_async(())?);
///     Ok::<_, wasmpool::Error>(left.await? + right.await?)
/// };
/// // The world's smallest executor, and its laziest.
/// let mut sum = std::pin::pin!(sum);
/// let sum = loop {
///     match sum.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
///         Poll::Ready(sum) => break sum,
///         Poll::Pending => std::thread::yield_now(),
///     }
/// };
/// assert_eq!(sum?, 2);
/// # Ok(())
/// # }
/// ```
impl<R> Future for Handle<R> {
    type Output = Result<R, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.slot.poll(context.waker()).map_or(Poll::Pending, Poll::Ready)
    }
}

impl<R> std::fmt::Debug for Handle<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("ready", &self.ready()).finish_non_exhaustive()
    }
}

mod sealed {
    use super::{Arc, Bulletin};

    /// What waits for several handles needs of each.
    pub trait Awaited {
        fn publish_to(&self, bulletin: &Arc<Bulletin>, number: usize);
        fn forget(&self, bulletin: &Arc<Bulletin>);
        fn is_ready(&self) -> bool;
    }
}

/// Something that comes to an outcome: a [`Handle`] of any type.
pub trait Completion: sealed::Awaited {}

impl<R> sealed::Awaited for Handle<R> {
    fn publish_to(&self, bulletin: &Arc<Bulletin>, number: usize) {
        self.slot.publish_to(bulletin, number);
    }

    fn forget(&self, bulletin: &Arc<Bulletin>) {
        self.slot.forget(bulletin);
    }

    fn is_ready(&self) -> bool {
        self.slot.is_ready()
    }
}

impl<R> Completion for Handle<R> {}

/// Waits until one of several handles has an outcome, at most so long.
///
/// Returns the indices of all that have; none if the time is over first, and none of none.
/// [`shared::wait_any`](crate::shared::wait_any) does the same for shared objects.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), wasmpool::Error> {
/// # let pool = wasmpool::Pool::builder().workers(2).build()?;
/// # let text = br#"(module (func (export "one") (result i32) (i32.const 1)) (func (export "spin") (loop br 0)))"#;
/// # let module = pool.load_bytes("mixed", text)?;
/// # let (one, spin) = (module.task::<(), i32>("one")?, module.task::<(), ()>("spin")?);
/// let (slow, quick) = (spin.apply_async(())?, one.apply_async(())?);
/// assert_eq!(wasmpool::wait_any(&[&slow, &quick], None), [1]);
/// assert!(!wasmpool::wait_all(&[&slow, &quick], Some(std::time::Duration::ZERO)));
/// slow.cancel();
/// assert!(wasmpool::wait_all(&[&slow, &quick], None));
/// # Ok(())
/// # }
/// ```
pub fn wait_any(handles: &[&dyn Completion], timeout: Option<Duration>) -> Vec<usize> {
    let ready = || (0..handles.len()).filter(|index| handles[*index].is_ready()).collect();
    let bulletin = Arc::<Bulletin>::default();
    if handles.is_empty() {
        return Vec::new();
    }
    (0..).zip(handles).for_each(|(number, handle)| handle.publish_to(&bulletin, number));
    bulletin.next(deadline(timeout));
    handles.iter().for_each(|handle| handle.forget(&bulletin));
    ready()
}

/// Waits until all of several handles have outcomes, at most so long; says whether they have.
///
/// An example stands at [`wait_any`].
pub fn wait_all(handles: &[&dyn Completion], timeout: Option<Duration>) -> bool {
    let until = deadline(timeout);
    let bulletin = Arc::<Bulletin>::default();
    (0..).zip(handles).for_each(|(number, handle)| handle.publish_to(&bulletin, number));
    let are_all_ready = handles.iter().all(|_| bulletin.next(until).is_some());
    handles.iter().for_each(|handle| handle.forget(&bulletin));
    are_all_ready
}

/// The outcomes of several handles, each as soon as it is there, with its handle's position.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), wasmpool::Error> {
/// # let pool = wasmpool::Pool::builder().workers(2).build()?;
/// # let text = br#"(module (func (export "double") (param i64) (result i64)
/// #     (i64.mul (local.get 0) (i64.const 2))))"#;
/// # let double = pool.load_bytes("numbers", text)?.task::<i64, i64>("double")?;
/// let handles = (0..10).map(|n| double.apply_async(n)).collect::<Result<Vec<_>, _>>()?;
/// for (position, doubled) in wasmpool::as_completed(handles) {
///     assert_eq!(doubled?, 2 * position as i64);
/// }
/// # Ok(())
/// # }
/// ```
pub fn as_completed<R>(handles: impl IntoIterator<Item = Handle<R>>) -> Completed<R> {
    let bulletin = Arc::<Bulletin>::default();
    let handles: Vec<_> = handles.into_iter().map(Some).collect();
    for (number, handle) in handles.iter().enumerate() {
        handle.iter().for_each(|handle| handle.slot.publish_to(&bulletin, number));
    }
    Completed { left: handles.len(), handles, bulletin }
}

/// An outcome, and the position of its handle.
type Positioned<R> = (usize, Result<R, Error>);

/// Outcomes in the order in which they come; made by [`as_completed`].
#[derive(Debug)]
pub struct Completed<R> {
    handles: Vec<Option<Handle<R>>>,
    left: usize,
    bulletin: Arc<Bulletin>,
}

impl std::fmt::Debug for Bulletin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bulletin").finish_non_exhaustive()
    }
}

impl<R> Completed<R> {
    /// The next outcome, if it comes in time. Asking again later is no harm.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] when the time is over first.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Positioned<R>>, Error> {
        let left = self.left;
        let text = format!("none of {left} handles has an outcome");
        match self.next_until(deadline(Some(timeout))) {
            None if left > 0 => Err(timed_out(Some(timeout), &text)),
            next => Ok(next),
        }
    }

    fn next_until(&mut self, until: Option<Instant>) -> Option<Positioned<R>> {
        if self.left == 0 {
            return None;
        }
        let number = self.bulletin.next(until)?;
        self.left -= 1;
        let handle = self.handles[number].take()?;
        Some((number, handle.get(None)))
    }
}

impl<R> Iterator for Completed<R> {
    type Item = Positioned<R>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// When a wait that begins now and lasts so long is over; never, when nobody can live to see it.
pub(crate) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

pub(crate) fn timed_out(timeout: Option<Duration>, what: &str) -> Error {
    Error::new(ErrorKind::TimedOut, format!("{what} after {:?}", timeout.unwrap_or_default()))
}
