//! What an instance keeps from call to call, and what it can see of the world.

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use wasmpool_guest::task;

/// How many calls of this task the instance has seen, this one included: always 1 in a fresh instance.
#[task]
pub fn counts_calls() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    // Relaxed: an instance has one thread.
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

/// Remembers a number and returns the one remembered before; 0 at first.
#[task]
pub fn remembers(value: i64) -> i64 {
    static REMEMBERED: AtomicI64 = AtomicI64::new(0);
    // Relaxed: an instance has one thread.
    REMEMBERED.swap(value, Ordering::Relaxed)
}

/// An environment variable, if it was granted.
#[task]
pub fn environment(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// A number that nobody can foretell, unless the pool was told to be deterministic.
#[task]
pub fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// Nanoseconds since 1970, by the clock that the pool shows.
#[task]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_lasts_from_call_to_call() {
        assert_eq!([counts_calls(), counts_calls()], [1, 2]);
        assert_eq!([remembers(5), remembers(6)], [0, 5]);
    }

    #[test]
    fn an_absent_variable_is_none() {
        assert_eq!(environment("WASMPOOL_HOPEFULLY_UNSET"), None);
    }
}
