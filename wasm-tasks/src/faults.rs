//! Honest mistakes: calls that panic, fail, trap or take too long.

use std::thread;
use std::time::Duration;

use wasmpool_guest::task;

/// Panics with a message.
#[task]
pub fn panics(message: &str) {
    panic!("{message}");
}

/// Returns the number, or panics if it is the unlucky one.
#[task]
pub fn panics_on(number: i64, unlucky: i64) -> i64 {
    assert_ne!(number, unlucky, "this number is unlucky");
    number
}

/// Fails with a message.
#[task]
pub fn fails(message: String) -> Result<(), String> {
    Err(message)
}

/// Returns the number, or fails if it is the unlucky one.
#[task]
pub fn fails_on(number: i64, unlucky: i64) -> Result<i64, String> {
    if number == unlucky { Err(format!("{number} is unlucky")) } else { Ok(number) }
}

/// Divides, and panics where there is nothing to divide by.
#[task]
pub fn divides(a: i64, b: i64) -> i64 {
    a / b
}

/// Traps at once, without a word.
#[task]
pub fn traps() {
    trap();
}

/// Returns the number, or traps if it is the unlucky one.
#[task]
pub fn traps_on(number: i64, unlucky: i64) -> i64 {
    if number == unlucky {
        trap();
    }
    number
}

fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    panic!("a trap is of WebAssembly only");
}

/// Sleeps.
#[task]
pub fn sleeps_ms(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// Prints so many numbered lines.
#[task]
pub fn prints(lines: u64) {
    for line in 1..=lines {
        println!("line {line}");
    }
}

/// Prints a text and does not end its line.
#[task]
pub fn prints_unfinished_line(text: &str) {
    print!("{text}");
}

/// Prints a number and does not end its line: output of a numeric task, which no pull loop flushes.
#[task]
pub fn prints_unfinished_number(number: i64) {
    print!("{number} ");
}

/// Prints a line to each of standard output and standard error.
#[task]
#[allow(clippy::print_stderr, reason = "both are the pool's to show")]
pub fn prints_to_both(text: &str) {
    println!("out: {text}");
    eprintln!("err: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unlucky_number_fails() {
        assert_eq!([1, 2].map(|number| fails_on(number, 2)), [Ok(1), Err("2 is unlucky".to_owned())]);
        assert_eq!(panics_on(1, 2), 1);
        assert_eq!(traps_on(1, 2), 1);
        assert_eq!(divides(7, -2), -3);
    }

    #[test]
    #[should_panic(expected = "this number is unlucky")]
    fn the_unlucky_number_panics() {
        panics_on(2, 2);
    }
}
