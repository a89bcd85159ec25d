//! The worker's end of the channel: it takes orders, claims calls, and hands back what they came to.
//!
//! Everything the desk writes may be read by the supervisor at any moment, and the worker may die between any two
//! stores. So the order of stores is the protocol: a result first, then the count that covers it.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::control::Identity;
use super::ending::EndKind;
use super::layout::{
    ENTRY_BYTES, FAILURE_HEADER_BYTES, SLOT_BYTES, Sleep, VALUE_BYTES_MAX, down, tagged, up,
};
use super::order::{Entry, Inputs, Order, slot_of};
use super::range_word::RangeWord;
use super::request::Request;
use super::ring::{self, Kind, LINE_BYTES_MAX, Stream};
use crate::shm::bell::Bell;
use crate::shm::region::Region;

/// Longest sleep without a look around; wake-ups do not depend on it.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// Longest spin for the next order of a caller who is expected to be back at once.
const SPIN_MAX: Duration = Duration::from_micros(50);

/// Least time between two wake-ups of the feeder for printed lines alone.
const PRINT_WAKE_INTERVAL: Duration = Duration::from_millis(1);

/// What a worker has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Run a chunk.
    Order(Order),
    /// Nothing came within the longest sleep.
    Nothing,
}

/// Where the input of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The one argument itself.
    Number(i64),
    /// This many bytes at this offset of the down region.
    Bytes {
        /// Offset in the down region.
        offset: usize,
        /// Length in bytes.
        length: usize,
    },
}

/// A call as its job knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunningCall {
    /// Number of the job in its pool.
    pub(crate) job: u64,
    /// Index of the call in its job.
    pub(crate) index: u64,
    /// Which attempt it is, from 1 on.
    pub(crate) attempt: u32,
}

/// The worker's end of its two regions.
#[derive(Debug)]
pub(crate) struct Desk {
    identity: Identity,
    down: Arc<Region>,
    up: Arc<Region>,
    /// Generation of the order being served, or last served.
    generation: u32,
    order: Option<Order>,
    /// Calls of the chunk that have ended, from its first on.
    finished: u32,
    /// Next free byte for results, from the start of the slot's results.
    write_at: usize,
    started: Instant,
    last_print_wake: Instant,
    /// Whether a call has slept since the last one began: then the supervisor looks less often.
    has_slept: Cell<bool>,
}

impl Desk {
    /// Sits down between two regions in which no order has been posted yet.
    pub(crate) fn new(down: Region, up: Region) -> Self {
        let now = Instant::now();
        let (down, up) = (Arc::new(down), Arc::new(up));
        Self {
            identity: Identity::default(),
            down,
            up,
            generation: 0,
            order: None,
            finished: 0,
            write_at: 0,
            started: now,
            last_print_wake: now,
            has_slept: Cell::new(false),
        }
    }

    /// The desk of the process that its supervisor calls so.
    pub(crate) fn of(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    /// What the supervisor calls this process.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The call that the progress word names.
    pub(crate) fn running_call(&self) -> RunningCall {
        let call = u64::from(self.begun().unwrap_or(0));
        let call_of =
            |order: Order| RunningCall { job: order.job, index: order.first + call, attempt: order.attempt };
        self.order.map_or(RunningCall { job: 0, index: 0, attempt: 1 }, call_of)
    }

    /// The desk as it is now, for calls that run while one that sits here waits. Whoever lends it does not touch their own
    /// until it is back.
    pub(crate) fn lend(&self) -> Self {
        Self {
            down: Arc::clone(&self.down),
            up: Arc::clone(&self.up),
            has_slept: Cell::new(self.has_slept.get()),
            identity: self.identity.clone(),
            ..*self
        }
    }

    /// The regions, for those who map them elsewhere as well.
    pub(crate) fn regions(&self) -> (&Arc<Region>, &Arc<Region>) {
        (&self.down, &self.up)
    }

    /// Waits for the next order.
    pub(crate) fn next(&mut self) -> Next {
        if self.order.is_some_and(|order| order.hot) && self.spin() {
            return self.accept();
        }
        let announced = self.bell().announce();
        if !self.is_posted() {
            self.bell().sleep(announced, SLEEP_MAX);
        }
        if self.is_posted() { self.accept() } else { Next::Nothing }
    }

    fn bell(&self) -> Bell<'_> {
        Bell::new(self.down.word32(down::DOORBELL), self.up.word32(up::WORKER_ASLEEP))
    }

