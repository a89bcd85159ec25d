//! The harness of the end-to-end tests: pools, modules and processes, and a watchdog over each test that waits.
//!
//! Tests stand in `tests/`, a file per subject. Each file is a program of its own, which starts itself again as a
//! worker; see `wasmpool::test_support!`. Nothing here has a limit in time but the watchdog, which no healthy test
//! comes near.

pub mod binary;
mod build;
pub mod cli;
pub mod console;
pub mod groups;
pub mod processes;
pub mod random;
pub mod script;
pub mod sharing;
pub mod siege;
pub mod stage;
pub mod watchdog;

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use wasmpool::{Builder, Error, Failure, Module, Pool};

pub use build::{cache_directory, program_path, tasks_bytes, tasks_path};
use watchdog::Watchdog;

/// A pool that has loaded a module, watched over until it is gone.
pub struct Fixture {
    /// The module.
    pub module: Module,
    /// The pool.
    pub pool: Pool,
    // Last, because fields are dropped in this order: closing the pool is watched, too.
    _watchdog: Watchdog,
}

/// The tasks of `wasm-tasks` in a pool of so many workers.
pub fn tasks(workers: usize) -> Fixture {
    tasks_in(builder(workers))
}

/// The tasks of `wasm-tasks` in a pool of one's own making.
pub fn tasks_in(builder: Builder) -> Fixture {
    let path = tasks_path();
    let watchdog = Watchdog::start();
    let pool = builder.build().expect("a pool");
    let module = pool.load(path).expect("wasm-tasks");
    Fixture { module, pool, _watchdog: watchdog }
}

/// A module from its text in a pool of so many workers.
pub fn text(workers: usize, name: &str, text: &str) -> Fixture {
    text_in(builder(workers), name, text)
}

/// A module from its text in a pool of one's own making.
pub fn text_in(builder: Builder, name: &str, text: &str) -> Fixture {
    let watchdog = Watchdog::start();
    let pool = builder.build().expect("a pool");
    let module = pool.load_bytes(name, text.as_bytes()).expect("a valid module");
    Fixture { module, pool, _watchdog: watchdog }
}

/// A pool of so many workers whose compiled modules go to this run's own cache, and whose guests print to nowhere.
#[must_use]
pub fn builder(workers: usize) -> Builder {
    Pool::builder().workers(workers).cache_dir(cache_directory()).on_output(|_, _| ())
}

/// The failed call behind an error.
///
/// # Panics
///
/// When the error is not about a call.
pub fn failure<R>(result: Result<R, Error>) -> Failure {
    let Err(error) = result else { panic!("a call that should fail returned") };
    error.failure().unwrap_or_else(|| panic!("not a call's failure: {error}: {:?}", error.kind())).clone()
}

/// Lines that guests have printed, for tests that wait for one: a guest's only way to say how far it is.
#[derive(Clone, Default)]
pub struct Lines {
    lines: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Lines {
    /// What a pool hands its guests' lines to.
    pub fn taker(&self) -> impl Fn(wasmpool::Stream, &[u8]) + Send + Sync + 'static {
        let (lines, arrived) = (Arc::clone(&self.lines), Arc::clone(&self.lines));
        move |_, line| {
            let line = String::from_utf8_lossy(line).into_owned();
            lines.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            arrived.1.notify_all();
        }
    }

    /// All lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many there are so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lines.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until `count` lines are `line`.
    pub fn wait_for(&self, line: &str, count: usize) {
        let too_few = |lines: &mut Vec<String>| lines.iter().filter(|seen| *seen == line).count() < count;
        let lines = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.lines.1.wait_while(lines, too_few).unwrap_or_else(PoisonError::into_inner));
    }
}

/// A module whose one task, `act(begin, turns, end, how)`, tells that it begins, works, tells that it ends, and then
/// does as it is told.
///
/// `begin` and `end` are characters, printed as lines of their own, or 0 for none. It turns round `turns` times, for
/// ever if that is negative. If `how` is 1 it traps; otherwise it returns `begin`.
pub const ACTOR: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $say (param $character i32)
    (if (i32.eqz (local.get $character)) (then (return)))
    (i32.store8 (i32.const 64) (local.get $character))
    (i32.store8 (i32.const 65) (i32.const 10))
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 2))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "act") (param $begin i32) (param $turns i64) (param $end i32) (param $how i32) (result i32)
    (call $say (local.get $begin))
    (block $done (loop $again
      (br_if $done (i64.eqz (local.get $turns)))
      (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
      (br $again)))
    (call $say (local.get $end))
    (if (i32.eq (local.get $how) (i32.const 1)) (then (unreachable)))
    (local.get $begin)))"#;

/// Turns of [`ACTOR`]'s task that last for ever.
pub const FOR_EVER: i64 = -1;

/// Arguments of [`ACTOR`]'s task.
pub type Act = (i32, i64, i32, i32);

/// A name for messages, and how a pool is told so.
pub type Way = (&'static str, fn(Builder) -> Builder);

/// Several spellings of the same thing: calls in kept instances, in one instance per call, and in between.
pub fn ways_to_keep_instances() -> [Way; 3] {
    [
        ("reused", |builder| builder),
        ("fresh", |builder| builder.fresh(true)),
        ("recycled", |builder| builder.recycle(3)),
    ]
}

/// Path of one of this crate's helper programs, which lie beside the tests' directory.
#[must_use]
pub fn directory_of_programs() -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY
        .get_or_init(|| {
            let program = std::env::current_exe().expect("this program's path");
            program.ancestors().nth(2).expect("target/PROFILE").to_owned()
        })
        .clone()
}
