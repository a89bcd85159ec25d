//! How short tasks may be: the shortest at which the pool is half as fast as the ideal, METG 50 % (see
//! [`crate::numbers::grain`]).
//!
//! A task turns round so many times. What a turn takes is measured in the same pool, with tasks so long that nothing
//! else counts; the ideal is a core that does nothing but turn.

use std::time::Instant;

use anyhow::{Context as _, bail, ensure};

use crate::contest::Contest;
use crate::figure::Figure;
use crate::measured::Measured;
use crate::native;
use crate::numbers::bound::Bound;
use crate::numbers::grain::{Grain, Point, grain};
use crate::numbers::samples::Samples;
use crate::numbers::unit::Unit;
use crate::plain::{self, Plain};
use crate::world::{WORKERS, World};

const NUMERIC: Bound = Bound::new(20e-9, 6e-9);

const SDK: Bound = Bound::new(0.25e-6, 0.12e-6);

/// Turns of a task beside which everything else is nothing, how many such tasks make a trial, and how many trials there
/// are. Their median counts: whoever else uses the machine slows the tasks to be measured down as well.
const LONG: i64 = 1_000_000;
const LONG_TASKS: usize = 4 * WORKERS;
const TRIALS: usize = 5;

/// Longest task that is tried, in turns, as a power of two.
const POWER_MAX: u32 = 11;

/// Turns of all tasks of one length together, and most tasks of one length.
const TURNS: usize = 20_000_000;
const TASKS_MAX: usize = 500_000;

/// Of numbers, and through the pull loop.
///
/// # Errors
///
/// When a call fails or returns something wrong.
pub(crate) fn shortest(world: &World) -> anyhow::Result<Measured> {
    let numeric = measure(
        world,
        "short-tasks-number",
        "METG 50 %, a task of numbers; at least one turn",
        "spin_for_iterations",
    )?;
    let sdk = measure(world, "short-tasks-sdk", "METG 50 %, an SDK task; at least one turn", "spin_checked")?;
    Ok(vec![numeric.promised(NUMERIC), sdk.promised(SDK)].into())
}

fn measure(world: &World, name: &'static str, what: &'static str, task: &str) -> anyhow::Result<Figure> {
    let (_pool, task) = world.task::<i64, i64>(task)?;
    let module = std::fs::read(&world.module)?;
    let mut sessions = Plain::compile(&module)?.sessions("wasmpool:numeric:spin_for_iterations", WORKERS)?;
    let threads = native::threads(WORKERS)?;
    let ours = || shortest_of(world, |inputs| Ok(task.map(inputs.iter().copied())?));
    Contest::new(name, what, Unit::Seconds, ours)
        .against("wasmtime, all cores", || shortest_of(world, |inputs| plain::map(&mut sessions, inputs)))
        .against("rayon, native", || {
            shortest_of(world, |inputs| Ok(native::map(&threads, inputs, |turns| native::spin(*turns))))
        })
        .run(world.turns())
}

fn shortest_of(
    world: &World,
    mut run: impl FnMut(&[i64]) -> anyhow::Result<Vec<i64>>,
) -> anyhow::Result<f64> {
    let mut cost = |turns: i64, tasks: usize| {
        let inputs = vec![turns; tasks];
        let started = Instant::now();
        let results = run(&inputs)?;
        let seconds = started.elapsed().as_secs_f64();
        let expected = native::spin(turns);
        ensure!(
            results.len() == tasks && results.iter().all(|result| *result == expected),
            "a result is wrong"
        );
        Ok(seconds * WORKERS as f64 / tasks as f64)
    };
    let trials = (0..TRIALS).map(|_| cost(LONG, LONG_TASKS)).collect::<anyhow::Result<Vec<f64>>>()?;
    let turn = Samples::new(trials).context("nothing was tried")?.median() / LONG as f64;
    let point = |power: u32| {
        let turns = 1 << power;
        let tasks = world.some((TURNS >> power).min(TASKS_MAX));
        Ok(Point { task: turns as f64 * turn, cost: cost(turns, tasks)? })
    };
    match grain(&(0..=POWER_MAX).map(point).collect::<anyhow::Result<Vec<_>>>()?, 0.5) {
        Grain::Of(seconds) => Ok(seconds),
        // All that was measured is that it is no longer than this.
        Grain::Finer => Ok(turn),
        Grain::Coarser => bail!("even the longest task is too short"),
    }
}
