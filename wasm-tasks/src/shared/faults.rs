//! Calls that end badly, or rudely, while others wait for what they hold.

use std::cell::RefCell;
use std::hint::black_box;
use std::{mem, process};

use serde_json::Value as Json;
use wasmpool_guest::shared::{
    Array, Barrier, Lock, Queue, Semaphore, SharedError, SharedErrorKind, SharedView, Value,
};
use wasmpool_guest::task;

use super::script::{Answer, shared_ops};
use crate::faults::traps;

/// Traps while it holds the lock "lock".
#[task]
pub fn hold_lock_and_trap() -> Result<(), SharedError> {
    let lock = Lock::open("lock")?;
    let _guard = lock.lock()?;
    traps();
    Ok(())
}

/// Returns without giving the lock "lock" back.
#[task]
pub fn hold_lock_and_return() -> Result<(), SharedError> {
    Lock::open("lock")?.acquire()
}

/// Holds the lock "lock" for ever; somebody has to stop it.
#[task]
pub fn hold_lock_and_spin() -> Result<(), SharedError> {
    let lock = Lock::open("lock")?;
    let _guard = lock.lock()?;
    loop {
        black_box(());
    }
}

/// Takes the lock "lock" and gives it back; returns whether its last holder died.
#[task]
pub fn is_lock_orphaned() -> Result<bool, SharedError> {
    let lock = Lock::open("lock")?;
    let guard = lock.lock()?;
    Ok(guard.owner_died())
}

/// Takes an item of the queue "jobs" and traps.
#[task]
pub fn take_item_and_trap() -> Result<(), SharedError> {
    let jobs = Queue::<Option<i64>>::open("jobs")?;
    jobs.get()?;
    traps();
    Ok(())
}

/// Takes an item of the queue "jobs" and fails.
#[task]
pub fn take_item_and_fail() -> Result<(), String> {
    let jobs = Queue::<Option<i64>>::open("jobs").map_err(|error| error.to_string())?;
    let item = jobs.get().map_err(|error| error.to_string())?;
    Err(format!("took {item:?}"))
}

/// Moves at most so many numbers from the queue "jobs" to the queue "results", fewer if it is closed; returns how many.
///
/// With each it holds a permit of the semaphore "seats", and counts it in the values "one" and "two" of i64 while it holds
/// the lock "latch". Whoever is told that the last holder died makes the two equal again.
#[task]
pub fn move_items(most: usize) -> Result<usize, SharedError> {
    let (jobs, results) = (Queue::<i64>::open("jobs")?, Queue::<i64>::open("results")?);
    let (seats, latch) = (Semaphore::open("seats")?, Lock::open("latch")?);
    let (one, two) = (Value::<i64>::open("one")?, Value::<i64>::open("two")?);
    let mut count = 0;
    while count < most {
        let number = match jobs.get() {
            Ok(number) => number,
            Err(error) if error.kind() == SharedErrorKind::Closed => break,
            Err(error) => return Err(error),
        };
        let _seat = seats.acquire()?;
        results.put(&number)?;
        let guard = latch.lock()?;
        if guard.owner_died() {
            two.set(one.get()?)?;
        }
        one.fetch_add(1)?;
        two.fetch_add(1)?;
        count += 1;
    }
    Ok(count)
}

/// Takes a permit of the semaphore "seats" and traps.
#[task]
pub fn take_permit_and_trap() -> Result<(), SharedError> {
    let seats = Semaphore::open("seats")?;
    mem::forget(seats.acquire()?);
    traps();
    Ok(())
}

/// Opens the barrier "barrier" and traps.
#[task]
pub fn open_barrier_and_trap() -> Result<(), SharedError> {
    let _barrier = Barrier::open("barrier")?;
    traps();
    Ok(())
}

