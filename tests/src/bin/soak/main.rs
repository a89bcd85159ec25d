//! The robustness soak: kills, stops and continues processes at random under a large job, and prints what came of it.
//!
//! `cargo run --release -p wasmpool-tests --bin soak` takes some minutes; `-- CALLS KILLS STOPS SUPERVISORS` says how
//! much of each. It exits with 1 when anything was wrong, lost, doubled or left over.

mod job;
mod supervisors;
mod traces;

use std::process::ExitCode;
use std::time::Duration;

use wasmpool_tests::processes;
use wasmpool_tests::random::Random;

/// How much is done.
struct Plan {
    calls: i64,
    kills: u64,
    stops: u64,
    supervisors: u64,
}

impl Plan {
    /// From the command line, or as large as promised.
    fn from_arguments() -> Result<Self, String> {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let mut plan = Self { calls: 1_000_000, kills: 1_000, stops: 100, supervisors: 50 };
        let number = |text: &String| text.parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
        match given.as_slice() {
            [] => {}
            [calls, kills, stops, supervisors] => {
                plan.calls = number(calls)?.cast_signed();
                (plan.kills, plan.stops) = (number(kills)?, number(stops)?);
                plan.supervisors = number(supervisors)?;
            }
            _ => return Err("give no arguments, or CALLS KILLS STOPS SUPERVISORS".to_owned()),
        }
        Ok(plan)
    }
}

/// A line of the report, and what must not be more than nothing.
enum Line {
    Count(&'static str, u64),
    Fault(&'static str, u64),
    Time(&'static str, Duration),
}

fn main() -> ExitCode {
    wasmpool::init();
    if std::env::args().nth(1).as_deref() == Some(supervisors::VICTIM) {
        return supervisors::be_busy();
    }
    let plan = match Plan::from_arguments() {
        Ok(plan) => plan,
        Err(problem) => {
            say(&problem);
            return ExitCode::from(2);
        }
    };
    let mut random = Random::from_environment();
    say(&random.how_to_repeat());
    let lines = soak(&plan, &mut random);
    report(&lines)
}

fn soak(plan: &Plan, random: &mut Random) -> Vec<Line> {
    // What the first pool of a process takes for all of them does not count.
    let first = wasmpool::Pool::builder().workers(1).build().expect("a pool");
    processes::workers(&first);
    drop(first);
    let traces = traces::Traces::now();
    let job = job::run(plan, random);
    let deaths = supervisors::kill(plan.supervisors, random);
    let left = traces.left();
    vec![
        Line::Count("calls", plan.calls.unsigned_abs()),
        Line::Count("workers killed", job.killed),
        Line::Count("workers stopped and continued", job.stopped),
        Line::Count("supervisors killed", plan.supervisors),
        Line::Fault("results wrong", job.wrong),
        Line::Fault("results lost", job.lost),
        Line::Fault("results doubled", job.doubled),
        Line::Fault("modules given up", job.given_up),
        Line::Fault("processes left over", deaths.workers_left + left.processes),
        Line::Fault("descriptors left over", left.descriptors),
        Line::Fault("mappings left over", left.mappings),
        Line::Fault("files left over", deaths.files_left),
        Line::Time("from a kill to the next worker, median", job.recovery_median),
        Line::Time("from a kill to the next worker, longest", job.recovery_longest),
        Line::Time("from a supervisor's end to its workers', longest", deaths.longest),
    ]
}

#[allow(clippy::print_stdout, reason = "the report")]
fn report(lines: &[Line]) -> ExitCode {
    let mut faults = 0;
    for line in lines {
        match line {
            Line::Count(what, count) => println!("{what:<50}{count:>12}"),
            Line::Fault(what, count) => {
                faults += count;
                println!("{what:<50}{count:>12}{}", if *count == 0 { "" } else { "  FAULT" });
            }
            Line::Time(what, time) => println!("{what:<50}{:>9.2} ms", time.as_secs_f64() * 1e3),
        }
    }
    ExitCode::from(u8::from(faults > 0))
}

#[allow(clippy::print_stderr, reason = "the progress of a program that takes minutes")]
fn say(text: &str) {
    eprintln!("soak: {text}");
}
