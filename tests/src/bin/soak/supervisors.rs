//! Supervisors that are killed in the midst of everything, and what becomes of their workers.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use wasmpool::Pool;
use wasmpool_tests::processes::Process;
use wasmpool_tests::random::Random;

use super::say;

/// Argument that makes this program a supervisor that is busy until somebody kills it.
pub(super) const VICTIM: &str = "--victim";

const WORKERS: usize = 2;

/// How long workers may outlive their supervisor before they count as left over.
const OUTLIVED_MAX: Duration = Duration::from_secs(10);

/// Longest that a supervisor is left alone.
const BUSY_MS_MAX: u64 = 50;

const MODULE: &str = r#"(module
  (func (export "work") (param $n i64) (result i64) (i64.mul (local.get $n) (local.get $n)))
  (func (export "spin") (loop $again (br $again))))"#;

/// What became of them.
#[derive(Default)]
pub(super) struct Deaths {
    pub(super) workers_left: u64,
    pub(super) files_left: u64,
    pub(super) longest: Duration,
}

/// Kills so many supervisors, one after the other, each at another moment.
pub(super) fn kill(count: u64, random: &mut Random) -> Deaths {
    let mut deaths = Deaths::default();
    for number in 0..count {
        let temporary = tempfile::tempdir().expect("a directory");
        let mut supervisor = Command::new(std::env::current_exe().expect("this program"))
            .arg(VICTIM)
            .env("TMPDIR", temporary.path())
            .env("XDG_CACHE_HOME", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let out = BufReader::new(supervisor.stdout.take().expect("a pipe"));
        let workers: Vec<u32> =
            out.lines().map_while(Result::ok).take(WORKERS).filter_map(|pid| pid.parse().ok()).collect();
        thread::sleep(Duration::from_micros(random.below(1000 * BUSY_MS_MAX)));
        supervisor.kill().expect("it is ours");
        let killed = Instant::now();
        supervisor.wait().expect("its status");
        // Nobody is left to take their statuses but the system, which does so in its own time.
        let lives = |pid: &&u32| Process::find(**pid).is_some_and(|process| process.state != 'Z');
        while workers.iter().any(|pid| lives(&pid)) && killed.elapsed() < OUTLIVED_MAX {
            thread::sleep(Duration::from_micros(100));
        }
        deaths.longest = deaths.longest.max(killed.elapsed());
        deaths.workers_left += workers.iter().filter(lives).count() as u64;
        deaths.files_left += fs::read_dir(temporary.path()).expect("a directory").count() as u64;
        if workers.len() < WORKERS {
            say(&format!("supervisor {number} named only {} workers", workers.len()));
            deaths.workers_left += 1;
        }
    }
    deaths
}

/// Prints the workers' process ids and works until somebody kills it.
pub(super) fn be_busy() -> ExitCode {
    let pool = Pool::builder().workers(WORKERS).no_cache().build().expect("a pool");
    let module = pool.load_bytes("work", MODULE.as_bytes()).expect("a module");
    let work = module.task::<i64, i64>("work").expect("a task");
    work.map(0..1000).expect("results");
    let mut out = std::io::stdout().lock();
    while pool.worker_pids().len() < WORKERS {
        thread::sleep(Duration::from_millis(1));
    }
    for pid in pool.worker_pids() {
        writeln!(out, "{pid}").expect("somebody reads");
    }
    out.flush().expect("somebody reads");
    let spin = module.task::<(), ()>("spin").expect("a task");
    thread::scope(|scope| {
        scope.spawn(|| spin.apply(()));
        loop {
            work.map(0..100_000).expect("results");
        }
    })
}
