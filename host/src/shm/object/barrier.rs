//! Barriers: a meeting of a fixed number of parties.
//!
//! ```text
//!   8  state   u64   bits 0..16 arrived, bit 16 broken, bits 17..64 round
//!  16  mark    u32   see `table`
//! 192  seats   u64 for each party: bit 0 joined, bit 1 waiting, bit 2 turned away, bits 17..64 round
//! ```
//!
//! | state | by | becomes |
//! |---|---|---|
//! | round r, n arrived | one who arrives, n + 1 < parties | round r, n + 1 arrived |
//! | round r, n arrived | one who arrives, n + 1 = parties | round r + 1, nobody arrived |
//! | round r, any | abort, a time-out in round r, a death | round r, broken |
//! | round r, broken | the end of a reset that found round r | round r + 1, nobody arrived |
//!
//! Each is one store, without a mutex; so a round is complete for all of its parties at one instant, and whoever dies
//! leaves nothing half done. The number that had arrived before is the index, as in Python.
//!
//! One who waits in round r looks at the state: still r, wait on, or broken; another round, and r is over. But was it
//! completed, or reset? Any number of rounds may have passed meanwhile, so that the state cannot tell. Therefore one
//! who waits takes a *seat* first, its own word with the round; and a reset first breaks the round, so that nobody
//! arrives any more, then turns away everyone who sits in it, and only then begins the next round. A reset that dies
//! half-way leaves a broken barrier, which is what its death makes of it anyway.
//!
//! A party *joins* when a call of it opens the barrier: whoever joined and dies, or ends abnormally, breaks it for
//! those who wait and for those who come later, until a reset. No acknowledgement of those who were woken is waited
//! for: Python hangs on one that was killed.

use std::sync::atomic::Ordering;

use wasmpool_abi::shared::Refusal;

use super::atomic::AtomicU64;
use super::crash::crash_point;
use super::ground::{Ground, header};
use super::patience::Patience;
use super::table::{self, Table};
use super::{CallEnd, Outcome, PARTIES_MAX, Party};

/// Bytes of the region.
pub(crate) const BYTES: usize = 4 * super::ground::PAGE_BYTES;

/// Where the state is.
pub(super) const STATE: usize = 8;
/// Where the table's mark is.
pub(super) const MARK: usize = 16;
const SEATS: usize = header::BYTES;
const _: () = assert!(SEATS + table::BYTES <= BYTES);

const ROUND_SHIFT: u32 = 17;

/// The state of a barrier; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u64);

impl State {
    const ARRIVED: u64 = 0xffff;
    const BROKEN: u64 = 1 << 16;

    fn round(self) -> u64 {
        self.0 >> ROUND_SHIFT
    }

    fn arrived(self) -> u32 {
        (self.0 & Self::ARRIVED) as u32
    }

    fn is_broken(self) -> bool {
        self.0 & Self::BROKEN != 0
    }

    /// Once one more has arrived, of `parties`.
    fn with_arrival(self, parties: u32) -> Self {
        if self.arrived() + 1 == parties { self.next_round() } else { Self(self.0 + 1) }
    }

    /// The next round, in which nobody has arrived. After the last there can be, it is the first again.
    fn next_round(self) -> Self {
        Self((self.round() + 1) << ROUND_SHIFT)
    }
}

/// The word of a party; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seat(u64);

impl Seat {
    const JOINED: Self = Self(1);
    const WAITING: u64 = 2;
    const TURNED_AWAY: u64 = 4;

    fn waiting(round: u64) -> Self {
        Self(round << ROUND_SHIFT | Self::WAITING | Self::JOINED.0)
    }

    fn turned_away(round: u64) -> Self {
        Self(round << ROUND_SHIFT | Self::TURNED_AWAY | Self::JOINED.0)
    }

    fn is_waiting(self) -> bool {
        self.0 & Self::WAITING != 0
    }
}

/// A meeting of a fixed number of parties.
#[derive(Debug)]
pub(crate) struct Barrier {
    ground: Ground,
    parties: u32,
}

impl Barrier {
    /// A barrier on `ground` for so many parties, at least one.
    pub(crate) fn open(ground: Ground, parties: u32) -> Self {
        Self { ground, parties }
    }

