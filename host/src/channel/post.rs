//! The supervisor's end of the channel: it posts orders and reads what came of them.
//!
//! Nothing here trusts the worker. Counts are clamped to what was ordered, tables are copied before they are judged,
//! offsets are computed here and never read, and whatever does not add up is a [`Lie`], after which the worker is
//! killed and only what was taken before counts.

use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use super::desk::failures_start;
use super::ending::EndKind;
use super::layout::{ENTRY_BYTES, FAILURE_HEADER_BYTES, SLOT_BYTES, Sleep, down, tagged, untag, up};
use super::order::{Order, slot_of};
use super::range_word::RangeWord;
use super::ring;
use crate::shm::bell::Bell;
use crate::shm::region::{Region, Writer, punch};

/// Pages of a slot's results that stay in memory between chunks; what a large chunk used beyond is given back.
const KEPT_BYTES: usize = 8 << 20;

/// A worker wrote what no honest worker writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lie(pub(crate) &'static str);

/// How a separately run call ended: the head of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryHead {
    /// How it ended.
    pub(crate) kind: EndKind,
    /// Bytes of its result or its detail.
    pub(crate) length: usize,
    /// Time it took, as the worker says.
    pub(crate) nanoseconds: u64,
}

/// A call of a batch that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchFailure {
    /// Which one.
    pub(crate) call: u32,
    /// How.
    pub(crate) kind: EndKind,
    /// Its detail as it travels.
    pub(crate) detail: Vec<u8>,
}

/// The supervisor's end of a worker's two regions.
#[derive(Debug)]
pub(crate) struct Post {
    down: Region,
    up: Region,
    /// The descriptor behind `up`, for giving pages back.
    up_fd: OwnedFd,
}

impl Post {
    /// Makes the regions for a new worker, and the descriptors (down, up) to send to it.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor or no address space left.
    pub(crate) fn create() -> io::Result<(Self, [OwnedFd; 2])> {
        let (down, down_fd) = Region::create("wasmpool-down", down::BYTES, Writer::Supervisor)?;
        let (up, up_fd) = Region::create("wasmpool-up", up::BYTES, Writer::Worker)?;
        let theirs = up_fd.try_clone()?;
        Ok((Self { down, up, up_fd }, [down_fd, theirs]))
    }

