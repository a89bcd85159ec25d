//! Stands in for the host where there is none: shared objects in this process, for tests of tasks.
//!
//! It answers as the contract says, with one lock around everything and one place to wait: it is there to be right, not
//! to be fast. It knows nothing of deaths and of ends of calls.
#![allow(unsafe_code, reason = "numbers are reached as they are in a guest: through their address")]

mod numbers;
mod object;
mod records;

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wasmpool_abi::shared::{CellOp, Kind, Op, RecordOp, Refusal, ViewMode};

pub(super) use object::Body;
use object::Object;

use super::call::{self, Call};

/// What an operation answers.
type Answer = Result<i64, Refusal>;

/// The objects of a [`TestPool`](super::testing::TestPool); a handle is an index.
#[derive(Debug, Default)]
pub(super) struct World {
    objects: Mutex<Vec<Object>>,
    changed: Condvar,
}

thread_local! {
    /// The world in which this thread runs.
    static CURRENT: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
    static REFUSAL: RefCell<String> = const { RefCell::new(String::new()) };
    static STAGED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls a function in a world.
pub(super) fn within<R>(world: &Arc<World>, call: impl FnOnce() -> R) -> R {
    /// Goes back to where one was, also when the call panics.
    struct Back(Option<Arc<World>>, Call);
    impl Drop for Back {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
            call::resume(self.1);
        }
    }
    let _back = Back(CURRENT.replace(Some(Arc::clone(world))), call::begin_within());
    call()
}

impl World {
    pub(super) fn add(&self, name: &str, kind: Kind, body: Body) {
        self.objects().push(Object { name: name.to_owned(), kind, body });
    }

