//! Runs the stories of `expectations.txt` on handles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::super::handle::Handle;
use super::super::*;
use crate::shm::object::spec::Spec;

const EXPECTATIONS: &str = include_str!("expectations.txt");

/// Any handle, of the types that the stories use.
enum Any {
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

type Answer = Result<Json, SharedError>;

fn answer<T: Serialize>(answered: Result<T, SharedError>) -> Answer {
    answered.map(|value| serde_json::to_value(value).expect("JSON"))
}

/// What an operation is given, taken one by one.
struct Given<'a>(std::slice::Iter<'a, Json>);

impl Given<'_> {
    fn json(&mut self) -> &Json {
        self.0.next().expect("one more argument")
    }
    fn integer(&mut self) -> i64 {
        self.json().as_i64().expect("an integer")
    }
    fn size(&mut self) -> usize {
        self.integer() as usize
    }
    fn float(&mut self) -> f64 {
        self.json().as_f64().expect("a number")
    }
    fn floats(&mut self) -> Vec<f64> {
        self.list().iter().map(|float| float.as_f64().expect("a number")).collect()
    }
    fn text(&mut self) -> String {
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
        "update_double" => answer(value.update(|number| number * 2)),
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
        other => panic!("a queue has no operation {other}"),
    }
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
            let count = |old: Option<Json>| json!(old.and_then(|old| old.as_i64()).unwrap_or(0) + 1);
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
        other => panic!("a dictionary has no operation {other}"),
    }
}

fn namespace(namespace: &Namespace, operation: &str, given: &mut Given<'_>) -> Answer {
    match operation {
        "get" => namespace.get(&given.text()),
        "set" => answer(namespace.set(&given.text(), given.json())),
        "delete" => answer(namespace.delete(&given.text())),
        "contains" => answer(namespace.contains(&given.text())),
        "len" => answer(namespace.len()),
        "clear" => answer(namespace.clear()),
        other => panic!("a namespace has no operation {other}"),
    }
}

