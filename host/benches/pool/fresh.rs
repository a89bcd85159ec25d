//! Calls that get an instance of their own, and calls that cost one because they trap.

use std::time::Instant;

use anyhow::ensure;
use wasmpool::{FailureKind, Task};

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
    let (_pool, cube) = world.task::<i64, i64>("cube")?;
    let plain = Plain::compile(&std::fs::read(&world.module)?)?;
    let figure =
        cubes(world, &cube, (&plain, CUBE_EXPORT), "fresh-cube", "a fresh call of a Rust task, per core")?;
    Ok(vec![figure.promised(SECONDS_MAX)])
}

/// The same in a module without memory, written by hand.
///
/// # Errors
///
/// As [`numeric`].
pub(crate) fn wat(world: &World) -> anyhow::Result<Vec<Figure>> {
    let pool = world::pool(&world.cache())?;
    let cube = pool.load_bytes("cube", CUBE_WAT.as_bytes())?.task("cube")?;
    let plain = Plain::compile(CUBE_WAT.as_bytes())?;
    Ok(vec![cubes(world, &cube, (&plain, "cube"), "fresh-wat", "a fresh call of a .wat module, per core")?])
}

/// A task that has only the pull loop.
///
/// # Errors
///
/// As [`numeric`].
pub(crate) fn pull(world: &World) -> anyhow::Result<Vec<Figure>> {
    let calls = world.some(CALLS);
    let (_pool, greet) = world.task::<String, String>("greet")?;
    let greet = greet.fresh(true);
    let mut ours = || greetings(&greet, calls);
    let [ours] = turns::medians(world.rounds(), [&mut ours])?;
    let what = "a fresh call of a Rust task of strings, per core";
    Ok(vec![Figure::new("fresh-greet", what, Unit::Seconds, ours).promised(SECONDS_MAX)])
}

fn cubes(
    world: &World,
    cube: &Task<i64, i64>,
    (plain, export): (&Plain, &str),
    name: &'static str,
    what: &'static str,
) -> anyhow::Result<Figure> {
    let calls = world.some(CALLS);
    let cube = cube.clone().fresh(true);
    let mut ours = || {
        let started = Instant::now();
        let cubes = cube.map(0..calls as i64)?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!((0..).zip(&cubes).all(|(number, cube)| cubed(number) == *cube), "a cube is wrong");
        Ok(seconds * WORKERS as f64 / calls as f64)
    };
    let mut wasmtime = || {
        let started = Instant::now();
        for number in 0..calls as i64 {
            ensure!(plain.call_fresh(export, number)? == Some(cubed(number)), "a cube is wrong");
        }
        Ok(started.elapsed().as_secs_f64() / calls as f64)
    };
    let [ours, wasmtime] = turns::medians(world.rounds(), [&mut ours, &mut wasmtime])?;
    Ok(Figure::new(name, what, Unit::Seconds, ours).against("wasmtime, one thread", wasmtime))
}

/// Calls that trap, each of which costs its instance and tells a backtrace.
///
/// # Errors
///
/// When one does not.
pub(crate) fn traps(world: &World) -> anyhow::Result<Vec<Figure>> {
    let calls = world.some(50_000);
    let (_pool, traps) = world.task::<(i64, i64), i64>("traps_on")?;
    let plain = Plain::compile(&std::fs::read(&world.module)?)?;
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
