//! Shared objects once more, over the model checker's atomics: the same sources, every order tried.
//!
//! [`object`] includes the very files of the floor above, and gives them other neighbours: atomics and a futex that
//! the checker watches, pages that are a few of these atomics, patience without a clock, and deaths that strike one
//! of the checker's threads. Everything between those and a test is the product.
//!
//! There is no time in a model. A wait without a limit sleeps until it is woken, so that a lost wake-up is a deadlock,
//! which the checker reports; an impatient one gives up after one sleep, which may end at any moment.
//!
//! Threads are interrupted a few times only, as each check says: three times where an operation is a handful of steps,
//! once or twice in a queue, whose operations are dozens and whose orders would take hours. What goes wrong when others
//! act at so many chosen moments is found, with any number of voluntary sleeps in between. Where something dies, every
//! place of a death is tried with all of these orders.
//!
//! Beyond the model are spinning, which only looks more often, and byte strings of more than one word.

mod checks {
    mod barrier;
    mod condition;
    mod event;
    mod lock;
    mod mutex;
    mod queue;
    mod semaphore;
}

/// The floor above, as its files see it: what stands in for a neighbour comes last.
#[path = "."]
#[allow(clippy::duplicate_mod, reason = "once with real atomics, once with the checker's")]
mod object {
    pub(super) mod barrier;
    pub(super) mod condition;
    pub(super) mod event;
    pub(super) mod ground;
    pub(super) mod heap;
    pub(super) mod lock;
    pub(super) mod mutex;
    pub(super) mod queue;
    pub(super) mod ring;
    pub(super) mod semaphore;
    mod table;

    #[path = "model/crash.rs"]
    pub(super) mod crash;
    #[path = "model/futex.rs"]
    mod futex;
    #[path = "model/patience.rs"]
    pub(super) mod patience;
    #[path = "model/region.rs"]
    pub(super) mod region;

    pub(super) use super::super::{CallEnd, Outcome, Party, census, spec};
    use super::PARTIES_MAX;
    use crate::shm::model::{atomic, bell};
}

use std::sync::Arc;

use object::Party;
use object::crash::{self, Death};
use object::ground::{Ground, Rights};
use object::region::Region;

/// Few, so that the tables are short.
const PARTIES_MAX: usize = 4;

/// Tries every order of `model` in which threads are interrupted up to `interruptions` times.
fn check(interruptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// The same for a death at each of the places that it can strike; there are `places` of them at least.
fn check_deaths(places: u32, interruptions: usize, model: impl Fn(&Death) + Clone + Sync + Send + 'static) {
    let died = crash::at_every_place(|death| {
        let model = model.clone();
        check(interruptions, move || model(&death));
    });
    assert!(died >= places, "it died at {died} places");
}

fn party(number: usize) -> Party {
    Party::new(number).expect("a party's number")
}

/// Fresh pages of a small object.
fn ground() -> Ground {
    Ground::new(Arc::new(Region::new([])), Rights::ReadWrite)
}
