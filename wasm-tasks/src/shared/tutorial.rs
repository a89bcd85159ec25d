//! The programs of the `multiprocessing` tutorials.

use wasmpool_guest::shared::{
    Array, Barrier, Condition, Event, List, PipeEnd, Queue, Semaphore, SharedError, SharedErrorKind, Value,
};
use wasmpool_guest::task;

/// Adds 1 to the value "counter", under its lock: `--value counter=i32:0`.
#[task]
pub fn count_process(_number: i64) -> Result<(), SharedError> {
    let counter = Value::<i32>::open("counter")?;
    let _guard = counter.lock()?;
    counter.set(counter.get()? + 1)
}

/// Adds a number to the value it is given: `{"wasmpool:shared": "counter"}`.
#[task]
pub fn add_to(counter: &Value<i32>, number: i32) -> Result<i32, SharedError> {
    counter.fetch_add(number)
}

/// Adds a number to every value whose handle is in the queue "handles", until that is closed; returns how many.
#[task]
pub fn add_to_each(number: i32) -> Result<i32, SharedError> {
    let handles = Queue::<Value<i32>>::open("handles")?;
    let mut count = 0;
    for counter in &handles {
        counter?.fetch_add(number)?;
        count += 1;
    }
    Ok(count)
}

/// Puts the numbers from `first` on into the queue "jobs".
#[task]
pub fn put_numbers(first: i64, count: i64) -> Result<(), SharedError> {
    let jobs = Queue::<Option<i64>>::open("jobs")?;
    for number in first..first + count {
        jobs.put(&Some(number))?;
    }
    Ok(())
}

/// Puts as many ends of work into the queue "jobs", one for each worker.
#[task]
pub fn put_ends(workers: u32) -> Result<(), SharedError> {
    let jobs = Queue::<Option<i64>>::open("jobs")?;
    for _ in 0..workers {
        jobs.put(&None)?;
    }
    Ok(())
}

/// Squares numbers from the queue "jobs" into the queue "results" until there is a `None`; returns how many.
#[task]
pub fn square_queue() -> Result<u64, SharedError> {
    let jobs = Queue::<Option<i64>>::open("jobs")?;
    let results = Queue::<i64>::open("results")?;
    let mut count = 0;
    while let Some(number) = jobs.get()? {
        results.put(&(number * number))?;
        count += 1;
    }
    Ok(count)
}

/// Plays a part: the "producer" puts 1 to 5 and an end into the queue "jobs", the "consumer" squares them into "results".
#[task]
pub fn queue_part(part: &str) -> Result<(), String> {
    let played = match part {
        "producer" => put_numbers(1, 5).and_then(|()| put_ends(1)),
        "consumer" => square_queue().map(drop),
        _ => return Err(format!("there is no part `{part}`; play the producer or the consumer")),
    };
    played.map_err(|error| error.to_string())
}

/// Squares numbers from the queue "jobs" until it is closed, or there is a `None`; returns their sum.
#[task]
pub fn sum_squares() -> Result<i64, SharedError> {
    let jobs = Queue::<Option<i64>>::open("jobs")?;
    let mut sum = 0;
    for number in &jobs {
        let Some(number) = number? else { break };
        sum += number * number;
    }
    Ok(sum)
}

/// Adds a line to the list "log"; returns its index.
#[task]
pub fn append_to_log(text: &str) -> Result<usize, SharedError> {
    List::<String>::open("log")?.push(text)
}

/// Plays ping-pong over the pipe "pipe", from its end 0 or 1: `--pipe pipe`; returns how many strokes it saw.
#[task]
pub fn play(end: u8) -> Result<u64, SharedError> {
    const STROKES: i64 = 1000;
    if end == 0 { ping(STROKES).map(i64::unsigned_abs) } else { pong() }
}

