//! Memory of supervisor and workers together, at its peak during a large `map`.
//!
//! It is measured in a process of its own, where nothing else has been: this executable is started again with an
//! argument that nobody types. Shared pages count once: each process's share of them (`Pss`) is added up.

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use wasmpool::Pool;

use crate::arguments::{PEAK_MEMORY, Watched};
use crate::figure::Figure;
use crate::map::{self, CALLS};
use crate::measured::Measured;
use crate::numbers::bound::Bound;
use crate::numbers::samples::Samples;
use crate::numbers::unit::Unit;
use crate::world::{self, World};

/// Pause between two looks.
const LOOK_INTERVAL: Duration = Duration::from_micros(500);

/// Processes of which the hungriest counts: a look may miss a peak.
const PROCESSES: usize = 3;

const MULTIPLE: Bound = Bound::only(2.5);

/// Of a `map` over a range: eighty megabytes of results.
///
/// # Errors
///
/// When the `map` or the process that measures it fails.
pub(crate) fn from_range(world: &World) -> anyhow::Result<Measured> {
    let what = "peak over size of results, 10 M of a range, the most of 3";
    measure(world, "memory-range", what, Kind::Range, CALLS * 8)
}

/// Of a `map` over a vector: as much again of inputs.
///
/// # Errors
///
/// As [`from_range`].
pub(crate) fn from_vec(world: &World) -> anyhow::Result<Measured> {
    let what = "peak over size of inputs and results, 10 M of a Vec, the most of 3";
    measure(world, "memory-vec", what, Kind::Vec, 2 * CALLS * 8)
}

/// What is mapped over.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Range,
    Vec,
}

fn measure(
    world: &World,
    name: &'static str,
    what: &'static str,
    kind: Kind,
    own_bytes: usize,
) -> anyhow::Result<Measured> {
    let peaks = (0..PROCESSES).map(|_| Ok(peak(world, kind, CALLS)? / own_bytes as f64));
    let peaks = peaks.collect::<anyhow::Result<Vec<f64>>>()?;
    let most = Samples::new(peaks).map(|peaks| peaks.most());
    let most = most.and_then(|most| Samples::new(vec![most])).context("no memory was measured")?;
    Ok(Figure::new(name, what, Unit::Multiple, most).promised(MULTIPLE).into())
}

/// The peak of memory in bytes, in a process of its own.
///
/// # Errors
///
/// When that fails.
pub(crate) fn peak(world: &World, kind: Kind, calls: usize) -> anyhow::Result<f64> {
    let kind = match kind {
        Kind::Range => "range",
        Kind::Vec => "vec",
    };
    let mut process = Command::new(std::env::current_exe()?);
    process.args([PEAK_MEMORY, kind, &calls.to_string()]).arg(&world.module).arg(world.cache());
    let output = process.output()?;
    ensure!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Runs one `map` in this process, and prints the peak of memory in bytes.
///
/// # Errors
///
/// When the `map` fails, or memory cannot be measured.
pub(crate) fn measure_here(watched: &Watched) -> anyhow::Result<()> {
    let pool = world::pool(&watched.cache)?;
    let cube = pool.load(&watched.module)?.task::<i64, i64>("cube")?;
    let is_over = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let peak = scope.spawn(|| peak_bytes(&pool, &is_over));
        let cubes = match watched.is_vec {
            true => cube.map((0..watched.calls as i64).collect::<Vec<_>>()),
            false => cube.map(0..watched.calls as i64),
        };
        // Relaxed: the looks are taken whenever they are.
        is_over.store(true, Ordering::Relaxed);
        map::check(&cubes?, watched.calls)?;
        peak.join().expect("looking at memory does not panic")
    })?;
    writeln!(std::io::stdout(), "{most}")?;
    Ok(())
}

fn peak_bytes(pool: &Pool, is_over: &AtomicBool) -> anyhow::Result<u64> {
    let mut most = 0;
    loop {
        let is_last = is_over.load(Ordering::Relaxed);
        let workers = pool.worker_pids().into_iter().map(|pid| bytes_of(&pid.to_string()));
        let workers = workers.sum::<anyhow::Result<u64>>()?;
        most = most.max(workers + bytes_of("self")?);
        if is_last {
            return Ok(most);
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Bytes of a process, of shared pages its share.
fn bytes_of(process: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
    let kibibytes: u64 = kibibytes.with_context(|| format!("{path} tells no Pss"))?.parse()?;
    Ok(kibibytes << 10)
}
