//! Any operation on any object, as data.
//!
//! A script is a list of steps, a step a list: the kind of object, its name, the operation, and its arguments.
//!
//! ```json
//! [
//!     ["value:i32", "counter", "fetch_add", 1],
//!     ["array:f64", "grid", "set", 3, 0.5],
//!     ["lock", "l", "acquire_for", 100],
//!     ["queue", "jobs", "put", {"any": "value"}],
//!     ["dict", "seen", "set_default", "key", 1],
//!     ["wait_any", [["queue", "jobs"], ["event", "stop"]], 100]
//! ]
//! ```
//!
//! Operations are called as the methods of the object, and times are milliseconds. Each step answers `{"ok": value}` or
//! `{"err": kind, "text": text}`, where the kind is that of the error, or `Script` for a step that makes no sense; the next
//! step follows in either case. An object is opened anew for each step. What a step locks, takes, leases or views stays
//! so for the rest of the call, unless a later step releases it.

use std::mem::{self, ManuallyDrop};
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use wasmpool_guest::shared::{
    Array, Barrier, Bits, BoundedSemaphore, Condition, Dict, Element, Event, JoinableQueue, List, Lock,
    LockGuard, Namespace, Number, PipeEnd, Queue, RLock, Semaphore, Shared, SharedError, Value, wait_any,
};
use wasmpool_guest::task;

/// Does the steps of a script in order, and answers each.
#[task]
pub fn shared_ops(script: Vec<Vec<Json>>) -> Vec<Answer> {
    script.into_iter().map(|step| run(step).into()).collect()
}

/// How a step ended.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Well.
    Ok {
        /// What the operation returned.
        ok: Json,
    },
    /// Not so well.
    Err {
        /// The name of the error's kind.
        err: String,
        /// Its text.
        text: String,
    },
}

impl From<Result<Json, Failure>> for Answer {
    fn from(result: Result<Json, Failure>) -> Self {
        match result {
            Ok(ok) => Self::Ok { ok },
            Err(Failure::Shared(error)) => {
                Self::Err { err: format!("{:?}", error.kind()), text: error.to_string() }
            }
            Err(Failure::Script(text)) => Self::Err { err: "Script".to_owned(), text },
        }
    }
}

/// Why a step did not work.
enum Failure {
    Shared(SharedError),
    Script(String),
}

impl From<SharedError> for Failure {
    fn from(error: SharedError) -> Self {
        Self::Shared(error)
    }
}

type Done = Result<Json, Failure>;

/// What a step is made of, from left to right.
struct Words(std::vec::IntoIter<Json>);

impl Words {
    fn next<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let word = self.0.next().ok_or_else(|| Failure::Script("the step ends early".to_owned()))?;
        serde_json::from_value(word).map_err(|error| Failure::Script(error.to_string()))
    }

    /// Two indices, where a range starts and ends.
    fn range(&mut self) -> Result<Range<usize>, Failure> {
        Ok(self.next()?..self.next()?)
    }

    fn milliseconds(&mut self) -> Result<Duration, Failure> {
        self.next().map(Duration::from_millis)
    }

    /// Milliseconds, or nothing for `null`.
    fn milliseconds_or_none(&mut self) -> Result<Option<Duration>, Failure> {
        Ok(self.next::<Option<u64>>()?.map(Duration::from_millis))
    }
}

fn run(step: Vec<Json>) -> Done {
    let mut words = Words(step.into_iter());
    let kind: String = words.next()?;
    if kind == "wait_any" {
        return wait(&mut words);
    }
    let name: String = words.next()?;
    let op: String = words.next()?;
    on_object(&kind, &name, &op, &mut words)
}

fn on_object(kind: &str, name: &str, op: &str, words: &mut Words) -> Done {
    if let Some((kind, element)) = kind.split_once(':') {
        return on_numbers(kind, element, name, op, words);
    }
    match kind {
        "lock" => on_lock(&Lock::open(name)?, op, words),
        "rlock" => on_rlock(&RLock::open(name)?, op, words),
        "semaphore" => on_semaphore(&Semaphore::open(name)?, op, words),
        "bounded_semaphore" => on_bounded_semaphore(&BoundedSemaphore::open(name)?, op, words),
        "condition" => on_condition(&Condition::open(name)?, op, words),
        "event" => on_event(&Event::open(name)?, op, words),
        "barrier" => on_barrier(&Barrier::open(name)?, op, words),
        "queue" => on_queue(&Queue::open(name)?, op, words),
        "joinable_queue" => on_joinable_queue(&JoinableQueue::open(name)?, op, words),
        "pipe" => on_pipe(&PipeEnd::open(name)?, op, words),
        "list" => on_list(&List::open(name)?, op, words),
        "dict" => on_dict(&Dict::open(name)?, op, words),
        "namespace" => on_namespace(&Namespace::open(name)?, op, words),
        _ => Err(Failure::Script(format!("there is no kind {kind}"))),
    }
}

