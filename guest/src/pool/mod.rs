//! Calls of other tasks, and of itself, by a task: on all the workers of the pool that runs it.
//!
//! ```
//! use wasmpool_guest::pool::{self, CallError, Task};
//! use wasmpool_guest::task;
//!
//! /// Fibonacci numbers, with a call of the pool for each branch that is worth one.
//! #[task]
//! fn fib(n: u32) -> Result<u64, CallError> {
//!     if n < 20 {
//!         return Ok(alone(n));
//!     }
//!     let fib: Task<u32, u64> = pool::task("fib").natively(|n| fib(n).map_err(|error| error.to_string()));
//!     let (one, two) = pool::join(fib.submit(n - 1), fib.submit(n - 2))?;
//!     Ok(one + two)
//! }
//!
//! fn alone(n: u32) -> u64 {
//!     if n < 2 { n.into() } else { alone(n - 1) + alone(n - 2) }
//! }
//!
//! assert_eq!(fib(24).unwrap(), 46368);
//! ```
//!
//! Calls go to tasks of the same module and may do what the task that makes them may: the same limits, the same shared
//! objects and directories, no more. Each runs in an instance of its own, so that it finds nothing of its caller's memory.
//! While a call waits, its worker runs what it waits for, so that a pool of one worker does as well as one of many. How
//! deep calls may be nested is limited, and one more is an error like any other.
//!
//! A call's time limit counts its waits. When a call ends, whichever way, what it has submitted and not waited for is
//! stopped.
//!
//! Do not wait while you hold a lock that the calls want: they would wait until time is up. While a call that has opened
//! shared objects waits, its worker stands still and another one is started in its place.
//!
//! # Outside of a pool
//!
//! In native tests there is no pool, and no task is known by its name. [`Task::natively`] says what to run there instead,
//! at once and in place.

mod arguments;
mod error;
mod host;

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmpool_abi::Codec;
use wasmpool_abi::nesting::split_list;

use arguments::write_arguments;
pub use error::{CallError, CallErrorKind};

use crate::codec;

/// MessagePack's nil: the result of a task that has none.
const NIL: [u8; 1] = [0xc0];

/// A task of this module, taking `A` and returning `R`, to be called by the pool.
///
/// `A` is the tuple of the task's arguments; for a single one that is no tuple, it is that argument. `R` is what the task
/// returns, or what is in the `Ok` of that.
#[derive(Debug)]
pub struct Task<A, R> {
    name: String,
    native: Option<fn(A) -> Result<R, String>>,
}

/// The task of this name. Whether there is one is seen when it is called.
///
/// ```
/// let error = wasmpool_guest::pool::task::<i64, i64>("cube").call(3).unwrap_err();
/// assert_eq!(error.kind(), wasmpool_guest::pool::CallErrorKind::NotInAPool);
/// ```
#[must_use]
pub fn task<A, R>(name: &str) -> Task<A, R> {
    Task { name: name.to_owned(), native: None }
}

impl<A, R> Task<A, R> {
    /// What a call comes to outside of a pool: for tests of tasks that make calls.
    #[must_use]
    pub fn natively(mut self, run: fn(A) -> Result<R, String>) -> Self {
        self.native = Some(run);
        self
    }
}

impl<A: Serialize, R: DeserializeOwned> Task<A, R> {
    /// Makes one call and waits for its result.
    ///
    /// # Errors
    ///
    /// When the call fails or cannot be made.
    pub fn call(&self, arguments: A) -> Result<R, CallError> {
        self.submit(arguments).wait()
    }

    /// Makes one call, which runs while this one goes on.
    ///
    /// What is wrong with it is told by [`Pending::wait`].
    pub fn submit(&self, arguments: A) -> Pending<R> {
        Pending { many: self.submit_all([arguments]) }
    }

    /// Makes one call for each input and waits for all results, which come in the inputs' order.
    ///
    /// # Errors
    ///
    /// When a call fails: with the failure of the lowest index. The others are stopped.
    pub fn map(&self, inputs: impl IntoIterator<Item = A>) -> Result<Vec<R>, CallError> {
        self.submit_all(inputs).wait()
    }

    /// Makes one call for each input; they run while this one goes on.
    pub fn submit_all(&self, inputs: impl IntoIterator<Item = A>) -> PendingAll<R> {
        let state = if host::is_there() { self.hand_over(inputs) } else { self.run_natively(inputs) };
        PendingAll { state, result: PhantomData }
    }

    fn hand_over(&self, inputs: impl IntoIterator<Item = A>) -> State<R> {
        let (mut lengths, mut bytes) = (Vec::new(), Vec::new());
        for input in inputs {
            let start = bytes.len();
            if let Err(why) = write_arguments(&input, &mut bytes) {
                return State::Refused(CallError::new(CallErrorKind::Refused, why));
            }
            lengths.push((bytes.len() - start) as u32);
        }
        if lengths.is_empty() {
            return State::Done(Vec::new());
        }
        let mut list = Vec::with_capacity(4 + 4 * lengths.len() + bytes.len());
        list.extend_from_slice(&(lengths.len() as u32).to_le_bytes());
        lengths.iter().for_each(|length| list.extend_from_slice(&length.to_le_bytes()));
        list.append(&mut bytes);
        match host::submit(&self.name, &list) {
            number if number > 0 => State::Submitted(Submission(number)),
            refusal => State::Refused(CallError::refused(refusal)),
        }
    }

    fn run_natively(&self, inputs: impl IntoIterator<Item = A>) -> State<R> {
        let Some(run) = self.native else {
            let text = format!(
                "task `{}` cannot be called: this program does not run in a wasmpool pool; say what to run instead with \
                 `natively`",
                self.name
            );
            return State::Refused(CallError::new(CallErrorKind::NotInAPool, text));
        };
        let results: Result<Vec<R>, CallError> = (0..)
            .zip(inputs)
            .map(|(index, input)| {
                run(input).map_err(|why| CallError::of_call(CallErrorKind::Failed, index, why))
            })
            .collect();
        results.map_or_else(State::Refused, State::Done)
    }
}

