//! One large job whose workers are killed, stopped and continued.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use wasmpool::{ErrorKind, Outcome, Pool};
use wasmpool_tests::processes::send;
use wasmpool_tests::random::Random;
use wasmpool_tests::watchdog::wait_until;

use super::{Plan, say};

const WORKERS: usize = 2;

/// Tries of a call: enough for any number of kills.
const RETRIES: u32 = 1_000;

/// Longest that a worker stands still.
const STOP_MS_MAX: u64 = 20;

/// Time from one blow to the next, in times of a worker's start.
const STARTS_APART: u32 = 3;

/// And longest beyond that.
const PAUSE_MS_MAX: u64 = 10;

/// Some microseconds of work whose result depends on every turn: `state = state * 31 + turns`, a thousand times. It
/// imports what could print, so that nothing is tried again without being asked for.
const MODULE: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "work") (param $n i64) (result i64)
    (local $turns i64) (local $state i64)
    (local.set $turns (i64.const 1000))
    (local.set $state (local.get $n))
    (loop $again
      (local.set $state (i64.add (i64.mul (local.get $state) (i64.const 31)) (local.get $turns)))
      (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
      (br_if $again (i64.ne (local.get $turns) (i64.const 0))))
    local.get $state))"#;

fn worked(n: i64) -> i64 {
    (1..=1000).rev().fold(n, |state: i64, turns| state.wrapping_mul(31).wrapping_add(turns))
}

/// What came of it.
pub(super) struct Came {
    pub(super) killed: u64,
    pub(super) stopped: u64,
    pub(super) wrong: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) given_up: u64,
    pub(super) recovery_median: Duration,
    pub(super) recovery_longest: Duration,
}

/// Runs the job again and again until there were as many blows as planned.
pub(super) fn run(plan: &Plan, random: &mut Random) -> Came {
    let pool = Pool::builder().workers(WORKERS).no_cache().retries(RETRIES).build().expect("a pool");
    let work = pool.load_bytes("work", MODULE.as_bytes()).expect("a module").task::<i64, i64>("work");
    let work = work.expect("a task");
    let mut came = Came {
        killed: 0,
        stopped: 0,
        wrong: 0,
        lost: 0,
        doubled: 0,
        given_up: 0,
        recovery_median: Duration::ZERO,
        recovery_longest: Duration::ZERO,
    };
    let mut recoveries = Vec::new();
    while came.killed < plan.kills || came.stopped < plan.stops {
        let is_over = AtomicBool::new(false);
        let outcomes = thread::scope(|scope| {
            scope.spawn(|| strike(&pool, plan, random, &is_over, &mut came, &mut recoveries));
            let outcomes = work.map_outcomes(0..plan.calls);
            is_over.store(true, Ordering::Relaxed);
            outcomes
        });
        match outcomes {
            Ok(outcomes) => judge(&outcomes, plan.calls, &mut came),
            Err(error) => {
                say(&error.to_string());
                came.given_up += u64::from(error.kind() == ErrorKind::Quarantined);
                came.lost += plan.calls.unsigned_abs();
                break;
            }
        }
        say(&format!("{} killed, {} stopped", came.killed, came.stopped));
    }
    recoveries.sort_unstable();
    came.recovery_median = recoveries.get(recoveries.len() / 2).copied().unwrap_or_default();
    came.recovery_longest = recoveries.last().copied().unwrap_or_default();
    came
}

fn judge(outcomes: &[Outcome<i64>], calls: i64, came: &mut Came) {
    let count = outcomes.len() as u64;
    came.doubled += count.saturating_sub(calls.unsigned_abs());
    came.lost += calls.unsigned_abs().saturating_sub(count);
    for (n, outcome) in (0..).zip(outcomes) {
        match outcome {
            Ok(result) => came.wrong += u64::from(*result != worked(n)),
            Err(_) => came.lost += 1,
        }
    }
}

/// Kills and stops workers at random moments until the job is over or there was enough of both.
///
/// A module none of whose workers comes to finish anything is given up, and rightly. So after a kill there is time, on
/// however slow a machine, for the next worker to begin.
fn strike(
    pool: &Pool,
    plan: &Plan,
    random: &mut Random,
    is_over: &AtomicBool,
    came: &mut Came,
    recoveries: &mut Vec<Duration>,
) {
    let mut start = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) && (came.killed < plan.kills || came.stopped < plan.stops) {
        let pids = pool.worker_pids();
        let Some(pid) = pids.get(random.below(pids.len().max(1) as u64) as usize).copied() else { continue };
        let wants_stop = came.stopped < plan.stops && random.below(plan.kills + plan.stops) < plan.stops;
        if wants_stop || came.killed >= plan.kills {
            came.stopped += u64::from(stop_for_a_while(pid, random));
        } else if send(pid, Signal::KILL) {
            came.killed += 1;
            let started = Instant::now();
            let is_replaced = || {
                let pids = pool.worker_pids();
                pids.len() == WORKERS && !pids.contains(&pid)
            };
            wait_until(|| is_over.load(Ordering::Relaxed) || is_replaced());
            if is_replaced() {
                start = started.elapsed();
                recoveries.push(start);
            }
        }
        thread::sleep(STARTS_APART * start + Duration::from_micros(random.below(1000 * PAUSE_MS_MAX)));
    }
}

fn stop_for_a_while(pid: u32, random: &mut Random) -> bool {
    if !send(pid, Signal::STOP) {
        return false;
    }
    thread::sleep(Duration::from_millis(random.below(STOP_MS_MAX)));
    send(pid, Signal::CONT)
}
