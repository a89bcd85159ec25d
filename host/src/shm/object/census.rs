//! Who can hold something: what the supervisor knows about parties, and what no page can say.
//!
//! The word of a mutex names its holder, and a holder that does nothing is waited for, because it may be stopped. So a
//! word that somebody scribbled on would cost each who comes as long as a stopped process. The supervisor can do
//! better, for some holders at least: it gave out the numbers of all parties, it knows who was granted the object,
//! and it knows of its own threads whether they are inside of anything.
//!
//! # Why nobody is robbed
//!
//! A judgement takes three looks: at the census, which says that the party holds nothing now and gives a stamp; at the
//! word, which still names the party; at the census again, which says the same and gives the same stamp. A stamp is
//! never given twice if the party can have held something between. So at the instant of the second look the word was
//! a lie: nobody who is alive, running or stopped, is behind it. A party that comes and goes between two looks is in
//! the stamp, not in what the looks see.
//!
//! Of a worker that lives and was granted the object nothing is known: it may be stopped inside. It is waited for.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{PARTIES_MAX, Party};

/// What a party may hold of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// The object's own mutex, for the few instructions of a change.
    Mutex,
    /// The lock that users take, for as long as they like.
    Lock,
}

/// How things stood when a party held nothing; another one as soon as it can have held something since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Parties that ever came, or were granted an object.
    pub(crate) arrivals: u64,
    /// How often the party has gone into something.
    pub(crate) visits: u32,
}

/// What is known about the parties of one object.
pub(crate) trait Census: Debug + Send + Sync {
    /// A stamp if the party is known to hold nothing of this sort; nothing if it may.
    fn absent(&self, party: Party, held: Held) -> Option<Stamp>;
}

/// A party's being inside of an object, or about to be; dropping this ends it.
pub(super) struct Visit(Party);

/// A line of the cache each: a thread's visits disturb no other.
#[repr(align(64))]
struct Count(AtomicU32);

/// Of each party of this process how often it went into a mutex and out again, as far as there is a census: odd while
/// it is inside.
static VISITS: [Count; PARTIES_MAX] = [const { Count(AtomicU32::new(0)) }; PARTIES_MAX];

impl Visit {
    /// Notes that a party of this process is about to take an object's mutex. It takes one at a time.
    #[inline]
    pub(super) fn begin(party: Party) -> Self {
        let count = &VISITS[party.number()].0;
        // Plain stores: nobody else writes it. Relaxed: the mutex's word releases it.
        count.store(count.load(Ordering::Relaxed).wrapping_add(1) | 1, Ordering::Relaxed);
        Self(party)
    }
}

impl Drop for Visit {
    #[inline]
    fn drop(&mut self) {
        let count = &VISITS[self.0.number()].0;
        // SYNC visits: the mutex was given back before; who finds the visit over finds that.
        count.store((count.load(Ordering::Relaxed) | 1).wrapping_add(1), Ordering::Release);
    }
}

/// How often a party of this process went in and out; nothing while it is inside.
pub(crate) fn visits(party: Party) -> Option<u32> {
    // SYNC visits
    Some(VISITS[party.number()].0.load(Ordering::Acquire)).filter(|visits| visits % 2 == 0)
}