    /// Its pages.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// How many meet.
    pub(crate) fn parties(&self) -> u32 {
        self.parties
    }

    /// Says that a call of `party` takes part: if it ends abnormally, the barrier breaks.
    ///
    /// Whoever may only look at the barrier cannot take part, and is not missed.
    ///
    /// # Errors
    ///
    /// What [`Ground::check`] says.
    pub(crate) fn join(&self, party: Party) -> Outcome<()> {
        self.ground.check()?;
        if self.ground.is_writable() {
            self.table().claim(party).fetch_or(Seat::JOINED.0, Ordering::AcqRel);
            crash_point!("barrier: joined");
        }
        Ok(())
    }

    /// Waits for all parties; answers the index of this one, 0 to parties - 1, each once in a round.
    ///
    /// Whoever waits has joined.
    ///
    /// # Errors
    ///
    /// [`Refusal::Broken`] if it is or gets broken, also by this party's own time being over before all are there. What
    /// [`Ground::check_writable`] and the notice say; if it is the notice, the barrier breaks for the others.
    pub(crate) fn wait(&self, party: Party, patience: &Patience<'_>) -> Outcome<u32> {
        self.ground.check_writable()?;
        let seat = self.table().claim(party);
        let arrived = self.arrive(seat);
        let met = match arrived {
            Ok(state) => self.meet(seat, state, patience).map(|()| state.arrived()),
            Err(refusal) => Err(refusal),
        };
        // Relaxed: whoever still takes it for occupied finds that its mark comes too late.
        seat.store(Seat::JOINED.0, Ordering::Relaxed);
        crash_point!("barrier: seat left");
        met
    }

    /// Breaks it.
    ///
    /// # Errors
    ///
    /// What [`Ground::check_writable`] says.
    pub(crate) fn abort(&self) -> Outcome<()> {
        self.ground.check_writable()?;
        self.break_it();
        self.ring();
        Ok(())
    }