fn on_numbers(kind: &str, element: &str, name: &str, op: &str, words: &mut Words) -> Done {
    macro_rules! on_elements {
        ($($element:ident: $group:ident),+) => {
            match (kind, element) {
                $(
                    ("value", stringify!($element)) => {
                        let value = Value::<$element>::open(name)?;
                        on_value(&value, op, words, $group::value)
                    }
                    ("array", stringify!($element)) => {
                        on_array(&Array::<$element>::open(name)?, op, words, $group::array)
                    }
                )+
                _ => Err(Failure::Script(format!("there is no kind {kind}:{element}"))),
            }
        };
    }
    on_elements!(
        bool: bits, i8: integers, u8: integers, i16: integers, u16: integers, i32: integers, u32: integers,
        i64: integers, u64: integers, f32: floats, f64: floats
    )
}

fn json(value: impl Serialize) -> Done {
    serde_json::to_value(value).map_err(|error| Failure::Script(error.to_string()))
}

fn unknown(op: &str) -> Done {
    Err(Failure::Script(format!("there is no operation {op} on this kind")))
}

/// Keeps a guard for the rest of the call; tells whether the last holder died, or that there is no guard.
fn keep<'a>(guard: impl Into<Option<LockGuard<'a>>>) -> Done {
    let Some(guard) = guard.into() else { return Ok(Json::Null) };
    let owner_died = guard.owner_died();
    mem::forget(guard);
    Ok(json!({ "owner_died": owner_died }))
}

/// Python's ways to take a lock, of anything that has one.
macro_rules! lock_op {
    ($object:expr, $op:expr, $words:expr, $otherwise:expr) => {
        match $op {
            "is_writable" => json($object.is_writable()?),
            "lock" => keep($object.lock()?),
            "try_lock" => keep($object.try_lock()?),
            "lock_for" => keep($object.lock_for($words.milliseconds()?)?),
            "acquire" => json($object.acquire()?),
            "try_acquire" => json($object.try_acquire()?),
            "acquire_for" => json($object.acquire_for($words.milliseconds()?)?),
            "release" => json($object.release()?),
            _ => $otherwise,
        }
    };
}

/// Operations that all elements have; given an `index`, on one of many.
macro_rules! cell_op {
    ($cells:expr, $op:expr, $words:expr, [$($index:expr)?], $otherwise:expr) => {
        match $op {
            "get" => json($cells.get($($index)?)?),
            "set" => json($cells.set($($index,)? $words.next()?)?),
            "swap" => json($cells.swap($($index,)? $words.next()?)?),
            "compare_exchange" => {
                match $cells.compare_exchange($($index,)? $words.next()?, $words.next()?)? {
                    Ok(before) => Ok(json!({ "before": before })),
                    Err(found) => Ok(json!({ "found": found })),
                }
            }
            "update" => {
                let new = $words.next()?;
                json($cells.update($($index,)? |_| new)?)
            }
            _ => $otherwise,
        }
    };
}

/// Operations that numbers have.
macro_rules! number_op {
    ($cells:expr, $op:expr, $words:expr, [$($index:expr)?], $otherwise:expr) => {
        match $op {
            "fetch_add" => json($cells.fetch_add($($index,)? $words.next()?)?),
            "fetch_sub" => json($cells.fetch_sub($($index,)? $words.next()?)?),
            "fetch_min" => json($cells.fetch_min($($index,)? $words.next()?)?),
            "fetch_max" => json($cells.fetch_max($($index,)? $words.next()?)?),
            _ => $otherwise,
        }
    };
}

/// Operations that elements with bits have.
macro_rules! bits_op {
    ($cells:expr, $op:expr, $words:expr, [$($index:expr)?], $otherwise:expr) => {
        match $op {
            "fetch_and" => json($cells.fetch_and($($index,)? $words.next()?)?),
            "fetch_or" => json($cells.fetch_or($($index,)? $words.next()?)?),
            "fetch_xor" => json($cells.fetch_xor($($index,)? $words.next()?)?),
            _ => $otherwise,
        }
    };
}

fn on_value<T: Element + Serialize + DeserializeOwned>(
    value: &Value<T>,
    op: &str,
    words: &mut Words,
    otherwise: fn(&Value<T>, &str, &mut Words) -> Done,
) -> Done {
    lock_op!(value, op, words, cell_op!(value, op, words, [], otherwise(value, op, words)))
}

