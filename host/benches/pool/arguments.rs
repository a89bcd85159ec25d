//! The benchmark's command line, of which cargo writes a part.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// What to do.
pub(crate) enum Mode {
    /// Nothing: cargo is running tests, and benchmarks are none.
    Nothing,
    /// This process was started by the benchmark itself, to measure the memory of one `map`.
    PeakMemory(Measured),
    /// Measure.
    Run(Arguments),
}

/// What to measure, and how to show it.
pub(crate) struct Arguments {
    pub(crate) is_quick: bool,
    pub(crate) is_json: bool,
    filters: Vec<String>,
}

/// A `map` whose memory is measured in a process of its own.
pub(crate) struct Measured {
    pub(crate) is_vec: bool,
    pub(crate) module: PathBuf,
    pub(crate) cache: PathBuf,
}

/// First argument of the process that measures memory; nobody types it.
pub(crate) const PEAK_MEMORY: &str = "--peak-memory-of";

const USAGE: &str = "usage: cargo bench -p wasmpool --bench pool -- [--quick] [--json] [NAME]...";

impl Arguments {
    /// Whether a benchmark of this name was asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }
}

/// Reads the arguments behind the program's name.
///
/// `cargo bench` adds `--bench`; `cargo test`, which builds without optimisation, does not, and may add `--test`.
///
/// # Errors
///
/// When there are flags that mean nothing here.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> anyhow::Result<Mode> {
    let mut arguments = arguments.peekable();
    if arguments.next_if(|first| first == PEAK_MEMORY).is_some() {
        return Ok(Mode::PeakMemory(measured(arguments)?));
    }
    let mut run = Arguments { is_quick: false, is_json: false, filters: Vec::new() };
    let (mut is_bench, mut is_test) = (false, false);
    for argument in arguments {
        match argument.as_str() {
            "--bench" => is_bench = true,
            "--test" | "--list" => is_test = true,
            "--quick" => run.is_quick = true,
            "--json" => run.is_json = true,
            flag if is_bench && flag.starts_with('-') => bail!("unknown flag `{flag}`; {USAGE}"),
            _ => run.filters.push(argument),
        }
    }
    Ok(if is_bench && !is_test { Mode::Run(run) } else { Mode::Nothing })
}

fn measured(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Measured> {
    let mut next =
        || arguments.next().context("the process that measures memory was started without arguments");
    Ok(Measured { is_vec: next()? == "vec", module: next()?.into(), cache: next()?.into() })
}
