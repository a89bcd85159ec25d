//! What limits cost, other than fuel: the same plain wasmtime loop without any and with those that a worker has.
//!
//! A pool cannot do without its limits, so its limiter is built here again. All that a worker adds to a call is that
//! limiter, which the engine asks when a memory or table is made or grows; the rest is checked where something is
//! printed, opened or returned, or by the supervisor.

use anyhow::ensure;
use wasmtime::{ResourceLimiter, Store};

use crate::contest::{Aside, Contest};
use crate::cost::{Meter, Processor};
use crate::figure::Figure;
use crate::map::CUBE_EXPORT;
use crate::measured::Measured;
use crate::native;
use crate::numbers::bound::Bound;
use crate::numbers::unit::Unit;
use crate::plain::{Keeper, Plain, Session};
use crate::world::World;

const FRESH_CALLS: usize = 50_000;

const CALLS: usize = 5_000_000;

/// What limits may add to a fresh instance.
const FRESH_SECONDS_MAX: f64 = 0.6e-6;

/// What they may add to a call: less than a tenth of it cannot be told from noise.
const CALL_SECONDS_MAX: f64 = 1e-9;

/// Bytes and elements that an instance has taken.
#[derive(Default)]
struct Limits {
    memory_bytes: u64,
    table_elements: u64,
}

const MEMORY_BYTES_MAX: u64 = 256 << 20;
const TABLE_ELEMENTS_MAX: u64 = 1_000_000;

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.memory_bytes += (desired - current) as u64;
        Ok(self.memory_bytes <= MEMORY_BYTES_MAX)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let elements = (desired - current) as u64;
        self.table_elements += elements;
        self.memory_bytes += elements * 8;
        Ok(self.table_elements <= TABLE_ELEMENTS_MAX && self.memory_bytes <= MEMORY_BYTES_MAX)
    }
}

impl Keeper for Limits {
    fn watch(store: &mut Store<Self>) {
        store.limiter(|limits| limits);
    }
}

/// Calls of instances of their own, and of one that stays, with limits and without, in processor time.
///
/// # Errors
///
/// When a call fails or returns something wrong.
pub(crate) fn cost(world: &World) -> anyhow::Result<Measured> {
    let module = std::fs::read(&world.module)?;
    let (without, with) = (Plain::<()>::compile(&module)?, Plain::<Limits>::compile(&module)?);
    let calls = world.some(FRESH_CALLS);
    let names = ["limits-fresh", "wasmtime's fresh call within limits, processor time"];
    let fresh = beside(
        world,
        names,
        FRESH_SECONDS_MAX,
        |time| fresh(&with, calls, time),
        |time| fresh(&without, calls, time),
    )?;
    let inputs: Vec<i64> = (0..world.some(CALLS) as i64).collect();
    let (mut without, mut with) = (without.session(CUBE_EXPORT)?, with.session(CUBE_EXPORT)?);
    let names = ["limits-call", "wasmtime's call within limits, processor time"];
    let kept = beside(
        world,
        names,
        CALL_SECONDS_MAX,
        |time| kept(&mut with, &inputs, time),
        |time| kept(&mut without, &inputs, time),
    )?;
    Ok(vec![fresh, kept].into())
}

fn fresh<T: Keeper>(plain: &Plain<T>, calls: usize, processor_time: &Aside) -> anyhow::Result<f64> {
    let meter = Meter::start(Processor::Thread)?;
    for number in 0..calls as i64 {
        ensure!(plain.call_fresh(CUBE_EXPORT, number)? == Some(native::cube(number)), "a cube is wrong");
    }
    meter.stop(calls, processor_time)
}

fn kept<T>(session: &mut Session<T>, inputs: &[i64], processor_time: &Aside) -> anyhow::Result<f64> {
    let mut cubes = vec![0; inputs.len()];
    let meter = Meter::start(Processor::Thread)?;
    session.map(inputs, &mut cubes)?;
    let seconds = meter.stop(inputs.len(), processor_time)?;
    ensure!(inputs.iter().zip(&cubes).all(|(input, cube)| native::cube(*input) == *cube), "a cube is wrong");
    Ok(seconds)
}

/// The processor time with limits beside the time without, to which they may add `more`.
fn beside(
    world: &World,
    [name, what]: [&'static str; 2],
    more: f64,
    mut with: impl FnMut(&Aside) -> anyhow::Result<f64>,
    mut without: impl FnMut(&Aside) -> anyhow::Result<f64>,
) -> anyhow::Result<Figure> {
    let (time_with, time_without) = (Aside::default(), Aside::default());
    Contest::new(name, what, Unit::Seconds, || with(&time_with))
        .against("without limits", || without(&time_without))
        .run(world.turns())?;
    let without = time_without.samples().map_err(anyhow::Error::msg)?;
    let bound = Bound::only(without.median() + more);
    Ok(time_with.figure(name, what, Unit::Seconds)?.against("without limits", Ok(without)).promised(bound))
}
