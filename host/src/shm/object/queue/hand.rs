//! What parties have in hand: one line of words for each, which only the party and the mutex's holder change.
//!
//! ```text
//!  0  state   u64   phase, and bit 8: orphaned
//!  8  place   u64   where the item lies
//! 16  order   u64   lower for items that were taken earlier
//! 24  saw     u64   the counter whose change commits the phase, as it was before
//! ```

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use wasmpool_abi::shared::Refusal;

use super::super::atomic::AtomicU64;
use super::super::crash::crash_point;
use super::super::ground::Ground;
use super::super::heap::Place;
use super::super::{Outcome, PARTIES_MAX, Party};

/// A line of the cache each: taking an item does not disturb another party that takes one.
const HAND_BYTES: usize = 64;
const PLACE: usize = 8;
const ORDER: usize = 16;
const SAW: usize = 24;

/// Bytes of all hands.
pub(super) const HANDS_BYTES: usize = PARTIES_MAX * HAND_BYTES;

const ORPHANED: u64 = 1 << 8;

/// What is going on in a hand; see the queue's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Phase {
    /// Nothing is in it.
    Empty = 0,
    /// The head is about to pass the item.
    Taking = 1,
    /// It holds the item.
    Taken = 2,
    /// The item is about to be counted as done.
    Finishing = 3,
    /// The item is about to return to the front.
    Returning = 4,
    /// The item is about to be reported.
    Reporting = 5,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Empty, Self::Taking, Self::Taken, Self::Finishing, Self::Returning, Self::Reporting];
}

/// A hand's state word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// Whoever took the item will not finish with it.
    pub(super) is_orphaned: bool,
}

impl State {
    fn from_word(word: u64) -> Outcome<Self> {
        let phase = Phase::ALL.into_iter().find(|phase| *phase as u64 == word & !ORPHANED);
        let phase = phase.ok_or(Refusal::Poisoned)?;
        Ok(Self { phase, is_orphaned: word & ORPHANED != 0 })
    }

    fn word(self) -> u64 {
        self.phase as u64 | if self.is_orphaned { ORPHANED } else { 0 }
    }
}

/// One party's hand.
#[derive(Clone, Copy)]
pub(crate) struct Hand<'a> {
    ground: &'a Ground,
    offset: usize,
}

impl<'a> Hand<'a> {
    /// The hand of `party`, in the table at `offset`.
    pub(super) fn of(ground: &'a Ground, offset: usize, party: Party) -> Self {
        Self { ground, offset: offset + party.number() * HAND_BYTES }
    }

    /// All hands of the table at `offset`.
    pub(super) fn all(ground: &'a Ground, offset: usize) -> impl Iterator<Item = Self> {
        (1..PARTIES_MAX).map(move |number| Self { ground, offset: offset + number * HAND_BYTES })
    }

    /// Its state.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`] when it is none.
    pub(super) fn state(self) -> Outcome<State> {
        // SYNC hand: the other words of it.
        State::from_word(self.state_word().load(Acquire))
    }

    /// Whether anything in it, in whatever phase, belongs to its party; an orphan belonged to the one before.
    pub(super) fn is_in_use(self) -> bool {
        // Relaxed: asked by the party itself.
        let word = self.state_word().load(Relaxed);
        word != Phase::Empty as u64 && word & ORPHANED == 0
    }

    /// Whether it holds an item that is its party's to deal with.
    pub(super) fn is_taken(self) -> bool {
        // Relaxed: asked by the party itself.
        self.state_word().load(Relaxed) == Phase::Taken as u64
    }

    /// Where the item lies; unchecked.
    pub(super) fn place(self) -> u64 {
        self.word(PLACE).load(Relaxed)
    }

    /// When it was taken, compared with others.
    pub(super) fn order(self) -> u64 {
        self.word(ORDER).load(Relaxed)
    }

    /// The counter that commits the phase, before.
    pub(super) fn saw(self) -> u64 {
        self.word(SAW).load(Relaxed)
    }

    /// Says which item is about to be taken, before the head passes it.
    pub(crate) fn announce(self, place: Place, order: u64, head: u64) {
        self.word(PLACE).store(place.0, Relaxed);
        self.word(ORDER).store(order, Relaxed);
        crash_point!("hand: place written, still empty");
        self.begin(Phase::Taking, false, head);
    }

    /// Enters a phase that a change of the counter `saw` will commit.
    pub(crate) fn begin(self, phase: Phase, is_orphaned: bool, saw: u64) {
        self.word(SAW).store(saw, Relaxed);
        crash_point!("hand: counter noted, phase as before");
        // SYNC hand
        self.state_word().store(State { phase, is_orphaned }.word(), Release);
        crash_point!("hand: phase begun, counter as before");
    }

    /// Enters a phase that needs no commit. Only for a hand that nobody can be orphaning.
    pub(crate) fn settle(self, phase: Phase) {
        // SYNC hand
        self.state_word().store(State { phase, is_orphaned: false }.word(), Release);
    }

    /// Decides a phase that a death left open; the orphan's mark stays, also one that comes meanwhile.
    ///
    /// # Errors
    ///
    /// [`Refusal::Poisoned`] when the state changes again and again, which only a scribbler can do.
    pub(super) fn decide(self, phase: Phase) -> Outcome<()> {
        for _ in 0..4 {
            let from = self.state_word().load(Acquire);
            let is_orphaned = State::from_word(from)?.is_orphaned && phase != Phase::Empty;
            let to = State { phase, is_orphaned }.word();
            // SYNC hand
            if self.state_word().compare_exchange(from, to, AcqRel, Relaxed).is_ok() {
                return Ok(());
            }
        }
        Err(Refusal::Poisoned)
    }

    /// Marks whatever is in it as orphaned. Answers whether there may be something.
    pub(super) fn orphan(self) -> bool {
        if self.state_word().load(Relaxed) == Phase::Empty as u64 {
            return false;
        }
        // SYNC hand: the words of the dead, as the supervisor sees them after the proof of the death.
        self.state_word().fetch_or(ORPHANED, AcqRel);
        true
    }

    fn state_word(self) -> &'a AtomicU64 {
        self.word(0)
    }

    fn word(self, offset: usize) -> &'a AtomicU64 {
        self.ground.word64(self.offset + offset)
    }
}
