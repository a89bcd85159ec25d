//! Deaths between two instructions, for tests.
//!
//! A process can be killed anywhere, so an operation has to be right wherever it stops. A kill at a random instant
//! finds few of those places; here a thread *plays* a death at a chosen one. Operations name the places by
//! [`crash_point!`], one between every two stores to shared memory:
//!
//! ```ignore
//! words.store(1, Ordering::Relaxed);
//! crash_point!("list: place taken, length as before");
//! length.store(2, Ordering::Release);
//! ```
//!
//! and a test runs the operation once for every place that it passes:
//!
//! ```ignore
//! let points = crash::at_every_point(|death| {
//!     let list = fresh();
//!     death.strike(|| list.append(A, b"x"));
//!     list.bury(A);
//!     assert!(matches!(list.length(B), Ok(0 | 1)));
//!     list.append(B, b"y").expect("a living party goes on");
//! });
//! assert!(points >= 2);
//! ```
//!
//! The closure runs anew for each place, on the thread that called [`at_every_point`], and what [`Death::strike`] is
//! given dies there: first at the first place that it passes, then at the second, and so on; the last run is the one
//! that passes fewer places and lives. So a loop of ten rounds dies in each of its rounds. `strike` answers what the
//! operation did if it lived, and nothing if it died. A failure names the place.
//!
//! Where one place matters, [`die_at`] runs an operation that dies there, when it passes it for the first time.
//!
//! [`meanwhile_at`] lets something else happen at a place instead, as if on another core, and goes on: an
//! interleaving without threads.
//!
//! The death is an unwinding without a panic message. Whatever has a `Drop` that writes to shared memory must not do
//! so then: a killed process tidies nothing up. [`is_dying`] is the question to ask; it is `false` for good outside
//! of tests. A real panic is not a death: then guards do run.

/// Names a place at which a process may die. Costs nothing outside of tests.
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(test)]
        $crate::shm::object::crash::pass($name);
    };
}
pub(crate) use crash_point;

/// Whether this thread plays a dead process that is being unwound.
#[cfg(not(test))]
pub(crate) const fn is_dying() -> bool {
    false
}

#[cfg(test)]
pub(crate) use simulation::{at_every_point, die_at, is_dying, meanwhile_at, pass};

#[cfg(test)]
mod simulation {
    use std::cell::{Cell, RefCell};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    /// More places than any operation has: a test that passes more does not end.
    const POINTS_MAX: u32 = 10_000;

    thread_local! {
        /// Where this thread shall die.
        static APPOINTED: Cell<Appointed> = const { Cell::new(Appointed::Nowhere) };
        /// What happens meanwhile, and at which place.
        static MEANWHILE: RefCell<Option<Meanwhile>> = const { RefCell::new(None) };
        static IS_DYING: Cell<bool> = const { Cell::new(false) };
    }

