//! Handles of all kinds, asked in JSON.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::super::codec::decode;
use super::super::handle::{Handle, for_ever, within};
use super::super::*;

/// Any handle, of the types that the stories use.
#[derive(Clone)]
pub(super) enum Any {
    Value(Value<i64>),
    Array(Array<f64>),
    Lock(Lock),
    RLock(RLock),
    Semaphore(Semaphore),
    BoundedSemaphore(BoundedSemaphore),
    Condition(Condition),
    Event(Event),
    Barrier(Barrier),
    Queue(Queue<Json>),
    JoinableQueue(JoinableQueue<Json>),
    Pipe(PipeEnd<Json>),
    List(List<Json>),
    Dict(Dict<Json, Json>),
    Namespace(Namespace),
}

/// What an operation comes to; a failure by the name of its kind.
pub(super) type Answer = Result<Json, String>;

fn answer<T: Serialize>(answered: Result<T, SharedError>) -> Answer {
    let answered = answered.map(|value| serde_json::to_value(value).expect("JSON"));
    answered.map_err(|error| format!("{:?}", error.kind()))
}

/// What an operation is given, taken one by one.
pub(super) struct Given<'a>(std::slice::Iter<'a, Json>);

impl<'a> Given<'a> {
    pub(super) fn new(given: &'a [Json]) -> Self {
        Self(given.iter())
    }
    pub(super) fn next(&mut self) -> Option<&Json> {
        self.0.next()
    }
    pub(super) fn json(&mut self) -> &Json {
        self.0.next().expect("one more argument")
    }
    pub(super) fn integer(&mut self) -> i64 {
        self.json().as_i64().expect("an integer")
    }
    pub(super) fn size(&mut self) -> usize {
        self.integer() as usize
    }
    fn float(&mut self) -> f64 {
        self.json().as_f64().expect("a number")
    }
    pub(super) fn floats(&mut self) -> Vec<f64> {
        self.list().iter().map(|float| float.as_f64().expect("a number")).collect()
    }
    pub(super) fn text(&mut self) -> String {
        self.json().as_str().expect("a string").to_owned()
    }
    fn list(&mut self) -> Vec<Json> {
        self.json().as_array().expect("an array").clone()
    }
    fn milliseconds(&mut self) -> Duration {
        Duration::from_millis(self.integer() as u64)
    }
    fn entries(&mut self) -> Vec<(Json, Json)> {
        let entry = |entry: &Json| (entry[0].clone(), entry[1].clone());
        self.list().iter().map(entry).collect()
    }
}

/// The ways to take a lock, for all handles that have one.
macro_rules! lock_operation {
    ($handle:expr, $operation:expr, $given:expr, $otherwise:expr) => {
        match $operation {
            "acquire" => answer($handle.acquire()),
            "lock" => answer($handle.lock().map(|guard| {
                let owner_died = guard.owner_died();
                // Kept until it is released by hand.
                std::mem::forget(guard);
                json!({ "owner_died": owner_died })
            })),
            "try_acquire" => answer($handle.try_acquire()),
            "acquire_for" => answer($handle.acquire_for($given.milliseconds())),
            "release" => answer($handle.release()),
            _ => $otherwise,
        }
    };
}

macro_rules! semaphore_operation {
    ($handle:expr, $operation:expr, $given:expr) => {
        match $operation {
            "acquire_kept" => answer($handle.acquire().map(Permit::keep)),
            "try_acquire_kept" => {
                answer($handle.try_acquire().map(|permit| permit.map(Permit::keep).is_some()))
            }
            "acquire_for_kept" => {
                let permit = $handle.acquire_for($given.milliseconds());
                answer(permit.map(|permit| permit.map(Permit::keep).is_some()))
            }
            "release" => answer($handle.release($given.size() as u32)),
            "available" => answer($handle.available()),
            other => panic!("a semaphore has no operation {other}"),
        }
    };
}

fn value(value: &Value<i64>, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "get" => answer(value.get()),
        "set" => answer(value.set(given.integer())),
        "swap" => answer(value.swap(given.integer())),
        "fetch_add" => answer(value.fetch_add(given.integer())),
        "fetch_sub" => answer(value.fetch_sub(given.integer())),
        "fetch_min" => answer(value.fetch_min(given.integer())),
        "fetch_max" => answer(value.fetch_max(given.integer())),
        "fetch_and" => answer(value.fetch_and(given.integer())),
        "fetch_or" => answer(value.fetch_or(given.integer())),
        "fetch_xor" => answer(value.fetch_xor(given.integer())),
        "compare_exchange" => answer(value.compare_exchange(given.integer(), given.integer())),
        "update_double" => answer(value.update(|number| number.wrapping_mul(2))),
        other => lock_operation!(value, other, given, panic!("a value has no operation {other}")),
    }
}