impl Any {
    fn perform(&self, operation: &str, given: &mut Given<'_>) -> Answer {
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

/// The objects of one story.
struct Stage {
    registry: Arc<Registry>,
    objects: BTreeMap<String, Any>,
}

impl Stage {
    fn new() -> Self {
        Self { registry: Registry::new(), objects: BTreeMap::new() }
    }

    fn handle(&self, name: &str, spec: Spec) -> Handle {
        Handle::new(self.registry.create(name, spec).expect("it can be made"))
    }

    fn make(&mut self, name: &str, kind: &str, given: &mut Given<'_>) {
        let handle = |spec| self.handle(name, spec);
        let records = |given: &mut Given<'_>| {
            let options = RecordOptions::new().bytes(64 << 10);
            let records = given.0.next().map_or(64, |records| records.as_u64().expect("a number"));
            options.records(records as usize).shape()
        };
        let any = match kind {
            "value" => {
                let value = Value::new(handle(Spec::Value { element: wasmpool_abi::shared::Element::I64 }));
                value.set(given.integer()).expect("it can be written");
                Any::Value(value)
            }
            "array" => {
                let elements = given.floats();
                let (element, length) = (wasmpool_abi::shared::Element::F64, elements.len() as u64);
                let array = Array::new(handle(Spec::Array { element, length }));
                array.write(0, &elements).expect("it can be written");
                Any::Array(array)
            }
            "lock" => Any::Lock(Lock::new(handle(Spec::Lock))),
            "rlock" => Any::RLock(RLock::new(handle(Spec::RLock))),
            "semaphore" => {
                let permits = given.size() as u32;
                Any::Semaphore(Semaphore::new(handle(Spec::Semaphore { permits, bounded: false })))
            }
            "bounded_semaphore" => {
                let permits = given.size() as u32;
                let handle = handle(Spec::Semaphore { permits, bounded: true });
                Any::BoundedSemaphore(BoundedSemaphore::new(handle))
            }
            "condition" => Any::Condition(Condition::new(handle(Spec::Condition))),
            "event" => Any::Event(Event::new(handle(Spec::Event))),
            "barrier" => Any::Barrier(Barrier::new(handle(Spec::Barrier { parties: given.size() as u32 }))),
            "queue" => {
                let shape = QueueOptions::new(given.size()).bytes(64 << 10).shape(false);
                Any::Queue(Queue::new(handle(Spec::Queue(shape))))
            }
            "joinable_queue" => {
                let shape = QueueOptions::new(given.size()).bytes(64 << 10).shape(true);
                Any::JoinableQueue(JoinableQueue::new(handle(Spec::Queue(shape))))
            }
            "list" => Any::List(List::new(handle(Spec::List(records(given))))),
            "dict" | "namespace" => {
                let is_namespace = kind == "namespace";
                let handle = handle(Spec::Dict { shape: records(given), seed: 7, is_namespace });
                if is_namespace {
                    Any::Namespace(Namespace::new(handle))
                } else {
                    Any::Dict(Dict::new(handle))
                }
            }
            "pipe" | "one_way_pipe" => return self.make_pipe(name, kind == "pipe"),
            other => panic!("there is no kind {other}"),
        };
        self.objects.insert(name.to_owned(), any);
    }

    fn make_pipe(&mut self, name: &str, duplex: bool) {
        let shape = PipeOptions::new().bytes(64 << 10).shape(duplex);
        for entry in self.registry.create_pipe(name, shape).expect("it can be made") {
            let name = entry.name.clone();
            let end = PipeEnd::new(Handle::new(entry)).expect("it can be joined");
            self.objects.insert(name, Any::Pipe(end));
        }
    }

    /// Runs one line.
    fn run(&mut self, line: &str) {
        let (name, rest) = line.split_once(' ').expect("a name and more");
        if let Some(made) = rest.strip_prefix("= ") {
            let (kind, given) = made.split_once(' ').unwrap_or((made, ""));
            return self.make(name, kind, &mut Given(arguments(given).iter()));
        }
        let expected_at = rest.find(" -> ").or_else(|| rest.find(" ! ")).expect("an expectation");
        let (performed, expected) = rest.split_at(expected_at);
        let (operation, given) = performed.split_once(' ').unwrap_or((performed, ""));
        let given = arguments(given);
        let object = self.objects.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        let answer = object.perform(operation, &mut Given(given.iter()));
        let is_right = match (&answer, expected.strip_prefix(" -> ")) {
            (Ok(answer), Some(expected)) => *answer == serde_json::from_str::<Json>(expected).expect("JSON"),
            (Err(error), None) => format!(" ! {:?}", error.kind()) == expected,
            _ => false,
        };
        assert!(is_right, "{line}\n  came to {answer:?}");
    }
}

fn arguments(text: &str) -> Vec<Json> {
    let arguments = serde_json::Deserializer::from_str(text).into_iter();
    arguments.collect::<Result<_, _>>().expect("JSON")
}

/// Runs all stories whose first object is of one of these kinds.
fn run_stories_about(kinds: &[&str]) {
    let mut stories = 0;
    for story in EXPECTATIONS.split("\n\n") {
        let lines: Vec<&str> =
            story.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        let Some(first) = lines.first() else { continue };
        let kind = first.split(' ').nth(2).expect("a kind");
        if !kinds.contains(&kind) {
            continue;
        }
        stories += 1;
        let mut stage = Stage::new();
        lines.into_iter().for_each(|line| stage.run(line));
    }
    assert!(stories > 0, "there are stories about {kinds:?}");
}

#[test]
fn values_and_arrays_answer_as_expected() {
    run_stories_about(&["value", "array"]);
}

#[test]
fn locks_answer_as_expected() {
    run_stories_about(&["lock", "rlock"]);
}

#[test]
fn semaphores_answer_as_expected() {
    run_stories_about(&["semaphore", "bounded_semaphore"]);
}

#[test]
fn conditions_events_and_barriers_answer_as_expected() {
    run_stories_about(&["condition", "event", "barrier"]);
}

#[test]
fn queues_answer_as_expected() {
    run_stories_about(&["queue", "joinable_queue"]);
}

#[test]
fn pipes_answer_as_expected() {
    run_stories_about(&["pipe", "one_way_pipe"]);
}

#[test]
fn lists_dictionaries_and_namespaces_answer_as_expected() {
    run_stories_about(&["list", "dict", "namespace"]);
}
