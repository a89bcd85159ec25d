//! Calls that a call makes of its own pool: the host functions of [`wasmpool_abi::nesting`].
//!
//! A submission is passed up as a request, and a wait as another one; what becomes of the calls is the supervisor's
//! affair. While a call waits, its instance stands still in the middle of a host function, and further up on the same
//! stack this worker runs calls that it waits for ([`Room::help`]), each in another instance. So the stack holds as many
//! instances as there are waiting calls, at most as many as it has room for ([`stack::nested_levels`]); a call beyond
//! that asks not to be helped with, and others run what it waits for.
//!
//! A call that has shared objects open is not helped with either. What a worker holds it holds as one party, so that a
//! call further up could neither wait for what a call below it holds nor be told apart from it.
//!
//! What is checked here spares honest guests a detour. The supervisor checks everything again.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmpool_abi::nesting::{
    CALLS_MAX, IMPORT_FETCH, IMPORT_FORGET, IMPORT_SUBMIT, IMPORT_WAIT, Refusal, SUBMISSIONS_MAX, split_list,
};
use wasmpool_abi::{IMPORT_MODULE, TASK_NAME_BYTES_MAX, VALUE_BYTES_MAX};
use wasmtime::{Caller, Linker};

use super::driver::{Number, Signature};
use super::guest::{Guest, exported_memory};
use super::host_calls::HostCall;
use super::memory;
use super::tenant::{House, Room};
use crate::channel::desk::Input;
use crate::channel::request::{Asks, Request};
use crate::process::stack;

/// How the running call was entered, as far as its own calls are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    /// The pull loop says which call runs, if any does.
    PullLoop,
    /// An export of numbers, entered for this call.
    Export,
    /// A batch, whose driver must come back before anything else can run in its slot.
    Batch,
}

/// What one instance has to do with further calls.
pub(super) struct Nesting {
    house: Option<Arc<House>>,
    /// Calls that wait further down on this stack.
    depth: u32,
    pub(super) inside: Inside,
    /// Number of the last submission.
    last: u64,
    /// What the running call has submitted and not waited for.
    outstanding: BTreeMap<u64, Outstanding>,
    /// What the last wait brought, until it is fetched.
    answer: Option<Vec<u8>>,
}

#[derive(Clone, Copy)]
struct Outstanding {
    calls: usize,
    bytes: usize,
}

impl Nesting {
    pub(super) fn new() -> Self {
        let (outstanding, inside) = (BTreeMap::new(), Inside::PullLoop);
        Self { house: None, depth: 0, inside, last: 0, outstanding, answer: None }
    }

    /// Tells the instance where it lives, and how many calls wait below it.
    pub(super) fn settle(&mut self, house: &Arc<House>, depth: u32) {
        self.house = Some(Arc::clone(house));
        self.depth = depth;
    }

    /// Another call begins, which has submitted nothing.
    pub(super) fn begin(&mut self) {
        self.outstanding.clear();
        self.answer = None;
    }

    fn refusal(&self, calls: usize, bytes: usize) -> Option<Refusal> {
        let before = self.outstanding.values();
        let (calls_before, bytes_before) =
            before.fold((0, 0), |(calls, bytes), other| (calls + other.calls, bytes + other.bytes));
        if calls_before + calls > CALLS_MAX as usize || self.outstanding.len() >= SUBMISSIONS_MAX as usize {
            return Some(Refusal::TooMany);
        }
        (bytes_before + bytes > VALUE_BYTES_MAX).then_some(Refusal::TooLarge)
    }
}

/// A call in a batch cannot wait, for what its driver would write to is another chunk's by then.
#[derive(Debug, thiserror::Error)]
#[error("the call submits others and runs in a batch: it has to be run by itself")]
pub(super) struct NeedsOwnEntry;

/// Adds the functions to a linker.
///
/// # Errors
///
/// When it has one of them already.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(IMPORT_MODULE, IMPORT_SUBMIT, submit)?;
    linker.func_wrap(IMPORT_MODULE, IMPORT_WAIT, wait)?;
    linker.func_wrap(IMPORT_MODULE, IMPORT_FETCH, fetch)?;
    linker.func_wrap(IMPORT_MODULE, IMPORT_FORGET, forget)?;
    Ok(())
}

/// The names of all functions.
pub(super) const NAMES: [&str; 4] = [IMPORT_SUBMIT, IMPORT_WAIT, IMPORT_FETCH, IMPORT_FORGET];

/// The type of a function of this name, if there is one.
pub(super) fn signature(name: &str) -> Option<Signature> {
    use Number::{I32, I64};
    let (parameters, results): (&[Number], &[Number]) = match name {
        IMPORT_SUBMIT => (&[I32, I32, I32, I32], &[I64]),
        IMPORT_WAIT => (&[I64], &[I64]),
        IMPORT_FETCH => (&[I32], &[]),
        IMPORT_FORGET => (&[I64], &[]),
        _ => return None,
    };
    Some(Signature { parameters: parameters.to_vec(), results: results.to_vec() })
}