/// On an array. The operations on one element take its index first; with `view_` in front, they go through a view.
fn on_array<T: Element + Serialize + DeserializeOwned>(
    array: &Array<T>,
    op: &str,
    words: &mut Words,
    otherwise: fn(&Array<T>, &str, &mut Words) -> Done,
) -> Done {
    match op {
        "len" => json(array.len()),
        "read" => json(array.read(words.range()?)?),
        "to_vec" => json(array.to_vec()?),
        "iter" => json(array.iter().collect::<Result<Vec<_>, _>>()?),
        "write" => json(array.write(words.next()?, &words.next::<Vec<T>>()?)?),
        "fill" => json(array.fill(words.range()?, words.next()?)?),
        // Keeps the view; answers whether it is mapped.
        "view" => {
            let view = ManuallyDrop::new(forever(array)?.view_range(words.range()?)?);
            json(view.is_mapped())
        }
        "view_get" => json(array.view()?.get(words.next()?)?),
        "view_set" => json(array.view()?.set(words.next()?, words.next()?)?),
        "view_swap" => json(array.view()?.swap(words.next()?, words.next()?)?),
        "view_update" => {
            let (index, new) = (words.next()?, words.next()?);
            json(array.view()?.update(index, |_| new)?)
        }
        "get" | "set" | "swap" | "compare_exchange" | "update" => {
            let index = words.next()?;
            cell_op!(array, op, words, [index], unknown(op))
        }
        _ => lock_op!(array, op, words, otherwise(array, op, words)),
    }
}

/// The same array, for a lease or a view that stays.
fn forever<T: Element>(array: &Array<T>) -> Result<&'static Array<T>, SharedError> {
    Array::open(array.name()).map(|array| &*Box::leak(Box::new(array)))
}

fn number_of_array<T: Number + Serialize + DeserializeOwned>(
    array: &Array<T>,
    op: &str,
    words: &mut Words,
    otherwise: fn(&Array<T>, usize, &str, &mut Words) -> Done,
) -> Done {
    match op {
        "lease_write" => {
            let start: usize = words.next()?;
            let elements: Vec<T> = words.next()?;
            array.lease(start..start.saturating_add(elements.len()))?.copy_from_slice(&elements);
            Ok(Json::Null)
        }
        "lease_read" => json(array.read_lease(words.range()?)?.to_vec()),
        // Keep the lease.
        "lease" => json(ManuallyDrop::new(forever(array)?.lease(words.range()?)?).len()),
        "read_lease" => json(ManuallyDrop::new(forever(array)?.read_lease(words.range()?)?).len()),
        "view_fetch_add" => json(array.view()?.fetch_add(words.next()?, words.next()?)?),
        "view_fetch_min" => json(array.view()?.fetch_min(words.next()?, words.next()?)?),
        _ => {
            let index = words.next()?;
            number_op!(array, op, words, [index], otherwise(array, index, op, words))
        }
    }
}

/// What `bool` can do besides.
mod bits {
    use super::{Array, Bits, DeserializeOwned, Done, Serialize, Value, Words, json, unknown};

    pub(super) fn value<T: Bits + Serialize + DeserializeOwned>(
        value: &Value<T>,
        op: &str,
        words: &mut Words,
    ) -> Done {
        bits_op!(value, op, words, [], unknown(op))
    }

    pub(super) fn array<T: Bits + Serialize + DeserializeOwned>(
        array: &Array<T>,
        op: &str,
        words: &mut Words,
    ) -> Done {
        of_element(array, words.next()?, op, words)
    }

    pub(super) fn of_element<T: Bits + Serialize + DeserializeOwned>(
        array: &Array<T>,
        index: usize,
        op: &str,
        words: &mut Words,
    ) -> Done {
        bits_op!(array, op, words, [index], unknown(op))
    }
}

/// What integers can do besides.
mod integers {
    use super::{Array, Bits, DeserializeOwned, Done, Number, Serialize, Value, Words, bits, json};

    pub(super) fn value<T: Bits + Number + Serialize + DeserializeOwned>(
        value: &Value<T>,
        op: &str,
        words: &mut Words,
    ) -> Done {
        number_op!(value, op, words, [], bits::value(value, op, words))
    }

    pub(super) fn array<T: Bits + Number + Serialize + DeserializeOwned>(
        array: &Array<T>,
        op: &str,
        words: &mut Words,
    ) -> Done {
        super::number_of_array(array, op, words, bits::of_element)
    }
}

/// What floats can do besides.
mod floats {
    use super::{Array, DeserializeOwned, Done, Number, Serialize, Value, Words, json, unknown};

    pub(super) fn value<T: Number + Serialize + DeserializeOwned>(
        value: &Value<T>,
        op: &str,
        words: &mut Words,
    ) -> Done {
        number_op!(value, op, words, [], unknown(op))
    }

    pub(super) fn array<T: Number + Serialize + DeserializeOwned>(
        array: &Array<T>,
        op: &str,
        words: &mut Words,
    ) -> Done {
        super::number_of_array(array, op, words, |_, _, op, _| unknown(op))
    }
}

