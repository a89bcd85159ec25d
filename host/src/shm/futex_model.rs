//! A futex for the model checker: the kernel's promise and nothing more.
//!
//! The kernel compares the word and goes to sleep under a lock that `wake_all` also takes; that is all that callers
//! may rely on. There is no time in a model, so a sleep ends only by a wake-up: a lost one is a deadlock, which the
//! checker reports.

use std::time::Duration;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};

loom::lazy_static! {
    static ref KERNEL: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
}

pub(super) fn wait(word: &AtomicU32, expected: u32, _limit: Duration) {
    let Ok(guard) = KERNEL.0.lock() else { return };
    if word.load(Ordering::SeqCst) == expected {
        drop(KERNEL.1.wait(guard));
    }
}

pub(super) fn wake_all(_word: &AtomicU32) {
    drop(KERNEL.0.lock());
    KERNEL.1.notify_all();
}
