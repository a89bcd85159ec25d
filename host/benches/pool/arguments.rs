//! The benchmark's command line, of which cargo writes a part.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::benchmarks::Benchmark;

/// What to do.
pub(crate) enum Mode {
    /// Nothing: cargo is running tests, and benchmarks are none.
    Nothing,
    /// This process was started by the benchmark itself, to measure the memory of one `map`.
    PeakMemory(Watched),
    /// Measure.
    Run(Arguments),
}

/// What to measure, and how to show it.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) is_quick: bool,
    /// Whether the table is for programs.
    pub(crate) is_json: bool,
    /// Where the same is to be put for programs.
    pub(crate) json: Option<PathBuf>,
    /// Where curves are to be drawn.
    pub(crate) plots: Option<PathBuf>,
    names: Vec<String>,
}

/// A `map` whose memory is measured in a process of its own.
pub(crate) struct Watched {
    pub(crate) is_vec: bool,
    pub(crate) calls: usize,
    pub(crate) module: PathBuf,
    pub(crate) cache: PathBuf,
}

/// First argument of the process that measures memory; nobody types it.
pub(crate) const PEAK_MEMORY: &str = "--peak-memory-of";

const USAGE: &str =
    "usage: cargo bench -- [--quick] [--json FILE] [--format table|json] [--plots DIRECTORY] [NAME]...";

impl Arguments {
    /// The benchmarks that were asked for, by a part of their names or else by the name of one of their figures; all,
    /// if none was.
    ///
    /// # Errors
    ///
    /// When a name means none of them.
    pub(crate) fn choose<'a>(&self, benchmarks: &'a [Benchmark]) -> anyhow::Result<Vec<&'a Benchmark>> {
        let mut chosen = vec![self.names.is_empty(); benchmarks.len()];
        for asked in &self.names {
            let is_part = |name: &str| name.contains(asked);
            let is_figure = |name: &str| asked.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
            let by_part: Vec<bool> = benchmarks.iter().map(|benchmark| is_part(benchmark.name)).collect();
            let by_figure = || benchmarks.iter().map(|benchmark| is_figure(benchmark.name)).collect();
            let meant = if by_part.contains(&true) { by_part } else { by_figure() };
            if !meant.contains(&true) {
                let names: Vec<&str> = benchmarks.iter().map(|benchmark| benchmark.name).collect();
                bail!("no benchmark is named like `{asked}`; there are {}", names.join(", "));
            }
            chosen.iter_mut().zip(meant).for_each(|(chosen, meant)| *chosen |= meant);
        }
        Ok(benchmarks.iter().zip(chosen).filter_map(|(benchmark, is)| is.then_some(benchmark)).collect())
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
        return Ok(Mode::PeakMemory(watched(arguments)?));
    }
    let arguments: Vec<String> = arguments.collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if !has("--bench") || has("--test") || has("--list") {
        return Ok(Mode::Nothing);
    }
    let mut run = Arguments::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("`{argument}` needs a value; {USAGE}"));
        match argument.as_str() {
            "--bench" => {}
            "--quick" => run.is_quick = true,
            "--json" => run.json = Some(value()?.into()),
            "--plots" => run.plots = Some(value()?.into()),
            "--format" => run.is_json = is_json(&value()?)?,
            flag if flag.starts_with('-') => bail!("unknown flag `{flag}`; {USAGE}"),
            _ => run.names.push(argument),
        }
    }
    Ok(Mode::Run(run))
}

fn is_json(format: &str) -> anyhow::Result<bool> {
    match format {
        "json" => Ok(true),
        "table" => Ok(false),
        other => bail!("unknown format `{other}`; {USAGE}"),
    }
}

fn watched(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Watched> {
    let mut next =
        || arguments.next().context("the process that measures memory was started without arguments");
    Ok(Watched {
        is_vec: next()? == "vec",
        calls: next()?.parse()?,
        module: next()?.into(),
        cache: next()?.into(),
    })
}
