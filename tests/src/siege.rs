//! A siege: one hostile module at a time against a pool that serves somebody else meanwhile.
//!
//! Each [`Attack`] is a row of a table: a module, how the pool is set up, how it is called, and the one outcome that it
//! must get. [`withstand`] runs it in kept and in fresh instances, on a pool of two workers, beside a
//! bystander whose calls are served before, during and after it with exact results, and looks afterwards
//! whether all workers are back, and whether anything is left of the pool when that is gone.
//!
//! Attacks are counted by what they leave in this process, so one runs at a time.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use wasmpool::shared::Value;
use wasmpool::{Builder, Error, ErrorKind, FailureKind, Module, Pool, Task};

use crate::processes::{Process, children, descriptors};
use crate::tasks_path;
use crate::watchdog::{SetWhenDropped, Watchdog, wait_until};

/// Short for a test, long for whatever here is not meant to run into it: how long attacks on time may last.
pub const SHORT: Duration = Duration::from_millis(150);

/// Most memory of an attacker's instance.
pub const MEMORY_BYTES_MAX: u64 = 16 << 20;

/// Most bytes that an attacker may print.
pub const PRINTED_BYTES_MAX: u64 = 64 << 10;

/// How long all other attacks may last: nobody should ever see it pass.
const LONG: Duration = Duration::from_secs(60);

/// Workers of the pool under attack.
const WORKERS: usize = 2;

/// One hostile module, and what must become of it.
pub struct Attack {
    /// What it aims at.
    pub name: &'static str,
    /// The module.
    pub module: Weapon,
    /// Changes the pool's settings, which are [`MEMORY_BYTES_MAX`] and [`PRINTED_BYTES_MAX`].
    pub settings: fn(Builder) -> Builder,
    /// Grants shared objects; what it returns looks after the attack whether they are as they should be.
    pub arrange: Arrange,
    /// Calls it.
    pub call: fn(&Module) -> Result<String, Error>,
    /// The one outcome.
    pub outcome: Expected,
}

/// Grants shared objects to a module.
pub type Arrange = fn(&Pool, Module) -> (Module, Aftermath);

/// Looks at shared objects after an attack.
pub type Aftermath = Box<dyn Fn()>;

