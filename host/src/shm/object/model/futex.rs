//! The futex of the model, out of whose sleep one may not come alive.

use std::time::Duration;

use super::atomic::AtomicU32;
use super::crash::crash_point;
use crate::shm::model::futex;

pub(super) use crate::shm::model::futex::{wake_all, wake_one};

pub(super) fn wait(word: &AtomicU32, expected: u32, limit: Duration) {
    futex::wait(word, expected, limit);
    crash_point!("futex: woken, nothing looked at");
}
