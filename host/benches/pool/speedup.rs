//! How much faster two workers are than one, beside how much faster two native threads are than one.
//!
//! Two cores of a virtual machine may be two halves of one core, or share what cools them: what two threads reach is
//! all that there is to be had. All four take turns.

use std::time::Instant;

use anyhow::ensure;
use rayon::ThreadPool;
use wasmpool::{Pool, Task};

use crate::contest::Contest;
use crate::measured::Measured;
use crate::native;
use crate::numbers::bound::Bound;
use crate::numbers::unit::Unit;
use crate::world::{WORKERS, World};

/// Share of the native speed-up.
const OF_NATIVE: Bound = Bound::new(0.96, 0.99);

/// Work of one measurement with one worker.
const SECONDS: f64 = 0.4;

/// Turns round that are timed to know how long one takes.
const TRIAL: i64 = 2_000_000;
const TRIALS: usize = 5;

/// Tasks of ten microseconds.
///
/// # Errors
///
/// When a call fails or returns something wrong, as in the other benchmarks.
pub(crate) fn of_10_us(world: &World) -> anyhow::Result<Measured> {
    measure(world, "speedup-10us", "2 workers over 1, tasks of 10 us", 10e-6)
}

/// Tasks of a hundred microseconds.
///
/// # Errors
///
/// As [`of_10_us`].
pub(crate) fn of_100_us(world: &World) -> anyhow::Result<Measured> {
    measure(world, "speedup-100us", "2 workers over 1, tasks of 100 us", 100e-6)
}

/// Tasks of ten milliseconds.
///
/// # Errors
///
/// As [`of_10_us`].
pub(crate) fn of_10_ms(world: &World) -> anyhow::Result<Measured> {
    measure(world, "speedup-10ms", "2 workers over 1, tasks of 10 ms", 10e-3)
}

fn measure(
    world: &World,
    name: &'static str,
    what: &'static str,
    task_seconds: f64,
) -> anyhow::Result<Measured> {
    let (one, all) = (Workers::new(world, 1)?, Workers::new(world, WORKERS)?);
    let (one_thread, threads) = (native::threads(1)?, native::threads(WORKERS)?);
    let seconds = if world.is_quick { SECONDS / 2.0 } else { SECONDS };
    let calls = (seconds / task_seconds) as usize;
    let inputs = |turn_seconds: f64| vec![(task_seconds / turn_seconds).max(1.0) as i64; calls];
    let native_inputs = inputs(least_of_trials(|| native_seconds(&one_thread, &[TRIAL]))? / TRIAL as f64);
    let guest_inputs = inputs(least_of_trials(|| one.seconds(&[TRIAL]))? / TRIAL as f64);
    let figure = Contest::new(name, what, Unit::Speedup, || {
        Ok(one.seconds(&guest_inputs)? / all.seconds(&guest_inputs)?)
    })
    .against("2 native threads over 1", || {
        Ok(native_seconds(&one_thread, &native_inputs)? / native_seconds(&threads, &native_inputs)?)
    })
    .better_by(OF_NATIVE)
    .run(world.turns())?;
    Ok(figure.into())
}

fn least_of_trials(mut trial: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    (0..TRIALS).try_fold(f64::INFINITY, |least, _| Ok(least.min(trial()?)))
}

/// A pool and the task that spins.
struct Workers {
    _pool: Pool,
    spin: Task<i64, i64>,
}

impl Workers {
    fn new(world: &World, workers: usize) -> anyhow::Result<Self> {
        let pool = Pool::builder().workers(workers).cache_dir(world.cache()).build()?;
        let spin = pool.load(&world.module)?.task("spin_for_iterations")?;
        Ok(Self { _pool: pool, spin })
    }

    fn seconds(&self, inputs: &[i64]) -> anyhow::Result<f64> {
        // So that the workers are there, and awake.
        self.spin.map(vec![1; WORKERS])?;
        let started = Instant::now();
        let results = self.spin.map(inputs.iter().copied())?;
        let seconds = started.elapsed().as_secs_f64();
        check(inputs, &results)?;
        Ok(seconds)
    }
}

fn native_seconds(threads: &ThreadPool, inputs: &[i64]) -> anyhow::Result<f64> {
    let started = Instant::now();
    let results = native::map(threads, inputs, |iterations| native::spin(*iterations));
    let seconds = started.elapsed().as_secs_f64();
    check(inputs, &results)?;
    Ok(seconds)
}

/// All inputs are the same, and so all results must be the right one.
fn check(inputs: &[i64], results: &[i64]) -> anyhow::Result<()> {
    let expected = inputs.first().map_or(0, |iterations| native::spin(*iterations));
    ensure!(
        results.len() == inputs.len() && results.iter().all(|result| *result == expected),
        "a result is wrong"
    );
    Ok(())
}
