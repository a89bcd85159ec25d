//! Loads for benchmarks: many operations of one kind in one call.

use wasmpool_guest::shared::{Array, Dict, List, Queue, SharedError, Value};
use wasmpool_guest::task;

/// Adds 1 to the value "counter" of i64, so many times; returns how many.
#[task]
pub fn bench_fetch_add(count: u64) -> Result<u64, SharedError> {
    let counter = Value::<i64>::open("counter")?;
    for _ in 0..count {
        counter.fetch_add(1)?;
    }
    Ok(count)
}

/// Adds 1 to the value "counter" of i64 under its lock, so many times; returns how many.
#[task]
pub fn bench_locked_update(count: u64) -> Result<u64, SharedError> {
    let counter = Value::<i64>::open("counter")?;
    for _ in 0..count {
        let _guard = counter.lock()?;
        counter.set(counter.get()? + 1)?;
    }
    Ok(count)
}

/// Puts pairs of numbers, 16 bytes each, into the queue "jobs"; returns the sum of the first ones.
#[task]
pub fn bench_put(count: u64) -> Result<u64, SharedError> {
    let jobs = Queue::<(u64, u64)>::open("jobs")?;
    for number in 0..count {
        // Numbers as large as these take all their bytes.
        jobs.put(&(u64::MAX - number, u64::MAX))?;
    }
    Ok((0..count).sum())
}

/// Takes so many pairs from the queue "jobs"; returns the sum of what was put into them.
#[task]
pub fn bench_get(count: u64) -> Result<u64, SharedError> {
    let jobs = Queue::<(u64, u64)>::open("jobs")?;
    let mut sum = 0;
    for _ in 0..count {
        sum += u64::MAX - jobs.get()?.0;
    }
    Ok(sum)
}

/// Adds the numbers below `count` to the list "log"; returns how many.
#[task]
pub fn bench_append(count: u64) -> Result<u64, SharedError> {
    let log = List::<u64>::open("log")?;
    for number in 0..count {
        log.push(&number)?;
    }
    Ok(count)
}

/// Looks a hundred keys of the dictionary "seen" up in turn, writing what is missing; returns the sum of what it read.
#[task]
pub fn bench_dict_get(count: u64) -> Result<u64, SharedError> {
    const KEYS: u64 = 100;
    let seen = Dict::<u64, u64>::open("seen")?;
    for key in 0..KEYS {
        seen.set_default(&key, &key)?;
    }
    let mut sum = 0;
    for number in 0..count {
        sum += seen.get(&(number % KEYS))?.unwrap_or(0);
    }
    Ok(sum)
}

/// Adds 1 to the elements of the array "numbers" of i64 in turn, so many times, in a view; returns how many.
#[task]
pub fn bench_mapped_add(count: u64) -> Result<u64, SharedError> {
    let numbers = Array::<i64>::open("numbers")?;
    let view = numbers.view()?;
    let mut index = 0;
    for _ in 0..count {
        view.fetch_add(index, 1)?;
        index = if index + 1 < view.len() { index + 1 } else { 0 };
    }
    Ok(count)
}

/// Sums the array "numbers" of i64 in a lease, so many times; returns the last sum.
#[task]
pub fn bench_mapped_sum(rounds: u64) -> Result<i64, SharedError> {
    let numbers = Array::<i64>::open("numbers")?;
    let lease = numbers.read_lease(..)?;
    let mut sum = 0i64;
    for _ in 0..rounds {
        sum = sum_of(std::hint::black_box(&lease));
    }
    Ok(sum)
}

/// Sums the array "numbers" of i64 in a view, element by element, until the sum is `end`; returns how often.
///
/// Others may only add meanwhile: a sum that is lower than the one before is an error.
#[task]
pub fn watch_sum(end: i64) -> Result<u64, String> {
    let told = |error: SharedError| error.to_string();
    let numbers = Array::<i64>::open("numbers").map_err(told)?;
    let view = numbers.view().map_err(told)?;
    let (mut before, mut rounds) = (i64::MIN, 0);
    while before != end {
        let elements = (0..view.len()).map(|index| view.get(index));
        let sum = elements.sum::<Result<i64, SharedError>>().map_err(told)?;
        if sum < before {
            return Err(format!("the sum fell from {before} to {sum}"));
        }
        (before, rounds) = (sum, rounds + 1);
    }
    Ok(rounds)
}

/// The sum of numbers, in the plain words of which compilers make vector instructions.
fn sum_of(numbers: &[i64]) -> i64 {
    numbers.iter().fold(0, |sum, number| sum.wrapping_add(*number))
}

/// Sums the array "numbers" of i64 by copies of 64 KiB.
#[task]
pub fn bench_bulk_read() -> Result<i64, SharedError> {
    let numbers = Array::<i64>::open("numbers")?;
    let mut block = vec![0; 8192];
    let mut sum = 0i64;
    for start in (0..numbers.len()).step_by(block.len()) {
        let count = block.len().min(numbers.len() - start);
        numbers.read_into(start, &mut block[..count])?;
        sum = block[..count].iter().fold(sum, |sum, number| sum.wrapping_add(*number));
    }
    Ok(sum)
}
