//! Small calls that run on behind handles: all are begun, then all results are taken.

use std::time::Instant;

use crate::contest::Contest;
use crate::map;
use crate::measured::Measured;
use crate::native::Cubers;
use crate::numbers::bound::Bound;
use crate::numbers::curve::amount;
use crate::numbers::unit::Unit;
use crate::world::World;

/// Calls of a turn.
const CALLS: usize = 300_000;

/// Python's calls take a hundred times as long.
const PYTHON_CALLS: usize = 20_000;

/// Calls a second.
const CALLS_PER_SECOND: Bound = Bound::new(300e3, 1e6);

/// `apply_async` of `cube`, from one thread.
///
/// # Errors
///
/// When a call fails or returns something wrong.
pub(crate) fn rate(world: &World) -> anyhow::Result<Measured> {
    let (calls, python_calls) = (world.some(CALLS), world.some(PYTHON_CALLS));
    let (_pool, cube) = world.task::<i64, i64>("cube")?;
    let ours = || {
        let started = Instant::now();
        let handles = (0..calls as i64).map(|number| cube.apply_async(number));
        let handles = handles.collect::<Result<Vec<_>, _>>()?;
        let cubes = handles.into_iter().map(|handle| handle.get(None));
        let cubes = cubes.collect::<Result<Vec<i64>, _>>()?;
        let seconds = started.elapsed().as_secs_f64();
        map::check(&cubes, calls)?;
        Ok(calls as f64 / seconds)
    };
    let cubers = Cubers::new(1);
    let channel = || {
        let started = Instant::now();
        let cubes = cubers.all(calls)?;
        let seconds = started.elapsed().as_secs_f64();
        map::check(&cubes, calls)?;
        Ok(calls as f64 / seconds)
    };
    let python = |what: &'static str| {
        move |python: &crate::python::Python| Ok(python_calls as f64 / python.figure(what, python_calls)?)
    };
    let what = format!("apply_async and get of {} small calls", amount(calls as f64));
    let figure = Contest::new("apply-async", what, Unit::PerSecond, ours)
        .promised(CALLS_PER_SECOND)
        .against("crossbeam-channel, a thread", channel)
        .against_python("Python Pool.apply_async", world, python("apply-async"))
        .against_python("Python futures submit", world, python("futures-async"))
        .run(world.turns())?;
    Ok(figure.into())
}
