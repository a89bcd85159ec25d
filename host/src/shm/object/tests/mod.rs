//! What tests of shared objects have in common.

mod barrier;
mod census;
mod condition;
mod event;
mod heap;
mod lock;
mod mutex;
mod queue;
mod semaphore;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::ground::{Ground, Rights};
use super::patience::{Notice, Patience, Unnoticed};
use super::{Outcome, Party};
use crate::shm::region::{Region, Writer};

/// Nothing that a test waits for takes this long, however busy the machine is.
const WATCHDOG: Duration = Duration::from_secs(120);

/// The party with this number.
pub(super) fn party(number: usize) -> Party {
    Party::new(number).expect("a party's number")
}

/// Patience without end.
pub(super) fn for_ever() -> Patience<'static> {
    Patience::new(None, &Unnoticed)
}

/// Patience that is soon over.
pub(super) fn for_a_moment() -> Patience<'static> {
    Patience::new(Some(Duration::from_millis(1)), &Unnoticed)
}

/// The pages of one object, which every ground maps anew, as another process would.
pub(super) struct Pages {
    fd: OwnedFd,
    bytes: usize,
}

impl Pages {
    pub(super) fn new(bytes: usize) -> Self {
        let (_, fd) = Region::create("test", bytes, Writer::Worker).expect("a region");
        Self { fd, bytes }
    }

    /// The pages in one more process.
    pub(super) fn ground(&self) -> Ground {
        self.map(Writer::Worker, Rights::ReadWrite)
    }

    /// The pages in one more process that may only look: a store by it would be a fault.
    pub(super) fn read_only(&self) -> Ground {
        self.map(Writer::Supervisor, Rights::Read)
    }

    fn map(&self, writer: Writer, rights: Rights) -> Ground {
        let region = Region::map(self.fd.as_fd(), self.bytes, writer).expect("a mapping");
        Ground::new(Arc::new(region), rights)
    }
}

/// Runs `work`, and fails the test if it hangs.
pub(super) fn watched<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = channel();
    let worker = std::thread::spawn(move || {
        let result = work();
        let _ = done.send(());
        result
    });
    match is_done.recv_timeout(WATCHDOG) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        },
        Err(RecvTimeoutError::Timeout) => panic!("hangs"),
    }
}

/// A notice that lets others wait until a wait has gone to sleep, or is about to at least.
#[derive(Default)]
pub(super) struct Sleepers {
    asleep: std::sync::Mutex<u32>,
    changed: std::sync::Condvar,
}

impl Sleepers {
    /// Waits until so many have gone to sleep, all counted from the beginning.
    pub(super) fn await_total(&self, total: u32) {
        let asleep = self.asleep.lock().unwrap();
        drop(self.changed.wait_while(asleep, |asleep| *asleep < total).unwrap());
    }
}

impl Notice for Sleepers {
    fn sleeps(&self) -> Outcome<()> {
        *self.asleep.lock().unwrap() += 1;
        self.changed.notify_all();
        Ok(())
    }

    fn wakes(&self) {}
}

/// A notice that refuses every sleep.
pub(super) struct Sleepless;

impl Notice for Sleepless {
    fn sleeps(&self) -> Outcome<()> {
        Err(wasmpool_abi::shared::Refusal::Starved)
    }

    fn wakes(&self) {}
}
