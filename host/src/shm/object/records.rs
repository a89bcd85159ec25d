//! What a list and a dictionary have in common: records in a heap, two tables of places, and readers without a lock.
//!
//! ```text
//!   0  header       see `ground`
//! 192  state        u64   bit 63: which table is active; below: a list's length, 0 in a dictionary
//! 200  generation   u64   counts how often something was taken out of the reach of readers
//! 208  version      u64   next version, 0 at first for 1
//! 216  quiet        u64   time until which writers wait for a reader, in ns of the monotonic clock; 0 for none
//! 224  length       u64   a dictionary's; derived
//! 232  removed      u64   a dictionary's removed slots; derived
//! 256  table 0, table 1   u64 each entry: a place in the heap, or what the object makes of small numbers
//!      heap         from the next multiple of 64
//! ```
//!
//! # Writers
//!
//! A change is made under the object's mutex. It writes records to places that nobody refers to, and maybe the table
//! that is not active, and becomes visible by **one store**: of one entry of the active table, or of the state. After
//! it, what nobody refers to any more is given back, but not before [`Records::retire`] has counted the generation
//! up. A death before that store changes nothing and a death behind it changes nothing more; what it leaves is room
//! in the heap that belongs to nobody, and [`repair`](Records::repair_heap) computes from the active table what is in
//! use. Who commits a record releases it: `SYNC record`.
//!
//! # Readers
//!
//! A reader takes nothing and writes nothing, so that it can do without the right to: it (1) reads the generation,
//! (2) reads the state, entries, and records by relaxed atomic loads, checking each place before it follows it,
//! (3) reads the generation again, and starts anew if it changed.
//!
//! While the generation stays as it is, nothing that (2) can refer to is overwritten, because that is done only
//! behind a `retire`; what was removed before (1) it cannot refer to, because `retire` releases the store that
//! removed it to (1). And at most one change can become visible between (1) and (3) that takes anything away or
//! rearranges it, because it cannot be followed by a second one without a `retire` between them. So what was read is
//! the object as of one instant, before or behind that change.
//!
//! The order that fails is counting up before the commit: a reader then finds the new generation and the old place,
//! and reads the place after it has been given to somebody else, with the generation unchanged.
//!
//! No death holds readers up: there is no mark that a writer sets when it comes and clears when it goes. Writers who
//! never pause could hold up a reader who has much to copy; after a few failures it asks for quiet until some time,
//! and writers wait for it before they enter, up to [`QUIET_MAX`]. A reader without the right to ask looks again until
//! [`LOOK_MAX`] has passed.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use wasmpool_abi::shared::Refusal;

use super::crash::crash_point;
use super::ground::{Entered, Ground, PAGE_BYTES, header};
use super::heap::{GRANULE_BYTES, Heap, Place};
use super::list::Version;
use super::spec::{BYTES_MAX, ITEMS_MAX, RecordsShape};
use super::{Outcome, Party};
use crate::shm::region::Region;

const STATE: usize = header::BYTES;
const GENERATION: usize = STATE + 8;
const VERSION: usize = STATE + 16;
const QUIET: usize = STATE + 24;
pub(super) const LENGTH: usize = STATE + 32;
pub(super) const REMOVED: usize = STATE + 40;
const TABLES: usize = 256;

const ENTRY_BYTES: usize = size_of::<u64>();
const HEAP_ALIGNMENT: usize = 64;
const ACTIVE: u64 = 1 << 63;

/// Failed looks that cost nobody anything.
const LOOKS: u32 = 64;

/// Longest that one look after the other may fail.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// Pause between looks of somebody who cannot ask for quiet.
const LOOK_PAUSE: Duration = Duration::from_micros(50);

/// Shortest quiet that a reader asks for.
const QUIET_MIN: Duration = Duration::from_millis(1);

/// Longest that a writer waits for readers, whatever the pages say.
const QUIET_MAX: Duration = Duration::from_millis(500);

/// Bytes of an object with tables of so many entries each; nothing when there can be no such object.
pub(super) fn bytes(shape: RecordsShape, entries: usize) -> Option<usize> {
    if shape.records_max == 0 || shape.records_max > ITEMS_MAX || shape.bytes_max > BYTES_MAX {
        return None;
    }
    let heap = Heap::bytes(shape.bytes_max)?;
    heap_offset(entries)?.checked_add(heap)?.checked_next_multiple_of(PAGE_BYTES)
}

fn heap_offset(entries: usize) -> Option<usize> {
    let tables = entries.checked_mul(2 * ENTRY_BYTES)?;
    tables.checked_add(TABLES)?.checked_next_multiple_of(HEAP_ALIGNMENT)
}

/// One of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    First,
    Second,
}

impl Table {
    pub(super) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Which table is active, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) active: Table,
    pub(super) length: u32,
}

/// Records and their tables; see the module.
#[derive(Debug)]
pub(super) struct Records {
    ground: Ground,
    heap: Heap,
    shape: RecordsShape,
    /// Of each table.
    entries: usize,
}

