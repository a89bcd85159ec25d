//! Very many very small calls: cubes of ten million integers.

use std::cell::OnceCell;
use std::time::Instant;

use anyhow::ensure;

use crate::contest::Contest;
use crate::measured::Measured;
use crate::native;
use crate::numbers::bound::Bound;
use crate::numbers::unit::Unit;
use crate::plain::{self, Plain};
use crate::python::Python;
use crate::world::{WORKERS, World};

/// How many integers are cubed.
pub(crate) const CALLS: usize = 10_000_000;

/// The task as a plain function of numbers, as the SDK exports it.
pub(crate) const CUBE_EXPORT: &str = "wasmpool:numeric:cube";

/// How many times faster than Python with its best chunk size.
const OVER_PYTHON: Bound = Bound::new(60.0, 100.0);

/// How many times faster than a typed call per input on all cores.
const OVER_WASMTIME: Bound = Bound::new(2.0, 3.0);

/// Over a range, which is never written down.
///
/// # Errors
///
/// When a call fails or returns something else than a cube, as in the other benchmarks.
pub(crate) fn from_range(world: &World) -> anyhow::Result<Measured> {
    let (_pool, cube) = world.task::<i64, i64>("cube")?;
    let ours = || rate(CALLS, || Ok(cube.map(0..CALLS as i64)?));
    measure(
        world,
        Contest::new("map-range", "cubes of a range of 10 M i64, into a Vec", Unit::PerSecond, ours),
    )
}

/// Over a vector, which has to reach the workers.
///
/// # Errors
///
/// As [`from_range`].
pub(crate) fn from_vec(world: &World) -> anyhow::Result<Measured> {
    let (_pool, cube) = world.task::<i64, i64>("cube")?;
    let inputs: Vec<i64> = (0..CALLS as i64).collect();
    let ours = || {
        let inputs = inputs.clone();
        rate(CALLS, || Ok(cube.map(inputs)?))
    };
    measure(world, Contest::new("map-vec", "cubes of a Vec of 10 M i64, into a Vec", Unit::PerSecond, ours))
}

fn measure(world: &World, ours: Contest<'_>) -> anyhow::Result<Measured> {
    let mut sessions = Plain::compile(&std::fs::read(&world.module)?)?.sessions(CUBE_EXPORT, WORKERS)?;
    let inputs: Vec<i64> = (0..CALLS as i64).collect();
    let threads = native::threads(WORKERS)?;
    // Python needs seconds for ten millions; its rate is the same for fewer.
    let python_calls = world.some(CALLS);
    let (pool_chunk, futures_chunk) = (OnceCell::new(), OnceCell::new());
    let figure = ours
        .against("wasmtime, all cores", || rate(CALLS, || plain::map(&mut sessions, &inputs)))
        .better_by(OVER_WASMTIME)
        .against("rayon, native", || rate(CALLS, || Ok(native::map(&threads, &inputs, |n| native::cube(*n)))))
        .against_python("Python Pool.map, best chunk", world, |python| {
            python_rate(python, ["best", "map"], python_calls, &pool_chunk)
        })
        .better_by(OVER_PYTHON)
        .against_python("Python futures map, best chunk", world, |python| {
            python_rate(python, ["futures-best", "futures-map"], python_calls, &futures_chunk)
        })
        .run(world.turns())?;
    Ok(figure.into())
}

/// Calls a second with the best of a few chunk sizes, which is found out in the turn that does not count.
fn python_rate(
    python: &Python,
    [best, map]: [&str; 2],
    calls: usize,
    chunk: &OnceCell<String>,
) -> anyhow::Result<f64> {
    if chunk.get().is_none() {
        let size = python.figure(best, calls.div_ceil(4))?;
        // Nobody was here in the meantime.
        let _ = chunk.set(size.to_string());
    }
    let chunk = chunk.get().map_or("0", String::as_str);
    let [seconds] = python.figures(&[map, &calls.to_string(), chunk])?;
    Ok(calls as f64 / seconds)
}

/// Calls a second; the results are checked when the time is taken.
fn rate(calls: usize, cubes: impl FnOnce() -> anyhow::Result<Vec<i64>>) -> anyhow::Result<f64> {
    let started = Instant::now();
    let cubes = cubes()?;
    let seconds = started.elapsed().as_secs_f64();
    check(&cubes, calls)?;
    Ok(calls as f64 / seconds)
}

/// Checks every result. Beyond two millions, cubes wrap, here as there.
///
/// # Errors
///
/// When one is wrong or missing.
pub(crate) fn check(cubes: &[i64], calls: usize) -> anyhow::Result<()> {
    ensure!(cubes.len() == calls, "{} results of {calls} calls", cubes.len());
    let wrong = (0..).zip(cubes).find(|(number, cube)| native::cube(*number) != **cube);
    ensure!(wrong.is_none(), "a call returned something else: {wrong:?}");
    Ok(())
}
