//! How long one call takes, there and back, and how long it takes to have a pool.

use std::time::Instant;

use anyhow::ensure;

use crate::figure::{Figure, Unit};
use crate::turns::{self, percentile};
use crate::world::{self, World};

const MEDIAN_SECONDS_MAX: f64 = 5e-6;

/// Calls that do not count: the worker has to wake up and to make an instance.
const WARM_UP_CALLS: usize = 1000;

/// `apply`, one call after the other.
///
/// # Errors
///
/// When a call fails or returns something wrong, as in the other benchmarks.
pub(crate) fn round_trip(world: &World) -> anyhow::Result<Vec<Figure>> {
    let calls = world.some(200_000);
    let (_pool, cube) = world.task::<i64, i64>("cube")?;
    let mut seconds = Vec::with_capacity(calls);
    for call in 0..WARM_UP_CALLS + calls {
        let started = Instant::now();
        let cubed = cube.apply(3)?;
        let taken = started.elapsed().as_secs_f64();
        ensure!(cubed == 27, "3 cubed is not {cubed}");
        if call >= WARM_UP_CALLS {
            seconds.push(taken);
        }
    }
    let python = world.python.as_ref().map(|python| python.apply(world.some(20_000))).transpose()?;
    let median =
        Figure::new("apply-median", "apply there and back", Unit::Seconds, percentile(seconds.clone(), 50))
            .against("Python Pool.apply", python.map(|[median, _]| median))
            .promised(MEDIAN_SECONDS_MAX);
    let slowest =
        Figure::new("apply-99%", "the same, 99th percentile", Unit::Seconds, percentile(seconds, 99))
            .against("Python Pool.apply", python.map(|[_, slowest]| slowest));
    Ok(vec![median, slowest])
}

/// From no pool to the first result, the module being in the cache.
///
/// # Errors
///
/// As [`round_trip`].
pub(crate) fn first_result(world: &World) -> anyhow::Result<Vec<Figure>> {
    let mut ours = || {
        let started = Instant::now();
        let pool = world::pool(&world.cache())?;
        let cubed = pool.load(&world.module)?.task::<i64, i64>("cube")?.apply(3)?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!(cubed == 27, "3 cubed is not {cubed}");
        Ok(seconds)
    };
    let [ours] = turns::medians(world.some(50), [&mut ours])?;
    let python = match &world.python {
        Some(python) => Some(turns::medians(world.rounds(), [&mut || python.first_result()])?[0]),
        None => None,
    };
    let figure = Figure::new("first-result", "a pool of 2 workers and its first result", Unit::Seconds, ours);
    Ok(vec![figure.against("Python Pool.apply", python)])
}
