//! What limits cost, other than fuel: the same plain wasmtime loop without any and with those that a worker has.
//!
//! A pool cannot do without its limits, so its limiter is built here again. All that a worker adds to a call is that
//! limiter, which the engine asks when a memory or table is made or grows; the rest is checked where something is
//! printed, opened or returned, or by the supervisor.

use anyhow::ensure;
use wasmtime::{ResourceLimiter, Store};

use crate::cost::{Meter, Processor, ProcessorTimes};
use crate::figure::{Figure, Unit};
use crate::map::{CUBE_EXPORT, cubed};
use crate::plain::{Keeper, Plain, Session};
use crate::turns;
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
pub(crate) fn cost(world: &World) -> anyhow::Result<Vec<Figure>> {
    let module = std::fs::read(&world.module)?;
    let (without, with) = (Plain::<()>::compile(&module)?, Plain::<Limits>::compile(&module)?);
    let calls = world.some(FRESH_CALLS);
    let (mut without_times, mut with_times) = (ProcessorTimes::default(), ProcessorTimes::default());
    let mut fresh_without = || fresh(&without, calls, &mut without_times);
    let mut fresh_with = || fresh(&with, calls, &mut with_times);
    turns::medians(world.rounds(), [&mut fresh_without, &mut fresh_with])?;
    let names = ["limits-fresh", "wasmtime's fresh call within limits, processor time"];
    let fresh = beside(names, &with_times, &without_times, FRESH_SECONDS_MAX);

    let inputs: Vec<i64> = (0..world.some(CALLS) as i64).collect();
    let (mut without, mut with) = (without.session(CUBE_EXPORT)?, with.session(CUBE_EXPORT)?);
    let (mut without_times, mut with_times) = (ProcessorTimes::default(), ProcessorTimes::default());
    let mut kept_without = || kept(&mut without, &inputs, &mut without_times);
    let mut kept_with = || kept(&mut with, &inputs, &mut with_times);
    turns::medians(world.rounds(), [&mut kept_without, &mut kept_with])?;
    let names = ["limits-call", "wasmtime's call within limits, processor time"];
    let kept = beside(names, &with_times, &without_times, CALL_SECONDS_MAX);
    Ok(vec![fresh, kept])
}

fn fresh<T: Keeper>(plain: &Plain<T>, calls: usize, times: &mut ProcessorTimes) -> anyhow::Result<f64> {
    let meter = Meter::start(Processor::Thread)?;
    for number in 0..calls as i64 {
        ensure!(plain.call_fresh(CUBE_EXPORT, number)? == Some(cubed(number)), "a cube is wrong");
    }
    meter.stop(calls, times)
}

fn kept<T>(session: &mut Session<T>, inputs: &[i64], times: &mut ProcessorTimes) -> anyhow::Result<f64> {
    let mut cubes = vec![0; inputs.len()];
    let meter = Meter::start(Processor::Thread)?;
    session.cubes(inputs, &mut cubes)?;
    let seconds = meter.stop(inputs.len(), times)?;
    ensure!(inputs.iter().zip(&cubes).all(|(input, cube)| cubed(*input) == *cube), "a cube is wrong");
    Ok(seconds)
}

/// The time with limits beside the time without, to which they may add `more`.
fn beside(
    [name, what]: [&'static str; 2],
    with: &ProcessorTimes,
    without: &ProcessorTimes,
    more: f64,
) -> Figure {
    let (with, without) = (with.median(), without.median());
    Figure::new(name, what, Unit::Seconds, with).against("without limits", without).promised(without + more)
}