    /// The bell on which whoever waits for this worker sleeps.
    pub(crate) fn feeder_bell(&self) -> Bell<'_> {
        Bell::new(self.up.word32(up::FEEDER_BELL), self.up.word32(up::FEEDER_ASLEEP))
    }

    fn worker_bell(&self) -> Bell<'_> {
        Bell::new(self.down.word32(down::DOORBELL), self.up.word32(up::WORKER_ASLEEP))
    }

    /// The slot's room for inputs; free until the next order of that slot is posted.
    pub(crate) fn inputs(&self, generation: u32) -> InputArea<'_> {
        InputArea { region: &self.down, start: down::inputs(slot_of(generation)) }
    }

    /// Posts an order whose inputs are in place. Returns whether the worker had to be woken.
    pub(crate) fn send(&self, order: &Order) -> bool {
        let slot = order.slot();
        // A call that goes on is not offered to anybody.
        let offered = if order.resumes { 0 } else { order.count };
        RangeWord::new(self.up.word64(up::range(slot)), order.generation).install(offered);
        // Relaxed: `posted` publishes these.
        self.up.word64(up::finished(slot)).store(tagged(order.generation, 0), Ordering::Relaxed);
        self.up.word64(up::failure_bytes(slot)).store(0, Ordering::Relaxed);
        order.write(&self.down);
        let cpu = rustix::thread::sched_getcpu() as u32;
        // Relaxed: a hint for spinning.
        self.down.word32(down::POSTER_CPU).store(cpu, Ordering::Relaxed);
        // SYNC order: everything the worker needs is in place.
        self.down.word32(down::posted(slot)).store(order.generation, Ordering::Release);
        self.worker_bell().ring()
    }

    /// The range word of an order, for cutting.
    pub(crate) fn range(&self, generation: u32) -> RangeWord<'_> {
        RangeWord::new(self.up.word64(up::range(slot_of(generation))), generation)
    }

    /// Whether the worker says that it is through with an order.
    pub(crate) fn has_ended(&self, generation: u32) -> bool {
        // SYNC done: its results are in place.
        self.up.word32(up::ended(slot_of(generation))).load(Ordering::Acquire) == generation
    }

    /// Of how many calls the results have to be taken before the worker can write more, if it waits for that.
    pub(crate) fn full_at(&self, generation: u32) -> Option<u32> {
        // SYNC done: what is finished is in place.
        let word = self.up.word64(up::full(slot_of(generation))).load(Ordering::Acquire);
        untag(word, generation)
    }

    /// How many calls of an order have ended, from its first on, as the worker says; at most `end`.
    pub(crate) fn finished(&self, generation: u32, end: u32) -> u32 {
        // SYNC done: their results are in place.
        let word = self.up.word64(up::finished(slot_of(generation))).load(Ordering::Acquire);
        untag(word, generation).unwrap_or(0).min(end)
    }

    /// What the running call sleeps on, as the worker says.
    pub(crate) fn sleep(&self) -> Sleep {
        // Relaxed: a hint that is looked at again and again.
        Sleep(self.up.word32(up::BLOCKED_ON).load(Ordering::Relaxed))
    }

    /// Number of the host function that a guest entered last, as the worker says.
    pub(crate) fn host_call(&self) -> u32 {
        // Relaxed: as in `progress`.
        self.up.word32(up::HOST_CALL).load(Ordering::Relaxed)
    }

    /// Whether the worker was at an initializer rather than at the call that it named, as it says.
    pub(crate) fn is_initializing(&self) -> bool {
        // Relaxed: as in `progress`.
        self.up.word32(up::INITIALIZING).load(Ordering::Relaxed) != 0
    }

    /// The progress word: generation and number of the call that runs, if any.
    pub(crate) fn progress(&self) -> Option<(u32, u32)> {
        // Relaxed: the word stands for itself, see `Desk::begin`.
        let word = self.up.word64(up::PROGRESS).load(Ordering::Relaxed);
        let call = (word as u32).checked_sub(1)?;
        Some(((word >> 32) as u32, call))
    }

    /// How long the worker says it was busy with an order.
    pub(crate) fn busy_ns(&self, generation: u32) -> u64 {
        // Relaxed: a measurement.
        self.up.word64(up::busy_ns(slot_of(generation))).load(Ordering::Relaxed)
    }

    /// Which core the worker ran on when it last waited for a caller.
    pub(crate) fn worker_cpu(&self) -> u32 {
        // Relaxed: a hint.
        self.up.word32(up::WORKER_CPU).load(Ordering::Relaxed)
    }

    /// Tells the worker that all results up to `finished` are taken and their room is free.
    pub(crate) fn taken(&self, generation: u32, finished: u32) {
        // Relaxed: the worker waits and writes no record until it sees `taken`, which publishes this.
        self.up.word64(up::failure_bytes(slot_of(generation))).store(0, Ordering::Relaxed);
        let word = self.down.word64(down::taken(slot_of(generation)));
        // SYNC taken: the results were copied before.
        word.store(tagged(generation, finished), Ordering::Release);
        self.worker_bell().ring();
    }

    /// Gives back the pages that an unusually large chunk used for its results.
    ///
    /// Call it while the slot is free. `used` is how far into the slot's results anything was written.
    pub(crate) fn trim(&self, generation: u32, used: usize) {
        if used > KEPT_BYTES {
            let start = up::results(slot_of(generation));
            // It fails only where the kernel has no such call; then the pages stay, which is slower but right.
            let _ = punch(self.up_fd.as_fd(), (start + KEPT_BYTES) as u64..(start + SLOT_BYTES) as u64);
        }
    }

    /// How many requests the worker says it has written.
    pub(crate) fn requests(&self) -> u32 {
        // Relaxed: a hint, see `Desk::request`.
        self.up.word32(up::REQUESTS).load(Ordering::Relaxed)
    }

    /// Tells the worker that its waiting call of this order is parked.
    pub(crate) fn parked(&self, generation: u32) {
        // SYNC parked: whatever was in the other slot has been taken back.
        self.down.word32(down::PARKED).store(generation, Ordering::Release);
        self.worker_bell().ring();
    }

    /// Takes the lines that guests have printed, and the pieces of their requests.
    ///
    /// # Errors
    ///
    /// A [`Lie`] when the ring is garbled.
    pub(crate) fn drain(
        &self,
        reader: &mut ring::Reader,
        take: impl FnMut(ring::Kind, &[u8]),
    ) -> Result<(), Lie> {
        let taken =
            reader.drain(&self.up, &self.down, take).map_err(|_| Lie("its ring of lines is garbled"))?;
        if taken > 0 {
            self.worker_bell().ring();
        }
        Ok(())
    }

    /// Copies `into.len() / 8` result cells of a batch, from cell `first` on, and so fills `into`.
    pub(crate) fn read_cells(&self, generation: u32, first: usize, into: &mut [MaybeUninit<u8>]) {
        self.up.read_uninit(up::results(slot_of(generation)) + first * 8, into);
    }

    /// Copies the heads of separately run calls.
    ///
    /// # Errors
    ///
    /// A [`Lie`] when a head has no meaning, or when the results are longer than their room.
    pub(crate) fn read_heads(
        &self,
        generation: u32,
        calls: Range<u32>,
        at: usize,
    ) -> Result<Vec<EntryHead>, Lie> {
        let start = up::results(slot_of(generation));
        let mut table = Vec::new();
        self.up.read_to(start + calls.start as usize * ENTRY_BYTES, calls.len() * ENTRY_BYTES, &mut table);
        let (entries, _) = table.as_chunks::<ENTRY_BYTES>();
        let mut end = at;
        let mut heads = Vec::with_capacity(entries.len());
        for entry in entries {
            let head = read_head(entry)?;
            end = end
                .checked_add(head.length)
                .filter(|end| *end <= SLOT_BYTES)
                .ok_or(Lie("results overrun"))?;
            heads.push(head);
        }
        Ok(heads)
    }

    /// Copies `count` bytes of results, from byte `at` of the slot's results, to the end of `into`.
    ///
    /// # Panics
    ///
    /// When the range is not inside the slot, which [`Self::read_heads`] has checked.
    pub(crate) fn read_bytes(&self, generation: u32, at: usize, count: usize, into: &mut Vec<u8>) {
        assert!(at + count <= SLOT_BYTES);
        self.up.read_to(up::results(slot_of(generation)) + at, count, into);
    }

    /// Copies the failure records of a batch from byte `from` of its records on; returns them and how many bytes
    /// of records there are now.
    ///
    /// Records of calls at or above `below` are not final yet and are left for the next time.
    ///
    /// # Errors
    ///
    /// A [`Lie`] when a record has no meaning or does not fit its room, or when calls are out of order.
    pub(crate) fn read_failures(
        &self,
        generation: u32,
        (count, results): (u32, usize),
        calls: Range<u32>,
        from: usize,
    ) -> Result<(Vec<BatchFailure>, usize), Lie> {
        let slot = slot_of(generation);
        let start = failures_start(count, results);
        // Relaxed: `finished` was acquired before and covers the records.
        let bytes = self.up.word64(up::failure_bytes(slot)).load(Ordering::Relaxed);
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= SLOT_BYTES - start);
        let bytes = bytes.ok_or(Lie("failure records overrun"))?;
        let mut failures = Vec::new();
        let mut at = from;
        let mut least = calls.start;
        while at < bytes {
            if bytes - at < FAILURE_HEADER_BYTES {
                return Err(Lie("a failure record is cut off"));
            }
            let mut header = [0; FAILURE_HEADER_BYTES];
            self.up.read(up::results(slot) + start + at, &mut header);
            let head = read_head(&header)?;
            let call = u32::try_from(head.nanoseconds).map_err(|_| Lie("a failure of no call"))?;
            if call >= calls.end {
                break;
            }
            let end = at + FAILURE_HEADER_BYTES + head.length;
            if call < least || end > bytes {
                return Err(Lie("failure records are out of order"));
            }
            let mut detail = Vec::new();
            self.read_bytes(generation, start + at + FAILURE_HEADER_BYTES, head.length, &mut detail);
            failures.push(BatchFailure { call, kind: head.kind, detail });
            least = call + 1;
            at = end;
        }
        Ok((failures, at))
    }
}