    fn feeder_bell(&self) -> Bell<'_> {
        Bell::new(self.up.word32(up::FEEDER_BELL), self.up.word32(up::FEEDER_ASLEEP))
    }

    fn is_posted(&self) -> bool {
        let next = self.generation.wrapping_add(1);
        // SYNC order: the fields, the range word and the inputs were written before.
        self.down.word32(down::posted(slot_of(next))).load(Ordering::Acquire) == next
    }

    /// Looks for an order without sleeping, as long as whoever posts it sits on another core.
    fn spin(&self) -> bool {
        let cpu = rustix::thread::sched_getcpu() as u32;
        // Relaxed: a hint; it is wrong for an instant after either side moved.
        self.up.word32(up::WORKER_CPU).store(cpu, Ordering::Relaxed);
        if self.down.word32(down::POSTER_CPU).load(Ordering::Relaxed) == cpu {
            return false;
        }
        let started = Instant::now();
        while started.elapsed() < SPIN_MAX {
            for _ in 0..32 {
                if self.is_posted() {
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        false
    }

    fn accept(&mut self) -> Next {
        self.generation = self.generation.wrapping_add(1);
        let order = Order::read(&self.down, self.generation).expect("the supervisor writes valid orders");
        self.order = Some(order);
        self.finished = 0;
        self.write_at = self.results_start();
        self.started = Instant::now();
        Next::Order(order)
    }

    fn order(&self) -> &Order {
        self.order.as_ref().expect("an order is being served")
    }

    fn slot(&self) -> usize {
        slot_of(self.generation)
    }

    /// First byte behind the fixed part of a chunk's results: the entries, or the batch's cells.
    fn results_start(&self) -> usize {
        let order = self.order();
        match order.entry {
            // The batch knows the width of its results; `set_cells` moves the mark behind them.
            Entry::Batch => 0,
            Entry::Each | Entry::Pull(_) | Entry::Command => order.count as usize * ENTRY_BYTES,
        }
    }

    /// Says how many result cells each call of a batch has, so that failure records go behind them.
    pub(crate) fn set_cells(&mut self, results: usize) {
        self.write_at = failures_start(self.order().count, results);
    }

    /// Claims calls from the front of the chunk: as many of the rest as `wanted(rest)` says, at least one.
    pub(crate) fn claim(&self, wanted: impl Fn(u32) -> u32) -> Option<Range<u32>> {
        RangeWord::new(self.up.word64(up::range(self.slot())), self.generation).claim(wanted)
    }

    /// Names the call that is about to run; the first act after its claim.
    pub(crate) fn begin(&self, call: u32) {
        // Relaxed: the word stands for itself. Whoever reads it after this process has died or stopped reads it
        // through the kernel, which orders it.
        self.up.word64(up::PROGRESS).store(tagged(self.generation, call + 1), Ordering::Relaxed);
        if self.has_slept.take() {
            // So that this call's time begins now, and not when the supervisor would have looked by itself.
            self.feeder_bell().ring();
        }
    }

    /// Generation of the order being served.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Passes a request up, waiting for room while the supervisor is behind.
    pub(crate) fn request(&mut self, request: &Request) {
        for piece in request.to_bytes().chunks(LINE_BYTES_MAX) {
            self.put(Kind::Request, piece);
        }
        // Relaxed: a hint that is looked at before a sleep; the ring itself publishes the request, and the bell this.
        self.up.word32(up::REQUESTS).fetch_add(1, Ordering::Relaxed);
        self.feeder_bell().ring();
    }

    /// Waits until the call that has asked for it is parked, so that nothing but what it waits for is to be served.
    pub(crate) fn wait_until_parked(&self) {
        // SYNC parked: what stood in the other slot was taken back before.
        self.wait_for(|desk| desk.down.word32(down::PARKED).load(Ordering::Acquire) == desk.generation);
    }

    /// Which call the progress word names; after a trap inside the driver, the one that trapped.
    pub(crate) fn begun(&self) -> Option<u32> {
        // Relaxed: this process wrote it, the driver through another mapping of the same page.
        super::layout::untag(self.up.word64(up::PROGRESS).load(Ordering::Relaxed), self.generation)?
            .checked_sub(1)
    }

    /// Says that no call is running.
    pub(crate) fn rest(&self) {
        self.up.word64(up::PROGRESS).store(0, Ordering::Relaxed);
    }

    /// Says that the running call is about to sleep on the object of this grant, and has the supervisor look.
    pub(crate) fn block_on(&self, grant: usize) {
        let word = self.up.word32(up::BLOCKED_ON);
        // Relaxed: the word stands for itself, and the bell publishes it.
        word.store(Sleep(word.load(Ordering::Relaxed)).next(grant).0, Ordering::Relaxed);
        self.has_slept.set(true);
        self.feeder_bell().ring();
    }

    /// Says whether an initializer runs, before the call that has begun.
    pub(crate) fn note_initializing(&self, runs: bool) {
        // Relaxed: as the progress word, it is read when this process is dead.
        self.up.word32(up::INITIALIZING).store(u32::from(runs), Ordering::Relaxed);
    }

    /// Says which host function a guest has entered.
    #[inline]
    pub(crate) fn note_host_call(&self, number: u32) {
        // Relaxed: as the progress word, it is read when this process is dead.
        self.up.word32(up::HOST_CALL).store(number, Ordering::Relaxed);
    }

    /// Says that the running call sleeps no more.
    pub(crate) fn unblock(&self) {
        let word = self.up.word32(up::BLOCKED_ON);
        word.store(Sleep(word.load(Ordering::Relaxed)).over().0, Ordering::Relaxed);
    }

    /// What the driver adds a call's number plus one to, to name it in the progress word.
    pub(crate) fn progress_tag(&self) -> i64 {
        tagged(self.generation, 0) as i64
    }

    /// Where the input of a call is.
    pub(crate) fn input(&self, call: u32, parameters: usize) -> Input {
        let order = self.order();
        let start = down::inputs(self.slot());
        match order.inputs {
            Inputs::Range { start } => Input::Number(start.wrapping_add(i64::from(call))),
            Inputs::Cells => {
                let length = parameters * 8;
                Input::Bytes { offset: start + call as usize * length, length }
            }
            Inputs::Blobs => {
                let table = start + call as usize * 8;
                // Relaxed: published by the order.
                let offset = |at| self.down.word64(at).load(Ordering::Relaxed) as usize;
                let (from, to) = (offset(table), offset(table + 8));
                let bytes = start + (order.count as usize + 1) * 8;
                Input::Bytes { offset: bytes + from, length: to - from }
            }
        }
    }

    /// Hands back what a separately run call came to.
    ///
    /// A result that is larger than it may be is replaced by a failure that says so. Waits while the supervisor makes
    /// room.
    pub(crate) fn end(&mut self, call: u32, kind: EndKind, bytes: &[u8], nanoseconds: u64) {
        let most = self.result_bytes_max();
        if kind == EndKind::Returned && bytes.len() > most {
            let text = format!("result too large: {} bytes, at most {most} are allowed", bytes.len());
            let mut detail = Vec::new();
            super::ending::Detail::message(text).write(&mut detail);
            return self.end(call, EndKind::ResultTooLarge, &detail, nanoseconds);
        }
        self.make_room(bytes.len());
        let results = up::results(self.slot());
        self.up.write(results + self.write_at, bytes);
        self.write_at += bytes.len();
        let mut entry = [0; ENTRY_BYTES];
        entry[..4].copy_from_slice(&(kind as u32).to_le_bytes());
        entry[4..8].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        entry[8..].copy_from_slice(&nanoseconds.to_le_bytes());
        self.up.write(results + call as usize * ENTRY_BYTES, &entry);
        self.finish(call + 1);
    }

    /// Hands back the failure of a call inside a batch, whose cells hold nothing for it.
    pub(crate) fn fail_in_batch(&mut self, call: u32, kind: EndKind, detail: &[u8], results: usize) {
        if self.write_at + FAILURE_HEADER_BYTES + detail.len() > SLOT_BYTES {
            self.wait_until_taken();
            self.write_at = failures_start(self.order().count, results);
        }
        let mut header = [0; FAILURE_HEADER_BYTES];
        header[..4].copy_from_slice(&(kind as u32).to_le_bytes());
        header[4..8].copy_from_slice(&(detail.len() as u32).to_le_bytes());
        header[8..].copy_from_slice(&u64::from(call).to_le_bytes());
        let at = up::results(self.slot()) + self.write_at;
        self.up.write(at, &header);
        self.up.write(at + FAILURE_HEADER_BYTES, detail);
        self.write_at += FAILURE_HEADER_BYTES + detail.len();
        let bytes = self.write_at - failures_start(self.order().count, results);
        // Relaxed: `finish` publishes it together with the record.
        self.up.word64(up::failure_bytes(self.slot())).store(bytes as u64, Ordering::Relaxed);
        self.finish(call + 1);
    }

    /// Most bytes of a result: never more than its slot has room for, which details of failures always fit.
    pub(crate) fn result_bytes_max(&self) -> usize {
        match self.order().entry {
            Entry::Pull(_) | Entry::Command => {
                usize::try_from(self.order().result_bytes_max).unwrap_or(usize::MAX)
            }
            // As long as the task's type says: a few thousand bytes at the most.
            Entry::Batch | Entry::Each => VALUE_BYTES_MAX,
        }
        .min(VALUE_BYTES_MAX)
    }

    /// Says that all calls below `count` have ended and that their results are in place.
    pub(crate) fn finish(&mut self, count: u32) {
        self.finished = count;
        // SYNC done: results are in place before they are counted.
        self.up.word64(up::finished(self.slot())).store(tagged(self.generation, count), Ordering::Release);
    }

    /// Ends the chunk: no call of it is left to claim.
    pub(crate) fn end_chunk(&self) {
        self.rest();
        let slot = self.slot();
        let busy = self.started.elapsed().as_nanos() as u64;
        // Relaxed: a measurement, published by `ended`.
        self.up.word64(up::busy_ns(slot)).store(busy, Ordering::Relaxed);
        // SYNC done: everything about the chunk is in place before it is called ended.
        self.up.word32(up::ended(slot)).store(self.generation, Ordering::Release);
        self.feeder_bell().ring();
    }

    /// Passes one line up, waiting for room while the supervisor is behind.
    ///
    /// Lines longer than the ring takes are cut.
    pub(crate) fn print(&mut self, stream: Stream, line: &[u8]) {
        let mut pieces = line.chunks(LINE_BYTES_MAX);
        // An empty line is a line, too.
        let first = pieces.next().unwrap_or_default();
        for piece in std::iter::once(first).chain(pieces) {
            self.put(Kind::Line(stream), piece);
        }
        if ring::is_half_full(&self.up, &self.down) || self.last_print_wake.elapsed() >= PRINT_WAKE_INTERVAL {
            self.feeder_bell().ring();
            self.last_print_wake = Instant::now();
        }
    }

    fn put(&self, kind: Kind, piece: &[u8]) {
        while !ring::push(&self.up, &self.down, kind, piece) {
            self.wait_for(|desk| {
                desk.feeder_bell().ring();
                !ring::is_half_full(&desk.up, &desk.down)
            });
        }
    }

    fn make_room(&mut self, bytes: usize) {
        if self.write_at + bytes > SLOT_BYTES {
            self.wait_until_taken();
            self.write_at = self.results_start();
        }
    }

    /// Waits until the supervisor has taken all results that are finished, so that their room may be used again.
    fn wait_until_taken(&self) {
        let slot = self.slot();
        let wanted = tagged(self.generation, self.finished);
        // SYNC done: everything finished is visible before the slot is called full. The count tells the supervisor
        // which fullness it has already relieved: without it, one that looks again too early would take the room
        // back that this side has begun to write to.
        self.up.word64(up::full(slot)).store(wanted, Ordering::Release);
        self.feeder_bell().ring();
        // SYNC taken: the supervisor has copied the results before it says so.
        self.wait_for(|desk| desk.down.word64(down::taken(slot)).load(Ordering::Acquire) == wanted);
        self.up.word64(up::full(slot)).store(0, Ordering::Relaxed);
    }

    /// Sleeps until `ready`. The supervisor's death ends this process, so the wait is as long as the supervisor's
    /// own.
    fn wait_for(&self, ready: impl Fn(&Self) -> bool) {
        while !ready(self) {
            let announced = self.bell().announce();
            if !ready(self) {
                self.bell().sleep(announced, SLEEP_MAX);
            }
        }
    }
}

/// First byte of a batch's failure records, from the start of the slot's results.
pub(crate) fn failures_start(count: u32, results: usize) -> usize {
    count as usize * results * 8
}
