//! The pages of one object, and what their opener may do with them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmpool_abi::shared::Refusal;

use super::atomic::{AtomicU32, AtomicU64};
use super::bell::Bell;
use super::census::{Census, Visit};
use super::crash::{self, crash_point};
use super::mutex::{Found, Mutex};
use super::patience::{Patience, Unnoticed};
use super::region::Region;
use super::{Outcome, Party, futex};

/// What an opener may do with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rights {
    /// Look at it. Its pages are mapped for reading, so that a lock cannot be taken either.
    Read,
    /// Everything.
    ReadWrite,
}

/// Where the words of all objects are; what follows is the object's own.
///
/// ```text
///   0  mutex        u32   see `mutex`
///   4  poisoned     u32   1 once somebody has found what cannot be
///   8  lock         u32   of objects that users lock, see `lock`; otherwise the object's
///  12  depth        u32   how often its holder holds it
///  16  (object)     ..64
///  64  bell A       epoch u32, asleep u32, cpu u32
/// 128  bell B       epoch u32, asleep u32, cpu u32
/// 192  (object)
/// ```
pub(crate) mod header {
    /// The object's mutex.
    pub(crate) const MUTEX: usize = 0;
    /// Whether it is poisoned.
    pub(crate) const POISONED: usize = 4;
    /// The lock that users take, in objects that have one.
    pub(crate) const LOCK: usize = 8;
    /// How often its holder holds it.
    pub(crate) const DEPTH: usize = 12;
    /// First bell.
    pub(crate) const BELL_A: usize = 64;
    /// Second bell.
    pub(crate) const BELL_B: usize = 128;
    /// First byte that the object lays out by itself.
    pub(crate) const BYTES: usize = 192;
}

/// Longest wait for somebody inside an object: it has a few instructions to do, unless it is stopped.
const ENTER_TIME_MAX: Duration = Duration::from_secs(10);

/// Size of a page, by which regions are laid out.
pub(crate) const PAGE_BYTES: usize = 4096;

/// The pages of one object.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    region: Arc<Region>,
    rights: Rights,
    /// A bell of the object's own, beside those that all objects have.
    third_bell: Option<usize>,
    /// What is known about the parties, in the supervisor.
    census: Option<Arc<dyn Census>>,
}

impl Ground {
    /// Pages mapped with these rights.
    pub(crate) fn new(region: Arc<Region>, rights: Rights) -> Self {
        Self { region, rights, third_bell: None, census: None }
    }

    /// The same pages for one who knows who the parties are.
    pub(crate) fn with_census(self, census: Arc<dyn Census>) -> Self {
        Self { census: Some(census), ..self }
    }

    /// What is known about the parties, if anything is.
    pub(super) fn census(&self) -> Option<&dyn Census> {
        self.census.as_deref()
    }

    /// The same pages with a bell of the object's own at `offset`, which rings whenever all bells do.
    pub(crate) fn with_third_bell(self, offset: usize) -> Self {
        Self { third_bell: Some(offset), ..self }
    }

    /// The mapped pages.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Whether the object may be changed.
    #[inline]
    pub(crate) fn is_writable(&self) -> bool {
        self.rights == Rights::ReadWrite
    }

    /// Succeeds if the object may be changed and is not spoilt.
    ///
    /// # Errors
    ///
    /// [`Refusal::ReadOnly`], [`Refusal::Poisoned`].
    #[inline]
    pub(crate) fn check_writable(&self) -> Outcome<()> {
        if !self.is_writable() {
            return Err(Refusal::ReadOnly);
        }
        self.check()
    }

    /// Succeeds if the object is not spoilt.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`].
    #[inline]
    pub(crate) fn check(&self) -> Outcome<()> {
        // Relaxed: a mark that never goes away again; nothing is read on the strength of its absence.
        match self.word32(header::POISONED).load(Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(Refusal::Poisoned),
        }
    }

    /// Marks the object as spoilt, for everyone and for ever, and says so.
    pub(crate) fn poison(&self) -> Refusal {
        if self.is_writable() {
            self.word32(header::POISONED).store(1, Ordering::Relaxed);
            self.ring_all();
        }
        Refusal::Poisoned
    }

