//! Calls that go through the pull loop: values are encoded here, decoded in the guest, and back.

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use wasmpool::{Pool, Task};

use crate::cost::{Meter, Processor, ProcessorTimes};
use crate::figure::{Figure, Unit};
use crate::turns;
use crate::world::World;

/// What a customer wants, as the task `bill` takes it.
#[derive(Clone, Serialize)]
struct Order {
    id: u64,
    customer: String,
    article: String,
    count: u32,
    cents_each: u64,
    express: bool,
}

/// What the customer pays.
#[derive(Deserialize)]
struct Receipt {
    order: u64,
    customer: String,
    text: String,
    cents: u64,
    shipping_cents: u64,
}

/// Integers in and out, through a task that may fail and so is none of mere numbers.
///
/// # Errors
///
/// When a call fails or returns something wrong, as in the other benchmarks.
pub(crate) fn number(world: &World) -> anyhow::Result<Vec<Figure>> {
    let calls = world.some(2_000_000);
    let (pool, task) = world.task::<(i64, i64), i64>("fails_on")?;
    let mut times = ProcessorTimes::default();
    let mut ours = || {
        let meter = Meter::start(Processor::Pool(&pool))?;
        let numbers = task.map((0..calls as i64).map(|number| (number, -1)))?;
        let cost = meter.stop(calls, &mut times)?;
        ensure!((0..calls as i64).eq(numbers), "a number came back as another");
        Ok(cost)
    };
    let [ours] = turns::medians(world.rounds(), [&mut ours])?;
    let what = "a call (i64, i64) -> Result<i64, _>, per core";
    let clock = Figure::new("pull-number", what, Unit::Seconds, ours);
    Ok(vec![clock, times.figure("pull-number-cpu")])
}

/// A structure of about a hundred bytes each way.
///
/// # Errors
///
/// As [`number`].
pub(crate) fn structure(world: &World) -> anyhow::Result<Vec<Figure>> {
    let calls = world.some(300_000);
    let (pool, bill) = world.task::<Order, Receipt>("bill")?;
    let orders: Vec<Order> = (0..calls as u64).map(order).collect();
    let mut times = ProcessorTimes::default();
    let mut ours = || {
        let orders = orders.clone();
        let meter = Meter::start(Processor::Pool(&pool))?;
        let receipts = bill.map(orders)?;
        let cost = meter.stop(calls, &mut times)?;
        ensure!((0..).zip(&receipts).all(|(id, receipt)| receipt.is_of(id)), "a receipt is wrong");
        Ok(cost)
    };
    let [ours] = turns::medians(world.rounds(), [&mut ours])?;
    let what = "a call Order -> Receipt of 100 bytes each, per core";
    let clock = Figure::new("pull-bill", what, Unit::Seconds, ours);
    Ok(vec![clock, times.figure("pull-bill-cpu")])
}

fn order(id: u64) -> Order {
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
    times: &mut ProcessorTimes,
) -> anyhow::Result<f64> {
    let names: Vec<String> = (0..calls).map(|number| format!("Ada {number}")).collect();
    let meter = Meter::start(Processor::Pool(pool))?;
    let greetings = greet.map(names)?;
    let cost = meter.stop(calls, times)?;
    let is_right = |(number, greeting): (usize, &String)| *greeting == format!("Hello, Ada {number}!");
    ensure!(greetings.len() == calls && greetings.iter().enumerate().all(is_right), "a greeting is wrong");
    Ok(cost)
}