    /// A place, and what happens there.
    type Meanwhile = (&'static str, Box<dyn FnOnce()>);

    #[derive(Clone, Copy)]
    enum Appointed {
        Nowhere,
        /// After so many more places.
        After(u32),
        /// At the next place with this name.
        At(&'static str),
    }

    /// What a death unwinds with.
    struct Died(&'static str);

    /// Whether this thread plays a dead process that is being unwound.
    pub(crate) fn is_dying() -> bool {
        IS_DYING.get()
    }

    /// Passes a place, or dies there.
    pub(crate) fn pass(name: &'static str) {
        // Nobody dies twice, nor while a failed test unwinds.
        if is_dying() || std::thread::panicking() {
            return;
        }
        // A thread that ends lets go of what it held when it has nothing planned any more.
        let meanwhile =
            MEANWHILE.try_with(|meanwhile| meanwhile.borrow_mut().take_if(|(place, _)| *place == name));
        if let Ok(Some((_, happen))) = meanwhile {
            happen();
        }
        match APPOINTED.get() {
            Appointed::After(0) => die(name),
            Appointed::After(left) => APPOINTED.set(Appointed::After(left - 1)),
            Appointed::At(place) if place == name => die(name),
            Appointed::At(_) | Appointed::Nowhere => {}
        }
    }

    fn die(name: &'static str) {
        IS_DYING.set(true);
        resume_unwind(Box::new(Died(name)));
    }

    /// Runs `operation` with an appointed death; answers what it did if it lived, else where it died.
    fn run<T>(appointed: Appointed, operation: impl FnOnce() -> T) -> Result<T, &'static str> {
        APPOINTED.set(appointed);
        let ended = catch_unwind(AssertUnwindSafe(operation));
        APPOINTED.set(Appointed::Nowhere);
        IS_DYING.set(false);
        ended.map_err(|payload| match payload.downcast::<Died>() {
            Ok(died) => died.0,
            Err(panic) => resume_unwind(panic),
        })
    }

    /// Runs `operation` as a process that dies when it first passes the place with this name.
    pub(crate) fn die_at<T>(place: &'static str, operation: impl FnOnce() -> T) {
        assert!(run(Appointed::At(place), operation).is_err(), "it does not pass `{place}`");
    }

    /// Runs `operation`, and lets `happen` happen when it first passes the place with this name.
    pub(crate) fn meanwhile_at<T>(
        place: &'static str,
        happen: impl FnOnce() + 'static,
        operation: impl FnOnce() -> T,
    ) -> T {
        MEANWHILE.set(Some((place, Box::new(happen))));
        let done = operation();
        assert!(MEANWHILE.take().is_none(), "it does not pass `{place}`");
        done
    }

    /// A death that awaits an operation.
    pub(crate) struct Death {
        point: u32,
        struck: Option<Fate>,
    }

    #[derive(Clone, Copy)]
    enum Fate {
        Lived,
        DiedAt(&'static str),
    }

    impl Death {
        /// Runs `operation` as a process that dies at this death's place; answers what it did if it lived.
        pub(crate) fn strike<T>(&mut self, operation: impl FnOnce() -> T) -> Option<T> {
            assert!(self.struck.is_none(), "a death strikes once");
            let ended = run(Appointed::After(self.point), operation);
            self.struck = Some(match &ended {
                Ok(_) => Fate::Lived,
                Err(place) => Fate::DiedAt(place),
            });
            ended.ok()
        }
    }

    /// Runs `test` with a death at the first place that the struck operation passes, at the second, and so on.
    ///
    /// Returns at how many places it died.
    pub(crate) fn at_every_point(mut test: impl FnMut(&mut Death)) -> u32 {
        for point in 0..POINTS_MAX {
            let mut death = Death { point, struck: None };
            let ended = catch_unwind(AssertUnwindSafe(|| test(&mut death)));
            let place = match death.struck {
                Some(Fate::DiedAt(name)) => format!("after a death at place {point} (`{name}`)"),
                _ => format!("without a death, having passed {point} places"),
            };
            if let Err(panic) = ended {
                panic!("{place}: {}", message(&*panic));
            }
            match death.struck {
                Some(Fate::DiedAt(_)) => {}
                Some(Fate::Lived) => return point,
                None => panic!("the test strikes nothing"),
            }
        }
        panic!("an operation passes more than {POINTS_MAX} places");
    }

    fn message(panic: &(dyn std::any::Any + Send)) -> &str {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text")
    }

    #[test]
    fn an_operation_dies_at_each_of_its_places_in_turn() {
        let mut runs = Vec::new();
        let points = at_every_point(|death| {
            let mut steps = 0;
            let lived = death.strike(|| {
                steps += 1;
                crash_point!("first");
                steps += 1;
                crash_point!("second");
                steps += 1;
            });
            runs.push((steps, lived.is_some()));
        });
        assert_eq!(points, 2);
        assert_eq!(runs, [(1, false), (2, false), (3, true)]);
    }

    #[test]
    fn guards_can_tell_a_death_from_a_panic() {
        struct Guard<'a>(&'a Cell<u32>);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                if !is_dying() {
                    self.0.set(self.0.get() + 1);
                }
            }
        }
        let tidied = Cell::new(0);
        at_every_point(|death| {
            death.strike(|| {
                let _guard = Guard(&tidied);
                crash_point!("under the guard");
            });
        });
        assert_eq!(tidied.get(), 1, "the run that lived tidies up, the one that died does not");
    }

    #[test]
    #[should_panic(expected = "after a death at place 1 (`second`): no good")]
    fn a_failure_names_the_place() {
        at_every_point(|death| {
            let lived = death.strike(|| {
                crash_point!("first");
                crash_point!("second");
            });
            assert!(lived.is_some() || death.point != 1, "no good");
        });
    }
}
