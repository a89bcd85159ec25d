//! Waiting: how long, who is told, and for several objects at once.
//!
//! A call that sleeps on an object says so in a word of its worker's region, and rings for its supervisor: when all
//! workers sleep like this while calls wait for a worker, somebody has to start one more. The supervisor also ends
//! waits, by ending the worker; so a guest may wait for ever.

use std::time::Duration;

use wasmpool_abi::shared::Refusal;
use wasmtime::Caller;

use super::trouble::Trouble;
use super::{Stopped, check_room, deliver, fetch, finish};
use crate::channel::desk::Desk;
use crate::sandbox::guest::Guest;
use crate::shm::object::patience::{Notice, Patience};
use crate::shm::object::several::{OBJECTS_MAX, wait_for_any};
use crate::shm::object::{Object, Outcome};

/// Tells the supervisor that the call sleeps, and on which object.
pub(super) struct Sleeper<'a> {
    desk: &'a Desk,
    object: usize,
}

impl<'a> Sleeper<'a> {
    /// One who may come to sleep on the object of this number.
    pub(super) fn new(desk: &'a Desk, object: usize) -> Self {
        Self { desk, object }
    }
}

impl Notice for Sleeper<'_> {
    fn sleeps(&self) -> Outcome<()> {
        self.desk.block_on(self.object);
        Ok(())
    }

    fn wakes(&self) {
        self.desk.unblock();
    }
}

/// How long a guest wants to wait, by the contract's limit.
pub(super) fn patience<'a>(limit: i64, sleeper: &'a Sleeper<'a>) -> Patience<'a> {
    // Also one of 0 knows whom to tell: a condition takes its lock again for as long as that takes.
    Patience::new(u64::try_from(limit).ok().map(Duration::from_nanos), sleeper)
}

/// `shared_wait`
pub(super) fn wait(
    mut caller: Caller<'_, Guest>,
    handles: u32,
    count: u32,
    limit: i64,
    out: u32,
) -> wasmtime::Result<i32> {
    let answer = wait_until_ready(&mut caller, handles, count as usize, limit, out);
    finish(&mut caller, None, answer.map(|()| 0)).map(|status| status as i32)
}

fn wait_until_ready(
    caller: &mut Caller<'_, Guest>,
    handles: u32,
    count: usize,
    limit: i64,
    out: u32,
) -> Result<(), Stopped> {
    if count == 0 || count > OBJECTS_MAX {
        let words =
            format!("{count} shared objects cannot be waited for at once: wait for 1 to {OBJECTS_MAX}");
        return Err(Trouble::words(Refusal::Invalid, words).into());
    }
    if out != 0 {
        check_room(caller, out, count)?;
    }
    let mut bytes = vec![0; count * size_of::<i32>()];
    fetch(caller, handles, &mut bytes)?;
    let handles: Vec<i32> = bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect();
    let mut ready = vec![false; count];
    wait_for_handles(caller.data(), &handles, limit, &mut ready)?;
    if out != 0 {
        let ready: Vec<u8> = ready.into_iter().map(u8::from).collect();
        deliver(caller, out, &ready)?;
    }
    Ok(())
}

fn wait_for_handles(guest: &Guest, handles: &[i32], limit: i64, ready: &mut [bool]) -> Result<(), Trouble> {
    let mut objects: Vec<&Object> = Vec::with_capacity(handles.len());
    let (first, belonging) = guest.shared.object(handles[0])?;
    for handle in handles {
        objects.push(&guest.shared.object(*handle)?.1.object);
    }
    let sleeper = Sleeper::new(&guest.desk, first);
    wait_for_any(&objects, belonging.party, &patience(limit, &sleeper), ready).map_err(|refusal| match refusal {
        Refusal::WrongKind => {
            let words = "one of these shared objects is never ready: events, queues, pipes, locks and semaphores are";
            Trouble::words(Refusal::WrongKind, words)
        }
        Refusal::TimedOut => {
            Trouble::words(Refusal::TimedOut, "none of these shared objects was ready in time: wait longer")
        }
        other => other.into(),
    })
}
