//! Calls that go through the pull loop: values are encoded here, decoded in the guest, and back.

use std::time::Instant;

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use wasmpool::{Pool, Task};

use crate::contest::{Aside, Contest};
use crate::cost::{Meter, PROCESSOR_TIME, Processor};
use crate::measured::Measured;
use crate::native;
use crate::numbers::bound::Bound;
use crate::numbers::curve::amount;
use crate::numbers::unit::Unit;
use crate::world::{WORKERS, World};

/// What a customer wants, as the task `bill` takes it.
#[derive(Clone, Serialize)]
pub(crate) struct Order {
    id: u64,
    customer: String,
    article: String,
    count: u32,
    cents_each: u64,
    express: bool,
}

/// What the customer pays.
#[derive(Deserialize)]
pub(crate) struct Receipt {
    order: u64,
    customer: String,
    text: String,
    cents: u64,
    shipping_cents: u64,
}

/// What an integer to an integer may cost a core.
const NUMBER: Bound = Bound::new(0.15e-6, 0.09e-6);

/// What a structure each way may.
const STRUCTURE: Bound = Bound::new(1.4e-6, 1.0e-6);

/// An integer in and an integer out, through a task that may fail and so is none of mere numbers.
///
/// # Errors
///
/// When a call fails or returns something wrong, as in the other benchmarks.
pub(crate) fn number(world: &World) -> anyhow::Result<Measured> {
    let calls = world.some(2_000_000);
    let (pool, cube) = world.task::<i64, i64>("checked_cube")?;
    let inputs: Vec<i64> = (0..calls as i64).collect();
    let threads = native::threads(WORKERS)?;
    let processor_time = Aside::default();
    let ours = || {
        let meter = Meter::start(Processor::Pool(&pool))?;
        let cubes = cube.map(0..calls as i64)?;
        let cost = meter.stop(calls, &processor_time)?;
        ensure!(
            cubes.len() == calls && cubes.iter().zip(0..).all(|(cube, n)| *cube == n * n * n),
            "a cube is wrong"
        );
        Ok(cost)
    };
    let rayon = || {
        let started = Instant::now();
        let cubes = native::map(&threads, &inputs, |number| number.checked_mul(number * number));
        let cost = started.elapsed().as_secs_f64() * WORKERS as f64 / calls as f64;
        ensure!(cubes.iter().all(Option::is_some), "a cube is missing");
        Ok(cost)
    };
    let what = format!("SDK task i64 -> i64, {} calls, per core", amount(calls as f64));
    let clock = Contest::new("pull-number", what, Unit::Seconds, ours)
        .promised(NUMBER)
        .against("rayon, native", rayon)
        .run(world.turns())?;
    Ok(vec![clock, processor_time.figure("pull-number-cpu", PROCESSOR_TIME, Unit::Seconds)?].into())
}

/// A structure of about a hundred bytes each way.
///
/// # Errors
///
/// As [`number`].
pub(crate) fn structure(world: &World) -> anyhow::Result<Measured> {
    let calls = world.some(300_000);
    let (pool, task) = world.task::<Order, Receipt>("bill")?;
    let orders: Vec<Order> = (0..calls as u64).map(order).collect();
    let threads = native::threads(WORKERS)?;
    let processor_time = Aside::default();
    let ours = || {
        let orders = orders.clone();
        let meter = Meter::start(Processor::Pool(&pool))?;
        let receipts = task.map(orders)?;
        let cost = meter.stop(calls, &processor_time)?;
        check_receipts(&receipts, calls)?;
        Ok(cost)
    };
    let rayon = || {
        let started = Instant::now();
        let receipts = native::map(&threads, &orders, bill);
        let cost = started.elapsed().as_secs_f64() * WORKERS as f64 / calls as f64;
        check_receipts(&receipts, calls)?;
        Ok(cost)
    };
    let what =
        format!("SDK task Order -> Receipt of 100 bytes each, {} calls, per core", amount(calls as f64));
    let clock = Contest::new("pull-bill", what, Unit::Seconds, ours)
        .promised(STRUCTURE)
        .against("rayon, native", rayon)
        .run(world.turns())?;
    Ok(vec![clock, processor_time.figure("pull-bill-cpu", PROCESSOR_TIME, Unit::Seconds)?].into())
}

/// The task `bill`, natively.
fn bill(order: &Order) -> Receipt {
    Receipt {
        order: order.id,
        customer: order.customer.clone(),
        text: format!("{} x {}", order.count, order.article),
        cents: order.cents_each * u64::from(order.count),
        shipping_cents: if order.express { 990 } else { 490 },
    }
}

/// Checks every receipt of the orders from number 0 on.
///
/// # Errors
///
/// When one is wrong or missing.
pub(crate) fn check_receipts(receipts: &[Receipt], count: usize) -> anyhow::Result<()> {
    ensure!(receipts.len() == count, "{} receipts for {count} orders", receipts.len());
    ensure!((0..).zip(receipts).all(|(id, receipt)| receipt.is_of(id)), "a receipt is wrong");
    Ok(())
}

/// The order of this number.
pub(crate) fn order(id: u64) -> Order {
    Order {
        id,
        customer: "Ada Lovelace, 12 St. James's Square".to_owned(),
        article: "wood screws 4 x 40".to_owned(),
        count: 20,
        cents_each: id,
        express: true,
    }
}

impl Receipt {
    fn is_of(&self, id: u64) -> bool {
        let Self { order, cents, shipping_cents, customer, text } = self;
        (*order, *cents, *shipping_cents) == (id, 20 * id, 990)
            && (customer.len(), text.as_str()) == (35, "20 x wood screws 4 x 40")
    }
}

/// Seconds per call and core of greeting so many people.
///
/// # Errors
///
/// When a call fails or greets somebody else.
pub(crate) fn greetings(
    pool: &Pool,
    greet: &Task<String, String>,
    calls: usize,
    processor_time: &Aside,
) -> anyhow::Result<f64> {
    let names: Vec<String> = (0..calls).map(|number| format!("Ada {number}")).collect();
    let meter = Meter::start(Processor::Pool(pool))?;
    let greetings = greet.map(names)?;
    let cost = meter.stop(calls, processor_time)?;
    let is_right = |(number, greeting): (usize, &String)| *greeting == format!("Hello, Ada {number}!");
    ensure!(greetings.len() == calls && greetings.iter().enumerate().all(is_right), "a greeting is wrong");
    Ok(cost)
}
