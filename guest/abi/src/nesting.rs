//! Calls that a call makes of its own pool: the functions, their refusals, and what crosses the boundary.
//!
//! ```text
//! guest                                     host
//! -----                                     ----
//! nested_submit(name, inputs)  ──────────►  the calls become a job of the same module, with the same rights
//! number of the submission     ◄──────────
//! nested_wait(number)          ──────────►  the guest stands still; its worker runs calls that it waits for
//! length of the answer         ◄──────────
//! nested_fetch(buffer)         ──────────►  copies the answer, once
//! ```
//!
//! A number is good for one wait, in the call that got it. Submissions that nobody waited for end with their call.
//!
//! *Inputs* are `u32` count, `u32` length of each, and then their bytes, end to end: each a MessagePack array of the
//! task's arguments. An *answer* is `u32` [`Ending`]. Behind [`Ending::Returned`] come `u32` count, `u32` length of each
//! result, and the results' bytes, in MessagePack, none for a task without a result. Behind any other ending come `u64`
//! index of the failed call and its message in UTF-8. All numbers are little-endian.

/// `nested_submit(name: i32, name_length: i32, inputs: i32, inputs_length: i32) -> i64`: submits calls of one task.
///
/// Returns the submission's number, which is positive, or a negative [`Refusal`].
pub const IMPORT_SUBMIT: &str = "nested_submit";

/// `nested_wait(number: i64) -> i64`: waits for all calls of a submission, or for the first failure among them.
///
/// Returns the length of the answer, or a negative [`Refusal`].
pub const IMPORT_WAIT: &str = "nested_wait";

/// `nested_fetch(buffer: i32)`: copies the answer of the last wait to `buffer`, whole, and lets go of it.
pub const IMPORT_FETCH: &str = "nested_fetch";

/// `nested_forget(number: i64)`: cancels a submission, if there is one of this number.
pub const IMPORT_FORGET: &str = "nested_forget";

/// Most calls that a call may have submitted and not waited for.
pub const CALLS_MAX: u32 = 1 << 16;

/// Most submissions that a call may have made and not waited for.
pub const SUBMISSIONS_MAX: u32 = 1024;

/// Why a function did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Refusal {
    /// More calls or submissions than a call may have outstanding.
    TooMany = -1,
    /// More bytes of inputs than a call may have outstanding.
    TooLarge = -2,
    /// No call is running that could submit any.
    NoCall = -3,
    /// The call has no submission of this number, or has waited for it already.
    Unknown = -4,
    /// The inputs are not written as they should be, or the name is none.
    Malformed = -5,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::TooMany, Self::TooLarge, Self::NoCall, Self::Unknown, Self::Malformed];

    /// The refusal with this code, if there is one.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| *refusal as i64 == code)
    }
}

/// How a submission ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Ending {
    /// All its calls returned.
    Returned = 0,
    /// A call returned an error of its own.
    Failed = 1,
    /// An input did not fit the task's parameters.
    Refused = 2,
    /// A call panicked.
    Panicked = 3,
    /// The engine stopped a call.
    Trapped = 4,
    /// A call exited.
    Exited = 5,
    /// A call ran into a limit: memory, fuel, stack, tables, what it prints or returns.
    LimitReached = 6,
    /// A call ran longer than it may.
    TimedOut = 7,
    /// The worker that ran a call was lost.
    WorkerLost = 8,
    /// Nobody wanted the calls any more.
    Cancelled = 9,
    /// No worker could be found for the calls.
    Starved = 10,
    /// The module has no such task.
    UnknownTask = 11,
    /// Calls are nested deeper than they may be.
    TooDeep = 12,
    /// The pool holds as many bytes for nested calls as it may.
    NoRoom = 13,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Returned,
        Self::Failed,
        Self::Refused,
        Self::Panicked,
        Self::Trapped,
        Self::Exited,
        Self::LimitReached,
        Self::TimedOut,
        Self::WorkerLost,
        Self::Cancelled,
        Self::Starved,
        Self::UnknownTask,
        Self::TooDeep,
        Self::NoRoom,
    ];

    /// The ending with this code, if there is one.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| *ending as u32 == code)
    }
}

/// Splits a list of byte strings as it travels: `u32` count, `u32` length of each, the bytes.
///
/// Returns the lengths, as their bytes, and what follows them; nothing when it is not just as long as it says.
#[must_use]
pub fn split_list(list: &[u8]) -> Option<(&[[u8; 4]], &[u8])> {
    let (count, rest) = list.split_first_chunk::<4>()?;
    let table = usize::try_from(u32::from_le_bytes(*count)).ok()?.checked_mul(4)?;
    let (lengths, bytes) = rest.split_at_checked(table)?;
    let lengths = lengths.as_chunks().0;
    let mut total = 0u64;
    for length in lengths {
        total += u64::from(u32::from_le_bytes(*length));
    }
    (total == bytes.len() as u64).then_some((lengths, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_as_what_they_were_written_from() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::from_code(refusal as i64), Some(refusal));
        }
        for ending in Ending::ALL {
            assert_eq!(Ending::from_code(ending as u32), Some(ending));
        }
        assert_eq!(Refusal::from_code(0), None);
        assert_eq!(Ending::from_code(99), None);
    }

    #[test]
    fn a_list_is_as_long_as_it_says() {
        let list = [2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, b'a', b'b', b'c'];
        let (lengths, bytes) = split_list(&list).unwrap();
        assert_eq!((lengths.len(), bytes), (2, &b"abc"[..]));
        for length in 0..list.len() {
            assert_eq!(split_list(&list[..length]), None, "cut at {length}");
        }
        assert_eq!(split_list(&[0xff; 40]), None);
    }
}
