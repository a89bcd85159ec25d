//! Shared objects: how a guest names them, works on them, and hears that something did not work.
//!
//! A guest opens an object by the name under which its job was granted it, and gets a handle: a small number that
//! means something until the call ends. All state lies behind the host functions below; the guest never sees the
//! words of a lock or a queue.
//!
//! # Conventions
//!
//! - All functions are imported from [`IMPORT_MODULE`](crate::IMPORT_MODULE).
//! - A *status* is 0 for success, otherwise the negated code of a [`Refusal`]. Functions that return a number in an
//!   `i64` return the negated code in the same place.
//! - After a refusal, [`IMPORT_REFUSAL`] gives its text: which object, what happened, what to do.
//! - Pointers and lengths are bytes of the guest's exported `memory`. One that lies outside traps.
//! - A *limit* is a number of nanoseconds from now; 0 does not wait, and a negative number waits for ever (the
//!   call's own time limit still holds).
//! - Numbers of elements travel as 64 bits: integers sign- or zero-extended to 64 bits, `f32` as the 32 bits of its
//!   pattern, `f64` as its 64 bits, `bool` as 0 or 1.
//! - Values in queues, pipes, lists and dictionaries are bytes to the host. The SDK writes them in MessagePack,
//!   structures as maps with field names, and so does the host's library.
//! - One of them has at most [`VALUE_BYTES_MAX`](crate::VALUE_BYTES_MAX) bytes, a record together with its key. No more
//!   are taken or answered at once, either: a longer sequence is [`Refusal::TooLarge`].
//!
//! # Functions
//!
//! ```text
//! shared_open    (name, name_bytes, kind: i32, element: i32) -> i64          handle
//! shared_close   (handle: i32) -> i32                                        status
//! shared_refusal (buffer, capacity) -> i32                                   bytes of the text
//! shared_cell    (handle, op: i32, index: i64, a: i64, b: i64, out) -> i32   status; *out = previous or current
//! shared_slice   (handle, op: i32, start: i64, bytes, count: i64) -> i32     status; elements at their own size
//! shared_op      (handle, op: i32, argument: i64, limit: i64, out) -> i32    status; *out = what the op says
//! shared_put     (handle, bytes, length, limit: i64) -> i32                  status
//! shared_get     (handle, limit: i64, buffer, capacity, out) -> i32          status; *out = length of the item
//! shared_record  (handle, op: i32, key, key_bytes, index: i64, value, value_bytes,
//!                 buffer, capacity, out) -> i32                              status; *out = see RecordOp
//! shared_staged  (buffer) -> i32                                             bytes copied
//! shared_wait    (handles, count, limit: i64, out) -> i32                    status; out: one byte, 0 or 1, each
//! shared_map     (handle, mode: i32, start: i64, end: i64) -> i64            address
//! shared_unmap   (address: i32) -> i32                                       status
//! ```
//!
//! `out` is the address of 8 bytes, aligned or not, or 0 for nobody wants to know. `kind` and `element` are what the
//! guest expects, or -1 for whatever it is. An item or a record longer than `capacity` is *staged*: nothing is
//! written to `buffer`, `*out` is its length, and `shared_staged` copies all of it before the next function is
//! called.
//!
//! Views are gone when their call ends. Who keeps the address of one finds other memory there, perhaps that of the next
//! call's view. So an instance in which a call has left a view of a mode for plain access behind, or, without a pull loop,
//! a view of any mode, is not used for another call: what a pull loop calls can tell its calls apart, if it wants to, but
//! a plain reference cannot.

