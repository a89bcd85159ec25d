//! In which conditions figures were measured, so that nobody takes a busy machine's for the pool's.

use std::fmt;
use std::fs;
use std::thread;

/// The machine, and what else it had to do.
pub(crate) struct Conditions {
    cores: usize,
    is_quick: bool,
    /// Runnable threads, averaged over the minute before the first figure, and before the end.
    load: [String; 2],
}

impl Conditions {
    /// Looks at the machine before anything is measured.
    pub(crate) fn now(is_quick: bool) -> Self {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { cores, is_quick, load: [load(), String::new()] }
    }

    /// Looks again when all is measured.
    pub(crate) fn note_end(&mut self) {
        self.load[1] = load();
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, is_quick, load: [before, after] } = self;
        let length = if *is_quick { "quick run" } else { "full run" };
        write!(f, "{length} on {cores} cores; load average {before} before, {after} at the end")
    }
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}
