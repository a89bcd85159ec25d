//! What a process has, and what it has more of afterwards.

use std::collections::BTreeSet;
use std::fs;

use wasmpool_tests::processes::{children, descriptors};

use super::say;

/// What this process had at one time.
pub(super) struct Traces {
    descriptors: BTreeSet<String>,
    processes: usize,
    mappings: usize,
}

/// What it has more of now.
pub(super) struct Left {
    pub(super) descriptors: u64,
    pub(super) processes: u64,
    pub(super) mappings: u64,
}

impl Traces {
    pub(super) fn now() -> Self {
        Self { descriptors: descriptors(), processes: children().len(), mappings: mappings() }
    }

    pub(super) fn left(&self) -> Left {
        let now = Self::now();
        let new: Vec<&String> = now.descriptors.difference(&self.descriptors).collect();
        new.iter().for_each(|descriptor| say(&format!("left over: {descriptor}")));
        Left {
            descriptors: new.len() as u64,
            processes: now.processes.saturating_sub(self.processes) as u64,
            mappings: now.mappings.saturating_sub(self.mappings) as u64,
        }
    }
}

/// Mappings of shared memory.
fn mappings() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc/self/maps");
    maps.lines().filter(|line| line.contains("wasmpool")).filter(|line| line.contains("memfd:")).count()
}
