//! The host function by which a call learns who and where it is.

use wasmpool_abi::current::{IMPORT_CURRENT, Record, seed};
use wasmtime::{Caller, Linker};

use super::guest::{Guest, exported_memory};
use super::memory;
use crate::channel::desk::Desk;

/// Adds the function.
///
/// # Errors
///
/// When `linker` has one of this name already.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(wasmpool_abi::IMPORT_MODULE, IMPORT_CURRENT, current)?;
    Ok(())
}

fn current(mut caller: Caller<'_, Guest>, address: u32) -> wasmtime::Result<()> {
    let guest = caller.data();
    let record = record(&guest.desk, guest.replayed_seed());
    let memory = exported_memory(&caller)?;
    Ok(memory::write(&mut caller, memory, address, &record.to_bytes())?)
}

/// The record of the running call; in a pool whose runs are all alike, without what differs from run to run.
fn record(desk: &Desk, replayed_seed: Option<u64>) -> Record {
    let (identity, call) = (desk.identity(), desk.running_call());
    let mut record = Record::of_process(&identity.name);
    record.job = call.job;
    record.index = call.index;
    record.seed = seed(replayed_seed.unwrap_or(0), call.job, call.index);
    record.attempt = 1;
    if replayed_seed.is_none() {
        record.pid = std::process::id();
        record.worker = identity.worker;
        record.attempt = call.attempt;
    }
    record
}
