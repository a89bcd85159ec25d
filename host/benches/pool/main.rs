//! How fast the pool is, against a plain wasmtime loop and Python's `multiprocessing` in the same run.
//!
//! ```text
//! cargo bench -p wasmpool --bench pool                        everything, as a table
//! cargo bench -p wasmpool --bench pool -- --quick map apply   fewer calls; only what contains one of these words
//! cargo bench -p wasmpool --bench pool -- --json              for programs
//! ```
//!
//! [`benchmarks`] lists what there is, a file per subject measures it, [`figure`] is what comes of it and [`table`]
//! shows that. [`world`] holds what all of them need; [`plain`] and [`python`] are the peers. `benches/README.md`
//! says how each figure is measured and what one run gave.

mod apply;
mod arguments;
mod benchmarks;
mod command_line;
mod conditions;
mod cost;
mod figure;
mod fresh;
mod limits;
mod map;
mod memory;
mod plain;
mod python;
mod shared;
mod table;
mod turns;
mod values;
mod world;

use std::io::Write as _;

use arguments::{Arguments, Mode};
use benchmarks::BENCHMARKS;
use conditions::Conditions;
use world::World;

fn main() -> anyhow::Result<()> {
    // The pools' workers are this executable, too; they do not come back from here.
    wasmpool::init();
    match arguments::parse(std::env::args().skip(1))? {
        Mode::Nothing => Ok(()),
        Mode::PeakMemory(measured) => memory::measure_here(&measured),
        Mode::Run(arguments) => run(&arguments),
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let world = World::new(arguments.is_quick)?;
    let mut conditions = Conditions::now(arguments.is_quick);
    let mut figures = Vec::new();
    let mut failed = Vec::new();
    for benchmark in BENCHMARKS.iter().filter(|benchmark| arguments.wants(benchmark.name)) {
        say(&format!("measuring {}", benchmark.name));
        match (benchmark.measure)(&world) {
            Ok(measured) => figures.extend(measured),
            Err(error) => {
                // What was measured before it, and what comes after, is worth showing all the same.
                say(&format!("{} failed: {error:#}", benchmark.name));
                failed.push(benchmark.name);
            }
        }
    }
    conditions.note_end();
    let text = match arguments.is_json {
        true => table::json(&figures, &conditions)?,
        false => table::text(&figures, &conditions),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    anyhow::ensure!(failed.is_empty(), "these failed, see above: {}", failed.join(", "));
    Ok(())
}

/// Tells whoever waits what is going on.
fn say(text: &str) {
    // Nobody has to read it.
    let _ = writeln!(std::io::stderr(), "{text}");
}
