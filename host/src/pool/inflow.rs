//! Inputs of calls that are submitted one by one, for a job without an announced end.
//!
//! Inputs are collected on pages; a page goes when all its calls are settled, whatever comes before it, so that one long
//! call holds up neither memory nor those who submit. Each call has a tag, whatever its owner wants to find again.
//!
//! Nobody announces each call to the job, which would cost a lock: the job asks how many there are. Ringing the feeders'
//! bell for each would cost more than the call. A flag says that it was rung and that nobody has looked since:
//!
//! ```text
//! submitter                          whoever looks for work
//! a. announced += 1                  1. rung = false
//! b. swap(rung, true) == false?      2. read announced
//! c.    ring                         3. take what there is, or sleep as the bell has it
//! ```
//!
//! If (b) finds the flag set, then (1) of the next look is still to come, and its (2) sees (a): whoever set the flag
//! rings after that, and all who sleep look.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use super::error::Error;
use super::gate::{Entry, closed};
use super::shared::Shared;
use super::source::{Block, Source, fill_from};
use crate::channel::order::Inputs;
use crate::channel::post::InputArea;

/// Most calls of a page.
const PAGE_CALLS_MAX: usize = 1 << 9;

/// Bytes of inputs after which a page ends.
const PAGE_BYTES_MAX: usize = 1 << 18;

/// How much may be submitted and not settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Calls.
    pub(crate) calls: u64,
    /// Bytes of their inputs; a single input may have more.
    pub(crate) bytes: usize,
}

/// Inputs on their way from those who submit to the workers.
pub(crate) struct Inflow<T> {
    shared: Weak<Shared>,
    /// Cells per call, for tasks of numbers.
    width: Option<usize>,
    bounds: Bounds,
    state: Mutex<State<T>>,
    room: Condvar,
    announced: AtomicU64,
    is_rung: AtomicBool,
}

struct State<T> {
    /// By the index of their first calls.
    pages: BTreeMap<u64, Page<T>>,
    end: u64,
    unsettled: u64,
    bytes: usize,
    /// Those who wait for room.
    waiting: usize,
    is_closed: bool,
    /// Keeps the pool while calls are under way.
    entry: Option<Entry>,
    /// The entry is that of the job, for as long as it runs.
    keeps_entry: bool,
}

struct Page<T> {
    inputs: Arc<Block>,
    tags: Vec<Option<T>>,
    unsettled: u64,
}

impl<T> Inflow<T> {
    /// Inputs for a job, whose `entry` it keeps until it is closed. Without one nobody is in the pool while nothing is
    /// under way, and nothing can be submitted once the pool is shut.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        width: Option<usize>,
        bounds: Bounds,
        entry: Option<Entry>,
    ) -> Arc<Self> {
        let state = State {
            keeps_entry: entry.is_some(),
            pages: BTreeMap::new(),
            end: 0,
            unsettled: 0,
            bytes: 0,
            waiting: 0,
            is_closed: false,
            entry,
        };
        Arc::new(Self {
            shared: Arc::downgrade(shared),
            width,
            bounds,
            state: Mutex::new(state),
            room: Condvar::new(),
            announced: AtomicU64::new(0),
            is_rung: AtomicBool::new(false),
        })
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty block of the right form for a call's input.
    pub(crate) fn block(&self) -> Block {
        Block::new(self.width)
    }

    /// How many calls have been submitted.
    pub(crate) fn submitted(&self) -> u64 {
        self.state().end
    }

    /// Submits one call, as soon as there is room for it; returns its index.
    ///
    /// # Errors
    ///
    /// When nothing can be submitted any more.
    pub(crate) fn push(&self, input: &Block, tag: T) -> Result<u64, Error> {
        let shared = self.shared.upgrade().ok_or_else(closed)?;
        let mut state = self.state();
        while !state.is_closed && !state.has_room(input.bytes(), self.bounds) {
            state.waiting += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        if state.is_closed || (shared.gate.is_shut() && !state.keeps_entry) {
            return Err(closed());
        }
        if state.entry.is_none() {
            state.entry = Some(Entry::new(&shared)?);
        }
        let index = state.append(input, tag, self.width);
        // SYNC inflow: as drawn above. Under the lock, so that it never goes back.
        self.announced.store(state.end, Ordering::SeqCst);
        drop(state);
        if !self.is_rung.swap(true, Ordering::SeqCst) {
            shared.lobby.ring();
        }
        Ok(index)
    }

    /// Takes the tags of calls, where they are left.
    pub(crate) fn take_tags(&self, calls: Range<u64>) -> Vec<Option<T>> {
        let mut state = self.state();
        let mut tags = Vec::with_capacity((calls.end - calls.start) as usize);
        for index in calls {
            let page = state.pages.range_mut(..=index).next_back();
            tags.push(page.and_then(|(first, page)| page.tags.get_mut((index - first) as usize)?.take()));
        }
        tags
    }

    /// Lets nothing more be submitted; returns the tags of the calls that were not settled.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = self.state();
        state.is_closed = true;
        let pages = std::mem::take(&mut state.pages);
        (state.unsettled, state.bytes) = (0, 0);
        let entry = state.entry.take();
        drop(state);
        self.room.notify_all();
        // The last one to leave may end the pool: without the lock.
        drop(entry);
        pages.into_values().flat_map(|page| page.tags).flatten().collect()
    }
}

