//! Only functions can be tasks.

use wasmpool_guest::task;

#[task]
struct Point {
    x: f64,
}

#[task]
const ANSWER: i64 = 42;

struct Counter;

impl Counter {
    #[task]
    fn count(&self) -> u64 {
        1
    }
}

trait Count {
    #[task]
    fn count(self) -> u64;
}

fn main() {}
