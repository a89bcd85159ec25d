//! Bad intentions: calls that never end, take all memory, or leave.

use std::hint::{self, black_box};
use std::process;

use wasmpool_guest::task;

/// Never ends.
#[task]
pub fn spins() {
    loop {
        hint::spin_loop();
    }
}

/// Returns the number, or never ends if it is the unlucky one.
#[task]
pub fn spins_on(number: i64, unlucky: i64) -> i64 {
    if number == unlucky {
        spins();
    }
    number
}

/// Leaves in the midst of a call.
#[task]
pub fn exits(code: i32) {
    process::exit(code);
}

/// Calls itself so many times; each turn takes a hundred bytes of stack or more.
#[task]
pub fn overflows_stack(depth: i64) -> i64 {
    let frame = black_box([depth; 8]);
    if depth <= 0 { 0 } else { black_box(overflows_stack(depth - 1)) + frame[0].signum() }
}

/// Takes memory until there is none left; returns never, or how much it got.
#[task]
pub fn eats_memory(bytes_each: u32, bytes_total: u64) -> u64 {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    let mut total = 0;
    while total < bytes_total {
        eaten.push(vec![1; bytes_each as usize]);
        total += u64::from(bytes_each);
    }
    black_box(&eaten);
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moderation_is_harmless() {
        assert_eq!(spins_on(1, 2), 1);
        assert_eq!(overflows_stack(100), 100);
        assert_eq!(eats_memory(1000, 10_000), 10_000);
    }
}
