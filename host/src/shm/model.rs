//! The bell once more, over the model checker's atomics: the same source, in a world where every order is tried.

pub(super) mod atomic {
    pub(in crate::shm) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}
#[path = "futex_model.rs"]
pub(super) mod futex;

#[allow(clippy::duplicate_mod, reason = "once with real atomics, once with the checker's")]
#[path = "bell.rs"]
pub(super) mod bell;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};

use self::bell::Bell;

struct Words {
    epoch: AtomicU32,
    asleep: AtomicU32,
    news: AtomicU32,
}

/// A lost wake-up is a deadlock, which the checker reports.
#[test]
fn no_wake_up_is_lost_between_a_waker_and_a_sleeper() {
    loom::model(|| {
        let words =
            Arc::new(Words { epoch: AtomicU32::new(0), asleep: AtomicU32::new(0), news: AtomicU32::new(0) });
        let waker = {
            let words = Arc::clone(&words);
            loom::thread::spawn(move || {
                for news in 1..=2 {
                    words.news.store(news, Ordering::Release);
                    Bell::new(&words.epoch, &words.asleep).ring();
                }
            })
        };
        let bell = Bell::new(&words.epoch, &words.asleep);
        while words.news.load(Ordering::Acquire) < 2 {
            let announced = bell.announce();
            if words.news.load(Ordering::Acquire) < 2 {
                bell.sleep(announced, std::time::Duration::MAX);
            }
        }
        waker.join().expect("the waker ends");
    });
}
