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
mod figure;
mod fresh;
mod map;
mod memory;
mod plain;
mod python;
mod table;
mod turns;
mod values;
mod world;

use std::io::Write as _;

use arguments::{Arguments, Mode};
use benchmarks::BENCHMARKS;
use figure::Figure;
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
    let mut figures = Vec::new();
    for benchmark in BENCHMARKS.iter().filter(|benchmark| arguments.wants(benchmark.name)) {
        progress(benchmark.name);
        figures.extend((benchmark.measure)(&world)?);
    }
    show(&figures, arguments.is_json)
}

/// Tells whoever waits what is being measured.
fn progress(name: &str) {
    // Nobody has to read it.
    let _ = writeln!(std::io::stderr(), "measuring {name}");
}

fn show(figures: &[Figure], is_json: bool) -> anyhow::Result<()> {
    let text = if is_json { table::json(figures)? } else { table::text(figures) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
