//! A word for each party, by which it says what it holds or waits for.
//!
//! Looking through all of them would touch two pages each time; so a mark says up to which number they were ever
//! used. It is raised before a word is first written, never lowered, and believed only as far as the table reaches.

use super::crash::crash_point;
use super::ground::Ground;
use super::{PARTIES_MAX, Party};

use std::sync::atomic::Ordering;

use super::atomic::AtomicU64;

/// Bytes of the words.
pub(super) const BYTES: usize = 8 * PARTIES_MAX;

/// A 64-bit word for each party; all are zero at first.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    ground: &'a Ground,
    mark_at: usize,
    words_at: usize,
}

impl<'a> Table<'a> {
    /// The table whose words begin at `words_at`, and whose 32-bit mark is at `mark_at`.
    pub(super) fn new(ground: &'a Ground, mark_at: usize, words_at: usize) -> Self {
        Self { ground, mark_at, words_at }
    }

    /// The word of `party`.
    pub(super) fn word(self, party: Party) -> &'a AtomicU64 {
        self.ground.word64(self.words_at + 8 * party.number())
    }

    /// The word of `party`, which will be seen by those who look through [`Self::used`] from now on.
    pub(super) fn claim(self, party: Party) -> &'a AtomicU64 {
        let mark = self.ground.word32(self.mark_at);
        let beyond = party.number() as u32 + 1;
        // Relaxed: the caller's store to the word releases the mark along with it. The look first keeps the line shared.
        if mark.load(Ordering::Relaxed) < beyond {
            mark.fetch_max(beyond, Ordering::Relaxed);
            crash_point!("table: marked, word not yet written");
        }
        self.word(party)
    }

    /// All words that were ever used, with their parties.
    pub(super) fn used(self) -> impl Iterator<Item = (Party, &'a AtomicU64)> {
        // Relaxed: whoever must see a word has synchronised with its writer, who raised the mark before.
        let mark = self.ground.word32(self.mark_at).load(Ordering::Relaxed) as usize;
        (1..mark.min(PARTIES_MAX)).filter_map(Party::new).map(move |party| (party, self.word(party)))
    }
}
