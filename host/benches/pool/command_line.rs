//! The command line: a whole process for a handful of calls.

use std::process::Command;
use std::time::Instant;

use anyhow::ensure;

use crate::figure::{Figure, Unit};
use crate::turns;
use crate::world::{BINARY, WORKERS, World};

const SECONDS_MAX: f64 = 25e-3;

const CUBES: &str = "0\n1\n8\n27\n64\n125\n216\n343\n512\n729\n";

/// `wasmpool map tasks.wasm cube 0..10`, from its start to its end, the module being in the cache.
///
/// # Errors
///
/// When it fails or prints something else than cubes.
pub(crate) fn small_map(world: &World) -> anyhow::Result<Vec<Figure>> {
    let mut ours = || run(world);
    let [ours] = turns::medians(world.some(50), [&mut ours])?;
    let python = match &world.python {
        Some(python) => Some(turns::medians(world.rounds(), [&mut || python.small_map()])?[0]),
        None => None,
    };
    let figure = Figure::new("command-line", "wasmpool map of 10 cubes, whole process", Unit::Seconds, ours)
        .against("Python Pool.map", python)
        .promised(SECONDS_MAX);
    Ok(vec![figure])
}

fn run(world: &World) -> anyhow::Result<f64> {
    let mut command = Command::new(BINARY);
    command.arg("map").arg(&world.module).args(["cube", "0..10", "--workers", &WORKERS.to_string()]);
    command.env("XDG_CACHE_HOME", world.cache_home());
    let started = Instant::now();
    let output = command.output()?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.stdout == CUBES.as_bytes(), "printed {}", String::from_utf8_lossy(&output.stdout));
    Ok(seconds)
}