/// Where a hostile module comes from.
pub enum Weapon {
    /// `tests/hostile/NAME.wat`
    File(&'static str),
    /// `wasm-tasks`
    Tasks,
    /// Made here: the bytes, or the text, of a module.
    Made(fn() -> Vec<u8>),
}

/// How an attack must end.
pub enum Expected {
    /// It gets nowhere, and returns this.
    Returns(&'static str),
    /// The call ends like this, and its message has this part.
    Ends(FailureKind, &'static str),
    /// The module is not loaded, and the reason has this part.
    Refused(&'static str),
    /// Either the module is not loaded, or it gets nowhere and returns this.
    RefusedOrReturns(&'static str),
}

impl Attack {
    /// A call of the task `attack` without arguments that returns a number, without grants.
    pub const PLAIN: Self = Self {
        name: "",
        module: Weapon::Tasks,
        settings: |builder| builder,
        arrange: |_, module| (module, Box::new(|| ())),
        call: |module| outcome::<i64>(module, "attack"),
        outcome: Expected::Returns("0"),
    };

    /// The same with a short time limit.
    pub const HASTY: Self = Self { settings: |builder| builder.timeout(SHORT), ..Self::PLAIN };
}

/// Calls a task without arguments.
///
/// # Errors
///
/// As the call ends.
pub fn outcome<R: DeserializeOwned + Send + std::fmt::Debug + 'static>(
    module: &Module,
    task: &str,
) -> Result<String, Error> {
    Ok(format!("{:?}", module.task::<(), R>(task)?.apply(())?))
}

/// Runs attacks, in kept and in fresh instances.
///
/// # Panics
///
/// When one has another outcome than it should, or anybody else is the worse for it.
pub fn withstand(attacks: &[Attack]) {
    let ways: [crate::Way; 2] = [("reused", |builder| builder), ("fresh", |builder| builder.fresh(true))];
    for attack in attacks {
        if let Weapon::Tasks = attack.module {
            // Built before anybody watches the time.
            tasks_path();
        }
        for (way, of) in ways {
            leaves_nothing(attack.name, || withstand_one(attack, way, of));
        }
    }
}

fn withstand_one(attack: &Attack, way: &str, of: fn(Builder) -> Builder) {
    let what = format!("{} ({way})", attack.name);
    let builder = crate::builder(WORKERS).timeout(LONG);
    let builder = builder.max_memory(MEMORY_BYTES_MAX).max_output(PRINTED_BYTES_MAX);
    let pool = of((attack.settings)(builder)).build().expect("a pool");
    let bystander = Bystander::new(&pool);
    bystander.is_served(&what);
    let loaded = attack.module.load(&pool).map(|module| (attack.arrange)(&pool, module));
    attack_beside(&bystander, &what, || {
        // A module that was refused is brought again, as an attacker would.
        match &loaded {
            Ok((module, _)) => attack.outcome.check_call(&what, (attack.call)(module)),
            Err(error) => attack.outcome.check_refusal(&what, error),
        }
        if loaded.is_err() {
            assert!(attack.module.load(&pool).is_err(), "{what}: it was loaded the second time");
        }
    });
    bystander.is_served(&what);
    if let Ok((_, aftermath)) = &loaded {
        aftermath();
    }
    wait_until(|| pool.worker_pids().len() == WORKERS);
    drop(loaded);
}

/// Attacks while the bystander is served, again and again until that was so at least once.
fn attack_beside(bystander: &Bystander, what: &str, attack: impl Fn()) {
    let (is_over, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                bystander.is_served(what);
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _end = SetWhenDropped(&is_over);
        wait_until(|| rounds.load(Ordering::Relaxed) > 0 || serving.is_finished());
        let before = rounds.load(Ordering::Relaxed);
        while {
            attack();
            rounds.load(Ordering::Relaxed) < before + 2 && !serving.is_finished()
        } {}
    });
}

impl Weapon {
    fn load(&self, pool: &Pool) -> Result<Module, Error> {
        match self {
            Self::File(name) => {
                let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile");
                pool.load(directory.join(name).with_extension("wat"))
            }
            Self::Tasks => pool.load(tasks_path()),
            Self::Made(make) => pool.load_bytes("made", &make()),
        }
    }
}

impl Expected {
    fn check_call(&self, what: &str, ended: Result<String, Error>) {
        match (self, ended) {
            (Self::Returns(expected) | Self::RefusedOrReturns(expected), Ok(returned)) => {
                assert_eq!(returned, *expected, "{what}");
            }
            (Self::Ends(kind, says), Err(error)) => {
                let failure = error.failure().unwrap_or_else(|| panic!("{what}: not a call's end: {error}"));
                assert_eq!(failure.kind(), *kind, "{what}: {failure}");
                assert!(failure.message().contains(says), "{what}: {says:?} is not said: {failure}");
            }
            (Self::Refused(_), ended) => panic!("{what}: it was loaded, and its call came to {ended:?}"),
            (_, ended) => panic!("{what}: it came to {ended:?}"),
        }
    }

    fn check_refusal(&self, what: &str, error: &Error) {
        let says = match self {
            Self::Refused(says) => says,
            Self::RefusedOrReturns(_) => "",
            _ => panic!("{what}: the module was not loaded: {error}"),
        };
        assert_eq!(error.kind(), ErrorKind::Module, "{what}: {error}");
        let text = error.to_string();
        assert!(text.contains(says), "{what}: {says:?} is not said: {text}");
        assert!(text.len() < 4000 && !text.contains('\u{1b}'), "{what}: {text}");
    }
}

/// Somebody with ordinary calls: cubes, and a counter that counts each of its calls once.
struct Bystander {
    counter: Value<i64>,
    counted: AtomicI64,
    cube: Task<i64, i64>,
    count: Task<(), i64>,
}

impl Bystander {
    fn new(pool: &Pool) -> Self {
        let counter = pool.value("counter", 0i64).expect("a value");
        let module = Weapon::File("bystander").load(pool).expect("the bystander").grant(&counter);
        let task = |name| module.task::<i64, i64>(name).expect("a task").timeout(LONG);
        let count = module.task::<(), i64>("count").expect("a task").timeout(LONG);
        Self { counter, counted: AtomicI64::new(0), cube: task("cube"), count }
    }

    /// Has some calls served, and looks at every result.
    fn is_served(&self, what: &str) {
        const CUBES: i64 = 200;
        const COUNTS: i64 = 10;
        let cubes = self.cube.map(0..CUBES).unwrap_or_else(|error| panic!("{what}: a bystander: {error}"));
        assert!(cubes.into_iter().eq((0..CUBES).map(|n| n * n * n)), "{what}: a bystander's results");
        let counts = self.count.map([(); COUNTS as usize]);
        let mut counts = counts.unwrap_or_else(|error| panic!("{what}: a bystander: {error}"));
        counts.sort_unstable();
        let counted = self.counted.fetch_add(COUNTS, Ordering::Relaxed);
        assert!(counts.into_iter().eq(counted..counted + COUNTS), "{what}: a bystander's counter");
        assert_eq!(self.counter.get().expect("a number"), counted + COUNTS, "{what}: a bystander's counter");
    }
}

/// Runs an attack between two looks at what this process has, and waits until everything is gone that it brought.
fn leaves_nothing(what: &str, run: impl Fn()) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _watchdog = Watchdog::start();
    let before = settled_descriptors();
    run();
    wait_until(|| children().is_empty());
    let left: Vec<Process> = children();
    assert_eq!(left, [], "{what}");
    assert_eq!(settled_descriptors(), before, "{what}");
}

/// Descriptors go when the thread that starts workers has heard of the last death.
fn settled_descriptors() -> BTreeSet<String> {
    // What lives as long as the process (the executable, the thread that starts workers) is there from now on.
    static FIRST: OnceLock<()> = OnceLock::new();
    FIRST.get_or_init(|| {
        let pool = crate::builder(1).build().expect("a pool");
        Bystander::new(&pool).is_served("the first pool");
        drop(pool);
        wait_until(|| children().is_empty());
    });
    let is_ours = |shown: &String| shown.contains("wasmpool") || shown.contains("pidfd");
    wait_until(|| !descriptors().iter().any(is_ours));
    descriptors()
}
