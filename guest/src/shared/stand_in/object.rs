//! The objects, and what can be done with them in one step.
//!
//! An attempt answers nothing while it has to wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};

use wasmpool_abi::shared::{Kind, NO_LIMIT, Op, Refusal};

use super::numbers::Numbers;
use super::{Answer, World};
use crate::shared::element::Element;

/// One object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) body: Body,
}

/// What an object is made of.
#[derive(Debug)]
pub(in crate::shared) enum Body {
    #[allow(private_interfaces, reason = "made by `Body::numbers` only")]
    Numbers(Numbers, Lock),
    #[allow(private_interfaces, reason = "made by `Body::lock` only")]
    Lock {
        lock: Lock,
        waiting: VecDeque<u64>,
    },
    Permits {
        left: i64,
        most: i64,
    },
    Event(bool),
    #[allow(private_interfaces, reason = "made by `Body::barrier` only")]
    Barrier(Barrier),
    Items {
        items: VecDeque<Vec<u8>>,
        capacity: usize,
        is_closed: bool,
        unfinished: usize,
    },
    Pipe {
        other: String,
        messages: VecDeque<Vec<u8>>,
        is_closed: bool,
    },
    #[allow(private_interfaces, reason = "made by `Body::records` only")]
    Records(Vec<Record>),
}

/// A meeting; those who arrive have tickets.
#[derive(Debug)]
struct Barrier {
    parties: usize,
    /// In the order in which they arrived. Who is missing here has met, or finds the barrier broken.
    waiting: Vec<u64>,
    /// Those whose meeting came about, until they look.
    met: Vec<u64>,
    is_broken: bool,
}

/// A lock's holder, and how often he has taken it.
#[derive(Debug, Default)]
pub(super) struct Lock(Option<(ThreadId, u32)>);

/// A record, with a key in dictionaries.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) key: Vec<u8>,
    pub(super) version: u64,
    pub(super) value: Vec<u8>,
}

/// A number that was never used before, and is not 0.
fn fresh_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // Relaxed: nothing but the number matters.
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl Record {
    pub(super) fn new(key: &[u8], value: &[u8]) -> Self {
        Self { key: key.to_vec(), version: fresh_number(), value: value.to_vec() }
    }

    pub(super) fn set(&mut self, value: &[u8]) {
        (self.version, self.value) = (fresh_number(), value.to_vec());
    }
}

impl Body {
    pub(in crate::shared) fn numbers<T: Element>(initial: &[T]) -> Self {
        Self::Numbers(Numbers::new(initial), Lock::default())
    }

    pub(in crate::shared) fn lock() -> Self {
        Self::Lock { lock: Lock::default(), waiting: VecDeque::new() }
    }

    pub(in crate::shared) fn permits(permits: u32) -> Self {
        Self::Permits { left: permits.into(), most: permits.into() }
    }

    pub(in crate::shared) fn barrier(parties: u32) -> Self {
        let (waiting, met) = (Vec::new(), Vec::new());
        Self::Barrier(Barrier { parties: parties as usize, waiting, met, is_broken: false })
    }

    pub(in crate::shared) fn items(capacity: usize) -> Self {
        Self::Items { items: VecDeque::new(), capacity, is_closed: false, unfinished: 0 }
    }

    pub(in crate::shared) fn records() -> Self {
        Self::Records(Vec::new())
    }

    pub(in crate::shared) fn end_of_pipe(other: &str) -> Self {
        Self::Pipe { other: other.to_owned(), messages: VecDeque::new(), is_closed: false }
    }
}

impl Object {
    pub(super) fn numbers(&mut self) -> Result<&mut Numbers, Refusal> {
        match &mut self.body {
            Body::Numbers(numbers, _) => Ok(numbers),
            _ => Err(Refusal::WrongKind),
        }
    }

    /// The code of its elements, or -1.
    pub(super) fn element(&self) -> i32 {
        match &self.body {
            Body::Numbers(numbers, _) => numbers.element as i32,
            _ => -1,
        }
    }

    fn lock(&mut self) -> Option<&mut Lock> {
        match &mut self.body {
            Body::Numbers(_, lock) | Body::Lock { lock, .. } => Some(lock),
            _ => None,
        }
    }

    fn is_lock(&self) -> bool {
        matches!(self.kind, Kind::Lock)
    }
}

impl Lock {
    fn acquire(&mut self, may_nest: bool, limit: i64) -> Option<Answer> {
        let me = thread::current().id();
        match &mut self.0 {
            None => self.0 = Some((me, 1)),
            Some((holder, depth)) if *holder == me && may_nest => *depth += 1,
            // Anyone may release it; only who waits for ever says that nobody will.
            Some((holder, _)) if *holder == me && limit < 0 => return Some(Err(Refusal::WouldDeadlock)),
            Some(_) => return None,
        }
        Some(Ok(0))
    }

    fn release(&mut self, by_anyone: bool) -> Answer {
        match &mut self.0 {
            Some((holder, depth)) if by_anyone || *holder == thread::current().id() => {
                *depth -= 1;
                if *depth == 0 {
                    self.0 = None;
                }
                Ok(0)
            }
            _ => Err(Refusal::NotHeld),
        }
    }