    /// Makes it whole again; those who wait find it broken. Nothing happens if it is whole and nobody waits.
    ///
    /// # Errors
    ///
    /// What [`Ground::check_writable`] says.
    pub(crate) fn reset(&self, _party: Party) -> Outcome<()> {
        self.ground.check_writable()?;
        let state = self.state();
        let round = state.round();
        crash_point!("barrier: looked at for a reset");
        // In a round that was completed at the last instant, nobody may be turned away.
        if (!state.is_broken() && state.arrived() == 0) || !self.break_round(round) {
            return Ok(());
        }
        for (_, seat) in self.table().used() {
            // When it fails, its owner has got up, or is about to: it did not arrive in this round, which is broken.
            // SYNC barrier seat: published by the next round, below.
            let _ = seat.compare_exchange(
                Seat::waiting(round).0,
                Seat::turned_away(round).0,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            crash_point!("barrier: round broken, some turned away");
        }
        // SYNC barrier: whoever finds the round over finds its seat marked. Another reset may have been faster.
        let _ = self.word().fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let state = State(word);
            (state.round() == round && state.is_broken()).then_some(state.next_round().0)
        });
        crash_point!("barrier: reset, nobody woken");
        self.ring();
        Ok(())
    }

    /// Whether it is broken.
    ///
    /// # Errors
    ///
    /// What [`Ground::check`] says.
    pub(crate) fn is_broken(&self) -> Outcome<bool> {
        self.ground.check()?;
        Ok(self.state().is_broken())
    }

    /// How many wait: none once it is broken.
    ///
    /// # Errors
    ///
    /// What [`Ground::check`] says.
    pub(crate) fn waiting(&self) -> Outcome<u32> {
        self.ground.check()?;
        let state = self.state();
        Ok(if state.is_broken() { 0 } else { state.arrived().min(self.parties) })
    }

    /// Forgets a call of `party` that ends; breaks the barrier if it ends abnormally.
    pub(crate) fn end_call(&self, party: Party, end: CallEnd) {
        if !self.ground.is_writable() {
            return;
        }
        let seat = Seat(self.table().word(party).swap(0, Ordering::AcqRel));
        if seat.is_waiting() || (end == CallEnd::Abnormal && seat != Seat(0)) {
            self.break_it();
            self.ring();
        }
    }

    /// Breaks the barrier if a dead party took part, and wakes everyone.
    pub(crate) fn bury(&self, party: Party) {
        self.end_call(party, CallEnd::Abnormal);
        self.ground.bury(party);
    }

    /// Arrives; answers the state that this party found. Its seat is taken in the same round.
    fn arrive(&self, seat: &AtomicU64) -> Outcome<State> {
        // Repeated only while others arrive, break or reset.
        loop {
            let state = self.state();
            if state.is_broken() {
                return Err(Refusal::Broken);
            }
            if state.arrived() as usize >= (self.parties as usize).min(PARTIES_MAX) {
                return Err(self.ground.poison());
            }
            // SYNC barrier seat: released by the arrival; a reset that finds the arrival finds the seat.
            seat.store(Seat::waiting(state.round()).0, Ordering::Relaxed);
            crash_point!("barrier: seat taken, not arrived");
            let next = state.with_arrival(self.parties);
            // SYNC barrier: what each party did before it arrived is visible to all once the round is over.
            if self.word().compare_exchange(state.0, next.0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                crash_point!("barrier: arrived, nobody woken");
                return Ok(state);
            }
        }
    }

    /// Waits until the round is over in which this party arrived when the state was `arrival`.
    fn meet(&self, seat: &AtomicU64, arrival: State, patience: &Patience<'_>) -> Outcome<()> {
        let round = arrival.round();
        if arrival.with_arrival(self.parties).round() != round {
            self.ring();
            return Ok(());
        }
        let met = patience.wait_for(self.ground.bell(header::BELL_A), || self.look(seat, round));
        match met {
            Ok(()) | Err(Refusal::Broken | Refusal::Poisoned) => met,
            Err(refusal) => {
                crash_point!("barrier: about to give up");
                self.give_up(seat, round, refusal)
            }
        }
    }

    /// Breaks the round, because the arrival cannot be taken back: others have their indices.
    fn give_up(&self, seat: &AtomicU64, round: u64, why: Refusal) -> Outcome<()> {
        self.break_round(round);
        self.ring();
        match self.look(seat, round) {
            // It was completed at the last instant.
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(self.ground.poison()),
            // Who is impatient finds it broken like everyone else, as in Python.
            Err(refusal) => Err(if why == Refusal::TimedOut { refusal } else { why }),
        }
    }

    /// Whether the round is over, for one who arrived in it.
    fn look(&self, seat: &AtomicU64, round: u64) -> Outcome<Option<()>> {
        self.ground.check()?;
        let state = self.state();
        if state.round() == round {
            return if state.is_broken() { Err(Refusal::Broken) } else { Ok(None) };
        }
        // SYNC barrier seat: a reset marked it before it began the next round, which was seen above.
        match Seat(seat.load(Ordering::Relaxed)) {
            seat if seat == Seat::waiting(round) => Ok(Some(())),
            seat if seat == Seat::turned_away(round) => Err(Refusal::Broken),
            _ => Err(self.ground.poison()),
        }
    }

    /// Breaks whatever round there is.
    fn break_it(&self) {
        self.word().fetch_or(State::BROKEN, Ordering::AcqRel);
        crash_point!("barrier: broken, nobody woken");
    }

    /// Breaks this round; answers whether it is broken, which it cannot be if it is over.
    fn break_round(&self, round: u64) -> bool {
        // Repeated only while others arrive.
        let broken = self.word().fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            (State(word).round() == round).then_some(word | State::BROKEN)
        });
        crash_point!("barrier: broken, nobody woken");
        broken.is_ok()
    }

    fn ring(&self) {
        self.ground.bell(header::BELL_A).ring();
    }

    fn word(&self) -> &AtomicU64 {
        self.ground.word64(STATE)
    }

    fn state(&self) -> State {
        // SYNC barrier: acquires what all parties did before they arrived, and what a reset wrote.
        State(self.word().load(Ordering::Acquire))
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.ground, MARK, SEATS)
    }
}