impl Records {
    /// Records on `ground`, which has [`bytes`] bytes.
    pub(super) fn open(ground: Ground, shape: RecordsShape, entries: usize) -> Self {
        let offset = heap_offset(entries).expect("`bytes` has found a size for this shape");
        let heap = Heap::open(ground.clone(), offset, shape.bytes_max);
        Self { ground, heap, shape, entries }
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    pub(super) fn region(&self) -> &Region {
        self.ground.region()
    }

    pub(super) fn shape(&self) -> RecordsShape {
        self.shape
    }

    /// Takes the mutex for a change, after the readers who asked for quiet.
    ///
    /// # Errors
    ///
    /// As [`Ground::enter`].
    pub(super) fn enter(&self, party: Party, repair: impl FnOnce() -> Outcome<()>) -> Outcome<Entered<'_>> {
        self.ground.check_writable()?;
        self.keep_quiet();
        self.ground.enter(party, repair)
    }

    /// What the state says.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`] when it cannot say that.
    pub(super) fn state(&self) -> Outcome<State> {
        // SYNC record: the entries below the length, and what they refer to.
        let word = self.ground.word64(STATE).load(Ordering::Acquire);
        let active = if word & ACTIVE == 0 { Table::First } else { Table::Second };
        match u32::try_from(word & !ACTIVE) {
            Ok(length) if length <= self.shape.records_max => Ok(State { active, length }),
            _ => Err(Refusal::Poisoned),
        }
    }

    /// Changes the state; the mutex is held. For most changes, this is the one store that commits them.
    pub(super) fn commit_state(&self, state: State) {
        let active = if state.active == Table::First { 0 } else { ACTIVE };
        // SYNC record
        self.ground.word64(STATE).store(active | u64::from(state.length), Ordering::Release);
    }

    /// The entries of a table.
    pub(super) fn table(&self, table: Table) -> &[AtomicU64] {
        let offset = match table {
            Table::First => TABLES,
            Table::Second => TABLES + self.entries * ENTRY_BYTES,
        };
        self.region().words(offset, self.entries)
    }

    /// Says that something was removed, before it is overwritten; the mutex is held.
    pub(super) fn retire(&self) {
        let generation = self.ground.word64(GENERATION);
        // Relaxed load: only holders of the mutex write it.
        let next = generation.load(Ordering::Relaxed).wrapping_add(1);
        // SYNC removal: who finds this generation finds the commit before it.
        generation.store(next, Ordering::Release);
        // SYNC reuse: who finds anything that is written from now on finds this generation or a later one.
        fence(Ordering::Release);
    }

    /// A version that no record of this object has had; the mutex is held.
    pub(super) fn next_version(&self) -> Version {
        let word = self.ground.word64(VERSION);
        // Relaxed: the mutex orders it, and the commit of the record that gets it releases it.
        let version = word.load(Ordering::Relaxed).max(1);
        word.store(version.wrapping_add(1), Ordering::Relaxed);
        version
    }

    /// Room for a record of so many bytes; the mutex is held.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooLarge`] when there could never be, [`Refusal::NoRoom`] when there is none now.
    pub(super) fn allocate(&self, bytes: usize) -> Outcome<Place> {
        if !self.heap.fits(bytes) {
            return Err(Refusal::TooLarge);
        }
        let place = self.heap.allocate(bytes).ok_or(Refusal::NoRoom)?;
        crash_point!("record: room taken");
        Ok(place)
    }

    /// Gives room back that readers cannot find any more; the mutex is held.
    pub(super) fn free(&self, place: Place) {
        crash_point!("record: removed, its room still taken");
        self.heap.free(place);
    }

    /// Gives all room back; as [`Self::free`].
    pub(super) fn free_all(&self) {
        crash_point!("records: removed, their room still taken");
        self.heap.clear();
    }

    /// Where the record of an entry begins, and its size, which is at least `bytes_min`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`] when it is nowhere in the heap, or too short.
    pub(super) fn find(&self, entry: u64, bytes_min: usize) -> Outcome<(usize, Place)> {
        let place = self.heap.check(entry)?;
        if place.bytes() < bytes_min { Err(Refusal::Poisoned) } else { Ok((self.heap.start(place), place)) }
    }

    /// Looks at the object without its mutex until nothing has come between; see the module.
    ///
    /// `look` answers [`Refusal::Poisoned`] for whatever cannot be, which is believed only if nothing came between.
    ///
    /// # Errors
    ///
    /// Those of `look`; [`Refusal::TimedOut`] when something always comes between.
    #[inline]
    pub(super) fn look<T>(&self, mut look: impl FnMut() -> Outcome<T>) -> Outcome<T> {
        let mut reader = None;
        loop {
            self.ground.check()?;
            let generation = self.ground.word64(GENERATION);
            // SYNC removal: what was removed up to this generation cannot be found any more.
            let before = generation.load(Ordering::Acquire);
            let found = look();
            // SYNC reuse: if anything that was read had been overwritten, the generation shows it.
            fence(Ordering::Acquire);
            if generation.load(Ordering::Relaxed) == before {
                return found.map_err(|refusal| self.ground.poison_if_impossible(refusal));
            }
            reader.get_or_insert_with(|| Reader::new(self)).failed()?;
        }
    }

