//! In which conditions figures were measured, so that nobody takes a busy machine's for the pool's.

use std::fmt;
use std::fs;
use std::thread;

use serde_json::{Value, json};

use crate::world::{WORKERS, World};

/// The machine, and what else it had to do.
pub(crate) struct Conditions {
    cores: usize,
    processor: String,
    kernel: String,
    python: String,
    is_quick: bool,
    turns: usize,
    turns_of_point: usize,
    /// Runnable threads, averaged over the minute before the first figure, and before the end.
    load: [String; 2],
}

impl Conditions {
    /// Looks at the machine before anything is measured.
    pub(crate) fn now(world: &World) -> Self {
        Self {
            cores: thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: processor(),
            kernel: word_of("/proc/sys/kernel/osrelease"),
            python: world.python.as_ref().map_or_else(Clone::clone, |python| python.version.clone()),
            is_quick: world.is_quick,
            turns: world.turns(),
            turns_of_point: world.turns_of_point(),
            load: [word_of("/proc/loadavg"), String::new()],
        }
    }

    /// Looks again when all is measured.
    pub(crate) fn note_end(&mut self) {
        self.load[1] = word_of("/proc/loadavg");
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let Self { cores, processor, kernel, python, is_quick, turns, turns_of_point, load } = self;
        json!({
            "cores": cores,
            "processor": processor,
            "linux": kernel,
            "python": python,
            "quick": is_quick,
            "turns": turns,
            "turns_of_point": turns_of_point,
            "workers": WORKERS,
            "load_average": { "before": load[0], "after": load[1] },
        })
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, kernel, python, is_quick, turns, turns_of_point, load } = self;
        let [before, after] = load;
        let (length, less) = if *is_quick { ("quick", ", a tenth of the calls") } else { ("full", "") };
        writeln!(
            f,
            "{length} run: medians of {turns} turns ({turns_of_point} for a point of a curve){less}, and the quartiles between which half of them lay"
        )?;
        writeln!(f, "{cores} cores ({processor}), {WORKERS} workers; Linux {kernel}; Python: {python}")?;
        write!(f, "load average {before} before, {after} at the end")
    }
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

fn word_of(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