/// A call that was submitted. Dropping it cancels the call.
#[derive(Debug)]
#[must_use = "a call that nobody waits for is cancelled"]
pub struct Pending<R> {
    many: PendingAll<R>,
}

impl<R: DeserializeOwned> Pending<R> {
    /// Waits for the call's result.
    ///
    /// # Errors
    ///
    /// When the call failed or could not be made.
    pub fn wait(self) -> Result<R, CallError> {
        let result = self.many.wait()?.pop();
        result.ok_or_else(|| CallError::new(CallErrorKind::Unreadable, "the pool answered with no result"))
    }
}

/// Calls that were submitted together. Dropping them cancels them.
#[derive(Debug)]
#[must_use = "calls that nobody waits for are cancelled"]
pub struct PendingAll<R> {
    state: State<R>,
    result: PhantomData<fn() -> R>,
}

#[derive(Debug)]
enum State<R> {
    Submitted(Submission),
    Refused(CallError),
    Done(Vec<R>),
}

/// The host's number of calls that it has; they are cancelled when this goes.
#[derive(Debug)]
struct Submission(i64);

impl Drop for Submission {
    fn drop(&mut self) {
        host::forget(self.0);
    }
}

impl<R> PendingAll<R> {
    /// Why the calls could not be made, if that is known already; waiting tells it, too.
    #[must_use]
    pub fn refusal(&self) -> Option<&CallError> {
        match &self.state {
            State::Refused(error) => Some(error),
            State::Submitted(_) | State::Done(_) => None,
        }
    }
}

impl<R: DeserializeOwned> PendingAll<R> {
    /// Waits for all results, which come in the inputs' order.
    ///
    /// # Errors
    ///
    /// When a call failed: with the failure of the lowest index; or when the calls could not be made.
    pub fn wait(self) -> Result<Vec<R>, CallError> {
        match self.state {
            State::Done(results) => Ok(results),
            State::Refused(error) => Err(error),
            State::Submitted(submission) => {
                let answer = host::wait(submission.0).map_err(CallError::refused)?;
                read_answer(&answer)
            }
        }
    }
}

/// Waits for two calls, which run at the same time where there are workers for both.
///
/// # Errors
///
/// When one of them failed; the other one is then cancelled.
pub fn join<A: DeserializeOwned, B: DeserializeOwned>(
    first: Pending<A>,
    second: Pending<B>,
) -> Result<(A, B), CallError> {
    let first = first.wait()?;
    Ok((first, second.wait()?))
}

fn read_answer<R: DeserializeOwned>(answer: &[u8]) -> Result<Vec<R>, CallError> {
    let unreadable = |why: &str| CallError::new(CallErrorKind::Unreadable, why);
    let (ending, rest) = answer.split_first_chunk().ok_or_else(|| unreadable("the answer is empty"))?;
    let ending = u32::from_le_bytes(*ending);
    if ending != 0 {
        let (index, message) = rest.split_first_chunk().ok_or_else(|| unreadable("the answer is cut off"))?;
        return Err(CallError::told(ending, u64::from_le_bytes(*index), message));
    }
    let (lengths, mut bytes) =
        split_list(rest).ok_or_else(|| unreadable("the answer is not as long as it says"))?;
    let mut results = Vec::with_capacity(lengths.len());
    for length in lengths {
        let (result, behind) = bytes.split_at(u32::from_le_bytes(*length) as usize);
        bytes = behind;
        let result = if result.is_empty() { &NIL[..] } else { result };
        results.push(
            codec::decode_value(result)
                .map_err(|why| unreadable(&format!("the result is not what was expected: {why}")))?,
        );
    }
    Ok(results)
}

/// Appends a value as the tasks of this crate read it.
fn encode<T: Serialize + ?Sized>(value: &T, output: &mut Vec<u8>) -> Result<(), String> {
    codec::encode(Codec::MessagePack, value, output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> Task<i64, i64> {
        task("half").natively(|n| if n % 2 == 0 { Ok(n / 2) } else { Err(format!("{n} is odd")) })
    }

    #[test]
    fn calls_run_in_place_outside_of_a_pool() {
        assert_eq!(half().call(4), Ok(2));
        assert_eq!(half().map([2, 4, 6]), Ok(vec![1, 2, 3]));
        assert_eq!(half().map([]), Ok(vec![]));
        assert_eq!(join(half().submit(2), half().submit(8)), Ok((1, 4)));
        let error = half().map([2, 3, 5]).unwrap_err();
        assert_eq!((error.kind(), error.index(), error.message()), (CallErrorKind::Failed, 1, "3 is odd"));
    }

    #[test]
    fn answers_are_results_or_one_failure() {
        let returned = [0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(read_answer::<Option<i64>>(&returned), Ok(vec![Some(7), None]));
        let mut failed = vec![7, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        failed.extend_from_slice(b"too long");
        let error = read_answer::<i64>(&failed).unwrap_err();
        assert_eq!((error.kind(), error.index()), (CallErrorKind::TimedOut, 3));
        assert_eq!(error.to_string(), "nested call 3 timed out: too long");
        for cut in [&returned[..3], &returned[..10], &returned[..16], &failed[..6]] {
            assert_eq!(read_answer::<i64>(cut).unwrap_err().kind(), CallErrorKind::Unreadable);
        }
        assert_eq!(read_answer::<String>(&returned).unwrap_err().kind(), CallErrorKind::Unreadable);
    }
}