fn refused(refusal: Refusal) -> wasmtime::Result<i64> {
    Ok(refusal as i64)
}

/// `nested_submit`
fn submit(
    mut caller: Caller<'_, Guest>,
    name: u32,
    name_length: u32,
    inputs: u32,
    inputs_length: u32,
) -> wasmtime::Result<i64> {
    let guest = caller.data_mut();
    guest.desk.note_host_call(const { HostCall::named(IMPORT_SUBMIT) }.number());
    if guest.nesting.inside == Inside::Batch {
        return Err(NeedsOwnEntry.into());
    }
    let Some((generation, call)) = guest.place() else { return refused(Refusal::NoCall) };
    if name_length as usize > TASK_NAME_BYTES_MAX {
        return refused(Refusal::Malformed);
    }
    if inputs_length as usize > VALUE_BYTES_MAX {
        return refused(Refusal::TooLarge);
    }
    let task = copy(&caller, name, name_length)?;
    let Ok(task) = String::from_utf8(task) else { return refused(Refusal::Malformed) };
    let inputs = copy(&caller, inputs, inputs_length)?;
    let calls = split_list(&inputs).map_or(0, |(lengths, _)| lengths.len());
    if calls == 0 {
        return refused(Refusal::Malformed);
    }
    let guest = caller.data_mut();
    if let Some(refusal) = guest.nesting.refusal(calls, inputs.len()) {
        return refused(refusal);
    }
    guest.nesting.last += 1;
    let number = guest.nesting.last;
    guest.nesting.outstanding.insert(number, Outstanding { calls, bytes: inputs.len() });
    guest.desk.request(&Request { generation, call, number, asks: Asks::Submit { task, inputs } });
    Ok(number as i64)
}

/// `nested_wait`
fn wait(mut caller: Caller<'_, Guest>, number: i64) -> wasmtime::Result<i64> {
    let guest = caller.data_mut();
    guest.desk.note_host_call(const { HostCall::named(IMPORT_WAIT) }.number());
    let Some((generation, call)) = guest.place() else { return refused(Refusal::NoCall) };
    let number = number as u64;
    if guest.nesting.outstanding.remove(&number).is_none() {
        return refused(Refusal::Unknown);
    }
    let Some(house) = guest.nesting.house.clone() else { return refused(Refusal::NoCall) };
    let above = guest.nesting.depth + 1;
    let can_help = above <= stack::nested_levels(guest.stack_bytes_max) && !guest.shared.has_open();
    guest.desk.request(&Request { generation, call, number, asks: Asks::Wait { can_help } });
    guest.desk.wait_until_parked();
    let desk = Room::help(&house, guest.desk.lend(), above);
    let Input::Bytes { offset, length } = desk.input(0, 0) else {
        return Err(wasmtime::Error::msg("the supervisor sent an answer that is none"));
    };
    let mut answer = vec![0; length];
    desk.regions().0.read(offset, &mut answer);
    guest.desk = desk;
    guest.resume();
    guest.nesting.answer = Some(answer);
    Ok(length as i64)
}

/// `nested_fetch`
fn fetch(mut caller: Caller<'_, Guest>, buffer: u32) -> wasmtime::Result<()> {
    caller.data().desk.note_host_call(const { HostCall::named(IMPORT_FETCH) }.number());
    let answer = caller.data_mut().nesting.answer.take();
    let answer =
        answer.ok_or_else(|| wasmtime::Error::msg("the task fetched an answer and there is none"))?;
    let memory = exported_memory(&caller)?;
    Ok(memory::write(&mut caller, memory, buffer, &answer)?)
}

/// `nested_forget`
fn forget(mut caller: Caller<'_, Guest>, number: i64) {
    let guest = caller.data_mut();
    guest.desk.note_host_call(const { HostCall::named(IMPORT_FORGET) }.number());
    let number = number as u64;
    if guest.nesting.outstanding.remove(&number).is_none() {
        return;
    }
    if let Some((generation, call)) = guest.place() {
        guest.desk.request(&Request { generation, call, number, asks: Asks::Forget });
    }
}

fn copy(caller: &Caller<'_, Guest>, address: u32, length: u32) -> wasmtime::Result<Vec<u8>> {
    let memory = exported_memory(caller)?;
    // Looked for first: a length is the guest's word.
    memory::check(caller, memory, address, length as usize)?;
    let mut bytes = vec![0; length as usize];
    memory::read(caller, memory, address, &mut bytes)?;
    Ok(bytes)
}

impl Guest {
    /// The running call, by its order and number.
    fn place(&self) -> Option<(u32, u32)> {
        let call = match self.nesting.inside {
            Inside::PullLoop => self.pull.running,
            Inside::Export | Inside::Batch => self.desk.begun(),
        };
        Some((self.desk.generation(), call?))
    }
}
