//! With workers, also with many more than there are cores.

use anyhow::ensure;
use wasmpool::Pool;

use super::{add_place, checked, seconds};
use crate::map::check;
use crate::measured::Measured;
use crate::native;
use crate::numbers::curve::Curve;
use crate::numbers::unit::Unit;
use crate::values::{Order, Receipt, check_receipts, order};
use crate::world::World;

/// Calls of a turn: of numbers, of structures, and of tasks that take their time.
const NUMBERS: usize = 2_000_000;
const ORDERS: usize = 50_000;
const TASKS: usize = 2_000;

/// Turns round of a task: about 100 microseconds.
const TURNS: i64 = 50_000;

/// Calls a second with one to sixty-four workers: they must not get in each other's way.
///
/// # Errors
///
/// When there is no pool or no peer; a call that fails is a note of the curve.
pub(crate) fn rate(world: &World) -> anyhow::Result<Measured> {
    let step = if world.is_quick { 2 } else { 1 };
    let mut curve = Curve::new("growth-workers", "Calls a second of a map", "workers", Unit::PerSecond);
    let (numbers, orders, tasks) = (world.some(NUMBERS), world.some(ORDERS), vec![TURNS; world.some(TASKS)]);
    let expected = native::spin(TURNS);
    let all_orders: Vec<Order> = (0..orders as u64).map(order).collect();
    for count in (0..=6).step_by(step).map(|power| 1_usize << power) {
        let pool = Pool::builder().workers(count).cache_dir(world.cache()).build()?;
        let module = pool.load(&world.module)?;
        let (cube, bill) = (module.task::<i64, i64>("cube")?, module.task::<Order, Receipt>("bill")?);
        let spin = module.task::<i64, i64>("spin_for_iterations")?;
        let threads = native::threads(count)?;
        let is_right = |results: Vec<i64>| {
            ensure!(
                results.len() == tasks.len() && results.iter().all(|it| *it == expected),
                "a result is wrong"
            );
            Ok(())
        };
        let mut cubes = || {
            let once = || checked(|| Ok(cube.map(0..numbers as i64)?), |cubes| check(&cubes, numbers));
            Ok(numbers as f64 / seconds(once)?)
        };
        let mut bills = || {
            let once = || {
                let these = all_orders.clone();
                checked(|| Ok(bill.map(these)?), |receipts| check_receipts(&receipts, orders))
            };
            Ok(orders as f64 / seconds(once)?)
        };
        let mut spins = || {
            let once = || checked(|| Ok(spin.map(tasks.iter().copied())?), is_right);
            Ok(tasks.len() as f64 / seconds(once)?)
        };
        let natively = || Ok(native::map(&threads, &tasks, |turns| native::spin(*turns)));
        let mut native_spins = || Ok(tasks.len() as f64 / seconds(|| checked(natively, is_right))?);
        add_place(
            world,
            &mut curve,
            count as f64,
            [
                ("cubes of a range", &mut cubes),
                ("structures", &mut bills),
                ("tasks of 100 us", &mut spins),
                ("the same under rayon", &mut native_spins),
            ],
        );
    }
    Ok(vec![curve].into())
}
