//! Waiting for several objects at once.

use std::time::Duration;

use super::error::{InTime, SharedError};
use super::handle::{limit_or_none, status};
use super::host;

/// Any shared object.
pub trait Shared: Sealed {}

/// Gives the SDK the host's number for the object; nobody else can implement it.
pub trait Sealed {
    #[doc(hidden)]
    fn number(&self) -> Result<i32, SharedError>;
}

/// Waits until at least one of several objects is ready (Python's `connection.wait`); returns the indices of all that are.
///
/// A queue is ready when there is an item, a pipe when there is a message or the end, an event when it is set; a lock or
/// a semaphore when it could be acquired. Nothing is taken, so that somebody else may be quicker. If `duration` passes,
/// the result is empty; none waits for ever.
///
/// # Errors
///
/// When one cannot be waited for, or the wait could never end.
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{Event, Queue, SharedError, wait_any};
/// use wasmpool_guest::task;
///
/// /// Prints numbers until it is told to stop.
/// #[task]
/// fn print_numbers() -> Result<(), SharedError> {
///     let (numbers, stop) = (Queue::<i64>::open("numbers")?, Event::open("stop")?);
///     while !wait_any(&[&numbers, &stop], None)?.contains(&1) {
///         if let Some(number) = numbers.try_get()? {
///             println!("{number}");
///         }
///     }
///     Ok(())
/// }
/// ```
pub fn wait_any(objects: &[&dyn Shared], duration: Option<Duration>) -> Result<Vec<usize>, SharedError> {
    let handles = objects.iter().map(|object| object.number()).collect::<Result<Vec<i32>, _>>()?;
    let mut ready = vec![0; handles.len()];
    let waited = status(host::wait(&handles, limit_or_none(duration), &mut ready));
    Ok(match waited.in_time()? {
        Some(()) => (0..ready.len()).filter(|&index| ready[index] != 0).collect(),
        None => Vec::new(),
    })
}
