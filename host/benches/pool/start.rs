//! Beginnings: a pool, a module that nobody has seen before, and the jail.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use wasmpool::Pool;

use crate::contest::Contest;
use crate::map::CUBE_EXPORT;
use crate::measured::Measured;
use crate::numbers::bound::Bound;
use crate::numbers::unit::Unit;
use crate::plain::Plain;
use crate::world::{self, BINARY, WORKERS, World};

/// A pool and its first result.
const FIRST_RESULT: Bound = Bound::new(6e-3, 4e-3);

/// A module of 100 kB for the first time.
const FIRST_COMPILE: Bound = Bound::new(180e-3, 110e-3);

/// A worker's way into the jail.
const CONFINEMENT: Bound = Bound::only(0.6e-3);

/// From no pool to the first result, the module being in the cache.
///
/// # Errors
///
/// When a call fails or returns something wrong, as in the other benchmarks.
pub(crate) fn first_result(world: &World) -> anyhow::Result<Measured> {
    let ours = || {
        let started = Instant::now();
        let pool = world::pool(&world.cache())?;
        let cubed = pool.load(&world.module)?.task::<i64, i64>("cube")?.apply(3)?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!(cubed == 27, "3 cubed is not {cubed}");
        Ok(seconds)
    };
    let what = "a pool of 2 workers and its first result, module cached";
    let figure = Contest::new("first-result", what, Unit::Seconds, ours)
        .promised(FIRST_RESULT)
        .against_python("Python Pool.apply", world, |python| {
            let [seconds] = python.figures(&["first"])?;
            Ok(seconds)
        })
        .run(world.some(50))?;
    Ok(figure.into())
}

/// From a module that is not in the cache to its first result, in a pool whose workers are there: the compiler is a
/// process in a jail. The peer compiles in its own process, with as many threads as there are cores.
///
/// # Errors
///
/// As [`first_result`].
pub(crate) fn first_compile(world: &World) -> anyhow::Result<Measured> {
    let module = small_module(world)?;
    let bytes = fs::read(&module)?;
    let pool = Pool::builder().workers(WORKERS).no_cache().build()?;
    let ours = || {
        let started = Instant::now();
        let cubed = pool.load(&module)?.task::<i64, i64>("cube")?.apply(3)?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!(cubed == 27, "3 cubed is not {cubed}");
        Ok(seconds)
    };
    let wasmtime = || {
        let started = Instant::now();
        let cubed = Plain::<()>::compile(&bytes)?.call_fresh::<_, i64>(CUBE_EXPORT, 3_i64)?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!(cubed == Some(27), "3 cubed is not {cubed:?}");
        Ok(seconds)
    };
    let what =
        format!("an SDK module of {}, its first result, not cached", Unit::Bytes.show(bytes.len() as f64));
    let figure = Contest::new("first-compile", what, Unit::Seconds, ours)
        .promised(FIRST_COMPILE)
        .against("wasmtime, in this process", wasmtime)
        .run(world.turns())?;
    Ok(figure.into())
}

/// A package with two tasks, as somebody's first one, without the names of its functions.
fn small_module(world: &World) -> anyhow::Result<PathBuf> {
    let package = world.directory("first-tasks")?;
    let guest = world::package("guest");
    let manifest = format!(
        "[package]\nname = \"first-tasks\"\nedition = \"2024\"\n[dependencies]\nwasmpool-guest = {{ path = {guest:?} }}\n\
         [profile.wasmpool]\ninherits = \"release\"\nstrip = true\n[workspace]\n"
    );
    fs::write(package.join("Cargo.toml"), manifest)?;
    // The same versions of everything.
    fs::copy(guest.with_file_name("Cargo.lock"), package.join("Cargo.lock"))?;
    fs::create_dir_all(package.join("src"))?;
    fs::write(package.join("src/lib.rs"), FIRST_TASKS)?;
    world::build(&package, "first_tasks")
}

const FIRST_TASKS: &str = r#"
use wasmpool_guest::task;

#[task]
pub fn cube(number: i64) -> i64 {
    number * number * number
}

#[task]
pub fn greet(name: &str) -> String {
    format!("Hello, {name}!")
}
"#;

/// How long a process needs to confine itself, as it tells itself.
///
/// # Errors
///
/// When `wasmpool doctor` tells nothing.
pub(crate) fn confinement(world: &World) -> anyhow::Result<Measured> {
    let ours = || {
        let output = Command::new(BINARY).args(["doctor", "--json"]).output()?;
        let report: Value = serde_json::from_slice(&output.stdout).context("doctor tells no JSON")?;
        let microseconds = report["confinement_us"].as_f64().context("doctor tells no time")?;
        Ok(microseconds / 1e6)
    };
    let figure = Contest::new("confinement", "a worker's way into the jail", Unit::Seconds, ours)
        .promised(CONFINEMENT);
    Ok(figure.run(world.some(50))?.into())
}
