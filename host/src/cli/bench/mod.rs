//! `bench`: what a task of the user's own costs inline and in pools, and from which length of a call a pool pays.
//!
//! ```text
//! workload   the inputs, encoded once, over and over again
//!    │
//! stage      a pool of so many workers, ready; a turn is one job, by two clocks: ours and the workers'
//!    │
//! plan       how many calls make a turn, and whether there is time for another
//!    │
//! figures    medians, speed-up, overhead, the length from which a pool pays; pure functions of samples
//!    │
//! report     a table for people, JSON for programs
//! ```
//!
//! Inline is not measured by a loop of its own in this process: guests never run here. The one worker of the smallest
//! pool runs the same calls in the same way as all others do, and tells how long each chunk took it by its own clock;
//! what our clock shows beyond that is what the pool adds. A worker that lies about it spoils these figures and
//! nothing else: they decide nothing.

mod arguments;
mod figures;
mod plan;
mod report;
mod stage;
mod workload;

pub(crate) use arguments::{Bench, BenchArguments};

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use self::arguments::BenchFormat;
use self::figures::{Figures, Single, Turn};
use self::plan::Budget;
use self::stage::Stage;
use self::workload::{Inputs, Workload};
use super::calls::{refused, unusable};
use super::deliver::line_of;
use super::exit::Exit;
use super::inputs::{InputError, Parameters, refuse_terminal};
use super::interrupt::on_interrupt;
use super::output::OutputError;
use super::quantity::Workers;
use super::{Refusal, module_file, say};
use crate::pool::Failure;
use crate::process::cores;

