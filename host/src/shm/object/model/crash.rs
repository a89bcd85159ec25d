//! Deaths between two instructions, each tried in every order with what others do.
//!
//! As outside of the model, a thread plays a death by unwinding from one of the places that the sources name. All of
//! the checker's threads are one thread of the system, hence an own account of who is dying: the other one would take
//! them all for dead.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, OnceLock};

/// More places than any operation has: a test that passes more does not end.
const PLACES_MAX: u32 = 1000;

/// Names a place at which a process may die.
macro_rules! crash_point {
    ($name:literal) => {
        $crate::shm::object::model::object::crash::pass($name);
    };
}
pub(in crate::shm::object::model) use crash_point;

loom::thread_local! {
    /// How many places this thread passes before it dies.
    static APPOINTED: Cell<Option<u32>> = Cell::new(None);
    static IS_DYING: Cell<bool> = Cell::new(false);
}

/// What a death unwinds with: the place.
struct Died(&'static str);

/// Whether this thread plays a dead process that is being unwound.
pub(in crate::shm::object::model) fn is_dying() -> bool {
    IS_DYING.with(Cell::get)
}

/// Passes a place, or dies there.
pub(in crate::shm::object::model) fn pass(name: &'static str) {
    if std::thread::panicking() {
        return;
    }
    match APPOINTED.with(Cell::get) {
        None => {}
        Some(0) => {
            IS_DYING.with(|is_dying| is_dying.set(true));
            resume_unwind(Box::new(Died(name)));
        }
        Some(left) => APPOINTED.with(|appointed| appointed.set(Some(left - 1))),
    }
}

/// A death that awaits an operation.
#[derive(Clone)]
pub(in crate::shm::object::model) struct Death {
    places: u32,
    /// Where it struck, the first time.
    struck_at: Arc<OnceLock<&'static str>>,
}

impl Death {
    /// Runs `operation` as a process that dies at this death's place; answers what it did if it lived.
    ///
    /// The closure owns nothing of the checker's: dropping that would let others run while this thread unwinds.
    pub(in crate::shm::object::model) fn strike<T>(&self, operation: impl FnOnce() -> T) -> Option<T> {
        APPOINTED.with(|appointed| appointed.set(Some(self.places)));
        let ended = catch_unwind(AssertUnwindSafe(operation));
        APPOINTED.with(|appointed| appointed.set(None));
        IS_DYING.with(|is_dying| is_dying.set(false));
        match ended {
            Ok(done) => Some(done),
            Err(panic) => match panic.downcast::<Died>() {
                Ok(died) => {
                    self.struck_at.get_or_init(|| died.0);
                    None
                }
                Err(panic) => resume_unwind(panic),
            },
        }
    }
}

/// Runs `check` with a death at the first place that the struck operation passes in some order, at the second, and so
/// on; returns at how many it died.
///
/// # Panics
///
/// As `check` does, having named the place.
pub(in crate::shm::object::model) fn at_every_place(check: impl Fn(Death)) -> u32 {
    for places in 0..PLACES_MAX {
        let death = Death { places, struck_at: Arc::default() };
        let ended = catch_unwind(AssertUnwindSafe(|| check(death.clone())));
        match (ended, death.struck_at.get()) {
            (Ok(()), Some(_)) => {}
            (Ok(()), None) => return places,
            (Err(panic), struck_at) => {
                let message = panic.downcast_ref::<String>().map_or("see above", String::as_str);
                panic!(
                    "with a death at place {places}, for example `{}`: {message}",
                    struck_at.unwrap_or(&"none")
                );
            }
        }
    }
    panic!("an operation passes more than {PLACES_MAX} places");
}