impl<T> State<T> {
    fn has_room(&self, bytes: usize, bounds: Bounds) -> bool {
        self.unsettled == 0 || (self.unsettled < bounds.calls && self.bytes + bytes <= bounds.bytes)
    }

    fn append(&mut self, input: &Block, tag: T, width: Option<usize>) -> u64 {
        let index = self.end;
        self.end += 1;
        self.unsettled += 1;
        let mut last = self.pages.last_entry();
        let open = last.as_mut().map(|last| (*last.key(), last.get_mut())).and_then(|(first, page)| {
            // The page that was open may be gone; the one before it has ended where that one began.
            let is_open = first + page.tags.len() as u64 == index;
            let has_room = is_open && page.tags.len() < PAGE_CALLS_MAX;
            // While a slot is being filled from it, it stays as it is.
            let inputs = Arc::get_mut(&mut page.inputs).filter(|_| has_room)?;
            (inputs.bytes() < PAGE_BYTES_MAX).then_some((inputs, &mut page.tags, &mut page.unsettled))
        });
        if let Some((inputs, tags, unsettled)) = open {
            let before = inputs.bytes();
            inputs.append(input);
            self.bytes += inputs.bytes() - before;
            tags.push(Some(tag));
            *unsettled += 1;
            return index;
        }
        let mut inputs = Block::new(width);
        inputs.append(input);
        self.bytes += inputs.bytes();
        self.pages.insert(index, Page { inputs: Arc::new(inputs), tags: vec![Some(tag)], unsettled: 1 });
        index
    }

    /// Crosses calls off; returns the entry when none is left.
    fn settle(&mut self, calls: Range<u64>) -> Option<Entry> {
        let mut at = calls.start;
        while at < calls.end {
            let Some((&first, page)) = self.pages.range_mut(..=at).next_back() else { break };
            let end = (first + page.tags.len() as u64).min(calls.end);
            if end <= at {
                break;
            }
            page.unsettled -= end - at;
            self.unsettled -= end - at;
            if page.unsettled == 0 {
                self.bytes -= page.inputs.bytes();
                self.pages.remove(&first);
            }
            at = end;
        }
        if self.unsettled == 0 && !self.keeps_entry { self.entry.take() } else { None }
    }

    /// Whether it is worth waking those who wait for room: they would come back for every single call.
    fn is_roomy(&self, bounds: Bounds) -> bool {
        let has_calls = self.unsettled <= bounds.calls - bounds.calls / 16;
        self.unsettled == 0 || (has_calls && self.bytes <= bounds.bytes - bounds.bytes / 16)
    }
}

