//! Which seats are in use, and the threads that feed them.
//!
//! ```text
//!             open                 dismiss                  close
//!  Closed ──────────► Open ──────────────────► Leaving ──────────────► Closed
//!                      ▲                          │
//!                      └───────── open ───────────┘
//! ```
//!
//! A seat is *open* while its worker takes calls. One that is *leaving* takes none any more: its feeder gives back what
//! no worker has begun, waits for the calls that run, ends the worker, and closes the seat with its last act. So nothing
//! is lost when a pool shrinks, and nothing is run twice. A seat that is *closed* has neither worker nor thread.
//!
//! All changes are made under one lock, so that a seat that is wanted again is either still leaving, and stays, or has
//! closed, and gets another thread. Whoever reads a standing without the lock looks again later: opening and dismissing
//! ring the lobby's bell.
//!
//! The pool's own seats are the lowest ones. Those above them are opened for want of workers ([`relief`](super::relief)),
//! or are surplus on its way out.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::WORKERS_MAX;
use super::error::{Error, ErrorKind};
use super::feeder::Feeder;
use super::shared::Shared;

/// Whether a seat is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Standing {
    /// It has neither worker nor feeder.
    Closed,
    /// Its worker takes calls.
    Open,
    /// Its worker finishes what it has.
    Leaving,
}

/// A standing that anyone may read, and that is changed under the lock of [`Staff`] only.
#[derive(Debug, Default)]
pub(crate) struct StandingCell(AtomicU8);

impl StandingCell {
    /// What it is now.
    pub(crate) fn get(&self) -> Standing {
        // Relaxed: it may change at any time, and whoever changes it rings.
        match self.0.load(Ordering::Relaxed) {
            0 => Standing::Closed,
            1 => Standing::Open,
            _ => Standing::Leaving,
        }
    }

    fn set(&self, standing: Standing) {
        // Relaxed: as above.
        self.0.store(standing as u8, Ordering::Relaxed);
    }
}

/// The threads that feed a pool's workers.
#[derive(Default)]
pub(crate) struct Staff {
    /// Those that may still run, in no order.
    feeders: Vec<JoinHandle<()>>,
    /// When a call was ended because there was no seat left.
    pub(crate) last_exhausted: Option<Instant>,
}

impl Staff {
    /// Opens a seat, with a feeder if it has none.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(crate) fn open(&mut self, shared: &Arc<Shared>, number: usize) -> io::Result<()> {
        let standing = &shared.seats[number].standing;
        let was_closed = standing.get() == Standing::Closed;
        standing.set(Standing::Open);
        if was_closed {
            // Those that have closed their seats.
            self.feeders.retain(|feeder| !feeder.is_finished());
            match Feeder::new(Arc::clone(shared), number, shared.family.deques(number)).start() {
                Ok(thread) => self.feeders.push(thread),
                Err(error) => {
                    standing.set(Standing::Closed);
                    return Err(error);
                }
            }
        }
        shared.count_seats();
        Ok(())
    }

    /// Has the seats from this one on finish what they have, and close.
    fn dismiss(&mut self, shared: &Shared, from: usize) {
        for seat in &shared.seats[from..] {
            if seat.standing.get() == Standing::Open {
                seat.standing.set(Standing::Leaving);
            }
        }
        shared.count_seats();
    }

    /// Gives all threads away, to be waited for.
    pub(crate) fn take_feeders(&mut self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.feeders)
    }
}

/// A number of workers, if a pool may have so many.
///
/// # Errors
///
/// [`ErrorKind::Setting`] when it may not.
pub(crate) fn checked(workers: usize) -> Result<usize, Error> {
    if (1..=WORKERS_MAX).contains(&workers) {
        return Ok(workers);
    }
    let text = format!("a pool of {workers} workers: choose between 1 and {WORKERS_MAX}");
    Err(Error::new(ErrorKind::Setting, text))
}

impl Shared {
    /// The staff, and the right to change a seat's standing.
    pub(crate) fn staff(&self) -> MutexGuard<'_, Staff> {
        self.staff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many workers the pool is to have.
    pub(crate) fn workers(&self) -> usize {
        // Relaxed: as with standings.
        self.workers.load(Ordering::Relaxed)
    }

    /// How many seats have workers that take calls; at least one.
    pub(crate) fn seats_working(&self) -> usize {
        // Relaxed: as with standings.
        self.seats_working.load(Ordering::Relaxed).max(1)
    }

    /// Opens or dismisses seats until there are so many.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] for a pool that is closing, [`ErrorKind::SetUp`] when the system gives no threads; then
    /// nothing has changed.
    pub(crate) fn resize(self: &Arc<Self>, workers: usize) -> Result<(), Error> {
        let mut staff = self.staff();
        if self.is_closing() {
            return Err(Error::new(ErrorKind::Closed, "the pool is closed"));
        }
        self.refuse_differing_runs(workers)?;
        let before = self.workers();
        let opened = (0..workers).try_for_each(|number| staff.open(self, number));
        let workers = if opened.is_ok() { workers } else { before };
        // Relaxed: as with standings.
        self.workers.store(workers, Ordering::Relaxed);
        staff.dismiss(self, workers);
        drop(staff);
        self.lobby.ring_always();
        opened.map_err(|error| {
            Error::new(ErrorKind::SetUp, "a feeder thread cannot be started").with_source(error)
        })
    }

    /// A deterministic module that shares objects has one worker, or its runs would differ.
    fn refuse_differing_runs(&self, workers: usize) -> Result<(), Error> {
        let differs = |module: &Arc<super::module::ModuleState>| {
            module.is_deterministic() && !module.granted.is_empty()
        };
        match self.modules().iter().find(|module| workers > 1 && differs(module)) {
            Some(module) => {
                let text = format!(
                    "{workers} workers would reach the shared objects of module {} in whatever order they happen to \
                     run, and a deterministic pool has each run be like any other: stay with one worker",
                    module.name
                );
                Err(Error::new(ErrorKind::Setting, text))
            }
            None => Ok(()),
        }
    }

    /// Has a seat beyond the pool's number close, which has nothing to do. Says whether it will.
    pub(crate) fn dismiss_spare(&self, number: usize) -> bool {
        let _staff = self.staff();
        let is_spare = number >= self.workers();
        if is_spare {
            self.seats[number].standing.set(Standing::Leaving);
            self.count_seats();
        }
        is_spare
    }

    /// Closes a seat whose worker is gone, unless it is wanted again. Its feeder must not touch it afterwards.
    pub(crate) fn close_seat(&self, number: usize) -> bool {
        let _staff = self.staff();
        let standing = &self.seats[number].standing;
        let is_leaving = standing.get() == Standing::Leaving;
        if is_leaving {
            standing.set(Standing::Closed);
            self.count_seats();
        }
        is_leaving
    }

    /// Counts after a change, under the lock of the staff.
    fn count_seats(&self) {
        let standing = |standing| move |seat: &super::shared::Seat| seat.standing.get() == standing;
        let in_use = self.seats.iter().rposition(|seat| !standing(Standing::Closed)(seat));
        let working = self.seats.iter().filter(|seat| standing(Standing::Open)(seat)).count();
        // Relaxed: as with standings.
        self.seats_open.store(in_use.map_or(0, |last| last + 1), Ordering::Relaxed);
        self.seats_working.store(working, Ordering::Relaxed);
    }
}
