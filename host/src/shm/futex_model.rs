//! A futex for the model checker: the kernel's promise and nothing more.
//!
//! The kernel compares the word and goes to sleep under a lock that a wake-up also takes; that is all that callers
//! may rely on. There is no time in a model: a sleep with a limit of nothing may end at any moment, having used up a
//! wake-up or not; any other ends only by a wake-up, so that a lost one is a deadlock, which the checker reports.

use std::collections::VecDeque;
use std::ptr::from_ref;
use std::time::Duration;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};

/// Who sleeps, the longest first: a number of the sleep, and the address of the word.
#[derive(Default)]
struct Asleep {
    sleeps: u64,
    queue: VecDeque<(u64, usize)>,
}

loom::lazy_static! {
    static ref KERNEL: (Mutex<Asleep>, Condvar) = (Mutex::new(Asleep::default()), Condvar::new());
}

pub(in crate::shm) fn wait(word: &AtomicU32, expected: u32, limit: Duration) {
    let Ok(mut asleep) = KERNEL.0.lock() else { return };
    if word.load(Ordering::SeqCst) != expected {
        return;
    }
    asleep.sleeps += 1;
    let sleep = asleep.sleeps;
    asleep.queue.push_back((sleep, address(word)));
    if limit.is_zero() {
        drop(asleep);
        loom::thread::yield_now();
        let Ok(mut asleep) = KERNEL.0.lock() else { return };
        asleep.queue.retain(|(other, _)| *other != sleep);
        return;
    }
    while asleep.queue.iter().any(|(other, _)| *other == sleep) {
        let Ok(again) = KERNEL.1.wait(asleep) else { return };
        asleep = again;
    }
}

pub(in crate::shm) fn wake_one(word: &AtomicU32) {
    let Ok(mut asleep) = KERNEL.0.lock() else { return };
    if let Some(first) = asleep.queue.iter().position(|(_, on)| *on == address(word)) {
        asleep.queue.remove(first);
    }
    KERNEL.1.notify_all();
}

pub(in crate::shm) fn wake_all(word: &AtomicU32) {
    let Ok(mut asleep) = KERNEL.0.lock() else { return };
    asleep.queue.retain(|(_, on)| *on != address(word));
    KERNEL.1.notify_all();
}

fn address(word: &AtomicU32) -> usize {
    from_ref(word).addr()
}