    fn is_mine(&self) -> bool {
        self.0.is_some_and(|(holder, _)| holder == thread::current().id())
    }
}

/// Does what takes and answers a number, if that is possible now.
pub(super) fn attempt(
    objects: &mut [Object],
    place: usize,
    op: Op,
    argument: i64,
    limit: i64,
) -> Option<Answer> {
    if op == Op::Wait {
        return is_ready(objects, place).then_some(Ok(0));
    }
    if op == Op::Close && matches!(objects[place].body, Body::Pipe { .. }) {
        return Some(close_pipe(objects, place));
    }
    let object = &mut objects[place];
    let by_anyone = object.is_lock();
    match op {
        Op::Kind => return Some(Ok(object.kind as i64)),
        Op::Element if object.element() >= 0 => return Some(Ok(object.element().into())),
        Op::IsWritable => return Some(Ok(1)),
        Op::Acquire if object.lock().is_some() => return object.lock()?.acquire(!by_anyone, limit),
        Op::Release if object.lock().is_some() => return Some(object.lock()?.release(by_anyone)),
        _ => {}
    }
    let is_bounded = object.kind == Kind::BoundedSemaphore;
    Some(match (&mut object.body, op) {
        (Body::Numbers(numbers, _), Op::Length) => Ok(numbers.length as i64),
        (Body::Lock { lock, .. }, Op::State) => Ok(lock.0.is_some().into()),
        (Body::Lock { lock, waiting }, Op::Notify) => {
            if !lock.is_mine() {
                return Some(Err(Refusal::NotHeld));
            }
            let count = usize::try_from(argument).unwrap_or(usize::MAX).min(waiting.len());
            waiting.drain(..count);
            Ok(0)
        }
        (Body::Permits { left: 0, .. }, Op::Acquire) => return None,
        (Body::Permits { left, .. }, Op::Acquire) => {
            *left -= 1;
            Ok(0)
        }
        (Body::Permits { left, most }, Op::Release) if is_bounded && *left + argument > *most => {
            Err(Refusal::TooMany)
        }
        (Body::Permits { left, .. }, Op::Release) => {
            *left += argument;
            Ok(0)
        }
        (Body::Permits { left, .. }, Op::State) => Ok(*left),
        (Body::Event(is_set), Op::State) => Ok((*is_set).into()),
        (Body::Event(is_set), Op::Set | Op::Clear) => {
            *is_set = op == Op::Set;
            Ok(0)
        }
        (Body::Barrier(barrier), Op::Capacity) => Ok(barrier.parties as i64),
        (Body::Barrier(barrier), Op::State) => Ok(barrier.waiting.len() as i64),
        (Body::Barrier(barrier), Op::IsBroken) => Ok(barrier.is_broken.into()),
        (Body::Barrier(barrier), Op::Abort) => {
            barrier.abort();
            Ok(0)
        }
        (Body::Barrier(barrier), Op::Reset) => {
            barrier.reset();
            Ok(0)
        }
        (Body::Items { items, .. }, Op::Length) => Ok(items.len() as i64),
        (Body::Items { capacity, .. }, Op::Capacity) => Ok(*capacity as i64),
        (Body::Items { is_closed, .. }, Op::Close) => {
            *is_closed = true;
            Ok(0)
        }
        (Body::Items { .. }, Op::Acknowledge) => Ok(0),
        (Body::Items { unfinished: 0, .. }, Op::TaskDone) => Err(Refusal::TooMany),
        (Body::Items { unfinished, .. }, Op::TaskDone) => {
            *unfinished -= 1;
            Ok(0)
        }
        (Body::Items { unfinished, .. }, Op::Join) => return (*unfinished == 0).then_some(Ok(0)),
        (Body::Records(records), Op::Length) => Ok(records.len() as i64),
        (Body::Records(_), Op::Capacity) => Ok(i64::MAX),
        (Body::Records(records), Op::Clear) => {
            records.clear();
            Ok(0)
        }
        _ => Err(Refusal::WrongKind),
    })
}

/// Whether waiting for it is over.
pub(super) fn is_ready(objects: &[Object], place: usize) -> bool {
    match &objects[place].body {
        Body::Lock { lock, .. } => lock.0.is_none(),
        Body::Permits { left, .. } => *left > 0,
        Body::Event(is_set) => *is_set,
        Body::Items { items, is_closed, .. } => !items.is_empty() || *is_closed,
        Body::Pipe { messages, other, .. } => !messages.is_empty() || is_closed(objects, other),
        Body::Numbers(..) | Body::Barrier(_) | Body::Records(_) => false,
    }
}

fn is_closed(objects: &[Object], end: &str) -> bool {
    let is_it = |object: &&Object| object.name == end;
    objects.iter().find(is_it).is_none_or(|object| matches!(object.body, Body::Pipe { is_closed: true, .. }))
}

fn close_pipe(objects: &mut [Object], place: usize) -> Answer {
    match &mut objects[place].body {
        Body::Pipe { is_closed, .. } if !*is_closed => {
            *is_closed = true;
            Ok(0)
        }
        _ => Err(Refusal::Closed),
    }
}