/// `shared_open`: opens a granted object by its name.
pub const IMPORT_OPEN: &str = "shared_open";
/// `shared_close`: forgets a handle. What the call holds of the object, it goes on holding.
pub const IMPORT_CLOSE: &str = "shared_close";
/// `shared_refusal`: the text of the last refusal, cut to the buffer.
pub const IMPORT_REFUSAL: &str = "shared_refusal";
/// `shared_cell`: one atomic operation on one element of a value or an array.
pub const IMPORT_CELL: &str = "shared_cell";
/// `shared_slice`: many elements of an array at once, each of them whole, all of them in no order.
pub const IMPORT_SLICE: &str = "shared_slice";
/// `shared_op`: everything that takes a number and answers with one.
pub const IMPORT_OP: &str = "shared_op";
/// `shared_put`: puts an item into a queue, or sends a message through a pipe.
pub const IMPORT_PUT: &str = "shared_put";
/// `shared_get`: takes an item from a queue, or receives a message from a pipe.
pub const IMPORT_GET: &str = "shared_get";
/// `shared_record`: works on records of a list or a dictionary.
pub const IMPORT_RECORD: &str = "shared_record";
/// `shared_staged`: copies what did not fit a buffer.
pub const IMPORT_STAGED: &str = "shared_staged";
/// `shared_wait`: waits until at least one of several objects is ready (see [`Op::Wait`] for what that means).
pub const IMPORT_WAIT: &str = "shared_wait";
/// `shared_map`: makes elements of an array appear in the guest's own memory.
pub const IMPORT_MAP: &str = "shared_map";
/// `shared_unmap`: takes a view away again.
pub const IMPORT_UNMAP: &str = "shared_unmap";

/// Longest name of a shared object, in bytes; see [`is_task_name`](crate::is_task_name) for what else it must be.
pub const OBJECT_NAME_BYTES_MAX: usize = crate::TASK_NAME_BYTES_MAX;

/// The one key of the map as which a handle travels, in arguments and in items: `{"wasmpool:shared": name}`.
///
/// Whoever receives it opens the object by that name; it must have been granted to him, too.
pub const REFERENCE_KEY: &str = "wasmpool:shared";

/// Longest wait: every negative limit.
pub const NO_LIMIT: i64 = -1;