fn on_lock(lock: &Lock, op: &str, words: &mut Words) -> Done {
    match op {
        "is_locked" => json(lock.is_locked()?),
        _ => lock_op!(lock, op, words, unknown(op)),
    }
}

fn on_rlock(lock: &RLock, op: &str, words: &mut Words) -> Done {
    match op {
        "is_locked" => json(lock.is_locked()?),
        _ => lock_op!(lock, op, words, unknown(op)),
    }
}

/// Both kinds of semaphores. Permits are kept; what waits in vain answers `false`.
macro_rules! semaphore_op {
    ($semaphore:expr, $op:expr, $words:expr) => {
        match $op {
            "is_writable" => json($semaphore.is_writable()?),
            "acquire" => json($semaphore.acquire()?.keep()),
            "try_acquire" => json($semaphore.try_acquire()?.map(|permit| permit.keep()).is_some()),
            "acquire_for" => {
                let permit = $semaphore.acquire_for($words.milliseconds()?)?;
                json(permit.map(|permit| permit.keep()).is_some())
            }
            "release" => json($semaphore.release($words.next()?)?),
            "available" => json($semaphore.available()?),
            _ => unknown($op),
        }
    };
}

fn on_semaphore(semaphore: &Semaphore, op: &str, words: &mut Words) -> Done {
    semaphore_op!(semaphore, op, words)
}

fn on_bounded_semaphore(semaphore: &BoundedSemaphore, op: &str, words: &mut Words) -> Done {
    semaphore_op!(semaphore, op, words)
}

fn on_condition(condition: &Condition, op: &str, words: &mut Words) -> Done {
    match op {
        "is_writable" => json(condition.is_writable()?),
        "acquire" => json(condition.acquire()?),
        "try_acquire" => json(condition.try_acquire()?),
        "acquire_for" => json(condition.acquire_for(words.milliseconds()?)?),
        "release" => json(condition.release()?),
        "wait" => json(condition.wait()?),
        "wait_for" => json(condition.wait_for(words.milliseconds()?)?),
        "notify" => json(condition.notify(words.next()?)?),
        "notify_all" => json(condition.notify_all()?),
        _ => unknown(op),
    }
}

fn on_event(event: &Event, op: &str, words: &mut Words) -> Done {
    match op {
        "is_writable" => json(event.is_writable()?),
        "set" => json(event.set()?),
        "clear" => json(event.clear()?),
        "is_set" => json(event.is_set()?),
        "wait" => json(event.wait()?),
        "wait_for" => json(event.wait_for(words.milliseconds()?)?),
        _ => unknown(op),
    }
}

fn on_barrier(barrier: &Barrier, op: &str, words: &mut Words) -> Done {
    match op {
        "is_writable" => json(barrier.is_writable()?),
        "wait" => json(barrier.wait()?),
        "wait_for" => json(barrier.wait_for(words.milliseconds()?)?),
        "abort" => json(barrier.abort()?),
        "reset" => json(barrier.reset()?),
        "parties" => json(barrier.parties()?),
        "n_waiting" => json(barrier.n_waiting()?),
        "is_broken" => json(barrier.is_broken()?),
        _ => unknown(op),
    }
}

/// What takes nothing in time answers `null`, like an item that is `null`: put other items.
fn on_queue(queue: &Queue<Json>, op: &str, words: &mut Words) -> Done {
    match op {
        "is_writable" => json(queue.is_writable()?),
        "put" => json(queue.put(&words.next()?)?),
        "try_put" => json(queue.try_put(&words.next()?)?),
        "put_for" => json(queue.put_for(&words.next()?, words.milliseconds()?)?),
        "get" => json(queue.get()?),
        "try_get" => json(queue.try_get()?),
        "get_for" => json(queue.get_for(words.milliseconds()?)?),
        // An item that is no number cannot be decoded by this.
        "get_number" => json(Queue::<i64>::open(queue.name())?.get()?),
        "drain" => json(queue.iter().collect::<Result<Vec<_>, _>>()?),
        "acknowledge" => json(queue.acknowledge()?),
        "close" => json(queue.close()?),
        "len" => json(queue.len()?),
        "is_empty" => json(queue.is_empty()?),
        "is_full" => json(queue.is_full()?),
        "capacity" => json(queue.capacity()?),
        _ => unknown(op),
    }
}

fn on_joinable_queue(queue: &JoinableQueue<Json>, op: &str, words: &mut Words) -> Done {
    match op {
        "task_done" => json(queue.task_done()?),
        "join" => json(queue.join()?),
        "join_for" => json(queue.join_for(words.milliseconds()?)?),
        _ => on_queue(queue, op, words),
    }
}

