//! Very many very small calls: cubes of ten million integers.

use std::time::Instant;

use anyhow::ensure;

use crate::figure::{Figure, Unit};
use crate::plain::{self, Plain};
use crate::turns;
use crate::world::{WORKERS, World};

/// How many integers are cubed.
pub(crate) const CALLS: usize = 10_000_000;

/// The task as a plain function of numbers, as the SDK exports it.
pub(crate) const CUBE_EXPORT: &str = "wasmpool:numeric:cube";

const CALLS_PER_SECOND_MIN: f64 = 20e6;

/// Over a range, which is never written down.
///
/// # Errors
///
/// When a call fails or returns something else than a cube, as in the other benchmarks.
pub(crate) fn from_range(world: &World) -> anyhow::Result<Vec<Figure>> {
    let (_pool, cube) = world.task::<i64, i64>("cube")?;
    let mut ours = || rate(|| Ok(cube.map(0..CALLS as i64)?));
    measure(world, "map-range", "10 M cubes of a range", &mut ours)
}

/// Over a vector, which has to reach the workers.
///
/// # Errors
///
/// As [`from_range`].
pub(crate) fn from_vec(world: &World) -> anyhow::Result<Vec<Figure>> {
    let (_pool, cube) = world.task::<i64, i64>("cube")?;
    let inputs: Vec<i64> = (0..CALLS as i64).collect();
    let mut ours = || {
        let inputs = inputs.clone();
        rate(|| Ok(cube.map(inputs)?))
    };
    measure(world, "map-vec", "10 M cubes of a Vec", &mut ours)
}

fn measure(
    world: &World,
    name: &'static str,
    what: &'static str,
    ours: turns::Contestant<'_>,
) -> anyhow::Result<Vec<Figure>> {
    let plain = Plain::<()>::compile(&std::fs::read(&world.module)?)?;
    let sessions = (0..WORKERS).map(|_| plain.session(CUBE_EXPORT));
    let mut sessions = sessions.collect::<anyhow::Result<Vec<_>>>()?;
    let inputs: Vec<i64> = (0..CALLS as i64).collect();
    let mut wasmtime = || rate(|| plain::cubes(&mut sessions, &inputs));
    let [ours, wasmtime] = turns::medians(world.rounds(), [ours, &mut wasmtime])?;
    let python = world.python.as_ref().map(|python| python.map(CALLS)).transpose()?;
    let figure = Figure::new(name, what, Unit::PerSecond, ours)
        .against("wasmtime, all cores", wasmtime)
        .against("Python Pool.map", python.map(|seconds| CALLS as f64 / seconds))
        .promised(CALLS_PER_SECOND_MIN);
    Ok(vec![figure])
}

/// Calls a second; the results are checked when the time is taken.
fn rate(cubes: impl FnOnce() -> anyhow::Result<Vec<i64>>) -> anyhow::Result<f64> {
    let started = Instant::now();
    let cubes = cubes()?;
    let seconds = started.elapsed().as_secs_f64();
    check(&cubes)?;
    Ok(CALLS as f64 / seconds)
}

/// Checks every result. Beyond two millions, cubes wrap, here as there.
///
/// # Errors
///
/// When one is wrong or missing.
pub(crate) fn check(cubes: &[i64]) -> anyhow::Result<()> {
    ensure!(cubes.len() == CALLS, "{} results of {CALLS} calls", cubes.len());
    let wrong = (0..).zip(cubes).find(|(number, cube)| cubed(*number) != **cube);
    ensure!(wrong.is_none(), "a call returned something else: {wrong:?}");
    Ok(())
}

/// A cube as the guest computes it.
pub(crate) fn cubed(number: i64) -> i64 {
    number.wrapping_mul(number).wrapping_mul(number)
}
