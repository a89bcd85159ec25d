//! Shared objects as guests see them: the host functions of [`wasmpool_abi::shared`].
//!
//! ```text
//! Belongings   what the worker was granted       opened once, for all instances
//! Shared       what one instance has of them     in the data of its store
//!   Handles      what the running call opened      emptied when it ends
//!   Views        arrays mapped into the guest      unmapped when it ends; windows stay with the instance
//!   Trouble      why the last function refused     words are made when the guest asks for them
//! ```
//!
//! Each function checks what the guest passes, does one operation of [`crate::shm::object`], and passes the answer
//! on. A refusal is an answer; an address outside of the guest's memory is a trap, and it is looked for before the
//! operation, so that nothing is taken that cannot be handed over.
//!
//! Bytes of guest memory are copied by [`super::memory`], never lent: with a view, other processes write to them.
//!
//! # The end of a call
//!
//! [`Shared::end_call`] lets go of everything before the call's result is handed back: who has a result finds
//! locks free and items dealt with. A worker that dies between the two has ended its call as far as objects are
//! concerned, and the call may be run again. While a call sleeps on an object, it says so ([`waiting`]).

mod belongings;
mod handles;
mod items;
mod numbers;
mod opening;
mod trouble;
mod views;
mod waiting;
mod windows;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use wasmpool_abi::IMPORT_MODULE;
use wasmpool_abi::shared::{
    IMPORT_CELL, IMPORT_CLOSE, IMPORT_GET, IMPORT_MAP, IMPORT_OP, IMPORT_OPEN, IMPORT_PUT, IMPORT_RECORD,
    IMPORT_REFUSAL, IMPORT_SLICE, IMPORT_STAGED, IMPORT_UNMAP, IMPORT_WAIT,
};
use wasmtime::{Caller, Linker, Memory};

use belongings::Belonging;
pub(crate) use belongings::Belongings;
use handles::Handles;
use trouble::Trouble;
pub(crate) use views::Leftover;
use views::Views;

use super::driver::{Number, Signature};
use super::guest::{self, Guest};
use super::host_calls::HostCall;
use super::memory::{self, NumberCell, OutOfBounds};
use crate::shm::object::CallEnd;

/// Bytes that an instance keeps for copies from call to call.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// What one instance has of its worker's shared objects.
#[derive(Debug)]
pub(crate) struct Shared {
    belongings: Arc<Belongings>,
    handles: Handles,
    views: Views,
    /// Copies of what the guest passes.
    incoming: Vec<u8>,
    /// What an object answered last.
    outgoing: Vec<u8>,
    /// Whether the guest has yet to fetch that.
    is_staged: bool,
    /// Why the last function refused, and about which object.
    trouble: Option<(Trouble, Option<usize>)>,
}

impl Shared {
    /// Of these belongings, nothing is open; a call may have `open_max` of them open at a time.
    pub(super) fn new(belongings: Arc<Belongings>, open_max: u32) -> Self {
        Self {
            belongings,
            handles: Handles::new(open_max),
            views: Views::default(),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            is_staged: false,
            trouble: None,
        }
    }

    /// The instance's views.
    pub(super) fn views(&self) -> &Views {
        &self.views
    }

    /// Whether the call has opened an object: it may hold it.
    pub(super) fn has_open(&self) -> bool {
        self.handles.any()
    }

    /// Lets go of everything that the call has, which ends like this; says what views it had left behind.
    pub(super) fn end_call(&mut self, end: CallEnd) -> Leftover {
        let leftover = self.views.unmap_all(&self.belongings);
        for object in self.handles.clear() {
            let Belonging { object, party, .. } = self.belongings.get(object);
            object.end_call(*party, end);
        }
        self.trouble = None;
        self.is_staged = false;
        self.incoming.clear();
        self.incoming.shrink_to(KEPT_BYTES_MAX);
        self.outgoing.clear();
        self.outgoing.shrink_to(KEPT_BYTES_MAX);
        leftover
    }

    /// Makes the instance ready to go, whatever it was doing. Nothing of other processes is mapped afterwards.
    pub(super) fn leave(&mut self) {
        self.end_call(CallEnd::Abnormal);
        self.views.leave();
    }

    /// The open object of a handle.
    fn object(&self, handle: i32) -> Result<(usize, &Belonging), Trouble> {
        match self.handles.object(handle) {
            Some(number) => Ok((number, self.belongings.get(number))),
            None => Err(no_handle(handle)),
        }
    }
}

#[cold]
fn no_handle(handle: i32) -> Trouble {
    let words =
        format!("no shared object is open under the number {handle}: numbers last until their call ends");
    Trouble::words(wasmpool_abi::shared::Refusal::Invalid, words)
}

/// Why a function did not do what it was asked.
enum Stopped {
    /// The guest is told.
    Refused(Trouble),
    /// The call ends.
    Trapped(wasmtime::Error),
}

impl<T: Into<Trouble>> From<T> for Stopped {
    fn from(trouble: T) -> Self {
        Self::Refused(trouble.into())
    }
}

impl Stopped {
    fn out_of_bounds(error: OutOfBounds) -> Self {
        Self::Trapped(error.into())
    }
}