fn on_pipe(pipe: &PipeEnd<Json>, op: &str, words: &mut Words) -> Done {
    match op {
        "is_writable" => json(pipe.is_writable()?),
        "send" => json(pipe.send(&words.next()?)?),
        "send_for" => json(pipe.send_for(&words.next()?, words.milliseconds()?)?),
        "recv" => json(pipe.recv()?),
        "recv_for" => json(pipe.recv_for(words.milliseconds()?)?),
        "send_bytes" => json(pipe.send_bytes(&words.next::<Vec<u8>>()?)?),
        "recv_bytes" => json(pipe.recv_bytes()?),
        "poll" => json(pipe.poll(words.milliseconds_or_none()?)?),
        "close" => json(pipe.close()?),
        _ => unknown(op),
    }
}

fn on_list(list: &List<Json>, op: &str, words: &mut Words) -> Done {
    match op {
        "is_writable" => json(list.is_writable()?),
        "len" => json(list.len()?),
        "is_empty" => json(list.is_empty()?),
        "capacity" => json(list.capacity()?),
        "get" => json(list.get(words.next()?)?),
        "set" => json(list.set(words.next()?, &words.next()?)?),
        "push" => json(list.push(&words.next()?)?),
        "extend" => json(list.extend(&words.next::<Vec<Json>>()?)?),
        "insert" => json(list.insert(words.next()?, &words.next()?)?),
        "pop" => json(list.pop()?),
        "pop_at" => json(list.pop_at(words.next()?)?),
        "remove_at" => json(list.remove_at(words.next()?)?),
        "clear" => json(list.clear()?),
        "to_vec" => json(list.to_vec()?),
        "slice" => slice(list, words.next()?, words.next()?),
        "update" => {
            let (index, by) = (words.next()?, words.next()?);
            json(list.update(index, |value| added(Some(value), by))?)
        }
        _ => unknown(op),
    }
}

/// A range whose end may be open.
fn slice(list: &List<Json>, start: usize, end: Option<usize>) -> Done {
    json(match end {
        Some(end) => list.slice(start..end)?,
        None => list.slice(start..)?,
    })
}

/// A number that is higher; what is none counts as 0.
fn added(number: Option<Json>, by: i64) -> Json {
    json!(number.and_then(|number| number.as_i64()).unwrap_or(0) + by)
}

fn on_dict(dict: &Dict<Json, Json>, op: &str, words: &mut Words) -> Done {
    match op {
        "is_writable" => json(dict.is_writable()?),
        "len" => json(dict.len()?),
        "is_empty" => json(dict.is_empty()?),
        "capacity" => json(dict.capacity()?),
        "get" => json(dict.get(&words.next()?)?),
        "insert" => json(dict.insert(&words.next()?, &words.next()?)?),
        "remove" => json(dict.remove(&words.next()?)?),
        "pop" => json(dict.pop(&words.next()?)?),
        "contains_key" => json(dict.contains_key(&words.next()?)?),
        "set_default" => json(dict.set_default(&words.next()?, &words.next()?)?),
        "update_entry" => {
            let (key, by) = (words.next::<Json>()?, words.next()?);
            json(dict.update_entry(&key, |value| added(value, by))?)
        }
        "extend" => {
            let entries: Vec<(Json, Json)> = words.next()?;
            json(dict.extend(entries.iter().map(|(key, value)| (key, value)))?)
        }
        "keys" => json(dict.keys()?),
        "values" => json(dict.values()?),
        "items" => json(dict.items()?),
        "clear" => json(dict.clear()?),
        _ => unknown(op),
    }
}

fn on_namespace(namespace: &Namespace, op: &str, words: &mut Words) -> Done {
    match op {
        "is_writable" => json(namespace.is_writable()?),
        "len" => json(namespace.len()?),
        "get" => json(namespace.get::<Json>(&words.next::<String>()?)?),
        "set" => json(namespace.set(&words.next::<String>()?, &words.next::<Json>()?)?),
        "delete" => json(namespace.delete(&words.next::<String>()?)?),
        "contains" => json(namespace.contains(&words.next::<String>()?)?),
        "clear" => json(namespace.clear()?),
        _ => unknown(op),
    }
}

