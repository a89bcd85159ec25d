//! How fast the pool is, against its peers in the same run: plain wasmtime loops, the same functions natively under
//! `rayon`, `crossbeam-channel`, and Python's `multiprocessing` and `concurrent.futures`.
//!
//! ```text
//! cargo bench                                 everything, as a table
//! cargo bench -- --quick map apply            fewer calls and turns; only benchmarks named like these
//! cargo bench -- --json FILE --plots DIR      the same for programs, and the curves as pictures
//! ```
//!
//! [`benchmarks`] lists what there is, a file per subject measures it in a [`contest`], [`figure`] is what comes of it
//! and [`table`] and [`json`] show that. [`growth`] has the curves. [`numbers`] reckons and draws. [`world`] holds what
//! all of them need; [`plain`], [`native`] and [`python`] are the peers. `benches/README.md` says how each figure is
//! measured and what one run gave.

mod apply;
mod apply_async;
mod arguments;
mod balance;
mod benchmarks;
mod bytes;
mod command_line;
mod conditions;
mod contest;
mod cost;
mod figure;
mod fresh;
mod growth;
mod idle;
mod json;
mod limits;
mod map;
mod measured;
mod memory;
mod native;
mod numbers;
mod plain;
mod python;
mod runaway;
mod shared;
mod short_tasks;
mod speedup;
mod start;
mod table;
mod values;
mod world;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use arguments::{Arguments, Mode};
use benchmarks::{BENCHMARKS, Benchmark};
use conditions::Conditions;
use measured::Measured;
use numbers::plot;
use world::World;

fn main() -> anyhow::Result<()> {
    // The pools' workers are this executable, too; they do not come back from here.
    wasmpool::init();
    match arguments::parse(std::env::args().skip(1))? {
        Mode::Nothing => Ok(()),
        Mode::PeakMemory(watched) => memory::measure_here(&watched),
        Mode::Run(arguments) => run(&arguments),
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let chosen = arguments.choose(&BENCHMARKS)?;
    let world = World::new(arguments.is_quick)?;
    let mut conditions = Conditions::now(&world);
    let measured = measure(&chosen, &world);
    conditions.note_end();
    let json = json::text(&measured, &conditions)?;
    if let Some(path) = &arguments.json {
        fs::write(path, &json).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if let Some(directory) = &arguments.plots {
        draw(&measured, directory).with_context(|| format!("no plots in {}", directory.display()))?;
    }
    let text = if arguments.is_json { json } else { table::text(&measured, &conditions) };
    std::io::stdout().write_all(text.as_bytes())?;
    let failed: Vec<&str> = measured.failures.iter().map(|(name, _)| *name).collect();
    anyhow::ensure!(failed.is_empty(), "these failed, see above: {}", failed.join(", "));
    Ok(())
}

fn measure(benchmarks: &[&Benchmark], world: &World) -> Measured {
    let mut all = Measured::default();
    for benchmark in benchmarks {
        say(&format!("measuring {}", benchmark.name));
        match (benchmark.measure)(world) {
            Ok(measured) => all.extend(measured),
            Err(error) => {
                // What was measured before it, and what comes after, is worth showing all the same.
                say(&format!("{} failed: {error:#}", benchmark.name));
                all.failures.push((benchmark.name, format!("{error:#}")));
            }
        }
    }
    all
}

fn draw(measured: &Measured, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    for curve in &measured.curves {
        if let Some(picture) = plot::svg(curve) {
            fs::write(directory.join(curve.name).with_extension("svg"), picture)?;
        }
    }
    Ok(())
}

/// Tells whoever waits what is going on.
fn say(text: &str) {
    // Nobody has to read it.
    let _ = writeln!(std::io::stderr(), "{text}");
}
