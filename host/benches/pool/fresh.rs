//! Calls that get an instance of their own, and calls that cost one because they trap.

use std::time::Instant;

use anyhow::ensure;
use wasmpool::{FailureKind, Pool, Task};

use crate::cost::{Meter, Processor, ProcessorTimes};
use crate::figure::{Figure, Unit};
use crate::map::{CUBE_EXPORT, cubed};
use crate::plain::Plain;
use crate::turns;
use crate::values::greetings;
use crate::world::{self, CUBE_WAT, WORKERS, World};

const CALLS: usize = 100_000;

const SECONDS_MAX: f64 = 10e-6;

/// A task of numbers in a Rust module.
///
/// # Errors
///
/// When a call fails or returns something wrong, as in the other benchmarks.
pub(crate) fn numeric(world: &World) -> anyhow::Result<Vec<Figure>> {
    let (pool, cube) = world.task::<i64, i64>("cube")?;
    let plain = Plain::<()>::compile(&std::fs::read(&world.module)?)?;
    let [clock, processor] =
        cubes(world, (&pool, &cube), (&plain, CUBE_EXPORT), ["fresh-cube", "fresh-cube-cpu"])?;
    Ok(vec![clock.promised(SECONDS_MAX), processor])
}

/// The same in a module without memory, written by hand.
///
/// # Errors
///
/// As [`numeric`].
pub(crate) fn wat(world: &World) -> anyhow::Result<Vec<Figure>> {
    let pool = world::pool(&world.cache())?;
    let cube = pool.load_bytes("cube", CUBE_WAT.as_bytes())?.task("cube")?;
    let plain = Plain::<()>::compile(CUBE_WAT.as_bytes())?;
    Ok(cubes(world, (&pool, &cube), (&plain, "cube"), ["fresh-wat", "fresh-wat-cpu"])?.into())
}

/// A task that has only the pull loop.
///
/// # Errors
///
/// As [`numeric`].
pub(crate) fn pull(world: &World) -> anyhow::Result<Vec<Figure>> {
    let calls = world.some(CALLS);
    let (pool, greet) = world.task::<String, String>("greet")?;
    let greet = greet.fresh(true);
    let mut times = ProcessorTimes::default();
    let mut ours = || greetings(&pool, &greet, calls, &mut times);
    let [clock] = turns::medians(world.rounds(), [&mut ours])?;
    let clock = Figure::new("fresh-greet", "a fresh call String -> String, per core", Unit::Seconds, clock);
    Ok(vec![clock.promised(SECONDS_MAX), times.figure("fresh-greet-cpu")])
}

fn cubes(
    world: &World,
    (pool, cube): (&Pool, &Task<i64, i64>),
    (plain, export): (&Plain, &str),
    [clock_name, processor_name]: [&'static str; 2],
) -> anyhow::Result<[Figure; 2]> {
    let calls = world.some(CALLS);
    let cube = cube.clone().fresh(true);
    let (mut our_times, mut their_times) = (ProcessorTimes::default(), ProcessorTimes::default());
    let mut ours = || {
        let meter = Meter::start(Processor::Pool(pool))?;
        let cubes = cube.map(0..calls as i64)?;
        let cost = meter.stop(calls, &mut our_times)?;
        ensure!((0..).zip(&cubes).all(|(number, cube)| cubed(number) == *cube), "a cube is wrong");
        Ok(cost)
    };
    let mut wasmtime = || {
        let meter = Meter::start(Processor::Thread)?;
        for number in 0..calls as i64 {
            ensure!(plain.call_fresh(export, number)? == Some(cubed(number)), "a cube is wrong");
        }
        meter.stop(calls, &mut their_times)
    };
    let [ours, wasmtime] = turns::medians(world.rounds(), [&mut ours, &mut wasmtime])?;
    let what = "a fresh call i64 -> i64, per core";
    let clock = Figure::new(clock_name, what, Unit::Seconds, ours).against("wasmtime, one thread", wasmtime);
    let processor = our_times.figure(processor_name).against("wasmtime, one thread", their_times.median());
    Ok([clock, processor])
}

/// Calls that trap, each of which costs its instance and tells a backtrace.
///
/// # Errors
///
/// When one does not.
pub(crate) fn traps(world: &World) -> anyhow::Result<Vec<Figure>> {
    let calls = world.some(50_000);
    let (_pool, traps) = world.task::<(i64, i64), i64>("traps_on")?;
    let plain = Plain::<()>::compile(&std::fs::read(&world.module)?)?;
    let mut ours = || {
        let started = Instant::now();
        let outcomes = traps.map_outcomes((0..calls as i64).map(|number| (number, number)))?;
        let seconds = started.elapsed().as_secs_f64();
        let has_trapped = |kind| kind == FailureKind::Trapped;
        let trapped = outcomes.iter().filter(|end| end.as_ref().is_err_and(|end| has_trapped(end.kind())));
        ensure!(trapped.count() == calls, "not every call trapped");
        Ok(calls as f64 / seconds)
    };
    let mut wasmtime = || {
        let started = Instant::now();
        for number in 0..calls as i64 {
            let returned = plain.call_fresh::<_, i64>("wasmpool:numeric:traps_on", (number, number))?;
            ensure!(returned.is_none(), "a call did not trap");
        }
        Ok((calls * WORKERS) as f64 / started.elapsed().as_secs_f64())
    };
    let [ours, wasmtime] = turns::medians(world.rounds(), [&mut ours, &mut wasmtime])?;
    let figure = Figure::new("traps", "calls that trap", Unit::PerSecond, ours);
    Ok(vec![figure.against("wasmtime, 2 x one thread", wasmtime)])
}
