//! A call that never ends: how soon after its limit it is stopped, and how soon the pool is at full strength again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use wasmpool::FailureKind;

use crate::contest::{Aside, Contest};
use crate::measured::Measured;
use crate::numbers::bound::Bound;
use crate::numbers::unit::Unit;
use crate::world::{self, WORKERS, World};

const LIMIT: Duration = Duration::from_millis(50);

/// After the limit.
const STOPPED: Bound = Bound::only(10e-3);

/// After the outcome.
const RESTORED: Bound = Bound::only(20e-3);

/// Deaths of a turn, of which the median counts.
const DEATHS: usize = 5;

/// A call is stopped at its limit; then calls that need all workers at once, because they wait for each other.
///
/// # Errors
///
/// When the call is not stopped, or the others fail.
pub(crate) fn stopped(world: &World) -> anyhow::Result<Measured> {
    let pool = world::pool(&world.cache())?;
    let barrier = pool.barrier("barrier", u32::try_from(WORKERS)?)?;
    let module = pool.load(&world.module)?.grant(&barrier);
    let spins = module.task::<(), ()>("spins")?.timeout(LIMIT);
    let meet = module.task::<(), usize>("wait_at_barrier")?;
    let everybody = || {
        let mut places = meet.map(vec![(); WORKERS])?;
        places.sort_unstable();
        ensure!(places.into_iter().eq(0..WORKERS), "the workers did not meet");
        anyhow::Ok(())
    };
    let restored = Aside::default();
    let ours = || {
        let (mut lateness, mut recovery) = (Vec::new(), Vec::new());
        for _ in 0..DEATHS {
            everybody()?;
            let started = Instant::now();
            let outcomes = spins.map_outcomes([()])?;
            let ended = Instant::now();
            match outcomes.first().context("the call has no outcome")? {
                Err(failure) if failure.kind() == FailureKind::TimedOut => {}
                other => bail!("a call that never ends came to {other:?}"),
            }
            everybody()?;
            lateness.push((ended - started).saturating_sub(LIMIT).as_secs_f64());
            recovery.push(ended.elapsed().as_secs_f64());
        }
        restored.note(median(recovery)?);
        median(lateness)
    };
    let what = "a call that spins, from its limit of 50 ms to its outcome";
    let stopped =
        Contest::new("runaway-stopped", what, Unit::Seconds, ours).promised(STOPPED).run(world.turns())?;
    let what = "from there until calls that need all workers at once are done";
    let restored = restored.figure("runaway-restored", what, Unit::Seconds)?.promised(RESTORED);
    Ok(vec![stopped, restored].into())
}

fn median(values: Vec<f64>) -> anyhow::Result<f64> {
    Ok(crate::numbers::samples::Samples::new(values).context("nothing was measured")?.median())
}
