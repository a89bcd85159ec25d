//! The bell: one rule for every sleep and every wake-up.
//!
//! Two words, wherever they lie: an `epoch`, on which the sleeper sleeps, and an `asleep` flag, by which it says
//! that it may be sleeping. Nobody makes a system call while nobody sleeps.
//!
//! ```text
//! sleeper                              waker
//! 1. read epoch                        a. publish what the sleeper looks for
//! 2. asleep = 1                        b. fence
//! 3. fence                             c. swap(asleep, 0) == 1?
//! 4. look once more; found: done       d.    epoch += 1, wake
//! 5. futex wait while epoch as in 1
//! ```
//!
//! Either the waker's (c) sees the flag of (2), or, by the two fences, the look in (4) sees what (a) published. When
//! (c) sees the flag, (d) changes the epoch after (1) read it, so that (5) returns at once or is woken.
//!
//! The order that fails: reading the epoch *after* the look. The waker may then publish, find the flag and raise the
//! epoch between the look and the read, and the sleeper sleeps on the new epoch with nobody left to raise it. Also
//! failing: a waker that raises the epoch first and then asks whether anyone sleeps.
//!
//! (d) releases and (1) acquires, so that (c) of one wake-up cannot clear the flag of a sleeper whom that wake-up has
//! already woken and who has announced itself again: with relaxed epochs the model checker finds exactly that, and
//! the next wake-up is lost.
//!
//! Several sleepers may share a bell: the first wake-up wakes all, each looks again, and those who find nothing set
//! the flag again.

use std::time::Duration;

use super::atomic::{AtomicU32, Ordering, fence};
use super::futex;

/// Two words to sleep and wake on; see the module.
#[derive(Clone, Copy)]
pub(crate) struct Bell<'a> {
    epoch: &'a AtomicU32,
    asleep: &'a AtomicU32,
}

/// Proof that a sleeper has announced itself; it must look once more before it spends this on [`Bell::sleep`].
pub(crate) struct Announced {
    epoch: u32,
}

impl<'a> Bell<'a> {
    /// A bell over two words, which everyone who sleeps or wakes must use in the same roles.
    pub(crate) fn new(epoch: &'a AtomicU32, asleep: &'a AtomicU32) -> Self {
        Self { epoch, asleep }
    }

    /// Says that this thread is about to sleep. What is published from now on wakes it.
    pub(crate) fn announce(self) -> Announced {
        // SYNC bell epoch: a waker that made this epoch has cleared the flag before; it cannot clear the one below.
        let epoch = self.epoch.load(Ordering::Acquire);
        self.asleep.store(1, Ordering::Relaxed);
        // SYNC bell: the flag is visible before the sleeper looks once more.
        fence(Ordering::SeqCst);
        Announced { epoch }
    }

    /// Sleeps until the bell rings, unless it has rung since `announced`; at most `limit` long.
    pub(crate) fn sleep(self, announced: Announced, limit: Duration) {
        futex::wait(self.epoch, announced.epoch, limit);
    }

    /// The word to sleep on and what it held at the announcement, for one who sleeps on several bells at once.
    pub(crate) fn word(self, announced: &Announced) -> (&'a AtomicU32, u32) {
        (self.epoch, announced.epoch)
    }

    /// Wakes whoever sleeps, after the caller has published what they look for.
    ///
    /// Returns whether anyone was asleep, in which case the call cost a system call.
    pub(crate) fn ring(self) -> bool {
        // SYNC bell: what was published is visible before the flag is looked at.
        fence(Ordering::SeqCst);
        // A plain look first: a swap would take the line from a partner that is awake, each time.
        if self.asleep.load(Ordering::Relaxed) == 0 {
            return false;
        }
        // Relaxed: the fences order the flag and what was published.
        if self.asleep.swap(0, Ordering::Relaxed) == 0 {
            return false;
        }
        // SYNC bell epoch: the flag is cleared before the epoch is seen to have changed.
        self.epoch.fetch_add(1, Ordering::Release);
        futex::wake_all(self.epoch);
        true
    }

    /// Wakes whoever sleeps or is about to, whatever the flag says.
    ///
    /// For news about a process that may have scribbled on the flag, or died before it could be trusted.
    pub(crate) fn ring_always(self) {
        fence(Ordering::SeqCst);
        self.asleep.store(0, Ordering::Relaxed);
        // SYNC bell epoch: as in `ring`.
        self.epoch.fetch_add(1, Ordering::Release);
        futex::wake_all(self.epoch);
    }
}