/// Which of several objects, given as kinds and names, are ready within some milliseconds.
fn wait(words: &mut Words) -> Done {
    let names: Vec<(String, String)> = words.next()?;
    let duration = words.milliseconds_or_none()?;
    let mut objects: Vec<Box<dyn Shared>> = Vec::new();
    for (kind, name) in &names {
        objects.push(match kind.as_str() {
            "lock" => Box::new(Lock::open(name)?),
            "rlock" => Box::new(RLock::open(name)?),
            "semaphore" => Box::new(Semaphore::open(name)?),
            "bounded_semaphore" => Box::new(BoundedSemaphore::open(name)?),
            "event" => Box::new(Event::open(name)?),
            "queue" => Box::new(Queue::<Json>::open(name)?),
            "joinable_queue" => Box::new(JoinableQueue::<Json>::open(name)?),
            "pipe" => Box::new(PipeEnd::<Json>::open(name)?),
            "list" => Box::new(List::<Json>::open(name)?),
            _ => return Err(Failure::Script(format!("nobody waits for a {kind}"))),
        });
    }
    let objects: Vec<&dyn Shared> = objects.iter().map(AsRef::as_ref).collect();
    json(wait_any(&objects, duration)?)
}

#[cfg(test)]
mod tests {
    use wasmpool_guest::shared::testing::TestPool;

    use super::*;

    /// Runs a script of steps, each with what it has to answer: a value, or the kind of an error.
    fn check(pool: &TestPool, table: &[(Json, Json)]) {
        for (step, expected) in table {
            let step: Vec<Json> = serde_json::from_value(step.clone()).unwrap();
            let shown = json!(step).to_string();
            let answer = serde_json::to_value(&pool.run(|| shared_ops(vec![step]))[0]).unwrap();
            let answer = match answer.get("err") {
                Some(kind) => json!({ "err": kind }),
                None => answer["ok"].clone(),
            };
            assert_eq!(answer, *expected, "{shown}");
        }
    }

    fn err(kind: &str) -> Json {
        json!({ "err": kind })
    }

    #[test]
    fn numbers_are_changed_and_told_as_before() {
        let pool = TestPool::new().value("v", 5_i32).value("b", true).value("f", 1.5_f64).value("u", 255_u8);
        check(
            &pool,
            &[
                (json!(["value:i32", "v", "get"]), json!(5)),
                (json!(["value:i32", "v", "fetch_add", -7]), json!(5)),
                (json!(["value:i32", "v", "fetch_max", 3]), json!(-2)),
                (json!(["value:i32", "v", "compare_exchange", 4, 9]), json!({ "found": 3 })),
                (json!(["value:i32", "v", "compare_exchange", 3, 9]), json!({ "before": 3 })),
                (json!(["value:i32", "v", "update", 12]), json!(9)),
                (json!(["value:i32", "v", "fetch_and", 8]), json!(12)),
                (json!(["value:i32", "v", "swap", -1]), json!(8)),
                (json!(["value:i32", "v", "get"]), json!(-1)),
                (json!(["value:u8", "u", "fetch_add", 2]), json!(255)),
                (json!(["value:u8", "u", "get"]), json!(1)),
                (json!(["value:bool", "b", "fetch_xor", true]), json!(true)),
                (json!(["value:bool", "b", "get"]), json!(false)),
                (json!(["value:bool", "b", "fetch_add", true]), err("Script")),
                (json!(["value:f64", "f", "fetch_sub", 1.0]), json!(1.5)),
                (json!(["value:f64", "f", "get"]), json!(0.5)),
                (json!(["value:f32", "f", "get"]), err("WrongElement")),
                (json!(["lock", "f", "acquire"]), err("WrongKind")),
                (json!(["value:i32", "none", "get"]), err("NotGranted")),
                (json!(["value:i32", "v", "lock"]), json!({ "owner_died": false })),
                (json!(["value:i32", "v", "try_acquire"]), json!(true)),
                (json!(["value:i32", "v", "release"]), json!(null)),
                (json!(["value:i32", "v", "release"]), json!(null)),
                (json!(["value:i32", "v", "release"]), err("NotHeld")),
            ],
        );
    }

    #[test]
    fn arrays_are_reached_in_every_way() {
        let pool = TestPool::new().array("a", &[1_i16, 2, 3, 4]).array("flags", &[true, false]);
        check(
            &pool,
            &[
                (json!(["array:i16", "a", "len"]), json!(4)),
                (json!(["array:i16", "a", "get", 4]), err("OutOfRange")),
                (json!(["array:i16", "a", "set", 0, -1]), json!(null)),
                (json!(["array:i16", "a", "fetch_or", 1, 8]), json!(2)),
                (json!(["array:i16", "a", "read", 0, 2]), json!([-1, 10])),
                (json!(["array:i16", "a", "read", 3, 5]), err("OutOfRange")),
                (json!(["array:i16", "a", "read", 3, 2]), err("Invalid")),
                (json!(["array:i16", "a", "write", 2, [7, 8]]), json!(null)),
                (json!(["array:i16", "a", "write", 3, [7, 8]]), err("OutOfRange")),
                (json!(["array:i16", "a", "fill", 0, 2, 6]), json!(null)),
                (json!(["array:i16", "a", "iter"]), json!([6, 6, 7, 8])),
                (json!(["array:i16", "a", "view_fetch_add", 3, 2]), json!(8)),
                (json!(["array:i16", "a", "view_update", 3, 1]), json!(10)),
                (json!(["array:i16", "a", "view_get", 4]), err("OutOfRange")),
                (json!(["array:i16", "a", "lease_write", 1, [3, 4]]), json!(null)),
                (json!(["array:i16", "a", "lease_read", 0, 4]), json!([6, 3, 4, 1])),
                (json!(["array:i16", "a", "lease_read", 2, 2]), json!([])),
                (json!(["array:bool", "flags", "to_vec"]), json!([true, false])),
                (json!(["array:bool", "flags", "view_swap", 1, true]), json!(false)),
                (json!(["array:i16", "a", "read_lease", 0, 2]), json!(2)),
                (json!(["array:i16", "a", "get", 0]), json!(6)),
                (json!(["array:i16", "a", "set", 0, 1]), err("Leased")),
                (json!(["array:i16", "a", "lease", 0, 4]), err("Leased")),
                (json!(["array:i16", "a", "lease", 2, 4]), json!(2)),
                (json!(["array:i16", "a", "get", 2]), err("Leased")),
            ],
        );
    }

