//! Tasks of different lengths: how much later the last of them ends than with workers that take one at a time, in the
//! list's order, at no cost.
//!
//! Nobody tells the pool how long a task takes. The peer is that greedy worker itself, a plain wasmtime loop on all
//! cores that takes the next number from one counter; beside it stands what arithmetic makes of the same tasks
//! ([`crate::numbers::makespan`]) at the pace that this machine's cores have when all are busy.

use std::time::Instant;

use anyhow::ensure;

use crate::contest::{Aside, Contest};
use crate::figure::Figure;
use crate::measured::Measured;
use crate::native;
use crate::numbers::bound::Bound;
use crate::numbers::makespan::greedy;
use crate::numbers::unit::Unit;
use crate::plain::{self, Plain, Session};
use crate::world::{WORKERS, World};

/// How much longer than the greedy worker.
const OVER_GREEDY: Bound = Bound::of_time(1.05, 1.02);

const TASKS: usize = 1000;

/// What an ordinary task takes.
const TASK_SECONDS: f64 = 100e-6;

/// How much longer one task takes.
const DEAR: f64 = 200.0;

/// Turns round that are timed to know how long one takes.
const TRIAL: i64 = 2_000_000;
const TRIALS: usize = 5;

/// A list of tasks: their costs, in ordinary tasks, by their place in the list.
struct List {
    name: &'static str,
    what: &'static str,
    cost: fn(usize) -> f64,
}

const LISTS: [List; 6] = [
    List {
        name: "balance-first",
        what: "1,000 tasks, the first 200 times as long",
        cost: |at| dear_at(at, 0),
    },
    List {
        name: "balance-middle",
        what: "1,000 tasks, the middle one 200 times as long",
        cost: |at| dear_at(at, TASKS / 2),
    },
    List {
        name: "balance-last",
        what: "1,000 tasks, the last 200 times as long",
        cost: |at| dear_at(at, TASKS - 1),
    },
    List { name: "balance-rising", what: "1,000 tasks, each longer than the one before", cost: sorted },
    List {
        name: "balance-falling",
        what: "1,000 tasks, each shorter than the one before",
        cost: |at| sorted(TASKS - 1 - at),
    },
    List {
        name: "balance-half",
        what: "1,000 tasks, the first as long as all others",
        cost: |at| if at == 0 { TASKS as f64 - 1.0 } else { 1.0 },
    },
];

fn dear_at(at: usize, place: usize) -> f64 {
    if at == place { DEAR } else { 1.0 }
}

/// In even steps from nearly nothing to two ordinary tasks.
fn sorted(at: usize) -> f64 {
    0.1 + 1.9 * at as f64 / (TASKS - 1) as f64
}

/// All lists.
///
/// # Errors
///
/// When a call fails or returns something wrong.
pub(crate) fn makespans(world: &World) -> anyhow::Result<Measured> {
    let mut sessions = Plain::compile(&std::fs::read(&world.module)?)?
        .sessions("wasmpool:numeric:spin_for_iterations", WORKERS)?;
    let figures = LISTS.iter().map(|list| measure(world, list, &mut sessions));
    Ok(figures.collect::<anyhow::Result<Vec<_>>>()?.into())
}

fn measure(world: &World, list: &List, sessions: &mut [Session]) -> anyhow::Result<Figure> {
    let (_pool, spin) = world.task::<i64, i64>("spin_for_iterations")?;
    let turn = turn_seconds(sessions)?;
    let inputs: Vec<i64> = (0..TASKS).map(|at| ((list.cost)(at) * TASK_SECONDS / turn) as i64).collect();
    let sum = inputs.iter().fold(0_i64, |sum, turns| sum.wrapping_add(native::spin(*turns)));
    let ours = || {
        // So that the workers are there, and awake.
        spin.map(vec![1; WORKERS])?;
        let started = Instant::now();
        let results = spin.map(inputs.iter().copied())?;
        let seconds = started.elapsed().as_secs_f64();
        let ours = results.iter().fold(0_i64, |sum, result| sum.wrapping_add(*result));
        ensure!(results.len() == TASKS && ours == sum, "a result is wrong");
        Ok(seconds)
    };
    let computed = Aside::default();
    let greedy_loop = || {
        let turn = turn_seconds(sessions)?;
        computed.note(greedy(inputs.iter().map(|turns| *turns as f64 * turn), WORKERS));
        let started = Instant::now();
        let theirs = plain::one_at_a_time(sessions, &inputs)?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!(theirs == sum, "a result is wrong");
        Ok(seconds)
    };
    let figure = Contest::new(list.name, list.what, Unit::Seconds, ours)
        .against("greedy loop in wasmtime", greedy_loop)
        .better_by(OVER_GREEDY)
        .run(world.turns())?;
    Ok(figure.against("greedy, computed", computed.samples()))
}

/// What a turn round takes while all cores turn and nobody disturbs them: the least of a few trials.
fn turn_seconds(sessions: &mut [Session]) -> anyhow::Result<f64> {
    let inputs = [TRIAL; WORKERS];
    let mut least = f64::INFINITY;
    for _ in 0..TRIALS {
        let started = Instant::now();
        plain::map(sessions, &inputs)?;
        least = least.min(started.elapsed().as_secs_f64() / TRIAL as f64);
    }
    Ok(least)
}