/// Turns what came of a function into what its guest gets: `answer`, or a refusal about `object`.
fn finish(
    caller: &mut Caller<'_, Guest>,
    object: Option<usize>,
    answer: Result<i64, Stopped>,
) -> wasmtime::Result<i64> {
    match answer {
        Ok(answer) => Ok(answer),
        Err(Stopped::Trapped(error)) => Err(error),
        Err(Stopped::Refused(trouble)) => {
            let status = trouble.refusal.status();
            caller.data_mut().shared.trouble = Some((trouble, object));
            Ok(i64::from(status))
        }
    }
}

/// The same about the object of a handle, where the answer is a status.
fn finish_with(
    caller: &mut Caller<'_, Guest>,
    handle: i32,
    answer: Result<(), Stopped>,
) -> wasmtime::Result<i32> {
    let object = caller.data().shared.handles.object(handle);
    finish(caller, object, answer.map(|()| 0)).map(|status| status as i32)
}

/// The guest's memory.
#[inline]
fn guest_memory(caller: &Caller<'_, Guest>) -> Result<Memory, Stopped> {
    guest::exported_memory(caller).map_err(Stopped::Trapped)
}

/// Fills `into` from guest memory.
fn fetch(caller: &Caller<'_, Guest>, address: u32, into: &mut [u8]) -> Result<(), Stopped> {
    memory::read(caller, guest_memory(caller)?, address, into).map_err(Stopped::out_of_bounds)
}

/// Copies `bytes` into guest memory.
fn deliver(caller: &mut Caller<'_, Guest>, address: u32, bytes: &[u8]) -> Result<(), Stopped> {
    let memory = guest_memory(caller)?;
    memory::write(caller, memory, address, bytes).map_err(Stopped::out_of_bounds)
}

/// Traps unless bytes can be delivered there.
fn check_room(caller: &Caller<'_, Guest>, address: u32, bytes: usize) -> Result<(), Stopped> {
    memory::check_writable(caller, guest_memory(caller)?, address, bytes).map_err(Stopped::out_of_bounds)
}

/// Where a number is to be told, or nowhere for an `out` of 0: nobody wants to know. Traps where it cannot be.
///
/// It is found before an operation and written to after it, so that what cannot be told is not done.
#[inline]
fn place<'a>(caller: &'a Caller<'_, Guest>, out: u32) -> Result<Option<NumberCell<'a>>, Stopped> {
    if out == 0 {
        return Ok(None);
    }
    let memory = guest_memory(caller)?;
    memory::number(caller, memory, &caller.data().extent, out).map(Some).map_err(Stopped::out_of_bounds)
}

/// Tells a number there.
#[inline]
fn tell(place: Option<NumberCell<'_>>, number: u64) {
    if let Some(place) = place {
        place.set(number);
    }
}

macro_rules! number {
    (i32) => {
        Number::I32
    };
    (u32) => {
        Number::I32
    };
    (i64) => {
        Number::I64
    };
}

/// Links functions and knows their types from one list.
macro_rules! functions {
    ($($import:ident: $function:path, ($($argument:ident: $type:ident),*) -> $result:ident;)*) => {
        /// Adds all functions to a linker, whatever was granted: a module that imports them can always be linked.
        ///
        /// # Errors
        ///
        /// When the linker has one of them already.
        pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
            $(linker.func_wrap(
                IMPORT_MODULE,
                $import,
                |caller: Caller<'_, Guest>, $($argument: $type),*| -> wasmtime::Result<$result> {
                    caller.data().desk.note_host_call(const { HostCall::named($import) }.number());
                    $function(caller, $($argument),*)
                },
            )?;)*
            Ok(())
        }

        /// The names of all functions.
        pub(super) const NAMES: [&str; const { [$($import),*].len() }] = [$($import),*];

        /// The type of a function of this name, if there is one.
        pub(super) fn signature(name: &str) -> Option<Signature> {
            Some(match name {
                $($import => {
                    Signature { parameters: vec![$(number!($type)),*], results: vec![number!($result)] }
                })*
                _ => return None,
            })
        }
    };
}

functions! {
    IMPORT_OPEN: opening::open, (a: u32, b: u32, c: i32, d: i32) -> i64;
    IMPORT_CLOSE: opening::close, (a: i32) -> i32;
    IMPORT_REFUSAL: opening::refusal, (a: u32, b: u32) -> i32;
    IMPORT_CELL: numbers::cell, (a: i32, b: i32, c: i64, d: i64, e: i64, f: u32) -> i32;
    IMPORT_SLICE: numbers::slice, (a: i32, b: i32, c: i64, d: u32, e: i64) -> i32;
    IMPORT_OP: numbers::op, (a: i32, b: i32, c: i64, d: i64, e: u32) -> i32;
    IMPORT_PUT: items::put, (a: i32, b: u32, c: u32, d: i64) -> i32;
    IMPORT_GET: items::get, (a: i32, b: i64, c: u32, d: u32, e: u32) -> i32;
    IMPORT_RECORD: items::record, (a: i32, b: i32, c: u32, d: u32, e: i64, f: u32, g: u32, h: u32, i: u32, j: u32) -> i32;
    IMPORT_STAGED: items::staged, (a: u32) -> i32;
    IMPORT_WAIT: waiting::wait, (a: u32, b: u32, c: i64, d: u32) -> i32;
    IMPORT_MAP: opening::map, (a: i32, b: i32, c: i64, d: i64) -> i64;
    IMPORT_UNMAP: opening::unmap, (a: i32) -> i32;
}