    /// Takes the object's mutex, for the few instructions that a change takes.
    ///
    /// When its last holder died under it, `repair` puts in order what it left, before anything else is looked at.
    /// A stopped holder is waited for, up to [`ENTER_TIME_MAX`]; one that is known to be none is not.
    ///
    /// # Errors
    ///
    /// [`Refusal::ReadOnly`], [`Refusal::Poisoned`] (also what `repair` finds), [`Refusal::TimedOut`].
    pub(crate) fn enter(&self, party: Party, repair: impl FnOnce() -> Outcome<()>) -> Outcome<Entered<'_>> {
        self.check_writable()?;
        let visit = self.census.as_ref().map(|_| Visit::begin(party));
        let mutex = self.mutex();
        let found = match mutex.lock(party, &Patience::NONE) {
            // Only who has to wait asks for the time, which costs as much as all the rest.
            Err(Refusal::TimedOut) => mutex.lock(party, &Patience::new(Some(ENTER_TIME_MAX), &Unnoticed)),
            found => found,
        };
        let found = found.map_err(|refusal| match refusal {
            // Nobody enters twice: the word lies.
            Refusal::WouldDeadlock => self.poison(),
            refusal => self.poison_if_impossible(refusal),
        })?;
        let entered = Entered { mutex, party, _visit: visit };
        crash_point!("ground: mutex taken");
        // It may have been spoilt while this waited, perhaps by what the last holder found.
        self.check()?;
        if found == Found::Abandoned {
            repair().map_err(|_| self.poison())?;
        }
        Ok(entered)
    }

    fn mutex(&self) -> Mutex<'_> {
        Mutex::new(self.word32(header::MUTEX)).judged_by(self.census())
    }

    /// Passes a refusal on; if it says that a word holds what it cannot, the whole object is spoilt.
    pub(super) fn poison_if_impossible(&self, refusal: Refusal) -> Refusal {
        if refusal == Refusal::Poisoned { self.poison() } else { refusal }
    }

    /// Takes the mutex away from a party that is proved dead, and wakes everyone.
    ///
    /// The last thing that an object's burying does: who is woken looks at words that are in order.
    pub(crate) fn bury(&self, party: Party) {
        if self.is_writable() {
            self.mutex().abandon(party);
            self.ring_all();
        }
    }

    /// A 32-bit word of it.
    #[inline]
    pub(crate) fn word32(&self, offset: usize) -> &AtomicU32 {
        self.region.word32(offset)
    }

    /// A 64-bit word of it.
    #[inline]
    pub(crate) fn word64(&self, offset: usize) -> &AtomicU64 {
        self.region.word64(offset)
    }

    /// The bell at `offset`, one of [`header::BELL_A`] and [`header::BELL_B`] or an object's own of the same shape.
    pub(crate) fn bell(&self, offset: usize) -> ObjectBell<'_> {
        ObjectBell {
            bell: Bell::new(self.word32(offset), self.word32(offset + 4)),
            cpu: self.word32(offset + 8),
            is_writable: self.is_writable(),
        }
    }

    /// Wakes everyone who sleeps on the object or is about to, on its mutex and its lock too, whatever
    /// the flags say.
    pub(crate) fn ring_all(&self) {
        for offset in [header::BELL_A, header::BELL_B].into_iter().chain(self.third_bell) {
            self.bell(offset).bell.ring_always();
        }
        futex::wake_all(self.word32(header::MUTEX));
        // In an object without a lock nobody sleeps there.
        futex::wake_all(self.word32(header::LOCK));
    }
}

/// The object's mutex, held; dropping this gives it back.
pub(crate) struct Entered<'a> {
    mutex: Mutex<'a>,
    party: Party,
    /// Ends after the mutex was given back.
    _visit: Option<Visit>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if crash::is_dying() {
            // A killed process leaves the word as it is.
        } else if std::thread::panicking() {
            // What was begun may be half done: the next one repairs it, as after a death.
            self.mutex.abandon(self.party);
        } else {
            // Another party can have taken it away only by scribbling; there is nobody to tell.
            let _ = self.mutex.unlock(self.party);
        }
    }
}

/// A bell, and the core on which it was rung last.
#[derive(Clone, Copy)]
pub(crate) struct ObjectBell<'a> {
    pub(super) bell: Bell<'a>,
    pub(super) cpu: &'a AtomicU32,
    /// Whether sleepers can be announced; otherwise they look from time to time.
    pub(super) is_writable: bool,
}

impl ObjectBell<'_> {
    /// Wakes whoever sleeps, after the caller has published what they look for.
    pub(crate) fn ring(self) {
        // Relaxed: a hint for those who wonder whether spinning can help.
        self.cpu.store(current_cpu(), Ordering::Relaxed);
        self.bell.ring();
    }
}

/// The core that this thread runs on, plus one: 0 is nobody.
pub(super) fn current_cpu() -> u32 {
    rustix::thread::sched_getcpu() as u32 + 1
}