/// Makes an enum whose codes read back.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident: $repr:ident { $($(#[$doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr($repr)]
        pub enum $name { $($(#[$doc])* $variant = $code,)+ }

        impl $name {
            /// All of them, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The one with this code, if there is one.
            #[must_use]
            pub const fn from_code(code: $repr) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// What an object is.
    Kind: i32 {
        /// One number.
        Value = 0,
        /// A fixed number of numbers.
        Array = 1,
        /// A lock that anyone may release.
        Lock = 2,
        /// A lock that its holder may take again.
        RLock = 3,
        /// A number of permits.
        Semaphore = 4,
        /// A semaphore that never has more permits than at first.
        BoundedSemaphore = 5,
        /// A lock with a place to wait.
        Condition = 6,
        /// A flag to wait for.
        Event = 7,
        /// A meeting of a fixed number of parties.
        Barrier = 8,
        /// A bounded queue.
        Queue = 9,
        /// A bounded queue that counts unfinished work.
        JoinableQueue = 10,
        /// One end of a pipe.
        Pipe = 11,
        /// A list of values.
        List = 12,
        /// A dictionary.
        Dict = 13,
        /// A dictionary whose keys are attribute names.
        Namespace = 14,
    }
}

codes! {
    /// Type of a number in a value or an array.
    Element: i32 {
        /// `bool`, one byte.
        Bool = 0,
        /// `i8`.
        I8 = 1,
        /// `u8`.
        U8 = 2,
        /// `i16`.
        I16 = 3,
        /// `u16`.
        U16 = 4,
        /// `i32`.
        I32 = 5,
        /// `u32`.
        U32 = 6,
        /// `i64`.
        I64 = 7,
        /// `u64`.
        U64 = 8,
        /// `f32`.
        F32 = 9,
        /// `f64`.
        F64 = 10,
    }
}

impl Element {
    /// Size of one, in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Its name, as Rust and the command line spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::I64 => "i64",
            Self::U64 => "u64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

codes! {
    /// An atomic operation on one element (`shared_cell`). The answer is the value before, for `Get` the value.
    ///
    /// Integers wrap. For `bool`, `Add` and `Sub` are refused.
    CellOp: i32 {
        /// Reads.
        Get = 0,
        /// Writes `a`.
        Set = 1,
        /// Adds `a`.
        Add = 2,
        /// Subtracts `a`.
        Sub = 3,
        /// Bitwise and with `a`; not for floats.
        And = 4,
        /// Bitwise or with `a`; not for floats.
        Or = 5,
        /// Bitwise exclusive or with `a`; not for floats.
        Xor = 6,
        /// The lower of both.
        Min = 7,
        /// The higher of both.
        Max = 8,
        /// Writes `b` if the element is `a`, bit for bit; otherwise refuses with [`Refusal::Changed`].
        CompareExchange = 9,
    }
}

codes! {
    /// An operation on many elements (`shared_slice`).
    SliceOp: i32 {
        /// Copies elements to the guest.
        Read = 0,
        /// Copies elements from the guest.
        Write = 1,
        /// Sets `count` elements to the one at `bytes`.
        Fill = 2,
    }
}

codes! {
    /// What `shared_op` does. Which kinds know it stands behind it; for all others it is [`Refusal::WrongKind`].
    Op: i32 {
        /// All kinds: the object's [`Kind`].
        Kind = 0,
        /// Value, Array: the [`Element`].
        Element = 1,
        /// Array, List, Dict, Namespace: how many elements; Queue, JoinableQueue: how many items (`qsize`).
        Length = 2,
        /// Queue, JoinableQueue, List, Dict, Namespace: how many there can be; Barrier: its parties.
        Capacity = 3,
        /// Lock, RLock, Condition, Value, Array (their lock), semaphores: takes it or one permit, within the limit.
        /// Answers 1 if the last holder died or ended while holding it, else 0.
        Acquire = 4,
        /// The same: gives it back; semaphores: `argument` permits.
        Release = 5,
        /// Semaphores: the permits that are left; Lock, RLock: 1 while somebody holds it, else 0;
        /// Event: 1 if set, else 0; Barrier: how many wait (`n_waiting`).
        State = 6,
        /// Condition: gives the lock up, waits to be notified, and takes the lock again, in any case. Answers 1 if the
        /// last holder died or ended while holding it (also when the limit has passed: that has to be told), else 0;
        /// Event: waits until set;
        /// Barrier: waits for all parties and answers the index of this one (0 to parties - 1);
        /// Queue, JoinableQueue: waits until there is an item; Pipe: until there is a message or the end (`poll`);
        /// Lock, semaphores (in `shared_wait` only): until it could be acquired.
        Wait = 7,
        /// Condition: wakes up to `argument` waiters, all for a negative number; the lock is held.
        Notify = 8,
        /// Event: sets it.
        Set = 9,
        /// Event: clears it; List, Dict, Namespace: removes everything.
        Clear = 10,
        /// Barrier: breaks it.
        Abort = 11,
        /// Barrier: makes it whole again; those who wait find it broken.
        Reset = 12,
        /// Barrier: 1 if broken, else 0.
        IsBroken = 13,
        /// Queue, JoinableQueue, Pipe: closes it. Of a queue, items can still be taken; nothing can be put.
        Close = 14,
        /// JoinableQueue: says that one taken item is done.
        TaskDone = 15,
        /// JoinableQueue: waits until every item is done.
        Join = 16,
        /// Queue, JoinableQueue: says that the item in hand is dealt with, before the next is taken.
        Acknowledge = 17,
        /// Value, Array, and all others: 1 if it may be written, 0 if it may only be read.
        IsWritable = 18,
    }
}

codes! {
    /// What `shared_record` does on a list (by `index`, negative from the end) or a dictionary (by `key`).
    ///
    /// "Answers the record" means: it goes to `buffer` or is staged, and `*out` is its length.
    RecordOp: i32 {
        /// Answers the record.
        Get = 0,
        /// Replaces the record; a dictionary also adds it.
        Set = 1,
        /// List: adds `value` at the end. `*out` is its index.
        Append = 2,
        /// List: adds `value` before `index`.
        Insert = 3,
        /// Removes the record.
        Delete = 4,
        /// Removes and answers the record.
        Pop = 5,
        /// Dict: answers the record, after adding `value` if there was none (`setdefault`). One step for all.
        GetOrSet = 6,
        /// Answers the record like `Get`, preceded by 8 bytes, little-endian: the version to give to `Replace`.
        GetVersioned = 7,
        /// Replaces the record by `value` if it still has the version that the first 8 bytes of `value` name, else
        /// [`Refusal::Changed`]. For a dictionary, version 0 means that there is none yet.
        Replace = 8,
        /// Adds or sets many at once, all or none: `value` is a sequence (see [`split_first`]) of values (List), or of
        /// keys and values in turn (Dict: `update`).
        Extend = 9,
        /// Answers a sequence of all records, as of one instant: values (List), keys and values in turn (Dict).
        /// For a list, `index` and `key_bytes` (as a number, `key` being 0) are first and count; count 0 is all.
        All = 10,
        /// Dict: 1 in `*out` if there is a record under `key`, else 0.
        Contains = 11,
    }
}

codes! {
    /// How a view of an array is used (`shared_map`).
    ViewMode: i32 {
        /// Atomic operations; anyone may have any other shared view of the same elements.
        Shared = 0,
        /// Plain reads: nobody can get a shared or an exclusive view of these elements meanwhile.
        ReadOnly = 1,
        /// Plain reads and writes: nobody can get any other view of these elements meanwhile.
        Exclusive = 2,
        /// Atomic loads: keeps nobody out, and so may be had by those who may only read. It is refused where there is
        /// an exclusive view already; of one that comes later, it shows the stores.
        Watched = 3,
    }
}

codes! {
    /// Why something did not work.
    Refusal: i32 {
        /// The limit passed. Also: it could not be done at once, and the limit was 0.
        TimedOut = 1,
        /// Nothing to take, and the limit was 0.
        Empty = 2,
        /// No room, and the limit was 0.
        Full = 3,
        /// The object was closed.
        Closed = 4,
        /// The other end of the pipe is gone, and all messages have been received.
        EndOfFile = 5,
        /// The barrier is broken.
        Broken = 6,
        /// Release of something that is not held, or not by this call.
        NotHeld = 7,
        /// More releases than there were acquisitions, or more `task_done` than items.
        TooMany = 8,
        /// No element at this index.
        OutOfRange = 9,
        /// The item can never fit, or what was asked for is more than is answered at once.
        TooLarge = 10,
        /// The list or the dictionary has no room left.
        NoRoom = 11,
        /// No record under this key.
        Missing = 12,
        /// The object was granted for reading only.
        ReadOnly = 13,
        /// No object of this name was granted.
        NotGranted = 14,
        /// The object is of another kind, or its kind has no such operation.
        WrongKind = 15,
        /// The object's elements are of another type.
        WrongElement = 16,
        /// The call has too many objects open.
        TooManyOpen = 17,
        /// The elements are in the way of a view, or a view in theirs.
        Leased = 18,
        /// The object's memory holds what it cannot hold: somebody who may write to it wrote garbage.
        Poisoned = 19,
        /// The wait could never end: this call itself holds what it waits for.
        WouldDeadlock = 20,
        /// The value has changed meanwhile.
        Changed = 21,
        /// An argument is outside of what it may be.
        Invalid = 22,
        /// Views cannot be had here, for the reason that the text gives.
        NoView = 23,
        /// All workers wait for one another, and no more can be started.
        Starved = 24,
        /// Too many threads and workers use shared objects at once.
        Crowded = 25,
    }
}

impl Refusal {
    /// The status that says so.
    #[must_use]
    pub const fn status(self) -> i32 {
        -(self as i32)
    }

    /// The refusal that a status or an answer means, if it is one.
    #[must_use]
    pub const fn from_status(status: i64) -> Option<Self> {
        if status >= 0 || status < i32::MIN as i64 + 1 { None } else { Self::from_code(-(status as i32)) }
    }
}

/// Takes the first byte string off a sequence.
///
/// A sequence is several byte strings in one: each is its length, 4 bytes little-endian, followed by its bytes.
///
/// Returns the first string and what follows it, or nothing when `bytes` is no sequence.
///
/// # Examples
///
/// ```
/// let bytes = [1, 0, 0, 0, b'a', 0, 0, 0, 0];
/// let (first, rest) = wasmpool_abi::shared::split_first(&bytes).unwrap();
/// assert_eq!((first, rest.len()), (&b"a"[..], 4));
/// ```
#[must_use]
pub const fn split_first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return None };
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_travel_as_statuses() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::from_status(i64::from(refusal.status())), Some(*refusal));
        }
        for status in [0, 1, -1000, i64::MIN, i64::MAX, i64::from(i32::MIN)] {
            assert_eq!(Refusal::from_status(status), None);
        }
    }

    #[test]
    fn sequences_that_end_early_are_refused() {
        for bytes in [&[][..], &[1, 0, 0], &[1, 0, 0, 0], &[255, 255, 255, 255, 1]] {
            assert_eq!(split_first(bytes), None);
        }
        assert_eq!(split_first(&[0, 0, 0, 0]), Some((&[][..], &[][..])));
    }
}