    fn objects(&self) -> MutexGuard<'_, Vec<Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries until there is an answer, or the limit passes.
    fn wait<R>(
        &self,
        limit: i64,
        mut attempt: impl FnMut(&mut [Object]) -> Option<Result<R, Refusal>>,
    ) -> Result<R, Refusal> {
        let end = u64::try_from(limit)
            .ok()
            .and_then(|limit| Instant::now().checked_add(Duration::from_nanos(limit)));
        let mut objects = self.objects();
        loop {
            if let Some(answer) = attempt(&mut objects) {
                self.changed.notify_all();
                return answer;
            }
            objects = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(objects).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Err(Refusal::TimedOut),
                Some(left) => {
                    self.changed.wait_timeout(objects, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

fn world() -> Option<Arc<World>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Does something with an object at once.
fn with<R>(handle: i32, work: impl FnOnce(&mut Object) -> Result<R, Refusal>) -> Result<R, Refusal> {
    let world = world().ok_or(Refusal::Invalid)?;
    let mut objects = world.objects();
    let object = objects.get_mut(index(handle)).ok_or(Refusal::Invalid)?;
    let result = work(object).inspect_err(|refusal| tell(&object.name, *refusal));
    world.changed.notify_all();
    result
}

fn index(handle: i32) -> usize {
    usize::try_from(handle).unwrap_or(usize::MAX)
}

fn tell(name: &str, refusal: Refusal) {
    REFUSAL.set(format!("{name} in a test: {refusal:?}"));
}

fn status(result: Result<(), Refusal>) -> i32 {
    result.map_or_else(Refusal::status, |()| 0)
}

/// A status, with the answer in its place.
fn status_and(answer: Answer, out: &mut i64) -> i32 {
    status(answer.map(|answer| *out = answer))
}

/// Copies an answer, or stages it; its length is told.
fn give(bytes: Vec<u8>, buffer: &mut [u8]) -> i64 {
    let length = bytes.len() as i64;
    match buffer.get_mut(..bytes.len()) {
        Some(place) => place.copy_from_slice(&bytes),
        None => STAGED.set(bytes),
    }
    length
}

/// Whether there is a host at all.
pub(super) fn is_there() -> bool {
    world().is_some()
}

pub(super) fn open(name: &str, kind: i32, element: i32) -> i64 {
    let Some(world) = world() else { return Refusal::NotGranted.status().into() };
    let objects = world.objects();
    let refusal = match objects.iter().position(|object| object.name == name) {
        None => Refusal::NotGranted,
        Some(place) if kind >= 0 && objects[place].kind as i32 != kind => Refusal::WrongKind,
        Some(place) if element >= 0 && objects[place].element() != element => Refusal::WrongElement,
        Some(place) => return place as i64,
    };
    tell(name, refusal);
    refusal.status().into()
}

pub(super) fn close(_handle: i32) -> i32 {
    0
}

pub(super) fn refusal(buffer: &mut [u8]) -> usize {
    REFUSAL.with_borrow(|text| {
        let length = text.len().min(buffer.len());
        buffer[..length].copy_from_slice(&text.as_bytes()[..length]);
        length
    })
}

pub(super) fn cell(handle: i32, op: CellOp, index: i64, a: i64, b: i64, out: &mut i64) -> i32 {
    let done = with(handle, |object| object.numbers()?.cell(op, index, a, b));
    match done {
        Ok(Ok(before)) => status_and(Ok(before), out),
        Ok(Err(found)) => {
            *out = found;
            Refusal::Changed.status()
        }
        Err(refusal) => refusal.status(),
    }
}

pub(super) fn read(handle: i32, start: i64, bytes: &mut [u8], element_bytes: usize) -> i32 {
    status(with(handle, |object| object.numbers()?.read(start, bytes, element_bytes)))
}

pub(super) fn write(handle: i32, start: i64, bytes: &[u8], element_bytes: usize) -> i32 {
    status(with(handle, |object| object.numbers()?.write(start, bytes, element_bytes)))
}

pub(super) fn fill(handle: i32, start: i64, element: &[u8], count: i64) -> i32 {
    let bytes = element.repeat(usize::try_from(count).unwrap_or(0));
    write(handle, start, &bytes, element.len())
}

pub(super) fn op(handle: i32, op: Op, argument: i64, limit: i64, out: &mut i64) -> i32 {
    let Some(world) = world() else { return Refusal::Invalid.status() };
    let place = index(handle);
    // On its own: the guard would live as long as the `match`.
    let kind = world.objects()[place].kind;
    let answer = match (op, kind) {
        (Op::Wait, Kind::Condition) => object::wait_at_condition(&world, place, limit),
        (Op::Wait, Kind::Barrier) => object::wait_at_barrier(&world, place, limit),
        _ => world.wait(limit, |objects| object::attempt(objects, place, op, argument, limit)),
    };
    let _ = answer.inspect_err(|refusal| tell(&world.objects()[place].name, *refusal));
    status_and(answer, out)
}

pub(super) fn put(handle: i32, bytes: &[u8], limit: i64) -> i32 {
    let Some(world) = world() else { return Refusal::Invalid.status() };
    let place = index(handle);
    let put = world.wait(limit, |objects| object::put(objects, place, bytes));
    status(put.inspect_err(|refusal| tell(&world.objects()[place].name, *refusal)))
}

pub(super) fn get(handle: i32, limit: i64, buffer: &mut [u8], out: &mut i64) -> i32 {
    let Some(world) = world() else { return Refusal::Invalid.status() };
    let place = index(handle);
    let got = world.wait(limit, |objects| object::get(objects, place));
    let got = got.inspect_err(|refusal| tell(&world.objects()[place].name, *refusal));
    status_and(got.map(|bytes| give(bytes, buffer)), out)
}

pub(super) fn record(
    handle: i32,
    op: RecordOp,
    key: &[u8],
    index: i64,
    value: &[u8],
    buffer: &mut [u8],
    out: &mut i64,
) -> i32 {
    let done = with(handle, |object| records::work(object, op, key, index, value));
    status_and(done.map(|answer| answer.in_place(buffer)), out)
}

pub(super) fn part(handle: i32, first: i64, count: usize, buffer: &mut [u8], out: &mut i64) -> i32 {
    let done = with(handle, |object| records::part(object, first, count));
    status_and(done.map(|bytes| give(bytes, buffer)), out)
}

pub(super) fn staged(buffer: &mut [u8]) {
    buffer.copy_from_slice(&STAGED.take());
}

pub(super) fn wait(handles: &[i32], limit: i64, ready: &mut [u8]) -> i32 {
    let Some(world) = world() else { return Refusal::Invalid.status() };
    let waited = world.wait(limit, |objects| {
        for (ready, handle) in ready.iter_mut().zip(handles) {
            *ready = u8::from(object::is_ready(objects, index(*handle)));
        }
        ready.contains(&1).then_some(Ok(()))
    });
    status(waited)
}

pub(super) fn map(handle: i32, mode: ViewMode, start: i64, end: i64) -> i64 {
    let mapped = with(handle, |object| object.numbers()?.map(mode, start, end));
    mapped.unwrap_or_else(|refusal| refusal.status().into())
}

/// Takes the view at `address` away.
///
/// # Safety
///
/// Nobody may touch the view's memory afterwards.
pub(super) unsafe fn unmap(address: usize) -> i32 {
    let Some(world) = world() else { return Refusal::Invalid.status() };
    for object in world.objects().iter_mut() {
        if object.numbers().is_ok_and(|numbers| numbers.unmap(address)) {
            return 0;
        }
    }
    Refusal::Invalid.status()
}
