//! The tasks of every `multiprocessing` tutorial.

use std::thread;
use std::time::Duration;

use wasmpool_guest::task;

/// Squares a number.
#[task]
pub fn square(number: i64) -> i64 {
    number * number
}

/// The third power of a number.
#[task]
pub fn cube(number: i64) -> i64 {
    number * number * number
}

/// Tells which worker it is.
#[task]
pub fn worker(num: i64) {
    println!("Worker: {num}");
}

/// Squares a number slowly, and talks about it.
#[task]
pub fn calculate_square(number: i64) -> i64 {
    println!("Calculating square of {number}");
    thread::sleep(Duration::from_secs(1));
    let square = number * number;
    println!("Square of {number} is {square}");
    square
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_as_at_school() {
        assert_eq!([-2, 0, 3].map(square), [4, 0, 9]);
        assert_eq!([-2, 0, 3].map(cube), [-8, 0, 27]);
    }
}