fn array(array: &Array<f64>, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "len" => answer(Ok(array.len())),
        "get" => answer(array.get(given.size())),
        "set" => answer(array.set(given.size(), given.float())),
        "fetch_add" => answer(array.fetch_add(given.size(), given.float())),
        "read" => answer(array.read(given.size()..given.size())),
        "write" => answer(array.write(given.size(), &given.floats())),
        "fill" => answer(array.fill(given.size()..given.size(), given.float())),
        "to_vec" => answer(array.to_vec()),
        other => panic!("an array has no operation {other}"),
    }
}

fn condition(condition: &Condition, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "wait_for" => answer(condition.wait_for(given.milliseconds())),
        "notify" => answer(condition.notify(given.size() as u32)),
        "notify_all" => answer(condition.notify_all()),
        other => lock_operation!(condition, other, given, panic!("a condition has no operation {other}")),
    }
}

fn event(event: &Event, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "set" => answer(event.set()),
        "clear" => answer(event.clear()),
        "is_set" => answer(event.is_set()),
        "wait" => answer(event.wait()),
        "wait_for" => answer(event.wait_for(given.milliseconds())),
        other => panic!("an event has no operation {other}"),
    }
}

fn barrier(barrier: &Barrier, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "wait" => answer(barrier.wait()),
        "wait_for" => answer(barrier.wait_for(given.milliseconds())),
        "abort" => answer(barrier.abort()),
        "reset" => answer(barrier.reset()),
        "parties" => answer(Ok(barrier.parties())),
        "n_waiting" => answer(barrier.n_waiting()),
        "is_broken" => answer(barrier.is_broken()),
        other => panic!("a barrier has no operation {other}"),
    }
}

fn queue(queue: &Queue<Json>, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "put" => answer(queue.put(given.json())),
        "try_put" => answer(queue.try_put(given.json())),
        "put_for" => answer(queue.put_for(&given.json().clone(), given.milliseconds())),
        "get" => answer(queue.get()),
        "try_get" => answer(queue.try_get()),
        "get_for" => answer(queue.get_for(given.milliseconds())),
        "len" => answer(queue.len()),
        "is_empty" => answer(queue.is_empty()),
        "is_full" => answer(queue.is_full()),
        "capacity" => answer(Ok(queue.capacity())),
        "close" => answer(queue.close()),
        "take_in_hand" => take_in_hand(queue, given),
        "take_reported" => answer(queue.take_reported().map(|items| items.len())),
        other => panic!("a queue has no operation {other}"),
    }
}

/// Takes an item as a task does: it is in hand until it is dealt with.
fn take_in_hand(queue: &Queue<Json>, given: &mut Given<'_>) -> Answer {
    let limit = given.next().and_then(Json::as_u64).map(Duration::from_millis);
    let patience = limit.map_or_else(for_ever, within);
    let handle = Handle::new(Arc::clone(sealed::HasEntry::entry(queue)));
    let Object::Queue(inner) = handle.object() else { panic!("a queue is a queue") };
    let (party, mut item) = (handle.party().expect("a number"), Vec::new());
    let taken = handle.said(inner.get(party, &patience, &mut item));
    answer(taken.and_then(|()| decode::<Json>(&handle, &item)))
}

fn joinable_queue(joinable: &JoinableQueue<Json>, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "task_done" => answer(joinable.task_done()),
        "join" => answer(joinable.join()),
        "join_for" => answer(joinable.join_for(given.milliseconds())),
        other => queue(joinable, other, given),
    }
}

fn pipe(end: &PipeEnd<Json>, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "send" => answer(end.send(given.json())),
        "send_for" => answer(end.send_for(&given.json().clone(), given.milliseconds())),
        "recv" => answer(end.recv()),
        "recv_for" => answer(end.recv_for(given.milliseconds())),
        "poll" => answer(end.poll(Some(given.milliseconds()))),
        "close" => answer(end.close()),
        other => panic!("a pipe has no operation {other}"),
    }
}

fn list(list: &List<Json>, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "len" => answer(list.len()),
        "is_empty" => answer(list.is_empty()),
        "capacity" => answer(Ok(list.capacity())),
        "get" => answer(list.get(given.integer())),
        "set" => answer(list.set(given.integer(), given.json())),
        "push" => answer(list.push(given.json())),
        "insert" => answer(list.insert(given.integer(), given.json())),
        "extend" => answer(list.extend(&given.list())),
        "pop" => answer(list.pop()),
        "pop_at" => answer(list.pop_at(given.integer())),
        "remove_at" => answer(list.remove_at(given.integer())),
        "clear" => answer(list.clear()),
        "to_vec" => answer(list.to_vec()),
        "slice" => answer(list.slice(given.size()..given.size())),
        "update_double" => {
            answer(list.update(given.integer(), |value| json!(value.as_i64().expect("an integer") * 2)))
        }
        "touch" => answer(list.update(given.integer(), |value| value)),
        other => panic!("a list has no operation {other}"),
    }
}