/// Sends numbers through the pipe's end "pipe.0", and waits for each to come back one higher; returns the last.
#[task]
pub fn ping(count: i64) -> Result<i64, SharedError> {
    let pipe = PipeEnd::<i64>::open("pipe.0")?;
    let mut number = 0;
    for _ in 0..count {
        pipe.send(&number)?;
        number = pipe.recv()?;
    }
    pipe.close()?;
    Ok(number)
}

/// Sends everything that comes out of the pipe's end "pipe.1" back, one higher, until it ends; returns how many.
#[task]
pub fn pong() -> Result<u64, SharedError> {
    let pipe = PipeEnd::<i64>::open("pipe.1")?;
    for count in 0.. {
        match pipe.recv() {
            Ok(number) => pipe.send(&(number + 1))?,
            Err(error) if error.kind() == SharedErrorKind::EndOfFile => return Ok(count),
            Err(error) => return Err(error),
        }
    }
    unreachable!("pipes end sooner than numbers");
}

/// Counts numbers from `first` on by their remainder, in a view of the array "bins" of i64.
#[task]
pub fn histogram(first: i64, count: i64) -> Result<(), SharedError> {
    let bins = Array::<i64>::open("bins")?;
    let view = bins.view()?;
    let Ok(length) = i64::try_from(view.len()) else { return Ok(()) };
    for number in first..first + count {
        view.fetch_add(usize::try_from(number.rem_euclid(length)).unwrap_or(0), 1)?;
    }
    Ok(())
}

/// Sums a part of the array "numbers" of i64 without a copy.
#[task]
pub fn sum_array(first: usize, count: usize) -> Result<i64, SharedError> {
    let numbers = Array::<i64>::open("numbers")?;
    let part = numbers.read_lease(first..first.saturating_add(count))?;
    Ok(part.iter().fold(0, |sum, number| sum.wrapping_add(*number)))
}

/// Sets a part of the array "numbers" of i64 to each element's own index, without a copy.
#[task]
pub fn number_array(first: usize, count: usize) -> Result<(), SharedError> {
    let numbers = Array::<i64>::open("numbers")?;
    let mut part = numbers.lease(first..first.saturating_add(count))?;
    for (number, index) in part.iter_mut().zip(first as i64..) {
        *number = index;
    }
    Ok(())
}

/// Waits at the barrier "barrier"; returns the index of this party.
#[task]
pub fn wait_at_barrier() -> Result<usize, SharedError> {
    Barrier::open("barrier")?.wait()
}

/// Takes a permit of the semaphore "seats", and returns how many are left while it has it.
#[task]
pub fn acquire_permit() -> Result<usize, SharedError> {
    let seats = Semaphore::open("seats")?;
    let _seat = seats.acquire()?;
    seats.available()
}

/// Waits for the event "start".
#[task]
pub fn wait_for_start() -> Result<(), SharedError> {
    Event::open("start")?.wait()
}

/// Sets the event "start".
#[task]
pub fn start() -> Result<(), SharedError> {
    Event::open("start")?.set()
}

/// Waits, with the condition "changed", until the value "number" of i64 is not 0; returns it.
#[task]
pub fn wait_for_number() -> Result<i64, SharedError> {
    let (changed, number) = (Condition::open("changed")?, Value::<i64>::open("number")?);
    let guard = changed.lock()?;
    guard.wait_while(|| Ok(number.get()? == 0))?;
    number.get()
}