    #[test]
    fn locks_and_their_kin_count() {
        let pool = TestPool::new().lock("l").rlock("r").semaphore("s", 1).bounded_semaphore("b", 1);
        let pool = pool.event("e").barrier("m", 2).condition("c");
        check(
            &pool,
            &[
                (json!(["lock", "l", "acquire"]), json!(null)),
                (json!(["lock", "l", "acquire"]), err("WouldDeadlock")),
                (json!(["lock", "l", "is_locked"]), json!(true)),
                (json!(["lock", "l", "release"]), json!(null)),
                (json!(["rlock", "r", "acquire_for", 10]), json!(true)),
                (json!(["rlock", "r", "try_acquire"]), json!(true)),
                (json!(["semaphore", "s", "acquire"]), json!(null)),
                (json!(["semaphore", "s", "try_acquire"]), json!(false)),
                (json!(["semaphore", "s", "acquire_for", 1]), json!(false)),
                (json!(["semaphore", "s", "release", 3]), json!(null)),
                (json!(["semaphore", "s", "available"]), json!(3)),
                (json!(["bounded_semaphore", "b", "release", 1]), err("TooMany")),
                (json!(["event", "e", "wait_for", 1]), json!(false)),
                (json!(["wait_any", [["event", "e"], ["rlock", "r"]], 1]), json!([])),
                (json!(["event", "e", "set"]), json!(null)),
                (json!(["event", "e", "wait"]), json!(null)),
                (json!(["wait_any", [["rlock", "r"], ["event", "e"], ["lock", "l"]], null]), json!([1, 2])),
                (json!(["barrier", "m", "parties"]), json!(2)),
                (json!(["barrier", "m", "wait_for", 1]), err("Broken")),
                (json!(["barrier", "m", "wait"]), err("Broken")),
                (json!(["barrier", "m", "is_broken"]), json!(true)),
                (json!(["barrier", "m", "reset"]), json!(null)),
                (json!(["barrier", "m", "n_waiting"]), json!(0)),
                (json!(["condition", "c", "wait_for", 1]), err("NotHeld")),
                (json!(["condition", "c", "notify", 1]), err("NotHeld")),
                (json!(["condition", "c", "acquire"]), json!(null)),
                (json!(["condition", "c", "wait_for", 1]), json!(false)),
                (json!(["condition", "c", "notify_all"]), json!(null)),
                (json!(["condition", "c", "release"]), json!(null)),
            ],
        );
    }