/// Why there are no figures.
enum Stopped {
    /// A call did not return.
    Failed(Failure),
    Refused(Refusal),
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Measures, and prints what came of it.
pub(super) fn run(bench: &Bench) -> Result<Exit, Refusal> {
    let figures = match measure(bench) {
        Ok(figures) => figures,
        Err(Stopped::Refused(refusal)) => return Err(refusal),
        Err(Stopped::Failed(failure)) => {
            say(&line_of(&failure));
            return Ok(Exit::CallsFailed);
        }
    };
    let text = match bench.format {
        BenchFormat::Table => report::table(&figures),
        BenchFormat::Json => report::json(&figures),
    };
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match written.map_err(OutputError::from) {
        Ok(()) => Ok(Exit::Success),
        Err(OutputError::ReaderGone) => Ok(Exit::from(&OutputError::ReaderGone)),
        Err(error) => Err(Refusal::new(Exit::from(&error), error)),
    }
}

fn measure(bench: &Bench) -> Result<Figures, Stopped> {
    // Nothing is worth keeping of a measurement that was broken off, and workers end with this process.
    on_interrupt(|| std::process::exit(Exit::Interrupted.code().into()))
        .context("signals cannot be handled")
        .map_err(|error| Refusal::new(Exit::Other, error))?;
    let load = load_average();
    let path = module_file(&bench.calls.module, true)?;
    // It compiles the module, if nobody has done so before; what starting a pool takes is measured later.
    let alone = Stage::start(bench, &path, 1)?;
    let task = alone.task(&bench.calls.task)?;
    let names: Vec<Option<String>> = task.parameters.iter().map(|parameter| parameter.name.clone()).collect();
    let kinds: Vec<String> = task.parameters.iter().map(|parameter| parameter.kind.clone()).collect();
    let parameters = Parameters { task: &bench.calls.task, names: &names, kinds: &kinds };
    let inputs = read(bench, parameters)?;
    let workload = Workload::encode(inputs, task.numeric.as_ref(), &names).map_err(Stopped::Failed)?;
    let budget = Budget::new(bench.time);
    let singles = singles(&alone, &workload, budget)?;
    let stages = stages(bench, &path, alone)?;
    let time = budget.of_starts(stages.len());
    let starts = stages.iter().map(|stage| starts(bench, &path, stage.workers(), &workload, time));
    let starts = starts.collect::<Result<Vec<_>, _>>()?;
    let calls = calls_of_a_turn(&stages, &workload, &singles, budget)?;
    let turns = turns(&stages, &workload, calls, budget)?;
    let pools = stages.iter().map(Stage::workers).zip(starts).zip(turns);
    Ok(Figures {
        task: format!("{}{parameters}", crate::printable::printable_name(parameters.task)),
        inputs: workload.inputs(),
        inputs_left_out: workload.has_left_out(),
        calls,
        cores: cores::available(),
        load,
        singles,
        pools: pools.map(|((workers, starts), turns)| figures::Pool { workers, starts, turns }).collect(),
        measured_for: budget.spent(),
    })
}

/// Pools of all sizes, of which that of one worker is there already.
fn stages(bench: &Bench, path: &Path, alone: Stage) -> Result<Vec<Stage>, Refusal> {
    let workers = match bench.calls.workers {
        Workers::Count(count) => count.get().into(),
        Workers::Auto => cores::available(),
    };
    let mut stages = vec![alone];
    for size in plan::sizes(workers).into_iter().skip(1) {
        stages.push(Stage::start(bench, path, size)?);
    }
    Ok(stages)
}

/// How many processes wanted a core in the last minute: others' work disturbs what is measured.
fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The inputs, from wherever they come; a task without parameters needs none.
fn read(bench: &Bench, parameters: Parameters<'_>) -> Result<Inputs, Refusal> {
    let inputs = match &bench.inputs[..] {
        [] if parameters.kinds.is_empty() => Inputs::of_nothing(),
        [] => {
            refuse_terminal(std::io::stdin().is_terminal()).map_err(refused)?;
            Inputs::read(std::io::stdin(), bench.calls.text, parameters).map_err(refused)?
        }
        given => Inputs::given(given, bench.calls.text, parameters).map_err(refused)?,
    };
    if inputs.is_empty() {
        let text =
            "there is nothing to measure without an input; give INPUTs after the task, or pipe JSON Lines in";
        return Err(refused(InputError::Refused(text.to_owned())));
    }
    Ok(inputs)
}

/// Calls one at a time, there and back. The first, which finds nothing ready, does not count unless it took all the
/// time there is.
fn singles(stage: &Stage, workload: &Workload, budget: Budget) -> Result<Vec<Single>, Stopped> {
    const SINGLES_MAX: u64 = 2000;
    let first = stage.one(workload, 0)?;
    let began = Instant::now();
    let mut singles = Vec::new();
    for call in 1..=SINGLES_MAX {
        if first.own + began.elapsed() >= budget.of_singles() {
            break;
        }
        singles.push(stage.one(workload, call)?);
    }
    if singles.is_empty() {
        singles.push(first);
    }
    Ok(singles)
}

/// How long it takes to have a pool and its first result, without the call itself.
fn starts(
    bench: &Bench,
    path: &Path,
    workers: usize,
    workload: &Workload,
    time: Duration,
) -> Result<Vec<Duration>, Stopped> {
    const STARTS_MAX: usize = 5;
    let began = Instant::now();
    let mut starts = Vec::new();
    while starts.is_empty() || (starts.len() < STARTS_MAX && began.elapsed() < time) {
        let started = Instant::now();
        let stage = Stage::start(bench, path, workers)?;
        let own = stage.one(workload, 0)?.own;
        starts.push(started.elapsed().saturating_sub(own));
    }
    Ok(starts)
}

/// Finds how many calls make a turn, by jobs of one worker that grow until one takes about a turn's time.
fn calls_of_a_turn(
    stages: &[Stage],
    workload: &Workload,
    singles: &[Single],
    budget: Budget,
) -> Result<u64, Stopped> {
    let alone = &stages[0];
    let turn = budget.of_a_turn(stages.len());
    let workers = stages.last().map_or(1, Stage::workers);
    let plan = |call: Duration| plan::calls(workload.inputs(), call, turn, workers as u64);
    let own: Duration = singles.iter().map(|single| single.own).sum();
    let mut call = own / singles.len() as u32;
    if call >= plan::CALL_TIME_KNOWN_MIN {
        return Ok(plan(call));
    }
    let mut calls = plan(call);
    loop {
        let elapsed = alone.turn(workload, calls)?.elapsed;
        call = plan::call_time(elapsed, calls);
        if elapsed >= turn / 2 || calls >= plan::CALLS_MAX {
            return Ok(plan(call));
        }
        calls = plan(call).clamp(calls * 2, calls * 16).min(plan::CALLS_MAX);
    }
}

/// Runs turns on all stages in rotation, while there is time; at least one.
fn turns(
    stages: &[Stage],
    workload: &Workload,
    calls: u64,
    budget: Budget,
) -> Result<Vec<Vec<Turn>>, Stopped> {
    const TURNS_MAX: usize = 99;
    let mut turns = vec![Vec::new(); stages.len()];
    let began = Instant::now();
    let mut first: Vec<Turn> = Vec::new();
    for stage in stages {
        first.push(stage.turn(workload, calls)?);
    }
    if began.elapsed() >= budget.of_first_turns() {
        // What a cold start adds to calls as long as these cannot be seen, and there is no time for more.
        turns.iter_mut().zip(first).for_each(|(turns, first)| turns.push(first));
    }
    while turns[0].is_empty() || (turns[0].len() < TURNS_MAX && !budget.is_spent()) {
        for (stage, turns) in stages.iter().zip(&mut turns) {
            turns.push(stage.turn(workload, calls)?);
        }
    }
    Ok(turns)
}

/// What an error comes to that ended a job whose first call was call `first` of the workload: of a call that failed, its
/// failure under the number of its input.
fn stopped(error: crate::pool::Error, first: u64, inputs: u64) -> Stopped {
    match error.failure() {
        Some(failure) => Stopped::Failed(failure.clone().at((first + failure.index()) % inputs)),
        None => Stopped::Refused(unusable(error)),
    }
}