/// Reads `u32` kind, `u32` length, `u64` of either meaning.
fn read_head(entry: &[u8; 16]) -> Result<EntryHead, Lie> {
    let word = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
    let kind = EndKind::from_code(word(0)).ok_or(Lie("a call ended in no known way"))?;
    let nanoseconds = u64::from(word(12)) << 32 | u64::from(word(8));
    Ok(EntryHead { kind, length: word(4) as usize, nanoseconds })
}

/// A slot's room for inputs.
#[derive(Clone, Copy)]
pub(crate) struct InputArea<'a> {
    region: &'a Region,
    start: usize,
}

impl<'a> InputArea<'a> {
    /// Most calls whose inputs fit, with this many cells each.
    pub(crate) fn cells_capacity(parameters: usize) -> usize {
        SLOT_BYTES / (8 * parameters.max(1))
    }

    /// Writes cells, from cell `first` of the area on.
    ///
    /// # Panics
    ///
    /// When they do not fit.
    pub(crate) fn write_cells(&self, first: usize, cells: &[u64]) {
        assert!((first + cells.len()) * 8 <= SLOT_BYTES, "{} cells from {first} on do not fit", cells.len());
        self.region.write_words(self.start + first * 8, cells);
    }

    /// Starts writing the inputs of exactly `count` calls, as blobs.
    pub(crate) fn blobs(self, count: u32) -> BlobWriter<'a> {
        let bytes = self.start + (count as usize + 1) * 8;
        let writer = BlobWriter { area: self, count, written: 0, bytes, used: 0 };
        writer.set_offset();
        writer
    }

    /// How many of the blobs with these lengths fit, from the first on.
    pub(crate) fn fitting(lengths: impl Iterator<Item = usize>) -> u32 {
        let mut used = 8;
        let fits = lengths.take_while(|length| {
            used += 8 + length;
            used <= SLOT_BYTES
        });
        fits.count() as u32
    }
}

/// Writes blobs one after the other, see [`InputArea::blobs`].
pub(crate) struct BlobWriter<'a> {
    area: InputArea<'a>,
    count: u32,
    written: u32,
    bytes: usize,
    used: usize,
}

impl BlobWriter<'_> {
    /// Appends a blob.
    ///
    /// # Panics
    ///
    /// When more are written than announced, or when they do not fit.
    pub(crate) fn push(&mut self, blob: &[u8]) {
        assert!(self.written < self.count, "more than {} blobs", self.count);
        assert!(self.bytes + self.used + blob.len() <= self.area.start + SLOT_BYTES, "blobs do not fit");
        self.area.region.write(self.bytes + self.used, blob);
        self.used += blob.len();
        self.written += 1;
        self.set_offset();
    }

    fn set_offset(&self) {
        let at = self.area.start + self.written as usize * 8;
        // Relaxed: the order publishes the table.
        self.area.region.word64(at).store(self.used as u64, Ordering::Relaxed);
    }
}