fn dict(dict: &Dict<Json, Json>, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "len" => answer(dict.len()),
        "is_empty" => answer(dict.is_empty()),
        "get" => answer(dict.get(given.json())),
        "insert" => answer(dict.insert(&given.json().clone(), given.json())),
        "remove" => answer(dict.remove(given.json())),
        "pop" => answer(dict.pop(given.json())),
        "contains_key" => answer(dict.contains_key(given.json())),
        "set_default" => answer(dict.set_default(&given.json().clone(), given.json())),
        "update_count" => {
            let count =
                |old: Option<Json>| json!(old.and_then(|old| old.as_i64()).unwrap_or(0).wrapping_add(1));
            answer(dict.update_entry(given.json(), count))
        }
        "extend" => {
            let entries = given.entries();
            answer(dict.extend(entries.iter().map(|(key, value)| (key, value))))
        }
        "keys" => answer(dict.keys()),
        "values" => answer(dict.values()),
        "items" => answer(dict.items()),
        "clear" => answer(dict.clear()),
        "touch" => answer(dict.update_entry(given.json(), |value| value.unwrap_or_default())),
        other => panic!("a dictionary has no operation {other}"),
    }
}

fn namespace(namespace: &Namespace, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "get" => answer::<Json>(namespace.get(&given.text())),
        "set" => answer(namespace.set(&given.text(), given.json())),
        "delete" => answer(namespace.delete(&given.text())),
        "contains" => answer(namespace.contains(&given.text())),
        "len" => answer(namespace.len()),
        "clear" => answer(namespace.clear()),
        other => panic!("a namespace has no operation {other}"),
    }
}

impl Any {
    /// Does one operation.
    pub(super) fn perform(&self, operation: &str, given: &mut Given<'_>) -> Answer {
        let is_locked = |locked| answer::<bool>(locked);
        match self {
            Self::Value(handle) => value(handle, operation, given),
            Self::Array(handle) => array(handle, operation, given),
            Self::Lock(handle) if operation == "is_locked" => is_locked(handle.is_locked()),
            Self::Lock(handle) => lock_operation!(handle, operation, given, panic!("no {operation}")),
            Self::RLock(handle) if operation == "is_locked" => is_locked(handle.is_locked()),
            Self::RLock(handle) => lock_operation!(handle, operation, given, panic!("no {operation}")),
            Self::Semaphore(handle) => semaphore_operation!(handle, operation, given),
            Self::BoundedSemaphore(handle) => semaphore_operation!(handle, operation, given),
            Self::Condition(handle) => condition(handle, operation, given),
            Self::Event(handle) => event(handle, operation, given),
            Self::Barrier(handle) => barrier(handle, operation, given),
            Self::Queue(handle) => queue(handle, operation, given),
            Self::JoinableQueue(handle) => joinable_queue(handle, operation, given),
            Self::Pipe(handle) => pipe(handle, operation, given),
            Self::List(handle) => list(handle, operation, given),
            Self::Dict(handle) => dict(handle, operation, given),
            Self::Namespace(handle) => namespace(handle, operation, given),
        }
    }
}

impl Any {
    /// A handle of the object's own kind.
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        let spec = entry.spec.clone();
        let handle = Handle::new(entry);
        match spec {
            Spec::Value { .. } => Self::Value(Value::new(handle)),
            Spec::Array { .. } => Self::Array(Array::new(handle)),
            Spec::Lock => Self::Lock(Lock::new(handle)),
            Spec::RLock => Self::RLock(RLock::new(handle)),
            Spec::Semaphore { bounded: false, .. } => Self::Semaphore(Semaphore::new(handle)),
            Spec::Semaphore { bounded: true, .. } => Self::BoundedSemaphore(BoundedSemaphore::new(handle)),
            Spec::Condition => Self::Condition(Condition::new(handle)),
            Spec::Event => Self::Event(Event::new(handle)),
            Spec::Barrier { .. } => Self::Barrier(Barrier::new(handle)),
            Spec::Queue(shape) if shape.joinable => Self::JoinableQueue(JoinableQueue::new(handle)),
            Spec::Queue(_) => Self::Queue(Queue::new(handle)),
            Spec::Pipe { .. } => Self::Pipe(PipeEnd::new(handle).expect("it can be joined")),
            Spec::List(_) => Self::List(List::new(handle)),
            Spec::Dict { is_namespace: true, .. } => Self::Namespace(Namespace::new(handle)),
            Spec::Dict { .. } => Self::Dict(Dict::new(handle)),
        }
    }

    /// The object as this process has it.
    pub(super) fn entry(&self) -> &Arc<Entry> {
        use sealed::HasEntry;
        match self {
            Self::Value(handle) => handle.entry(),
            Self::Array(handle) => handle.entry(),
            Self::Lock(handle) => handle.entry(),
            Self::RLock(handle) => handle.entry(),
            Self::Semaphore(handle) => handle.entry(),
            Self::BoundedSemaphore(handle) => handle.entry(),
            Self::Condition(handle) => handle.entry(),
            Self::Event(handle) => handle.entry(),
            Self::Barrier(handle) => handle.entry(),
            Self::Queue(handle) => handle.entry(),
            Self::JoinableQueue(handle) => handle.entry(),
            Self::Pipe(handle) => handle.entry(),
            Self::List(handle) => handle.entry(),
            Self::Dict(handle) => handle.entry(),
            Self::Namespace(handle) => handle.entry(),
        }
    }
}
