//! The tasks of every `multiprocessing` tutorial.

use std::thread;
use std::time::Duration;

use serde::Serialize;
use wasmpool_guest::{current, task};

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

/// Tells in which process it runs.
#[task]
pub fn whoami() -> String {
    let me = current();
    format!("I am {} with process id {}", me.process_name(), me.pid())
}

/// Prints the name and the id of its process.
#[task]
pub fn print_process_id(_number: i64) {
    let me = current();
    println!("{} is process {}", me.process_name(), me.pid());
}

/// All that a call may know of itself.
#[derive(Debug, Serialize)]
pub struct Me {
    process: String,
    pid: u32,
    worker: u32,
    job: u64,
    index: u64,
    attempt: u32,
    seed: u64,
}

/// Tells all that a call may know of itself.
#[task]
pub fn about_me(_number: i64) -> Me {
    let me = current();
    Me {
        process: me.process_name().to_owned(),
        pid: me.pid(),
        worker: me.worker(),
        job: me.job(),
        index: me.index(),
        attempt: me.attempt(),
        seed: me.seed(),
    }
}

/// The index of its call, as a task of numbers learns it.
#[task]
pub fn my_index(_number: i64) -> i64 {
    current().index() as i64
}

/// Fails until it is tried for the `attempt`th time, and tells which that was.
#[task]
pub fn succeeds_at(attempt: u32) -> Result<u32, String> {
    let now = current().attempt();
    if now < attempt { Err(format!("attempt {now}")) } else { Ok(now) }
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