/// Does the steps of a script, as [`shared_ops`] does, tells so at the queue "stage", and then ends like this:
/// `"trap"`, `"panic"`, `"fail"`, `"exit"`, `"spin"` (never), or anything else for a return.
#[task]
pub fn shared_ops_then(script: Vec<Vec<Json>>, ending: String) -> Result<Vec<Answer>, String> {
    let answers = shared_ops(script);
    let stage = Queue::<String>::open("stage").map_err(|error| error.to_string())?;
    stage.put(&ending).map_err(|error| error.to_string())?;
    match ending.as_str() {
        "trap" => traps(),
        "panic" => panic!("a call ends badly"),
        "fail" => return Err("a call fails".to_owned()),
        "exit" => process::exit(3),
        "spin" => loop {
            black_box(());
        },
        _ => {}
    }
    Ok(answers)
}

/// What a call keeps for the next one, though it is good for nothing there.
enum Kept {
    Value(Value<i64>),
    View(SharedView<'static, i64>),
    Slice(&'static [i64]),
}

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// Operations after which a value is certainly mapped.
const MANY: i64 = 1000;

/// The value "counter" of i64, after so many additions of 1.
fn used_counter(additions: i64) -> Result<Value<i64>, SharedError> {
    let counter = Value::<i64>::open("counter")?;
    for _ in 0..additions {
        counter.fetch_add(1)?;
    }
    Ok(counter)
}

/// Keeps a `"value"` that was hardly used, a `"mapped value"`, a `"view"` or a `"slice"` beyond the call.
#[task]
pub fn keep(what: &str) -> Result<(), SharedError> {
    let numbers = || Array::<i64>::open("numbers").map(|array| &*Box::leak(Box::new(array)));
    let kept = match what {
        "value" => Kept::Value(used_counter(1)?),
        "mapped value" => Kept::Value(used_counter(MANY)?),
        "view" => Kept::View(numbers()?.view()?),
        _ => Kept::Slice(Box::leak(Box::new(numbers()?.read_lease(..)?))),
    };
    KEPT.set(Some(kept));
    Ok(())
}

/// Adds 1 through what an earlier call in this instance has kept, or reads the slice, and returns the number before;
/// nothing if there is nothing. Meanwhile it views the array "others" of i64 for itself.
#[task]
pub fn use_kept() -> Result<Option<i64>, SharedError> {
    let others = Array::<i64>::open("others")?;
    let _view = others.view()?;
    KEPT.with_borrow(|kept| match kept {
        None => Ok(None),
        Some(Kept::Value(value)) => value.fetch_add(1).map(Some),
        Some(Kept::View(view)) => view.fetch_add(0, 1).map(Some),
        Some(Kept::Slice(slice)) => Ok(Some(slice[0])),
    })
}

/// Drops what an earlier call in this instance has kept, while it views the array "others" of i64; adds 1 to the first
/// number of it through this view, before and afterwards, and returns it. Nothing if nothing was kept.
#[task]
pub fn drop_kept() -> Result<Option<i64>, SharedError> {
    let others = Array::<i64>::open("others")?;
    let view = others.view()?;
    view.fetch_add(0, 1)?;
    let Some(kept) = KEPT.take() else { return Ok(None) };
    drop(kept);
    view.fetch_add(0, 1)?;
    others.get(0).map(Some)
}

/// A task of numbers, which is entered without the loop that counts calls: keeps a mapped value, and returns how many
/// calls in this instance have done so.
#[task]
pub fn keep_uncounted() -> i64 {
    thread_local! {
        static CALLS: RefCell<i64> = const { RefCell::new(0) };
    }
    if let Ok(counter) = used_counter(MANY) {
        KEPT.set(Some(Kept::Value(counter)));
        CALLS.with_borrow_mut(|calls| *calls += 1);
    }
    CALLS.with_borrow(|calls| *calls)
}

/// The same for [`use_kept`]: adds 1 to the kept value. Returns 1 if it could, 0 if it could not, and -1 if nothing is kept.
#[task]
pub fn use_kept_uncounted() -> i64 {
    KEPT.with_borrow(|kept| match kept {
        Some(Kept::Value(value)) => value.fetch_add(1).is_ok().into(),
        _ => -1,
    })
}
