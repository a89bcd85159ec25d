//! Bad intentions: calls that never end, take all memory, never stop talking, or leave.

use std::hint::{self, black_box};
use std::sync::Mutex;
use std::{mem, process, thread};

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

/// Takes so much memory and never gives it back, however often it is called in one instance.
#[task]
pub fn leaks_memory(bytes: usize) -> usize {
    mem::forget(black_box(vec![1u8; bytes]));
    bytes
}

/// Prints for ever: lines, or one line without end.
#[task]
pub fn floods(in_lines: bool) {
    loop {
        if in_lines {
            println!("flood");
        } else {
            print!("flood");
        }
    }
}

/// Prints lines for ever, on standard error.
#[task]
#[allow(clippy::print_stderr, reason = "it is the pool's to show")]
pub fn floods_errors() {
    loop {
        eprintln!("flood");
    }
}

/// Panics with a message of so many bytes.
#[task]
pub fn panics_at_length(bytes: usize) {
    panic!("{}", "x".repeat(bytes));
}

/// Fails with a message of so many bytes.
#[task]
pub fn fails_at_length(bytes: usize) -> Result<(), String> {
    Err("x".repeat(bytes))
}

/// Panics while it cleans up behind a panic.
#[task]
pub fn panics_twice() {
    struct Falling;
    impl Drop for Falling {
        fn drop(&mut self) {
            panic!("the second one");
        }
    }
    let _falling = Falling;
    panic!("the first one");
}

/// Takes a lock of its own twice, for which nobody else can be waited.
#[task]
pub fn locks_itself_out() {
    let lock = Mutex::new(());
    let _first = lock.lock();
    let _second = lock.lock();
}

/// Whether it can start a thread, which would outlive its call.
#[task]
pub fn starts_threads() -> bool {
    thread::Builder::new().spawn(spins).is_ok()
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