    #[test]
    fn queues_and_pipes_hand_values_on() {
        let big = "x".repeat(5000);
        let pool = TestPool::new().queue("q", 2).joinable_queue("j", 9).pipe("left", "right");
        check(
            &pool,
            &[
                (json!(["queue", "q", "put", { "any": [1, null] }]), json!(null)),
                (json!(["queue", "q", "try_put", big]), json!(true)),
                (json!(["queue", "q", "is_full"]), json!(true)),
                (json!(["queue", "q", "try_put", 3]), json!(false)),
                (json!(["queue", "q", "put_for", 3, 1]), json!(false)),
                (json!(["queue", "q", "get"]), json!({ "any": [1, null] })),
                (json!(["queue", "q", "get_for", 1]), json!(big)),
                (json!(["queue", "q", "try_get"]), json!(null)),
                (json!(["queue", "q", "put", "text"]), json!(null)),
                (json!(["queue", "q", "get_number"]), err("Undecodable")),
                (json!(["queue", "q", "put", 4]), json!(null)),
                (json!(["queue", "q", "close"]), json!(null)),
                (json!(["queue", "q", "put", 5]), err("Closed")),
                (json!(["queue", "q", "drain"]), json!([4])),
                (json!(["queue", "q", "get"]), err("Closed")),
                (json!(["joinable_queue", "j", "put", 1]), json!(null)),
                (json!(["joinable_queue", "j", "join_for", 1]), json!(false)),
                (json!(["joinable_queue", "j", "get"]), json!(1)),
                (json!(["joinable_queue", "j", "task_done"]), json!(null)),
                (json!(["joinable_queue", "j", "task_done"]), err("TooMany")),
                (json!(["joinable_queue", "j", "join"]), json!(null)),
                (json!(["pipe", "left", "send", [1, 2]]), json!(null)),
                (json!(["pipe", "left", "poll", 0]), json!(false)),
                (json!(["pipe", "right", "poll", null]), json!(true)),
                (json!(["pipe", "right", "recv"]), json!([1, 2])),
                (json!(["pipe", "right", "recv_for", 1]), json!(null)),
                (json!(["pipe", "left", "send_bytes", [1, 255]]), json!(null)),
                (json!(["pipe", "left", "close"]), json!(null)),
                (json!(["pipe", "right", "recv_bytes"]), json!([1, 255])),
                (json!(["pipe", "right", "recv"]), err("EndOfFile")),
            ],
        );
    }

    #[test]
    fn records_are_found_changed_and_removed() {
        let pool = TestPool::new().list("l").dict("d").namespace("n");
        check(
            &pool,
            &[
                (json!(["list", "l", "pop"]), json!(null)),
                (json!(["list", "l", "push", "a"]), json!(0)),
                (json!(["list", "l", "extend", [1, 2, 3]]), json!(null)),
                (json!(["list", "l", "insert", 1, "b"]), json!(null)),
                (json!(["list", "l", "to_vec"]), json!(["a", "b", 1, 2, 3])),
                (json!(["list", "l", "slice", 1, 3]), json!(["b", 1])),
                (json!(["list", "l", "slice", 3, null]), json!([2, 3])),
                (json!(["list", "l", "slice", 2, 2]), json!([])),
                (json!(["list", "l", "update", -1, 10]), json!(13)),
                (json!(["list", "l", "get", -1]), json!(13)),
                (json!(["list", "l", "get", 5]), err("OutOfRange")),
                (json!(["list", "l", "set", 0, { "k": 1 }]), json!(null)),
                (json!(["list", "l", "pop_at", 0]), json!({ "k": 1 })),
                (json!(["list", "l", "remove_at", 0]), json!(null)),
                (json!(["list", "l", "len"]), json!(3)),
                (json!(["dict", "d", "get", "k"]), json!(null)),
                (json!(["dict", "d", "set_default", "k", 5]), json!(5)),
                (json!(["dict", "d", "set_default", "k", 6]), json!(5)),
                (json!(["dict", "d", "update_entry", "k", 2]), json!(7)),
                (json!(["dict", "d", "update_entry", "new", 2]), json!(2)),
                (json!(["dict", "d", "extend", [["k", 1], [7, "seven"]]]), json!(null)),
                (json!(["dict", "d", "keys"]), json!(["k", "new", 7])),
                (json!(["dict", "d", "values"]), json!([1, 2, "seven"])),
                (json!(["dict", "d", "items"]), json!([["k", 1], ["new", 2], [7, "seven"]])),
                (json!(["dict", "d", "contains_key", 7]), json!(true)),
                (json!(["dict", "d", "remove", 8]), json!(false)),
                (json!(["dict", "d", "pop", 7]), json!("seven")),
                (json!(["dict", "d", "insert", "k", null]), json!(null)),
                (json!(["dict", "d", "clear"]), json!(null)),
                (json!(["dict", "d", "len"]), json!(0)),
                (json!(["namespace", "n", "get", "x"]), err("Missing")),
                (json!(["namespace", "n", "set", "x", [1]]), json!(null)),
                (json!(["namespace", "n", "get", "x"]), json!([1])),
                (json!(["namespace", "n", "contains", "x"]), json!(true)),
                (json!(["namespace", "n", "delete", "x"]), json!(null)),
            ],
        );
    }

    #[test]
    fn steps_that_make_no_sense_are_told() {
        check(
            &TestPool::new().lock("l"),
            &[
                (json!([]), err("Script")),
                (json!(["lock", "l"]), err("Script")),
                (json!(["lock", "l", "fly"]), err("Script")),
                (json!(["lock", "l", "acquire_for", "long"]), err("Script")),
                (json!(["value:i128", "l", "get"]), err("Script")),
            ],
        );
        let alone = serde_json::to_value(shared_ops(vec![vec![json!("lock"), json!("l"), json!("acquire")]]));
        assert_eq!(alone.unwrap()[0]["err"], "NotInAPool");
    }
}
