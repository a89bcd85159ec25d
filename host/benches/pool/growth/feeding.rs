//! With threads that feed one pool: what is serial in the supervisor shows here.

use std::thread;

use super::{add_place, checked, seconds};
use crate::map::check;
use crate::measured::Measured;
use crate::native::Cubers;
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
    let (checked_cube, bill) =
        (module.task::<i64, i64>("checked_cube")?, module.task::<Order, Receipt>("bill")?);
    let title = "Calls a second of maps that so many threads make at once, all together";
    let mut curve = Curve::new("growth-feeding", title, "feeding threads", Unit::PerSecond);
    let [numbers, integers, orders] = [NUMBERS, INTEGERS, ORDERS].map(|calls| world.some(calls));
    let vec: Vec<i64> = (0..numbers as i64).collect();
    let all_orders: Vec<Order> = (0..orders as u64).map(order).collect();
    for count in THREADS {
        let [numbers, integers, orders] = [numbers, integers, orders].map(|calls| calls / count);
        let mut cubes = || {
            let map = || Ok(cube.map(vec[..numbers].to_vec())?);
            in_threads(count, numbers, map, |cubes| check(&cubes, numbers))
        };
        let mut checked_cubes = || {
            let map = || Ok(checked_cube.map(0..integers as i64)?);
            in_threads(count, integers, map, |cubes| check(&cubes, integers))
        };
        let mut bills = || {
            let map = || Ok(bill.map(all_orders[..orders].to_vec())?);
            in_threads(count, orders, map, |receipts| check_receipts(&receipts, orders))
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
        let calls = calls / count;
        let every = |one: &dyn Fn(i64) -> anyhow::Result<i64>| {
            (0..calls as i64).map(one).collect::<anyhow::Result<Vec<i64>>>()
        };
        let is_right = |cubes: Vec<i64>| check(&cubes, calls);
        let mut ours = || in_threads(count, calls, || every(&|number| Ok(cube.apply(number)?)), is_right);
        let mut channel = || {
            let ask = || {
                let asker = cubers.asker();
                every(&|number| asker.cube(number))
            };
            in_threads(count, calls, ask, is_right)
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

/// Calls a second, of threads that each make so many; what came of them is checked when the time is taken.
fn in_threads<T: Send>(
    threads: usize,
    calls: usize,
    make: impl Fn() -> anyhow::Result<T> + Sync,
    check: impl Fn(T) -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let all = || {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(&make)).collect();
            let results = threads.into_iter().map(|thread| thread.join().expect("feeding does not panic"));
            results.collect::<anyhow::Result<Vec<T>>>()
        })
    };
    let seconds = seconds(|| checked(all, |results| results.into_iter().try_for_each(&check)))?;
    Ok((threads * calls) as f64 / seconds)
}
