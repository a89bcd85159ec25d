//! Sleeping on a word of memory until another thread or process changes it.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::fs::Timespec;
use rustix::thread::futex::{self, Flags};

/// Sleeps while `word` holds `expected`, at most `limit` long.
///
/// Returns on a wake-up, on a changed word, after the limit, on a signal and for no reason at all: the caller looks
/// again. The futex is a shared one, so that the word may lie in memory mapped by several processes.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Duration) {
    let timeout = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
    // Every error means that the caller should look again: changed (AGAIN), too late (TIMEDOUT), a signal (INTR).
    let _ = futex::wait(word, Flags::empty(), expected, Some(&timeout));
}

/// Wakes one of those who sleep on `word`, in whatever process.
pub(crate) fn wake_one(word: &AtomicU32) {
    // As in `wake_all`.
    let _ = futex::wake(word, Flags::empty(), 1);
}

/// Wakes everyone who sleeps on `word`, in all processes that map it.
pub(crate) fn wake_all(word: &AtomicU32) {
    // It fails only for an address that cannot be read, which a reference rules out.
    let _ = futex::wake(word, Flags::empty(), i32::MAX as u32);
}
