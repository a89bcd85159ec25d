//! Tasks that call tasks: divide and conquer on all workers, and what can go wrong with it.

use std::time::Duration;

use serde_json::Value;
use wasmpool_guest::pool::{self, CallError, Task, join};
use wasmpool_guest::shared::{Lock, SharedError};
use wasmpool_guest::task;

/// Below so many elements, sorting alone is faster than asking others.
const SORTED_ALONE_MAX: usize = 4096;

/// A Fibonacci number, by a tree of calls whose leaves are computed alone.
#[task]
pub fn fib(n: u32, alone_below: u32) -> Result<u64, CallError> {
    if n < alone_below.max(2) {
        return Ok(fib_alone(n));
    }
    let fib: Task<(u32, u32), u64> =
        pool::task("fib").natively(|(n, below)| fib(n, below).map_err(|error| error.to_string()));
    let (one, two) = join(fib.submit((n - 1, alone_below)), fib.submit((n - 2, alone_below)))?;
    Ok(one + two)
}

/// The same by one call.
#[task]
pub fn fib_alone(n: u32) -> u64 {
    if n < 2 { n.into() } else { fib_alone(n - 1) + fib_alone(n - 2) }
}

/// The same for a task of numbers, which is found out to nest when it does.
#[task]
pub fn fib_of_numbers(n: i64) -> i64 {
    if n < 10 {
        return fib_alone(n.max(0) as u32) as i64;
    }
    let fib: Task<i64, i64> = pool::task("fib_of_numbers").natively(|n| Ok(fib_of_numbers(n)));
    fib.map([n - 1, n - 2]).map_or(-1, |both| both.iter().sum())
}

/// Sorts numbers: each half by a call of its own, as long as that is worth it.
#[task]
pub fn merge_sort(mut values: Vec<i64>) -> Result<Vec<i64>, CallError> {
    if values.len() <= SORTED_ALONE_MAX {
        values.sort_unstable();
        return Ok(values);
    }
    let right = values.split_off(values.len() / 2);
    let sort: Task<Vec<i64>, Vec<i64>> =
        pool::task("merge_sort").natively(|values| merge_sort(values).map_err(|error| error.to_string()));
    let (left, right) = join(sort.submit(values), sort.submit(right))?;
    Ok(merge(left, right))
}

fn merge(left: Vec<i64>, right: Vec<i64>) -> Vec<i64> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
        merged.extend(if one <= other { left.next() } else { right.next() });
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

/// Has a call made by a call made by a call, so many levels deep; returns how many there were.
#[task]
pub fn descend(levels: u32) -> Result<u32, CallError> {
    if levels == 0 {
        return Ok(0);
    }
    Ok(1 + pool::task::<u32, u32>("descend").call(levels - 1)?)
}

/// Calls any task of one argument for each of these; returns the results, or how it failed.
#[task]
pub fn call_all(name: &str, inputs: Vec<Value>) -> Result<Vec<Value>, String> {
    let task = pool::task::<Value, Value>(name);
    task.map(inputs).map_err(|error| format!("{:?}: {error}", error.kind()))
}

/// Submits calls that never end, and then does as it is told: returns, fails, panics, or waits for them.
#[task]
pub fn leave_children(count: u32, how: &str) -> Result<(), String> {
    let spin = pool::task::<(), ()>("spin");
    let children: Vec<_> = (0..count).map(|_| spin.submit(())).collect();
    println!("left {how}");
    match how {
        "returns" => {}
        "fails" => return Err("as it was told".to_owned()),
        "panics" => panic!("as it was told"),
        _ => {
            for child in children {
                child.wait().map_err(|error| error.to_string())?;
            }
            return Ok(());
        }
    }
    // They are not forgotten one by one: it is their caller's end that ends them.
    std::mem::forget(children);
    Ok(())
}

/// Takes a lock, lets go of it unless it is to be held, and asks another call whether it gets it in time.
#[task]
pub fn lock_and_call(name: &str, holds: bool, limit_ms: u64) -> Result<bool, String> {
    let lock = Lock::open(name).map_err(|error| error.to_string())?;
    let guard = lock.lock().map_err(|error| error.to_string())?;
    // One that is not to be held goes here.
    let guard = holds.then_some(guard);
    let asked = pool::task::<(&str, u64), bool>("lock_within").call((name, limit_ms));
    drop(guard);
    asked.map_err(|error| error.to_string())
}

/// Whether it gets a lock within so many milliseconds.
#[task]
pub fn lock_within(name: &str, limit_ms: u64) -> Result<bool, SharedError> {
    let lock = Lock::open(name)?;
    let got = lock.lock_for(Duration::from_millis(limit_ms))?;
    Ok(got.is_some())
}

/// Tells that it begins, and never ends.
#[task]
pub fn spin() {
    println!("spins");
    loop {
        std::hint::spin_loop();
    }
}

/// Submits calls and waits for none, until it is refused; returns how many it could submit, and the refusal.
#[task]
pub fn submit_for_ever() -> (u64, String) {
    let idle = pool::task::<i64, i64>("cube");
    let mut submitted = Vec::new();
    loop {
        submitted.push(idle.submit_all(std::iter::repeat_n(1, 1000)));
        if submitted.len() > 100_000 {
            return (submitted.len() as u64, "never refused".to_owned());
        }
        let last = submitted.len() - 1;
        if let Some(refusal) = submitted[last].refusal() {
            return (last as u64, refusal.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_calls_come_to_what_one_call_does() {
        assert_eq!(fib(20, 5).unwrap(), fib_alone(20));
        assert_eq!(fib_of_numbers(20), 6765);
    }

    #[test]
    fn sorting_by_halves_sorts() {
        let values: Vec<i64> = (0..20_000).map(|n| n * 7919 % 10_007 - 5000).collect();
        let mut sorted = values.clone();
        sorted.sort_unstable();
        assert_eq!(merge_sort(values).unwrap(), sorted);
    }
}
