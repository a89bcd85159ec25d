//! Who may hold something of one object: the supervisor's side of the [`census`](crate::shm::object::census).
//!
//! A party is a thread of this process, a worker with a stake in the object, a worker with stakes in others only, or
//! nobody. Threads note by themselves when they are inside an object. A worker is listed before it is told of its
//! stake, and struck off after it is buried, so that whoever is not listed has nothing to do with the object.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::parties;
use crate::shm::object::Party;
use crate::shm::object::census::{Census, Held, Stamp, visits};

/// Workers that may write to one object.
#[derive(Debug, Default)]
pub(super) struct Holders {
    workers: Mutex<BTreeSet<Party>>,
}

impl Holders {
    /// Lists a worker that is about to be told of its stake.
    pub(super) fn admit(&self, worker: Party) {
        self.with_workers(|workers| workers.insert(worker));
        // After it, so that a look that missed the worker has a stamp that does not last.
        parties::arrived();
    }

    /// Strikes off a worker that is buried.
    pub(super) fn strike_off(&self, worker: Party) {
        self.with_workers(|workers| workers.remove(&worker));
    }

    fn with_workers<T>(&self, look: impl FnOnce(&mut BTreeSet<Party>) -> T) -> T {
        look(&mut self.workers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Census for Holders {
    fn absent(&self, party: Party, held: Held) -> Option<Stamp> {
        // In this order: whoever comes after the first look changes the stamp.
        let arrivals = parties::arrivals();
        if self.with_workers(|workers| workers.contains(&party)) {
            return None;
        }
        let visits = match (parties::is_thread(party), held) {
            (false, _) => 0,
            (true, Held::Mutex) => visits(party)?,
            // A thread may hold locks while it does anything else.
            (true, Held::Lock) => return None,
        };
        Some(Stamp { arrivals, visits })
    }
}
