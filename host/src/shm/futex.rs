//! Sleeping on a word of memory until another thread or process changes it.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::fs::Timespec;
use rustix::thread::ClockId;
use rustix::thread::futex::{self, Flags, Wait, WaitFlags, WaitPtr, WaitvFlags};

/// Most words that one can sleep on at once; the kernel's limit.
pub(crate) const WORDS_MAX: usize = 128;

/// Sleeps while `word` holds `expected`, at most `limit` long.
///
/// Returns on a wake-up, on a changed word, after the limit, on a signal and for no reason at all: the caller looks
/// again. The futex is a shared one, so that the word may lie in memory mapped by several processes.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Duration) {
    let timeout = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
    // Every error means that the caller should look again: changed (AGAIN), too late (TIMEDOUT), a signal (INTR).
    let _ = futex::wait(word, Flags::empty(), expected, Some(&timeout));
}

/// Sleeps while each of up to [`WORDS_MAX`] words holds what is expected of it, at most `limit` long.
///
/// Returns as [`wait`] does. On a kernel without this call (before Linux 5.16) it sleeps on the first word for a
/// millisecond, so that the caller looks from time to time.
pub(crate) fn wait_any(words: &[(&AtomicU32, u32)], limit: Duration) {
    let waits: Vec<Wait> =
        words.iter().take(WORDS_MAX).map(|(word, expected)| shared(word, *expected)).collect();
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    let now = Duration::new(now.tv_sec as u64, now.tv_nsec as u32);
    let until = now.saturating_add(limit);
    let until = Timespec { tv_sec: until.as_secs() as i64, tv_nsec: i64::from(until.subsec_nanos()) };
    let slept = futex::waitv(&waits, WaitvFlags::empty(), Some(&until), ClockId::Monotonic);
    if let (Err(rustix::io::Errno::NOSYS), Some((word, expected))) = (slept, words.first()) {
        wait(word, *expected, limit.min(Duration::from_millis(1)));
    }
}

fn shared(word: &AtomicU32, expected: u32) -> Wait {
    let mut wait = Wait::new();
    wait.val = u64::from(expected);
    wait.uaddr = WaitPtr::new(word.as_ptr().cast());
    wait.flags = WaitFlags::SIZE_U32;
    wait
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
