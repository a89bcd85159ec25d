//! Calls that get an instance of their own, and calls that cost one because they trap.

use std::thread;
use std::time::Instant;

use anyhow::ensure;
use wasmpool::{FailureKind, Pool, Task};

use crate::contest::{Aside, Contest};
use crate::cost::{Meter, PROCESSOR_TIME, Processor};
use crate::figure::Figure;
use crate::map::CUBE_EXPORT;
use crate::measured::Measured;
use crate::native;
use crate::numbers::bound::Bound;
use crate::numbers::unit::Unit;
use crate::plain::Plain;
use crate::values::greetings;
use crate::world::{self, CUBE_WAT, WORKERS, World};

const CALLS: usize = 100_000;

/// What a fresh call of a module from the Rust SDK may cost.
const SDK: Bound = Bound::new(8e-6, 5e-6);

/// How much longer than a bare loop of wasmtime's a fresh call may take.
const OVER_BARE_LOOP: Bound = Bound::of_time(1.3, 1.1);

/// Calls that trap, a second and core.
const TRAPS: Bound = Bound::new(30e3, 50e3);

/// A task of numbers in a Rust module.
///
/// # Errors
///
/// When a call fails or returns something wrong, as in the other benchmarks.
pub(crate) fn numeric(world: &World) -> anyhow::Result<Measured> {
    let (pool, cube) = world.task::<i64, i64>("cube")?;
    let plain = Plain::<()>::compile(&std::fs::read(&world.module)?)?;
    let [mut clock, processor] =
        cubes(world, (&pool, &cube), (&plain, CUBE_EXPORT), ["fresh-cube", "fresh-cube-cpu"])?;
    clock = clock.promised(SDK);
    Ok(vec![clock, processor].into())
}

/// The same in a module without memory, written by hand.
///
/// # Errors
///
/// As [`numeric`].
pub(crate) fn wat(world: &World) -> anyhow::Result<Measured> {
    let pool = world::pool(&world.cache())?;
    let cube = pool.load_bytes("cube", CUBE_WAT.as_bytes())?.task("cube")?;
    let plain = Plain::<()>::compile(CUBE_WAT.as_bytes())?;
    Ok(Vec::from(cubes(world, (&pool, &cube), (&plain, "cube"), ["fresh-wat", "fresh-wat-cpu"])?).into())
}

/// A task that has only the pull loop.
///
/// # Errors
///
/// As [`numeric`].
pub(crate) fn pull(world: &World) -> anyhow::Result<Measured> {
    let calls = world.some(CALLS);
    let (pool, greet) = world.task::<String, String>("greet")?;
    let greet = greet.fresh(true);
    let processor_time = Aside::default();
    let ours = || greetings(&pool, &greet, calls, &processor_time);
    let what = "a fresh call String -> String of an SDK module, per core";
    let clock = Contest::new("fresh-greet", what, Unit::Seconds, ours).promised(SDK).run(world.turns())?;
    Ok(vec![clock, processor_time.figure("fresh-greet-cpu", PROCESSOR_TIME, Unit::Seconds)?].into())
}

fn cubes(
    world: &World,
    (pool, cube): (&Pool, &Task<i64, i64>),
    (plain, export): (&Plain, &str),
    [clock_name, processor_name]: [&'static str; 2],
) -> anyhow::Result<[Figure; 2]> {
    let calls = world.some(CALLS);
    let cube = cube.clone().fresh(true);
    let (our_time, their_time) = (Aside::default(), Aside::default());
    let ours = || {
        let meter = Meter::start(Processor::Pool(pool))?;
        let cubes = cube.map(0..calls as i64)?;
        let cost = meter.stop(calls, &our_time)?;
        ensure!((0..).zip(&cubes).all(|(number, cube)| native::cube(number) == *cube), "a cube is wrong");
        Ok(cost)
    };
    let one_thread = || {
        let meter = Meter::start(Processor::Thread)?;
        bare_loop(plain, export, calls)?;
        meter.stop(calls, &their_time)
    };
    let all_cores = || {
        let started = Instant::now();
        thread::scope(|scope| {
            let share = calls / WORKERS;
            let threads: Vec<_> =
                (0..WORKERS).map(|_| scope.spawn(move || bare_loop(plain, export, share))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("a loop does not panic"))
        })?;
        Ok(started.elapsed().as_secs_f64() * WORKERS as f64 / calls as f64)
    };
    let clock = Contest::new(clock_name, "a fresh call i64 -> i64, per core", Unit::Seconds, ours)
        .against("wasmtime, one thread", one_thread)
        .better_by(OVER_BARE_LOOP)
        .against("wasmtime, all cores", all_cores)
        .run(world.turns())?;
    let processor = our_time
        .figure(processor_name, PROCESSOR_TIME, Unit::Seconds)?
        .against("wasmtime, one thread", their_time.samples());
    Ok([clock, processor])
}

/// A store and an instance per call, and nothing else.
fn bare_loop(plain: &Plain, export: &str, calls: usize) -> anyhow::Result<()> {
    for number in 0..calls as i64 {
        ensure!(plain.call_fresh(export, number)? == Some(native::cube(number)), "a cube is wrong");
    }
    Ok(())
}

/// Calls that trap, each of which costs its instance and tells a backtrace.
///
/// # Errors
///
/// When one does not.
pub(crate) fn traps(world: &World) -> anyhow::Result<Measured> {
    let calls = world.some(50_000);
    let (_pool, traps) = world.task::<(i64, i64), i64>("traps_on")?;
    let plain = Plain::<()>::compile(&std::fs::read(&world.module)?)?;
    let ours = || {
        let started = Instant::now();
        let outcomes = traps.map_outcomes((0..calls as i64).map(|number| (number, number)))?;
        let seconds = started.elapsed().as_secs_f64();
        let has_trapped = |kind| kind == FailureKind::Trapped;
        let trapped = outcomes.iter().filter(|end| end.as_ref().is_err_and(|end| has_trapped(end.kind())));
        ensure!(trapped.count() == calls, "not every call trapped");
        Ok(calls as f64 / seconds / WORKERS as f64)
    };
    let wasmtime = || {
        let started = Instant::now();
        for number in 0..calls as i64 {
            let returned = plain.call_fresh::<_, i64>("wasmpool:numeric:traps_on", (number, number))?;
            ensure!(returned.is_none(), "a call did not trap");
        }
        Ok(calls as f64 / started.elapsed().as_secs_f64())
    };
    let figure = Contest::new("traps", "calls that all trap, per core", Unit::PerSecond, ours)
        .promised(TRAPS)
        .against("wasmtime, one thread", wasmtime)
        .run(world.turns())?;
    Ok(figure.into())
}
