//! Shared objects: what supervisor and workers work on together, and no death can poison.
//!
//! An object is one [`Ground`] (a sealed region of its own) and rules about its words. Whoever opens it learns its
//! [`Spec`] from the supervisor, never from the pages: kind, lengths and capacities are trusted, everything that is
//! read from the pages is not. Whoever may write to the pages can spoil this object and nothing else: every index
//! that is read is checked before it is used, and a state that cannot be is [`Refusal::Poisoned`].
//!
//! # Parties
//!
//! Whoever can hold something is a [`Party`]: a worker, or a thread of the supervisor. The supervisor gives out the
//! numbers, and one is used again only after [`Object::bury`] has removed every trace of it from all objects. So
//! tables are indexed by party, and what a party holds is one word that this party alone writes.
//!
//! # Deaths
//!
//! A process may die between any two instructions; what it did before stands, what it did not do will not happen.
//! So each change becomes visible by **one store**, and whatever else must agree with that store is either derived
//! from it or put right by [`repair`](#repair). Four things happen after a death:
//!
//! 1. The supervisor, once the kernel has proved the death, calls [`Object::bury`] on every object that the party
//!    could write to. It never waits: it changes words by single atomic operations and rings all bells.
//! 2. <a id="repair"></a>A [`Mutex`](mutex::Mutex) that the dead party held is marked; whoever takes it next is told,
//!    and puts in order what the dead may have left half done, before it looks at anything else.
//! 3. All who sleep wake up and look again: the wake-up that the dead was to pass on is made up for.
//! 4. What the dead party had in hand goes where the object's rules say.
//!
//! A call that ends in a living worker does the same for itself with [`Object::end_call`]. A stopped process is not
//! dead: it is waited for.
//!
//! # Waiting
//!
//! By the [`bell`](super::bell) of the object, through [`Patience`](patience::Patience), which knows when to give up
//! and whom to tell that a call is blocked; for a mutex on its own word. Nobody makes a system call while nobody
//! sleeps, and nobody spins longer than 50 microseconds.

pub(crate) mod barrier;
pub(crate) mod cells;
pub(crate) mod census;
pub(crate) mod condition;
pub(crate) mod crash;
pub(crate) mod dict;
mod element;
pub(crate) mod event;
pub(crate) mod ground;
pub(crate) mod heap;
mod leases;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod mutex;
#[cfg(test)]
mod pages;
pub(crate) mod patience;
pub(crate) mod pipe;
pub(crate) mod queue;
mod records;
pub(crate) mod ring;
pub(crate) mod semaphore;
pub(crate) mod several;
pub(crate) mod spec;
mod table;
pub(crate) mod text;

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "a model runs only the calls it needs")]
mod model;
#[cfg(test)]
mod tests;

use std::num::NonZeroU16;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wasmpool_abi::shared::Refusal;

use barrier::Barrier;
use cells::Cells;
use condition::Condition;
use dict::Dict;
use event::Event;
use ground::{Ground, Rights};
use list::List;
use lock::Lock;
use pipe::PipeEnd;
use queue::Queue;
use semaphore::Semaphore;
use spec::Spec;

use super::{atomic, bell, futex, region};
use region::Region;

/// Parties that there can be at a time, the supervisor's threads included; numbers are below it.
pub(crate) const PARTIES_MAX: usize = 1024;

/// Somebody who can hold something: a worker, or a thread of the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Party(NonZeroU16);

impl Party {
    /// The party with this number, 1 to [`PARTIES_MAX`] - 1.
    pub(crate) fn new(number: usize) -> Option<Self> {
        let number = u16::try_from(number).ok().filter(|number| usize::from(*number) < PARTIES_MAX)?;
        NonZeroU16::new(number).map(Self)
    }

    /// Its number: never 0, always below [`PARTIES_MAX`].
    pub(crate) fn number(self) -> usize {
        usize::from(self.0.get())
    }
}