impl<T: Send> Source for Arc<Inflow<T>> {
    fn fill(&self, calls: Range<u64>, area: InputArea<'_>) -> (Inputs, u32) {
        let state = self.state();
        let first = state.pages.range(..=calls.start).next_back().map_or(calls.start, |(first, _)| *first);
        let blocks: Vec<(u64, Arc<Block>)> = state
            .pages
            .range(first..calls.end)
            .map(|(first, page)| (*first, Arc::clone(&page.inputs)))
            .collect();
        drop(state);
        fill_from(&blocks, calls, area)
    }

    fn release(&self, _low_water: u64) {}

    fn settled(&self, calls: Range<u64>) {
        let mut state = self.state();
        let entry = state.settle(calls);
        let wakes = state.waiting > 0 && state.is_roomy(self.bounds);
        drop(state);
        if wakes {
            self.room.notify_all();
        }
        // As in `close`.
        drop(entry);
    }

    fn announced(&self) -> u64 {
        // SYNC inflow: as drawn above.
        self.is_rung.store(false, Ordering::SeqCst);
        self.announced.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { calls: 4, bytes: 100 };

    fn state() -> State<u64> {
        State {
            pages: BTreeMap::new(),
            end: 0,
            unsettled: 0,
            bytes: 0,
            waiting: 0,
            is_closed: false,
            entry: None,
            keeps_entry: false,
        }
    }

    fn input(cell: u64) -> Block {
        Block::Cells { width: 1, cells: vec![cell] }
    }

    #[test]
    fn pages_go_when_their_calls_are_settled_whatever_comes_before() {
        let mut state = state();
        let calls = 3 * PAGE_CALLS_MAX as u64;
        (0..calls).for_each(|call| assert_eq!(state.append(&input(call), call, Some(1)), call));
        let page = PAGE_CALLS_MAX as u64;
        assert_eq!(state.pages.keys().copied().collect::<Vec<_>>(), [0, page, 2 * page]);
        state.settle(1..calls - 1);
        assert_eq!(state.pages.keys().copied().collect::<Vec<_>>(), [0, 2 * page]);
        assert_eq!((state.unsettled, state.bytes), (2, 2 * PAGE_CALLS_MAX * 8));
        state.settle(calls - 1..calls);
        state.settle(0..1);
        assert_eq!((state.pages.len(), state.unsettled, state.bytes), (0, 0, 0));
        assert_eq!(state.append(&input(7), 7, Some(1)), calls);
    }

    #[test]
    fn there_is_room_for_so_many_calls_and_bytes_and_always_for_one() {
        let mut state = state();
        assert!(state.has_room(1000, BOUNDS));
        for call in 0..4 {
            assert!(state.has_room(8, BOUNDS));
            state.append(&input(call), call, Some(1));
        }
        assert!(!state.has_room(8, BOUNDS));
        state.settle(2..3);
        assert!(state.has_room(8, BOUNDS));
        assert!(!state.has_room(100, BOUNDS));
    }

    #[test]
    fn an_early_page_is_not_taken_for_the_open_one_that_is_gone() {
        let mut state = state();
        state.append(&input(0), 0, Some(1));
        let read = Arc::clone(&state.pages[&0].inputs);
        state.append(&input(1), 1, Some(1));
        drop(read);
        state.settle(1..2);
        assert_eq!(state.append(&input(2), 2, Some(1)), 2);
        assert_eq!(state.pages.keys().copied().collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn a_page_that_is_being_read_is_left_as_it_is() {
        let mut state = state();
        state.append(&input(1), 1, Some(1));
        let read = Arc::clone(&state.pages[&0].inputs);
        state.append(&input(2), 2, Some(1));
        drop(read);
        state.append(&input(3), 3, Some(1));
        assert_eq!(state.pages.keys().copied().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(state.pages[&1].tags, [Some(2), Some(3)]);
    }
}
