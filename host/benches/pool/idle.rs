//! What a pool costs that has nothing to do.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use wasmpool::Pool;

use crate::contest::{Aside, Contest};
use crate::cost::{other_threads_seconds, workers_seconds};
use crate::measured::Measured;
use crate::numbers::bound::Bound;
use crate::numbers::unit::Unit;
use crate::world::World;

/// Processor time per second.
const PROCESSOR: Bound = Bound::only(0.0);

/// Private memory of a worker.
const MEMORY: Bound = Bound::new(4e6, 2.5e6);

/// How long nobody does anything, and how long before that everybody may fall asleep.
const WATCHED: Duration = Duration::from_secs(1);
const WATCHED_QUICK: Duration = Duration::from_millis(400);
const SETTLED: Duration = Duration::from_millis(200);

/// Calls before that, so that instances are there.
const CALLS: i64 = 10_000;

/// Processor time of a pool at rest, supervisor and workers, and private memory of its workers.
///
/// # Errors
///
/// When a call fails or returns something wrong, or the system does not tell.
pub(crate) fn cost(world: &World) -> anyhow::Result<Measured> {
    let (pool, cube) = world.task::<i64, i64>("cube")?;
    let watched = if world.is_quick { WATCHED_QUICK } else { WATCHED };
    let (our_memory, their_memory) = (Aside::default(), Aside::default());
    let ours = || {
        ensure!(cube.map(0..CALLS)?.len() == CALLS as usize, "a cube is missing");
        thread::sleep(SETTLED);
        let (before, started) = (seconds(&pool)?, Instant::now());
        thread::sleep(watched);
        let taken = (seconds(&pool)? - before) / started.elapsed().as_secs_f64();
        our_memory.note(private_bytes(&pool)?);
        Ok(taken)
    };
    const PEER: &str = "Python Pool";
    let processor =
        Contest::new("idle-cpu", "processor time of a pool at rest, per second", Unit::Seconds, ours)
            .promised(PROCESSOR)
            .against_python(PEER, world, |python| {
                let [processor, memory] = python.figures(&["idle", &watched.as_millis().to_string()])?;
                their_memory.note(memory);
                Ok(processor)
            })
            .run(world.turns())?;
    let theirs = world.python.as_ref().map_err(Clone::clone).and_then(|_| their_memory.samples());
    let memory = our_memory
        .figure("idle-memory", "private memory per worker, after 10 k calls of an SDK module", Unit::Bytes)?
        .promised(MEMORY)
        .against(PEER, theirs);
    Ok(vec![processor, memory].into())
}

fn seconds(pool: &Pool) -> anyhow::Result<f64> {
    Ok(workers_seconds(pool)? + other_threads_seconds()?)
}

/// Bytes that only one worker has, on average.
fn private_bytes(pool: &Pool) -> anyhow::Result<f64> {
    let workers = pool.worker_pids();
    let bytes = workers.iter().map(|pid| private_bytes_of(*pid)).sum::<anyhow::Result<u64>>()?;
    Ok(bytes as f64 / workers.len() as f64)
}

fn private_bytes_of(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    let kibibytes = private.map(|line| line.split_whitespace().nth(1).unwrap_or_default().parse::<u64>());
    Ok(kibibytes.sum::<Result<u64, _>>()? << 10)
}
