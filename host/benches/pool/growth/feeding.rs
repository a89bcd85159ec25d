//! With threads that feed one pool: what is serial in the supervisor shows here.

use std::thread;

use anyhow::ensure;

use super::{add_place, seconds};
use crate::map::check;
use crate::measured::Measured;
use crate::native::{self, Cubers};
use crate::numbers::curve::Curve;
use crate::numbers::unit::Unit;
use crate::values::{Order, Receipt, check_receipts, order};
use crate::world::{WORKERS, World};

const THREADS: [usize; 4] = [1, 2, 4, 8];

/// Calls of a turn, of all threads together.
const NUMBERS: usize = 4_000_000;
const INTEGERS: usize = 800_000;
const ORDERS: usize = 100_000;
const ROUND_TRIPS: usize = 40_000;

/// Calls a second of `map`s that so many threads make at the same time, each over its share.
///
/// # Errors
///
/// When there is no pool; a call that fails is a note of the curve.
pub(crate) fn rate(world: &World) -> anyhow::Result<Measured> {
    let (pool, cube) = world.task::<i64, i64>("cube")?;
    let module = pool.load(&world.module)?;
    let (checked, bill) = (module.task::<i64, i64>("checked_cube")?, module.task::<Order, Receipt>("bill")?);
    let title = "Calls a second of maps that so many threads make at once, all together";
    let mut curve = Curve::new("growth-feeding", title, "feeding threads", Unit::PerSecond);
    let [numbers, integers, orders] = [NUMBERS, INTEGERS, ORDERS].map(|calls| world.some(calls));
    let vec: Vec<i64> = (0..numbers as i64).collect();
    let all_orders: Vec<Order> = (0..orders as u64).map(order).collect();
    for count in THREADS {
        let share = |calls: usize| calls / count;
        let mut cubes =
            || in_threads(count, share(numbers), |calls| check(&cube.map(vec[..calls].to_vec())?, calls));
        let mut checked_cubes =
            || in_threads(count, share(integers), |calls| check(&checked.map(0..calls as i64)?, calls));
        let mut bills = || {
            in_threads(count, share(orders), |calls| {
                check_receipts(&bill.map(all_orders[..calls].to_vec())?, calls)
            })
        };
        add_place(
            world,
            &mut curve,
            count as f64,
            [
                ("numbers of a Vec", &mut cubes),
                ("SDK task i64 -> i64", &mut checked_cubes),
                ("structures of 100 bytes", &mut bills),
            ],
        );
    }
    Ok(vec![curve].into())
}

/// Round trips a second that so many threads make at the same time, each one after the other.
///
/// # Errors
///
/// As [`rate`].
pub(crate) fn apply(world: &World) -> anyhow::Result<Measured> {
    let (_pool, cube) = world.task::<i64, i64>("cube")?;
    let title = "Round trips a second that so many threads make at once, all together";
    let mut curve = Curve::new("growth-apply", title, "feeding threads", Unit::PerSecond);
    let calls = world.some(ROUND_TRIPS);
    let cubers = Cubers::new(WORKERS);
    for count in THREADS {
        let every = |one: &dyn Fn(i64) -> anyhow::Result<i64>, calls: usize| {
            (0..calls as i64).try_for_each(|number| {
                let cubed = one(number)?;
                ensure!(cubed == native::cube(number), "{number} cubed is not {cubed}");
                Ok(())
            })
        };
        let mut ours =
            || in_threads(count, calls / count, |calls| every(&|number| Ok(cube.apply(number)?), calls));
        let mut channel = || {
            in_threads(count, calls / count, |calls| {
                let asker = cubers.asker();
                every(&|number| asker.cube(number), calls)
            })
        };
        add_place(
            world,
            &mut curve,
            count as f64,
            [("wasmpool, apply", &mut ours), ("crossbeam-channel, 2 threads", &mut channel)],
        );
    }
    Ok(vec![curve].into())
}

/// Calls a second, of threads that each make so many.
fn in_threads(
    threads: usize,
    calls: usize,
    make: impl Fn(usize) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<f64> {
    let make = &make;
    let seconds = seconds(|| {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(move || make(calls))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("feeding does not panic"))
        })
    })?;
    Ok((threads * calls) as f64 / seconds)
}