/// Sets the value "number" of i64, and notifies everyone who waits at the condition "changed".
#[task]
pub fn set_number(value: i64) -> Result<(), SharedError> {
    let (changed, number) = (Condition::open("changed")?, Value::<i64>::open("number")?);
    let guard = changed.lock()?;
    number.set(value)?;
    guard.notify_all()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use wasmpool_guest::shared::testing::TestPool;

    use super::*;

    /// Calls a task in several threads at once.
    fn in_threads<R: Send>(pool: &TestPool, count: i64, call: impl Fn(i64) -> R + Sync) -> Vec<R> {
        let call = &call;
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..count).map(|number| scope.spawn(move || pool.run(|| call(number)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn nobodys_count_is_lost() {
        let pool = TestPool::new().value("counter", 0_i32).array("bins", &[0_i64; 3]);
        in_threads(&pool, 4, |number| {
            for _ in 0..100 {
                count_process(number).unwrap();
            }
            histogram(0, 300).unwrap();
        });
        pool.run(|| {
            assert_eq!(Value::<i32>::open("counter").unwrap().get().unwrap(), 400);
            assert_eq!(Array::<i64>::open("bins").unwrap().to_vec().unwrap(), [400; 3]);
        });
    }

    #[test]
    fn numbers_come_back_squared() {
        let pool = TestPool::new().queue("jobs", 3).queue("results", 100);
        let counts = in_threads(&pool, 3, |number| {
            if number > 0 {
                return square_queue();
            }
            put_numbers(1, 10).and_then(|()| put_ends(2)).map(|()| 0)
        });
        assert_eq!(counts.into_iter().sum::<Result<u64, _>>(), Ok(10));
        let squares = pool.run(|| {
            let results = Queue::<i64>::open("results").unwrap();
            results.close().unwrap();
            results.iter().sum::<Result<i64, _>>()
        });
        assert_eq!(squares, Ok(385));
    }

    #[test]
    fn a_producer_and_a_consumer_come_to_an_end() {
        let pool = TestPool::new().queue("jobs", 2).queue("results", 5);
        let played = in_threads(&pool, 2, |part| queue_part(["consumer", "producer"][part as usize]));
        assert_eq!(played, [Ok(()), Ok(())]);
        let squares = pool.run(|| {
            let results = Queue::<i64>::open("results").unwrap();
            results.close().unwrap();
            results.iter().collect::<Result<Vec<_>, _>>()
        });
        assert_eq!(squares, Ok(vec![1, 4, 9, 16, 25]));
        assert!(pool.run(|| queue_part("conductor")).is_err());
    }

    #[test]
    fn everyone_meets_and_is_told() {
        let pool = TestPool::new().barrier("barrier", 3).condition("changed").value("number", 0_i64);
        let mut indices: Vec<_> = in_threads(&pool, 3, |_| wait_at_barrier().unwrap());
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 2]);
        let told =
            in_threads(
                &pool,
                3,
                |number| {
                    if number == 0 { set_number(7).map(|()| 7) } else { wait_for_number() }
                },
            );
        assert_eq!(told, [Ok(7), Ok(7), Ok(7)]);
    }

    #[test]
    fn what_is_sent_comes_back_until_the_pipe_ends() {
        let pool = TestPool::new().pipe("pipe.0", "pipe.1");
        let ends = in_threads(&pool, 2, |number| play(if number == 0 { 0 } else { 1 }));
        assert_eq!(ends, [Ok(1000), Ok(1000)]);
    }

    #[test]
    fn arrays_are_summed_in_place() {
        let pool = TestPool::new().array("numbers", &[0_i64; 10]);
        pool.run(|| number_array(0, 10).unwrap());
        assert_eq!(in_threads(&pool, 2, |half| sum_array(half as usize * 5, 5)), [Ok(10), Ok(35)]);
        assert!(pool.run(|| sum_array(5, 6)).is_err());
    }

    #[test]
    fn a_handle_travels_by_name() {
        let pool = TestPool::new().value("counter", 1_i32).queue("handles", 1);
        pool.run(|| {
            let handles = Queue::<Value<i32>>::open("handles").unwrap();
            handles.put(&Value::open("counter").unwrap()).unwrap();
            assert_eq!(add_to(&handles.get().unwrap(), 2), Ok(1));
            let text = serde_json::to_string(&Value::<i32>::open("counter").unwrap()).unwrap();
            assert_eq!(text, r#"{"wasmpool:shared":"counter"}"#);
            for wrong in [r#"{"wasmpool:shared":"none"}"#, "{}", "7", r#"{"a":"counter"}"#] {
                assert!(serde_json::from_str::<Value<i32>>(wrong).is_err(), "{wrong}");
            }
        });
    }
}