    /// Waits until readers have had the quiet that they asked for.
    fn keep_quiet(&self) {
        // Relaxed: a courtesy; nothing depends on it.
        if self.ground.word64(QUIET).load(Ordering::Relaxed) != 0 {
            self.keep_quiet_now();
        }
    }

    #[cold]
    fn keep_quiet_now(&self) {
        let quiet = self.ground.word64(QUIET);
        let started = Instant::now();
        loop {
            let until = quiet.load(Ordering::Relaxed);
            let rest = Duration::from_nanos(until.saturating_sub(now_ns()));
            if rest.is_zero() || started.elapsed() >= QUIET_MAX {
                // Spent, or scribbled. Another reader may have asked meanwhile, then this fails.
                let _ = quiet.compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed);
                return;
            }
            std::thread::sleep(rest.min(LOOK_PAUSE));
        }
    }

    /// Makes the heap and the versions agree with the active table, after a death in the middle of a change.
    ///
    /// `entries` are what the table refers to, and each record begins with its version.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`] when an entry is no place, or two overlap.
    pub(super) fn repair_heap(&self, entries: impl Iterator<Item = u64>) -> Outcome<()> {
        // The dead may have committed a removal without counting.
        self.retire();
        crash_point!("repair: counted");
        self.heap.clear();
        crash_point!("repair: heap empty");
        let mut highest = 0;
        for entry in entries {
            let (offset, place) = self.find(entry, size_of::<Version>())?;
            self.heap.keep(place)?;
            highest = self.ground.word64(offset).load(Ordering::Relaxed).max(highest);
            crash_point!("repair: some records kept");
        }
        let version = self.ground.word64(VERSION);
        let next = version.load(Ordering::Relaxed).max(highest.saturating_add(1));
        version.store(next, Ordering::Relaxed);
        crash_point!("repair: done, mutex held");
        Ok(())
    }

    /// Lets others in where a dead party was, and wakes them.
    pub(super) fn bury(&self, party: Party) {
        self.ground.bury(party);
    }

    /// Whether nobody is inside, and nobody died inside: then derived words are right.
    pub(super) fn is_at_rest(&self) -> bool {
        // SYNC mutex: what the last holder derived is visible.
        self.ground.word32(header::MUTEX).load(Ordering::Acquire) == 0
    }

    /// Most bytes that all records together can have. More than that are not there, whatever a table says.
    pub(super) fn bytes_max(&self) -> usize {
        self.shape.bytes_max.next_multiple_of(GRANULE_BYTES).max(GRANULE_BYTES) as usize
    }
}

/// A reader whose look has failed, and what it does about it.
struct Reader<'a> {
    records: &'a Records,
    since: Instant,
    /// When the last look began.
    began: Instant,
    looks: u32,
    asked: Option<u64>,
}

impl<'a> Reader<'a> {
    #[cold]
    fn new(records: &'a Records) -> Self {
        let now = Instant::now();
        Self { records, since: now, began: now, looks: 0, asked: None }
    }

    /// Prepares for another look.
    #[cold]
    fn failed(&mut self) -> Outcome<()> {
        let took = self.began.elapsed();
        let total = self.since.elapsed();
        if total > LOOK_MAX {
            return Err(Refusal::TimedOut);
        }
        self.looks += 1;
        if self.looks < LOOKS && total < QUIET_MIN {
            std::hint::spin_loop();
        } else if self.records.ground.is_writable() {
            self.ask_for_quiet(took);
        } else {
            std::thread::sleep(LOOK_PAUSE);
        }
        self.began = Instant::now();
        Ok(())
    }

    fn ask_for_quiet(&mut self, took: Duration) {
        let quiet = (took * 2).clamp(QUIET_MIN, QUIET_MAX) + LOOK_PAUSE;
        let until = now_ns().saturating_add(quiet.as_nanos() as u64);
        self.asked = Some(until);
        // Relaxed: a courtesy. The later of two readers gets its time.
        self.records.ground.word64(QUIET).fetch_max(until, Ordering::Relaxed);
        // Whoever is inside comes to its end meanwhile.
        std::thread::sleep(LOOK_PAUSE);
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(until) = self.asked {
            let quiet = self.records.ground.word64(QUIET);
            // It stays when another reader needs longer.
            let _ = quiet.compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// Time that all processes of a machine agree on.
fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

/// Begins an element of a sequence at the end of `into`; its bytes follow.
pub(super) fn begin_element(bytes: usize, into: &mut Vec<u8>) {
    // A record's length has 32 bits.
    into.extend_from_slice(&(bytes as u32).to_le_bytes());
}

/// Bytes of an element of a sequence.
pub(super) fn element_bytes(bytes: usize) -> usize {
    size_of::<u32>() + bytes
}

#[cfg(test)]
pub(super) mod tests;
