//! With the number of calls: time of each, and memory.

use anyhow::ensure;

use super::{add_place, checked, seconds};
use crate::map::{CUBE_EXPORT, check};
use crate::measured::Measured;
use crate::memory::{self, Kind};
use crate::native;
use crate::numbers::curve::Curve;
use crate::numbers::unit::Unit;
use crate::plain::{self, Plain};
use crate::world::{WORKERS, World};

/// Powers of ten: fewest calls, most calls, and most when time is short.
const FIRST: u32 = 1;
const LAST: u32 = 8;
const LAST_QUICK: u32 = 6;

/// Most calls that Python makes: its integers take sixteen times the memory, and a hundred times the time.
const PYTHON_CALLS_MAX: usize = 10_000_000;

fn counts(world: &World) -> impl Iterator<Item = usize> {
    let last = if world.is_quick { LAST_QUICK } else { LAST };
    (FIRST..=last).map(|power| 10_usize.pow(power))
}

/// Seconds per call of a `map` of cubes, of ten to a hundred million integers.
///
/// # Errors
///
/// When there is no pool or no peer; a call that fails is a note of the curve.
pub(crate) fn time(world: &World) -> anyhow::Result<Measured> {
    let (_pool, cube) = world.task::<i64, i64>("cube")?;
    let mut sessions = Plain::compile(&std::fs::read(&world.module)?)?.sessions(CUBE_EXPORT, WORKERS)?;
    let threads = native::threads(WORKERS)?;
    let mut curve = Curve::new("growth-calls", "Time per call of a map of cubes", "calls", Unit::Seconds);
    for calls in counts(world) {
        let inputs: Vec<i64> = (0..calls as i64).collect();
        let per_call = |seconds: f64| seconds / calls as f64;
        let is_right = |cubes: Vec<i64>| check(&cubes, calls);
        let mut range = || seconds(|| checked(|| Ok(cube.map(0..calls as i64)?), is_right)).map(per_call);
        let mut vec = || {
            let once = || {
                let inputs = inputs.clone();
                checked(|| Ok(cube.map(inputs)?), is_right)
            };
            seconds(once).map(per_call)
        };
        let mut loops = || seconds(|| checked(|| plain::map(&mut sessions, &inputs), is_right)).map(per_call);
        let natively = || Ok(native::map(&threads, &inputs, |number| native::cube(*number)));
        let mut rayon = || seconds(|| checked(natively, is_right)).map(per_call);
        let mut python = || {
            let python = world.python.as_ref().map_err(|absence| anyhow::Error::msg(absence.clone()))?;
            ensure!(calls <= PYTHON_CALLS_MAX, "not tried, it would take minutes");
            let [seconds] = python.figures(&["map", &calls.to_string(), "0"])?;
            Ok(per_call(seconds))
        };
        add_place(
            world,
            &mut curve,
            calls as f64,
            [
                ("wasmpool, a range", &mut range),
                ("wasmpool, a Vec", &mut vec),
                ("wasmtime, all cores", &mut loops),
                ("rayon, native", &mut rayon),
                ("Python Pool.map", &mut python),
            ],
        );
    }
    Ok(vec![curve].into())
}

/// Memory of supervisor and workers at its peak, less what inputs and results need.
///
/// # Errors
///
/// As [`time`].
pub(crate) fn memory(world: &World) -> anyhow::Result<Measured> {
    let title = "Peak memory of all processes beyond inputs and results";
    let mut curve = Curve::new("growth-memory", title, "calls", Unit::Bytes);
    for calls in counts(world) {
        let beyond = |kind, words: usize| Ok(memory::peak(world, kind, calls)? - (words * calls * 8) as f64);
        let mut range = || beyond(Kind::Range, 1);
        let mut vec = || beyond(Kind::Vec, 2);
        add_place(
            world,
            &mut curve,
            calls as f64,
            [("wasmpool, a range", &mut range), ("wasmpool, a Vec", &mut vec)],
        );
    }
    Ok(vec![curve].into())
}