/// Puts an item, or sends a message.
pub(super) fn put(objects: &mut [Object], place: usize, bytes: &[u8]) -> Option<Result<(), Refusal>> {
    let to = match &mut objects[place].body {
        Body::Items { is_closed: true, .. } | Body::Pipe { is_closed: true, .. } => {
            return Some(Err(Refusal::Closed));
        }
        Body::Items { items, capacity, .. } if items.len() >= *capacity => return None,
        Body::Items { items, unfinished, .. } => {
            items.push_back(bytes.to_vec());
            *unfinished += 1;
            return Some(Ok(()));
        }
        Body::Pipe { other, .. } => other.clone(),
        _ => return Some(Err(Refusal::WrongKind)),
    };
    let end = objects.iter_mut().find(|object| object.name == to);
    Some(match end.map(|object| &mut object.body) {
        Some(Body::Pipe { messages, is_closed: false, .. }) => {
            messages.push_back(bytes.to_vec());
            Ok(())
        }
        _ => Err(Refusal::EndOfFile),
    })
}

/// Takes an item, or receives a message.
pub(super) fn get(objects: &mut [Object], place: usize) -> Option<Result<Vec<u8>, Refusal>> {
    let is_over = match &objects[place].body {
        Body::Items { is_closed, .. } => is_closed.then_some(Refusal::Closed),
        Body::Pipe { is_closed: true, .. } => Some(Refusal::Closed),
        Body::Pipe { other, .. } => is_closed(objects, other).then_some(Refusal::EndOfFile),
        _ => return Some(Err(Refusal::WrongKind)),
    };
    let (Body::Items { items, .. } | Body::Pipe { messages: items, .. }) = &mut objects[place].body else {
        return None;
    };
    items.pop_front().map(Ok).or_else(|| is_over.map(Err))
}

/// Gives the lock up, waits to be notified, and takes the lock again.
pub(super) fn wait_at_condition(world: &World, place: usize, limit: i64) -> Answer {
    let ticket = fresh_number();
    let depth = world.wait(0, |objects| match &mut objects[place].body {
        Body::Lock { lock, waiting } if lock.is_mine() => {
            waiting.push_back(ticket);
            lock.0.take().map(|(_, depth)| Ok(depth))
        }
        _ => Some(Err(Refusal::NotHeld)),
    })?;
    let again = |objects: &mut [Object], gives_up: bool| match &mut objects[place].body {
        Body::Lock { lock: Lock(lock @ None), waiting } if gives_up || !waiting.contains(&ticket) => {
            waiting.retain(|other| *other != ticket);
            *lock = Some((thread::current().id(), depth));
            Some(Ok(0))
        }
        _ => None,
    };
    let notified = world.wait(limit, |objects| again(objects, false));
    if notified.is_err() {
        world.wait(NO_LIMIT, |objects| again(objects, true))?;
    }
    notified
}

/// Waits for all parties.
///
/// An arrival cannot be taken back, for others have the indices behind it: who gives up breaks the barrier, and finds it
/// broken like everyone else, unless the meeting came about at the last instant.
pub(super) fn wait_at_barrier(world: &World, place: usize, limit: i64) -> Answer {
    let ticket = fresh_number();
    let mut index = None;
    let met = world.wait(limit, |objects| match &mut objects[place].body {
        Body::Barrier(barrier) => match index {
            None => {
                index = Some(barrier.waiting.len() as i64);
                barrier.arrive(ticket)
            }
            Some(_) => barrier.look(ticket),
        },
        _ => Some(Err(Refusal::WrongKind)),
    });
    let met = match met {
        Err(Refusal::TimedOut) => world.wait(0, |objects| match &mut objects[place].body {
            Body::Barrier(barrier) => barrier.look(ticket).or_else(|| {
                barrier.abort();
                Some(Err(Refusal::Broken))
            }),
            _ => Some(Err(Refusal::WrongKind)),
        }),
        met => met,
    };
    met.map(|()| index.unwrap_or(0))
}

impl Barrier {
    /// Arrives, if it is whole; the last one of a meeting need not wait.
    fn arrive(&mut self, ticket: u64) -> Option<Result<(), Refusal>> {
        if self.is_broken {
            return Some(Err(Refusal::Broken));
        }
        self.waiting.push(ticket);
        if self.waiting.len() == self.parties {
            self.met.append(&mut self.waiting);
        }
        self.look(ticket)
    }

    /// What became of one who has arrived; nothing while he has to wait.
    fn look(&mut self, ticket: u64) -> Option<Result<(), Refusal>> {
        if let Some(place) = self.met.iter().position(|met| *met == ticket) {
            self.met.swap_remove(place);
            return Some(Ok(()));
        }
        (!self.waiting.contains(&ticket)).then_some(Err(Refusal::Broken))
    }

    fn abort(&mut self) {
        self.waiting.clear();
        self.is_broken = true;
    }

    fn reset(&mut self) {
        self.waiting.clear();
        self.is_broken = false;
    }
}