/// How a call ended that may have held something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// It returned a result: what it had in hand is dealt with.
    Normal,
    /// It failed or trapped, or its worker died: what it had in hand is given back, barriers that it opened break.
    Abnormal,
}

/// Any shared object.
#[derive(Debug)]
pub(crate) enum Object {
    /// A value or an array, with its lock.
    Cells(Cells),
    /// A lock, re-entrant or not.
    Lock(Lock),
    /// A semaphore, bounded or not.
    Semaphore(Semaphore),
    /// A condition.
    Condition(Condition),
    /// An event.
    Event(Event),
    /// A barrier.
    Barrier(Barrier),
    /// A queue, joinable or not.
    Queue(Queue),
    /// One end of a pipe.
    Pipe(PipeEnd),
    /// A list.
    List(List),
    /// A dictionary or a namespace.
    Dict(Dict),
}

impl Object {
    /// Opens an object on pages that were zero when it was made.
    ///
    /// A region of zeros is a fresh object of every kind.
    pub(crate) fn open(spec: &Spec, region: Arc<Region>, rights: Rights) -> Self {
        Self::open_on(spec, Ground::new(region, rights))
    }

    /// The same on ground of which more is known.
    pub(crate) fn open_on(spec: &Spec, ground: Ground) -> Self {
        match spec {
            Spec::Value { element } => Self::Cells(Cells::open(ground, *element, 1)),
            Spec::Array { element, length } => Self::Cells(Cells::open(ground, *element, *length)),
            Spec::Lock => Self::Lock(Lock::open(ground, false)),
            Spec::RLock => Self::Lock(Lock::open(ground, true)),
            Spec::Semaphore { permits, bounded } => {
                Self::Semaphore(Semaphore::open(ground, *permits, *bounded))
            }
            Spec::Condition => Self::Condition(Condition::open(ground)),
            Spec::Event => Self::Event(Event::open(ground)),
            Spec::Barrier { parties } => Self::Barrier(Barrier::open(ground, *parties)),
            Spec::Queue(shape) => Self::Queue(Queue::open(ground, *shape)),
            Spec::Pipe { shape, end } => Self::Pipe(PipeEnd::open(ground, *shape, *end)),
            Spec::List(shape) => Self::List(List::open(ground, *shape)),
            Spec::Dict { shape, seed, .. } => Self::Dict(Dict::open(ground, *shape, *seed)),
        }
    }

    /// Lets go of everything that a call of a living party holds, as its end demands.
    pub(crate) fn end_call(&self, party: Party, end: CallEnd) {
        match self {
            Self::Cells(cells) => cells.end_call(party),
            Self::Lock(lock) => lock.end_call(party),
            Self::Semaphore(semaphore) => semaphore.end_call(party),
            Self::Condition(condition) => condition.end_call(party),
            Self::Event(_) | Self::List(_) | Self::Dict(_) => {}
            Self::Barrier(barrier) => barrier.end_call(party, end),
            Self::Queue(queue) => queue.end_call(party, end),
            Self::Pipe(end_of_pipe) => end_of_pipe.end_call(party),
        }
    }

    /// Removes every trace of a party that is proved dead, and wakes everyone who sleeps on the object.
    ///
    /// Never waits, and can be called again.
    pub(crate) fn bury(&self, party: Party) {
        match self {
            Self::Cells(cells) => cells.bury(party),
            Self::Lock(lock) => lock.bury(party),
            Self::Semaphore(semaphore) => semaphore.bury(party),
            Self::Condition(condition) => condition.bury(party),
            Self::Event(event) => event.bury(),
            Self::Barrier(barrier) => barrier.bury(party),
            Self::Queue(queue) => queue.bury(party),
            Self::Pipe(end) => end.bury(party),
            Self::List(list) => list.bury(party),
            Self::Dict(dict) => dict.bury(party),
        }
    }
}

/// What most operations come to.
pub(crate) type Outcome<T> = Result<T, Refusal>;
