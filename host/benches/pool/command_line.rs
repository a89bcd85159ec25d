//! The command line: whole processes, for a handful of calls and for millions of result lines.

use std::fmt::Write as _;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::contest::Contest;
use crate::map::CALLS;
use crate::measured::Measured;
use crate::native;
use crate::numbers::bound::Bound;
use crate::numbers::curve::amount;
use crate::numbers::unit::Unit;
use crate::world::{BINARY, WORKERS, World};

/// A small `map`, from the process's start to its end.
const SMALL_MAP: Bound = Bound::new(15e-3, 8e-3);

/// Lines a second to nowhere.
const LINES_TO_NULL: Bound = Bound::new(10e6, 25e6);

/// Lines a second through a pipe, to a reader that only keeps them.
const LINES_TO_PIPE: Bound = Bound::new(8e6, 15e6);

const SMALL_CALLS: usize = 10;

/// `wasmpool map tasks.wasm cube 0..10`, from its start to its end, the module being in the cache.
///
/// # Errors
///
/// When it fails or prints something else than cubes, as in the other benchmarks.
pub(crate) fn small_map(world: &World) -> anyhow::Result<Measured> {
    let expected = lines(SMALL_CALLS, native::cube);
    let mut text = Vec::new();
    let ours = || {
        text.clear();
        let seconds = piped(world, SMALL_CALLS, &mut text)?;
        ensure!(text == expected, "printed {}", String::from_utf8_lossy(&text));
        Ok(seconds)
    };
    let what = "wasmpool map of 10 cubes, whole process, module cached";
    let figure = Contest::new("command-line", what, Unit::Seconds, ours)
        .promised(SMALL_MAP)
        .against_python("Python Pool.map", world, |python| python.process(&["small"]))
        .run(world.some(50))?;
    Ok(figure.into())
}

/// Millions of result lines that nobody reads; [`lines_to_pipe`] checks the same command's.
///
/// # Errors
///
/// As [`small_map`].
pub(crate) fn lines_to_null(world: &World) -> anyhow::Result<Measured> {
    let ours = || {
        let started = Instant::now();
        let status = command(world, CALLS).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "wasmpool {status}");
        Ok(CALLS as f64 / started.elapsed().as_secs_f64())
    };
    let calls = world.some(CALLS);
    let figure = Contest::new("lines-null", "wasmpool map of 10 M cubes to /dev/null", Unit::PerSecond, ours)
        .promised(LINES_TO_NULL)
        .against_python(python_name(world), world, |python| {
            Ok(calls as f64 / python.process(&["lines", &calls.to_string()])?)
        })
        .run(world.turns())?;
    Ok(figure.into())
}

/// Millions of result lines through a pipe, all of them checked when the time is taken.
///
/// # Errors
///
/// As [`small_map`].
pub(crate) fn lines_to_pipe(world: &World) -> anyhow::Result<Measured> {
    let expected = lines(CALLS, native::cube);
    // Page by page of it exists after the turn that does not count.
    let mut text = Vec::with_capacity(expected.len() + 1);
    let ours = || {
        text.clear();
        let seconds = piped(world, CALLS, &mut text)?;
        ensure!(text == expected, "{} bytes came, and not the {} expected", text.len(), expected.len());
        Ok(CALLS as f64 / seconds)
    };
    let calls = world.some(CALLS);
    let pythons = lines(calls, |number| i128::from(number).pow(3));
    let mut python_text = Vec::with_capacity(pythons.len() + 1);
    let figure =
        Contest::new("lines-pipe", "wasmpool map of 10 M cubes through a pipe", Unit::PerSecond, ours)
            .promised(LINES_TO_PIPE);
    let figure = match &world.python {
        Ok(python) => figure.against(python_name(world), || {
            python_text.clear();
            let seconds = python.process_piped(&["lines", &calls.to_string()], &mut python_text)?;
            ensure!(python_text == pythons, "Python printed something else");
            Ok(calls as f64 / seconds)
        }),
        Err(_) => figure.against_python(python_name(world), world, |_| unreachable!("there is no Python")),
    };
    Ok(figure.run(world.turns())?.into())
}

fn python_name(world: &World) -> &'static str {
    if world.is_quick { "Python Pool.imap, 1 M" } else { "Python Pool.imap" }
}

/// Seconds from the command's start to its end; what it prints comes behind what is in `text` already.
fn piped(world: &World, calls: usize, text: &mut Vec<u8>) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut child = command(world, calls).stdout(Stdio::piped()).spawn()?;
    child.stdout.take().context("the command has no pipe")?.read_to_end(text)?;
    let status = child.wait()?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(status.success(), "wasmpool map of {} cubes {status}", amount(calls as f64));
    Ok(seconds)
}

fn command(world: &World, calls: usize) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("map").arg(&world.module).args(["cube", &format!("0..{calls}")]);
    command.args(["--workers", &WORKERS.to_string()]).env("XDG_CACHE_HOME", world.cache_home());
    command
}

/// Lines of all results of the first so many integers.
fn lines<R: std::fmt::Display>(calls: usize, of: impl Fn(i64) -> R) -> Vec<u8> {
    let mut text = String::new();
    for number in 0..calls as i64 {
        let _ = writeln!(text, "{}", of(number));
    }
    text.into_bytes()
}
